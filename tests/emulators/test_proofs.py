"""Proofs: made anew each time, good for what they were made for alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lipstream.emulators.proofs import is_genuine, is_stamped, prove, stamp

TEXT = st.text()


@given(TEXT, TEXT)
def test_proof_is_good_for_what_it_is_bound_to(model: str, text: str) -> None:
    """And never the same twice."""
    proof = prove(model, text)
    assert is_genuine(proof, model, text)
    assert proof != prove(model, text)
    assert not is_genuine(proof, model, f"{text}.")


@given(st.integers(0, 107), st.characters())
def test_any_other_character_spoils_a_proof(place: int, character: str) -> None:
    """There is one spelling of each."""
    proof = prove("m")
    changed = proof[:place] + character + proof[place + 1 :]
    assert is_genuine(changed, "m") == (changed == proof)


@given(TEXT)
def test_anything_else_is_no_proof(text: str) -> None:
    """Whatever a client may send."""
    assert not is_genuine(text, "m")
    assert not is_stamped(text, "m")


def test_stamps_are_recognised() -> None:
    """By what they are bound to."""
    assert is_stamped(stamp("a"), "a")
    assert not is_stamped(stamp("a"), "b")
