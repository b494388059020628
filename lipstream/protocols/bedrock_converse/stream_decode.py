"""A Converse stream from an upstream to events: frames, ends and failures.

How a stream ends decides what it was. The usage behind the end of the message, and a clean end of
the body after it, are complete; a clean end before is a truncation; an exception among the messages
is a failure. One message whose JSON cannot be read is dropped and counted; three in a row are not
this protocol, and neither are bytes that no message begins with. Nothing comes after the terminal
event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.eventstream import EventStreamSplitter
from lipstream.protocols.bedrock_converse.errors import fault_in_stream
from lipstream.protocols.bedrock_converse.json_value import NotAnObject, is_shallow, read_fields
from lipstream.protocols.bedrock_converse.reading import AnswerReader
from lipstream.protocols.bedrock_converse.wire import decode_delta, random_id

MAX_BAD_IN_A_ROW = 3

_JSON_STARTS = b"{ \t\r\n"  # a message would be over any limit if it began like that


class ConverseStreamDecoder:
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
        self._splitter = EventStreamSplitter(limits.sse_event)
        self._reader = AnswerReader(sealer, new_id)
        self._is_over = False
        self._is_stream: bool | None = None  # unknown before the first byte
        self._body = bytearray()  # what came instead of an event stream
        self._bad = 0
        self._bad_in_a_row = 0

    @property
    def dropped_events(self) -> int:
        """Messages that could not be read, and content that had no place."""
        return self._bad + self._reader.late

    def feed(self, data: bytes) -> e.Batch:
        """Takes what one network read delivered."""
        batch: e.Batch = []
        if self._is_over or not data:
            return batch
        if self._is_stream is None:
            self._is_stream = data[0] not in _JSON_STARTS
        try:
            if self._is_stream:
                for headers, payload in self._splitter.feed(data):
                    if not self._is_over:
                        self._read(headers, payload, batch)
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
            return read_answer(bytes(self._body), self._reader)
        if self._reader.has_ended:
            self._finish(batch)
        else:
            message = "the stream ended before the answer did"
            self._fail(UpstreamFault(FaultKind.TRUNCATED, message), batch)
        return batch

    def _keep(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._limit:
            message = f"the answer is longer than {self._limit} bytes"
            raise UpstreamFault(FaultKind.PROTOCOL, message)

    # -------------------------------------------------------- messages

    def _read(self, headers: Mapping[str, str], payload: bytes, batch: e.Batch) -> None:
        if headers.get(":message-type", "event") != "event":
            self._fail(fault_in_stream(headers, payload), batch)
            return
        name = headers.get(":event-type", "")
        if name == "contentBlockDelta" and self._is_usual(payload, batch):
            self._bad_in_a_row = 0
            return
        try:
            fields, is_sound = read_fields(payload)
        except NotAnObject:
            self._drop(batch)
            return
        self._bad_in_a_row = 0
        reader = self._reader
        if not is_sound:
            reader.expect_halves()
        reader.read(name, fields, batch)
        if reader.has_ended and reader.is_counted:
            self._finish(batch)

    def _is_usual(self, payload: bytes, batch: e.Batch) -> bool:
        """Reads a delta of the kinds that there are most of."""
        if not is_shallow(payload):
            return False
        try:
            event = decode_delta(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return self._reader.read_delta(event, batch)

    def _drop(self, batch: e.Batch) -> None:
        self._bad += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row == MAX_BAD_IN_A_ROW:
            message = f"{MAX_BAD_IN_A_ROW} messages in a row could not be read"
            self._fail(UpstreamFault(FaultKind.PROTOCOL, message), batch)

    def _finish(self, batch: e.Batch) -> None:
        self._is_over = True
        self._reader.finish(batch)

    def _fail(self, fault: UpstreamFault, batch: e.Batch) -> None:
        if not self._is_over:
            self._is_over = True
            batch.append(e.StreamFailed(fault))


def decode_answer(
    body: bytes, sealer: Sealer = UNKNOWN_ORIGIN, new_id: Callable[[], str] = random_id
) -> e.Batch:
    """The events of a whole answer; anything else is a failure."""
    return read_answer(body, AnswerReader(sealer, new_id))


def read_answer(body: bytes, reader: AnswerReader) -> e.Batch:
    """The same with a reader that has not read anything yet."""
    try:
        fields, is_sound = read_fields(body)
    except NotAnObject as error:
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, f"the answer is {error}"))]
    output = fields.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    if not isinstance(message, dict):
        return [e.StreamFailed(_no_answer(body, fields))]
    if not is_sound:
        reader.expect_halves()
    batch: e.Batch = []
    reader.read_answer(fields, message, batch)
    return batch


def _no_answer(body: bytes, fields: Mapping[str, object]) -> UpstreamFault:
    """What a body without an answer means: an error, if it has the words of one."""
    if isinstance(fields.get("message") or fields.get("Message"), str):
        return fault_in_stream({":error-code": str(fields.get("__type") or "")}, body)
    return UpstreamFault(FaultKind.PROTOCOL, "the answer has no message")
