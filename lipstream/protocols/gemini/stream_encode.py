"""Events to the chunks of one client's stream, as server-sent events or as a JSON array.

Where the upstream spoke this dialect too, and all that one of its chunks said is still there, its
bytes are passed on as they came. Everything else is put together from templates. A function call is
one part and waits until its arguments are whole. The finish reasons stand in the last chunk, beside
the last word on usage: there is no other end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.problem import Problem
from lipstream.canonical.usage import Usage
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json, encode_sse, escape_line_ends
from lipstream.protocols.gemini.errors import encode_problem
from lipstream.protocols.gemini.logprobs import encode_logprobs
from lipstream.protocols.gemini.pieces import call_part, encode_media_part
from lipstream.protocols.gemini.usage import encode_usage
from lipstream.protocols.gemini.wire import ALT, NAME, Fields, encode_signature, reason_word

_OURS = frozenset({"index", "finishReason", "logprobsResult"})  # told by events of their own
_OPENING = b'{"candidates":[{"content":{"parts":['


class GeminiStreamEncoder:
    """One client's stream; see ``interfaces.StreamEncoder``.

    Args:
        model: What is told to be the model, in place of the upstream's word.
        new_id: Makes up the answer's id where the upstream gave none.
    """

    def __init__(self, call: Call, model: str | None, new_id: Callable[[], str]) -> None:
        self._is_own = self._may_pass = call.dialect == NAME
        self._is_array = self._is_own and call.extra.get(ALT) == "json"
        self._shows_thoughts = call.options.reasoning_summary not in (None, "none")
        self._model = model
        self._new_id = new_id
        self._start = e.Started()
        self._has_begun = False  # the array
        self._tail = b""  # of every chunk, from the usage on; made anew when what is in it changes
        self._usage: Usage | None = None
        self._is_usage_told = True
        self._fields: Fields = {}  # of the response, that ride on the next chunk
        self._choice_fields: dict[int, Fields] = {}
        self._calls: dict[tuple[int, int], tuple[e.ToolCallStarted, list[str]]] = {}
        self._ends: dict[int, str] = {}  # finish reasons that are not told yet
        self._told: set[int] = set()  # choices whose finish reason has passed
        self._is_relayed = False  # whether the upstream speaks this dialect too
        self._more: Mapping[str, Any] = {}  # what follows an event about the part that it opened

    @property
    def content_type(self) -> str:
        """JSON, where the client did not ask for server-sent events."""
        return "application/json; charset=UTF-8" if self._is_array else "text/event-stream"

    def encode(self, batch: Iterable[e.Event]) -> bytes:
        """The wire bytes of a batch."""
        events = batch if isinstance(batch, list) else list(batch)
        out: list[bytes] = []
        place = 0
        while place < len(events):
            event = events[place]
            source = event.source
            if source is not None and source.count and self._passes(events, place, source):
                out.append(self._framed(source.data))
                place += source.count
                continue
            encoder = _ENCODERS.get(type(event))
            if encoder is not None:
                if self._is_own:
                    self._more = _part_fields(events, place)
                out.append(encoder(self, event))
            place += 1
        return b"".join(out)

    def encode_problem(self, problem: Problem) -> bytes:
        """The error frame; nothing follows it."""
        frame = self._framed(encode_problem(problem))
        return frame + b"\n]" if self._is_array else frame

    def keepalive(self) -> bytes:
        """A comment, or a blank between the entries of an array."""
        return b"\n" if self._is_array else b": keepalive\n\n"

    # -------------------------------------------------------- passing on

    def _passes(self, events: list[e.Event], place: int, source: e.Source) -> bool:
        """Whether a chunk may be passed on as it came; if so, notes what it tells."""
        if not self._may_pass or source.dialect != NAME:
            return False
        group = events[place : place + source.count]
        if len(group) < source.count:
            return False
        for event in group:
            if event.source is not source:
                return False
        started = group[0]
        if type(started) is e.Started and self._model not in (None, started.model):
            self._may_pass = False
            return False
        for event in group:
            note = _NOTES.get(type(event))
            if note is not None:
                note(self, event)
        if not self._is_usage_told:  # chunks repeat all counts, also those that are no news
            self._is_usage_told = b'"usageMetadata"' in source.data
        return True

    def _note_started(self, event: e.Started) -> None:
        self._start = event
        self._tail = b""

    def _note_usage(self, event: e.UsageReported) -> None:
        """Every chunk of this dialect repeats all counts, so the last one will do."""
        self._usage = event.usage
        self._tail = b""

    def _note_extra(self, event: e.Extra) -> None:
        if event.scope == "choice" and event.fields.get("finishReason"):
            self._told.add(event.choice)

    # -------------------------------------------------------- the answer

    def _on_started(self, event: e.Started) -> bytes:
        self._may_pass = self._may_pass and self._model in (None, event.model)
        self._note_started(event)
        return b""

    def _on_usage(self, event: e.UsageReported) -> bytes:
        self._usage = event.usage if self._usage is None else self._usage.merge(event.usage)
        self._is_usage_told = False
        self._tail = b""
        return b""

    def _on_extra(self, event: e.Extra) -> bytes:
        """What another dialect knows is left out."""
        if event.dialect != NAME:
            return b""
        self._is_relayed = True
        if event.scope == "response":
            self._fields.update(event.fields)
        elif event.scope == "choice":
            fields = self._choice_fields.setdefault(event.choice, {})
            fields.update((k, v) for k, v in event.fields.items() if k not in _OURS)
        elif event.scope == "whole_part":
            return self._part(event.choice, dict(event.fields))
        return b""

    def _on_message_end(self, event: e.MessageFinished) -> bytes:
        if event.choice not in self._told:
            word = reason_word(event.reason, event.detail, is_own=self._is_relayed)
            self._ends[event.choice] = word
        return b""

    def _on_finished(self, event: e.Finished) -> bytes:
        """The last chunk, if there is anything left to say, and the end of an array."""
        choices = sorted({*self._ends, *(c for c, f in self._choice_fields.items() if f)})
        out = b""
        if choices or self._fields or not self._is_usage_told:
            candidates = [self._last(choice) for choice in choices]
            inner = b"{" + (b'"candidates":[%b]' % b",".join(candidates) if candidates else b"")
            tail = self._riding_tail()
            out = self._framed(inner + (tail if candidates else tail.removeprefix(b",")))
        if self._is_array:
            out += b"\n]" if self._has_begun else b"[]"
        return out

    def _last(self, choice: int) -> bytes:
        fields: Fields = {"content": {"parts": [{"text": ""}], "role": "model"}}
        if choice in self._ends:
            fields["finishReason"] = self._ends[choice]
        fields["index"] = choice
        return encode_json(merge_fields(fields, self._choice_fields.pop(choice, {})))

    # -------------------------------------------------------- messages

    def _on_text(self, event: e.TextDelta) -> bytes:
        if event.logprobs is not None:
            fields = self._choice_fields.setdefault(event.choice, {})
            fields["logprobsResult"] = encode_logprobs(event.logprobs)
        if self._more:
            return self._part(event.choice, {"text": event.text})
        return self._chunk(event.choice, b'{"text":%b}' % encode_json(event.text))

    def _on_refusal(self, event: e.RefusalDelta) -> bytes:
        return self._chunk(event.choice, b'{"text":%b}' % encode_json(event.text))

    def _on_reasoning(self, event: e.ReasoningDelta) -> bytes:
        if not self._shows_thoughts:
            return b""
        text = encode_json(event.text)
        return self._chunk(event.choice, b'{"text":%b,"thought":true}' % text)

    def _on_part_end(self, event: e.PartFinished) -> bytes:
        signature = encode_signature(event.seal)
        is_thought = event.kind == "reasoning"
        if not signature or (is_thought and not self._shows_thoughts):
            return b""
        part: Fields = {"text": ""}
        if is_thought:
            part["thought"] = True
        return self._part(event.choice, part | {"thoughtSignature": signature})

    def _on_call(self, event: e.ToolCallStarted) -> bytes:
        self._calls[event.choice, event.index] = (event, [])
        return b""

    def _on_arguments(self, event: e.ToolCallDelta) -> bytes:
        call = self._calls.get((event.choice, event.index))
        if call is not None:  # else its beginning has passed, and the rest cannot be told
            call[1].append(event.arguments)
        return b""

    def _on_call_end(self, event: e.ToolCallFinished) -> bytes:
        call = self._calls.pop((event.choice, event.index), None)
        if call is None:
            return b""
        part = call_part(call[0], "".join(call[1]), event.seal)
        return self._part(event.choice, part)

    def _on_media(self, event: e.Media) -> bytes:
        return self._part(event.choice, encode_media_part(event))

    # -------------------------------------------------------- chunks

    def _part(self, choice: int, part: Fields) -> bytes:
        return self._chunk(choice, encode_json(merge_fields(part, self._more)))

    def _chunk(self, choice: int, part: bytes) -> bytes:
        """One chunk of one part."""
        self._told.discard(choice)
        fields = self._choice_fields.pop(choice, None) if self._choice_fields else None
        riding = b"," + encode_json(fields)[1:-1] if fields else b""
        return self._framed(
            b'%b%b],"role":"model"},"index":%d%b}]%b'
            % (_OPENING, part, choice, riding, self._riding_tail())
        )

    def _riding_tail(self) -> bytes:
        """The end of a chunk, with the fields of the response that wait for one."""
        self._is_usage_told = True
        if not self._tail:
            self._tail = self._new_tail()
        if not self._fields:
            return self._tail
        fields, self._fields = self._fields, {}
        return self._tail[:-1] + b"," + encode_json(fields)[1:-1] + b"}"

    def _new_tail(self) -> bytes:
        start = self._start
        if not start.id:
            start = self._start = start.changed(id=self._new_id())
        fields: dict[str, Any] = {
            "modelVersion": start.model if self._model is None else self._model,
            "responseId": start.id,
        }
        usage = {} if self._usage is None else encode_usage(self._usage)
        if usage:
            fields = {"usageMetadata": usage, **fields}
        return b"," + encode_json(fields)[1:]

    def _framed(self, data: bytes) -> bytes:
        if not data.isascii():
            data = escape_line_ends(data)
        if not self._is_array:
            return encode_sse(data)
        opening = b"," if self._has_begun else b"["
        self._has_begun = True
        return opening + data + b"\n"


_NOTES: dict[type[e.Event], Callable[..., None]] = {
    e.Started: GeminiStreamEncoder._note_started,
    e.UsageReported: GeminiStreamEncoder._note_usage,
    e.Extra: GeminiStreamEncoder._note_extra,
}

_ENCODERS: dict[type[e.Event], Callable[..., bytes]] = {
    e.Started: GeminiStreamEncoder._on_started,
    e.TextDelta: GeminiStreamEncoder._on_text,
    e.ReasoningDelta: GeminiStreamEncoder._on_reasoning,
    e.RefusalDelta: GeminiStreamEncoder._on_refusal,
    e.PartFinished: GeminiStreamEncoder._on_part_end,
    e.ToolCallStarted: GeminiStreamEncoder._on_call,
    e.ToolCallDelta: GeminiStreamEncoder._on_arguments,
    e.ToolCallFinished: GeminiStreamEncoder._on_call_end,
    e.Media: GeminiStreamEncoder._on_media,
    e.UsageReported: GeminiStreamEncoder._on_usage,
    e.Extra: GeminiStreamEncoder._on_extra,
    e.MessageFinished: GeminiStreamEncoder._on_message_end,
    e.Finished: GeminiStreamEncoder._on_finished,
}


def _part_fields(events: list[e.Event], place: int) -> Mapping[str, Any]:
    """The extra fields of the part that an event opened: what comes right after it."""
    after = events[place + 1] if place + 1 < len(events) else None
    if isinstance(after, e.Extra) and after.scope == "part" and after.dialect == NAME:
        return after.fields
    return {}
