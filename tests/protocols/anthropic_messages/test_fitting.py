"""Options of other protocols: what each generation of models takes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.claude import OTHER, Sampling, Thinking, generation_of
from lipstream.canonical.losses import NOTIONS, Fate
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from lipstream.canonical.seal import Seal
from lipstream.errors import BadRequest
from lipstream.framing.json_schema import closed_schema as closed
from lipstream.protocols.anthropic_messages import CLIENT
from tests.protocols.anthropic_messages.building import NAME

ASK = Message(Role.USER, (Text("hi"),))


def written(model: str, options: Options = Options(), **fields: Any) -> dict[str, Any]:  # noqa: B008
    """The body for a call of another dialect, without what is always the same."""
    known = {"dialect": "openai_chat", "model": "x", "messages": (ASK,), "options": options}
    call = Call(**{**known, **fields})
    body = json.loads(CLIENT.encode_request(call, model, is_streaming=False))
    return {k: v for k, v in body.items() if k not in ("model", "messages", "tools")}


# ---------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("model", "thinking", "sampling", "off", "forced"),
    [
        ("claude-instant-1.2", Thinking.NEVER, Sampling.ALL, "disabled", True),
        ("claude-3-5-sonnet-20241022", Thinking.NEVER, Sampling.ALL, "disabled", True),
        ("claude-3-7-sonnet-latest", Thinking.BUDGET, Sampling.ALL, "disabled", True),
        ("claude-opus-4-20250514", Thinking.BUDGET, Sampling.ALL, "disabled", True),
        ("claude-opus-4@20250514", Thinking.BUDGET, Sampling.ALL, "disabled", True),
        ("claude-opus-4-1-20250805", Thinking.BUDGET, Sampling.ONE, "disabled", True),
        ("anthropic/claude-sonnet-4.5", Thinking.BUDGET, Sampling.ONE, "disabled", True),
        ("claude-haiku-4-5@20251001", Thinking.BUDGET, Sampling.ONE, "disabled", True),
        ("anthropic.claude-opus-4-6-v1", Thinking.ADAPTIVE, Sampling.ONE, "disabled", True),
        ("anthropic/claude-4.7-opus", Thinking.ADAPTIVE, Sampling.NONE, "disabled", True),
        ("claude-opus-5", Thinking.ADAPTIVE, Sampling.NONE, "disabled", True),
        ("claude-fable-5", Thinking.ADAPTIVE, Sampling.NONE, "", True),
        ("claude-fable-5-1", Thinking.ADAPTIVE, Sampling.NONE, "", False),
        ("claude-mythos-preview", Thinking.ADAPTIVE, Sampling.NONE, "", True),
        ("claude-opus-5-5", Thinking.ADAPTIVE, Sampling.NONE, "", False),
        ("claude-sonnet-5-5", Thinking.ADAPTIVE, Sampling.NONE, "between_tools", False),
        ("claude-haiku-5-5", Thinking.ADAPTIVE, Sampling.NONE, "disabled", False),
        ("claude-latest", Thinking.ADAPTIVE, Sampling.NONE, "disabled", True),
        ("kimi-k2", Thinking.BUDGET, Sampling.ALL, "disabled", True),
    ],
)
def test_generations_are_told_by_name(
    model: str, thinking: Thinking, sampling: Sampling, off: str, forced: bool
) -> None:
    """In every provider's spelling."""
    found = generation_of(model)
    assert (found.thinking, found.sampling) == (thinking, sampling)
    assert (found.off, found.can_be_forced) == (off, forced)
    assert generation_of("deepseek-v3") is OTHER


# ---------------------------------------------------------------- thinking

OLD, NEW, MIDDLE = "claude-sonnet-4-5", "claude-opus-5", "claude-opus-4-6"


def adaptive(effort: str | None, display: str = "summarized") -> dict[str, Any]:
    """How a new model is told to think."""
    fields: dict[str, Any] = {"thinking": {"type": "adaptive", "display": display}}
    return fields if effort is None else {**fields, "output_config": {"effort": effort}}


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        (NEW, Options(), {}),
        (NEW, Options(reasoning_effort="minimal"), adaptive("low")),
        (NEW, Options(reasoning_effort="medium"), adaptive("medium")),
        (NEW, Options(reasoning_effort="xhigh"), adaptive("xhigh")),
        (MIDDLE, Options(reasoning_effort="xhigh"), adaptive("high")),
        (NEW, Options(reasoning_effort="odd"), adaptive(None)),
        (NEW, Options(reasoning_budget=-1), adaptive(None)),
        (NEW, Options(reasoning_budget=9000), adaptive("high")),
        (NEW, Options(reasoning_effort="low", reasoning_summary="none"),
         adaptive("low", "omitted")),
        (NEW, Options(reasoning_effort="low", reasoning_summary="detailed"), adaptive("low")),
        (NEW, Options(reasoning_effort="none"), {"thinking": {"type": "disabled"}}),
        (NEW, Options(reasoning_budget=0), {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5-5", Options(reasoning_effort="none"),
         {"thinking": {"type": "between_tools"}}),
        ("claude-fable-5", Options(reasoning_effort="none"), {"output_config": {"effort": "low"}}),
        ("claude-3-opus", Options(reasoning_effort="high"), {}),
        (OLD, Options(reasoning_effort="none"), {"thinking": {"type": "disabled"}}),
    ],
)  # fmt: skip
def test_effort_is_said_as_the_model_takes_it(
    model: str, options: Options, expected: dict[str, Any]
) -> None:
    """A word, a type, or nothing."""
    assert written(model, options) == {"max_tokens": 4096, **expected}


@pytest.mark.parametrize(
    ("options", "limit", "budget"),
    [
        (Options(reasoning_effort="low"), 5120, 1024),
        (Options(reasoning_effort="minimal"), 5120, 1024),
        (Options(reasoning_effort="high"), 28672, 24576),
        (Options(reasoning_effort="max"), 32000, 27904),
        (Options(reasoning_budget=-1), 12288, 8192),
        (Options(reasoning_effort="odd"), 12288, 8192),
        (Options(reasoning_budget=50_000), 54_096, 50_000),
        (Options(reasoning_budget=5), 5120, 1024),
        (Options(reasoning_effort="high", max_output_tokens=8000), 8000, 4000),
        (Options(reasoning_effort="low", max_output_tokens=8000), 8000, 1024),
        (Options(reasoning_budget=6000, max_output_tokens=8000), 8000, 6000),
        (Options(reasoning_budget=8000, max_output_tokens=8000), 8000, 4000),
        (Options(reasoning_effort="high", max_output_tokens=1500), 1500, 1024),
        (Options(reasoning_effort="high", max_output_tokens=1024), 1024, None),
    ],
)
def test_budget_leaves_room_for_the_answer(
    options: Options, limit: int, budget: int | None
) -> None:
    """The client's own limit holds; thinking is under it, or off."""
    body = written(OLD, options)
    assert body["max_tokens"] == limit
    assert body.get("thinking", {}).get("budget_tokens") == budget


CALL = ToolCall("a", "f", "{}")
DONE = Message(Role.TOOL, (ToolResult("a", (Text("1"),)),))


@pytest.mark.parametrize(
    ("parts", "thinks"),
    [
        ((CALL,), False),
        ((Text("x"), CALL), False),
        ((Reasoning("hm", Seal("gemini", "s")), CALL), False),
        ((Reasoning("hm", Seal(NAME, "s")), CALL), True),
        ((Reasoning("", Seal(NAME, "s", fields={"type": "redacted_thinking"})), CALL), True),
        ((Text("x"),), True),
    ],
)
def test_tool_loop_goes_on_thinking_only_if_it_began_so(
    parts: tuple[Part, ...], thinks: bool
) -> None:
    """By a budget; models that choose for themselves do not mind."""
    messages = (ASK, Message(Role.ASSISTANT, parts), DONE)
    options = Options(reasoning_effort="low")
    assert ("thinking" in written(OLD, options, messages=messages)) is thinks
    assert "thinking" in written(NEW, options, messages=messages)


def test_forced_tool_goes_without_a_budget() -> None:
    """Both together are refused."""
    options = Options(reasoning_effort="low")
    fields = {"tools": (Tool("f"),), "tool_choice": ToolChoice(ToolMode.NAMED, ("f",))}
    assert "thinking" not in written(OLD, options, **fields)
    assert "thinking" in written(OLD, options, tool_choice=fields["tool_choice"])
    auto = {**fields, "tool_choice": ToolChoice(ToolMode.AUTO)}
    assert "thinking" in written(OLD, options, **auto)


# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("claude-3-opus", Options(temperature=1.5, top_p=0.5, top_k=3),
         {"temperature": 1, "top_p": 0.5, "top_k": 3}),
        ("claude-3-opus", Options(temperature=-1), {"temperature": 0}),
        (OLD, Options(temperature=0.5, top_p=0.5, top_k=3), {"temperature": 0.5, "top_k": 3}),
        (OLD, Options(top_p=0.5), {"top_p": 0.5}),
        (NEW, Options(temperature=0.5, top_p=0.5, top_k=3), {}),
    ],
)  # fmt: skip
def test_sampling_is_clamped_or_left_out(
    model: str, options: Options, expected: dict[str, Any]
) -> None:
    """What the model does not take is not sent."""
    assert written(model, options) == {"max_tokens": 4096, **expected}


def test_sampling_goes_with_a_budget_only_as_far_as_it_is_allowed() -> None:
    """Hardly at all."""
    given: dict[str, Any] = {"reasoning_effort": "low", "temperature": 0.5, "top_k": 3}
    names = {"temperature", "top_p", "top_k"}
    assert names & written(OLD, Options(**given, top_p=0.5)).keys() == set()
    assert written(OLD, Options(**given, top_p=0.95))["top_p"] == 0.95


# ---------------------------------------------------------------- the rest


def test_other_options_are_written() -> None:
    """Under their names here; blank stops and overlong users would be refused."""
    options = Options(stop=("a", " ", ""), user="u", service_tier="default", max_output_tokens=5)
    assert written(OLD, options) == {
        "max_tokens": 5,
        "stop_sequences": ["a"],
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
    }
    odd = Options(stop=(" ",), user="u" * 300, service_tier="flex")
    assert written(OLD, odd) == {"max_tokens": 4096}


def test_schema_is_closed() -> None:
    """Objects that do not say otherwise have no other properties."""
    schema = {
        "type": "object",
        "properties": {
            "type": {"type": ["object", "null"], "additionalProperties": True},
            "list": {"type": "array", "items": {"type": "object"}, "enum": [{"type": "object"}]},
            "any": {"anyOf": [{"type": "object"}, True]},
        },
        "$defs": {"x": {"type": ["object", "null"]}},
        "required": ["type"],
    }
    expected = {
        "type": "object",
        "properties": {
            "type": {"type": ["object", "null"], "additionalProperties": True},
            "list": {
                "type": "array",
                "items": {"type": "object", "additionalProperties": False},
                "enum": [{"type": "object"}],
            },
            "any": {"anyOf": [{"type": "object", "additionalProperties": False}, True]},
        },
        "$defs": {"x": {"type": ["object", "null"], "additionalProperties": False}},
        "required": ["type"],
        "additionalProperties": False,
    }
    assert closed(schema) == expected
    output = Options(output_format=OutputFormat(schema, "n"))
    written_format = written(OLD, output)["output_config"]["format"]
    assert written_format == {"type": "json_schema", "schema": expected}
    assert closed({"properties": 1, "$defs": []}) == {"properties": 1, "$defs": []}


# ---------------------------------------------------------------- what becomes of everything

TOOLS = (Tool("f"), Tool("g"))
HISTORY = (ASK, Message(Role.ASSISTANT, (CALL,)), DONE)


def asked(*parts: Part) -> dict[str, Any]:
    """A call with this question."""
    return {"messages": (Message(Role.USER, (Text("hi"), *parts)),)}


def results(*content: Part, is_error: bool = False) -> dict[str, Any]:
    """A call with this result."""
    done = Message(Role.TOOL, (ToolResult("a", (Text("1"), *content), is_error=is_error),))
    return {"messages": (*HISTORY[:2], done)}


def chosen(choice: ToolChoice) -> dict[str, Any]:
    """A call with this choice of tools."""
    return {"tools": TOOLS, "tool_choice": choice}


# For each notion a call that says it, and the same call without; first those that are options.
OPTIONS: dict[str, Any] = {
    "temperature": 0.5, "top_p": 0.5, "top_k": 3, "max_output_tokens": 5, "stop": ("a",),
    "seed": 1, "presence_penalty": 1.0, "frequency_penalty": 1.0, "verbosity": "low",
    "logprobs": True, "service_tier": "default", "user": "u", "metadata": {"a": "b"}, "choices": 2,
}  # fmt: skip
SAID: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    name: ({"options": Options(**{name: value})}, {}) for name, value in OPTIONS.items()
} | {
    "reasoning": ({"options": Options(reasoning_effort="low")}, {}),
    "json_object": ({"options": Options(output_format=OutputFormat())}, {}),
    "json_schema": ({"options": Options(output_format=OutputFormat({}))}, {}),
    "tools": ({"tools": TOOLS}, {}),
    "custom_tools": ({"tools": (Tool("c", type="custom"),)}, {}),
    "strict_tools": ({"tools": (Tool("f", strict=True),)}, {"tools": (Tool("f"),)}),
    "tool_choice": (chosen(ToolChoice(ToolMode.ANY)), {"tools": TOOLS}),
    "allowed_tools": (chosen(ToolChoice(ToolMode.ANY, ("f",))), chosen(ToolChoice(ToolMode.ANY))),
    "parallel_tool_calls": (
        {"tools": TOOLS, "options": Options(parallel_tool_calls=False)}, {"tools": TOOLS}),
    "image": (asked(Image("https://x")), {}),
    "remote_image": (asked(Image("https://x")), {}),
    "image_detail": (asked(Image("https://x", "low")), asked(Image("https://x"))),
    "file": (asked(File("JVBERi0=")), {}),
    "audio": (asked(Audio("QQ==", "wav")), {}),
    "message_name": ({"messages": (Message(Role.USER, (Text("hi"),), "n"),)}, {}),
    "tool_history": ({"messages": HISTORY}, {}),
    "tool_error": (results(is_error=True), results()),
    "tool_media": (results(Image("https://x")), results()),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(NOTIONS))
def test_what_is_declared_is_what_is_done(name: str) -> None:
    """Kept and mapped things change the body, dropped ones do not, refused ones raise."""
    if name == "reasoning_summary":
        shown = written(NEW, Options(reasoning_effort="low", reasoning_summary="none"))
        assert shown != written(NEW, Options(reasoning_effort="low"))
        assert CLIENT.support[name] is Fate.MAPPED
        return
    said, unsaid = SAID[name]
    fate = CLIENT.support[name]
    if fate is Fate.REFUSED:
        with pytest.raises(BadRequest) as caught:
            full(said)
        assert str(caught.value.code).startswith("unsupported_")
        return
    assert (full(said) != full(unsaid)) is (fate in (Fate.KEPT, Fate.MAPPED))


def full(fields: dict[str, Any]) -> bytes:
    """The body for a call of another dialect."""
    call = Call(**{"dialect": "openai_chat", "model": "x", "messages": (ASK,), **fields})
    return CLIENT.encode_request(call, "claude-haiku-4-5", is_streaming=False)
