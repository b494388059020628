"""Token counts: Anthropic's usage object to canonical usage and back.

Anthropic's ``input_tokens`` leaves out what was read from the cache and what was written to it;
canonical input includes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical.usage import Usage
from lipstream.protocols.anthropic_messages.wire import NAME, Fields

_READ, _WRITE = "cache_read_input_tokens", "cache_creation_input_tokens"


def decode_usage(fields: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Usage:
    """The counts of a usage object; what is missing, null or no number is None.

    ``before`` are the fields that the stream has reported so far: a later report leaves out what
    has not changed, and the input can only be added up from all of them.
    """
    known = {**(before or {}), **{k: v for k, v in fields.items() if v is not None}}
    read, write = _count(known, _READ), _count(known, _WRITE)
    plain = _count(known, "input_tokens")
    details = known.get("output_tokens_details")
    return Usage(
        input_tokens=None if plain is None else plain + (read or 0) + (write or 0),
        output_tokens=_count(known, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=write,
        reasoning_tokens=_count(details, "thinking_tokens")
        if isinstance(details, Mapping)
        else None,
        dialect=NAME,
        fields=fields,
    )


def encode_usage(usage: Usage | None) -> Fields:
    """A usage object: the upstream's own where it spoke this dialect, else made from the counts.

    Input and output are always there in an object that is made here: clients add them up.
    """
    if usage is None:
        usage = Usage()
    if usage.dialect == NAME and usage.fields:
        return {"input_tokens": 0, "output_tokens": 0, **usage.fields}
    read, write = usage.cache_read_tokens, usage.cache_write_tokens
    fields: Fields = {
        "input_tokens": max((usage.input_tokens or 0) - (read or 0) - (write or 0), 0),
        "output_tokens": usage.output_tokens or 0,
    }
    for name, count in ((_WRITE, write), (_READ, read)):
        if count is not None:
            fields[name] = count
    if usage.reasoning_tokens is not None:
        fields["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return fields


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    value: Any = fields.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < 1 << 63 else None
