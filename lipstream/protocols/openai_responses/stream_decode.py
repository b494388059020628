"""A stream of a response from an upstream to events: frames, ends and failures.

How a stream ends decides what it was. A final response, and the end marker that some servers send,
are complete; a body that ends without either is a truncation; an ``error`` event or a response that
failed is a failure. One event that cannot be read is dropped and counted; three in a row are not
this protocol. Nothing comes after the terminal event.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import BadRequest, FaultKind, UpstreamFault
from lipstream.framing.faults import fault_in_stream
from lipstream.framing.json_guard import check_json
from lipstream.framing.sse import BOM, SseSplitter
from lipstream.protocols.openai_responses.errors import fault_of_response
from lipstream.protocols.openai_responses.reading import EventReader
from lipstream.protocols.openai_responses.wire import (
    COMPLETED,
    DONE,
    FIELDS,
    MAX_DEPTH,
    RESPONSE,
    SHALLOW,
    Fields,
    NewId,
    WireEvent,
    decode_event,
    random_id,
)

MAX_BAD_IN_A_ROW = 3

_IDLE_EVENTS = frozenset({"ping", "keepalive", "heartbeat"})
_FIELD_STARTS = b":deir"  # a line of an event stream is a comment, data, event, id or retry
_BLANKS = b" \t\r\n" + BOM  # before the first line
_FAILURES = ("failed", "cancelled")


class NotAnEvent(ValueError):
    """The data is no JSON object."""


class ResponseStreamDecoder:
    """The bytes of one stream to events; see ``interfaces.StreamDecoder``.

    Args:
        new_id: Makes up the random part of an id that the upstream does not give.
    """

    def __init__(
        self,
        sealer: Sealer = UNKNOWN_ORIGIN,
        limits: StreamLimits = STREAM_LIMITS,
        new_id: NewId = random_id,
    ) -> None:
        self._limit = limits.sse_event
        self._splitter = SseSplitter(limits.sse_event)
        self._sealer = sealer
        self._new_id = new_id
        self._reader = EventReader(sealer, new_id)
        self._is_over = False
        self._is_sse: bool | None = None  # unknown before the first byte that is not blank
        self._body = bytearray()  # what came instead of an event stream
        self._bad = 0
        self._bad_in_a_row = 0

    @property
    def dropped_events(self) -> int:
        """Events that could not be read, and content that came after the end of its item."""
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
            return decode_answer(bytes(self._body), self._sealer, self._new_id)
        frame = self._splitter.end()
        if frame is not None:
            self._read(*frame, batch)
        message = "the stream ended before the answer did"
        self._fail(UpstreamFault(FaultKind.TRUNCATED, message), batch)
        return batch

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
        if self._is_over:
            return
        try:
            event, is_exact = read_event(data)
        except NotAnEvent:
            self._read_other(name, data, batch)
            return
        self._bad_in_a_row = 0
        if type(event.type) is not str or not event.type:
            self._name(event, name, data)
            is_exact = False
        if event.type in _IDLE_EVENTS:
            return
        if not is_exact:
            self._reader.expect_halves()
        self._reader.read(event, data, name, is_exact, batch)
        if self._reader.fault is not None:
            self._fail(self._reader.fault, batch)
        if self._reader.is_over:
            self._is_over = True

    def _name(self, event: WireEvent, name: bytes, data: bytes) -> None:
        """Says what an event is that does not say so itself."""
        event.type = name.decode(errors="replace")
        if not event.type and event.error:
            event.type = "error"
        elif not event.type and (value := _object(data)).get("object") == RESPONSE:
            event.type, event.response = COMPLETED, value

    def _read_other(self, name: bytes, data: bytes, batch: e.Batch) -> None:
        """Data that is no event: nothing, an end marker, an error in words, or bad."""
        text = data.strip()
        if text == DONE:
            self._reader.finish(batch)
            self._is_over = True
        elif name == b"error":
            self._fail(fault_in_stream(text.decode(errors="replace")), batch)
        elif text and name.decode(errors="replace") not in _IDLE_EVENTS:
            self._bad += 1
            self._bad_in_a_row += 1
            if self._bad_in_a_row == MAX_BAD_IN_A_ROW:
                message = f"{MAX_BAD_IN_A_ROW} events in a row could not be read"
                self._fail(UpstreamFault(FaultKind.PROTOCOL, message), batch)

    def _fail(self, fault: UpstreamFault, batch: e.Batch) -> None:
        if not self._is_over:
            self._is_over = True
            batch.append(e.StreamFailed(fault))


def decode_answer(
    body: bytes, sealer: Sealer = UNKNOWN_ORIGIN, new_id: NewId = random_id
) -> e.Batch:
    """The events of a whole response; anything else is a failure.

    A response that runs in the background has no answer yet, and is complete as it is.
    """
    try:
        value = _value(body)[0]
    except NotAnEvent as error:
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, f"the answer is {error}"))]
    if isinstance(value, dict) and value.get("status") in _FAILURES:
        return [e.StreamFailed(fault_of_response(value))]
    if not isinstance(value, dict) or value.get("error"):
        return [e.StreamFailed(fault_in_stream(value))]
    if not isinstance(value.get("output"), list) and value.get("object") != RESPONSE:
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, "the answer has no output"))]
    batch: e.Batch = []
    reader = EventReader(sealer, new_id)
    reader.expect_halves()
    reader.finish(batch, value)
    return batch


def read_event(data: bytes) -> tuple[WireEvent, bool]:
    """One event's data, and whether it says the same as the bytes.

    Raises:
        NotAnEvent: the data is no JSON object.
    """
    is_shallow = len(data) <= SHALLOW or data.count(b"{") + data.count(b"[") <= MAX_DEPTH
    if is_shallow:
        try:
            if not data.isascii():
                data.decode()  # also what is read over
            return decode_event(data), True
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    value, is_clean = _value(data)
    if not isinstance(value, dict):
        raise NotAnEvent("not an object")
    return WireEvent(**{name: value[name] for name in FIELDS if name in value}), is_clean


def _object(data: bytes) -> Fields:
    """The fields of an event that could be read."""
    value = _value(data)[0]
    return value if isinstance(value, dict) else {}


def _value(data: bytes) -> tuple[Any, bool]:
    """The JSON value; lone surrogates, broken UTF-8 and NaN are for the standard library."""
    try:
        check_json(data, max_depth=MAX_DEPTH)
        return msgspec.json.decode(data), True
    except (BadRequest, ValueError):
        text = data.decode(errors="replace")
    try:
        check_json(text.encode(), max_depth=MAX_DEPTH)
        return json.loads(text, parse_constant=_none), False
    except (BadRequest, ValueError):
        raise NotAnEvent("not JSON") from None


def _none(_: str) -> None:
    """NaN and Infinity, which nobody else could read."""
