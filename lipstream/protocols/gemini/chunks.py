"""Chunks to events: the one reading of a Gemini stream, and of a whole response.

Every chunk is a whole GenerateContentResponse. What a chunk says is told with it, except how a
message ends: the service may give a finish reason in the middle, when its own tools run, and go on.
So messages are finished when the answer is over, and the chunk tells clients of this dialect by an
extra field.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.seal import Sealer
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import redacted
from lipstream.framing.surrogates import Halves
from lipstream.protocols.gemini.calls import CallIds
from lipstream.protocols.gemini.candidate import Candidate
from lipstream.protocols.gemini.errors import fault_in_stream
from lipstream.protocols.gemini.hot import HotChunk
from lipstream.protocols.gemini.usage import decode_usage
from lipstream.protocols.gemini.wire import NAME, Fields

_TOLD = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "error"})


class ChunkReader:
    """Turns the chunks of one answer into events.

    Args:
        is_whole: Whether the one chunk is the whole answer: then each of its parts is whole.

    Attributes:
        late: None: what has no place here is read over.
        fault: What the upstream reported instead of going on; nothing may be read after it.
    """

    late = 0

    def __init__(
        self, new_id: Callable[[], str], sealer: Sealer, *, is_whole: bool = False
    ) -> None:
        self._ids = CallIds(new_id)
        self._sealer = sealer
        self._is_whole = is_whole
        self._halves = Halves()
        self._candidates: dict[int, Candidate] = {}
        self._has_started = False
        self._fields: Fields = {}
        self._usage: object = None  # the last report, as object or as JSON
        self.fault: UpstreamFault | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a message has begun and all that have were given a finish reason."""
        candidates = self._candidates.values()
        return bool(candidates) and all(candidate.word for candidate in candidates)

    # -------------------------------------------------------- any chunk

    def read(self, chunk: Fields, data: bytes, is_exact: bool, batch: e.Batch) -> None:
        """Adds the events of one chunk, which was read from ``data``."""
        source, first = e.Source(NAME, data), len(batch)
        if not is_exact:
            self._halves.is_on = True
        if chunk.get("error"):
            self.fault = fault_in_stream(chunk)
            return
        blocked = _block_of(chunk)
        if blocked is not None and not self._candidates:
            self.fault = blocked
            return
        self._start(chunk, source, batch)
        self._carry(chunk, source, batch)
        candidates = chunk.get("candidates")
        for place, value in enumerate(candidates if isinstance(candidates, list) else ()):
            if isinstance(value, dict):
                self._candidate(value, place, source, batch).read(value, source, batch)
        if blocked is not None:
            for candidate in self._candidates.values():
                candidate.block(blocked.code or "")
        self._read_usage(chunk.get("usageMetadata"), source, batch)
        if is_exact and len(batch) == first:  # says nothing, and still passes
            batch.append(e.Extra(NAME, "response", {}, source=source))
        source.count = len(batch) - first if is_exact else 0

    def _start(self, chunk: Fields, source: e.Source, batch: e.Batch) -> None:
        if self._has_started:
            return
        self._has_started = True
        key, model = chunk.get("responseId"), chunk.get("modelVersion")
        batch.append(
            e.Started(
                key if isinstance(key, str) else "",
                model if isinstance(model, str) else "",
                _unix_time(chunk.get("createTime")),
                source=source,
            )
        )

    def _carry(self, chunk: Fields, source: e.Source, batch: e.Batch) -> None:
        fields = {
            name: value
            for name, value in chunk.items()
            if name not in _TOLD and self._fields.get(name) != value
        }
        if fields:
            self._fields.update(fields)
            batch.append(e.Extra(NAME, "response", fields, source=source))

    def _candidate(self, value: Fields, place: int, source: e.Source, batch: e.Batch) -> Candidate:
        index = value.get("index")
        index = index if isinstance(index, int) and index >= 0 else place
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = Candidate(index, self._ids, self._sealer, self._halves, self._is_whole)
            self._candidates[index] = candidate
            batch.append(e.MessageStarted(index, source=source))
        return candidate

    def _read_usage(self, fields: Any, source: e.Source, batch: e.Batch) -> None:
        if isinstance(fields, dict) and fields and fields != self._usage:
            self._usage = fields
            batch.append(e.UsageReported(decode_usage(fields), source=source))

    # -------------------------------------------------------- the usual chunk

    def read_hot(self, chunk: HotChunk, data: bytes, batch: e.Batch) -> bool:
        """Adds the events of a chunk of one piece of text; False if it needs a closer look."""
        if not self._has_started or self._halves.is_on or len(chunk.candidates) != 1:
            return False
        candidate = self._candidates.get(chunk.candidates[0].index)
        parts = chunk.candidates[0].content.parts
        if candidate is None or len(parts) != 1 or not candidate.is_plain:
            return False
        part = parts[0]
        if not part.text or chunk.createTime != self._fields.get("createTime", ""):
            return False
        try:
            usage = self._new_usage(bytes(chunk.usageMetadata))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        kind = e.ReasoningDelta if part.thought else e.TextDelta
        source = e.Source(NAME, data, 1 if usage is None else 2)
        batch.append(kind(part.text, candidate.index, source=source))
        if usage is not None:
            batch.append(e.UsageReported(usage, source=source))
        return True

    def _new_usage(self, data: bytes) -> Usage | None:
        """The usage in this JSON, which nobody has looked into yet; None where it is no news."""
        if not data or data == self._usage:
            return None
        fields = msgspec.json.decode(data)
        self._usage = data
        return decode_usage(fields) if isinstance(fields, dict) and fields else None

    # -------------------------------------------------------- the end

    def finish(self, batch: e.Batch) -> None:
        """The answer is complete: finishes what the upstream left open."""
        if not self._has_started:
            self._has_started = True
            batch.append(e.Started())
        for candidate in self._candidates.values():
            candidate.finish(batch)
        batch.append(e.Finished())


def _block_of(chunk: Fields) -> UpstreamFault | None:
    """What it means that the prompt was blocked, if it was."""
    feedback = chunk.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if not isinstance(reason, str | int) or reason in ("", 0, "BLOCKED_REASON_UNSPECIFIED"):
        return None
    message = feedback.get("blockReasonMessage") if isinstance(feedback, dict) else None
    return UpstreamFault(
        FaultKind.CONTENT_FILTER,
        "the provider blocked the prompt",
        code=str(reason),
        detail=redacted(message) if isinstance(message, str) else None,
    )


def _unix_time(text: Any) -> int:
    """Seconds of an RFC 3339 time; 0 where it is none."""
    if not isinstance(text, str):
        return 0
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return 0
