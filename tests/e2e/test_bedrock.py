"""Tool loops between clients of every protocol and Bedrock: what the model proved comes back as it
was, and the service accepts it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.emulators.aws_signature import ACCESS_KEY, SECRET_KEY
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script, ToolCall
from lipstream.emulators.seen import SeenReasoning
from tests.e2e.harness import Proxy, proxying

MODEL = "us.anthropic.claude-sonnet-4-5-v1:0"
ROUTE = f"aws:{MODEL}"
THOUGHT = "Better look it up."
ENTRY = {
    "kind": "bedrock",
    "api_key": "",
    "access_key_id": ACCESS_KEY,
    "secret_access_key": SECRET_KEY,
}
SCRIPT = Script(
    reasoning=THOUGHT,
    tool_calls=(ToolCall("weather", '{"city":"Rome"}'), ToolCall("now")),
    tool_rounds=1,
)
QUESTION = {"role": "user", "content": "How warm is it?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


async def chat_loop(proxy: Proxy) -> str:
    """A client of OpenAI's chat."""
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    body: Any = {"model": ROUTE, "messages": [QUESTION], "tools": tools}
    body["reasoning_effort"] = "low"
    told = (await proxy.post(body)).json["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "warm"}
        for call in told["tool_calls"]
    ]
    body["messages"] += [told, *results]
    text: str = (await proxy.post(body)).json["choices"][0]["message"]["content"]
    return text


async def messages_loop(proxy: Proxy) -> str:
    """A client of Anthropic's."""
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body: Any = {"model": ROUTE, "messages": [QUESTION], "tools": tools, "max_tokens": 9000}
    body["thinking"] = thinking
    version = "anthropic-version: 2023-06-01"
    told = (await proxy.post(body, version, path="/v1/messages")).json["content"]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "warm"}
        for block in told
        if block["type"] == "tool_use"
    ]
    body["messages"] += [
        {"role": "assistant", "content": told},
        {"role": "user", "content": results},
    ]
    content = (await proxy.post(body, version, path="/v1/messages")).json["content"]
    return "".join(block.get("text", "") for block in content)


async def responses_loop(proxy: Proxy) -> str:
    """A client of OpenAI's Responses."""
    tools = [{"type": "function", "name": "weather", "parameters": SCHEMA}]
    body: Any = {"model": ROUTE, "input": [QUESTION], "tools": tools}
    body["reasoning"] = {"effort": "low", "summary": "auto"}
    told = (await proxy.post(body, path="/v1/responses")).json["output"]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "warm"}
        for item in told
        if item["type"] == "function_call"
    ]
    body["input"] += [*told, *results]
    output = (await proxy.post(body, path="/v1/responses")).json["output"]
    return "".join(part.get("text", "") for item in output for part in item.get("content") or ())


async def gemini_loop(proxy: Proxy) -> str:
    """A client of Gemini's."""
    declared = [{"name": "weather", "parametersJsonSchema": SCHEMA}]
    thinking = {"thinkingBudget": 1024, "includeThoughts": True}
    contents: list[Any] = [{"role": "user", "parts": [{"text": "How warm is it?"}]}]
    body: Any = {"contents": contents, "tools": [{"functionDeclarations": declared}]}
    body["generationConfig"] = {"thinkingConfig": thinking}
    path = f"/v1beta/models/{ROUTE}:generateContent"
    told = (await proxy.post(body, path=path)).json["candidates"][0]["content"]
    calls = [part["functionCall"] for part in told["parts"] if "functionCall" in part]
    answered = [
        {"functionResponse": {"id": c["id"], "name": c["name"], "response": {"result": "warm"}}}
        for c in calls
    ]
    contents += [told, {"role": "user", "parts": answered}]
    parts = (await proxy.post(body, path=path)).json["candidates"][0]["content"]["parts"]
    return "".join(part["text"] for part in parts if not part.get("thought") and "text" in part)


@pytest.mark.parametrize("loop", [chat_loop, messages_loop, responses_loop, gemini_loop])
async def test_tool_loop_keeps_what_the_model_proved(loop: Any) -> None:
    """The reasoning comes back signed, and both results reach their calls."""
    emulator = Emulator(default=SCRIPT, expect_key=ACCESS_KEY)
    async with proxying({"aws": emulator}, entries={"aws": ENTRY}) as proxy:
        repeated = json.loads(await loop(proxy))
    names = [(result["name"], result["text"]) for result in repeated["results"]]
    assert names == [("weather", "warm"), ("now", "warm")]
    seen = emulator.ledger[1].seen
    assert seen is not None
    (thought,) = seen.reasoning
    assert isinstance(thought, SeenReasoning)
    assert thought.text == THOUGHT
    assert [entry.status for entry in emulator.ledger] == [200, 200]
    assert seen.options["reasoning_budget"] == 1024
