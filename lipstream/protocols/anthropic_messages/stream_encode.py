"""Events to the events of one client's stream.

Where the upstream spoke this dialect too, what came is passed on as it came, event by event, as
long as all that an event said is still there and it still fits: a block's start must have the index
that comes next, its deltas and its stop must follow it. Everything else is put together from
templates.

There is one message: of several choices the first is told. The reason to stop and the counts go out
with the end of the stream, because other protocols report counts last; the counts at the start are
those that were known then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.problem import Problem
from lipstream.canonical.usage import Usage
from lipstream.framing.sse import encode_json, encode_sse, escape_line_ends
from lipstream.protocols.anthropic_messages.answer import media_block, stop_word
from lipstream.protocols.anthropic_messages.block_writer import BlockWriter
from lipstream.protocols.anthropic_messages.errors import encode_problem_event
from lipstream.protocols.anthropic_messages.usage import encode_usage
from lipstream.protocols.anthropic_messages.wire import NAME, Fields, decode_placed

PING = b'event: ping\ndata: {"type": "ping"}\n\n'

_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class MessageStreamEncoder:
    """One client's stream; see ``interfaces.StreamEncoder``.

    Args:
        model: What is told to be the model, in place of the upstream's word.
        new_id: Makes up the random part of the answer's id where the upstream gave none.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(
        self,
        call: Call,
        model: str | None,
        new_id: Callable[[], str],
        limits: StreamLimits = STREAM_LIMITS,
    ) -> None:
        self._may_pass = call.dialect == NAME
        self._model = model
        self._new_id = new_id
        self._blocks = BlockWriter(limits.answer_bytes)
        self._start = e.Started()
        self._usage: Usage | None = None
        self._fields: Fields = {}  # of the message, until it is told; then beside its end
        self._end_fields: Fields = {}
        self._finish = e.MessageFinished(e.FinishReason.STOP)
        self._has_refused = False
        self._has_details = False  # of a refusal
        self._is_started = False
        self._is_end_told = False

    def encode(self, batch: Iterable[e.Event]) -> bytes:
        """The wire bytes of a batch.

        Raises:
            UpstreamFault: PROTOCOL, more came in turns than can be kept to be put in order.
        """
        events = batch if isinstance(batch, list) else list(batch)
        out: list[bytes] = []
        place = 0
        while place < len(events):
            event = events[place]
            source = event.source
            if source is not None and source.count:
                before = self._passes(events, place, source)
                if before is not None:
                    out.append(before + _as_it_came(source))
                    place += source.count
                    continue
            place += 1
            encoder = _ENCODERS.get(type(event))
            if encoder is not None and not getattr(event, "choice", 0):
                out.append(encoder(self, event))
            elif type(event) is e.ToolCallStarted and not event.choice:
                out.append(self._blocks.start_call(event, _own_fields(events[place : place + 1])))
        return b"".join(out)

    def encode_problem(self, problem: Problem) -> bytes:
        """The error frame; no end of the message follows it."""
        return encode_problem_event(problem)

    def keepalive(self) -> bytes:
        """The dialect's own event for it."""
        return PING

    # -------------------------------------------------------- passing on

    def _passes(self, events: list[e.Event], place: int, source: e.Source) -> bytes | None:
        """What has to be said before an event is passed on as it came, None if it may not be.

        Notes what it tells.
        """
        if not self._may_pass or source.dialect != NAME:
            return None
        event = events[place]
        if source.count == 1 and source.name == b"content_block_delta" and type(event) in _HOT:
            return b"" if self._blocks.takes(event) else None
        group = events[place : place + source.count]
        if len(group) < source.count or any(event.source is not source for event in group):
            return None
        passes = _PASSES.get(source.name)
        if passes is None:
            return b"" if self._is_started else None
        return passes(self, group, source)

    def _passes_message(self, group: list[e.Event], source: e.Source) -> bytes | None:
        start = group[0]
        if self._is_started or not isinstance(start, e.Started):
            return None
        if self._model is not None and self._model != start.model:
            return None
        self._start, self._is_started = start, True
        self._note(group)
        self._fields.clear()
        return b""

    def _passes_start(self, group: list[e.Event], source: e.Source) -> bytes | None:
        blocks = self._blocks
        is_next = blocks.may_open and _index_of(source) == blocks.next
        if not self._is_started or self._is_end_told or not is_next:
            return None
        return blocks.note_start(group[0])

    def _passes_delta(self, group: list[e.Event], source: e.Source) -> bytes | None:
        is_inside = self._blocks.is_passing and _index_of(source) == self._blocks.next - 1
        return b"" if is_inside else None

    def _passes_stop(self, group: list[e.Event], source: e.Source) -> bytes | None:
        if self._passes_delta(group, source) is None:
            return None
        return self._blocks.note_stop()

    def _passes_end(self, group: list[e.Event], source: e.Source) -> bytes | None:
        """The counts alone, or with the reason to stop."""
        if not self._is_started or self._is_end_told:
            return None
        self._note(group)
        self._is_end_told = any(isinstance(event, e.MessageFinished) for event in group)
        return self._blocks.finish() if self._is_end_told else b""

    def _passes_last(self, group: list[e.Event], source: e.Source) -> bytes | None:
        return b"" if self._is_end_told else None

    def _note(self, group: list[e.Event]) -> None:
        for event in group:
            if isinstance(event, e.UsageReported):
                self._on_usage(event)
            elif isinstance(event, e.MessageFinished):
                self._finish = event

    # -------------------------------------------------------- the message

    def _on_started(self, event: e.Started) -> bytes:
        self._start = event
        return b""

    def _on_message(self, event: e.MessageStarted) -> bytes:
        if self._is_started:
            return b""
        self._is_started = True
        message: Fields = {
            "id": self._start.id or f"msg_{self._new_id()}",
            "type": "message",
            "role": "assistant",
            "model": self._start.model if self._model is None else self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(self._usage),
        }
        message.update((k, v) for k, v in self._fields.items() if k not in message)
        self._fields.clear()
        data = encode_json({"type": "message_start", "message": message})
        return encode_sse(data, b"message_start") + PING

    def _on_usage(self, event: e.UsageReported) -> bytes:
        self._usage = event.usage if self._usage is None else self._usage.merge(event.usage)
        return b""

    def _on_finish(self, event: e.MessageFinished) -> bytes:
        self._finish = event
        return self._blocks.finish()

    def _on_finished(self, event: e.Finished) -> bytes:
        out = self._on_message(e.MessageStarted())
        if self._is_end_told:
            return out + _STOP
        reason, has_calls = self._finish.reason, self._blocks.has_calls
        word = stop_word(reason, self._finish.detail, has_calls, self._has_refused)
        delta = {"stop_reason": word, "stop_sequence": None, **self._end_fields}
        end = {"type": "message_delta", "delta": delta, "usage": encode_usage(self._usage)}
        data = encode_json({**self._fields, **end})
        return out + encode_sse(data, b"message_delta") + _STOP

    def _on_extra(self, event: e.Extra) -> bytes:
        """What another dialect knows is left out."""
        if event.dialect != NAME:
            return b""
        self._has_details = self._has_details or bool(event.fields.get("stop_details"))
        if event.scope == "whole_part":
            return self._blocks.whole(event.fields)
        if event.scope == "part":
            return self._blocks.citations(event.fields.get("citations"))
        if event.scope == "response":
            self._fields.update(event.fields)
        elif event.scope == "choice":
            self._end_fields.update(event.fields)
        return b""

    # -------------------------------------------------------- content

    def _on_text(self, event: e.TextDelta) -> bytes:
        return self._blocks.text(event.text)

    def _on_refusal(self, event: e.RefusalDelta) -> bytes:
        """This dialect's own upstreams have said it in the details of the end."""
        if self._has_details:
            return b""
        self._has_refused = True
        return self._blocks.text(event.text)

    def _on_reasoning(self, event: e.ReasoningDelta) -> bytes:
        return self._blocks.thinking(event.text)

    def _on_part_end(self, event: e.PartFinished) -> bytes:
        kind = "thinking" if event.kind == "reasoning" else "text"
        return self._blocks.end_part(kind, event.seal)

    def _on_arguments(self, event: e.ToolCallDelta) -> bytes:
        return self._blocks.argue(event)

    def _on_call_end(self, event: e.ToolCallFinished) -> bytes:
        return self._blocks.end_call(event)

    def _on_media(self, event: e.Media) -> bytes:
        """Of audio only what was said in it."""
        if event.kind == "audio":
            return self._blocks.text(event.transcript)
        return self._blocks.whole(media_block(event.kind, event.url, event.name))


_HOT: frozenset[type[e.Event]] = frozenset({e.TextDelta, e.ReasoningDelta, e.ToolCallDelta})

_PASSES: Mapping[bytes, Callable[..., bytes | None]] = {
    b"message_start": MessageStreamEncoder._passes_message,
    b"content_block_start": MessageStreamEncoder._passes_start,
    b"content_block_delta": MessageStreamEncoder._passes_delta,
    b"content_block_stop": MessageStreamEncoder._passes_stop,
    b"message_delta": MessageStreamEncoder._passes_end,
    b"message_stop": MessageStreamEncoder._passes_last,
}

_ENCODERS: Mapping[type[e.Event], Callable[..., bytes]] = {
    e.Started: MessageStreamEncoder._on_started,
    e.MessageStarted: MessageStreamEncoder._on_message,
    e.TextDelta: MessageStreamEncoder._on_text,
    e.ReasoningDelta: MessageStreamEncoder._on_reasoning,
    e.RefusalDelta: MessageStreamEncoder._on_refusal,
    e.PartFinished: MessageStreamEncoder._on_part_end,
    e.ToolCallDelta: MessageStreamEncoder._on_arguments,
    e.ToolCallFinished: MessageStreamEncoder._on_call_end,
    e.Media: MessageStreamEncoder._on_media,
    e.UsageReported: MessageStreamEncoder._on_usage,
    e.Extra: MessageStreamEncoder._on_extra,
    e.MessageFinished: MessageStreamEncoder._on_finish,
    e.Finished: MessageStreamEncoder._on_finished,
}


def _own_fields(after: list[e.Event]) -> Mapping[str, object]:
    """What a call's start said beside the usual: it comes right after it."""
    extra = after[0] if after else None
    is_own = isinstance(extra, e.Extra) and extra.dialect == NAME and extra.scope == "part"
    return extra.fields if is_own and isinstance(extra, e.Extra) else {}


def _index_of(source: e.Source) -> int:
    try:
        return decode_placed(source.data).index
    except msgspec.DecodeError:
        return -1


def _as_it_came(source: e.Source) -> bytes:
    data = source.data if source.data.isascii() else escape_line_ends(source.data)
    return encode_sse(data, source.name or None)
