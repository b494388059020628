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
from lipstream.framing.loose_json import is_shallow
from lipstream.protocols.answer_decoder import AnswerDecoder
from lipstream.protocols.bedrock_converse.errors import fault_in_stream
from lipstream.protocols.bedrock_converse.json_value import NotAnObject, read_fields
from lipstream.protocols.bedrock_converse.reading import AnswerReader
from lipstream.protocols.bedrock_converse.wire import decode_delta, random_id

_JSON_STARTS = b"{ \t\r\n"  # a message would be over any limit if it began like that


class ConverseStreamDecoder(AnswerDecoder[Mapping[str, str], AnswerReader]):
    """The bytes of one stream to events; see ``interfaces.StreamDecoder``.

    Args:
        new_id: Makes up the random part of an id that the upstream does not give.
    """

    _frame_word = "messages"

    def __init__(
        self,
        sealer: Sealer = UNKNOWN_ORIGIN,
        limits: StreamLimits = STREAM_LIMITS,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        limit = limits.sse_event
        super().__init__(limit, EventStreamSplitter(limit).feed, AnswerReader(sealer, new_id))

    def _begin(self, data: bytes) -> bytes:
        if data:
            self._is_stream = data[0] not in _JSON_STARTS
        return data

    def _read_body(self, body: bytes) -> e.Batch:
        return read_answer(body, self._reader)

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
        if reader.is_complete and reader.is_counted:
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
