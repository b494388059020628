"""Small makers of Converse messages and streams, calls, and what to compare decoded ones by."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.collect import Answer, Collector
from lipstream.canonical.parts import Part, Text
from lipstream.framing.eventstream import encode_message
from lipstream.lifecycle.grammar import Grammar
from lipstream.protocols.bedrock_converse import CLIENT, ConverseClient

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS = "us.anthropic.claude-opus-4-7"
NOVA = "amazon.nova-lite-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-8b-instruct-v1:0"


def counter() -> Callable[[], str]:
    """Ids that tests can foretell: 1, 2, 3 ..."""
    numbers = itertools.count(1)
    return lambda: str(next(numbers))


# ---------------------------------------------------------------- streams


def message(name: str, fields: Any, kind: str = "event") -> bytes:
    """One message; bytes are payload as they are."""
    data = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return encode_message(headers, data)


START = message("messageStart", {"role": "assistant"})
USAGE = {"inputTokens": 3, "outputTokens": 7, "totalTokens": 10}
METADATA = message("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}})


def begun(index: int, **start: Any) -> bytes:
    """The start of a block."""
    return message("contentBlockStart", {"contentBlockIndex": index, "start": start})


def delta(index: int, **fields: Any) -> bytes:
    """A piece of a block."""
    return message("contentBlockDelta", {"contentBlockIndex": index, "delta": fields})


def over(index: int) -> bytes:
    """The end of a block."""
    return message("contentBlockStop", {"contentBlockIndex": index})


def stopped(reason: str = "end_turn") -> bytes:
    """The end of the message."""
    return message("messageStop", {"stopReason": reason})


def stream(*blocks: bytes, reason: str = "end_turn") -> bytes:
    """A whole stream around some blocks."""
    return b"".join((START, *blocks, stopped(reason), METADATA))


def decode(*pieces: bytes) -> list[e.Event]:
    """All events of a body; checks that they are a legal stream."""
    decoder = ConverseClient(new_id=counter()).stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return checked(events + decoder.end())


def decode_whole(value: Any) -> list[e.Event]:
    """All events of a body that is no stream."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return checked(ConverseClient(new_id=counter()).decode_answer(body))


def answer(*content: Any, reason: str = "end_turn") -> dict[str, Any]:
    """A whole answer."""
    output = {"message": {"role": "assistant", "content": list(content)}}
    return {"output": output, "stopReason": reason, "usage": USAGE, "metrics": {"latencyMs": 5}}


def checked(events: list[e.Event]) -> list[e.Event]:
    """The events, which are in order and end in a terminal one."""
    grammar = Grammar()
    grammar.check(events)
    assert grammar.is_terminal
    return events


def content(events: Iterable[e.Event]) -> list[e.Event]:
    """What is between the message's start and its end."""
    frames = (e.Started, e.MessageStarted, e.MessageFinished, e.UsageReported, e.Finished)
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


def reframed(lines: bytes) -> bytes:
    """A stream out of what some recordings kept of one: a line of JSON for each event."""
    events = [json.loads(line) for line in lines.split(b"\n") if line.strip()]
    return b"".join(message(name, fields) for event in events for name, fields in event.items())


# ---------------------------------------------------------------- calls

HELLO = Message(Role.USER, (Text("hi"),))


def call(*messages: Message, **fields: Any) -> Call:
    """A call of another protocol; with a question alone unless it says more."""
    given = {"dialect": "openai_chat", "model": "m", "messages": messages or (HELLO,)}
    return Call(**{**given, **fields})


def user(*parts: Part) -> Message:
    """A question."""
    return Message(Role.USER, parts)


def assistant(*parts: Part) -> Message:
    """An answer."""
    return Message(Role.ASSISTANT, parts)


def body(of: Call, model: str = LLAMA) -> Any:
    """What is sent for a call."""
    return json.loads(CLIENT.encode_request(of, model, is_streaming=True))
