"""Token counts: ``usageMetadata`` to canonical usage and back.

``promptTokenCount`` includes cached tokens but neither what tools of the provider put into the
prompt nor, of course, thoughts; ``candidatesTokenCount`` does not include thoughts. The total is
the sum of all four. Every chunk of a stream repeats the counts so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical.usage import Usage
from lipstream.protocols.gemini.wire import NAME, Fields


def decode_usage(fields: Mapping[str, Any]) -> Usage:
    """The counts; what is missing, null or no number is None."""
    prompt, total = _count(fields, "promptTokenCount"), _count(fields, "totalTokenCount")
    thoughts = _count(fields, "thoughtsTokenCount")
    given = _sum(prompt, _count(fields, "toolUsePromptTokenCount"))
    made = _sum(_count(fields, "candidatesTokenCount"), thoughts)
    if made is None and given and total is not None and total > given:
        made = total - given
    return Usage(
        input_tokens=given,
        output_tokens=made,
        total_tokens=total,
        cache_read_tokens=_count(fields, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        dialect=NAME,
        fields=fields,
    )


def encode_usage(usage: Usage) -> Fields:
    """The upstream's own object where it spoke this dialect, else made from the counts."""
    if usage.dialect == NAME and usage.fields:
        return dict(usage.fields)
    made = usage.output_tokens
    if made is not None and usage.reasoning_tokens is not None:
        made = max(made - usage.reasoning_tokens, 0)
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": made,
        "totalTokenCount": usage.total,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _sum(first: int | None, second: int | None) -> int | None:
    return second if first is None else first + (second or 0)


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None or (type(value) is int and 0 <= value < 1 << 63):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)  # 64-bit numbers may come as text
    return None
