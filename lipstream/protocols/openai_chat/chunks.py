"""Chunks to events: the one reading of a chat stream, and of a whole completion.

What a chunk says in the way OpenAI says it keeps its source, so that it can be passed on as it is;
where something had to be put right, the source's count stays 0 and the bytes are never used again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from lipstream.canonical import events as e
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import UpstreamFault
from lipstream.framing.faults import fault_in_stream
from lipstream.framing.surrogates import Halves
from lipstream.protocols.openai_chat.calls import CallTracker
from lipstream.protocols.openai_chat.content import flatten_content
from lipstream.protocols.openai_chat.seals import ReasoningEnd
from lipstream.protocols.openai_chat.usage import decode_usage
from lipstream.protocols.openai_chat.wire import (
    CHUNK,
    FAILURES,
    FINISH_REASONS,
    NAME,
    OWN_REASONS,
    Choice,
    Chunk,
    Delta,
    Fields,
    Logprobs,
    ToolCallPiece,
)


class _Message:
    """One choice so far."""

    __slots__ = ("calls", "fields", "is_over", "marks", "reasoning")

    def __init__(self, calls: CallTracker) -> None:
        self.calls = calls
        self.reasoning = ReasoningEnd()
        self.is_over = False
        self.marks: tuple[Any, ...] = ()
        self.fields: Fields = {}


class ChunkReader:
    """Turns the chunks of one answer into events.

    Attributes:
        late: Pieces of content that came after the end of their message and were left out.
        fault: What the upstream reported instead of going on; nothing may be read after it.
    """

    def __init__(self, new_id: Callable[[], str], sealer: Sealer = UNKNOWN_ORIGIN) -> None:
        self._new_id = new_id
        self._sealer = sealer
        self._ids: set[str] = set()
        self._halves = Halves()
        self._messages: dict[int, _Message] = {}
        self._has_started = False
        self._marks: tuple[Any, ...] = ()
        self._fields: Fields = {}
        self._held: list[e.Extra] = []
        self._batch: e.Batch = []
        self._source: e.Source | None = None
        self._size = 0  # of the chunk under way
        self._is_exact = True
        self.late = 0
        self.fault: UpstreamFault | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a message has begun and all that have are finished."""
        messages = self._messages.values()
        return bool(messages) and all(message.is_over for message in messages)

    @property
    def has_halves(self) -> bool:
        """Whether texts may begin or end in half a character."""
        return self._halves.is_on

    def read(self, chunk: Chunk, data: bytes, is_exact: bool, batch: e.Batch) -> None:
        """Adds the events of one chunk, which was read from ``data``."""
        self._source = source = e.Source(NAME, data)
        self._size = len(data)
        self._batch = batch
        first = len(batch)
        self._is_exact = is_exact and chunk.object == CHUNK and chunk.created is not None
        if not self._has_started and (chunk.id or chunk.model or chunk.choices):
            self._start(e.Started(chunk.id, chunk.model, chunk.created or 0, source=source))
        marks = chunk.marks()
        if marks != self._marks:
            self._marks = marks
            self._carry(chunk.carried())
        for choice in chunk.choices:
            self._read_choice(choice)
        if chunk.usage:
            self._read_usage(chunk.usage)
        if chunk.error and self.fault is None:
            self.fault = fault_in_stream(chunk.error)
        if self._is_exact and chunk.id and chunk.model:
            source.count = len(batch) - first

    def finish(self, batch: e.Batch) -> None:
        """The answer is complete: finishes what the upstream left open."""
        self._source, self._batch = None, batch
        if not self._has_started:
            self._start(e.Started())
        for index, message in self._messages.items():
            if not message.is_over:
                has_calls = message.calls.has_any
                reason = e.FinishReason.TOOL_CALLS if has_calls else e.FinishReason.STOP
                self._end(index, message, reason)
        batch.append(e.Finished())

    def expect_halves(self) -> None:
        """From here on texts may begin or end in half a character."""
        self._halves.is_on = True

    # -------------------------------------------------------- the answer

    def _start(self, started: e.Started) -> None:
        """Azure sends a chunk about the prompt first, without id, model or choices: it waits."""
        self._has_started = True
        self._is_exact = self._is_exact and not self._held
        self._batch.append(started)
        self._batch.extend(self._held)
        self._held.clear()

    def _carry(self, carried: Fields) -> None:
        fields = _changed(self._fields, carried)
        if fields and self._has_started:
            self._batch.append(e.Extra(NAME, "response", fields, source=self._source))
        elif fields:
            self._held.append(e.Extra(NAME, "response", fields))

    def _read_usage(self, fields: Fields) -> None:
        if not self._has_started:
            self._start(e.Started(source=self._source))
        self._batch.append(e.UsageReported(decode_usage(fields), source=self._source))

    # -------------------------------------------------------- one choice

    def _read_choice(self, choice: Choice) -> None:
        message = self._messages.get(choice.index)
        delta = choice.delta
        if delta is None:
            delta, self._is_exact = Delta(), False
        if message is None:
            message = self._open(choice.index, delta)
        marks = choice.marks()
        if marks != message.marks:
            message.marks = marks
            fields = _changed(message.fields, choice.carried())
            if fields:
                extra = e.Extra(NAME, "choice", fields, choice.index, source=self._source)
                self._batch.append(extra)
        if message.is_over:
            self._read_late(choice, delta)
            return
        self._read_delta(choice, delta, message)
        if choice.finish_reason:
            self._read_end(choice.finish_reason, choice, message)
        elif choice.other and choice.other.get("error"):
            self.fault = fault_in_stream(choice.other["error"])

    def _open(self, index: int, delta: Delta) -> _Message:
        self._is_exact = self._is_exact and delta.role == "assistant"
        calls = CallTracker(index, self._ids, self._new_id, self._halves, self._sealer)
        message = self._messages[index] = _Message(calls)
        self._batch.append(e.MessageStarted(index, source=self._source))
        return message

    def _read_late(self, choice: Choice, delta: Delta) -> None:
        """Many servers give the finish reason twice; content cannot be told any more."""
        if choice.finish_reason:
            self._is_exact = False
        if delta.content or delta.reasoning or delta.reasoning_content or delta.tool_calls:
            self.late += 1
            self._is_exact = False
        self._carry_delta(choice.index, delta)

    def _read_delta(self, choice: Choice, delta: Delta, message: _Message) -> None:
        index = choice.index
        content = delta.content
        if isinstance(content, list):
            content, self._is_exact = flatten_content(delta), False
        if delta.reasoning_content or delta.reasoning:
            self._read_reasoning(index, delta)
            message.reasoning.is_due = True
        if delta.reasoning_details is not UNSET:
            message.reasoning.add(delta.reasoning_details, self._size)
        if message.reasoning.is_due and _goes_on(content, choice.logprobs, delta):
            self._end_reasoning(index, message)
        if choice.logprobs is not None:
            self._read_with_logprobs(index, content, delta.refusal, choice.logprobs)
        else:
            if delta.refusal and (text := self._whole("refusal", index, delta.refusal)):
                self._batch.append(e.RefusalDelta(text, index, source=self._source))
            if content and (text := self._whole("content", index, content)):
                self._batch.append(e.TextDelta(text, index, source=self._source))
        if delta.images or delta.audio:
            self._read_media(index, delta)
        pieces = delta.tool_calls
        if delta.function_call is not None and not pieces:
            pieces = [ToolCallPiece(function=delta.function_call)]
        if pieces and not message.calls.read(pieces, self._source, self._batch):
            self._is_exact = False
        self._carry_delta(index, delta)

    def _read_reasoning(self, index: int, delta: Delta) -> None:
        """Some servers send both fields, with the same text."""
        first, second = delta.reasoning_content or "", delta.reasoning or ""
        text = self._whole("reasoning", index, first if first == second else first + second)
        if text:
            self._batch.append(e.ReasoningDelta(text, index, source=self._source))

    def _end_reasoning(self, index: int, message: _Message) -> None:
        if rest := self._halves.rest(("reasoning", index)):
            self._batch.append(e.ReasoningDelta(rest, index, source=self._source))
        seal = message.reasoning.seal(self._sealer)
        self._batch.append(e.PartFinished("reasoning", seal, index, source=self._source))

    def _read_with_logprobs(
        self, index: int, content: str | None, refusal: str | None, logprobs: Logprobs
    ) -> None:
        refusal = self._whole("refusal", index, refusal or "")
        entries = tuple(logprobs.refusal) if logprobs.refusal else None
        if refusal or entries:
            self._batch.append(e.RefusalDelta(refusal, index, entries, source=self._source))
        text = self._whole("content", index, content or "")
        entries = tuple(logprobs.content) if logprobs.content else None
        if text or entries:
            self._batch.append(e.TextDelta(text, index, entries, source=self._source))

    def _whole(self, kind: str, index: int, text: str) -> str:
        return self._halves.whole((kind, index), text) if self._halves.is_on else text

    def _read_media(self, index: int, delta: Delta) -> None:
        for image in delta.images or ():
            media = e.Media("image", _url_of(image), choice=index, source=self._source)
            self._batch.append(media)
        if not delta.audio:
            return
        audio = dict(delta.audio)
        data, transcript, key = (_pop_text(audio, name) for name in ("data", "transcript", "id"))
        self._batch.append(
            e.Media("audio", data, transcript=transcript, id=key, choice=index, source=self._source)
        )
        if audio:
            fields = {"audio": audio}
            self._batch.append(e.Extra(NAME, "delta", fields, index, source=self._source))

    def _carry_delta(self, index: int, delta: Delta) -> None:
        fields = delta.carried()
        if fields:
            self._batch.append(e.Extra(NAME, "delta", fields, index, source=self._source))

    # -------------------------------------------------------- the end of a choice

    def _read_end(self, word: str, choice: Choice, message: _Message) -> None:
        if word in FAILURES:
            report = (choice.other or {}).get("error") or {"code": word}
            self.fault = fault_in_stream(report)
            return
        is_own = word in OWN_REASONS
        self._is_exact = self._is_exact and is_own
        reason = FINISH_REASONS.get(word, e.FinishReason.STOP)
        self._end(choice.index, message, reason, "" if is_own else word)

    def _end(self, index: int, message: _Message, reason: e.FinishReason, detail: str = "") -> None:
        if message.reasoning.is_due:
            self._end_reasoning(index, message)
        for kind, event in _TEXTS:
            if rest := self._halves.rest((kind, index)):
                self._batch.append(event(rest, index, source=self._source))
        message.calls.finish(self._source, self._batch)
        message.is_over = True
        self._batch.append(e.MessageFinished(reason, index, detail, source=self._source))


def _goes_on(content: str | None, logprobs: Logprobs | None, delta: Delta) -> bool:
    """Whether the message goes on with something that is no reasoning."""
    return bool(
        content
        or delta.tool_calls
        or delta.function_call
        or delta.refusal
        or delta.images
        or delta.audio
        or (logprobs is not None and (logprobs.content or logprobs.refusal))
    )


_TEXTS: tuple[tuple[str, type[e.RefusalDelta | e.TextDelta]], ...] = (
    ("refusal", e.RefusalDelta),
    ("content", e.TextDelta),
)


def _changed(before: Fields, now: Fields) -> Fields:
    """The fields whose values are new, which are then known."""
    fields = {k: v for k, v in now.items() if k not in before or before[k] != v}
    before.update(fields)
    return fields


def _pop_text(fields: Fields, name: str) -> str:
    value = fields.pop(name, None)
    return value if isinstance(value, str) else ""


def _url_of(image: Fields) -> str:
    """``{"image_url": {"url": ...}}``, or with the URL itself for the object."""
    value = image.get("image_url")
    url = value.get("url") if isinstance(value, dict) else value
    return url if isinstance(url, str) else ""
