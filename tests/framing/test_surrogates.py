"""Characters that come in two halves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.framing.surrogates import REPLACEMENT, Halves, mended

HIGH, LOW = "\ud83d", "\ude00"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["a", "b"], ["a", "b", ""]),
        (["é"], ["é", ""]),
        ([f"a{HIGH}", f"{LOW}b"], ["a", "😀b", ""]),
        ([HIGH, LOW], ["", "😀", ""]),
        ([HIGH, "", LOW], ["", "", "😀", ""]),
        ([HIGH, "a"], ["", f"{REPLACEMENT}a", ""]),
        ([f"{HIGH}{HIGH}", LOW], [REPLACEMENT, "😀", ""]),
        ([LOW], [REPLACEMENT, ""]),
        ([f"a{HIGH}"], ["a", REPLACEMENT]),
    ],
)
def test_half_waits_for_the_other_one(pieces: list[str], expected: list[str]) -> None:
    """At most one is kept; what stays alone is replaced."""
    halves = Halves()
    found = [halves.whole("k", piece) for piece in pieces]
    assert [*found, halves.rest("k")] == expected


def test_texts_do_not_mix() -> None:
    """Each has its key."""
    halves = Halves()
    assert [halves.whole("a", HIGH), halves.whole("b", LOW), halves.whole("a", LOW)] == [
        "",
        REPLACEMENT,
        "😀",
    ]
    assert [halves.rest("a"), halves.rest("b"), halves.is_on] == ["", "", False]


@given(st.text(st.characters(codec=None)), st.data())
def test_any_cut_gives_the_same_text(text: str, data: st.DataObject) -> None:
    """Which is one that can be written."""
    halves = Halves()
    cut = data.draw(st.integers(0, len(text)))
    pieces = [halves.whole(0, text[:cut]), halves.whole(0, text[cut:]), halves.rest(0)]
    assert "".join(pieces) == mended(text)
    assert mended(text).encode().decode() == mended(text)
