"""Token counts: the usage object of a response to canonical usage and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical.usage import Usage
from lipstream.protocols.openai_responses.wire import NAME, Fields


def decode_usage(fields: Mapping[str, Any]) -> Usage:
    """The counts of a usage object; what is missing, null or no number is None."""
    return Usage(
        input_tokens=_count(fields, "input_tokens"),
        output_tokens=_count(fields, "output_tokens"),
        total_tokens=_count(fields, "total_tokens"),
        cache_read_tokens=_count(fields, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=_count(fields, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=_count(fields, "output_tokens_details", "reasoning_tokens"),
        cost=_number(fields, "cost"),
        dialect=NAME,
        fields=fields,
    )


def encode_usage(usage: Usage) -> Fields:
    """A usage object: the upstream's own where it spoke this dialect, else made from the counts.

    OpenAI's clients count on the details, which are therefore 0 where they are not known.
    """
    if usage.dialect == NAME and usage.fields:
        return dict(usage.fields)
    given, made = usage.input_tokens or 0, usage.output_tokens or 0
    prompt = {
        "cached_tokens": usage.cache_read_tokens or 0,
        "cache_write_tokens": usage.cache_write_tokens or 0,
    }
    fields: Fields = {
        "input_tokens": given,
        "input_tokens_details": prompt,
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": given + made if usage.total is None else usage.total,
    }
    if usage.cost is not None:
        fields["cost"] = usage.cost
    return fields


def _count(fields: Mapping[str, Any], *path: str) -> int | None:
    value = _number(fields, *path)
    return None if value is None else int(value)


def _number(fields: Mapping[str, Any], *path: str) -> float | None:
    value: Any = fields
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value < 1 << 63 else None
