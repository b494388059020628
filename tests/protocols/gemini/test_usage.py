"""Token counts both ways."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.usage import Usage
from lipstream.protocols.gemini.usage import decode_usage, encode_usage


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (None, None, None, None, None)),
        ({"trafficType": "ON_DEMAND"}, (None, None, None, None, None)),
        (
            {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
            (3, 4, 7, None, None),
        ),
        (
            {
                "promptTokenCount": 91,
                "candidatesTokenCount": 29,
                "thoughtsTokenCount": 265,
                "toolUsePromptTokenCount": 405,
                "totalTokenCount": 790,
                "cachedContentTokenCount": 50,
            },
            (496, 294, 790, 50, 265),
        ),
        ({"promptTokenCount": 3, "thoughtsTokenCount": 5}, (3, 5, None, None, 5)),
        ({"toolUsePromptTokenCount": 3}, (3, None, None, None, None)),
        ({"promptTokenCount": 3, "totalTokenCount": 9}, (3, 6, 9, None, None)),
        ({"promptTokenCount": 3, "totalTokenCount": 3}, (3, None, 3, None, None)),
        ({"promptTokenCount": "12", "candidatesTokenCount": True}, (12, None, None, None, None)),
        ({"promptTokenCount": -1, "totalTokenCount": "x"}, (None, None, None, None, None)),
    ],
)
def test_counts_are_read(fields: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    """Thoughts are output, what tools put into the prompt is input, and nothing is made up."""
    usage = decode_usage(fields)
    assert usage.fields == fields
    assert expected == (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cache_read_tokens,
        usage.reasoning_tokens,
    )


def test_own_usage_is_told_as_it_came() -> None:
    """With all that only this dialect counts."""
    fields = {"promptTokenCount": 3, "promptTokensDetails": [{"modality": "TEXT"}]}
    assert encode_usage(decode_usage(fields)) == fields


def test_usage_of_other_providers_is_put_in_gemini_terms() -> None:
    """Thoughts are counted beside the candidates; what is not known is not there."""
    usage = Usage(input_tokens=10, output_tokens=7, reasoning_tokens=5, cache_read_tokens=4)
    assert encode_usage(usage) == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 2,
        "totalTokenCount": 17,
        "cachedContentTokenCount": 4,
        "thoughtsTokenCount": 5,
    }
    assert encode_usage(Usage(output_tokens=7)) == {"candidatesTokenCount": 7}
    assert encode_usage(Usage()) == {}
