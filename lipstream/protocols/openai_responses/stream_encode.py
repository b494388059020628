"""Events to one client's stream of a response.

Where the upstream spoke this dialect too, each of its events is passed on as it came, as long as
that says nothing else than the events do (:mod:`.passing`). From the first one on that may not be
passed, the rest is written here, with the ids and places that the client knows already.

What is written here has one message or reasoning item open at a time; calls may overlap. Reasoning
and calls whose seal another dialect wrote take it along, packed into a reasoning item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.openai_error import code_of
from lipstream.canonical.problem import Problem, causes_of
from lipstream.canonical.usage import Usage
from lipstream.framing.sse import encode_sse
from lipstream.protocols.openai_responses import media
from lipstream.protocols.openai_responses.echo import echo, ended
from lipstream.protocols.openai_responses.outline import (
    REFUSAL,
    SUMMARY,
    TEXT,
    Item,
    OpenPart,
    Outline,
)
from lipstream.protocols.openai_responses.passing import Passage
from lipstream.protocols.openai_responses.reasoning import UNSEALED, encrypted
from lipstream.protocols.openai_responses.usage import encode_usage
from lipstream.protocols.openai_responses.wire import (
    CALLS,
    COMPLETED,
    CREATED,
    CUSTOM_CALL,
    DONE,
    FAILED,
    FUNCTION_CALL,
    IN_PROGRESS,
    INCOMPLETE,
    MESSAGE,
    NAME,
    REASONING,
    Fields,
    NewId,
    WireSource,
)
from lipstream.protocols.openai_responses.writing import TEXTS, Writer

_ENDS = {"completed": COMPLETED, "incomplete": INCOMPLETE, "failed": FAILED}
_CUT = frozenset({e.FinishReason.LENGTH, e.FinishReason.CONTENT_FILTER, e.FinishReason.REFUSAL})
_KNOWN = frozenset({"id", "model", "output", "usage", "output_text"})


class ResponseStreamEncoder:
    """One client's stream; see ``interfaces.StreamEncoder``.

    Args:
        model: What is told to be the model, in place of the upstream's word.
        new_id: Makes up the random part of the ids that are made here.
        clock: Unix time, for what the upstream did not say.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(
        self, call: Call, model: str | None, new_id: NewId, clock: Callable[[], float]
    ) -> None:
        self._call = call
        self._model = model
        self._new_id = new_id
        self._clock = clock
        self._own_id = f"resp_{new_id()}"
        outline = Outline(new_id)
        self._writer = Writer(outline)
        self._passage = Passage(outline, model)
        self._is_passing = call.dialect == NAME
        self._base: Fields | None = None  # the response as it began
        self._item: Item | None = None  # the message or the reasoning under way
        self._part: OpenPart | None = None  # of it
        self._calls: dict[int, Item] = {}
        self._bare: Item | None = None  # the last call, where it ended without arguments
        self._usage: Usage | None = None
        self._reason = e.FinishReason.STOP

    @property
    def response_id(self) -> str:
        """The id that the client is told.

        An upstream of this dialect has its own, which takes the place of the one that was made up,
        once, before anything is written.
        """
        base = self._passage.base or self._base
        return self._own_id if base is None else str(base["id"])

    def encode(self, batch: Iterable[e.Event]) -> bytes:
        """The wire bytes of a batch."""
        events = batch if isinstance(batch, list) else list(batch)
        out, place = self._writer.out, 0
        while place < len(events):
            event = events[place]
            if self._is_passing:
                passed = self._passage.passed(events, place, out)
                if passed:
                    place += passed
                    continue
                if isinstance(event, e.Notice):
                    place += 1
                    continue
                self._stop_passing()
            encoder = _ENCODERS.get(type(event))
            if encoder is not None and not getattr(event, "choice", 0):
                encoder(self, event)
            place += 1
        if self._passage.is_complete:
            self._passage.is_complete = False
            out.append(encode_sse(DONE))
        return self._taken()

    def encode_problem(self, problem: Problem) -> bytes:
        """An ``error`` event, and the response that failed, where it had begun."""
        error = {"code": code_of(problem), "message": problem.message}
        base = self._passage.base if self._is_passing else self._base
        if self._is_passing:
            self._writer.sequence = self._passage.sequence
        self._writer.emit("error", {**error, "param": problem.param, **causes_of(problem)})
        if base is not None:
            output = self._writer.outline.wire()
            failed = {**base, "status": "failed", "error": error, "output": output}
            self._writer.emit(FAILED, {"response": failed})
        return self._taken()

    def keepalive(self) -> bytes:
        """A comment."""
        return b": keepalive\n\n"

    def _taken(self) -> bytes:
        out = b"".join(self._writer.out)
        self._writer.out.clear()
        return out

    def _stop_passing(self) -> None:
        """From here on events are written anew."""
        self._is_passing = False
        passage = self._passage
        self._base, self._calls, self._item = passage.base, passage.calls, passage.unfinished()
        self._writer.sequence = passage.sequence
        if self._item is not None:
            parts = self._item.parts.values()
            known = [part for part in parts if part.kind in TEXTS and not part.is_over]
            self._part = known[-1] if known else None

    # -------------------------------------------------------- the answer

    def _on_started(self, event: e.Started) -> None:
        """An id of this dialect is kept: a later request may name it."""
        if event.id and (isinstance(event.source, WireSource) or event.id.startswith("resp_")):
            self._own_id = event.id
        model = event.model if self._model is None else self._model
        created = event.created or int(self._clock())
        self._base = echo(self._call, self._own_id, model, created)
        for kind in (CREATED, IN_PROGRESS):
            self._writer.emit(kind, {"response": self._base})

    def _on_usage(self, event: e.UsageReported) -> None:
        self._usage = event.usage if self._usage is None else self._usage.merge(event.usage)

    def _on_extra(self, event: e.Extra) -> None:
        """What another dialect knows is left out."""
        if event.dialect != NAME:
            return
        if event.scope == "response" and self._base is not None:
            self._base.update((k, v) for k, v in event.fields.items() if k not in _KNOWN)
        elif event.scope == "whole_part":
            self._writer.put_item(dict(event.fields))

    def _on_finish(self, event: e.MessageFinished) -> None:
        self._reason = event.reason
        self._leave()
        for item in list(self._writer.outline.items.values()):
            if item.kind in CALLS or item.kind in (MESSAGE, REASONING):
                self._writer.close_item(item, self._status)

    def _on_finished(self, event: e.Finished) -> None:
        """The whole response once more, then the end marker."""
        end = ended(self._reason)
        output = self._writer.outline.wire()
        response = {**(self._base or {}), **end, "output": output}
        if end["status"] == "completed":
            response["completed_at"] = int(self._clock())
        if self._usage is not None:
            response["usage"] = encode_usage(self._usage)
        self._writer.emit(_ENDS[end["status"]], {"response": response})
        self._writer.out.append(encode_sse(DONE))

    @property
    def _status(self) -> str:
        """That of an item which ends now."""
        return "incomplete" if self._reason in _CUT else "completed"

    # -------------------------------------------------------- messages and reasoning

    def _on_text(self, event: e.TextDelta) -> None:
        self._add(MESSAGE, TEXT, event)

    def _on_refusal(self, event: e.RefusalDelta) -> None:
        self._add(MESSAGE, REFUSAL, event)

    def _on_reasoning(self, event: e.ReasoningDelta) -> None:
        self._add(REASONING, SUMMARY, event)

    def _add(
        self, kind: str, part_kind: str, event: e.TextDelta | e.RefusalDelta | e.ReasoningDelta
    ) -> None:
        item, part = self._item, self._part
        if item is None or item.kind != kind:
            item, part = self._enter(kind), None
        if part is None or (part.kind != part_kind and kind == MESSAGE):
            part = self._turn_to(item, part_kind)
        logprobs = event.logprobs if isinstance(event, e.TextDelta) else None
        self._writer.add(item, part, event.text, logprobs)

    def _enter(self, kind: str) -> Item:
        """A new item in the place of the one under way."""
        self._leave()
        self._item = self._writer.open_item(kind)
        return self._item

    def _turn_to(self, item: Item, kind: str, fields: Fields | None = None) -> OpenPart:
        if self._part is not None:
            self._writer.close_part(item, self._part)
        self._part = self._writer.open_part(item, kind, fields)
        return self._part

    def _leave(self, seal: str = "") -> None:
        """The end of the item under way."""
        self._settle()
        item, self._item, self._part = self._item, None, None
        if item is None:
            return
        if item.kind == REASONING and (seal or item.is_ours):
            item.encrypted = seal or UNSEALED
        self._writer.close_item(item, self._status)

    def _on_part_finish(self, event: e.PartFinished) -> None:
        """The end of reasoning is that of its item: the seal is the item's."""
        item = self._item
        if event.kind == "text":
            if item is not None and item.kind == MESSAGE and self._part is not None:
                self._writer.close_part(item, self._part)
                self._part = None
            return
        if event.seal is not None and (item is None or item.kind != REASONING):
            item = self._enter(REASONING)
        if item is not None and item.kind == REASONING:
            self._leave("" if event.seal is None else encrypted(event.seal))

    def _on_media(self, event: e.Media) -> None:
        """Of audio, for which there is no place, what is said in it."""
        if event.kind == "image":
            self._leave()
            self._writer.put_item(media.encode_image(f"ig_{self._new_id()}", event.url))
        elif event.kind == "file":
            item = self._item
            if item is None or item.kind != MESSAGE:
                item = self._enter(MESSAGE)
            part = self._turn_to(item, media.FILE, media.encode_part(event))
            self._writer.close_part(item, part)
            self._part = None
        elif event.transcript:
            self._add(MESSAGE, TEXT, e.TextDelta(event.transcript))

    # -------------------------------------------------------- calls

    def _on_call(self, event: e.ToolCallStarted) -> None:
        self._leave()
        kind = CUSTOM_CALL if event.type == "custom" else FUNCTION_CALL
        self._calls[event.index] = self._writer.open_item(kind, event.id, event.name)

    def _on_arguments(self, event: e.ToolCallDelta) -> None:
        self._writer.argue(self._calls[event.index], event.arguments)

    def _on_call_finish(self, event: e.ToolCallFinished) -> None:
        self._settle()
        item = self._calls[event.index]
        if item.is_ours and item.kind == FUNCTION_CALL and not any(item.arguments.pieces):
            self._bare = item
        else:
            self._writer.close_item(item, "completed")
        if event.seal is not None and event.seal.dialect != NAME:
            self._enter(REASONING)
            self._leave(encrypted(attrs.evolve(event.seal, call_id=item.call_id)))

    def _settle(self) -> None:
        """Ends a call without arguments, now that more came or nothing will.

        Clients parse what they get, so it is given an empty object; not when the answer was cut
        short, for then the arguments are missing.
        """
        item, self._bare = self._bare, None
        if item is not None:
            if self._status == "completed":
                self._writer.argue(item, "{}")
            self._writer.close_item(item, self._status)


_ENCODERS: dict[type[e.Event], Callable[..., None]] = {
    e.Started: ResponseStreamEncoder._on_started,
    e.TextDelta: ResponseStreamEncoder._on_text,
    e.ReasoningDelta: ResponseStreamEncoder._on_reasoning,
    e.RefusalDelta: ResponseStreamEncoder._on_refusal,
    e.PartFinished: ResponseStreamEncoder._on_part_finish,
    e.ToolCallStarted: ResponseStreamEncoder._on_call,
    e.ToolCallDelta: ResponseStreamEncoder._on_arguments,
    e.ToolCallFinished: ResponseStreamEncoder._on_call_finish,
    e.Media: ResponseStreamEncoder._on_media,
    e.UsageReported: ResponseStreamEncoder._on_usage,
    e.Extra: ResponseStreamEncoder._on_extra,
    e.MessageFinished: ResponseStreamEncoder._on_finish,
    e.Finished: ResponseStreamEncoder._on_finished,
}
