"""Recorded exchanges with the provider: everything is read, and nothing is lost on the way on."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import attrs

from lipstream.canonical import events as e
from lipstream.canonical.collect import Answer
from lipstream.canonical.parts import Part, Text, ToolCall
from lipstream.protocols.anthropic_messages import SERVER
from lipstream.protocols.anthropic_messages.stream_decode import MessageStreamDecoder
from tests.protocols.anthropic_messages.building import (
    datas,
    decode,
    decode_whole,
    encoder,
    fold,
    own_call,
)
from tests.recordings import Exchange, exchanges


def answered() -> list[tuple[Exchange, list[e.Event]]]:
    """All successful exchanges with their events."""
    found = []
    for exchange in exchanges("messages"):
        if exchange.status == 200:
            read = decode if exchange.is_stream else decode_whole
            found.append((exchange, read(exchange.body)))
    return found


def frames(body: bytes) -> list[tuple[bytes, bytes]]:
    """Name and data of every event up to the end of the first message."""
    found: list[tuple[bytes, bytes]] = []
    for event in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        if event.strip():
            lines = dict(line.split(b":", 1) for line in event.strip().split(b"\n"))
            found.append((lines[b"event"].strip(), lines[b"data"].strip()))
        if found and found[-1][0] == b"message_stop":
            break
    return found


def said(answer: Answer) -> list[Any]:
    """What of an answer must come through; an empty text says nothing."""
    (choice,) = answer.choices
    parts = [plain(part) for part in choice.parts if not is_empty(part)]
    fields = {k: v for k, v in {**answer.extra, **choice.extra}.items() if v is not None}
    return [answer.id, answer.model, parts, choice.reason, choice.detail, fields]


def is_empty(part: Part) -> bool:
    """Whether a part is a text without any."""
    return isinstance(part, Text) and not part.text


def plain(part: Part) -> Part:
    """The part, with a call's arguments in one spelling."""
    if not isinstance(part, ToolCall):
        return part
    return attrs.evolve(part, arguments=json.dumps(json.loads(part.arguments or "{}")))


def test_every_recorded_answer_is_read() -> None:
    """Legal events to a terminal one, and no event is dropped."""
    kinds: Counter[tuple[bool, str]] = Counter()
    for exchange, events in answered():
        kinds[exchange.is_stream, type(events[-1]).__name__] += 1
        decoder = MessageStreamDecoder()
        decoder.feed(exchange.body)
        decoder.end()
        assert decoder.dropped_events == 0, exchange.name
    assert kinds == {(True, "Finished"): 77, (False, "Finished"): 64}


def test_recorded_streams_are_passed_on_as_they_came() -> None:
    """Every event, its name and its data to the byte, in order."""
    for exchange, events in answered():
        if exchange.is_stream:
            passed = frames(encoder().encode(events))
            assert passed == frames(exchange.body), exchange.name


def test_recorded_streams_with_another_model_differ_only_there() -> None:
    """In their start."""
    for exchange, events in answered():
        if exchange.is_stream:
            told = frames(encoder("other").encode(events))
            first, rest = json.loads(told[0][1]), told[2:]
            original = frames(exchange.body)
            expected = json.loads(original[0][1])
            expected["message"]["model"] = "other"
            assert (first, rest) == (expected, original[1:]), exchange.name


def test_recorded_answers_mean_the_same_when_written_anew() -> None:
    """Without any of the provider's bytes."""
    for exchange, events in answered():
        body = encoder().encode([event.changed() for event in events])
        datas(body)
        again = fold(decode(body))
        assert said(again) == said(fold(events)), exchange.name
        assert again.usage == fold(events).usage, exchange.name


def test_recorded_bodies_come_through_unchanged() -> None:
    """Every field."""
    for exchange, events in answered():
        if not exchange.is_stream:
            body = SERVER.encode_answer(fold(events), own_call())
            assert json.loads(body) == json.loads(exchange.body), exchange.name


def test_recorded_streams_in_one_body_say_the_same() -> None:
    """What a client gets that did not ask for a stream."""
    for exchange, events in answered():
        if exchange.is_stream:
            body = SERVER.encode_answer(fold(events), own_call())
            assert said(fold(decode_whole(body))) == said(fold(events)), exchange.name


def test_recorded_streams_read_the_same_in_any_pieces() -> None:
    """Cut where the network might cut."""
    for exchange in exchanges("messages"):
        if exchange.is_stream and len(exchange.body) < 40_000:
            body = exchange.body
            step = 1 + len(body) % 997
            pieces = [body[i : i + step] for i in range(0, len(body), step)]
            assert decode(*pieces) == decode(body), exchange.name


def test_whole_message_in_place_of_a_stream_is_read() -> None:
    """The same events as from the body that was not asked to be one."""
    for exchange in exchanges("messages"):
        if exchange.status == 200 and not exchange.is_stream:
            assert decode(exchange.body) == decode_whole(exchange.body), exchange.name
