"""Tool loops as each SDK's own documentation writes them, through every provider.

The drivers of the matrix say results in their own way; here the SDKs do it themselves: with the
objects they gave, with their helpers that call Python functions, with thinking sent back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anthropic
import pytest
from google.genai import types

from lipstream.emulators.script import Script, ToolCall
from tests.conformance.matrix import FRONTENDS, KINDS
from tests.conformance.protocols import MODELS, dialect_of, first_kinds
from tests.conformance.rig import Rig

FIRST_KINDS = first_kinds(KINDS)
ROUNDS = 3
THOUGHT = "I need the weather of both."
CALLS = (ToolCall("get_weather", '{"city": "Köln"}'), ToolCall("get_weather", '{"city": "Bonn"}'))
QUESTION = "What is the weather in Köln and Bonn?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

STEMS = {**MODELS, "gemini": "gemini-3-pro-preview"}


def get_weather(city: str) -> str:
    """Tells the weather of a city.

    Args:
        city: Its name.
    """
    return f"sunny in {city}"


# ---------------------------------------------------------------- loops


def chat_loop(client: Any, model: str) -> str:
    """``messages.append(message)``."""
    function = {"name": "get_weather", "description": "Tells.", "parameters": SCHEMA}
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        answer = client.chat.completions.create(
            model=model, messages=messages, tools=[{"type": "function", "function": function}]
        )
        message = answer.choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message)
        for call in message.tool_calls:
            result = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def responses_loop(client: Any, model: str) -> str:
    """``items += response.output``, with encrypted reasoning since nothing is stored."""
    tool = {"type": "function", "name": "get_weather", "description": "Tells.", "strict": False}
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        response = client.responses.create(
            model=model,
            input=items,
            tools=[{**tool, "parameters": SCHEMA}],
            store=False,
            reasoning={"effort": "low", "summary": "auto"},
            include=["reasoning.encrypted_content"],
        )
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return str(response.output_text)
        items += response.output
        for call in calls:
            result = get_weather(**json.loads(call.arguments))
            said = {"call_id": call.call_id, "output": result}
            items.append({"type": "function_call_output", **said})


def messages_loop(client: Any, model: str) -> str:
    """``messages.create`` with thinking, whose blocks go back as they came."""
    tool = {"name": "get_weather", "description": "Tells.", "input_schema": SCHEMA}
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        answer = client.messages.create(
            model=model,
            max_tokens=4_000,
            messages=messages,
            tools=[tool],
            thinking={"type": "enabled", "budget_tokens": 2_000},
        )
        uses = [block for block in answer.content if block.type == "tool_use"]
        if not uses:
            return "".join(block.text for block in answer.content if block.type == "text")
        results = [
            {"type": "tool_result", "tool_use_id": use.id, "content": get_weather(**use.input)}
            for use in uses
        ]
        messages += [
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": results},
        ]


def messages_stream_loop(client: Any, model: str) -> str:
    """``messages.stream`` with the SDK's own accumulation."""
    tool = {"name": "get_weather", "description": "Tells.", "input_schema": SCHEMA}
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        with client.messages.stream(
            model=model,
            max_tokens=4_000,
            messages=messages,
            tools=[tool],
            thinking={"type": "enabled", "budget_tokens": 2_000},
        ) as stream:
            answer = stream.get_final_message()
        uses = [block for block in answer.content if block.type == "tool_use"]
        if not uses:
            return "".join(block.text for block in answer.content if block.type == "text")
        results = [
            {"type": "tool_result", "tool_use_id": use.id, "content": get_weather(**use.input)}
            for use in uses
        ]
        messages += [
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": results},
        ]


def tool_runner(client: Any, model: str) -> str:
    """The SDK's own loop over a Python function."""
    runner = client.beta.messages.tool_runner(
        model=model,
        max_tokens=4_000,
        messages=[{"role": "user", "content": QUESTION}],
        tools=[anthropic.beta_tool(get_weather)],
    )
    final = runner.until_done()
    return "".join(block.text for block in final.content if block.type == "text")


def responses_stream_loop(client: Any, model: str) -> str:
    """``responses.stream`` with the SDK's own accumulation."""
    tool = {"type": "function", "name": "get_weather", "description": "Tells.", "strict": False}
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        with client.responses.stream(
            model=model,
            input=items,
            tools=[{**tool, "parameters": SCHEMA}],
            store=False,
            include=["reasoning.encrypted_content"],
        ) as stream:
            for _ in stream:
                pass
            response = stream.get_final_response()
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return str(response.output_text)
        items += response.output
        for call in calls:
            result = get_weather(**json.loads(call.arguments))
            said = {"call_id": call.call_id, "output": result}
            items.append({"type": "function_call_output", **said})


def automatic_calling(client: Any, model: str) -> str:
    """The SDK calls the Python function itself."""
    config = types.GenerateContentConfig(
        tools=[get_weather],
        thinking_config=types.ThinkingConfig(include_thoughts=True),
    )
    answer = client.models.generate_content(model=model, contents=QUESTION, config=config)
    return str(answer.text)


def automatic_streaming(client: Any, model: str) -> str:
    """The same, streamed."""
    config = types.GenerateContentConfig(tools=[get_weather])
    stream = client.models.generate_content_stream(model=model, contents=QUESTION, config=config)
    return "".join(chunk.text or "" for chunk in stream)


def chat_of_gemini(client: Any, model: str) -> str:
    """A chat, which keeps the history itself, signatures included."""
    chat = client.chats.create(model=model, config=types.GenerateContentConfig(tools=[get_weather]))
    return str(chat.send_message(QUESTION).text)


LOOPS: Mapping[str, tuple[Callable[[Any, str], str], ...]] = {
    "openai_chat": (chat_loop,),
    "openai_responses": (responses_loop, responses_stream_loop),
    "anthropic_messages": (messages_loop, messages_stream_loop, tool_runner),
    "gemini": (automatic_calling, automatic_streaming, chat_of_gemini),
}
CASES = [
    pytest.param(frontend, loop, kind, id=f"{frontend}-{loop.__name__}-{kind}")
    for frontend in FRONTENDS
    for loop in LOOPS[frontend]
    for kind in FIRST_KINDS
]


@pytest.mark.parametrize(("frontend", "loop", "kind"), CASES)
def test_agent_comes_to_its_end(
    frontend: str, loop: Callable[[Any, str], str], kind: str, rig: Rig
) -> None:
    """Three rounds of two calls each, and every result in the place of its call."""
    model = rig.model(STEMS[dialect_of(kind)])
    rig.play(kind, model, Script(reasoning=THOUGHT, tool_calls=CALLS, tool_rounds=ROUNDS))
    driver: Any = rig.driver(frontend)
    report = json.loads(loop(driver.client, f"{kind}:{model}"))
    told = [(result["arguments"]["city"], result["text"]) for result in report["results"]]
    assert [("Köln", "sunny in Köln"), ("Bonn", "sunny in Bonn")] == told
    assert ROUNDS + 1 == len(rig.entries(kind, model))
