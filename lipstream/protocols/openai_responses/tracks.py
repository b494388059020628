"""The items of an answer while it is read: which event belongs to which, and what was told of it.

Servers number items by ``output_index`` and name them by ``item_id``; some leave out one of them,
and some give an item another id at the end. The rules:

- An ``output_index`` leads to its item, else the id does, else an event is for the last item of
  its kind that is not over.
- The items of the final response are matched by id, then by the id of the call, then in order to
  those of their kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lipstream.protocols.openai_responses.wire import Fields, Place, WireEvent


class Track:
    """One item.

    Attributes:
        call: Its number among the calls of client tools once it is told, else -1.
        held: Arguments that came before the call could be told.
        told: Of which of its texts something was told.
        last: The one that was told last.
        is_over: All of it was told.
    """

    __slots__ = ("call", "call_id", "held", "id", "is_over", "kind", "last", "name", "told")

    def __init__(self, kind: str, item_id: str = "") -> None:
        self.kind = kind
        self.id = item_id
        self.call = -1
        self.call_id = self.name = ""
        self.held: list[str] = []
        self.told: set[Place] = set()
        self.last: Place | None = None
        self.is_over = False


class Tracks:
    """All items of one answer, in the order in which they came up."""

    __slots__ = ("_by_id", "_by_index", "all")

    def __init__(self) -> None:
        self.all: list[Track] = []
        self._by_index: dict[int, Track] = {}
        self._by_id: dict[str, Track] = {}

    def find(self, event: WireEvent, kind: str) -> Track | None:
        """The item that an event tells something of."""
        track = self._by_index.get(event.output_index) if _is_index(event.output_index) else None
        if track is None and isinstance(event.item_id, str):
            track = self._by_id.get(event.item_id)
        if track is not None:
            return track if kind in ("", track.kind) else None
        if kind and not _is_index(event.output_index) and not event.item_id:
            return next((t for t in reversed(self.all) if t.kind == kind and not t.is_over), None)
        return None

    def add(self, kind: str, index: Any = None, item_id: Any = None) -> Track:
        """A new item."""
        track = Track(kind, item_id if isinstance(item_id, str) else "")
        self.all.append(track)
        if _is_index(index):
            self._by_index[index] = track
        if track.id:
            self._by_id[track.id] = track
        return track

    def matched(self, items: list[Fields]) -> Iterator[tuple[Fields, Track | None]]:
        """Each item of the final response with the one that was tracked, if any was."""
        left = {id(track): track for track in self.all}
        by_call = {track.call_id: track for track in self.all if track.call_id}
        found: dict[int, Track] = {}
        for place, item in enumerate(items):
            track = self._by_id.get(_name(item, "id")) or by_call.get(_name(item, "call_id"))
            if track is not None and track.kind == item.get("type") and id(track) in left:
                found[place] = left.pop(id(track))
        queues: dict[str, list[Track]] = {}
        for track in reversed(left.values()):
            queues.setdefault(track.kind, []).append(track)
        for place, item in enumerate(items):
            queue = queues.get(_name(item, "type"))
            if place not in found and queue:
                found[place] = queue.pop()
            yield item, found.get(place)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _name(item: Fields, field: str) -> str:
    value = item.get(field)
    return value if isinstance(value, str) else ""
