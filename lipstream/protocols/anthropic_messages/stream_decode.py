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
from lipstream.framing.loose_json import NotJson, is_shallow, read_value
from lipstream.protocols.answer_decoder import SseAnswerDecoder
from lipstream.protocols.anthropic_messages.reading import AnswerReader
from lipstream.protocols.anthropic_messages.wire import decode_frame, random_id

_DONE = b"[DONE]"  # a habit of other servers


class MessageStreamDecoder(SseAnswerDecoder[AnswerReader]):
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
        super().__init__(limits.sse_event, AnswerReader(sealer, new_id, limits))

    def _read_body(self, body: bytes) -> e.Batch:
        return read_answer(body, self._reader)

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
            self._drop(batch)


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
