"""What a backend can do, model by model."""

from __future__ import annotations

import re

from lipstream.canonical.abilities import ANYTHING, Abilities
from lipstream.canonical.capabilities import EVERYTHING, Capability, Lack, lack
from lipstream.canonical.transport import Mode, declared

C = Capability


def test_unknown_backend_has_everything() -> None:
    """It says no itself."""
    assert ANYTHING.capabilities("m") == EVERYTHING
    assert ANYTHING.declaration("m") == declared()


def test_later_rows_count_more_than_earlier_ones() -> None:
    """One may give back what another one has taken; of one row the loss counts more."""
    rows = (
        lack("m", C.VISION, C.AUDIO),
        Lack(re.compile("m1"), frozenset({C.TOOLS}), frozenset({C.VISION, C.TOOLS})),
    )
    abilities = Abilities(everything=EVERYTHING - {C.DOCUMENTS}, lacks=rows)
    assert EVERYTHING - abilities.capabilities("m") == {C.DOCUMENTS, C.VISION, C.AUDIO}
    assert EVERYTHING - abilities.capabilities("m1") == {C.DOCUMENTS, C.AUDIO, C.TOOLS}
    assert EVERYTHING - abilities.capabilities("x") == {C.DOCUMENTS}


def test_first_pattern_that_fits_says_how_a_model_is_asked() -> None:
    """It replaces what the backend says of all."""
    whole, both = declared([Mode.NON_STREAMING]), declared()
    patterns = {re.compile("^a"): whole, re.compile("b$"): both}
    abilities = Abilities(transport=declared([Mode.STREAMING]), transports=patterns)
    assert abilities.declaration("ab") == whole
    assert abilities.declaration("bb") == both
    assert abilities.declaration("c") == declared([Mode.STREAMING])
