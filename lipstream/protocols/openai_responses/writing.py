"""The events by which a client is told items: each one's beginning, growth and end.

A delta costs one encoding of its text: what stands before it is made once for each part. Everything
else is rare and is written as it reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from lipstream.framing.sse import encode_json, encode_sse
from lipstream.protocols.openai_responses.outline import (
    REASONING_TEXT,
    REFUSAL,
    SUMMARY,
    TEXT,
    Item,
    OpenPart,
    Outline,
)
from lipstream.protocols.openai_responses.wire import (
    CALLS,
    CUSTOM_CALL,
    FUNCTION_CALL,
    IMAGE_CALL,
    ITEM_ADDED,
    ITEM_DONE,
    PART_ADDED,
    PART_DONE,
    SUMMARY_ADDED,
    SUMMARY_DONE,
    Fields,
)

TEXTS = {
    # kind of part: what its events are called, and where the one at the end has the text
    TEXT: ("response.output_text", "text"),
    REFUSAL: ("response.refusal", "refusal"),
    SUMMARY: ("response.reasoning_summary_text", "text"),
    REASONING_TEXT: ("response.reasoning_text", "text"),
}
_ARGUMENTS = {
    FUNCTION_CALL: "response.function_call_arguments",
    CUSTOM_CALL: "response.custom_tool_call_input",
}
_BARE: tuple[Mapping[str, object], ...] = ()


class Writer:
    """Writes events and keeps the outline of what they tell.

    Attributes:
        sequence: The number of the next event.
        out: What was written and not yet taken.
    """

    __slots__ = ("out", "outline", "sequence")

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.sequence = 0
        self.out: list[bytes] = []

    def emit(self, kind: str, fields: Fields) -> None:
        """One event."""
        data = encode_json({"type": kind, **fields, "sequence_number": self.sequence})
        self.sequence += 1
        self.out.append(encode_sse(data, kind.encode()))

    # -------------------------------------------------------- items

    def open_item(self, kind: str, call_id: str = "", name: str = "") -> Item:
        """A new item; one that is a call has an id and a name."""
        item = self.outline.add(kind)
        item.call_id, item.name = call_id, name
        self.emit(ITEM_ADDED, {"output_index": item.index, "item": item.wire("in_progress")})
        return item

    def close_item(self, item: Item, status: str) -> None:
        """The end of an item, and of what is open in it."""
        if item.is_over:
            return
        if item.kind in CALLS:
            arguments = {CALLS[item.kind]: item.arguments.text}
            named = {"name": item.name} if item.kind == FUNCTION_CALL else {}
            place = {"item_id": item.id, "output_index": item.index}
            self.emit(f"{_ARGUMENTS[item.kind]}.done", {**place, **named, **arguments})
        else:
            for part in item.parts.values():
                self.close_part(item, part)
        item.final, item.is_over = item.wire(status), True
        self.emit(ITEM_DONE, {"output_index": item.index, "item": item.final})

    def put_item(self, fields: Fields) -> None:
        """An item that comes as a whole, and may have been announced."""
        item = self.outline.find(fields.get("id")) if fields.get("id") else None
        if item is None:
            item = self.outline.add(str(fields.get("type")))
            is_large = fields.get("type") == IMAGE_CALL
            begun = {**fields, "status": "in_progress", "result": None} if is_large else fields
            self.emit(ITEM_ADDED, {"output_index": item.index, "item": begun})
        item.final, item.is_over = fields, True
        self.emit(ITEM_DONE, {"output_index": item.index, "item": fields})

    def argue(self, item: Item, text: str) -> None:
        """A piece of a call's arguments."""
        part = item.arguments
        part.pieces.append(text)
        if not part.head:
            part.head = _head(_ARGUMENTS[item.kind], item)
        self._delta(part, text)

    # -------------------------------------------------------- parts

    def open_part(self, item: Item, kind: str, fields: Fields | None = None) -> OpenPart:
        """A new part of an item."""
        part = item.open(kind, fields)
        added = SUMMARY_ADDED if kind == SUMMARY else PART_ADDED
        self.emit(added, {**_place(item, part), "part": part.wire()})
        return part

    def add(
        self,
        item: Item,
        part: OpenPart,
        text: str,
        logprobs: tuple[Mapping[str, object], ...] | None = None,
    ) -> None:
        """A piece of a part's text."""
        part.pieces.append(text)
        if not part.head:
            part.head = _head(TEXTS[part.kind][0], item, part)
        if logprobs:
            part.logprobs.extend(logprobs)
        self._delta(part, text, logprobs or _BARE)

    def _delta(
        self, part: OpenPart, text: str, logprobs: tuple[Mapping[str, object], ...] = _BARE
    ) -> None:
        number, self.sequence = self.sequence, self.sequence + 1
        if part.kind != TEXT:
            end = b',"sequence_number":%d}\n\n' % number
        elif logprobs:
            end = b',"logprobs":%b,"sequence_number":%d}\n\n' % (encode_json(logprobs), number)
        else:
            end = b',"logprobs":[],"sequence_number":%d}\n\n' % number
        self.out.append(part.head + encode_json(text) + end)

    def close_part(self, item: Item, part: OpenPart) -> None:
        """The end of a part."""
        if part.is_over:
            return
        part.is_over = True
        place = _place(item, part)
        if part.kind in TEXTS:
            kind, field = TEXTS[part.kind]
            more = {"logprobs": part.logprobs} if part.kind == TEXT else {}
            self.emit(f"{kind}.done", {**place, field: part.text, **more})
        done = SUMMARY_DONE if part.kind == SUMMARY else PART_DONE
        self.emit(done, {**place, "part": part.wire()})


def _place(item: Item, part: OpenPart) -> Fields:
    name = "summary_index" if part.kind == SUMMARY else "content_index"
    return {"item_id": item.id, "output_index": item.index, name: part.index}


def _head(kind: str, item: Item, part: OpenPart | None = None) -> bytes:
    """A delta up to its text."""
    place = {"item_id": item.id, "output_index": item.index}
    fields = {"type": f"{kind}.delta", **(place if part is None else _place(item, part))}
    return b'event: %b.delta\ndata: %b,"delta":' % (kind.encode(), encode_json(fields)[:-1])
