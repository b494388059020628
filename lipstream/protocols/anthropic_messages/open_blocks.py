"""The blocks of an answer while they are open: one class for each thing that a block can be.

Each says what its start, its deltas and its stop mean as events. Every wire event has at least one
event of its own, so that it can be passed on in its place: an empty text where there is nothing to
say, and an ``Extra`` without fields in blocks that are carried whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.seal import Sealer
from lipstream.framing.sse import encode_json
from lipstream.framing.surrogates import mended
from lipstream.protocols.anthropic_messages.blocks import encode_input
from lipstream.protocols.anthropic_messages.media import media_url
from lipstream.protocols.anthropic_messages.wire import NAME, REDACTED, Fields


def carrier(source: e.Source | None) -> e.Extra:
    """What stands for a wire event that has no meaning here."""
    return e.Extra(NAME, "delta", {}, source=source)


class Block:
    """A block that is over with its start: redacted thinking, media.

    Attributes:
        kind: Which deltas it takes.
        is_ended_by_next: Whether the start of another block ends it.
    """

    __slots__ = ("_events",)
    kind = ""
    is_ended_by_next = True

    def __init__(self, events: e.Batch) -> None:
        self._events = events

    def start(self, source: e.Source | None) -> e.Batch:
        """The events of its start."""
        return self._events

    def delta(self, fields: Fields, source: e.Source | None) -> e.Batch:
        """The events of a delta of an unusual kind."""
        return [carrier(source)]

    def stop(self, source: e.Source | None) -> e.Batch:
        """The events of its stop."""
        return [carrier(source)]


class TextBlock(Block):
    """Visible text, with what it quotes."""

    __slots__ = ("_citations", "_fields", "_text")
    kind = "text"

    def __init__(self, fields: Fields) -> None:
        self._text = _pop_text(fields, "text")
        self._fields = fields
        self._citations: list[Any] = []

    def start(self, source: e.Source | None) -> e.Batch:
        return [e.TextDelta(self._text, source=source), *_part(self._fields, source)]

    def delta(self, fields: Fields, source: e.Source | None) -> e.Batch:
        if fields.get("type") == "citations_delta" and "citation" in fields:
            self._citations.append(fields["citation"])
        return [carrier(source)]

    def stop(self, source: e.Source | None) -> e.Batch:
        fields: Fields = {}
        if self._citations:
            given = self._fields.get("citations")
            fields["citations"] = [*(given if isinstance(given, list) else ()), *self._citations]
        return [*_part(fields, source), e.PartFinished("text", source=source)]


class ThinkingBlock(Block):
    """Reasoning. A server that does not sign it wants it back all the same: the seal is empty."""

    __slots__ = ("_fields", "_sealer", "_text", "signature")
    kind = "thinking"

    def __init__(self, fields: Fields, sealer: Sealer) -> None:
        self._text = _pop_text(fields, "thinking")
        self.signature = _pop_text(fields, "signature")
        self._fields = fields
        self._sealer = sealer

    def start(self, source: e.Source | None) -> e.Batch:
        return [e.ReasoningDelta(self._text, source=source), *_part(self._fields, source)]

    def stop(self, source: e.Source | None) -> e.Batch:
        seal = self._sealer.seal(NAME, self.signature)
        return [e.PartFinished("reasoning", seal, source=source)]


class ToolBlock(Block):
    """A call of one of the client's tools.

    Its input comes in deltas; some servers give it whole at the start, which counts if nothing else
    comes. Other calls may go on beside it.
    """

    __slots__ = ("_fields", "_input", "_name", "has_arguments", "id", "index")
    kind = "tool_use"
    is_ended_by_next = False

    def __init__(self, fields: Fields, index: int, call_id: str) -> None:
        self.index = index
        self.id = call_id
        self.has_arguments = False
        self._name = _pop_text(fields, "name")
        self._input = fields.pop("input", None)
        self._fields = fields

    def start(self, source: e.Source | None) -> e.Batch:
        started = e.ToolCallStarted(self.index, self.id, self._name, source=source)
        return [started, *_part(self._fields, source)]

    def stop(self, source: e.Source | None) -> e.Batch:
        end = e.ToolCallFinished(self.index, source=source)
        if self.has_arguments or not self._input:
            return [end]
        text = self._input if isinstance(self._input, str) else encode_json(self._input).decode()
        return [e.ToolCallDelta(self.index, text, source=source), end]


class WholeBlock(Block):
    """A block of a kind that only this protocol knows, put together for who wants it whole."""

    __slots__ = ("_fields", "_pieces")
    kind = "whole"

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._pieces: dict[str, list[str]] = {}

    def start(self, source: e.Source | None) -> e.Batch:
        return [carrier(source)]

    def delta(self, fields: Fields, source: e.Source | None) -> e.Batch:
        for name, value in fields.items():
            if name == "citation":
                self._citations().append(value)
            elif name != "type" and isinstance(value, str):
                self._pieces.setdefault(name, []).append(value)
            elif name != "type" and value is not None:
                self._fields[name] = value
        return [carrier(source)]

    def stop(self, source: e.Source | None) -> e.Batch:
        fields = self._fields
        for name, pieces in self._pieces.items():
            text = "".join(pieces)
            if name == "partial_json":
                fields["input"] = encode_input(text) or fields.get("input", {})
            else:
                before = fields.get(name)
                fields[name] = before + text if isinstance(before, str) else text
        return [e.Extra(NAME, "whole_part", fields, source=source)]

    def _citations(self) -> list[Any]:
        given = self._fields.get("citations")
        if not isinstance(given, list):
            given = self._fields["citations"] = []
        return given


def open_plain(fields: Fields, sealer: Sealer, source: e.Source | None) -> Block:
    """A block of any kind but a call."""
    kind = fields.get("type")
    if kind in ("text", "thinking"):
        del fields["type"]
        return TextBlock(fields) if kind == "text" else ThinkingBlock(fields, sealer)
    if kind == "redacted_thinking" and isinstance(fields.get("data"), str):
        seal = sealer.seal(NAME, fields["data"], REDACTED)
        return Block([e.PartFinished("reasoning", seal, source=source)])
    if kind in ("image", "document") and (url := media_url(fields)):
        title = fields.get("title")
        name = title if isinstance(title, str) else ""
        form = "image" if kind == "image" else "file"
        return Block([e.Media(form, url, name=name, source=source)])
    return WholeBlock(fields)


def _part(fields: Mapping[str, Any], source: e.Source | None) -> e.Batch:
    return [e.Extra(NAME, "part", dict(fields), source=source)] if fields else []


def _pop_text(fields: Fields, name: str) -> str:
    value = fields.pop(name, None)
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else mended(value)
