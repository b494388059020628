"""Token counts: Bedrock's usage object to canonical usage.

Bedrock's ``inputTokens`` leaves out what was read from the cache and what was written to it;
canonical input includes both, and so does Bedrock's own total.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical.usage import Usage
from lipstream.protocols.bedrock_converse.wire import NAME


def decode_usage(fields: Mapping[str, Any]) -> Usage:
    """The counts of a usage object; what is missing, null or no number is None."""
    read = _first(fields, "cacheReadInputTokens", "cacheReadInputTokenCount")
    write = _first(fields, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    plain = _first(fields, "inputTokens")
    return Usage(
        input_tokens=None if plain is None else plain + (read or 0) + (write or 0),
        output_tokens=_first(fields, "outputTokens"),
        total_tokens=_first(fields, "totalTokens"),
        cache_read_tokens=read,
        cache_write_tokens=write,
        dialect=NAME,
        fields=fields,
    )


def _first(fields: Mapping[str, Any], *names: str) -> int | None:
    return next((count for name in names if (count := _count(fields.get(name))) is not None), None)


def _count(value: Any) -> int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < 1 << 63 else None
