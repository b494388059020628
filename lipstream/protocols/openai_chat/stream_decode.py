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
from lipstream.framing.repeats import Repeats
from lipstream.framing.sse import BOM, SseSplitter
from lipstream.protocols.openai_chat.chunks import ChunkReader
from lipstream.protocols.openai_chat.loose import NotAChunk, read_loosely
from lipstream.protocols.openai_chat.wire import (
    COMPLETION,
    DONE,
    MAX_DEPTH,
    NAME,
    SHALLOW,
    Chunk,
    decode_strictly,
    random_id,
)

MAX_BAD_IN_A_ROW = 3
MAX_MISSES = 8  # an upstream whose chunks all have unknown fields is no longer asked strictly

_IDLE_EVENTS = frozenset({b"ping", b"keepalive", b"heartbeat"})
_FIELD_STARTS = b":deir"  # a line of an event stream is a comment, data, event, id or retry
_BLANKS = b" \t\r\n" + BOM  # before the first line


class ChatStreamDecoder:
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
        self._limit = limits.sse_event
        self._splitter = SseSplitter(limits.sse_event)
        self._reader = ChunkReader(new_id, sealer)
        self._new_id = new_id
        self._sealer = sealer
        self._is_over = False
        self._is_sse: bool | None = None  # unknown before the first byte that is not blank
        self._body = bytearray()  # what came instead of an event stream
        self._bad = 0
        self._bad_in_a_row = 0
        self._misses = 0  # of the strict look, in a row
        self._repeats = Repeats()
        self._again: Callable[[str, e.Source], e.Event] = _text_of(0)

    @property
    def dropped_events(self) -> int:
        """Events that could not be read, and content that came after the end of its message."""
        return self._bad + self._reader.late

    def feed(self, data: bytes) -> e.Batch:
        """Takes what one network read delivered."""
        batch: e.Batch = []
        if self._is_over:
            return batch
        try:
            data = data if self._is_sse is not None else self._begin(data)
            if self._is_sse:
                read_again = self._repeats.text
                for name, payload in self._splitter.feed(data):
                    text = None if name else read_again(payload)
                    if text is None:
                        self._read(name, payload, batch)
                    else:
                        batch.append(self._again(text, e.Source(NAME, payload, 1)))
            else:
                self._keep(data)
        except UpstreamFault as fault:
            self._fail(fault, batch)
        return batch

    def end(self) -> e.Batch:
        """The body is over."""
        batch: e.Batch = []
        if self._is_over:
            return batch
        if self._is_sse is False:
            self._is_over = True
            return decode_answer(bytes(self._body), self._new_id, self._sealer)
        frame = self._splitter.end()
        if frame is not None:
            self._read(*frame, batch)
        self._close(batch)
        return batch

    def _close(self, batch: e.Batch) -> None:
        if self._is_over:
            return
        if self._reader.is_complete:
            self._finish(batch)
        else:
            message = "the stream ended before the answer did"
            self._fail(UpstreamFault(FaultKind.TRUNCATED, message), batch)

    # -------------------------------------------------------- what kind of body it is

    def _begin(self, data: bytes) -> bytes:
        """Takes what is blank away and looks at the first byte after it."""
        data = data.lstrip(_BLANKS)
        if data:
            self._is_sse = data[0] in _FIELD_STARTS
        if data and not self._is_sse and data[0] not in b"{[":
            raise UpstreamFault(FaultKind.PROTOCOL, "the answer is no event stream and no JSON")
        return data

    def _keep(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._limit:
            message = f"the answer is longer than {self._limit} bytes"
            raise UpstreamFault(FaultKind.PROTOCOL, message)

    # -------------------------------------------------------- frames

    def _read(self, name: bytes, data: bytes, batch: e.Batch) -> None:
        self._repeats.forget()
        if self._is_over:
            return
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
        if len(batch) == first + 1 and self._repeats.may_learn:
            self._learn(batch[first], data)
        if self._reader.fault is not None:
            self._fail(self._reader.fault, batch)

    def _learn(self, event: e.Event, data: bytes) -> None:
        """Takes a chunk that said one thing alone, for the next ones that say the same."""
        if event.source is None or event.source.count != 1 or self._reader.has_halves:
            return
        if isinstance(event, e.TextDelta) and event.logprobs is None:
            if self._repeats.learn(data, b"content", event.text):
                self._again = _text_of(event.choice)
        elif isinstance(event, e.ToolCallDelta):
            if self._repeats.learn(data, b"arguments", event.arguments):
                self._again = _arguments_of(event.index, event.choice)

    def _chunk(self, data: bytes) -> tuple[Chunk, bool]:
        is_shallow = len(data) <= SHALLOW or data.count(b"{") + data.count(b"[") <= MAX_DEPTH
        if is_shallow and self._misses < MAX_MISSES:
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
        return name == b"error" or name in _IDLE_EVENTS

    def _read_other(self, data: bytes, batch: e.Batch) -> None:
        """Data that is no chunk: nothing, an end marker with blanks around it, or bad."""
        text = data.strip()
        if text == DONE:
            self._finish(batch)
        elif text:
            self._bad += 1
            self._bad_in_a_row += 1
            if self._bad_in_a_row == MAX_BAD_IN_A_ROW:
                message = f"{MAX_BAD_IN_A_ROW} events in a row could not be read"
                self._fail(UpstreamFault(FaultKind.PROTOCOL, message), batch)

    def _finish(self, batch: e.Batch) -> None:
        self._is_over = True
        self._reader.finish(batch)

    def _fail(self, fault: UpstreamFault, batch: e.Batch) -> None:
        if not self._is_over:
            self._is_over = True
            batch.append(e.StreamFailed(fault))


def _text_of(choice: int) -> Callable[[str, e.Source], e.Event]:
    return lambda text, source: e.TextDelta(text, choice, source=source)


def _arguments_of(index: int, choice: int) -> Callable[[str, e.Source], e.Event]:
    return lambda text, source: e.ToolCallDelta(index, text, choice, source=source)


def decode_answer(
    body: bytes, new_id: Callable[[], str] = random_id, sealer: Sealer = UNKNOWN_ORIGIN
) -> e.Batch:
    """The events of a whole completion; anything else is a failure."""
    batch: e.Batch = []
    reader = ChunkReader(new_id, sealer)
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
