"""What OpenAI's own Python client makes of what is written here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from lipstream.canonical import events as e
from lipstream.canonical.collect import Answer
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Reasoning, Refusal, Text, ToolCall
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.protocols.openai_chat import ChatServer
from tests.protocols.openai_chat.building import (
    chat_call,
    counter,
    datas,
    decode,
    encoder,
    fold,
)
from tests.recordings import exchanges

EVENTS: list[e.Event] = [
    e.Started("c1", "m", 1),
    e.Extra("openai_chat", "response", {"system_fingerprint": "f", "service_tier": "default"}),
    e.MessageStarted(),
    e.MessageStarted(1),
    e.ReasoningDelta("hm"),
    e.PartFinished("reasoning", Seal("anthropic_messages", "sig")),
    e.TextDelta("hi ", 0, ({"token": "hi ", "logprob": -0.5, "bytes": None, "top_logprobs": []},)),
    e.TextDelta("there", 0, ()),
    e.TextDelta("two", 1),
    e.ToolCallStarted(0, "a", "f"),
    e.ToolCallDelta(0, '{"x"'),
    e.ToolCallStarted(1, "b", "g"),
    e.ToolCallDelta(1, "{}"),
    e.ToolCallDelta(0, ":1}"),
    e.ToolCallFinished(0, seal=Seal("gemini", "sig")),
    e.ToolCallFinished(1),
    e.MessageFinished(FinishReason.TOOL_CALLS),
    e.RefusalDelta("no", 1),
    e.MessageFinished(FinishReason.LENGTH, 1),
    e.UsageReported(Usage(input_tokens=3, output_tokens=4, cache_read_tokens=1)),
    e.Finished(),
]


def accumulated(body: bytes) -> Any:
    """What the client's own helper puts together from a stream."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for value in datas(body)[:-1]:
        ChatCompletionChunk.model_validate(known(value))
        state.handle_chunk(ChatCompletionChunk.construct(**value))
    return state.current_completion_snapshot


def known(value: dict[str, Any]) -> dict[str, Any]:
    """Without the tier, which providers name as they like."""
    return {name: field for name, field in value.items() if name != "service_tier"}


def said(message: Any) -> tuple[Any, ...]:
    """Text, refusal and calls of the client's message; nothing and empty are the same."""
    calls = [
        (call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()
    ]
    return (message.content or "", message.refusal or "", calls)


def meant(answer: Answer) -> list[tuple[Any, ...]]:
    """The same of the canonical answer."""
    return [
        (
            "".join(part.text for part in choice.parts if isinstance(part, Text)),
            "".join(part.text for part in choice.parts if isinstance(part, Refusal)),
            [(p.id, p.name, p.arguments) for p in choice.parts if isinstance(p, ToolCall)],
        )
        for choice in answer.choices
    ]


def test_client_reads_a_stream() -> None:
    """Every chunk is valid, and together they are the answer."""
    found = accumulated(encoder(wants_usage=True).encode(EVENTS))
    assert [said(choice.message) for choice in found.choices] == meant(fold(EVENTS))
    assert [choice.finish_reason for choice in found.choices] == ["tool_calls", "length"]
    assert found.choices[0].logprobs.content[0].token == "hi "
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (3, 4)
    assert (found.id, found.model, found.system_fingerprint) == ("c1", "m", "f")


@pytest.mark.parametrize("is_streaming", [True, False])
def test_client_brings_seals_back(is_streaming: bool) -> None:
    """A client that sends the message it got as a part of its next request, as its users do."""
    body = chat_body()
    if is_streaming:
        message = accumulated(encoder().encode(EVENTS)).choices[0].message
    else:
        message = ChatCompletion.model_validate(chat_body()).choices[0].message
    request = {"model": body["model"], "messages": [message.model_dump(exclude_none=True)]}
    parts = ChatServer().decode_request(json.dumps(request).encode()).messages[0].parts
    assert Reasoning("hm", Seal("anthropic_messages", "sig")) in parts
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert [call.seal for call in calls] == [Seal("gemini", "sig"), None]


def chat_body() -> Any:
    """The events in one body."""
    return json.loads(ChatServer().encode_answer(fold(EVENTS), chat_call()))


def test_client_reads_a_whole_answer() -> None:
    """The body is valid and says the same."""
    server = ChatServer(new_id=counter(), clock=lambda: 1.0)
    body = json.loads(server.encode_answer(fold(EVENTS), chat_call()))
    found = ChatCompletion.model_validate(body)
    assert [said(choice.message) for choice in found.choices] == meant(fold(EVENTS))
    assert found.usage is not None
    assert found.usage.total_tokens == 7


@pytest.mark.parametrize("is_streaming", [True, False])
def test_client_reads_recorded_answers_of_all_providers(is_streaming: bool) -> None:
    """Written anew, so that none of it is the provider's own; a few of each are enough."""
    server = ChatServer(new_id=counter(), clock=lambda: 1.0)
    seen: dict[str, int] = {}
    for exchange in exchanges("chat-completions"):
        seen[exchange.provider] = seen.get(exchange.provider, 0) + exchange.is_stream
        if not exchange.is_stream or seen[exchange.provider] > 3 or len(exchange.body) > 20_000:
            continue
        events = decode(exchange.body)
        if isinstance(events[-1], e.StreamFailed):
            continue
        answer = fold(events)
        if is_streaming:
            found = accumulated(encoder("other").encode(events))
        else:
            body = server.encode_answer(answer, chat_call(), model="other")
            found = ChatCompletion.model_validate(known(json.loads(body)))
        assert [said(choice.message) for choice in found.choices] == meant(answer), exchange.name
