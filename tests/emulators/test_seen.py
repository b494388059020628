"""The one form in which every dialect's request is seen."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from lipstream.emulators.anthropic_request import see_messages
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.gemini_request import see_generate
from lipstream.emulators.openai_chat_request import see_chat
from lipstream.emulators.openai_responses_request import see_responses
from lipstream.emulators.script import Script, ToolCall
from lipstream.emulators.seen import (
    Seen,
    SeenCall,
    SeenReasoning,
    SeenResult,
    SeenText,
    SeenTool,
    decoded_size,
    repeat,
)
from tests.emulators import conversation
from tests.emulators.raw_client import exchange, request

SEEN = {
    "chat": see_chat(conversation.CHAT),
    "responses": see_responses(conversation.RESPONSES),
    "messages": see_messages(conversation.MESSAGES),
    "gemini": see_generate(conversation.GEMINI),
}
EACH = pytest.mark.parametrize("name", SEEN)


@EACH
def test_same_conversation_is_seen_alike(name: str) -> None:
    """Instructions apart, turns that alternate, tools, media with their sizes."""
    seen = SEEN[name]
    assert seen.system == conversation.SYSTEM
    assert [turn.role for turn in seen.turns] == ["user", "assistant", "user"]
    assert seen.texts == [conversation.QUESTION, conversation.WORDS]
    assert [reasoning.text for reasoning in seen.reasoning] == [conversation.REASONING]
    assert [(image.media_type, image.size) for image in seen.images] == [("image/png", 8)]
    assert seen.tools == (SeenTool("weather", "Of a city", conversation.SCHEMA),)


@EACH
def test_calls_and_results_are_seen_alike(name: str) -> None:
    """Ids, names and arguments; a result knows the name of its tool in every dialect."""
    calls = [(call.id, call.name, call.arguments) for call in SEEN[name].calls]
    assert calls == [("call_1", "weather", {"city": "Rome"}), ("call_2", "now", {})]
    results = [(result.call_id, result.name, result.text) for result in SEEN[name].results]
    assert results == [("call_1", "weather", "40 C"), ("call_2", "now", "noon")]


@EACH
def test_options_have_the_same_names(name: str) -> None:
    """Where a dialect has the option; Responses knows no stop sequences."""
    expected = {"max_tokens": 100, "temperature": 0.5, "tool_choice": "required"}
    if name != "responses":
        expected["stop"] = ["END"]
    assert SEEN[name].options == expected


@EACH
def test_rounds_count_since_the_user_last_spoke(name: str) -> None:
    """One in the conversation; none once the user has said something else."""
    seen = SEEN[name]
    assert seen.rounds == 1
    assert attrs.evolve(seen, turns=seen.turns[:-1]).rounds == 0


@EACH
def test_repeated_results_tell_what_arrived(name: str) -> None:
    """Id, name, the arguments of the call, text, error mark where there is one, images."""
    said = json.loads(repeat(SEEN[name]))
    is_error = None if name in ("chat", "responses") else False
    first = {"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}, "text": "40 C"}
    assert said["results"][0] == {**first, "is_error": is_error, "images": 0}
    assert (len(said["results"]), said["images"]) == (2, 0)


def test_results_without_ids_find_their_calls_by_name_in_order() -> None:
    """As Gemini's older models have it."""
    body = json.loads(json.dumps(conversation.GEMINI).replace('"now"', '"weather"'))
    for content in body["contents"]:
        for part in content["parts"]:
            for kind in ("functionCall", "functionResponse"):
                part.get(kind, {}).pop("id", None)
    results = json.loads(repeat(see_generate(body)))["results"]
    assert [result["arguments"] for result in results] == [{"city": "Rome"}, {}]


def response(result: Any) -> SeenResult:
    """What Gemini's dialect sees of a function's response."""
    body = json.loads(json.dumps(conversation.GEMINI))
    body["contents"][2]["parts"][0]["functionResponse"]["response"] = result
    return see_generate(body).results[0]


def test_geminis_wrappers_are_taken_off() -> None:
    """``result``, ``output`` and ``content`` stand for what they hold, ``error`` for an error."""
    assert [response({key: "x"}).text for key in ("result", "output", "content")] == ["x"] * 3
    assert (response({"error": "x"}).text, response({"error": "x"}).is_error) == ("x", True)
    assert response({"result": {"a": 1}}).text == '{"a":1}'
    assert response({"a": 1, "b": 2}).text == '{"a":1,"b":2}'


def test_media_inside_of_a_result_are_seen_with_it() -> None:
    """And among all media of the request."""
    body = json.loads(json.dumps(conversation.MESSAGES))
    image = body["messages"][0]["content"][1]
    body["messages"][2]["content"][1]["content"].append(image)
    seen = see_messages(body)
    assert [len(result.media) for result in seen.results] == [0, 1]
    assert len(seen.images) == 2
    assert json.loads(repeat(seen))["images"] == 1


def test_size_of_what_is_not_base64_is_minus_one() -> None:
    """Both alphabets count, padded or not."""
    assert [decoded_size(text) for text in ("-_8=", "+/8", "!")] == [2, 2, -1]


async def test_tool_loop_calls_then_repeats() -> None:
    """As many rounds of calls as the script says, then the text; a new question starts anew."""
    call = ToolCall("f", '{"a":1}', id="c1")
    script = Script(tool_calls=(call,), tool_rounds=2)
    messages: list[Any] = [{"role": "user", "content": "Hi"}]
    kinds, results = [], []
    async with Emulator(default=script) as emulator:
        for _ in range(4):
            body = json.dumps({"model": "m", "messages": messages}).encode()
            said = (await exchange(emulator.port, request(body))).json["choices"][0]
            messages.append(said["message"])
            kinds.append(said["finish_reason"])
            if said["message"].get("tool_calls"):
                messages.append({"role": "tool", "tool_call_id": "c1", "content": "done"})
            else:
                results = json.loads(said["message"]["content"])["results"]
                messages.append({"role": "user", "content": "Again"})
    assert kinds == ["tool_calls", "tool_calls", "stop", "tool_calls"]
    assert [(r["id"], r["text"], r["arguments"]) for r in results] == [("c1", "done", {"a": 1})]


async def test_ledger_keeps_what_was_seen() -> None:
    """With the dialect and the query, in its JSON, too; nothing of a refused request."""
    async with Emulator() as emulator:
        path = "/v1beta/models/m:generateContent"
        for body in (b'{"contents": [{"parts": [{"text": "Hi"}]}]}', b"{}"):
            await exchange(emulator.port, request(body, path=f"{path}?key=k"))
        first, second = emulator.ledger
        assert (first.dialect, first.query, first.status) == ("Gemini", "key=k", 200)
        assert first.seen is not None
        assert first.seen.texts == ["Hi"]
        assert (second.seen, second.status) == (None, 400)
        row = json.loads(emulator.ledger.as_json())["entries"][0]
        part = row["seen"]["turns"][0]["parts"][0]
        assert part == {"text": "Hi", "type": "text"}


def test_parts_say_what_they_are() -> None:
    """So that their JSON form can be told apart."""
    parts = (SeenText(""), SeenReasoning(""), SeenCall("", "", {}), SeenResult("", "", ""))
    assert [part.type for part in parts] == ["text", "reasoning", "call", "result"]
    assert Seen().rounds == 0
