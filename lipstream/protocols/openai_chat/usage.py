"""Token counts: the usage objects of chat servers to canonical usage and back.

``prompt_tokens`` includes cached tokens and audio, and ``completion_tokens`` includes reasoning.
Where a server counts otherwise (xAI and Mistral, which say so by the total, and Vercel for Gemini,
which says so only by having more reasoning than output), what is missing is added. Cache counts
stand in different places; each is a path in the table, and the first one that holds a number
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical.usage import Usage
from lipstream.protocols.openai_chat.wire import NAME, Fields

_CACHE_READ = (
    ("prompt_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),  # DeepSeek
    ("cached_tokens",),  # Moonshot, Together
    ("num_cached_tokens",),  # Mistral
    ("cache_read_input_tokens",),  # Databricks, Venice
)
_CACHE_WRITE = (
    ("prompt_tokens_details", "cache_write_tokens"),  # OpenRouter
    ("cache_creation_input_tokens",),  # Databricks, Vercel
)
_REASONING = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens",),  # Perplexity
)
_COST = (
    ("cost",),  # OpenRouter, in US dollars
    ("cost", "total_cost"),  # Perplexity
)


def decode_usage(fields: Mapping[str, Any]) -> Usage:
    """The counts of a usage object; what is missing, null or no number is None."""
    total = _count(fields, ("total_tokens",))
    reasoning = _first(fields, _REASONING)
    prompt, output = _whole_counts(fields, total, reasoning)
    if total is not None and total < (prompt or 0) + (output or 0):
        total = None  # it does not count what is missing either
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        total_tokens=total,
        cache_read_tokens=_first(fields, _CACHE_READ),
        cache_write_tokens=_first(fields, _CACHE_WRITE),
        reasoning_tokens=reasoning,
        cost=next((v for path in _COST if (v := _number(fields, path)) is not None), None),
        dialect=NAME,
        fields=fields,
    )


def _whole_counts(
    fields: Mapping[str, Any], total: int | None, reasoning: int | None
) -> tuple[int | None, int | None]:
    """Prompt with audio, output with reasoning."""
    prompt = _count(fields, ("prompt_tokens",))
    output = _count(fields, ("completion_tokens",))
    if prompt is None or output is None:
        return prompt, output
    audio = _count(fields, ("prompt_tokens_details", "audio_tokens"))
    missing = (total or 0) - prompt - output
    if reasoning and (reasoning == missing or reasoning > output):
        output += reasoning
    elif audio and audio == missing:
        prompt += audio
    return prompt, output


def encode_usage(usage: Usage) -> Fields:
    """A usage object: the upstream's own where it spoke this dialect, else made from the counts.

    The three counts that clients rely on are always there in an object that is made here.
    """
    if usage.dialect == NAME and usage.fields:
        return dict(usage.fields)
    given, made = usage.input_tokens or 0, usage.output_tokens or 0
    fields: Fields = {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made if usage.total is None else usage.total,
    }
    prompt = {
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
    for name, details in (
        ("prompt_tokens_details", prompt),
        ("completion_tokens_details", {"reasoning_tokens": usage.reasoning_tokens}),
    ):
        known = {key: count for key, count in details.items() if count is not None}
        if known:
            fields[name] = known
    if usage.cost is not None:
        fields["cost"] = usage.cost
    return fields


def _first(fields: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> int | None:
    return next((count for path in paths if (count := _count(fields, path)) is not None), None)


def _count(fields: Mapping[str, Any], path: tuple[str, ...]) -> int | None:
    value = _number(fields, path)
    return None if value is None else int(value)


def _number(fields: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = fields
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value < 1 << 63 else None
