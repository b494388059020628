"""Events of a stream to canonical events: the one reading of a streamed and of a whole response.

A text may be told by its deltas, by the event that ends it, by the event that ends its item, or by
the final response alone; whatever was told once is not told again. What an event says in the way
OpenAI says it keeps its source, so that it can be passed on as it is; where something had to be put
right, the source's count stays 0 and the bytes are never used again. An event that means nothing to
other dialects becomes an ``Extra`` without fields, which carries its source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.seal import Sealer
from lipstream.errors import UpstreamFault
from lipstream.framing.surrogates import Halves
from lipstream.protocols.openai_responses import media
from lipstream.protocols.openai_responses.calls import CallReader
from lipstream.protocols.openai_responses.errors import fault_of_event, fault_of_response
from lipstream.protocols.openai_responses.reasoning import sealed
from lipstream.protocols.openai_responses.tracks import Track, Tracks
from lipstream.protocols.openai_responses.usage import decode_usage
from lipstream.protocols.openai_responses.wire import (
    CALLS,
    COMPLETED,
    CREATED,
    CUSTOM_CALL,
    FAILED,
    FUNCTION_CALL,
    IMAGE_CALL,
    IN_PROGRESS,
    INCOMPLETE,
    ITEM_ADDED,
    ITEM_DONE,
    MESSAGE,
    NAME,
    PART_DONE,
    QUEUED,
    REASONING,
    Fields,
    NewId,
    Place,
    WireEvent,
    WireSource,
    listed,
    reason_of,
    text_of,
)

_Text = type[e.TextDelta] | type[e.ReasoningDelta] | type[e.RefusalDelta]
_PARTS: dict[_Text, str] = {e.TextDelta: "text", e.ReasoningDelta: "reasoning"}


class EventReader:
    """Turns the events of one answer into canonical ones.

    Attributes:
        late: Pieces of content that came after the end of their item and were left out.
        fault: What the upstream reported instead of going on; nothing may be read after it.
        is_over: The answer is complete; nothing may be read after it.
        is_complete: Never: a final response ends an answer, not the end of the body.
    """

    is_complete = False

    def __init__(self, sealer: Sealer, new_id: NewId) -> None:
        self._sealer = sealer
        self._halves = Halves()
        self._tracks = Tracks()
        self._calls = CallReader(new_id, self._halves)
        self._open: tuple[Track, Place, _Text] | None = None  # the text that was told last
        self._has_started = False
        self._batch: e.Batch = []
        self._source: WireSource | None = None
        self._is_exact = True
        self.late = 0
        self.fault: UpstreamFault | None = None
        self.is_over = False

    def read(
        self, event: WireEvent, data: bytes, name: bytes, is_exact: bool, batch: e.Batch
    ) -> None:
        """Adds what one event says, which was read from ``data``."""
        source = self._source = WireSource(NAME, data, 0, name, event=event)
        self._batch = batch
        self._is_exact = is_exact
        first = len(batch)
        handler = _HANDLERS.get(event.type) if type(event.type) is str else None
        if handler is not None:
            handler(self, event)
        if len(batch) == first:
            if not self._has_started or self.fault is not None:
                return
            batch.append(e.Extra(NAME, "response", {}, source=source))
        if self._is_exact:
            source.count = len(batch) - first

    def finish(self, batch: e.Batch, response: Fields | None = None) -> None:
        """The answer is complete: tells what was not told, and ends what is open."""
        self._batch = batch
        if response is None:
            self._source = None
        self._start(response or {})
        for item, track in self._tracks.matched(listed((response or {}).get("output"))):
            if track is None:
                track = self._tracks.add(text_of(item.get("type")), None, item.get("id"))
            self._end_item(track, item)
        for track in self._tracks.all:
            self._end_item(track, {})
        self._end_part()
        if response is not None:
            self._read_response(response)
        has_calls = any(track.call >= 0 for track in self._tracks.all)
        reason, detail = reason_of(response or {}, has_calls=has_calls)
        batch.append(e.MessageFinished(reason, 0, detail, source=self._source))
        batch.append(e.Finished(source=self._source))
        self.is_over = True

    def expect_halves(self) -> None:
        """From here on texts may begin or end in half a character."""
        self._halves.is_on = True

    # -------------------------------------------------------- the answer

    def _start(self, response: Fields) -> None:
        if self._has_started:
            return
        self._has_started = True
        created: Any = response.get("created_at")
        is_number = isinstance(created, int | float) and not isinstance(created, bool)
        started = e.Started(
            text_of(response.get("id")),
            text_of(response.get("model")),
            int(created) if is_number and 0 <= created < 1 << 53 else 0,
            source=self._source,
        )
        self._batch += [started, e.MessageStarted(source=self._source)]

    def _need_start(self) -> None:
        """Some servers begin with the content."""
        if not self._has_started:
            self._start({})
            self._is_exact = False

    def _on_begin(self, event: WireEvent) -> None:
        if isinstance(event.response, dict):
            self._start(event.response)
        else:
            self._is_exact = False

    def _on_end(self, event: WireEvent) -> None:
        """The status counts, whatever the event is called."""
        response = event.response if isinstance(event.response, dict) else {}
        self._is_exact = self._is_exact and bool(response) and self._has_started
        if event.type == FAILED or response.get("status") in ("failed", "cancelled"):
            self.fault = fault_of_response(response)
        else:
            self.finish(self._batch, response)

    def _on_failure(self, event: WireEvent) -> None:
        self.fault = fault_of_response(event.response)

    def _on_error(self, event: WireEvent) -> None:
        self.fault = fault_of_event(event)

    def _read_response(self, response: Fields) -> None:
        usage = response.get("usage")
        if isinstance(usage, dict) and usage:
            self._batch.append(e.UsageReported(decode_usage(usage), source=self._source))
        if response:
            self._batch.append(e.Extra(NAME, "response", response, source=self._source))

    # -------------------------------------------------------- texts

    def _on_text(self, event: WireEvent) -> None:
        logprobs = tuple(event.logprobs) if isinstance(event.logprobs, list) else None
        self._tell(event, MESSAGE, ("content", event.content_index), e.TextDelta, logprobs or None)

    def _on_refusal(self, event: WireEvent) -> None:
        self._tell(event, MESSAGE, ("content", event.content_index), e.RefusalDelta)

    def _on_summary(self, event: WireEvent) -> None:
        self._tell(event, REASONING, ("summary", event.summary_index), e.ReasoningDelta)

    def _on_reasoning(self, event: WireEvent) -> None:
        self._tell(event, REASONING, ("content", event.content_index), e.ReasoningDelta)

    def _tell(
        self,
        event: WireEvent,
        kind: str,
        place: tuple[str, Any],
        text_type: _Text,
        logprobs: tuple[Fields, ...] | None = None,
    ) -> None:
        """A delta, or the whole text at its end where there were no deltas."""
        track = self._track(event, kind)
        if type(place[1]) is not int:
            place = (place[0], 0)
            self._is_exact = False
        text = event.delta
        if text is None:  # the event at the end
            text = event.refusal if text_type is e.RefusalDelta else event.text
            if place in track.told:
                return
        if type(text) is not str:
            text, self._is_exact = text_of(text), False
        if text or logprobs:
            self._append(track, place, text_type, text, logprobs)

    def _append(
        self,
        track: Track,
        place: Place,
        text_type: _Text,
        text: str,
        logprobs: tuple[Fields, ...] | None = None,
    ) -> None:
        key = (track, place, text_type)
        if key != self._open:
            self._turn_to(key)
        if self._halves.is_on:
            text = self._halves.whole(key, text)
        if not text and not logprobs:
            return
        if text_type is e.TextDelta:
            self._batch.append(e.TextDelta(text, 0, logprobs, source=self._source))
        else:
            self._batch.append(text_type(text, source=self._source))

    def _turn_to(self, key: tuple[Track, Place, _Text]) -> None:
        """Another text begins: of the same item, where it is reasoning, it is another paragraph."""
        track, place, text_type = key
        before = self._open
        is_same_item = before is not None and before[0] is track
        if before is not None and not (is_same_item and text_type is e.ReasoningDelta):
            self._end_part()
        self._open = key
        is_paragraph = text_type is e.ReasoningDelta and track.last not in (None, place)
        track.told.add(place)
        track.last = place
        if is_paragraph:
            self._batch.append(e.ReasoningDelta("\n\n", source=self._source))

    def _end_part(self) -> None:
        """The text that was told last is a whole part."""
        if self._open is None:
            return
        _, _, text_type = key = self._open
        self._open = None
        if rest := self._halves.rest(key):
            self._batch.append(text_type(rest, source=self._source))
        if text_type in _PARTS:
            self._batch.append(e.PartFinished(_PARTS[text_type], source=self._source))

    def _on_part_done(self, event: WireEvent) -> None:
        part = event.part if isinstance(event.part, dict) else {}
        track = self._track(event, "")
        if track.kind in (MESSAGE, REASONING):
            index = event.content_index if type(event.content_index) is int else 0
            self._read_part(track, ("content", index), part)
        if track.kind == MESSAGE and self._open is not None and self._open[0] is track:
            self._end_part()

    def _read_part(self, track: Track, place: Place, part: Fields) -> None:
        """A whole part of an item's content or summary."""
        if place in track.told:
            return
        kind = part.get("type")
        text = text_of(part.get("refusal" if kind == "refusal" else "text"))
        if track.kind == REASONING:
            text_type: _Text = e.ReasoningDelta
        else:
            text_type = e.RefusalDelta if kind == "refusal" else e.TextDelta
        if text:
            logprobs = tuple(listed(part.get("logprobs"))) if text_type is e.TextDelta else None
            self._append(track, place, text_type, text, logprobs or None)
        elif (found := media.decode_part(part, self._source)) is not None:
            self._end_part()
            track.told.add(place)
            self._batch.append(found)

    # -------------------------------------------------------- items

    def _track(self, event: WireEvent, kind: str) -> Track:
        """The item of an event; one that was not announced comes up now."""
        track = self._tracks.find(event, kind)
        if type(event.output_index) is not int:
            self._is_exact = False
        if track is None:
            self._need_start()
            self._is_exact = False
            track = self._tracks.add(kind, event.output_index, event.item_id)
        return track

    def _on_item(self, event: WireEvent) -> None:
        self._need_start()
        item = event.item if isinstance(event.item, dict) else {}
        kind = text_of(item.get("type"))
        track = self._tracks.add(kind, event.output_index, item.get("id"))
        if kind in CALLS and not self._calls.open(track, item, self._source, self._batch):
            self._is_exact = False

    def _on_item_done(self, event: WireEvent) -> None:
        self._need_start()
        item = event.item if isinstance(event.item, dict) else {}
        kind = text_of(item.get("type"))
        event.item_id = event.item_id or item.get("id")
        track = self._tracks.find(event, kind)
        if track is None:
            track = self._tracks.add(kind, event.output_index, item.get("id"))
        self._end_item(track, item)

    def _end_item(self, track: Track, item: Fields) -> None:
        """Tells what of an item was not told; without fields, only ends it."""
        if track.is_over:
            if track.kind == REASONING and item:
                sealed(item, self._sealer)  # encrypted anew: both are the provider's word
            return
        track.is_over = True
        if track.kind in CALLS:
            self._calls.end(track, item, self._source, self._batch)
        elif track.kind in (MESSAGE, REASONING):
            for group in ("summary", "content") if track.kind == REASONING else ("content",):
                for index, part in enumerate(listed(item.get(group))):
                    self._read_part(track, (group, index), part)
            self._end_text(track, item)
        elif item:
            self._end_part()
            found = media.decode_image(item, self._source) if track.kind == IMAGE_CALL else None
            extra = e.Extra(NAME, "whole_part", item, source=self._source)
            self._batch.append(found or extra)

    def _end_text(self, track: Track, item: Fields) -> None:
        is_open = self._open is not None and self._open[0] is track
        seal = sealed(item, self._sealer) if track.kind == REASONING else None
        if seal is None:
            if is_open:
                self._end_part()
            return
        if is_open and self._open is not None and (rest := self._halves.rest(self._open)):
            self._batch.append(e.ReasoningDelta(rest, source=self._source))
        elif not is_open:
            self._end_part()
        self._open = None
        self._batch.append(e.PartFinished("reasoning", seal, source=self._source))

    # -------------------------------------------------------- calls

    def _on_arguments(self, event: WireEvent) -> None:
        self._argue(event, FUNCTION_CALL)

    def _on_input(self, event: WireEvent) -> None:
        self._argue(event, CUSTOM_CALL)

    def _argue(self, event: WireEvent, kind: str) -> None:
        track = self._track(event, kind)
        if track.is_over:
            self.late += 1
            self._is_exact = False
            return
        self._is_exact = self._is_exact and track.call >= 0
        if event.delta is None:
            self._calls.argue_at_last(track, event, self._source, self._batch)
        else:
            self._is_exact = self._is_exact and type(event.delta) is str
            self._calls.argue(track, text_of(event.delta), self._source, self._batch)


_HANDLERS: dict[str, Callable[[EventReader, WireEvent], None]] = {
    CREATED: EventReader._on_begin,
    QUEUED: EventReader._on_begin,
    IN_PROGRESS: EventReader._on_begin,
    COMPLETED: EventReader._on_end,
    INCOMPLETE: EventReader._on_end,
    FAILED: EventReader._on_end,
    "response.done": EventReader._on_end,
    "response.cancelled": EventReader._on_failure,
    "error": EventReader._on_error,
    "response.error": EventReader._on_error,
    ITEM_ADDED: EventReader._on_item,
    ITEM_DONE: EventReader._on_item_done,
    PART_DONE: EventReader._on_part_done,
    "response.output_text.delta": EventReader._on_text,
    "response.output_text.done": EventReader._on_text,
    "response.refusal.delta": EventReader._on_refusal,
    "response.refusal.done": EventReader._on_refusal,
    "response.reasoning_summary_text.delta": EventReader._on_summary,
    "response.reasoning_summary_text.done": EventReader._on_summary,
    "response.reasoning_text.delta": EventReader._on_reasoning,
    "response.reasoning_text.done": EventReader._on_reasoning,
    "response.reasoning.delta": EventReader._on_reasoning,
    "response.reasoning.done": EventReader._on_reasoning,
    "response.function_call_arguments.delta": EventReader._on_arguments,
    "response.function_call_arguments.done": EventReader._on_arguments,
    "response.custom_tool_call_input.delta": EventReader._on_input,
    "response.custom_tool_call_input.done": EventReader._on_input,
}
