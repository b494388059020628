"""A Messages stream from an upstream to events: frames, ends and failures.

How a stream ends decides what it was. ``message_stop``, and a clean end of the body after a reason
to stop, are complete; a clean end before is a truncation; an ``error`` event is a failure. One
event that cannot be read is dropped and counted; three in a row are not this protocol. Nothing
comes after the terminal event.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import fault_in_stream
from lipstream.framing.sse import BOM, SseSplitter
from lipstream.protocols.anthropic_messages.json_value import NotJson, is_shallow, read_value
from lipstream.protocols.anthropic_messages.reading import AnswerReader
from lipstream.protocols.anthropic_messages.wire import decode_frame, random_id

MAX_BAD_IN_A_ROW = 3

_FIELD_STARTS = b":deir"  # a line of an event stream is a comment, data, event, id or retry
_BLANKS = b" \t\r\n" + BOM  # before the first line
_DONE = b"[DONE]"  # a habit of other servers


class MessageStreamDecoder:
    """The bytes of one stream to events; see ``interfaces.StreamDecoder``.

    Args:
        new_id: Makes up the random part of an id that the upstream does not give.
    """

    def __init__(
        self,
        sealer: Sealer = UNKNOWN_ORIGIN,
        limits: StreamLimits = STREAM_LIMITS,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._limit = limits.sse_event
        self._splitter = SseSplitter(limits.sse_event)
        self._reader = AnswerReader(sealer, new_id, limits)
        self._is_over = False
        self._is_sse: bool | None = None  # unknown before the first byte that is not blank
        self._body = bytearray()  # what came instead of an event stream
        self._bad = 0
        self._bad_in_a_row = 0

    @property
    def dropped_events(self) -> int:
        """Events that could not be read, and content that had no place."""
        return self._bad + self._reader.late

    def feed(self, data: bytes) -> e.Batch:
        """Takes what one network read delivered."""
        batch: e.Batch = []
        if self._is_over:
            return batch
        try:
            data = data if self._is_sse is not None else self._begin(data)
            if self._is_sse:
                for name, payload in self._splitter.feed(data):
                    if not self._is_over:
                        self._read(name, payload, batch)
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
            return read_answer(bytes(self._body), self._reader)
        frame = self._splitter.end()
        try:
            if frame is not None:
                self._read(*frame, batch)
        except UpstreamFault as fault:
            self._fail(fault, batch)
        self._close(batch)
        return batch

    def _close(self, batch: e.Batch) -> None:
        if self._is_over:
            return
        if self._reader.has_ended:
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
        if self._is_usual(data, batch):
            self._bad_in_a_row = 0
            return
        try:
            value, is_clean = read_value(data)
        except NotJson:
            self._read_other(name, data, batch)
            return
        if not isinstance(value, dict):
            self._read_other(name, data, batch)
            return
        self._bad_in_a_row = 0
        reader = self._reader
        if not is_clean:
            reader.expect_halves()
        reader.read(value, data if is_clean else b"", name, batch)
        if reader.fault is not None:
            self._fail(reader.fault, batch)
        self._is_over = self._is_over or reader.is_over

    def _is_usual(self, data: bytes, batch: e.Batch) -> bool:
        """Reads an event of the kinds that there are most of.

        The typed decoder does not look at what it skips, so whether it is text is looked at here.
        """
        if not is_shallow(data):
            return False
        try:
            frame = decode_frame(data)
            if not data.isascii():
                data.decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        if frame.type != "content_block_delta" or frame.delta is None:
            return False
        return self._reader.read_delta(frame, frame.delta, data, batch)

    def _read_other(self, name: bytes, data: bytes, batch: e.Batch) -> None:
        """Data that is no object: an error by its name, nothing, an end marker, or bad."""
        text = data.strip()
        if name == b"error":
            self._fail(fault_in_stream(data.decode(errors="replace")), batch)
        elif text == _DONE:
            self._finish(batch)
        elif text and name != b"ping":
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


def decode_answer(
    body: bytes,
    sealer: Sealer = UNKNOWN_ORIGIN,
    limits: StreamLimits = STREAM_LIMITS,
    new_id: Callable[[], str] = random_id,
) -> e.Batch:
    """The events of a whole message; anything else is a failure."""
    return read_answer(body, AnswerReader(sealer, new_id, limits))


def read_answer(body: bytes, reader: AnswerReader) -> e.Batch:
    """The same with a reader that has not read anything yet."""
    batch: e.Batch = []
    try:
        value, _ = read_value(body)
    except NotJson as error:
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, f"the answer is {error}"))]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict) and (value.get("error") or value.get("type") == "error"):
        return [e.StreamFailed(fault_in_stream(value))]
    if not isinstance(value, dict) or not isinstance(value.get("content"), list):
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, "the answer is no message"))]
    reader.read_message(value, batch)
    return batch
