"""Writes the blocks of one stream: one after the other, each closed before the next is opened.

Text and thinking end when anything else begins. A call ends when its arguments do, and until then
whatever begins waits: other protocols let calls, and text beside them, come in turns. What waits is
kept in order and in pieces, is written as soon as the call before it is over, and is bounded.

The writer also counts the blocks that the encoder passes on as they came, so that both kinds can
follow each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs

from lipstream.canonical import events as e
from lipstream.canonical.seal import Seal, packed
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.sse import encode_json
from lipstream.protocols.anthropic_messages.wire import NAME, REDACTED, Fields

UNSEALED = packed(Seal("", ""))
"""The signature of reasoning that no provider has signed: a client must bring one back."""

_START = (
    b"event: content_block_start\n"
    b'data: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
)
_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
)
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_END = b"}}\n\n"

_EMPTY: dict[str, tuple[Fields, bytes, bytes]] = {
    # a block as it begins; the kind of its deltas, and the field that grows
    "text": ({"type": "text", "text": ""}, b"text_delta", b"text"),
    "thinking": (
        {"type": "thinking", "thinking": "", "signature": ""},
        b"thinking_delta",
        b"thinking",
    ),
    "tool_use": ({}, b"input_json_delta", b"partial_json"),
}


def signature_of(seal: Seal | None) -> str:
    """What stands for a seal: the provider's own word, or another protocol's seal, packed."""
    if seal is None:
        return UNSEALED
    return seal.value if seal.dialect == NAME else packed(seal)


@attrs.define(eq=False)
class _Part:
    """A text, a thinking or a call, written or waiting.

    Attributes:
        block: The block as it begins, where that is not always the same.
        is_over: Nothing more will come for it.
    """

    kind: str
    call: e.ToolCallStarted | None = None
    block: Fields | None = None
    seal: Seal | None = None
    is_over: bool = False
    is_passed: bool = False
    pieces: list[str] = attrs.field(factory=list)

    @property
    def is_custom(self) -> bool:
        """Whether it is a call of a free-text tool, whose text becomes an argument."""
        return self.call is not None and self.call.type == "custom"


class BlockWriter:
    """The blocks of one stream; every method returns the bytes to be sent now.

    Attributes:
        next: The index of the block that is opened next.
        has_calls: Whether there was a call.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._head: _Part | None = None
        self._opening = b""  # of a delta of the open block, up to its text
        self._queue: deque[_Part] = deque()
        self._calls: dict[int, _Part] = {}
        self.next = 0
        self.has_calls = False

    # -------------------------------------------------------- blocks that are passed on

    @property
    def may_open(self) -> bool:
        """Whether another block may begin now: nothing waits for a call to be over."""
        return not self._queue and (self._head is None or self._head.kind != "tool_use")

    def note_start(self, event: e.Event) -> bytes:
        """A block's start is passed on; ``event`` is the first that came of it."""
        out = self._close()
        part = _Part(_KINDS.get(type(event), "other"), is_passed=True)
        if isinstance(event, e.ToolCallStarted):
            part.call = event
            self._calls[event.index] = part
            self.has_calls = True
        self._open(part)
        return out

    def note_stop(self) -> bytes:
        """Its stop is passed on."""
        self._forget()
        return b""

    @property
    def is_passing(self) -> bool:
        """Whether the open block was passed on."""
        return self._head is not None and self._head.is_passed

    def takes(self, event: e.Event) -> bool:
        """Whether a delta belongs to the open block, which was passed on itself."""
        head = self._head
        if head is None or not head.is_passed:
            return False
        if type(event) is e.ToolCallDelta:
            return head.call is not None and head.call.index == event.index
        return _KINDS.get(type(event), head.kind) == head.kind

    # -------------------------------------------------------- text and thinking

    def text(self, text: str) -> bytes:
        """Visible text."""
        return self._grow("text", text)

    def thinking(self, text: str) -> bytes:
        """Reasoning."""
        return self._grow("thinking", text)

    def _grow(self, kind: str, text: str) -> bytes:
        if not text:
            return b""
        head = self._head
        if head is not None and head.kind == kind:
            return self._opening + encode_json(text) + _END
        last = self._queue[-1] if self._queue else None
        if last is not None and last.kind == kind and not last.is_over:
            return self._wait(last, text)
        return self._add(_Part(kind, pieces=[text]))

    def end_part(self, kind: str, seal: Seal | None) -> bytes:
        """The text or reasoning before it is over; a seal alone is a block of its own."""
        head, last = self._head, self._queue[-1] if self._queue else self._head
        if last is not None and last.kind == kind and not last.is_over:
            last.is_over = True
            if kind == "thinking":
                last.seal, seal = seal, None
            out = self._close() if last is head else b""
        else:
            out = b""
        return out + self.sealed(seal) if seal is not None else out

    def sealed(self, seal: Seal) -> bytes:
        """A seal without a text."""
        if seal.dialect != NAME:
            return self.whole({**REDACTED, "data": packed(seal)})
        if seal.fields.get("type") == REDACTED["type"]:
            return self.whole({**REDACTED, "data": seal.value})
        if not seal.value:
            return b""
        return self._add(_Part("thinking", seal=seal, is_over=True))

    def citations(self, entries: Any) -> bytes:
        """What the open text quotes; written if nothing has to wait."""
        head = self._head
        if head is None or head.kind != "text" or head.is_passed or not isinstance(entries, list):
            return b""
        deltas = ({"type": "citations_delta", "citation": entry} for entry in entries)
        return b"".join(
            b"event: content_block_delta\ndata: "
            + encode_json({"type": "content_block_delta", "index": self.next - 1, "delta": delta})
            + b"\n\n"
            for delta in deltas
        )

    def whole(self, block: Mapping[str, Any]) -> bytes:
        """A block that has no deltas."""
        if self._head is not None and self._head.kind == "other":
            return self._close()  # its start was passed on
        return self._add(_Part("whole", block=dict(block), is_over=True))

    # -------------------------------------------------------- calls

    def start_call(self, event: e.ToolCallStarted, more: Mapping[str, Any]) -> bytes:
        """A call begins; ``more`` are further fields of its block."""
        self.has_calls = True
        start = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
        part = _Part("tool_use", call=event, block={**more, **start})
        self._calls[event.index] = part
        if part.is_custom:
            part.pieces.append('{"input":"')
        return self._add(part)

    def argue(self, event: e.ToolCallDelta) -> bytes:
        """A piece of a call's arguments."""
        part = self._calls.get(event.index)
        if part is None or part.is_over:
            return b""
        text = event.arguments
        if part.is_custom:
            text = encode_json(text).decode()[1:-1]
        if part is self._head:
            return self._opening + encode_json(text) + _END if text else b""
        return self._wait(part, text)

    def end_call(self, event: e.ToolCallFinished) -> bytes:
        """A call is over: what waited for it is written."""
        part = self._calls.get(event.index)
        if part is None or part.is_over:
            return b""
        part.is_over, part.seal = True, event.seal
        is_head = part is self._head
        out = self._delta('"}') if is_head and part.is_custom else b""
        if part.is_custom and not is_head:
            part.pieces.append('"}')
        return out + self._close() + self._flush() if is_head else out

    def finish(self) -> bytes:
        """The message is over."""
        for part in self._queue:
            part.is_over = True
        return self._close() + self._flush() + self._close()

    # -------------------------------------------------------- one after the other

    def _add(self, part: _Part) -> bytes:
        """Writes a part, or lets it wait for the call under way."""
        if self._queue or (self._head is not None and self._head.kind == "tool_use"):
            if self._queue and self._queue[-1].kind != "tool_use":
                self._queue[-1].is_over = True
            self._queue.append(part)
            self._hold(sum(map(len, part.pieces)))
            return b""
        return self._close() + self._write(part)

    def _wait(self, part: _Part, text: str) -> bytes:
        part.pieces.append(text)
        self._hold(len(text))
        return b""

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._limit:
            message = f"more than {self._limit} characters of calls came in turns"
            raise UpstreamFault(FaultKind.PROTOCOL, message)

    def _flush(self) -> bytes:
        """Writes what has waited, up to a call that is not over."""
        out: list[bytes] = []
        while self._queue and self._head is None:
            part = self._queue.popleft()
            self._held -= sum(map(len, part.pieces))
            part.is_over = part.is_over or (bool(self._queue) and part.kind != "tool_use")
            out.append(self._write(part))
        return b"".join(out)

    def _write(self, part: _Part) -> bytes:
        """Opens a part and writes what there is of it; closes it if that is all."""
        block = _EMPTY[part.kind][0] if part.block is None else part.block
        start = _START % (self.next, encode_json(block))
        self._open(part)
        text, part.pieces = "".join(part.pieces), []
        out = start + self._delta(text)
        return out + self._close() if part.is_over else out

    def _open(self, part: _Part) -> None:
        self._head = part
        if part.kind in _EMPTY:
            _, kind, field = _EMPTY[part.kind]
            self._opening = _DELTA % (self.next, kind, field)
        self.next += 1

    def _delta(self, text: str) -> bytes:
        return self._opening + encode_json(text) + _END if text else b""

    def _close(self) -> bytes:
        """Closes the open block, with its signature; a call's seal has a block of its own."""
        head = self._head
        if head is None:
            return b""
        out = self._signature(head) + _STOP % (self.next - 1)
        self._forget()
        if head.kind == "tool_use" and head.seal is not None and head.seal.dialect != NAME:
            call_id = head.call.id if head.call is not None else ""
            seal = attrs.evolve(head.seal, call_id=call_id)
            block = {**REDACTED, "data": packed(seal)}
            out += _START % (self.next, encode_json(block)) + _STOP % self.next
            self.next += 1
        return out

    def _signature(self, part: _Part) -> bytes:
        if part.kind != "thinking" or part.is_passed:
            return b""
        value = signature_of(part.seal)
        if not value:
            return b""
        return (
            _DELTA % (self.next - 1, b"signature_delta", b"signature") + encode_json(value) + _END
        )

    def _forget(self) -> None:
        self._head = None
        self._opening = b""


_KINDS: dict[type[e.Event], str] = {
    e.TextDelta: "text",
    e.ReasoningDelta: "thinking",
    e.ToolCallStarted: "tool_use",
    e.ToolCallDelta: "tool_use",
    # what is over with its start
    e.PartFinished: "single",
    e.Media: "single",
}
