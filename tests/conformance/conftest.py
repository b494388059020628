"""One rig for all cells."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.docs import summary
from tests.conformance.limits import UNPLAYED
from tests.conformance.matrix import KINDS, cells
from tests.conformance.rig import Rig


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """The proxy, the emulators and the SDKs."""
    with Rig(KINDS, tuple(UNPLAYED)) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How large the matrix is, where any of it was played."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    if any("test_cell_holds" in report.nodeid for report in reports):
        terminalreporter.write_line(f"conformance: {summary(list(cells()))}")
