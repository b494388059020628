"""Recorded exchanges with real providers: everything is read, and nothing is lost on the way on."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.call import Message, Role
from lipstream.canonical.collect import Answer, Choice
from lipstream.canonical.parts import Audio, Image, Part, Reasoning, Refusal, Text, ToolCall
from lipstream.canonical.seal import packed, unpacked
from lipstream.protocols.openai_chat import CLIENT, ChatServer
from lipstream.protocols.openai_chat.pieces import join_pieces
from lipstream.protocols.openai_chat.stream_decode import ChatStreamDecoder
from tests.protocols.openai_chat.building import (
    chat_call,
    checked,
    counter,
    decode,
    decode_whole,
    encoder,
    fold,
)
from tests.recordings import Exchange, exchanges

FAILED_STREAMS = {
    # streams in which the provider reported an error
    "test_groq-test_tool_use_failed_error_streaming": "tool_use_failed",
    "test_groq-test_tool_use_failed_error_streaming_with_text": "tool_use_failed",
    "test_openrouter-test_openrouter_stream_error": None,
}


def answered() -> list[tuple[Exchange, list[e.Event]]]:
    """All successful exchanges with their events."""
    found = []
    for exchange in exchanges("chat-completions"):
        if exchange.status == 200:
            read = decode if exchange.is_stream else decode_whole
            found.append((exchange, read(exchange.body)))
    return found


def meaning(answer: Answer, *, with_usage: bool = True) -> list[Any]:
    """What of an answer must come through."""
    usage = answer.usage.fields if answer.usage is not None and with_usage else None
    extra = {name: value for name, value in answer.extra.items() if name != "x_groq"}
    head = [answer.id, answer.model, answer.created or None, usage, extra]
    return [*head, *(choice_meaning(choice) for choice in answer.choices)]


def choice_meaning(choice: Choice) -> tuple[Any, ...]:
    """Texts joined, because two fields and one may hold them."""
    texts = [
        "".join(part.text for part in choice.parts if isinstance(part, kind))
        for kind in (Text, Reasoning, Refusal)
    ]
    others = [part for part in choice.parts if isinstance(part, ToolCall | Image | Audio)]
    logprobs = (choice.logprobs, choice.refusal_logprobs)
    pieces = join_pieces(choice.pieces)
    return (choice.index, texts, others, choice.reason, logprobs, choice.extra, pieces)


def test_every_recorded_answer_is_read() -> None:
    """Legal events to a terminal one; only streams that report an error fail."""
    kinds: Counter[tuple[str, str]] = Counter()
    failed = {}
    for exchange, events in answered():
        last = events[-1]
        kinds["stream" if exchange.is_stream else "body", type(last).__name__] += 1
        if isinstance(last, e.StreamFailed):
            failed[exchange.name.split("__")[1].removeprefix("models-")] = last.fault.code
    assert kinds == {
        ("stream", "Finished"): 237,
        ("stream", "StreamFailed"): 3,
        ("body", "Finished"): 198,
    }
    assert failed == FAILED_STREAMS


def test_no_recorded_event_is_dropped() -> None:
    """Every chunk of every provider is understood."""
    for exchange in exchanges("chat-completions"):
        if exchange.is_stream:
            decoder = ChatStreamDecoder()
            decoder.feed(exchange.body)
            decoder.end()
            assert decoder.dropped_events == 0, exchange.name


def test_recorded_answers_mean_the_same_when_streamed_on() -> None:
    """As they came, and with every chunk written anew."""
    for exchange, events in answered():
        if isinstance(events[-1], e.StreamFailed):
            continue
        expected = meaning(fold(events))
        for model in (None, "other"):
            body = encoder(model, wants_usage=True).encode(events)
            again = meaning(fold(decode(body)))
            expected[1] = model or fold(events).model
            expected[2] = expected[2] or again[2]
            expected[0] = expected[0] or again[0]
            assert again == expected, exchange.name


def test_recorded_answers_mean_the_same_in_one_body() -> None:
    """What a client gets that did not ask for a stream."""
    server = ChatServer(new_id=counter(), clock=lambda: 1.0)
    for exchange, events in answered():
        if isinstance(events[-1], e.StreamFailed):
            continue
        answer = fold(events)
        body = server.encode_answer(answer, chat_call())
        expected, again = meaning(answer), meaning(fold(decode_whole(body)))
        expected[2] = expected[2] or again[2]
        assert again == expected, exchange.name


def test_usage_is_kept_from_clients_that_did_not_ask() -> None:
    """Whatever the provider sends, and nothing else is lost."""
    for exchange, events in answered():
        if isinstance(events[-1], e.StreamFailed) or b"x_groq" in exchange.body:
            continue
        again = fold(decode(encoder().encode(events)))
        assert again.usage is None, exchange.name
        assert meaning(again)[4:] == meaning(fold(events), with_usage=False)[4:], exchange.name


def test_recorded_streams_read_the_same_in_any_pieces() -> None:
    """Cut where the network might cut."""
    for exchange in exchanges("chat-completions"):
        if exchange.is_stream and len(exchange.body) < 30_000:
            body = exchange.body
            whole = decode(body)
            step = 1 + len(body) % 997
            pieces = [body[i : i + step] for i in range(0, len(body), step)]
            if not isinstance(whole[-1], e.StreamFailed):
                assert decode(*pieces) == whole, exchange.name


def test_whole_completion_in_place_of_a_stream_is_read_for_every_provider() -> None:
    """The same events as from the body that was not asked to be one."""
    for exchange in exchanges("chat-completions"):
        if exchange.status == 200 and not exchange.is_stream:
            decoder = ChatStreamDecoder(new_id=counter())
            events = checked(decoder.feed(exchange.body) + decoder.end())
            assert events == decode_whole(exchange.body), exchange.name


def test_recorded_reasoning_comes_back_through_other_protocols_clients() -> None:
    """Its text and details, as the provider sent them, to the provider."""
    kinds: Counter[str] = Counter()
    for exchange, events in answered():
        answer = fold(events)
        if exchange.is_stream or not answer.choices or not mentions_reasoning(answer.choices[0]):
            continue
        told = json.loads(exchange.body)["choices"][0]["message"]
        parts = tuple(carried(part) for part in answer.choices[0].parts)
        call = chat_call(dialect="other", messages=(Message(Role.ASSISTANT, parts),))
        (sent,) = json.loads(CLIENT.encode_request(call, "m", is_streaming=False))["messages"]
        if not isinstance(told.get("content"), list):  # Mistral has its reasoning among the content
            text = told.get("reasoning_content") or told.get("reasoning") or None
            assert sent.get("reasoning_content") == text, exchange.name
        assert sent.get("reasoning_details") == told.get("reasoning_details"), exchange.name
        kinds["details" if "reasoning_details" in sent else "text"] += 1
    assert kinds["details"] > 10
    assert kinds["text"] > 20


def mentions_reasoning(choice: Choice) -> bool:
    """Whether any of its parts is."""
    return any(isinstance(part, Reasoning) for part in choice.parts)


def carried(part: Part) -> Part:
    """A part as it comes back from a client that had the seal packed."""
    if isinstance(part, Reasoning) and part.seal is not None:
        return Reasoning(part.text, unpacked(packed(part.seal)))
    return part
