"""What Anthropic's own Python client makes of what is written here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from lipstream.canonical import events as e
from lipstream.canonical.collect import Answer
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Opaque, Reasoning, Refusal, Text, ToolCall
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.protocols.anthropic_messages import SERVER
from tests.protocols.anthropic_messages.building import (
    datas,
    decode,
    decode_whole,
    encoder,
    fold,
    own_call,
)
from tests.recordings import exchanges

ONE_EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)

# As a chat upstream tells it: calls in turns, counts at the end.
EVENTS: list[e.Event] = [
    e.Started("c1", "gpt", 1),
    e.MessageStarted(),
    e.ReasoningDelta("hm"),
    e.PartFinished("reasoning", Seal("openai_responses", "enc", "o:m")),
    e.TextDelta("hi "),
    e.TextDelta("there"),
    e.ToolCallStarted(0, "a", "f"),
    e.ToolCallDelta(0, '{"x"'),
    e.ToolCallStarted(1, "b", "g"),
    e.ToolCallDelta(1, '{"y":'),
    e.ToolCallDelta(0, ":1}"),
    e.ToolCallDelta(1, "2}"),
    e.ToolCallFinished(0),
    e.ToolCallFinished(1, seal=Seal("gemini", "s")),
    e.MessageFinished(FinishReason.TOOL_CALLS),
    e.UsageReported(Usage(input_tokens=9, output_tokens=4, cache_read_tokens=6)),
    e.Finished(),
]


def accumulated(body: bytes, *, is_strict: bool = False) -> Message:
    """What the client's own helper puts together from a stream."""
    found: Any = None
    buffers: dict[int, bytes] = {}
    for value in datas(body):
        if value["type"] != "ping":
            if is_strict:
                ONE_EVENT.validate_python(value)
            found = accumulate_event(event=value, current_snapshot=found, json_bufs=buffers)
    assert isinstance(found, Message)
    return found


def seen(message: Message) -> list[tuple[Any, ...]]:
    """Texts, thinking and calls of the client's message."""
    found: list[tuple[Any, ...]] = []
    for block in message.content:
        if block.type == "text" and block.text:
            found.append(("text", block.text))
        elif block.type == "thinking":
            found.append(("thinking", block.thinking))
        elif block.type == "tool_use":
            found.append(("tool_use", block.id, block.name, block.input))
    return found


def meant(answer: Answer) -> list[tuple[Any, ...]]:
    """The same of the canonical answer."""
    found: list[tuple[Any, ...]] = []
    for part in answer.choices[0].parts:
        if isinstance(part, Text) and part.text:
            found.append(("text", part.text))
        elif isinstance(part, Reasoning) and (part.text or not is_redacted(part)):
            found.append(("thinking", part.text))
        elif isinstance(part, ToolCall):
            found.append(("tool_use", part.id, part.name, json.loads(part.arguments or "{}")))
        else:
            assert isinstance(part, Opaque | Text | Reasoning | Refusal)
    return found


def is_redacted(part: Reasoning) -> bool:
    """Whether it has no text to show."""
    return part.seal is not None and part.seal.fields.get("type") == "redacted_thinking"


def test_client_reads_a_stream() -> None:
    """Every event is valid, and together they are the answer."""
    found = accumulated(encoder().encode(EVENTS), is_strict=True)
    assert seen(found) == meant(fold(EVENTS))
    assert [block.type for block in found.content] == [
        "thinking", "text", "tool_use", "tool_use", "redacted_thinking",
    ]  # fmt: skip
    assert (found.stop_reason, found.id, found.model) == ("tool_use", "c1", "gpt")
    usage = found.usage
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens)
    assert counts == (3, 4, 6)


def test_client_reads_a_whole_answer() -> None:
    """The body is valid and says the same."""
    body = SERVER.encode_answer(fold(EVENTS), own_call())
    found = Message.model_validate_json(body)
    assert seen(found) == meant(fold(EVENTS))
    assert (found.usage.input_tokens, found.usage.output_tokens) == (3, 4)


def test_client_sends_back_what_it_got() -> None:
    """The next turn has everything in it, each seal where it belongs."""
    message = accumulated(encoder().encode(EVENTS))
    turn = {"role": "assistant", "content": json.loads(message.to_json())["content"]}
    body = {"model": "m", "max_tokens": 9, "messages": [turn]}
    (again,) = SERVER.decode_request(json.dumps(body).encode()).messages
    reasoning, text, first, second = again.parts
    assert isinstance(reasoning, Reasoning)
    assert (reasoning.text, reasoning.seal) == ("hm", Seal("openai_responses", "enc", "o:m"))
    assert isinstance(text, Text)
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert (first.seal, second.seal) == (None, Seal("gemini", "s", call_id="b"))
    assert [json.loads(call.arguments) for call in (first, second)] == [{"x": 1}, {"y": 2}]


@pytest.mark.parametrize("is_anew", [False, True])
def test_client_reads_recorded_streams(is_anew: bool) -> None:
    """Passed on, and written without any of the provider's bytes."""
    for exchange in exchanges("messages"):
        if exchange.is_stream:
            events = decode(exchange.body)
            told = [event.changed() for event in events] if is_anew else events
            found = accumulated(encoder().encode(told))
            assert seen(found) == meant(fold(events)), exchange.name


def test_client_reads_recorded_answers_in_one_body() -> None:
    """Streamed or not."""
    for exchange in exchanges("messages"):
        if exchange.status == 200:
            read = decode if exchange.is_stream else decode_whole
            answer = fold(read(exchange.body))
            body = json.loads(SERVER.encode_answer(answer, own_call(), model="other"))
            found = Message.construct(**body)
            assert seen(found) == meant(answer), exchange.name
