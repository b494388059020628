"""Events to the chunks of one client's stream.

Where the upstream spoke this dialect too, and all that one of its chunks said is still there and
may be said to this client, its bytes are passed on as they came. Everything else is put together
from templates: a chunk costs one encoding of its text. Fields that only chat clients know ride on
the next chunk of their place: a response's on any, a choice's on one of that choice.

Reasoning is told in both of its fields, ``reasoning_content`` (DeepSeek, vLLM, most clients) and
``reasoning`` (OpenRouter, newer vLLM): each is all that some clients look at, those that know both
take one of them, and the text is encoded once. Where other chunks of the stream are passed on, it
is told in the upstream's field alone: those that know both would take what stands in the other for
all of it. Its seals, where they are of another protocol, are written as :mod:`.seals` says.

A call of another protocol that ends without arguments is given an empty object: clients of this
one parse what they get. Not so when the answer was cut short, for then they are missing.

A client that declared the legacy ``functions`` is told its first call in the legacy way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.problem import Problem
from lipstream.canonical.usage import Usage
from lipstream.framing.sse import encode_json, encode_sse, escape_line_ends
from lipstream.protocols.openai_chat.errors import encode_problem
from lipstream.protocols.openai_chat.seals import SealWriter, packed_fields
from lipstream.protocols.openai_chat.usage import encode_usage
from lipstream.protocols.openai_chat.wire import (
    CHUNK,
    DONE,
    FUNCTIONS,
    NAME,
    REASON_WORDS,
    WHOLE_CALLS,
    Fields,
)

_STICKY = frozenset({"system_fingerprint", "service_tier"})  # OpenAI repeats them in every chunk
_TAIL = b'},"finish_reason":null}]}\n\n'
_BOTH: tuple[bytes, ...] = (b'"reasoning_content"', b'"reasoning"')


class ChatStreamEncoder:
    """One client's stream; see ``interfaces.StreamEncoder``.

    Args:
        model: What is told to be the model, in place of the upstream's word.
        new_id: Makes up the random part of the answer's id where the upstream gave none.
        clock: Unix time, for ``created`` where the upstream gave none.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(
        self, call: Call, model: str | None, new_id: Callable[[], str], clock: Callable[[], float]
    ) -> None:
        self._wants_usage = call.wants_usage
        self._is_legacy = any(FUNCTIONS in tool.extra for tool in call.tools)
        self._may_pass = call.dialect == NAME and not self._is_legacy
        self._model = model
        self._new_id = new_id
        self._clock = clock
        self._start = e.Started()
        self._sticky: Fields = {}
        self._is_sticky_due = False  # whether some of it was in no chunk yet
        self._head = b""  # of every chunk, up to its choices; made anew when what is in it changes
        self._openings: dict[int, bytes] = {}  # of the chunks of a choice, up to the delta
        self._fields: Fields = {}  # that ride on the next chunk
        self._choice_fields: dict[int, Fields] = {}
        self._customs: set[tuple[int, int]] = set()
        self._bare: set[tuple[int, int]] = set()  # calls without arguments so far
        self._media: dict[int, int] = {}
        self._seals: defaultdict[int, SealWriter] = defaultdict(SealWriter)
        self._usage: Usage | None = None
        self._is_usage_told = False

    def encode(self, batch: Iterable[e.Event]) -> bytes:
        """The wire bytes of a batch."""
        events = batch if isinstance(batch, list) else list(batch)
        out: list[bytes] = []
        place = 0
        while place < len(events):
            event = events[place]
            source = event.source
            if source is not None and source.count and self._passes(events, place, source):
                out.append(_as_it_came(source.data))
                place += source.count
                continue
            encoder = _ENCODERS.get(type(event))
            if encoder is not None:
                out.append(encoder(self, event))
            place += 1
        return b"".join(out)

    def encode_problem(self, problem: Problem) -> bytes:
        """The error frame; no end marker follows it."""
        return encode_sse(encode_problem(problem))

    def keepalive(self) -> bytes:
        """A comment."""
        return b": keepalive\n\n"

    # -------------------------------------------------------- passing on

    def _passes(self, events: list[e.Event], place: int, source: e.Source) -> bool:
        """Whether a chunk may be passed on as it came; if so, notes what it tells."""
        if not self._may_pass or source.dialect != NAME:
            return False
        if source.count == 1 and type(events[place]) in _PLAIN and not self._bare:
            return True
        group = events[place : place + source.count]
        if len(group) < source.count or any(event.source is not source for event in group):
            return False
        if not all(self._is_tellable(event) for event in group):
            return False
        for event in group:
            note = _NOTES.get(type(event))
            if note is not None:
                note(self, event)
        return True

    def _is_tellable(self, event: e.Event) -> bool:
        if isinstance(event, e.UsageReported):
            return self._wants_usage
        if isinstance(event, e.Started):
            return self._model is None or self._model == event.model
        return True

    def _note_started(self, event: e.Started) -> None:
        self._start = event
        self._head = b""

    def _note_usage(self, event: e.UsageReported) -> None:
        self._add_usage(event)
        self._is_usage_told = True

    def _note_arguments(self, event: e.ToolCallDelta) -> None:
        if self._bare and event.arguments:
            self._bare.discard((event.choice, event.index))

    def _note_extra(self, event: e.Extra) -> None:
        if event.scope == "response":
            self._keep_sticky(event.fields)

    # -------------------------------------------------------- the answer

    def _on_started(self, event: e.Started) -> bytes:
        self._may_pass = self._may_pass and self._is_tellable(event)
        self._note_started(event)
        return b""

    def _on_usage(self, event: e.UsageReported) -> bytes:
        self._add_usage(event)
        self._is_usage_told = False
        return b""

    def _on_finished(self, event: e.Finished) -> bytes:
        """Usage comes last: OpenAI's clients take it from the last chunk."""
        out = [self._chunk(choice, b"") for choice in sorted(self._choice_fields)]
        is_usage_due = self._wants_usage and not self._is_usage_told and self._usage is not None
        if is_usage_due and self._usage is not None:
            usage = b',"choices":[],"usage":' + encode_json(encode_usage(self._usage))
            out.append(self._opened() + usage + self._riding() + b"}\n\n")
        elif self._fields or self._is_sticky_due:
            out.append(self._chunk(0, b""))
        out.append(encode_sse(DONE))
        return b"".join(out)

    def _add_usage(self, event: e.UsageReported) -> None:
        self._usage = event.usage if self._usage is None else self._usage.merge(event.usage)

    # -------------------------------------------------------- messages

    def _on_message(self, event: e.MessageStarted) -> bytes:
        return self._chunk(event.choice, b'"role":"assistant"')

    def _on_text(self, event: e.TextDelta) -> bytes:
        delta = b'"content":' + encode_json(event.text)
        return self._chunk(event.choice, delta, _logprobs("content", event.logprobs))

    def _on_reasoning(self, event: e.ReasoningDelta) -> bytes:
        self._seals[event.choice].length += len(event.text)
        text = encode_json(event.text)
        names = _BOTH
        if self._may_pass and event.source is not None:
            data = event.source.data
            names = tuple(name for name in _BOTH if name in data) or _BOTH
        return self._chunk(event.choice, b",".join([b"%b:%b" % (name, text) for name in names]))

    def _on_refusal(self, event: e.RefusalDelta) -> bytes:
        delta = b'"refusal":' + encode_json(event.text)
        return self._chunk(event.choice, delta, _logprobs("refusal", event.logprobs))

    def _on_tool_call(self, event: e.ToolCallStarted) -> bytes:
        name = encode_json(event.name)
        if self._is_legacy and event.index == 0:
            delta = b'"function_call":{"name":%b,"arguments":""}' % name
        elif event.type == "custom":
            delta = _CUSTOM_START % (event.index, encode_json(event.id), name)
        else:
            delta = _CALL_START % (event.index, encode_json(event.id), name)
        if event.type == "custom":
            self._customs.add((event.choice, event.index))
        elif event.source is None or event.source.dialect != NAME:
            self._bare.add((event.choice, event.index))
        return self._chunk(event.choice, delta)

    def _on_arguments(self, event: e.ToolCallDelta) -> bytes:
        self._note_arguments(event)
        text = encode_json(event.arguments)
        if self._is_legacy and event.index == 0:
            delta = b'"function_call":{"arguments":%b}' % text
        elif self._customs and (event.choice, event.index) in self._customs:
            delta = b'"tool_calls":[{"index":%d,"custom":{"input":%b}}]' % (event.index, text)
        else:
            delta = b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (event.index, text)
        return self._chunk(event.choice, delta)

    def _on_call_end(self, event: e.ToolCallFinished) -> bytes:
        """The piece has the members that strict clients ask of every one."""
        fields = packed_fields(event.seal)
        if not fields or (self._is_legacy and event.index == 0):
            return b""
        is_custom = (event.choice, event.index) in self._customs
        inner = {"custom": {"input": ""}} if is_custom else {"function": {"arguments": ""}}
        piece = {"index": event.index, **inner, **fields}
        return self._chunk(event.choice, _members({"tool_calls": [piece]}))

    def _on_part_end(self, event: e.PartFinished) -> bytes:
        fields = self._seals[event.choice].end(event.seal) if event.kind == "reasoning" else {}
        return self._chunk(event.choice, _members(fields)) if fields else b""

    def _on_media(self, event: e.Media) -> bytes:
        if event.kind == "audio":
            audio = {"id": event.id, "data": event.url, "transcript": event.transcript}
            delta: Fields = {"audio": {name: text for name, text in audio.items() if text}}
        else:
            index = self._media[event.choice] = self._media.get(event.choice, -1) + 1
            delta = encode_media(event, index)
        return self._chunk(event.choice, _members(delta))

    def _on_finish(self, event: e.MessageFinished) -> bytes:
        word = REASON_WORDS[event.reason]
        if self._is_legacy and event.reason is e.FinishReason.TOOL_CALLS:
            word = "function_call"
        out = b""
        if self._bare and event.reason in WHOLE_CALLS:
            indexes = sorted(index for choice, index in self._bare if choice == event.choice)
            deltas = [e.ToolCallDelta(index, "{}", event.choice) for index in indexes]
            out = b"".join(map(self._on_arguments, deltas))
        return out + self._chunk(event.choice, b"", finish=encode_json(word))

    def _on_extra(self, event: e.Extra) -> bytes:
        """What another dialect knows is left out, and so is a part that chat does not have."""
        if event.dialect != NAME:
            return b""
        fields = dict(event.fields)
        if event.scope == "response":
            self._is_sticky_due |= self._keep_sticky(fields)
            self._fields.update((k, v) for k, v in fields.items() if k not in _STICKY)
        elif event.scope == "choice":
            self._choice_fields.setdefault(event.choice, {}).update(fields)
        elif event.scope == "delta":
            logprobs = fields.pop("logprobs", None)
            more = b"" if logprobs is None else b'"logprobs":%b,' % encode_json(logprobs)
            return self._chunk(event.choice, _members(fields), more)
        return b""

    def _keep_sticky(self, fields: Mapping[str, object]) -> bool:
        sticky = {name: value for name, value in fields.items() if name in _STICKY}
        if sticky:
            self._sticky.update(sticky)
            self._head = b""
        return bool(sticky)

    # -------------------------------------------------------- chunks

    def _chunk(
        self, choice: int, delta: bytes, more: bytes = b"", finish: bytes = b"null"
    ) -> bytes:
        """One chunk; ``more`` are fields of the choice, with a comma at the end."""
        opening = self._openings.get(choice) if self._head else None
        if opening is None:
            opening = self._openings[choice] = b'%b,"choices":[{"index":%d,"delta":{' % (
                self._opened(),
                choice,
            )
        if not more and finish == b"null" and not self._fields and not self._choice_fields:
            return opening + delta + _TAIL
        fields = self._choice_fields.pop(choice, None)
        if fields:
            more += _members(fields) + b","
        end = b'},%b"finish_reason":%b}]%b}\n\n' % (more, finish, self._riding())
        return opening + delta + end

    def _opened(self) -> bytes:
        """A chunk up to its choices."""
        if not self._head:
            start = self._start
            self._openings.clear()
            self._is_sticky_due = False
            if not start.id:
                start = self._start = start.changed(id=f"chatcmpl-{self._new_id()}")
            if not start.created:
                start = self._start = start.changed(created=int(self._clock()))
            fields = {
                "id": start.id,
                "object": CHUNK,
                "created": start.created,
                "model": start.model if self._model is None else self._model,
                **self._sticky,
            }
            self._head = b"data: " + encode_json(fields)[:-1]
        return self._head

    def _riding(self) -> bytes:
        if not self._fields:
            return b""
        fields, self._fields = self._fields, {}
        return b"," + _members(fields)


def encode_media(media: e.Media, index: int) -> Fields:
    """An image as OpenRouter sends it, a file in the same manner, as fields of a message."""
    if media.kind == "image":
        image = {"type": "image_url", "image_url": {"url": media.url}, "index": index}
        return {"images": [image]}
    file = {"file_data": media.url, "filename": media.name}
    return {"files": [{"type": "file", "file": file, "index": index}]}


_CALL_START = (
    b'"tool_calls":[{"index":%d,"id":%b,"type":"function","function":{"name":%b,"arguments":""}}]'
)
_CUSTOM_START = (
    b'"tool_calls":[{"index":%d,"id":%b,"type":"custom","custom":{"name":%b,"input":""}}]'
)

_PLAIN: frozenset[type[e.Event]] = frozenset(
    {e.TextDelta, e.ReasoningDelta, e.RefusalDelta, e.ToolCallDelta}
)

_NOTES: dict[type[e.Event], Callable[..., None]] = {
    e.Started: ChatStreamEncoder._note_started,
    e.UsageReported: ChatStreamEncoder._note_usage,
    e.ToolCallDelta: ChatStreamEncoder._note_arguments,
    e.Extra: ChatStreamEncoder._note_extra,
}

_ENCODERS: dict[type[e.Event], Callable[..., bytes]] = {
    e.Started: ChatStreamEncoder._on_started,
    e.MessageStarted: ChatStreamEncoder._on_message,
    e.TextDelta: ChatStreamEncoder._on_text,
    e.ReasoningDelta: ChatStreamEncoder._on_reasoning,
    e.RefusalDelta: ChatStreamEncoder._on_refusal,
    e.ToolCallStarted: ChatStreamEncoder._on_tool_call,
    e.ToolCallDelta: ChatStreamEncoder._on_arguments,
    e.ToolCallFinished: ChatStreamEncoder._on_call_end,
    e.PartFinished: ChatStreamEncoder._on_part_end,
    e.Media: ChatStreamEncoder._on_media,
    e.UsageReported: ChatStreamEncoder._on_usage,
    e.Extra: ChatStreamEncoder._on_extra,
    e.MessageFinished: ChatStreamEncoder._on_finish,
    e.Finished: ChatStreamEncoder._on_finished,
}


def _as_it_came(data: bytes) -> bytes:
    return encode_sse(data if data.isascii() else escape_line_ends(data))


def _members(fields: Mapping[str, object]) -> bytes:
    """The members of a JSON object, without its braces."""
    return encode_json(fields)[1:-1]


def _logprobs(name: str, entries: tuple[Mapping[str, object], ...] | None) -> bytes:
    return b"" if entries is None else b'"logprobs":%b,' % encode_json({name: entries})
