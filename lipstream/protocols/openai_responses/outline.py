"""The items of an answer as a client was told them: what the end of its stream has to repeat.

Texts are kept in pieces and joined when their part ends, so that work is linear in what was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.protocols.openai_responses.wire import (
    CALLS,
    CUSTOM_CALL,
    FUNCTION_CALL,
    MESSAGE,
    REASONING,
    Fields,
    NewId,
    Place,
    texts_of,
)

PREFIXES = {MESSAGE: "msg", REASONING: "rs", FUNCTION_CALL: "fc", CUSTOM_CALL: "ctc"}
TEXT, REFUSAL = "output_text", "refusal"
SUMMARY, REASONING_TEXT = "summary_text", "reasoning_text"
_GROUPS = {SUMMARY: "summary"}  # where the parts of a kind stand; in the content, unless said here


class OpenPart:
    """A text within an item.

    Attributes:
        kind: The type of the part on the wire.
        index: Its place in the list that it stands in.
        fields: What it has beside its text.
        head: An event that adds to it, up to the text.
    """

    __slots__ = ("fields", "head", "index", "is_over", "kind", "logprobs", "pieces")

    def __init__(self, kind: str, index: int, fields: Fields | None = None) -> None:
        self.kind = kind
        self.index = index
        self.pieces: list[str] = []
        self.logprobs: list[Mapping[str, Any]] = []
        self.fields = fields
        self.head = b""
        self.is_over = False

    @property
    def text(self) -> str:
        """All of it."""
        if len(self.pieces) != 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0]

    def wire(self) -> Fields:
        """The part as it stands now."""
        if self.fields is not None:
            return self.fields
        if self.kind == REFUSAL:
            return {"type": REFUSAL, "refusal": self.text}
        if self.kind == TEXT:
            return {"type": TEXT, "text": self.text, "annotations": [], "logprobs": self.logprobs}
        return {"type": self.kind, "text": self.text}


class Item:
    """One item.

    Attributes:
        final: The item as it was ended, here or by an upstream whose answer is passed on.
        encrypted: What lets reasoning come back.
        is_over: It was told to its end.
        is_ours: It was made here, not by an upstream that speaks this dialect.
    """

    def __init__(self, index: int, kind: str, item_id: str, *, is_ours: bool = True) -> None:
        self.index = index
        self.kind = kind
        self.id = item_id
        self.parts: dict[Place, OpenPart] = {}
        self.call_id = self.name = ""
        self.encrypted = ""
        self.final: Fields | None = None
        self.is_over = False
        self.is_ours = is_ours

    def open(self, kind: str, fields: Fields | None = None) -> OpenPart:
        """A new part behind the others of its list."""
        group = _GROUPS.get(kind, "content")
        index = sum(place[0] == group for place in self.parts)
        part = self.parts[group, index] = OpenPart(kind, index, fields)
        return part

    def part_at(self, place: Place, kind: str) -> OpenPart:
        """The part at a place, which may be new."""
        part = self.parts.get(place)
        if part is None:
            part = self.parts[place] = OpenPart(kind, place[1])
        return part

    def wire(self, status: str) -> Fields:
        """The item as it stands now."""
        if self.final is not None:
            return self.final
        fields: Fields = {"id": self.id, "type": self.kind}
        if self.kind == REASONING:
            fields["summary"] = self._list("summary")
            if content := self._list("content"):
                fields["content"] = content
            if self.encrypted:
                fields["encrypted_content"] = self.encrypted
            return fields
        fields["status"] = status
        if self.kind == MESSAGE:
            return {**fields, "role": "assistant", "content": self._list("content")}
        text = self.arguments.text
        return {**fields, CALLS[self.kind]: text, "call_id": self.call_id, "name": self.name}

    @property
    def arguments(self) -> OpenPart:
        """Those of a call."""
        return self.part_at(("call", 0), "")

    def _list(self, group: str) -> list[Fields]:
        return [part.wire() for place, part in sorted(self.parts.items()) if place[0] == group]


class Outline:
    """All items of one answer, by their place in it.

    Args:
        new_id: Makes up the random part of an item's id.
    """

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._next = 0
        self.items: dict[int, Item] = {}

    def add(self, kind: str) -> Item:
        """A new item at the end, with an id of its own."""
        return self.put(Item(self._next, kind, f"{PREFIXES.get(kind, 'item')}_{self._new_id()}"))

    def put(self, item: Item) -> Item:
        """An item that an upstream placed."""
        self.items[item.index] = item
        self._next = max(self._next, item.index + 1)
        return item

    def find(self, item_id: Any) -> Item | None:
        """The item with an id."""
        return next((item for item in self.items.values() if item.id == item_id), None)

    def wire(self, status: str = "completed") -> list[Fields]:
        """The output, as far as it came to its end."""
        items = (self.items[index] for index in sorted(self.items))
        return [item.wire(status) for item in items if item.is_over]


def agrees(item: Item, wire: Mapping[str, Any], *, may_be_new: bool) -> bool:
    """Whether an item on the wire says what was told of it.

    Args:
        may_be_new: Texts of which nothing was told are told by this very event.
    """
    for place, text in texts_of(wire):
        part = item.parts.get(place)
        if part is None or not part.pieces:
            if text and not may_be_new:
                return False
        elif part.text != text:
            return False
    return True


def adopt(item: Item, wire: Fields) -> None:
    """The end of an item, with the texts that only it told."""
    for place, text in texts_of(wire):
        part = item.part_at(place, "")
        if not part.pieces:
            part.pieces.append(text)
    item.final, item.is_over = wire, True
