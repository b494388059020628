"""What a call says, and what of it gets lost."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.ask import BODY_ALONE, Ask
from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.losses import NOTIONS, Fate, Support, losses
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)

ALL_DROPPED: Support = dict.fromkeys(NOTIONS, Fate.DROPPED)
ALL_KEPT: Support = dict.fromkeys(NOTIONS, Fate.KEPT)


def call(*parts: Part, **fields: Any) -> Call:
    """A call with these parts in its message."""
    message = Message(Role.USER, parts)
    return Call(**{"dialect": "d", "model": "m", "messages": (message,), **fields})


def option(**fields: Any) -> Call:
    """A call with options."""
    return call(options=Options(**fields))


def result(*content: Part, is_error: bool = False) -> ToolResult:
    """What a tool answered."""
    return ToolResult("a", content, is_error=is_error)


INLINE = Image("data:image/png;base64,QQ==")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (call(Text("hi")), []),
        (option(temperature=0.0), ["temperature"]),
        (option(parallel_tool_calls=False), ["parallel_tool_calls"]),
        (option(reasoning_effort="low"), ["reasoning"]),
        (option(reasoning_budget=0), ["reasoning"]),
        (option(reasoning_summary="auto"), ["reasoning_summary"]),
        (option(output_format=OutputFormat()), ["json_object"]),
        (option(output_format=OutputFormat({})), ["json_schema"]),
        (option(choices=1, logprobs=False), []),
        (option(choices=2, logprobs=True), ["choices", "logprobs"]),
        (call(tools=(Tool("f"),)), ["tools"]),
        (call(tools=(Tool("f", strict=True),)), ["tools", "strict_tools"]),
        (call(tools=(Tool("f", type="custom"),)), ["custom_tools"]),
        (call(tools=(Tool("f", type="web_search"),)), []),
        (call(tool_choice=ToolChoice(ToolMode.AUTO)), ["tool_choice"]),
        (call(tool_choice=ToolChoice(ToolMode.NAMED, ("f",))), ["tool_choice"]),
        (call(tool_choice=ToolChoice(ToolMode.ANY, ("f",))), ["tool_choice", "allowed_tools"]),
        (call(INLINE), ["image"]),
        (call(Image("https://x")), ["image", "remote_image"]),
        (call(Image(INLINE.url, "auto")), ["image"]),
        (call(Image(INLINE.url, "low")), ["image", "image_detail"]),
        (call(File(id="f")), ["file"]),
        (call(Audio("QQ", "wav")), ["audio"]),
        (call(ToolCall("a", "f", "{}")), ["tool_history"]),
        (call(result(Text("a"))), []),
        (call(result(is_error=True)), ["tool_error"]),
        (call(result(INLINE)), ["tool_media"]),
        (call(messages=(Message(Role.USER, (), "n"),)), ["message_name"]),
    ],
)
def test_notions_are_what_a_call_says(given: Call, said: list[str]) -> None:
    """In the order of the table."""
    assert [name for name, says in NOTIONS.items() if says(given)] == said
    assert losses(given, "other", ALL_DROPPED) == said
    assert losses(given, "other", ALL_KEPT) == []


X = {"x": 1}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (call(extra={"z": 1, "a": 0, "b": False}), ["a", "b", "z"]),
        (call(extra={"a": None, "b": "", "c": [], "d": {}}), []),
        (call(extra={"stream": True, "max_completion_tokens": 5, "stop": "a"}), []),
        (call(messages=(Message(Role.USER, (), extra=X),)), ["x"]),
        (call(Text("a", extra=X), Text("b", extra={"type": "text"})), ["x"]),
        (call(result(Text("a", extra=X))), ["x"]),
        (call(tools=(Tool("f", extra=X),)), ["x"]),
        (call(Reasoning("hm", extra=X)), []),
        (call(Opaque("d", X)), []),
        (call(extra={"user": "u"}, options=Options(user="u")), ["user"]),
    ],
)
def test_fields_that_only_the_calls_dialect_knows_are_lost(
    given: Call, expected: list[str]
) -> None:
    """Told once, unless they say nothing, or say in another way what is canonical."""
    support = {**ALL_KEPT, "user": Fate.DROPPED}
    assert losses(given, "other", support) == expected


def test_nothing_is_lost_on_the_way_to_the_calls_own_dialect() -> None:
    """So nothing is looked at."""
    assert losses(call(Image("u"), extra=X), "d", ALL_DROPPED) == []


def test_headers_of_a_request_are_not_shown() -> None:
    """They may hold a key; a request that is its body alone has none."""
    assert "secret" not in repr(Ask(headers={"x": "secret"}))
    assert (BODY_ALONE.model, BODY_ALONE.action, BODY_ALONE.query, BODY_ALONE.headers) == (
        "",
        "",
        {},
        {},
    )
