"""Passing on the stream of an upstream that speaks this dialect, and keeping book of it.

An event is passed on as it came when all that was decoded from it is still there, and when it says
nothing that was not told: the events at the end of a text, of an item and of the response repeat
texts, and are only passed on if those are the ones that went before. Else whatever a stage took out
of the stream would be told at its end after all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from lipstream.canonical import events as e
from lipstream.framing.sse import encode_json, encode_sse, escape_line_ends
from lipstream.protocols.openai_responses.outline import (
    REASONING_TEXT,
    REFUSAL,
    SUMMARY,
    TEXT,
    Item,
    OpenPart,
    Outline,
    adopt,
    agrees,
)
from lipstream.protocols.openai_responses.wire import (
    CALLS,
    COMPLETED,
    CREATED,
    IN_PROGRESS,
    INCOMPLETE,
    ITEM_ADDED,
    ITEM_DONE,
    MESSAGE,
    PART_ADDED,
    PART_DONE,
    QUEUED,
    REASONING,
    SUMMARY_ADDED,
    SUMMARY_DONE,
    Fields,
    Place,
    WireEvent,
    WireSource,
    listed,
    text_of,
    texts_of,
)

_CONTENT = (e.TextDelta, e.ReasoningDelta, e.RefusalDelta, e.ToolCallDelta, e.Media)
_PLAIN = frozenset({e.TextDelta, e.ReasoningDelta, e.RefusalDelta, e.ToolCallDelta})
_Group = Sequence[e.Event]


class Passage:
    """What was passed on so far.

    Args:
        model: What is told to be the model, in place of the upstream's word.

    Attributes:
        base: The response as the upstream began it.
        calls: The items of the calls, by their number among them.
        is_complete: The final response was passed on.
        sequence: The number that the next event has to have.
    """

    def __init__(self, outline: Outline, model: str | None) -> None:
        self._model = model
        self._outline = outline
        self._last: Item | None = None
        self.base: Fields | None = None
        self.calls: dict[int, Item] = {}
        self.is_complete = False
        self.sequence = 0

    def passed(self, events: Sequence[e.Event], place: int, out: list[bytes]) -> int:
        """How many events from here on were passed on together; 0 where none may be."""
        source = events[place].source
        if not isinstance(source, WireSource) or not source.count:
            return 0
        count = source.count
        wire = source.event
        if count == 1 and type(events[place]) in _PLAIN:
            group: _Group = events[place : place + 1]
        else:
            group = events[place : place + count]
            if len(group) < count or any(event.source is not source for event in group):
                return 0
        note = _NOTES.get(wire.type)
        if note is not None and not note(self, wire, group):
            return 0
        number = wire.sequence_number
        self.sequence = (number if type(number) is int else self.sequence) + 1
        out.append(self._frame(source))
        return count

    def unfinished(self) -> Item | None:
        """The message or the reasoning that was being told last, where it is not over."""
        item = self._last
        return None if item is None or item.is_over else item

    def _frame(self, source: WireSource) -> bytes:
        data, wire = source.data, source.event
        if self._model is not None and isinstance(wire.response, dict):
            response = {**wire.response, "model": self._model}
            data = encode_json({**_fields(data, wire), "response": response})
        elif not data.isascii():
            data = escape_line_ends(data)
        is_sound = wire.type.isprintable()  # a line end in it would begin another field
        return encode_sse(data, wire.type.encode() if is_sound else None)

    # -------------------------------------------------------- what an event tells

    def _on_begin(self, wire: WireEvent, group: _Group) -> bool:
        base = {**(self.base or {}), **wire.response}
        if self._model is not None:
            base["model"] = self._model
        self.base = base
        return isinstance(base.get("id"), str)

    def _on_item(self, wire: WireEvent, group: _Group) -> bool:
        """Begins an item; what it says already is not told before its end."""
        item = self._new_item(wire)
        if item is None or any(text for _, text in texts_of(wire.item)):
            return False
        self._outline.put(item)
        if item.kind in CALLS:
            self._note_call(item, group)
        elif item.kind in (MESSAGE, REASONING):
            self._last = item
        return True

    def _new_item(self, wire: WireEvent) -> Item | None:
        fields = wire.item
        if not isinstance(fields, dict) or type(wire.output_index) is not int:
            return None
        kind, item_id = text_of(fields.get("type")), text_of(fields.get("id"))
        item = Item(wire.output_index, kind, item_id, is_ours=False)
        item.call_id, item.name = text_of(fields.get("call_id")), text_of(fields.get("name"))
        return item

    def _item_of(self, wire: WireEvent) -> Item | None:
        index = wire.output_index
        return self._outline.items.get(index) if type(index) is int else None

    def _note_call(self, item: Item, group: _Group) -> None:
        for event in group:
            if isinstance(event, e.ToolCallStarted):
                self.calls[event.index] = item

    def _on_part(self, wire: WireEvent, group: _Group) -> bool:
        item = self._item_of(wire)
        part = wire.part if isinstance(wire.part, dict) else {}
        is_summary = wire.type == SUMMARY_ADDED
        index = wire.summary_index if is_summary else wire.content_index
        if item is None or type(index) is not int:
            return False
        if part.get("text") or part.get("refusal"):
            return False
        usual = REASONING_TEXT if item.kind == REASONING else TEXT
        kind = SUMMARY if is_summary else text_of(part.get("type")) or usual
        item.parts["summary" if is_summary else "content", index] = OpenPart(kind, index)
        return True

    def _on_part_done(self, wire: WireEvent, group: _Group) -> bool:
        """It is whole: it says what was told of it, or is what tells it."""
        item = self._item_of(wire)
        is_summary = wire.type == SUMMARY_DONE
        index = wire.summary_index if is_summary else wire.content_index
        if item is None or type(index) is not int or not isinstance(wire.part, dict):
            return False
        part = item.parts.get(("summary" if is_summary else "content", index))
        text = wire.part.get("refusal" if wire.part.get("type") == REFUSAL else "text")
        if part is None or not self._holds(part, text, group):
            return False
        part.is_over = True
        return True

    def _holds(self, part: OpenPart, text: object, group: _Group) -> bool:
        if not isinstance(text, str):
            return any(isinstance(event, e.Media) for event in group)
        if not part.pieces and any(isinstance(event, _CONTENT) for event in group):
            part.pieces.append(text)
        return part.text == text

    def _on_item_done(self, wire: WireEvent, group: _Group) -> bool:
        new = self._new_item(wire)
        if new is None:
            return False
        item = self._outline.items.get(wire.output_index, new)
        if not self._agrees(item, wire.item, group):
            return False
        if item is new:
            self._outline.put(item)
        if item.kind in CALLS:
            self._note_call(item, group)
        adopt(item, wire.item)
        return True

    def _agrees(self, item: Item, fields: Fields, group: _Group) -> bool:
        is_telling = any(isinstance(event, _CONTENT) for event in group)
        return agrees(item, fields, may_be_new=is_telling)

    def _on_end(self, wire: WireEvent, group: _Group) -> bool:
        """The final response: every item says what was told of it."""
        for index, fields in enumerate(listed(wire.response.get("output"))):
            item = self._outline.items.get(index)
            if item is None or item.kind != fields.get("type"):
                item = Item(index, text_of(fields.get("type")), "")
            if not self._agrees(item, fields, group):
                return False
        self.is_complete = True
        return True

    # -------------------------------------------------------- texts

    def _on_text(self, wire: WireEvent, group: _Group) -> bool:
        return self._add(wire, ("content", wire.content_index), TEXT, wire.text, group)

    def _on_refusal(self, wire: WireEvent, group: _Group) -> bool:
        return self._add(wire, ("content", wire.content_index), REFUSAL, wire.refusal, group)

    def _on_summary(self, wire: WireEvent, group: _Group) -> bool:
        return self._add(wire, ("summary", wire.summary_index), SUMMARY, wire.text, group)

    def _on_reasoning(self, wire: WireEvent, group: _Group) -> bool:
        return self._add(wire, ("content", wire.content_index), REASONING_TEXT, wire.text, group)

    def _on_call(self, wire: WireEvent, group: _Group) -> bool:
        whole = wire.arguments if wire.input is None else wire.input
        return self._add(wire, ("call", 0), "", whole, group)

    def _add(self, wire: WireEvent, place: Place, kind: str, whole: object, group: _Group) -> bool:
        item = self._item_of(wire)
        if item is None:
            return False
        part = item.parts.get(place)
        if part is None:
            part = item.part_at(place, kind)
        if wire.delta is None:
            return self._holds(part, whole, group)
        part.pieces.append(wire.delta)
        return True


def _fields(data: bytes, wire: WireEvent) -> Fields:
    """All fields of an event, or those that were read, where others cannot be."""
    try:
        fields: Fields = msgspec.json.decode(data)
    except msgspec.DecodeError:
        fields = {"type": wire.type, "response": None, "sequence_number": wire.sequence_number}
    return fields


_NOTES: dict[str, Callable[[Passage, WireEvent, _Group], bool]] = {
    CREATED: Passage._on_begin,
    QUEUED: Passage._on_begin,
    IN_PROGRESS: Passage._on_begin,
    COMPLETED: Passage._on_end,
    INCOMPLETE: Passage._on_end,
    "response.done": Passage._on_end,
    ITEM_ADDED: Passage._on_item,
    ITEM_DONE: Passage._on_item_done,
    PART_ADDED: Passage._on_part,
    SUMMARY_ADDED: Passage._on_part,
    PART_DONE: Passage._on_part_done,
    SUMMARY_DONE: Passage._on_part_done,
    "response.output_text.delta": Passage._on_text,
    "response.output_text.done": Passage._on_text,
    "response.refusal.delta": Passage._on_refusal,
    "response.refusal.done": Passage._on_refusal,
    "response.reasoning_summary_text.delta": Passage._on_summary,
    "response.reasoning_summary_text.done": Passage._on_summary,
    "response.reasoning_text.delta": Passage._on_reasoning,
    "response.reasoning_text.done": Passage._on_reasoning,
    "response.function_call_arguments.delta": Passage._on_call,
    "response.function_call_arguments.done": Passage._on_call,
    "response.custom_tool_call_input.delta": Passage._on_call,
    "response.custom_tool_call_input.done": Passage._on_call,
}
