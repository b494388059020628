"""What Anthropic Messages look like on the wire: names, words, and the hot events of a stream.

An answer is a list of *blocks* (text, thinking, tool_use and many more). A stream tells each
block's start, its deltas and its stop, in order and one after the other. Four kinds of delta make
up nearly all of a stream; they are read into a struct. Everything else is rare and is read as plain
JSON.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from lipstream.canonical.events import FinishReason

NAME = "anthropic_messages"
VERSION = "2023-06-01"

STOP_REASONS: dict[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "stop_sequence": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "refusal": FinishReason.REFUSAL,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "compaction": FinishReason.PAUSE,
}
REASON_WORDS: dict[FinishReason, str] = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.REFUSAL: "refusal",
    FinishReason.PAUSE: "pause_turn",
    FinishReason.ERROR: "end_turn",  # there is no word for it
}

Fields = dict[str, Any]

REDACTED: Fields = {"type": "redacted_thinking"}
"""What stands beside the seal of reasoning that has no text to show."""


class Delta(msgspec.Struct, gc=False):
    """What a ``content_block_delta`` adds, for the kinds that are worth a struct."""

    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""


class Frame(msgspec.Struct, gc=False):
    """One event of a stream, as far as the hot ones go."""

    type: str = ""
    index: int = -1
    delta: Delta | None = None


class Placed(msgspec.Struct, gc=False):
    """Any event of a block."""

    index: int = -1


decode_frame = msgspec.json.Decoder(Frame).decode
decode_placed = msgspec.json.Decoder(Placed).decode


def random_id() -> str:
    """The random part of an id that the upstream did not give: 24 hexadecimal digits."""
    return secrets.token_hex(12)
