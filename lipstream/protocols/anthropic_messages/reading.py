"""The events of one Messages answer, as JSON, to canonical events; frames and ends are not here.

Events that follow the rules are marked as passable (``Source.count``). What had to be put right (a
block that was not started, two at once, a text that is no text) is not. Nothing comes after the end
of the message but counts and fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.limits import StreamLimits
from lipstream.canonical.seal import Sealer
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import fault_in_stream
from lipstream.framing.surrogates import Halves
from lipstream.protocols.anthropic_messages.open_blocks import (
    Block,
    ThinkingBlock,
    ToolBlock,
    carrier,
    open_plain,
)
from lipstream.protocols.anthropic_messages.usage import decode_usage
from lipstream.protocols.anthropic_messages.wire import NAME, STOP_REASONS, Delta, Fields, Frame

_OTHER_REASONS = {
    # other servers' words
    "stop": e.FinishReason.STOP,
    "length": e.FinishReason.LENGTH,
    "tool_calls": e.FinishReason.TOOL_CALLS,
    "content_filter": e.FinishReason.CONTENT_FILTER,
    "content_filtered": e.FinishReason.CONTENT_FILTER,
    "sensitive": e.FinishReason.CONTENT_FILTER,
}
_PLAIN_REASONS = frozenset({"end_turn", "max_tokens", "tool_use", "pause_turn", "refusal"})
_MESSAGE = frozenset({"id", "type", "role", "model", "content", "usage", "stop_reason"})


class AnswerReader:
    """Turns the events of one answer into canonical ones.

    Attributes:
        late: Pieces of content that came after the end or belong to no block, and were left out.
        fault: What the upstream reported instead of going on; nothing may be read after it.
        is_complete: Whether the message is over and the stream may end.
        is_over: Whether the upstream said that the stream is.
    """

    def __init__(self, sealer: Sealer, new_id: Callable[[], str], limits: StreamLimits) -> None:
        self._sealer = sealer
        self._new_id = new_id
        self._limits = limits
        self._ids: set[str] = set()
        self._calls = 0
        self._open: dict[int, Block] = {}
        self._last = -1  # the index of the block that was started last
        self._is_last_exact = False  # whether its start may be passed on
        self._usage: Fields = {}
        self._halves = Halves()
        self._held = 0  # bytes that are kept for blocks that are carried whole
        self._has_started = False
        self._is_exact = True
        self._source: e.Source | None = None
        self._batch: e.Batch = []
        self.late = 0
        self.fault: UpstreamFault | None = None
        self.is_complete = False
        self.is_over = False

    # -------------------------------------------------------- what comes in

    def read_delta(self, frame: Frame, delta: Delta, data: bytes, batch: e.Batch) -> bool:
        """Takes a delta of one of the usual kinds; False leaves it to :meth:`read`."""
        block = self._open.get(frame.index)
        if block is None or self._halves.is_on:
            return False
        kind = delta.type
        count = 1 if frame.index == self._last and self._is_last_exact else 0
        source = e.Source(NAME, data, count, b"content_block_delta")
        if kind == "text_delta" and block.kind == "text":
            batch.append(e.TextDelta(delta.text, source=source))
        elif kind == "input_json_delta" and isinstance(block, ToolBlock):
            if delta.partial_json:
                block.has_arguments = True
            batch.append(e.ToolCallDelta(block.index, delta.partial_json, source=source))
        elif kind == "thinking_delta" and block.kind == "thinking":
            batch.append(e.ReasoningDelta(delta.thinking, source=source))
        elif kind == "signature_delta" and isinstance(block, ThinkingBlock):
            block.signature = delta.signature
            batch.append(e.ReasoningDelta("", source=source))
        else:
            return False
        return True

    def read(self, value: Fields, data: bytes, name: bytes, batch: e.Batch) -> None:
        """Takes any event; ``data`` is empty where it could not be passed on."""
        kind = value.get("type")
        kind = kind if isinstance(kind, str) and kind else name.decode(errors="replace")
        if kind == "error" or (value.get("error") and kind not in _READERS):
            self.fault = fault_in_stream(value)
            return
        self._batch, self._is_exact = batch, True
        reader = _READERS.get(kind)
        if reader is None:
            self._read_unknown(data, kind, name)
            return
        self._before(kind, value)
        source = self._source = e.Source(NAME, data, 0, kind.encode())
        first = len(batch)
        reader(self, value)
        self._source = None
        self._is_exact = self._is_exact and bool(data) and value.get("type") == kind
        if self._is_exact:
            source.count = len(batch) - first
        if kind == "content_block_start":
            self._is_last_exact = self._is_exact

    def read_message(self, message: Fields, batch: e.Batch) -> None:
        """Takes a whole message."""
        self._batch = batch
        self._start({"message": message})
        self._finish_message(message)
        self.finish(batch)

    def expect_halves(self) -> None:
        """From here on texts may begin or end in half a character."""
        self._halves.is_on = True

    def finish(self, batch: e.Batch) -> None:
        """The answer is complete: finishes what the upstream left open."""
        self._batch = batch
        self._ensure_started()
        if not self.is_complete:
            self._end(e.FinishReason.TOOL_CALLS if self._calls else e.FinishReason.STOP)
        batch.append(e.Finished(source=self._source))

    # -------------------------------------------------------- in order

    def _before(self, kind: str, value: Fields) -> None:
        """What has to be told before an event, because the upstream did not."""
        if kind == "message_start":
            return
        self._ensure_started()
        if kind == "content_block_start":
            place = _index(value)
            for index, block in list(self._open.items()):
                if block.is_ended_by_next or index == place:
                    self._close(index)
        is_end = kind == "message_stop"
        if kind == "message_delta":
            delta = value.get("delta")
            is_end = isinstance(delta, dict) and bool(delta.get("stop_reason"))
        if is_end:
            for index in list(self._open):
                self._close(index)

    def _ensure_started(self) -> None:
        if not self._has_started:
            self._has_started = True
            self._batch.append(e.Started(source=self._source))
            self._batch.append(e.MessageStarted(source=self._source))

    def _read_unknown(self, data: bytes, kind: str, name: bytes) -> None:
        """Passed on to who may understand it, once the answer has begun.

        Its name, where it has one, must not be that of an event which it is not.
        """
        if self._has_started and data:
            own = name if name and name.decode(errors="replace") not in _READERS else kind.encode()
            self._batch.append(carrier(e.Source(NAME, data, 1, own)))

    def _start(self, value: Fields) -> None:
        message = value.get("message")
        fields = message if isinstance(message, dict) else {}
        usage = fields.get("usage")
        if self._has_started:
            self._report(usage)
            self._is_exact = False
            return
        self._has_started = True
        self._is_exact = bool(fields.get("id")) and fields.get("content") == []
        self._is_exact = self._is_exact and isinstance(usage, dict)
        started = e.Started(_text(fields, "id"), _text(fields, "model"), source=self._source)
        self._batch.append(started)
        self._report(usage)
        self._carry("response", {k: v for k, v in fields.items() if k not in _MESSAGE})
        self._batch.append(e.MessageStarted(source=self._source))
        content = fields.get("content")
        for place, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict):
                self._open_block(place, block)
                self._close(place)

    def _report(self, usage: Any) -> None:
        if isinstance(usage, dict) and usage:
            self._batch.append(
                e.UsageReported(decode_usage(usage, self._usage), source=self._source)
            )
            self._usage.update((k, v) for k, v in usage.items() if v is not None)

    def _carry(self, scope: str, fields: Fields) -> None:
        if fields:
            self._batch.append(e.Extra(NAME, scope, fields, source=self._source))

    # -------------------------------------------------------- blocks

    def _start_block(self, value: Fields) -> None:
        block = value.get("content_block")
        index = _index(value)
        if self.is_complete or not isinstance(block, dict):
            self.late += 1
            return
        self._is_exact = index == self._last + 1
        self._open_block(index, block)

    def _open_block(self, index: int, given: Fields) -> None:
        fields = dict(given)
        if fields.get("type") == "tool_use":
            block: Block = self._call(fields)
        else:
            block = open_plain(fields, self._sealer, self._source)
        if block.kind == "whole":
            self._hold(len(self._source.data) if self._source is not None else 0)
        self._open[index] = block
        self._last = index
        self._batch.extend(block.start(self._source))

    def _call(self, fields: Fields) -> ToolBlock:
        """An id that is missing, or taken, is made up."""
        call_id = fields.pop("id", None)
        if not isinstance(call_id, str) or not call_id or call_id in self._ids:
            call_id, self._is_exact = f"toolu_{self._new_id()}", False
        self._ids.add(call_id)
        del fields["type"]
        self._calls += 1
        return ToolBlock(fields, self._calls - 1, call_id)

    def _read_block_delta(self, value: Fields) -> None:
        index, delta = _index(value), value.get("delta")
        block = self._open.get(index)
        if self.is_complete or not isinstance(delta, dict):
            self.late += 1
            return
        self._is_exact = block is not None and self._is_in_last(index)
        kind = delta.get("type")
        if block is not None and block.kind == "whole":
            self._hold(len(self._source.data) if self._source is not None else 0)
            self._batch.extend(block.delta(delta, self._source))
        elif kind == "text_delta":
            self._tell(e.TextDelta, index, delta.get("text"))
        elif kind == "thinking_delta":
            self._tell(e.ReasoningDelta, index, delta.get("thinking"))
        elif kind == "input_json_delta":
            self._argue(block, index, delta.get("partial_json"))
        elif kind == "signature_delta" and isinstance(block, ThinkingBlock):
            block.signature = _text(delta, "signature")
            self._batch.append(e.ReasoningDelta("", source=self._source))
        elif block is not None:
            self._hold(len(self._source.data) if self._source is not None else 0)
            self._batch.extend(block.delta(delta, self._source))
        else:
            self.late += 1

    def _tell(self, kind: type[e.TextDelta | e.ReasoningDelta], index: int, value: Any) -> None:
        self._batch.append(kind(self._whole(index, value), source=self._source))

    def _argue(self, block: Block | None, index: int, value: Any) -> None:
        if not isinstance(block, ToolBlock):
            self.late += 1
            return
        text = self._whole(index, value)
        block.has_arguments = block.has_arguments or bool(text)
        self._batch.append(e.ToolCallDelta(block.index, text, source=self._source))

    def _whole(self, index: int, value: Any) -> str:
        if not isinstance(value, str):
            self._is_exact = False
            return ""
        return self._halves.whole(index, value) if self._halves.is_on and value else value

    def _stop_block(self, value: Fields) -> None:
        index = _index(value)
        if index in self._open:
            self._is_exact = self._is_in_last(index)
            self._close(index)

    def _is_in_last(self, index: int) -> bool:
        """Whether this is the block under way, and all of it may be passed on."""
        return index == self._last and self._is_last_exact and not self._halves.is_on

    def _close(self, index: int) -> None:
        block = self._open.pop(index)
        if rest := self._halves.rest(index):
            if isinstance(block, ToolBlock):
                self._batch.append(e.ToolCallDelta(block.index, rest, source=self._source))
            else:
                event = e.ReasoningDelta if block.kind == "thinking" else e.TextDelta
                self._batch.append(event(rest, source=self._source))
        self._batch.extend(block.stop(self._source))

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._limits.answer_bytes:
            message = f"the answer is longer than {self._limits.answer_bytes} bytes"
            raise UpstreamFault(FaultKind.PROTOCOL, message)

    # -------------------------------------------------------- the end

    def _read_message_delta(self, value: Fields) -> None:
        delta = value.get("delta")
        fields = delta if isinstance(delta, dict) else {}
        self._report(value.get("usage"))
        rest = {k: v for k, v in value.items() if k not in ("type", "delta", "usage")}
        self._carry("response", rest)
        self._carry("choice", {k: v for k, v in fields.items() if k != "stop_reason"})
        self._finish_message(fields)
        if len(self._batch) == 0 or self._batch[-1].source is not self._source:
            self._batch.append(carrier(self._source))

    def _finish_message(self, fields: Fields) -> None:
        word = fields.get("stop_reason")
        if not isinstance(word, str) or not word:
            return
        if self.is_complete:
            self._is_exact = False
            return
        reason = STOP_REASONS.get(word) or _OTHER_REASONS.get(word, e.FinishReason.STOP)
        if reason is e.FinishReason.REFUSAL and (words := _explanation(fields)):
            self._batch.append(e.RefusalDelta(words, source=self._source))
        self._end(reason, "" if word in _PLAIN_REASONS else word)

    def _end(self, reason: e.FinishReason, detail: str = "") -> None:
        for index in list(self._open):
            self._close(index)
        self.is_complete = True
        self._batch.append(e.MessageFinished(reason, detail=detail, source=self._source))

    def _stop(self, value: Fields) -> None:
        self.is_over = True
        self._is_exact = self.is_complete
        self._carry("response", {k: v for k, v in value.items() if k != "type"})
        self.finish(self._batch)


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _explanation(message: Fields) -> str:
    """Why the model refused, in its own words."""
    details = message.get("stop_details")
    return _text(details, "explanation") if isinstance(details, dict) else ""


def _index(value: Fields) -> int:
    index = value.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else -1


_READERS: dict[str, Callable[[AnswerReader, Fields], None]] = {
    "message_start": AnswerReader._start,
    "content_block_start": AnswerReader._start_block,
    "content_block_delta": AnswerReader._read_block_delta,
    "content_block_stop": AnswerReader._stop_block,
    "message_delta": AnswerReader._read_message_delta,
    "message_stop": AnswerReader._stop,
}
