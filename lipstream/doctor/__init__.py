"""``lipstream doctor``: asks every configured backend whether it works, and says what to do."""
