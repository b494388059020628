"""A chat stream from an upstream to events: frames, ends and failures.

How a stream ends decides what it was. ``[DONE]``, with or without a finish reason, and a clean end
of the body after a finish reason are complete; a clean end before is a truncation; an error object
in a chunk or an ``event: error`` is a failure. One event that cannot be read is dropped and
counted; three in a row are not this protocol. Nothing comes after the terminal event.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import fault_in_stream
from lipstream.framing.loose_json import is_shallow
from lipstream.framing.repeats import Repeats
from lipstream.protocols.answer_decoder import IDLE_EVENTS, SseAnswerDecoder
from lipstream.protocols.openai_chat.chunks import ChunkReader
from lipstream.protocols.openai_chat.loose import NotAChunk, read_loosely
from lipstream.protocols.openai_chat.wire import (
    COMPLETION,
    DONE,
    NAME,
    Chunk,
    decode_strictly,
    random_id,
)

MAX_MISSES = 8  # an upstream whose chunks all have unknown fields is no longer asked strictly


class ChatStreamDecoder(SseAnswerDecoder[ChunkReader]):
    """The bytes of one stream to events; see ``interfaces.StreamDecoder``.

    Args:
        new_id: Makes up the random part of an id that the upstream does not give.
        sealer: Makes the seals of the stream.
    """

    def __init__(
        self,
        limits: StreamLimits = STREAM_LIMITS,
        new_id: Callable[[], str] = random_id,
        sealer: Sealer = UNKNOWN_ORIGIN,
    ) -> None:
        super().__init__(limits.sse_event, ChunkReader(new_id, sealer))
        self._misses = 0  # of the strict look, in a row
        self._repeats = Repeats()
        self._again: Callable[[str, e.Source], e.Event] = _text_of(0)

    def _read_body(self, body: bytes) -> e.Batch:
        return read_answer(body, self._reader)

    # -------------------------------------------------------- frames

    def _read_all(self, data: bytes, batch: e.Batch) -> None:
        read_again = self._repeats.text
        for name, payload in self._frames(data):
            text = None if name else read_again(payload)
            if text is not None:
                batch.append(self._again(text, e.Source(NAME, payload, 1)))
            elif not self._is_over:
                self._read(name, payload, batch)

    def _read(self, name: bytes, data: bytes, batch: e.Batch) -> None:
        self._repeats.forget()
        if data == DONE:
            self._finish(batch)
            return
        if name and self._is_told_by_name(name, data, batch):
            return
        try:
            chunk, is_exact = self._chunk(data)
        except NotAChunk:
            self._read_other(data, batch)
            return
        self._bad_in_a_row = 0
        first = len(batch)
        self._reader.read(chunk, data, is_exact, batch)
        if self._reader.fault is not None:
            self._fail(self._reader.fault, batch)
        elif len(batch) == first + 1 and self._repeats.may_learn:
            self._learn(batch[first], data)

    def _learn(self, event: e.Event, data: bytes) -> None:
        """Takes a chunk that said one thing alone, for the next ones that say the same."""
        if event.source is None or event.source.count != 1 or self._reader.has_halves:
            return
        learn = self._repeats.learn
        if isinstance(event, e.TextDelta):
            if event.logprobs is None and learn(data, b"content", event.text):
                self._again = _text_of(event.choice)
        elif isinstance(event, e.ToolCallDelta) and learn(data, b"arguments", event.arguments):
            self._again = _arguments_of(event.index, event.choice)

    def _chunk(self, data: bytes) -> tuple[Chunk, bool]:
        if self._misses < MAX_MISSES and is_shallow(data):
            try:
                chunk: Chunk = decode_strictly(data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._misses += 1
            else:
                self._misses = 0
                return chunk, True
        chunk, is_exact = read_loosely(data)
        if not is_exact:
            self._reader.expect_halves()
        return chunk, is_exact

    def _is_told_by_name(self, name: bytes, data: bytes, batch: e.Batch) -> bool:
        """Takes an event whose name says what it is."""
        if name == b"error":
            self._fail(fault_in_stream(_value(data)), batch)
        return name == b"error" or name in IDLE_EVENTS

    def _read_other(self, data: bytes, batch: e.Batch) -> None:
        """Data that is no chunk: nothing, an end marker with blanks around it, or bad."""
        text = data.strip()
        if text == DONE:
            self._finish(batch)
        elif text:
            self._drop(batch)


def _text_of(choice: int) -> Callable[[str, e.Source], e.Event]:
    return lambda text, source: e.TextDelta(text, choice, source=source)


def _arguments_of(index: int, choice: int) -> Callable[[str, e.Source], e.Event]:
    return lambda text, source: e.ToolCallDelta(index, text, choice, source=source)


def decode_answer(
    body: bytes, new_id: Callable[[], str] = random_id, sealer: Sealer = UNKNOWN_ORIGIN
) -> e.Batch:
    """The events of a whole completion; anything else is a failure."""
    return read_answer(body, ChunkReader(new_id, sealer))


def read_answer(body: bytes, reader: ChunkReader) -> e.Batch:
    """The same with a reader that has not read anything yet."""
    batch: e.Batch = []
    try:
        chunk, _ = read_loosely(body)
    except NotAChunk as error:
        fault = _fault_of(body) or UpstreamFault(FaultKind.PROTOCOL, f"the answer is {error}")
        return [e.StreamFailed(fault)]
    if not chunk.choices and not chunk.error and chunk.object != COMPLETION:
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, "the answer has no choices"))]
    reader.expect_halves()
    reader.read(chunk, b"", False, batch)
    if reader.fault is not None:
        batch.append(e.StreamFailed(reader.fault))
    else:
        reader.finish(batch)
    return batch


def _fault_of(body: bytes) -> UpstreamFault | None:
    """Gemini puts its error objects into lists."""
    value = _value(body)
    first = value[0] if isinstance(value, list) and value else None
    return fault_in_stream(first) if isinstance(first, dict) and first.get("error") else None


def _value(data: bytes) -> object:
    """The JSON value, or the text where it is none."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return data.decode(errors="replace")
