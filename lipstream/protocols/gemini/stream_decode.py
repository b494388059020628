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
from lipstream.framing.surrogates import mended
from lipstream.protocols.answer_decoder import IDLE_EVENTS, SseAnswerDecoder
from lipstream.protocols.gemini.array_stream import ArraySplitter
from lipstream.protocols.gemini.chunks import ChunkReader
from lipstream.protocols.gemini.errors import fault_in_stream
from lipstream.protocols.gemini.hot import decode_hot
from lipstream.protocols.gemini.wire import Fields, random_id

MAX_MISSES = 8  # an upstream whose chunks never have the usual form is no longer asked for it

_DONE = b"[DONE]"  # not of Google's making, but proxies send it
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


class GeminiStreamDecoder(SseAnswerDecoder[ChunkReader]):
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
        super().__init__(limits.sse_event, ChunkReader(new_id, sealer))
        self._sealer = sealer
        self._new_id = new_id
        self._misses = 0  # of the usual form, in a row

    def _begin(self, data: bytes) -> bytes:
        data = super()._begin(data)
        if data[:1] == b"[":
            self._is_stream = True
            self._frames = ArraySplitter(self._limit).feed
        return data

    def _read_body(self, body: bytes) -> e.Batch:
        return decode_answer(body, self._sealer, self._new_id)

    # -------------------------------------------------------- frames

    def _read(self, name: bytes, data: bytes, batch: e.Batch) -> None:
        if name in IDLE_EVENTS:
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
            self._drop(batch)


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
