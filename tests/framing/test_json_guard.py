"""What is refused before a decoder sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.errors import BadRequest, TooLarge
from lipstream.framing.json_guard import check_json, decode_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('[]{}"\\u0041x', max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[{"\\'), inner),
    max_leaves=8,
)


def depth_of(value: Any) -> int:
    """How deep lists and objects are nested."""
    if isinstance(value, dict):
        return 1 + max((depth_of(member) for member in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(entry) for entry in value), default=0)
    return 0


@given(VALUES, st.integers(0, 6), st.booleans())
def test_depth_is_judged_outside_strings_only(value: Any, limit: int, is_ascii: bool) -> None:
    """Brackets, quotes and backslashes in strings do not count."""
    body = json.dumps([value], ensure_ascii=is_ascii).encode()
    if depth_of([value]) <= limit:
        assert decode_json(body, max_depth=limit) == [value]
    else:
        with pytest.raises(BadRequest, match=f"nested more than {limit} levels"):
            check_json(body, max_depth=limit)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is empty, expected JSON"),
        (b" \r\n\t", "the body is empty, expected JSON"),
        (b'{"a": "\xff"}', "the body is not UTF-8 (byte 7)"),
        (b'{"a": ', "the body is not JSON: it ends too early (byte 6)"),
        (b"[" * 500 + b"]" * 500, "the body is nested more than 128 levels deep (byte 128)"),
        (b'["]",' + b'{"a":' * 200, "the body is nested more than 128 levels deep (byte 640)"),
    ],
)
def test_refusal_says_what_and_where(body: bytes, expected: str) -> None:
    """The message names the fault and the byte, and shows nothing of the text."""
    with pytest.raises(BadRequest) as caught:
        decode_json(body)
    assert str(caught.value) == expected
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("body", [b'{"a": 1} x', b"{'a': 1}", b"[NaN]", b'["\\u12"]', b"[1,]"])
def test_malformed_body_is_refused_with_its_place(body: bytes) -> None:
    """The words are the decoder's own, which never show the text."""
    with pytest.raises(BadRequest, match=r"^the body is not JSON: [a-z ]+ \(byte \d+\)$"):
        decode_json(body)


def test_deep_body_far_in_is_refused_without_a_place() -> None:
    """The search for the place is bounded."""
    body = b"[" + b"[]," * 120_000 + b"[" * 200 + b"]" * 201
    with pytest.raises(BadRequest, match=r"128 levels deep$"):
        check_json(body)


def test_wide_body_passes() -> None:
    """Only depth counts, over any length."""
    assert len(decode_json(b"[" + b"[]," * 120_000 + b"1]")) == 120_001


def test_large_base64_body_passes_quickly() -> None:
    """A body of 33 MB that is one string; the bound is a hundred times what it takes."""
    body = b'{"a":"' + b"QUJD" * 8_250_000 + b'"}'
    assert len(decode_json(body)["a"]) == 33_000_000


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'["\\ud83d"]', ["\ufffd"]),
        (b'["\\uDE00x"]', ["\ufffdx"]),
        (b'["\\ud83d\\ude00\\ud83d"]', ["\U0001f600\ufffd"]),
        (b'["\\\\ud83d\\ud83d\\n"]', ["\\ud83d\ufffd\n"]),
    ],
)
def test_half_a_character_becomes_the_replacement(body: bytes, expected: list[str]) -> None:
    """Clients cut strings in the middle of a pair; the rest of the request is still good."""
    assert decode_json(body) == expected


def test_body_over_its_limit_is_too_large() -> None:
    """The message names both numbers; without a limit any length will do."""
    with pytest.raises(TooLarge, match="the body has 4 bytes, at most 3 are allowed"):
        decode_json(b"1234", max_bytes=3)
    assert decode_json(b"1234", max_bytes=4) == decode_json(b"1234") == 1234
