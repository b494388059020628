"""A Gemini stream from an upstream to events: frames, ends and failures.

A body is an event stream, a JSON array of chunks (what comes without ``alt=sse``) or one JSON
object, a whole response. There is no end marker: a clean end of the body is complete when every
candidate has been given a finish reason, and a truncation when not. One event that cannot be read
is dropped and counted; three in a row are not this protocol. Nothing comes after the terminal
event.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import BadRequest, FaultKind, UpstreamFault
from lipstream.framing.json_guard import check_json
from lipstream.framing.sse import BOM, SseSplitter
from lipstream.framing.surrogates import mended
from lipstream.protocols.gemini.array_stream import ArraySplitter
from lipstream.protocols.gemini.chunks import ChunkReader
from lipstream.protocols.gemini.errors import fault_in_stream
from lipstream.protocols.gemini.hot import decode_hot
from lipstream.protocols.gemini.wire import Fields, random_id

MAX_BAD_IN_A_ROW = 3
MAX_MISSES = 8  # an upstream whose chunks never have the usual form is no longer asked for it

_DONE = b"[DONE]"  # not of Google's making, but proxies send it
_IDLE_EVENTS = frozenset({b"ping", b"keepalive", b"heartbeat"})
_FIELD_STARTS = b":deir"  # a line of an event stream is a comment, data, event, id or retry
_BLANKS = b" \t\r\n" + BOM  # before the first line
_SHALLOW = 128  # brackets, with which nothing can be nested too deeply
_CHUNK_FIELDS = (
    "candidates",
    "usageMetadata",
    "promptFeedback",
    "modelVersion",
    "responseId",
    "error",
)


class NotAChunk(ValueError):
    """Not the JSON object that a chunk is."""


class GeminiStreamDecoder:
    """The bytes of one stream to events; see ``interfaces.StreamDecoder``.

    Args:
        new_id: Makes up the random part of an id that the upstream does not give.
    """

    def __init__(
        self,
        limits: StreamLimits = STREAM_LIMITS,
        sealer: Sealer = UNKNOWN_ORIGIN,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._limit = limits.sse_event
        self._frames = SseSplitter(limits.sse_event)
        self._entries = ArraySplitter(limits.sse_event)
        self._reader = ChunkReader(new_id, sealer)
        self._sealer = sealer
        self._new_id = new_id
        self._is_over = False
        self._form = b""  # of the body: what it begins with, a colon for any event stream
        self._body = bytearray()  # of a whole response
        self._bad = 0
        self._bad_in_a_row = 0
        self._misses = 0  # of the usual form, in a row

    @property
    def dropped_events(self) -> int:
        """Events that could not be read."""
        return self._bad

    def feed(self, data: bytes) -> e.Batch:
        """Takes what one network read delivered."""
        batch: e.Batch = []
        if self._is_over:
            return batch
        try:
            if not self._form:
                data = self._begin(data)
            if self._form == b":":
                for name, payload in self._frames.feed(data):
                    self._read(name, payload, batch)
            elif self._form == b"[":
                for payload in self._entries.feed(data):
                    self._read(b"", payload, batch)
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
        if self._form == b"{":
            self._is_over = True
            return decode_answer(bytes(self._body), self._sealer, self._new_id)
        frame = self._frames.end()
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
            self._form = b":" if data[0] in _FIELD_STARTS else data[:1]
        if self._form not in (b"", b":", b"[", b"{"):
            raise UpstreamFault(FaultKind.PROTOCOL, "the answer is no event stream and no JSON")
        return data

    def _keep(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._limit:
            message = f"the answer is longer than {self._limit} bytes"
            raise UpstreamFault(FaultKind.PROTOCOL, message)

    # -------------------------------------------------------- frames

    def _read(self, name: bytes, data: bytes, batch: e.Batch) -> None:
        if self._is_over or name in _IDLE_EVENTS:
            return
        if self._misses < MAX_MISSES and self._is_read_hot(data, batch):
            self._bad_in_a_row = 0
            return
        try:
            chunk, is_exact = read_chunk(data)
        except NotAChunk:
            self._read_other(name, data, batch)
            return
        self._bad_in_a_row = 0
        if name == b"error":
            chunk.setdefault("error", chunk)
        self._reader.read(chunk, data, is_exact, batch)
        if self._reader.fault is not None:
            self._fail(self._reader.fault, batch)

    def _is_read_hot(self, data: bytes, batch: e.Batch) -> bool:
        try:
            chunk = decode_hot(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._misses += 1
            return False
        self._misses = 0
        return self._reader.read_hot(chunk, data, batch)

    def _read_other(self, name: bytes, data: bytes, batch: e.Batch) -> None:
        """Data that is no chunk: nothing, an end marker, an error in words, or bad."""
        text = data.strip()
        if text == _DONE:
            self._finish(batch)
        elif name == b"error":
            self._fail(fault_in_stream(text.decode(errors="replace")), batch)
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


# ---------------------------------------------------------------- whole answers


def decode_answer(
    body: bytes, sealer: Sealer = UNKNOWN_ORIGIN, new_id: Callable[[], str] = random_id
) -> e.Batch:
    """The events of a whole response; a list is taken for a stream that came at once."""
    try:
        value, _ = read_json(body)
        values = value if isinstance(value, list) else [value]
        chunks = [_checked(value) for value in values]
    except NotAChunk as error:
        return [e.StreamFailed(UpstreamFault(FaultKind.PROTOCOL, f"the answer is {error}"))]
    batch: e.Batch = []
    reader = ChunkReader(new_id, sealer, is_whole=not isinstance(value, list))
    for chunk in chunks:
        reader.read(chunk, b"", False, batch)
        if reader.fault is not None:
            return [*batch, e.StreamFailed(reader.fault)]
    if not any(isinstance(event, e.MessageStarted) for event in batch):
        fault = UpstreamFault(FaultKind.PROTOCOL, "the answer has no candidates")
        return [*batch, e.StreamFailed(fault)]
    reader.finish(batch)
    return batch


def read_chunk(data: bytes) -> tuple[Fields, bool]:
    """The object that a chunk is, and whether its bytes may be passed on.

    Raises:
        NotAChunk: it is none.
    """
    value, is_exact = read_json(data)
    return _checked(value), is_exact


def _checked(value: Any) -> Fields:
    if not isinstance(value, dict) or not any(name in value for name in _CHUNK_FIELDS):
        raise NotAChunk("not a response of this protocol")
    return value


def read_json(data: bytes) -> tuple[Any, bool]:
    """A JSON value, and whether it was well formed.

    Halves of characters are joined in the texts by their reader; anywhere else they are replaced.
    """
    try:
        if data.count(b"{") + data.count(b"[") > _SHALLOW:
            check_json(data)
        return msgspec.json.decode(data), True
    except BadRequest as error:
        raise NotAChunk(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return _mended(json.loads(data)), False
    except (ValueError, RecursionError):
        raise NotAChunk("not JSON") from None


def _mended(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        return value if name == "text" else mended(value)
    if isinstance(value, list):
        return [_mended(entry) for entry in value]
    if isinstance(value, dict):
        return {mended(key): _mended(entry, key) for key, entry in value.items()}
    return value
