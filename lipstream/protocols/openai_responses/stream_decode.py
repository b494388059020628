"""A stream of a response from an upstream to events: frames, ends and failures.

How a stream ends decides what it was. A final response, and the end marker that some servers send,
are complete; a body that ends without either is a truncation; an ``error`` event or a response that
failed is a failure. One event that cannot be read is dropped and counted; three in a row are not
this protocol. Nothing comes after the terminal event.
"""

from __future__ import annotations

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import fault_in_stream
from lipstream.framing.loose_json import NotJson, is_shallow, read_value
from lipstream.protocols.answer_decoder import IDLE_EVENTS, SseAnswerDecoder
from lipstream.protocols.openai_responses.errors import fault_of_response
from lipstream.protocols.openai_responses.reading import EventReader
from lipstream.protocols.openai_responses.wire import (
    COMPLETED,
    DONE,
    FIELDS,
    RESPONSE,
    Fields,
    NewId,
    WireEvent,
    decode_event,
    random_id,
)

_IDLE_TYPES = frozenset(name.decode() for name in IDLE_EVENTS)
_FAILURES = ("failed", "cancelled")


class NotAnEvent(ValueError):
    """The data is no JSON object."""


class ResponseStreamDecoder(SseAnswerDecoder[EventReader]):
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
        super().__init__(limits.sse_event, EventReader(sealer, new_id))

    def _read_body(self, body: bytes) -> e.Batch:
        return read_answer(body, self._reader)

    # -------------------------------------------------------- frames

    def _read(self, name: bytes, data: bytes, batch: e.Batch) -> None:
        try:
            event, is_exact = read_event(data)
        except NotAnEvent:
            self._read_other(name, data, batch)
            return
        self._bad_in_a_row = 0
        if type(event.type) is str and event.type.startswith(("urn:", "about:")):
            self._fail(fault_in_stream(_object(data)), batch)  # NVIDIA's problem details
            return
        if type(event.type) is not str or not event.type:
            self._name(event, name, data)
            is_exact = False
        if event.type in _IDLE_TYPES:
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
            self._finish(batch)
        elif name == b"error":
            self._fail(fault_in_stream(text.decode(errors="replace")), batch)
        elif text and name not in IDLE_EVENTS:
            self._drop(batch)


def decode_answer(
    body: bytes, sealer: Sealer = UNKNOWN_ORIGIN, new_id: NewId = random_id
) -> e.Batch:
    """The events of a whole response; anything else is a failure.

    A response that runs in the background has no answer yet, and is complete as it is.
    """
    return read_answer(body, EventReader(sealer, new_id))


def read_answer(body: bytes, reader: EventReader) -> e.Batch:
    """The same with a reader that has not read anything yet."""
    try:
        value, _ = read_value(body)
    except NotJson as error:
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, f"the answer is {error}"))]
    if isinstance(value, dict) and value.get("status") in _FAILURES:
        return [e.StreamFailed(fault_of_response(value))]
    if not isinstance(value, dict) or value.get("error"):
        return [e.StreamFailed(fault_in_stream(value))]
    if not isinstance(value.get("output"), list) and value.get("object") != RESPONSE:
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, "the answer has no output"))]
    batch: e.Batch = []
    reader.expect_halves()
    reader.finish(batch, value)
    return batch


def read_event(data: bytes) -> tuple[WireEvent, bool]:
    """One event's data, and whether it says the same as the bytes.

    Raises:
        NotAnEvent: the data is no JSON object.
    """
    if is_shallow(data):
        try:
            if not data.isascii():
                data.decode()  # also what is read over
            return decode_event(data), True
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    try:
        value, is_clean = read_value(data)
    except NotJson as error:
        raise NotAnEvent(str(error)) from None
    if not isinstance(value, dict):
        raise NotAnEvent("not an object")
    return WireEvent(**{name: value[name] for name in FIELDS if name in value}), is_clean


def _object(data: bytes) -> Fields:
    """The fields of an event that could be read, none where only the typed decoder reads it."""
    try:
        value, _ = read_value(data)
    except NotJson:
        return {}
    return value if isinstance(value, dict) else {}
