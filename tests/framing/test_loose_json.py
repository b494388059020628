"""JSON as servers write it, well or badly."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.framing.json_guard import MAX_DEPTH
from lipstream.framing.loose_json import SHALLOW, NotJson, is_shallow, read_value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": [1, "\xc3\xa4"]}', ({"a": [1, "ä"]}, True)),
        (b'"\\ud83d"', ("\ud83d", False)),
        (b'"\xff"', ("�", False)),
        (b"[NaN, -Infinity, 1e999, 1.5]", ([None, None, None, 1.5], False)),
        (b'["' + b"x" * SHALLOW + b'"]', (["x" * SHALLOW], True)),
        (b"[" + b"[], " * MAX_DEPTH + b"[]]", ([[]] * (MAX_DEPTH + 1), True)),
    ],
)
def test_value_is_read_and_says_if_it_is_what_came(data: bytes, expected: tuple[Any, bool]) -> None:
    """Lone surrogates, broken UTF-8 and numbers that are none are put up with."""
    assert read_value(data) == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"[" * SHALLOW + b"]" * SHALLOW, b"9" * 5000],
)
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    """Also what is nested too deeply, however it is written."""
    with pytest.raises(NotJson):
        read_value(data)


def test_glance_takes_brackets_in_texts_for_depth() -> None:
    """It may send data to the slower look, and never the other way round."""
    assert is_shallow(b"[" * SHALLOW)
    assert not is_shallow(b'"' + b"[" * SHALLOW + b'"')
