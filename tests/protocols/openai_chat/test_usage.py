"""Token counts of chat servers."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.usage import Usage
from lipstream.protocols.openai_chat.usage import decode_usage, encode_usage


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
         {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}),
        ({"prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1}},
         {"cache_read_tokens": 2, "cache_write_tokens": 1}),
        ({"prompt_tokens_details": None, "prompt_cache_hit_tokens": 2}, {"cache_read_tokens": 2}),
        ({"cached_tokens": 2}, {"cache_read_tokens": 2}),
        ({"num_cached_tokens": 0}, {"cache_read_tokens": 0}),
        ({"cache_read_input_tokens": 2, "cache_creation_input_tokens": 1},
         {"cache_read_tokens": 2, "cache_write_tokens": 1}),
        ({"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}},
         {"output_tokens": 9, "reasoning_tokens": 4}),
        ({"reasoning_tokens": 4}, {"reasoning_tokens": 4}),
        ({"cost": 0.25}, {"cost": 0.25}),
        ({"cost": {"total_cost": 0.25}}, {"cost": 0.25}),
        ({"prompt_tokens": None, "completion_tokens": "3", "total_tokens": True}, {}),
        ({"prompt_tokens": 5.0, "completion_tokens": -1, "total_tokens": 1e300},
         {"input_tokens": 5}),
    ],
)  # fmt: skip
def test_counts_are_found_where_servers_put_them(fields: Any, expected: Any) -> None:
    """What is missing, null or no count is None."""
    assert decode_usage(fields) == Usage(**expected, dialect="openai_chat", fields=fields)


@pytest.mark.parametrize(
    ("completion", "total", "reasoning", "expected"),
    [
        (26, 560, 227, (253, 560)),  # xAI
        (26, 333, 20, (26, 333)),  # all others
        (2, 309, 25, (27, 334)),  # Vercel for Gemini, whose total leaves it out as well
    ],
)
def test_reasoning_that_the_completion_leaves_out_is_output(
    completion: int, total: int, reasoning: int, expected: tuple[int, int]
) -> None:
    """The total says so, or that there is more of it than of the completion."""
    usage = decode_usage(
        {
            "prompt_tokens": 307,
            "completion_tokens": completion,
            "total_tokens": total,
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    )
    assert (usage.output_tokens, usage.total) == expected


@pytest.mark.parametrize(("audio", "expected"), [(375, 386), (5, 11)])
def test_audio_that_only_the_total_counts_is_input(audio: int, expected: int) -> None:
    """As Mistral reports it; OpenAI's prompt includes it."""
    usage = decode_usage(
        {
            "prompt_tokens": 11,
            "completion_tokens": 15,
            "total_tokens": expected + 15,
            "prompt_tokens_details": {"audio_tokens": audio, "cached_tokens": 9},
        }
    )
    assert usage.input_tokens == expected


def test_counts_without_an_object_are_written() -> None:
    """All three that clients rely on."""
    usage = Usage(output_tokens=2, dialect="openai_chat")
    assert encode_usage(usage) == {
        "prompt_tokens": 0,
        "completion_tokens": 2,
        "total_tokens": 2,
    }
    assert encode_usage(Usage(output_tokens=2, total_tokens=9))["total_tokens"] == 9


def test_own_usage_object_is_written_as_it_came() -> None:
    """Unknown counts and nulls included."""
    fields = {"prompt_tokens": 1, "completion_tokens": None, "x": {"y": 2}}
    assert encode_usage(decode_usage(fields)) == fields
