"""Small makers of Messages events and streams, and what to compare decoded ones by."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer, Collector
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.seal import Sealer
from lipstream.lifecycle.grammar import Grammar
from lipstream.protocols.anthropic_messages.stream_decode import MessageStreamDecoder, decode_answer
from lipstream.protocols.anthropic_messages.stream_encode import MessageStreamEncoder

NAME = "anthropic_messages"
ORIGIN = "anthropic:claude"
SEALER = Sealer(ORIGIN)


def counter() -> Callable[[], str]:
    """Ids that tests can foretell: 1, 2, 3 ..."""
    numbers = itertools.count(1)
    return lambda: str(next(numbers))


# ---------------------------------------------------------------- wire events


def message_start(**fields: Any) -> dict[str, Any]:
    """The start of a message; ``fields`` are the message's."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
        **fields,
    }
    return {"type": "message_start", "message": message}


def block_start(index: int, **block: Any) -> dict[str, Any]:
    """The start of a block."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def text_start(index: int = 0, **more: Any) -> dict[str, Any]:
    """The start of a text."""
    return block_start(index, type="text", text="", **more)


def thinking_start(index: int = 0) -> dict[str, Any]:
    """The start of a thinking."""
    return block_start(index, type="thinking", thinking="", signature="")


def tool_start(index: int = 0, key: str = "a", **more: Any) -> dict[str, Any]:
    """The start of a call."""
    return block_start(index, **{"type": "tool_use", "id": key, "name": "f", "input": {}, **more})


def delta(index: int, **fields: Any) -> dict[str, Any]:
    """A delta; of one text the kind need not be said."""
    kinds = {
        "text": "text_delta",
        "thinking": "thinking_delta",
        "signature": "signature_delta",
        "partial_json": "input_json_delta",
        "citation": "citations_delta",
    }
    if "type" not in fields:
        fields = {"type": kinds[next(iter(fields))], **fields}
    return {"type": "content_block_delta", "index": index, "delta": fields}


def block_stop(index: int = 0) -> dict[str, Any]:
    """The stop of a block."""
    return {"type": "content_block_stop", "index": index}


def message_delta(reason: str | None = "end_turn", **fields: Any) -> dict[str, Any]:
    """The end of a message, with counts unless ``fields`` have others."""
    more = {"usage": {"output_tokens": 5}, **fields}
    inner = {"stop_reason": reason, "stop_sequence": None, **more.pop("delta", {})}
    return {"type": "message_delta", "delta": inner, **more}


STOP = {"type": "message_stop"}
PING = {"type": "ping"}
KNOWN = (
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
)


def frame(value: Any) -> bytes:
    """One event under its name; bytes are data as they are."""
    if isinstance(value, bytes):
        return b"data: " + value + b"\n\n"
    data = json.dumps(value, separators=(",", ":")).encode()
    return b"event: %b\ndata: %b\n\n" % (str(value.get("type", "")).encode(), data)


def stream(*values: Any) -> bytes:
    """A body of events."""
    return b"".join(frame(value) for value in values)


def whole(*values: Any) -> bytes:
    """A body with these between the start and the end."""
    return stream(message_start(), *values, message_delta(), STOP)


def message(*content: Any, **fields: Any) -> dict[str, Any]:
    """A whole message."""
    end = {"stop_reason": "end_turn", "content": [*content], **fields}
    found: dict[str, Any] = message_start(**end)["message"]
    return found


# ---------------------------------------------------------------- canonical


def decode(*pieces: bytes, limits: StreamLimits = STREAM_LIMITS) -> list[e.Event]:
    """All events of a body; checks that they are a legal stream."""
    decoder = MessageStreamDecoder(SEALER, limits, counter())
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.end()
    return checked(events)


def decode_whole(value: Any) -> list[e.Event]:
    """All events of a body that is no stream."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return checked(decode_answer(body, SEALER, new_id=counter()))


def checked(events: list[e.Event]) -> list[e.Event]:
    """The events, which are in order and end in a terminal one."""
    grammar = Grammar()
    grammar.check(events)
    assert grammar.is_terminal
    return events


def content(events: Iterable[e.Event]) -> list[e.Event]:
    """What says something between the start and the end: no counts, no empty pieces."""
    frames = (e.Started, e.MessageStarted, e.MessageFinished, e.Finished, e.UsageReported)
    return [event for event in events if not isinstance(event, frames) and not is_idle(event)]


def is_idle(event: e.Event) -> bool:
    """Whether an event only stands for a wire event."""
    if isinstance(event, e.TextDelta | e.ReasoningDelta):
        return not event.text
    if isinstance(event, e.ToolCallDelta):
        return not event.arguments
    return isinstance(event, e.Extra) and (
        not event.fields or event.scope in ("choice", "response")
    )


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


def own_call(**fields: Any) -> Call:
    """A call of a client of this protocol."""
    return Call(**{"dialect": NAME, "model": "m", "messages": (), **fields})


def encoder(
    model: str | None = None, limits: StreamLimits = STREAM_LIMITS, **fields: Any
) -> MessageStreamEncoder:
    """An encoder for such a client's call."""
    return MessageStreamEncoder(own_call(**fields), model, counter(), limits)


def datas(body: bytes) -> list[Any]:
    """The decoded data of every event of a body; names are checked where they matter."""
    assert body.endswith(b"\n\n")
    found = []
    for event in body.removesuffix(b"\n\n").split(b"\n\n"):
        lines = event.split(b"\n")
        data = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
        value = json.loads(b"\n".join(data))
        kind = value.get("type")
        if kind in KNOWN:
            assert lines[0] == b"event: " + kind.encode()
        found.append(value)
    return found
