"""Small makers of Responses events and streams, and what to compare decoded ones by."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.ask import BODY_ALONE, Ask
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.collect import Answer, Collector
from lipstream.canonical.limits import CALL_LIMITS
from lipstream.canonical.parts import Part, Text
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.framing.sse import SseSplitter
from lipstream.lifecycle.grammar import Grammar
from lipstream.protocols.openai_responses import CLIENT, ResponsesServer
from lipstream.protocols.openai_responses.request_decode import decode_request
from lipstream.protocols.openai_responses.stream_decode import (
    ResponseStreamDecoder,
    decode_answer,
)
from lipstream.protocols.openai_responses.stream_encode import ResponseStreamEncoder

Fields = dict[str, Any]

DONE = b"data: [DONE]\n\n"
HEAD: Fields = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m"}
STARTED = e.Started("resp_1", "m", 1)
BEGIN: list[e.Event] = [STARTED, e.MessageStarted()]


def counter() -> Callable[[], str]:
    """Ids that tests can foretell: 1, 2, 3 ..."""
    numbers = itertools.count(1)
    return lambda: str(next(numbers))


# ---------------------------------------------------------------- the wire


def event(kind: str, **fields: Any) -> Fields:
    """An event; the stream numbers it."""
    return {"type": kind if kind == "error" else f"response.{kind}", **fields}


def created(**fields: Any) -> Fields:
    """The first event."""
    return event("created", response={**HEAD, "status": "in_progress", "output": [], **fields})


def completed(*output: Fields, kind: str = "completed", **fields: Any) -> Fields:
    """The last event."""
    return event(kind, response={**HEAD, "status": kind, "output": list(output), **fields})


def part(text: str) -> Fields:
    """A part of a message's content."""
    return {"type": "output_text", "text": text, "annotations": []}


def message(*texts: str, **fields: Any) -> Fields:
    """A whole message."""
    content = [part(text) for text in texts]
    head = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
    return {**head, "content": content, **fields}


def reasoning(*texts: str, **fields: Any) -> Fields:
    """A whole reasoning item."""
    summary = [{"type": "summary_text", "text": text} for text in texts]
    return {"id": "rs_1", "type": "reasoning", "summary": summary, **fields}


def call(arguments: str = "{}", **fields: Any) -> Fields:
    """A whole call of a function."""
    head = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "f"}
    return {**head, "arguments": arguments, "status": "completed", **fields}


def custom(text: str, **fields: Any) -> Fields:
    """A whole call of a free-text tool."""
    head = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c2", "name": "g"}
    return {**head, "input": text, "status": "completed", **fields}


def added(item: Fields, index: int = 0) -> Fields:
    """An item that begins."""
    begun = {"content": [], "summary": [], "arguments": "", "input": ""}
    shown = {name: begun.get(name, value) for name, value in item.items()}
    return event("output_item.added", output_index=index, item=shown)


def done(item: Fields, index: int = 0) -> Fields:
    """An item that ends."""
    return event("output_item.done", output_index=index, item=item)


def delta(kind: str, text: Any, index: int = 0, **fields: Any) -> Fields:
    """A piece of a text."""
    names = {"output_text": "msg_1", "refusal": "msg_1", "function_call_arguments": "fc_1"}
    item_id = names.get(kind, "ctc_1" if kind.startswith("custom") else "rs_1")
    place: Fields = {"item_id": item_id, "output_index": index}
    if kind in ("output_text", "refusal", "reasoning_text"):
        place["content_index"] = 0
    if kind == "reasoning_summary_text":
        place["summary_index"] = 0
    return event(f"{kind}.delta", **place, delta=text, **fields)


def text_stream(*pieces: str) -> list[Fields]:
    """A whole stream of one message, as OpenAI sends it."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    whole = "".join(pieces)
    return [
        created(),
        event("in_progress", response={**HEAD, "status": "in_progress", "output": []}),
        added(message(whole)),
        event("content_part.added", **place, part=part("")),
        *(delta("output_text", piece, logprobs=[]) for piece in pieces),
        event("output_text.done", **place, text=whole, logprobs=[]),
        event("content_part.done", **place, part=part(whole)),
        done(message(whole)),
        completed(message(whole), usage={"input_tokens": 1, "output_tokens": 2}),
    ]


def frame(value: Any) -> bytes:
    """One event; bytes are data as they are."""
    if isinstance(value, bytes):
        return b"data: %b\n\n" % value
    data = json.dumps(value, separators=(",", ":")).encode()
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), data)


def numbered(events: Iterable[Fields]) -> list[Fields]:
    """The events with their numbers."""
    return [{**value, "sequence_number": i} for i, value in enumerate(events)]


def stream(*values: Any) -> bytes:
    """A body of events."""
    return b"".join(map(frame, values))


def datas(body: bytes) -> list[Any]:
    """The decoded data of every event of a body; the end marker as text."""
    splitter = SseSplitter(1 << 24)
    found = []
    for name, data in splitter.feed(body):
        if data == b"[DONE]":
            found.append("[DONE]")
            continue
        value = json.loads(data)
        assert name.decode() == value["type"]
        found.append(value)
    assert splitter.end() is None
    return found


# ---------------------------------------------------------------- events


def decode(*pieces: bytes, sealer: Sealer = UNKNOWN_ORIGIN) -> list[e.Event]:
    """All events of a body; checks that they are a legal stream."""
    decoder = ResponseStreamDecoder(sealer, new_id=counter())
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return checked(events + decoder.end())


def decode_whole(value: Any, sealer: Sealer = UNKNOWN_ORIGIN) -> list[e.Event]:
    """All events of a body that is no stream."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return checked(decode_answer(body, sealer, counter()))


def checked(events: list[e.Event]) -> list[e.Event]:
    """The events, which are in order and end in a terminal one."""
    grammar = Grammar()
    grammar.check(events)
    assert grammar.is_terminal
    return events


def content(events: Iterable[e.Event]) -> list[e.Event]:
    """What is between the message's start and its end, without what means nothing elsewhere."""
    frames = (e.Started, e.MessageStarted, e.MessageFinished, e.Finished)
    return [
        event
        for event in events
        if not isinstance(event, frames)
        and not (isinstance(event, e.Extra) and event.scope == "response")
    ]


def plain(events: Iterable[e.Event]) -> list[object]:
    """Events to compare; faults are compared by what they say."""
    return [
        (event.fault.kind, str(event.fault)) if isinstance(event, e.StreamFailed) else event
        for event in events
    ]


def foreign(events: Iterable[e.Event]) -> list[e.Event]:
    """The same stream as if an upstream of another protocol had sent it."""
    return [event.changed() for event in events if not isinstance(event, e.Extra)]


def fold(events: Iterable[e.Event]) -> Answer:
    """The whole answer."""
    collector = Collector()
    collector.add(events)
    return collector.answer()


# ---------------------------------------------------------------- calls


def request(ask: Ask = BODY_ALONE, **fields: Any) -> Call:
    """The call that a request's body makes."""
    body = {"model": "m", "input": "hi", **fields}
    return decode_request(json.dumps(body).encode(), ask, CALL_LIMITS)


def own_call(**fields: Any) -> Call:
    """A call of a client of this dialect."""
    return Call(**{"dialect": "openai_responses", "model": "m", "messages": (), **fields})


def foreign_call(*parts: Part, role: Role = Role.USER, **fields: Any) -> Call:
    """A call of a client of another dialect, with one message unless others are given."""
    messages = (Message(role, parts or (Text("hi"),)),)
    return Call(**{"dialect": "other", "model": "m", "messages": messages, **fields})


def written(call: Call, model: str = "m", *, is_streaming: bool = False) -> Fields:
    """The body that goes upstream."""
    body: Fields = json.loads(CLIENT.encode_request(call, model, is_streaming=is_streaming))
    return body


def encoder(model: str | None = None, **fields: Any) -> ResponseStreamEncoder:
    """An encoder for a client of this dialect."""
    return ResponseStreamEncoder(own_call(**fields), model, counter(), lambda: 1234.5)


def server() -> ResponsesServer:
    """The role towards clients, without chance and time."""
    return ResponsesServer(new_id=counter(), clock=lambda: 1234.5)


def answered(events: Iterable[e.Event], model: str | None = None, **fields: Any) -> Fields:
    """The body of an answer that is not streamed."""
    body: Fields = json.loads(server().encode_answer(fold(events), own_call(**fields), model=model))
    return body
