"""The fold: a whole answer out of an event stream, for clients that do not stream.

Work per event is O(1): pieces are kept in lists and joined once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind, UpstreamFault

Fields = dict[str, object]


@attrs.frozen
class Choice:
    """One finished message.

    Attributes:
        parts: Text, reasoning, refusal, tool calls and media in the order in which they came.
        logprobs: OpenAI's token entries of the text and of the refusal, or None where none came.
        extra: Fields of the choice that only the dialect knows.
        pieces: Fields of its deltas that only the dialect knows, every value in turn: how they are
            joined is its business.
    """

    index: int
    parts: tuple[Part, ...]
    reason: e.FinishReason
    detail: str = ""
    logprobs: tuple[Mapping[str, object], ...] | None = None
    refusal_logprobs: tuple[Mapping[str, object], ...] | None = None
    extra: Fields = attrs.field(factory=dict)
    pieces: Mapping[str, list[object]] = attrs.field(factory=dict)


@attrs.frozen
class Answer:
    """A whole answer.

    Attributes:
        dialect: The protocol that the ``extra`` fields here and in the choices belong to; empty
            when there are none.
    """

    id: str
    model: str
    created: int
    choices: tuple[Choice, ...]
    usage: Usage | None
    dialect: str = ""
    extra: Fields = attrs.field(factory=dict)


class Collector:
    """Folds batches into an :class:`Answer`."""

    def __init__(self, limits: StreamLimits = STREAM_LIMITS) -> None:
        self._limits = limits
        self._start = e.Started()
        self._choices: dict[int, _Building] = {}
        self._usage: Usage | None = None
        self._extra: Fields = {}
        self._dialect = ""
        self._size = 0

    def add(self, batch: Iterable[e.Event]) -> None:
        """Takes one batch.

        Raises:
            UpstreamFault: PROTOCOL, when the answer is over its limits.
        """
        for event in batch:
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)

    def answer(self) -> Answer:
        """What has been folded so far; a choice that was not finished counts as stopped."""
        choices = tuple(self._choices[index].choice(index) for index in sorted(self._choices))
        start = self._start
        return Answer(
            start.id, start.model, start.created, choices, self._usage, self._dialect, self._extra
        )

    def _choice(self, index: int) -> _Building:
        if index not in self._choices:
            self._choices[index] = _Building()
        return self._choices[index]

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limits.answer_bytes:
            limit = self._limits.answer_bytes
            raise UpstreamFault(FaultKind.PROTOCOL, f"the answer is longer than {limit} bytes")

    def _on_started(self, event: e.Started) -> None:
        self._start = event

    def _on_message(self, event: e.MessageStarted) -> None:
        self._choice(event.choice)

    def _on_text(self, event: e.TextDelta | e.ReasoningDelta | e.RefusalDelta) -> None:
        self._grow(len(event.text))
        self._choice(event.choice).text(event, self._limits.answer_parts)

    def _on_tool_start(self, event: e.ToolCallStarted) -> None:
        self._grow(len(event.id) + len(event.name))
        self._choice(event.choice).calls[event.index] = call = _Call(event)
        self._choice(event.choice).append(call, self._limits.answer_parts)

    def _on_tool_delta(self, event: e.ToolCallDelta) -> None:
        self._grow(len(event.arguments))
        self._choice(event.choice).calls[event.index].arguments.append(event.arguments)

    def _on_tool_finish(self, event: e.ToolCallFinished) -> None:
        self._choice(event.choice).calls[event.index].seal = event.seal

    def _on_part_finish(self, event: e.PartFinished) -> None:
        self._choice(event.choice).finish_part(event, self._limits.answer_parts)

    def _on_media(self, event: e.Media) -> None:
        self._grow(len(event.url) + len(event.transcript))
        self._choice(event.choice).media(event, self._limits.answer_parts)

    def _on_usage(self, event: e.UsageReported) -> None:
        self._usage = event.usage if self._usage is None else self._usage.merge(event.usage)

    def _on_finish(self, event: e.MessageFinished) -> None:
        choice = self._choice(event.choice)
        choice.reason, choice.detail = event.reason, event.detail

    def _on_extra(self, event: e.Extra) -> None:
        self._grow(len(repr(event.fields)))
        self._dialect = event.dialect
        if event.scope == "response":
            self._extra.update(event.fields)
            return
        choice = self._choice(event.choice)
        if event.scope == "choice":
            choice.extra.update(event.fields)
        elif event.scope == "whole_part":
            choice.append(_Whole(event), self._limits.answer_parts)
        elif event.scope == "part":
            if choice.parts:
                choice.parts[-1].extra.update(event.fields)
        else:
            for name, value in event.fields.items():
                choice.pieces.setdefault(name, []).append(value)


class _Joined:
    """Text of one kind in a row.

    Attributes:
        is_over: More text of the kind is another part.
    """

    def __init__(self, kind: type[e.Event]) -> None:
        self.kind = kind
        self.pieces: list[str] = []
        self.extra: Fields = {}
        self.seal: Seal | None = None
        self.is_over = False

    def part(self) -> Part:
        text = "".join(self.pieces)
        if self.kind is e.RefusalDelta:
            return Refusal(text, extra=self.extra)
        kind = Text if self.kind is e.TextDelta else Reasoning
        return kind(text, seal=self.seal, extra=self.extra)


class _Call:
    def __init__(self, start: e.ToolCallStarted) -> None:
        self.start = start
        self.arguments: list[str] = []
        self.extra: Fields = {}
        self.seal: Seal | None = None

    def part(self) -> Part:
        start, text = self.start, "".join(self.arguments)
        return ToolCall(start.id, start.name, text, start.type, seal=self.seal, extra=self.extra)


class _Media:
    def __init__(self, first: e.Media) -> None:
        self.first = first
        self.data = [first.url]
        self.transcript = [first.transcript]
        self.extra: Fields = {}

    def add(self, event: e.Media) -> None:
        self.data.append(event.url)
        self.transcript.append(event.transcript)
        if event.id and not self.first.id:
            self.first = self.first.changed(id=event.id)

    def part(self) -> Part:
        media = self.first
        if media.kind == "image":
            return Image(media.url, extra=self.extra)
        if media.kind == "file":
            return File(url=media.url, name=media.name, extra=self.extra)
        extra = {"id": media.id, "transcript": "".join(self.transcript)}
        return Audio("".join(self.data), media.mime, extra=extra | self.extra)


class _Whole:
    def __init__(self, event: e.Extra) -> None:
        self.dialect = event.dialect
        self.extra = dict(event.fields)

    def part(self) -> Part:
        return Opaque(self.dialect, self.extra)


_Growing = _Joined | _Call | _Media | _Whole

_JOINED: dict[str, type[e.Event]] = {"text": e.TextDelta, "reasoning": e.ReasoningDelta}


class _Building:
    """One choice while it is being put together."""

    def __init__(self) -> None:
        self.parts: list[_Growing] = []
        self.calls: dict[int, _Call] = {}
        self.reason = e.FinishReason.STOP
        self.detail = ""
        self.logprobs: dict[type[e.Event], list[Mapping[str, object]]] = {}
        self.extra: Fields = {}
        self.pieces: dict[str, list[object]] = {}

    def append(self, part: _Growing, limit: int) -> None:
        if len(self.parts) >= limit:
            raise UpstreamFault(FaultKind.PROTOCOL, f"the answer has more than {limit} parts")
        self.parts.append(part)

    def text(self, event: e.TextDelta | e.ReasoningDelta | e.RefusalDelta, limit: int) -> None:
        kind = type(event)
        self._joined(kind, limit).pieces.append(event.text)
        if not isinstance(event, e.ReasoningDelta) and event.logprobs is not None:
            self.logprobs.setdefault(kind, []).extend(event.logprobs)

    def _joined(self, kind: type[e.Event], limit: int) -> _Joined:
        """The part under way, if it is of this kind, else a new one."""
        last = self.parts[-1] if self.parts else None
        if isinstance(last, _Joined) and last.kind is kind and not last.is_over:
            return last
        joined = _Joined(kind)
        self.append(joined, limit)
        return joined

    def finish_part(self, event: e.PartFinished, limit: int) -> None:
        kind = _JOINED[event.kind]
        last = self.parts[-1] if self.parts else None
        is_open = isinstance(last, _Joined) and last.kind is kind and not last.is_over
        if is_open or event.seal is not None:
            joined = self._joined(kind, limit)
            joined.seal, joined.is_over = event.seal, True

    def media(self, event: e.Media, limit: int) -> None:
        last = self.parts[-1] if self.parts else None
        if event.kind == "audio" and isinstance(last, _Media) and last.first.kind == "audio":
            last.add(event)
        else:
            self.append(_Media(event), limit)

    def choice(self, index: int) -> Choice:
        text, refusal = self.logprobs.get(e.TextDelta), self.logprobs.get(e.RefusalDelta)
        return Choice(
            index,
            tuple(part.part() for part in self.parts),
            self.reason,
            self.detail,
            None if text is None else tuple(text),
            None if refusal is None else tuple(refusal),
            self.extra,
            self.pieces,
        )


_HANDLERS: dict[type[e.Event], Callable[..., None]] = {
    e.Started: Collector._on_started,
    e.MessageStarted: Collector._on_message,
    e.TextDelta: Collector._on_text,
    e.ReasoningDelta: Collector._on_text,
    e.RefusalDelta: Collector._on_text,
    e.ToolCallStarted: Collector._on_tool_start,
    e.ToolCallDelta: Collector._on_tool_delta,
    e.ToolCallFinished: Collector._on_tool_finish,
    e.PartFinished: Collector._on_part_finish,
    e.Media: Collector._on_media,
    e.UsageReported: Collector._on_usage,
    e.MessageFinished: Collector._on_finish,
    e.Extra: Collector._on_extra,
}
