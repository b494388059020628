"""The page that is drawn from the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from lipstream.lifecycle import diagrams


def test_written_page_is_fresh(tmp_path: Path) -> None:
    """What was just written passes the check."""
    page = tmp_path / "page.md"
    assert diagrams.main([str(page)]) == 0
    assert diagrams.main(["--check", str(page)]) == 0


def test_changed_page_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check fails, says what to run, and writes nothing."""
    page = tmp_path / "page.md"
    page.write_text("old")
    assert diagrams.main(["--check", str(page)]) == 1
    assert "run python -m lipstream.lifecycle.diagrams" in capsys.readouterr().err
    assert page.read_text() == "old"


def test_every_state_is_drawn() -> None:
    """No state is missing from the picture."""
    drawn = diagrams.render()
    assert all(name in drawn for name in ("PRIMING", "TRUNCATED", "IN_MESSAGE"))
