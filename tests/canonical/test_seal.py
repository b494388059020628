"""Seals, and the text that they are packed into."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical.seal import UNKNOWN_ORIGIN, Seal, Sealer, packed, unpacked

TEXTS = st.text(st.characters(codec=None), max_size=6)
FIELDS = st.dictionaries(
    TEXTS, st.none() | st.integers() | TEXTS | st.lists(TEXTS | st.dictionaries(TEXTS, TEXTS))
)
SEALS = st.builds(Seal, TEXTS, TEXTS, TEXTS, FIELDS, TEXTS)


@given(SEALS)
def test_packed_seal_unpacks_to_itself(seal: Seal) -> None:
    """Every character of it, halves of characters too."""
    assert unpacked(packed(seal)) == seal


@given(SEALS)
def test_packed_seal_is_standard_base64(seal: Seal) -> None:
    """Which Gemini's clients decode, and no header or JSON has to escape."""
    text = packed(seal)
    assert re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", text)
    assert base64.b64decode(text, validate=True)
    assert text.startswith("bGlwc2VhbDE6")


def forged(data: bytes) -> str:
    """A text that begins as a packed seal does."""
    return base64.b64encode(b"lipseal1:" + data).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sig",
        "EqoBCkgIARABGAIiQL",
        "bGlwc2VhbDE6",
        "bGlwc2VhbDE6*",
        "bGlwc2VhbDE6é",
        forged(b"{}"),
        forged(b'["a", "b", "c", {}]'),
        forged(b'["a", 1, "c", {}, ""]'),
        forged(b'["a", "\xff", "c", {}, ""]'),
        forged(b"[" * 100_000),
        forged(b'["a", "b", "c", {"x": ' + b"[" * 70 + b"]" * 70 + b'}, ""]'),
        packed(Seal("d", "v"))[:-4],
    ],
    ids=range(13),
)
def test_any_other_text_is_no_seal(text: str) -> None:
    """Also one that somebody made to look like one: it may be anything, but it does no harm."""
    assert unpacked(text) is None


@given(st.binary(max_size=12))
def test_any_forgery_is_read_or_is_none(data: bytes) -> None:
    """Nothing is raised."""
    assert unpacked(forged(data)) is None


def test_sealer_tells_of_every_seal() -> None:
    """With the call it belongs to, and with the origin inside."""
    told: list[tuple[Seal, str]] = []
    sealer = Sealer("b:m", lambda seal, call_id: told.append((seal, call_id)))
    first = sealer.seal("d", "v", {"x": 1})
    second = sealer.seal("d", "w", call_id="c")
    assert first == Seal("d", "v", "b:m", {"x": 1})
    assert second == Seal("d", "w", "b:m")
    assert told == [(first, ""), (second, "c")]


def test_sealer_of_unknown_origin_tells_nobody() -> None:
    """For whoever has no backend."""
    assert UNKNOWN_ORIGIN.seal("d", "v") == Seal("d", "v")
