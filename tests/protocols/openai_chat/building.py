"""Small makers of chat chunks and streams, and what to compare decoded ones by."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer, Collector
from lipstream.lifecycle.grammar import Grammar
from lipstream.protocols.openai_chat.stream_decode import ChatStreamDecoder, decode_answer
from lipstream.protocols.openai_chat.stream_encode import ChatStreamEncoder

DONE = b"data: [DONE]\n\n"


def counter() -> Callable[[], str]:
    """Ids that tests can foretell: 1, 2, 3 ..."""
    numbers = itertools.count(1)
    return lambda: str(next(numbers))


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk with one choice; ``more`` are fields of the chunk, ``choice`` of the choice."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    choice.update(more.pop("choice", {}))
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], **more}


ROLE = chunk({"role": "assistant"})


def frame(value: Any) -> bytes:
    """One event; bytes are data as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return b"data: " + data + b"\n\n"


def stream(*values: Any, done: bool = True) -> bytes:
    """A body of events, with the end marker."""
    return b"".join(frame(value) for value in values) + (DONE if done else b"")


def decode(*pieces: bytes) -> list[e.Event]:
    """All events of a body; checks that they are a legal stream."""
    decoder = ChatStreamDecoder(new_id=counter())
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.end()
    return checked(events)


def decode_whole(value: Any) -> list[e.Event]:
    """All events of a body that is no stream."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return checked(decode_answer(body, counter()))


def checked(events: list[e.Event]) -> list[e.Event]:
    """The events, which are in order and end in a terminal one."""
    grammar = Grammar()
    grammar.check(events)
    assert grammar.is_terminal
    return events


def content(events: Iterable[e.Event]) -> list[e.Event]:
    """What is between the message's start and its end, but for the ends of reasoning."""
    frames = (e.Started, e.MessageStarted, e.PartFinished, e.MessageFinished, e.Finished)
    return [event for event in events if not isinstance(event, frames)]


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


def chat_call(**fields: Any) -> Call:
    """A call of a chat client."""
    return Call(**{"dialect": "openai_chat", "model": "m", "messages": (), **fields})


def encoder(model: str | None = None, **fields: Any) -> ChatStreamEncoder:
    """An encoder for a chat client's call."""
    return ChatStreamEncoder(chat_call(**fields), model, counter(), lambda: 1234.5)


def datas(body: bytes) -> list[Any]:
    """The decoded data of every event of a body; the end marker as text."""
    assert body.endswith(b"\n\n")
    events = body.removesuffix(b"\n\n").split(b"\n\n")
    texts = [event.removeprefix(b"data: ") for event in events]
    return [text.decode() if text == b"[DONE]" else json.loads(text) for text in texts]
