"""The calls of client tools in one answer: when one can be told, and what was told of it.

A call is told when its name is known; arguments that come before are kept until then. Its id is the
``call_id``, which is what its result has to name; the id of the item only leads to it within the
stream. An id that is missing, or taken, is made up.
"""

from __future__ import annotations

from lipstream.canonical import events as e
from lipstream.framing.surrogates import Halves
from lipstream.protocols.openai_responses.tracks import Track
from lipstream.protocols.openai_responses.wire import (
    CALLS,
    CUSTOM_CALL,
    Fields,
    NewId,
    Place,
    WireEvent,
    text_of,
)

_ARGUMENTS: Place = ("call", 0)


class CallReader:
    """Turns what the stream says of calls into events."""

    __slots__ = ("_count", "_halves", "_ids", "_new_id")

    def __init__(self, new_id: NewId, halves: Halves) -> None:
        self._new_id = new_id
        self._halves = halves
        self._ids: set[str] = set()
        self._count = 0

    def open(self, track: Track, item: Fields, source: e.Source | None, batch: e.Batch) -> bool:
        """A call came up; whether its bytes say what is told."""
        self._learn(track, item)
        if not track.name:
            return False
        self._start(track, source, batch)
        return track.call_id == item.get("call_id")

    def argue(self, track: Track, text: str, source: e.Source | None, batch: e.Batch) -> None:
        """A piece of the arguments, or all of them."""
        track.told.add(_ARGUMENTS)
        if track.call < 0:
            track.held.append(text)
            return
        if self._halves.is_on:
            text = self._halves.whole(track, text)
        if text:
            batch.append(e.ToolCallDelta(track.call, text, source=source))

    def argue_at_last(
        self, track: Track, event: WireEvent, source: e.Source | None, batch: e.Batch
    ) -> None:
        """All arguments, where no piece of them came."""
        if not track.name and isinstance(event.name, str) and event.name:
            track.name = event.name
            self._start(track, source, batch)
        whole = event.arguments if event.input is None else event.input
        if _ARGUMENTS not in track.told and (text := text_of(whole)):
            self.argue(track, text, source, batch)

    def end(self, track: Track, item: Fields, source: e.Source | None, batch: e.Batch) -> None:
        """A call is complete; one that never got a name is told without."""
        self._learn(track, item)
        text = text_of(item.get(CALLS[track.kind]))
        if track.call < 0:
            if not (track.name or track.call_id or track.held or text):
                return  # an empty place, not a call
            self._start(track, source, batch)
        if text and _ARGUMENTS not in track.told:
            self.argue(track, text, source, batch)
        if rest := self._halves.rest(track):
            batch.append(e.ToolCallDelta(track.call, rest, source=source))
        batch.append(e.ToolCallFinished(track.call, source=source))

    def _learn(self, track: Track, item: Fields) -> None:
        track.name = track.name or text_of(item.get("name"))
        if track.call < 0:
            track.call_id = text_of(item.get("call_id")) or track.call_id or track.id

    def _start(self, track: Track, source: e.Source | None, batch: e.Batch) -> None:
        if not track.call_id or track.call_id in self._ids:
            track.call_id = f"call_{self._new_id()}"
        self._ids.add(track.call_id)
        track.call = self._count
        self._count += 1
        kind = "custom" if track.kind == CUSTOM_CALL else "function"
        batch.append(
            e.ToolCallStarted(track.call, track.call_id, track.name, 0, kind, source=source)
        )
        held, track.held = "".join(track.held), []
        if held:
            self.argue(track, held, source, batch)
