"""Sizes that bound one call and one stream, in bytes or counts.

They protect the proxy, not the provider: each is far above what a sane client sends. What is over a
limit is refused with a message that names the limit; nothing is cut short in silence.
"""

from __future__ import annotations

import attrs

KIB = 1024
MIB = 1024 * 1024


@attrs.frozen(kw_only=True)
class CallLimits:
    """Limits of one request."""

    body: int = 32 * MIB
    json_depth: int = 128
    messages: int = 4096
    parts_per_message: int = 2048
    tools: int = 2048
    selector: int = 64 * KIB


@attrs.frozen(kw_only=True)
class StreamLimits:
    """Limits of one upstream stream and of what is folded from it."""

    sse_event: int = 16 * MIB
    error_body: int = 64 * KIB
    held_events: int = 16_384
    held_bytes: int = 1 * MIB
    answer_bytes: int = 64 * MIB
    answer_parts: int = 4096


CALL_LIMITS = CallLimits()
STREAM_LIMITS = StreamLimits()
