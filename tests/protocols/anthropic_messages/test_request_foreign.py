"""Requests of other protocols to Messages upstreams: as the API takes them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.options import Options
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from lipstream.canonical.seal import Seal
from lipstream.errors import BadRequest
from lipstream.protocols.anthropic_messages import CLIENT, MessagesClient
from tests.protocols.anthropic_messages.building import NAME

ASK = Message(Role.USER, (Text("hi"),))
CALL = ToolCall("a", "f", '{"x":1}')
USE = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}
PDF = "data:application/pdf;base64,JVBERi0="


def written(model: str = "claude-sonnet-4-5", **fields: Any) -> dict[str, Any]:
    """The body for a call of another dialect."""
    call = Call(**{"dialect": "openai_chat", "model": "x", "messages": (ASK,), **fields})
    body: dict[str, Any] = json.loads(CLIENT.encode_request(call, model, is_streaming=False))
    return body


def turns(*messages: Message) -> Any:
    """How these messages are written."""
    return written(messages=messages)["messages"]


def user(*parts: Part) -> Message:
    """A question."""
    return Message(Role.USER, parts)


def assistant(*parts: Part) -> Message:
    """An answer."""
    return Message(Role.ASSISTANT, parts)


def result(*content: Part, key: str = "a", is_error: bool = False) -> Message:
    """A tool's result."""
    return Message(Role.TOOL, (ToolResult(key, content, "f", is_error),))


def text(value: str) -> dict[str, str]:
    """A text block."""
    return {"type": "text", "text": value}


# ---------------------------------------------------------------- turns


def test_question_is_written() -> None:
    """With a limit, which the API demands; foreign extra fields are left out at every level."""
    extra = {"x": 1}
    tools = (Tool("f", "d", {"type": "object"}, extra=extra),)
    messages = (Message(Role.USER, (Text("hi", extra=extra),), "name", extra=extra),)
    choice = ToolChoice(ToolMode.AUTO, extra=extra)
    assert written("m", messages=messages, tools=tools, tool_choice=choice, extra=extra) == {
        "model": "m",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"},
    }
    call = Call(dialect="gemini", model="x", messages=(ASK,))
    body = MessagesClient(max_tokens=7).encode_request(call, "m", is_streaming=True)
    assert (json.loads(body)["max_tokens"], json.loads(body)["stream"]) == (7, True)


def test_system_messages_become_the_system_prompt() -> None:
    """From wherever they stood; alone, they are the question."""
    system = Message(Role.SYSTEM, (Text("s"), Text(" ")))
    developer = Message(Role.DEVELOPER, (Text("d"),))
    assert written(messages=(system, ASK))["system"] == "s"
    assert written(messages=(system, ASK, developer))["system"] == [text("s"), text("d")]
    assert "system" not in written(messages=(Message(Role.SYSTEM, ()), ASK))
    alone = written(messages=(system, developer))
    assert "system" not in alone
    assert alone["messages"] == [{"role": "user", "content": [text("s"), text("d")]}]


def test_neighbours_of_one_role_are_one_turn_and_blank_texts_are_left_out() -> None:
    """The API refuses both in some places."""
    assert turns(user(Text("a"), Text("")), user(Text("\n")), user(Text("b "))) == [
        {"role": "user", "content": [text("a"), text("b ")]}
    ]
    found = turns(ASK, assistant(Text("x")), user(Text(" ")), assistant(Text("y")), ASK)
    assert found[1] == {"role": "assistant", "content": [text("x"), text("y")]}


def test_first_turn_is_the_users() -> None:
    """Who let the assistant begin says as little as can be said."""
    opening = {"role": "user", "content": "."}
    assert turns(assistant(Text("hello")), ASK)[0] == opening
    assert turns(user(Text(""))) == [opening]


def test_only_an_answer_to_be_gone_on_with_loses_its_blanks() -> None:
    """At its end; they are refused there and nowhere else."""
    found = turns(user(Text(" a ")), assistant(Text(" b ")), ASK, assistant(Text(" c\n")))
    assert [turn["content"] for turn in found] == [" a ", " b ", "hi", " c"]
    assert turns(ASK, assistant(CALL))[1]["content"] == [USE]


def test_results_stand_first_in_the_turn_after_the_calls() -> None:
    """Together with what the user said besides."""
    second = ToolCall("b", "g", "")
    found = turns(
        ASK, assistant(Text("t"), CALL, second), user(Text("x")),
        result(Text("1")), result(key="b", is_error=True), user(Text("y")),
    )  # fmt: skip
    assert found[1:] == [
        {
            "role": "assistant",
            "content": [text("t"), USE, {"type": "tool_use", "id": "b", "name": "g", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                text("x"),
                text("y"),
            ],
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (" ", {}),
        ("{}", {}),
        ('{"a": [1.5, null]}', {"a": [1.5, None]}),
        ('{"a": ', {"_raw": '{"a": '}),
        ("[1]", {"_raw": "[1]"}),
        ("\ud800", {"_raw": "\ud800"}),
    ],
)
def test_arguments_become_an_object(arguments: str, expected: Any) -> None:
    """What is none is carried in one."""
    found = turns(ASK, assistant(ToolCall("a", "f", arguments)), result())
    assert found[1]["content"][0]["input"] == expected


def test_ids_fit_the_charset_and_still_match() -> None:
    """The same id gives the same one, two give two."""
    odd = ["functions.f:0", "functions.f:1", "", "ok_-1"]
    found = turns(
        ASK,
        assistant(*(ToolCall(key, "f", "") for key in odd)),
        *(result(key=key) for key in odd),
    )
    calls = [block["id"] for block in found[1]["content"]]
    assert calls == [block["tool_use_id"] for block in found[2]["content"]]
    assert len(set(calls)) == 4
    assert calls[3] == "ok_-1"
    assert all(key.replace("_", "").replace("-", "").isalnum() for key in calls)


def test_reasoning_goes_back_where_it_came_from() -> None:
    """With its signature to the byte; other reasoning is left out, and so is what models made."""
    redacted = Seal(NAME, "r", fields={"type": "redacted_thinking"})
    found = turns(
        ASK,
        assistant(
            Reasoning("hm", Seal(NAME, "s==")),
            Reasoning("", redacted),
            Reasoning("other", Seal("gemini", "s")),
            Reasoning("nobody's"),
            Opaque("gemini", {"x": 1}),
            Opaque(NAME, {"type": "server_tool_use"}),
            Image("https://x"),
            Refusal("no"),
        ),
    )
    assert found[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s=="},
        {"type": "redacted_thinking", "data": "r"},
        {"type": "server_tool_use"},
        text("no"),
    ]


# ---------------------------------------------------------------- media


def b64(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image("https://x"), {"type": "image", "source": {"type": "url", "url": "https://x"}}),
        (Image("data:image/jpg;base64,QQ=="),
         {"type": "image",
          "source": {"type": "base64", "media_type": "image/jpeg", "data": "QQ=="}}),
        (Image("data:;base64,/9j/"),
         {"type": "image",
          "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}}),
        (Image("data:;base64,QQ=="),
         {"type": "image",
          "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}),
        (Image("data:image/gif,%41"),
         {"type": "image",
          "source": {"type": "base64", "media_type": "image/gif", "data": "QQ=="}}),
        (File("data:image/png;base64,QQ=="),
         {"type": "image",
          "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}),
        (File(PDF, name="n.pdf"),
         {"type": "document", "title": "n.pdf",
          "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}),
        (File("JVBERi0="),
         {"type": "document",
          "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}),
        (File("data:text/markdown;base64," + b64("é".encode())),
         {"type": "document",
          "source": {"type": "text", "media_type": "text/plain", "data": "é"}}),
        (File("data:text/plain;base64,/w=="),
         {"type": "document",
          "source": {"type": "base64", "media_type": "text/plain", "data": "/w=="}}),
        (File("data:text/plain;base64,é"),
         {"type": "document",
          "source": {"type": "base64", "media_type": "text/plain", "data": "é"}}),
        (File(url="https://x"),
         {"type": "document", "source": {"type": "url", "url": "https://x"}}),
    ],
)  # fmt: skip
def test_media_are_written_in_questions_and_results(part: Part, expected: Any) -> None:
    """By URL or inline."""
    assert turns(user(part, Text("?")))[0]["content"] == [expected, text("?")]
    found = turns(ASK, assistant(CALL), result(Text("1"), part))
    assert found[2]["content"][0]["content"] == [text("1"), expected]


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (Audio("QQ==", "wav"), "unsupported_part"),
        (Opaque("gemini", {}), "unsupported_part"),
        (Image("gs://bucket/x"), "unsupported_url"),
        (File(url="file:///x"), "unsupported_url"),
        (File(id="file-1"), "unsupported_file"),
    ],
)
def test_parts_that_cannot_be_sent_are_refused(part: Part, code: str) -> None:
    """Leaving them out would change what is asked."""
    for message in (user(Text("a"), part), result(Text("a"), part)):
        with pytest.raises(BadRequest) as caught:
            turns(message)
        assert caught.value.code == code
        assert str(caught.value.param).startswith("messages[0].content[")


def test_system_message_with_a_picture_is_refused() -> None:
    """There is no place for one."""
    with pytest.raises(BadRequest) as caught:
        written(messages=(Message(Role.SYSTEM, (Image("https://x"),)), ASK))
    assert caught.value.code == "unsupported_part"


# ---------------------------------------------------------------- tools


def test_tools_are_written() -> None:
    """With the schema that the API demands; a free-text tool as one with a single argument."""
    tools = (
        Tool("a"),
        Tool("b", "d", {}),
        Tool("c", parameters={"properties": {"x": {}}}, strict=True),
        Tool("e", "free", type="custom"),
    )
    empty = {"type": "object", "properties": {}}
    assert written(tools=tools)["tools"] == [
        {"name": "a", "input_schema": empty},
        {"name": "b", "description": "d", "input_schema": empty},
        {
            "name": "c",
            "input_schema": {"type": "object", "properties": {"x": {}}},
            "strict": True,
        },
        {
            "name": "e",
            "description": "free",
            "input_schema": {
                "type": "object",
                "properties": {"input": {"type": "string"}},
                "required": ["input"],
            },
        },
    ]
    free = turns(ASK, assistant(ToolCall("a", "e", 'x"', "custom")), result())
    assert free[1]["content"][0]["input"] == {"input": 'x"'}


def test_strictness_is_asked_for_only_where_it_is_taken() -> None:
    """Of newer models, and of no more tools than the API takes."""
    tools = tuple(Tool(f"t{i}", strict=True) for i in range(21))
    assert "strict" not in written(tools=tools)["tools"][0]
    assert written(tools=tools[:20])["tools"][0]["strict"] is True
    assert "strict" not in written("claude-3-opus", tools=tools[:1])["tools"][0]


def test_tool_of_another_provider_is_refused() -> None:
    """Nobody could run it."""
    with pytest.raises(BadRequest) as caught:
        written(tools=(Tool("f"), Tool("", type="web_search")))
    assert (caught.value.param, caught.value.code) == ("tools[1]", "unsupported_tool")


FG = (Tool("f"), Tool("g"))


@pytest.mark.parametrize(
    ("choice", "is_parallel", "expected", "names"),
    [
        (None, None, None, "fg"),
        (None, True, None, "fg"),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}, "fg"),
        (ToolChoice(ToolMode.AUTO), None, {"type": "auto"}, "fg"),
        (ToolChoice(ToolMode.NONE, ("f",)), False, {"type": "none"}, "fg"),
        (ToolChoice(ToolMode.ANY), False, {"type": "any", "disable_parallel_tool_use": True}, "fg"),
        (ToolChoice(ToolMode.ANY, ("g", "x")), None, {"type": "any"}, "g"),
        (ToolChoice(ToolMode.AUTO, ("x",)), None, {"type": "auto"}, "fg"),
        (ToolChoice(ToolMode.NAMED, ("f",)), None, {"type": "tool", "name": "f"}, "fg"),
        (ToolChoice(ToolMode.NAMED), None, {"type": "any"}, "fg"),
    ],
)
def test_tool_choices_are_written(
    choice: ToolChoice | None, is_parallel: bool | None, expected: Any, names: str
) -> None:
    """Of the tools only the allowed are declared; without tools there is no choice."""
    options = Options(parallel_tool_calls=is_parallel)
    body = written(tools=FG, tool_choice=choice, options=options)
    assert body.get("tool_choice") == expected
    assert "".join(tool["name"] for tool in body["tools"]) == names
    assert "tool_choice" not in written(tool_choice=choice, options=options)


def test_model_that_cannot_be_forced_is_left_one_thing_to_do() -> None:
    """The newest refuse it."""
    named = written("claude-opus-5-5", tools=FG, tool_choice=ToolChoice(ToolMode.NAMED, ("g",)))
    assert (named["tool_choice"], len(named["tools"])) == ({"type": "auto"}, 1)
    forced = written("claude-opus-5-5", tools=FG, tool_choice=ToolChoice(ToolMode.ANY))
    assert (forced["tool_choice"], len(forced["tools"])) == ({"type": "auto"}, 2)
