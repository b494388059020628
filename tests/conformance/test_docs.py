"""docs/protocols.md says what the codecs declare and what the matrix holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.docs import main, render

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"


def test_page_is_not_stale() -> None:
    """Whoever changes a codec's support or a scenario draws the page again."""
    assert render() == PAGE.read_text(encoding="utf-8")


def test_stale_page_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--check`` writes nothing and says what to do."""
    page = tmp_path / "protocols.md"
    assert 1 == main(["--check", str(page)])
    assert "is stale: run" in capsys.readouterr().err
    assert not page.exists()
    assert 0 == main([str(page)])
    assert 0 == main(["--check", str(page)])
