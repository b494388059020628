"""The tests. The folders mirror `lipstream/`; helpers that several share are modules here."""
