"""Token counts."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.usage import Usage
from lipstream.protocols.openai_responses.usage import decode_usage, encode_usage

FIELDS: dict[str, Any] = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
    "cost": 0.5,
    "new": {"x": 1},
}


def test_counts_are_read() -> None:
    """Each in its place, and the object itself for its own dialect."""
    assert decode_usage(FIELDS) == Usage(
        input_tokens=10,
        output_tokens=5,
        total_tokens=15,
        cache_read_tokens=4,
        cache_write_tokens=1,
        reasoning_tokens=2,
        cost=0.5,
        dialect="openai_responses",
        fields=FIELDS,
    )
    assert encode_usage(decode_usage(FIELDS)) == FIELDS


@pytest.mark.parametrize("value", [None, "7", True, -1, 1 << 70, [], {"x": 1}, float("nan")])
def test_what_is_no_count_is_not_known(value: Any) -> None:
    """Never 0."""
    fields = {"input_tokens": value, "input_tokens_details": value}
    usage = decode_usage(fields)
    assert (usage.input_tokens, usage.cache_read_tokens) == (None, None)


def test_counts_of_others_are_written_with_their_details() -> None:
    """The official client wants all of them."""
    usage = Usage(
        input_tokens=3,
        output_tokens=4,
        total_tokens=9,
        cache_read_tokens=1,
        cache_write_tokens=2,
        reasoning_tokens=1,
        cost=0.1,
    )
    assert encode_usage(usage) == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 9,
        "cost": 0.1,
    }
    assert encode_usage(Usage())["total_tokens"] == 0
