"""What OpenAI chat completions look like on the wire: names, words, and the chunks of a stream.

The structs name every field that is used or that many servers send. Their strict twins refuse all
others, so that an unknown field shows itself at no cost; :mod:`.loose` reads what they refuse. A
field that only chat clients understand keeps its value untouched; UNSET says that it was not there.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from msgspec import UNSET

from lipstream.canonical.events import FinishReason

NAME = "openai_chat"
CHUNK = "chat.completion.chunk"
COMPLETION = "chat.completion"
DONE = b"[DONE]"

FINISH_REASONS: dict[str, FinishReason] = {
    # OpenAI's own four; the last of the five is of the legacy interface
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "function_call": FinishReason.TOOL_CALLS,
    # other servers' words
    "model_length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "end_turn": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "safety": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "recitation": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
}
OWN_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})
FAILURES = frozenset(
    # words that say that the answer broke off, not that it ended
    {"error", "abort", "network_error", "insufficient_system_resource"}
)
REASON_WORDS: dict[FinishReason, str] = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
    FinishReason.PAUSE: "stop",
    FinishReason.ERROR: "error",  # as OpenRouter says it; OpenAI has no word for it
}

WHOLE_CALLS = frozenset({FinishReason.STOP, FinishReason.TOOL_CALLS})  # none of them was cut short

FUNCTIONS = "functions"  # the legacy tools; also what marks a tool that came from there
FUNCTION_CALL = "function_call"  # the same for calls and for the choice of a tool

PADDING = frozenset({"obfuscation", "p"})  # noise against the guessing of tokens by size

Fields = dict[str, Any]


class Function(msgspec.Struct, gc=False):
    """A piece of a function call."""

    name: str | None = None
    arguments: str | None = None


class Custom(msgspec.Struct, gc=False):
    """A piece of a call of a free-text tool."""

    name: str | None = None
    input: str | None = None


class ToolCallPiece(msgspec.Struct, gc=False):
    """An entry of ``tool_calls``."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    other: Fields | None = msgspec.field(default=None, name="(other)")


class Logprobs(msgspec.Struct, gc=False):
    """Token entries of one delta."""

    content: list[Fields] | None = None
    refusal: list[Fields] | None = None


class Delta(msgspec.Struct, gc=False):
    """What one chunk adds to a message; also a whole message."""

    role: str | None = None
    content: str | list[Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallPiece] | None = None
    function_call: Function | None = None
    audio: Fields | None = None
    images: list[Fields] | None = None
    reasoning_details: list[Any] | msgspec.UnsetType | None = UNSET
    channel: Any = UNSET
    name: Any = UNSET
    other: Fields | None = msgspec.field(default=None, name="(other)")

    def carried(self) -> Fields:
        """The fields without a canonical place; nulls say nothing and are left out."""
        if self.reasoning_details is self.channel is self.name is UNSET and not self.other:
            return _NOTHING
        fields = _carried(
            ("reasoning_details", "channel", "name"),
            (self.reasoning_details, self.channel, self.name, self.other),
        )
        return {name: value for name, value in fields.items() if value is not None}


class Choice(msgspec.Struct, gc=False):
    """One choice of a chunk."""

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    native_finish_reason: Any = UNSET
    content_filter_results: Any = UNSET
    stop_reason: Any = UNSET
    token_ids: Any = UNSET
    other: Fields | None = msgspec.field(default=None, name="(other)")

    def marks(self) -> tuple[Any, ...]:
        """The carried fields, to be compared with those of the chunk before."""
        return (
            self.native_finish_reason,
            self.content_filter_results,
            self.stop_reason,
            self.token_ids,
            self.other,
        )

    def carried(self) -> Fields:
        """The fields without a canonical place."""
        return _carried(_CHOICE_FIELDS, self.marks())


class Chunk(msgspec.Struct, gc=False):
    """One event of a stream."""

    id: str = ""
    object: str = ""
    created: int | None = None
    model: str = ""
    choices: list[Choice] = []
    usage: Fields | None = None
    system_fingerprint: Any = UNSET
    service_tier: Any = UNSET
    provider: Any = UNSET
    obfuscation: Any = UNSET
    p: Any = UNSET
    error: Any = None
    other: Fields | None = msgspec.field(default=None, name="(other)")

    def marks(self) -> tuple[Any, ...]:
        """The carried fields, to be compared with those of the chunk before."""
        return (self.system_fingerprint, self.service_tier, self.provider, self.other)

    def carried(self) -> Fields:
        """The fields without a canonical place."""
        return _carried(_CHUNK_FIELDS, self.marks())


_CHOICE_FIELDS = ("native_finish_reason", "content_filter_results", "stop_reason", "token_ids")
_CHUNK_FIELDS = ("system_fingerprint", "service_tier", "provider")


_NOTHING: Fields = {}


def _carried(names: tuple[str, ...], marks: tuple[Any, ...]) -> Fields:
    """``marks`` are the values of ``names`` and, at the end, the unknown fields."""
    fields = {name: value for name, value in zip(names, marks, strict=False) if value is not UNSET}
    fields.update(marks[-1] or {})
    return fields


class _StrictFunction(Function, forbid_unknown_fields=True, gc=False):
    pass


class _StrictCustom(Custom, forbid_unknown_fields=True, gc=False):
    pass


class _StrictPiece(ToolCallPiece, forbid_unknown_fields=True, gc=False):
    function: _StrictFunction | None = None
    custom: _StrictCustom | None = None


class _StrictLogprobs(Logprobs, forbid_unknown_fields=True, gc=False):
    pass


class _StrictDelta(Delta, forbid_unknown_fields=True, gc=False):
    tool_calls: list[_StrictPiece] | None = None  # type: ignore[assignment]
    function_call: _StrictFunction | None = None


class _StrictChoice(Choice, forbid_unknown_fields=True, gc=False):
    delta: _StrictDelta | None = None
    logprobs: _StrictLogprobs | None = None


class _StrictChunk(Chunk, forbid_unknown_fields=True, gc=False):
    choices: list[_StrictChoice] = []  # type: ignore[assignment]


decode_strictly = msgspec.json.Decoder(_StrictChunk).decode
decode_typed = msgspec.json.Decoder(Chunk).decode


def random_id() -> str:
    """The random part of an id that the upstream did not give: 24 hexadecimal digits."""
    return secrets.token_hex(12)
