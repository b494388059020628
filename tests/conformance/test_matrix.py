"""Every client with every provider."""

from __future__ import annotations

import pytest

from tests.conformance.matrix import Cell, cells
from tests.conformance.rig import Rig

CELLS = [cell for cell in cells() if cell.is_played]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_cell_holds(cell: Cell, rig: Rig) -> None:
    """Each scenario's own sentence says what."""
    cell.play(rig)
