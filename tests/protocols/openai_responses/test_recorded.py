"""Recorded exchanges with real providers: everything is read, and nothing is lost on the way on."""

from __future__ import annotations

import functools
import json
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.collect import Answer
from lipstream.canonical.parts import File, Image, Reasoning, Refusal, Text, ToolCall
from lipstream.errors import FaultKind
from lipstream.framing.sse import SseSplitter
from lipstream.protocols.openai_responses import CLIENT
from lipstream.protocols.openai_responses.stream_decode import ResponseStreamDecoder
from tests.protocols.openai_responses.building import (
    Fields,
    answered,
    checked,
    counter,
    datas,
    decode,
    decode_whole,
    encoder,
    fold,
    foreign,
)
from tests.recordings import Exchange, exchanges

LAST = ("response.completed", "response.incomplete")


@functools.cache
def answers() -> tuple[tuple[Exchange, list[e.Event]], ...]:
    """All successful exchanges with their events."""
    found = []
    for exchange in exchanges("responses"):
        if exchange.status == 200:
            read = decode if exchange.is_stream else decode_whole
            found.append((exchange, read(exchange.body)))
    return tuple(found)


def sent(body: bytes) -> list[Fields]:
    """The data of a recorded stream, up to the first final response."""
    found = []
    for _, data in SseSplitter(1 << 24).feed(body):
        if data == b"[DONE]":
            break
        found.append(json.loads(data))
        if found[-1]["type"] in LAST:
            break
    return found


def meaning(answer: Answer) -> list[Any]:
    """What of an answer must come through every other form of it."""
    (choice,) = answer.choices
    texts = [
        "".join(part.text for part in choice.parts if isinstance(part, kind))
        for kind in (Text, Refusal, Reasoning)
    ]
    calls = [
        (part.id, part.name, part.arguments, part.type)
        for part in choice.parts
        if isinstance(part, ToolCall)
    ]
    media = [part.url for part in choice.parts if isinstance(part, Image | File)]
    usage = answer.usage and (answer.usage.input_tokens, answer.usage.output_tokens)
    return [texts, calls, media, choice.reason, usage, answer.model]


def test_every_recorded_answer_is_read() -> None:
    """To its end, without a single event dropped."""
    kinds = [(exchange.is_stream, type(events[-1])) for exchange, events in answers()]
    assert kinds.count((True, e.Finished)) == 93
    assert kinds.count((False, e.Finished)) == 110
    assert len(kinds) == 203
    for exchange, _ in answers():
        decoder = ResponseStreamDecoder()
        decoder.feed(exchange.body)
        decoder.end()
        assert decoder.dropped_events == 0, exchange.name


def test_every_recorded_stream_passes_unchanged() -> None:
    """The same data in the same order, whatever provider it came from."""
    for exchange, events in answers():
        if exchange.is_stream:
            found = datas(encoder().encode(events))
            assert found == [*sent(exchange.body), "[DONE]"], exchange.name


def test_every_recorded_stream_folds_to_the_providers_own_body() -> None:
    """Which its final event holds."""
    for exchange, events in answers():
        if exchange.is_stream:
            assert answered(events) == sent(exchange.body)[-1]["response"], exchange.name


def test_every_recorded_body_is_given_on_as_it_came() -> None:
    """Every field of every provider."""
    for exchange, events in answers():
        if not exchange.is_stream:
            assert answered(events) == json.loads(exchange.body), exchange.name


def test_recorded_answers_mean_the_same_when_written_anew() -> None:
    """As if a provider of another protocol had sent them, streamed and whole."""
    for exchange, events in answers():
        events = foreign(events)
        expected = meaning(fold(events))
        assert meaning(fold(decode(encoder().encode(events)))) == expected, exchange.name
        body = answered(events)
        assert meaning(fold(decode_whole(body))) == expected, exchange.name


def test_recorded_streams_read_the_same_in_any_pieces() -> None:
    """Cut where the network might cut."""
    for exchange, whole in answers():
        if exchange.is_stream and len(exchange.body) < 60_000:
            body = exchange.body
            step = 1 + len(body) % 997
            pieces = [body[i : i + step] for i in range(0, len(body), step)]
            assert decode(*pieces) == whole, exchange.name


def test_whole_response_in_place_of_a_stream_is_read_for_every_provider() -> None:
    """The same events as from the body that was not asked to be one."""
    for exchange, events in answers():
        if not exchange.is_stream:
            decoder = ResponseStreamDecoder(new_id=counter())
            assert checked(decoder.feed(exchange.body) + decoder.end()) == events, exchange.name


def test_recorded_errors_are_what_they_name() -> None:
    """A wrong key, an unknown model, a file of a wrong kind, a call without a result."""
    kinds = {FaultKind.CREDENTIALS, FaultKind.NOT_FOUND, FaultKind.BAD_REQUEST}
    found = []
    for exchange in exchanges("responses"):
        if exchange.status != 200:
            fault = CLIENT.decode_error(exchange.status, exchange.headers, exchange.body)
            assert fault.kind in kinds, exchange.name
            found.append(fault.kind)
    assert set(found) == kinds
    assert len(found) == 12
