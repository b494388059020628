"""Small makers of Gemini requests, chunks and streams, and what to compare decoded ones by."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.collect import Answer, Collector
from lipstream.canonical.options import Options
from lipstream.canonical.parts import Text
from lipstream.canonical.seal import Sealer
from lipstream.lifecycle.grammar import Grammar
from lipstream.protocols.gemini import CLIENT, SERVER, GeminiServer
from lipstream.protocols.gemini.stream_decode import GeminiStreamDecoder, decode_answer
from lipstream.protocols.gemini.stream_encode import GeminiStreamEncoder

STREAM = Ask("m", "streamGenerateContent", {"alt": "sse"})
ARRAY = Ask("m", "streamGenerateContent")
WHOLE = Ask("m", "generateContent")
SEALER = Sealer("b:m")
HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def counter() -> Callable[[], str]:
    """Ids that tests can foretell: 1, 2, 3 ..."""
    numbers = itertools.count(1)
    return lambda: str(next(numbers))


# ---------------------------------------------------------------- requests


def read(value: Any, ask: Ask = STREAM) -> Call:
    """The call of a request's body."""
    return SERVER.decode_request(json.dumps(value).encode(), ask)


def said(*parts: Any, role: str = "user", **more: Any) -> Call:
    """The call of one turn."""
    return read({"contents": [{"role": role, "parts": list(parts)}], **more})


def written(call: Call, model: str = "m") -> Any:
    """The body that a call is sent as."""
    return json.loads(CLIENT.encode_request(call, model, is_streaming=True))


def again(value: Any) -> Any:
    """What becomes of a request on its way to an upstream of the same dialect."""
    return written(read(value))


def foreign(*messages: Message, **fields: Any) -> Call:
    """A call of another protocol."""
    turns = messages or (Message(Role.USER, (Text("hi"),)),)
    return Call(**{"dialect": "other", "model": "m", "messages": turns, **fields})


def own_call(**options: Any) -> Call:
    """A call of a client that has asked for server-sent events."""
    return read(HI).changed(options=Options(**options))


# ---------------------------------------------------------------- answers


def chunk(*parts: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk with one candidate; ``more`` are fields of the chunk, ``candidate`` of that."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if finish is not None:
        candidate["finishReason"] = finish
    candidate.update({"index": 0, **more.pop("candidate", {})})
    return {"candidates": [candidate], "modelVersion": "g", "responseId": "r", **more}


def text(value: str, **more: Any) -> dict[str, Any]:
    """A part of text."""
    return {"text": value, **more}


def frame(value: Any) -> bytes:
    """One event; bytes are data as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return b"data: " + data + b"\n\n"


def stream(*values: Any) -> bytes:
    """A body of events."""
    return b"".join(frame(value) for value in values)


def decode(*pieces: bytes) -> list[e.Event]:
    """All events of a body; checks that they are a legal stream."""
    decoder = GeminiStreamDecoder(sealer=SEALER, new_id=counter())
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.end()
    return checked(events)


def decode_whole(value: Any) -> list[e.Event]:
    """All events of a body that is no stream."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return checked(decode_answer(body, SEALER, counter()))


def checked(events: list[e.Event]) -> list[e.Event]:
    """The events, which are in order and end in a terminal one."""
    grammar = Grammar()
    grammar.check(events)
    assert grammar.is_terminal
    return events


def content(events: Iterable[e.Event]) -> list[e.Event]:
    """What the model said, without the frame and the fields of this dialect."""
    frames = (e.Started, e.MessageStarted, e.MessageFinished, e.Finished, e.UsageReported, e.Extra)
    return [event for event in events if not isinstance(event, frames)]


def extras(events: Iterable[e.Event]) -> list[tuple[str, dict[str, Any]]]:
    """Scope and fields of the extra events that say something."""
    return [(x.scope, dict(x.fields)) for x in events if isinstance(x, e.Extra) and x.fields]


def ends(events: Iterable[e.Event]) -> list[tuple[e.FinishReason, str]]:
    """How the messages ended."""
    return [(x.reason, x.detail) for x in events if isinstance(x, e.MessageFinished)]


def plain(events: Iterable[e.Event]) -> list[object]:
    """Events to compare; faults are compared by what they say."""
    return [
        (event.fault.kind, str(event.fault)) if isinstance(event, e.StreamFailed) else event
        for event in events
    ]


def fold(events: Iterable[e.Event]) -> Answer:
    """The whole answer."""
    collector = Collector()
    collector.add(events)
    return collector.answer()


def encoder(call: Call | None = None, model: str | None = None) -> GeminiStreamEncoder:
    """An encoder for a Gemini client's call."""
    return GeminiStreamEncoder(own_call() if call is None else call, model, counter())


def answered(events: Iterable[e.Event], call: Call | None = None, model: str | None = None) -> Any:
    """The body of a response."""
    server = GeminiServer(new_id=counter())
    given = own_call() if call is None else call
    return json.loads(server.encode_answer(fold(events), given, model=model))


def datas(body: bytes) -> list[Any]:
    """The decoded data of every event of a body."""
    assert body.endswith(b"\n\n") or not body
    events = [event for event in body.split(b"\n\n") if event]
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def parts_of(body: bytes) -> list[Any]:
    """The parts of all chunks of a stream, in order."""
    return [
        part
        for value in datas(body)
        for candidate in value.get("candidates", ())
        for part in candidate["content"]["parts"]
    ]


def message(*events: e.Event, reason: e.FinishReason = e.FinishReason.STOP) -> list[e.Event]:
    """A stream of one message."""
    frame: list[e.Event] = [e.Started("r", "g", 1), e.MessageStarted()]
    return [*frame, *events, e.MessageFinished(reason), e.Finished()]
