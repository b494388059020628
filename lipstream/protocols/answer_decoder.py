"""What the stream decoders of all protocols have in common: the life of one answer's bytes.

The first bytes tell whether an answer is the stream that was asked for or a whole JSON body. A
stream is cut into frames, which are read one by one until one of them, or the end of the body, ends
the answer; a body is kept until it is whole. One frame that cannot be read is dropped and counted;
three in a row are not the protocol. Nothing comes after the terminal event.

What a frame means is the business of each protocol, which knows of this module and of no other
protocol.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from lipstream.canonical import events as e
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.sse import BOM, Frame, SseSplitter

MAX_BAD_IN_A_ROW = 3
IDLE_EVENTS = frozenset({b"ping", b"keepalive", b"heartbeat"})
"""Names of events by which servers say that they live."""

_FIELD_STARTS = b":deir"  # a line of an event stream is a comment, data, event, id or retry
_BLANKS = b" \t\r\n" + BOM  # before the first line


class Reader(Protocol):
    """Makes events of frames that could be read.

    Attributes:
        late: How many pieces of content had no place, or came after the end of their message.
    """

    late: int

    @property
    def is_complete(self) -> bool:
        """Whether the body may end here."""

    def finish(self, batch: e.Batch) -> None:
        """The answer is over: what is missing, and the terminal event."""


Head = TypeVar("Head")
R = TypeVar("R", bound=Reader)


class AnswerDecoder(ABC, Generic[Head, R]):
    """The bytes of one answer to events; see ``interfaces.StreamDecoder``.

    Args:
        limit: How many bytes a whole body may have.
        frames: Cuts bytes into frames, as the splitters of ``framing`` do.
    """

    _frame_word = "events"

    def __init__(
        self, limit: int, frames: Callable[[bytes], Iterator[tuple[Head, bytes]]], reader: R
    ) -> None:
        self._limit = limit
        self._frames = frames
        self._reader = reader
        self._is_over = False
        self._is_stream: bool | None = None  # unknown before the first byte that tells
        self._body = bytearray()  # what came instead of a stream
        self._bad = 0
        self._bad_in_a_row = 0

    @property
    def dropped_events(self) -> int:
        """Frames that could not be read, and content that had no place."""
        return self._bad + self._reader.late

    def feed(self, data: bytes) -> e.Batch:
        """Takes what one network read delivered."""
        batch: e.Batch = []
        if self._is_over:
            return batch
        try:
            if self._is_stream is None:
                data = self._begin(data)
            if self._is_stream:
                self._read_all(data, batch)
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
        if self._is_stream is False:
            self._is_over = True
            return self._read_body(bytes(self._body))
        try:
            self._read_rest(batch)
        except UpstreamFault as fault:
            self._fail(fault, batch)
        if not self._is_over:
            self._close(batch)
        return batch

    # -------------------------------------------------------- what a protocol says

    @abstractmethod
    def _begin(self, data: bytes) -> bytes:
        """Looks at the first bytes; sets ``_is_stream`` once they tell; returns what counts."""

    @abstractmethod
    def _read(self, head: Head, data: bytes, batch: e.Batch) -> None:
        """Reads a frame, of an answer that is not over."""

    @abstractmethod
    def _read_body(self, body: bytes) -> e.Batch:
        """The events of a whole answer."""

    def _read_rest(self, batch: e.Batch) -> None:
        """Reads what the body left behind the last frame, if that may be one."""

    # -------------------------------------------------------- frames and bodies

    def _read_all(self, data: bytes, batch: e.Batch) -> None:
        for head, payload in self._frames(data):
            if not self._is_over:
                self._read(head, payload, batch)

    def _keep(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._limit:
            message = f"the answer is longer than {self._limit} bytes"
            raise UpstreamFault(FaultKind.PROTOCOL, message)

    def _drop(self, batch: e.Batch) -> None:
        """Counts a frame that could not be read."""
        self._bad += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row == MAX_BAD_IN_A_ROW:
            message = f"{MAX_BAD_IN_A_ROW} {self._frame_word} in a row could not be read"
            self._fail(UpstreamFault(FaultKind.PROTOCOL, message), batch)

    # -------------------------------------------------------- ends

    def _close(self, batch: e.Batch) -> None:
        if self._reader.is_complete:
            self._finish(batch)
        else:
            message = "the stream ended before the answer did"
            self._fail(UpstreamFault(FaultKind.TRUNCATED, message), batch)

    def _finish(self, batch: e.Batch) -> None:
        self._is_over = True
        self._reader.finish(batch)

    def _fail(self, fault: UpstreamFault, batch: e.Batch) -> None:
        if not self._is_over:
            self._is_over = True
            batch.append(e.StreamFailed(fault))


class SseAnswerDecoder(AnswerDecoder[bytes, R]):
    """The same for answers that are streamed as server-sent events."""

    def __init__(self, limit: int, reader: R) -> None:
        self._splitter = SseSplitter(limit)
        super().__init__(limit, self._splitter.feed, reader)

    def _begin(self, data: bytes) -> bytes:
        """Takes what is blank away and looks at the first byte after it."""
        data = data.lstrip(_BLANKS)
        if data:
            self._is_stream = data[0] in _FIELD_STARTS
        if data and not self._is_stream and data[0] not in b"{[":
            raise UpstreamFault(FaultKind.PROTOCOL, "the answer is no event stream and no JSON")
        return data

    def _read_rest(self, batch: e.Batch) -> None:
        frame: Frame | None = self._splitter.end()
        if frame is not None:
            self._read(*frame, batch)
