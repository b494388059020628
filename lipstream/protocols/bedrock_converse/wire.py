"""What Bedrock's Converse looks like on the wire: names, words, and the hot events of a stream.

A stream is binary (``framing.eventstream``): each message names its event in a header and has the
event's fields as JSON. An answer is a list of *blocks*, which are started, filled and stopped one
after the other; text and reasoning go without a start. The field ``p`` is padding against the
guessing of tokens by size.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from lipstream.canonical.events import FinishReason

NAME = "bedrock_converse"

STOP_REASONS: dict[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "stop_sequence": FinishReason.STOP,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "malformed_model_output": FinishReason.ERROR,
    "malformed_tool_use": FinishReason.ERROR,
    "model_context_window_exceeded": FinishReason.LENGTH,
    # Claude's own words, should they come through
    "refusal": FinishReason.REFUSAL,
    "pause_turn": FinishReason.PAUSE,
}

REDACTED = {"type": "redactedContent"}
"""What stands beside the seal of reasoning that has no text to show."""

SERVER_TOOL = "server_tool_use"  # the type of a call that Bedrock itself has already answered

Fields = dict[str, Any]


class ToolUse(msgspec.Struct, gc=False):
    """A piece of a call's arguments."""

    input: str = ""


class ReasoningContent(msgspec.Struct, gc=False):
    """A piece of reasoning, or of what proves it."""

    text: str | None = None
    signature: str | None = None
    redacted: str | None = msgspec.field(default=None, name="redactedContent")


class Delta(msgspec.Struct, gc=False):
    """What a ``contentBlockDelta`` adds, for the kinds that are worth a struct."""

    text: str | None = None
    call: ToolUse | None = msgspec.field(default=None, name="toolUse")
    reasoning: ReasoningContent | None = msgspec.field(default=None, name="reasoningContent")


class DeltaEvent(msgspec.Struct, gc=False):
    """A ``contentBlockDelta``."""

    index: int = msgspec.field(default=0, name="contentBlockIndex")
    delta: Delta | None = None


decode_delta = msgspec.json.Decoder(DeltaEvent).decode


def random_id() -> str:
    """The random part of an id that the upstream did not give: 24 hexadecimal digits."""
    return secrets.token_hex(12)
