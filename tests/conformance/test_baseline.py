"""The drivers, the emulators and the scenarios agree without any proxy between them."""

from __future__ import annotations

import pytest

from tests.conformance.matrix import Cell, baseline
from tests.conformance.rig import Rig

CELLS = [cell for cell in baseline() if cell.is_played]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_sdk_and_provider_agree(cell: Cell, rig: Rig) -> None:
    """What fails here is no fault of the proxy's."""
    cell.play(rig)
