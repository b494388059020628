"""Calls to the requests that go upstream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.options import Options, OutputFormat
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
from lipstream.protocols.openai_responses import CLIENT
from tests.protocols.openai_responses.building import (
    Fields,
    foreign_call,
    own_call,
    request,
    written,
)
from tests.recordings import exchanges

OWN = "openai_responses"

BODIES: list[Fields] = [
    {"input": "hi"},
    {"input": "hi", "instructions": " be brief "},
    {"input": "hi", "instructions": "", "tools": [], "text": {}, "reasoning": {}},
    {"input": [{"role": "user", "content": "hi"}]},
    {
        "input": [
            {"type": "message", "id": "m", "status": "completed", "role": "user", "content": ""}
        ]
    },
    {"input": [{"role": "user", "content": None, "x": 1}, {"role": "system", "content": []}]},
    {"prompt": {"id": "pmpt_1", "variables": {"a": "b"}}},
    {"previous_response_id": "resp_1", "input": "go on"},
    {"previous_response_id": "resp_1", "input": []},
    {"conversation": {"id": "conv_1"}, "input": [{"type": "item_reference", "id": "x"}]},
    {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a", "cache": 1},
                    {"type": "input_image", "image_url": "u", "detail": "auto", "file_id": None},
                    {"type": "input_image", "file_id": "f"},
                    {"type": "input_file", "file_data": "data:x", "filename": "f.pdf"},
                    {"type": "input_audio", "input_audio": {"data": "x", "format": "wav", "y": 1}},
                    {"type": "input_audio", "input_audio": {"data": "x"}},
                    {"type": "new", "x": {}},
                ],
            },
            {"type": "reasoning", "id": "r", "summary": [], "content": None},
            {
                "type": "message",
                "id": "m",
                "phase": "x",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "a", "annotations": [{"x": 1}]},
                    {"type": "refusal", "refusal": "no"},
                    {"type": "new"},
                ],
            },
            {"role": "assistant", "content": "b"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "c"}]},
            {"type": "message", "role": "assistant", "content": [], "id": "empty"},
            {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{"},
            {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "", "status": "x"},
            {"type": "web_search_call", "id": "w", "action": {"x": [1]}},
            {"type": "function_call_output", "call_id": "c", "output": "", "id": "o"},
            {
                "type": "custom_tool_call_output",
                "call_id": "d",
                "output": [{"type": "input_text", "text": "x"}],
            },
            {"type": "computer_call_output", "call_id": "x", "output": {"a": 1}},
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": ""}],
            },
        ]
    },
    {
        "input": "hi",
        "tools": [
            {"type": "function", "name": "f", "parameters": None, "strict": True, "x": 1},
            {"type": "function", "function": {"name": "g", "parameters": {}, "x": 2}},
            {"type": "mcp", "server_label": "l", "server_url": "u", "headers": {"a": "b"}},
            {"type": "custom", "name": "h", "format": {"type": "grammar"}},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]},
    },
    {
        "input": "hi",
        "temperature": 3,
        "top_p": 0.5,
        "max_output_tokens": 1,
        "presence_penalty": 1,
        "frequency_penalty": 1,
        "parallel_tool_calls": True,
        "tool_choice": "none",
        "service_tier": "flex",
        "user": "u",
        "metadata": {"a": 1},
        "top_logprobs": 3,
        "include": ["message.output_text.logprobs", "x"],
        "reasoning": {"effort": "max", "summary": "auto", "context": "x"},
        "text": {
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": None, "x": 1},
        },
        "store": True,
        "background": False,
        "truncation": "auto",
        "new": {"x": [None]},
    },
    {"input": "hi", "text": {"format": {"type": "json_object"}}},
    {"input": "hi", "text": {"format": {"type": "json_schema"}}},
    {"input": "hi", "reasoning": {"generate_summary": "auto"}},
    {"input": "hi", "text": {"format": {"type": "grammar", "syntax": "lark"}}},
]


@pytest.mark.parametrize("body", BODIES)
def test_own_call_is_written_as_it_came(body: Fields) -> None:
    """Every field at every level, whatever it holds."""
    body = {"model": "m", **body}
    call = request(**{"input": None, **body}) if "input" not in body else request(**body)
    again = written(call)
    again.setdefault("input", None)
    assert again == {"input": None, **body}
    assert request(**again).messages == call.messages


def test_every_recorded_request_is_written_as_it_came() -> None:
    """All that real clients sent."""
    count = 0
    for exchange in exchanges("responses"):
        body = exchange.request
        if body is None:
            continue
        call = request(**{"model": "", "input": None, **body})
        again = written(call, body.get("model", ""), is_streaming=bool(body.get("stream")))
        body.setdefault("stream", False)
        again.setdefault("stream", False)
        if "input" not in body:
            assert again.pop("input") is None
        assert again == body, exchange.name
        count += 1
    assert count == 191


def test_stream_is_asked_for_as_needed() -> None:
    """Not as the client asked; its options for it stay where there is one."""
    call = request(stream=True, stream_options={"include_obfuscation": False})
    assert written(call, is_streaming=True)["stream"] is True
    assert written(call, is_streaming=True)["stream_options"] == {"include_obfuscation": False}
    assert written(call)["stream_options"] is None
    assert "stream" not in written(call)


def test_model_is_the_one_that_was_chosen() -> None:
    """Not the client's alias."""
    assert written(request(model="alias"), "real")["model"] == "real"


def test_headers_go_to_providers_of_this_dialect_alone() -> None:
    """They mean nothing elsewhere."""
    call = request(Ask(headers={"openai-beta": "x"}))
    assert CLIENT.headers(call) == (("openai-beta", "x"),)
    assert CLIENT.headers(call.changed(dialect="other")) == CLIENT.headers(None) == ()


def test_parts_that_were_added_to_an_own_call_are_items_of_their_own() -> None:
    """Such as a stage makes them."""
    parts = (Text("a"), Text("b"), Refusal("no"), ToolCall("c", "f", "{}"), Opaque("other", {}))
    result = ToolResult("c", (Text("x"),))
    messages = (
        Message(Role.SYSTEM, (Text("s"),)),
        Message(Role.ASSISTANT, parts),
        Message(Role.TOOL, (result,)),
    )
    assert written(own_call(messages=messages))["input"] == [
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
    ]


# ---------------------------------------------------------------- calls of other dialects


def test_foreign_call_is_not_stored() -> None:
    """And says what it is in plain words."""
    call = foreign_call(Text("hi", extra={"cache_control": 1}), extra={"x": 1})
    expected = {"model": "m", "input": [{"role": "user", "content": "hi"}], "store": False}
    assert written(call) == expected


@pytest.mark.parametrize(
    ("model", "options", "parts", "is_asked"),
    [
        ("gpt-4o", Options(), (), False),
        ("gpt-5-mini", Options(), (), True),
        ("openai/o4-mini", Options(), (), True),
        ("grok-4", Options(reasoning_effort="low"), (), True),
        ("grok-4", Options(reasoning_budget=0), (), False),
        ("grok-4", Options(reasoning_summary="auto"), (), True),
        ("grok-4", Options(), (Reasoning("x", Seal(OWN, "E")),), True),
        ("grok-4", Options(), (Reasoning("x"), Reasoning("x", Seal("a", "E"))), False),
    ],
)
def test_sealed_reasoning_is_asked_for_where_it_matters(
    model: str, options: Options, parts: tuple[Part, ...], is_asked: bool
) -> None:
    """Other models refuse the question."""
    call = foreign_call(*parts, Text("hi"), role=Role.ASSISTANT, options=options)
    assert ("reasoning.encrypted_content" in written(call, model).get("include", [])) is is_asked


def test_system_messages_at_the_head_are_instructions() -> None:
    """Those that are text; later ones, and the developer's, stay where they stand."""
    messages = (
        Message(Role.SYSTEM, (Text(" a "), Text("b"))),
        Message(Role.SYSTEM, (Text("c"),)),
        Message(Role.DEVELOPER, (Text("d"),)),
        Message(Role.SYSTEM, (Text("e"),)),
        Message(Role.USER, ()),
    )
    body = written(foreign_call().changed(messages=messages))
    assert body["instructions"] == " a \n\nb\n\nc"
    assert body["input"] == [
        {"role": "developer", "content": "d"},
        {"role": "system", "content": "e"},
        {"role": "user", "content": ""},
    ]


def test_media_of_the_user_are_kept() -> None:
    """Inline files as data URLs with a name, which they have to have here."""
    call = foreign_call(
        Image("u", "low"),
        Image("data:x"),
        File("QQ=="),
        File("data:text/plain;base64,QQ==", name="a.txt"),
        File("data:application/vnd.x-y;base64,QQ=="),
        File(url="u"),
        File(id="file-1"),
    )
    assert written(call)["input"][0]["content"] == [
        {"type": "input_image", "image_url": "u", "detail": "low"},
        {"type": "input_image", "image_url": "data:x"},
        {
            "type": "input_file",
            "filename": "document.pdf",
            "file_data": "data:application/pdf;base64,QQ==",
        },
        {
            "type": "input_file",
            "filename": "a.txt",
            "file_data": "data:text/plain;base64,QQ==",
        },
        {
            "type": "input_file",
            "filename": "document.bin",
            "file_data": "data:application/vnd.x-y;base64,QQ==",
        },
        {"type": "input_file", "file_url": "u"},
        {"type": "input_file", "file_id": "file-1"},
    ]


def turns(*messages: Message) -> list[Any]:
    """The input that other dialects' messages make."""
    body = written(foreign_call().changed(messages=messages))
    found: list[Any] = body["input"]
    return found


def test_turn_of_the_assistant_is_items_in_order() -> None:
    """Texts in a row are one; what another provider did itself is left out."""
    parts = (
        Text("a"),
        Opaque("other", {}),
        Text("b"),
        ToolCall("c", "f", ""),
        ToolCall("d", "g", "x", "custom"),
        Text("e"),
        Refusal("no"),
    )
    assert turns(Message(Role.ASSISTANT, parts)) == [
        {"role": "assistant", "content": "ab"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
        {
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "e"},
                {"type": "refusal", "refusal": "no"},
            ],
        },
    ]


def test_images_of_the_assistant_are_shown_to_it() -> None:
    """As the user's: it has no other place for them."""
    parts = (Text("see"), Image("u"))
    assert turns(Message(Role.ASSISTANT, parts)) == [
        {"role": "assistant", "content": "see"},
        {"role": "user", "content": [{"type": "input_image", "image_url": "u"}]},
    ]


def test_results_follow_their_calls() -> None:
    """Of the same kind, texts as one string, media as parts, broken arguments as they are."""
    calls = (ToolCall("c", "f", '{"a'), ToolCall("d", "g", "x", "custom"))
    results = (
        ToolResult("c", (Text("a"), Text("b"))),
        ToolResult("d", (Text("x"),), is_error=True),
        ToolResult("e", ()),
        ToolResult("f", (Text("x"), Image("u"))),
    )
    tools = tuple(Message(Role.TOOL, (result,)) for result in results)
    items = turns(Message(Role.ASSISTANT, calls), *tools)
    assert items[0]["arguments"] == '{"a'
    assert items[2:] == [
        {"type": "function_call_output", "call_id": "c", "output": "a\nb"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "x"},
        {"type": "function_call_output", "call_id": "e", "output": ""},
        {
            "type": "function_call_output",
            "call_id": "f",
            "output": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": "u"},
            ],
        },
    ]


def test_long_call_ids_are_shortened_alike() -> None:
    """A call and its result still match; different ids stay different."""
    ids = ["x" * 64, "y" * 65, "y" * 66]
    calls = tuple(ToolCall(key, "f", "{}") for key in ids)
    results = tuple(Message(Role.TOOL, (ToolResult(key, ()),)) for key in ids)
    items = turns(Message(Role.ASSISTANT, calls), *results)
    found = [item["call_id"] for item in items]
    assert found[:3] == found[3:]
    assert found[0] == ids[0]
    assert len(set(found)) == 3
    assert max(map(len, found)) <= 64


@pytest.mark.parametrize(
    "part", [Audio("QQ==", "wav"), Opaque("other", {"x": 1}), ToolResult("c", (Audio("x", "y"),))]
)
def test_what_cannot_be_said_is_refused(part: Part) -> None:
    """Where the answer would make no sense without it."""
    role = Role.TOOL if isinstance(part, ToolResult) else Role.USER
    with pytest.raises(BadRequest) as caught:
        written(foreign_call(part, role=role))
    assert caught.value.code == "unsupported_part"


def test_tools_are_flat_and_strict_only_where_that_was_said() -> None:
    """By itself this API holds every function to its schema."""
    tools = (
        Tool("f", "d", {"type": "object"}),
        Tool("g", strict=True),
        Tool("h", "e", type="custom", extra={"format": {}}),
        Tool("i", type="custom"),
    )
    assert written(foreign_call(tools=tools))["tools"] == [
        {
            "type": "function",
            "name": "f",
            "description": "d",
            "parameters": {"type": "object"},
            "strict": False,
        },
        {
            "type": "function",
            "name": "g",
            "parameters": {"type": "object", "properties": {}},
            "strict": True,
        },
        {"type": "custom", "name": "h", "description": "e"},
        {"type": "custom", "name": "i"},
    ]
    with pytest.raises(BadRequest, match="kind of tool"):
        written(foreign_call(tools=(Tool("", type="computer_20250124"),)))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(ToolMode.AUTO), "auto"),
        (ToolChoice(ToolMode.NONE, ("f",)), "none"),
        (ToolChoice(ToolMode.ANY, extra={"x": 1}), "required"),
        (ToolChoice(ToolMode.NAMED, ("f",)), {"type": "function", "name": "f"}),
        (ToolChoice(ToolMode.NAMED, ("g",)), {"type": "custom", "name": "g"}),
        (ToolChoice(ToolMode.NAMED), "required"),
        (
            ToolChoice(ToolMode.AUTO, ("f",)),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        ),
    ],
)
def test_choice_of_a_tool_is_written(choice: ToolChoice, expected: Any) -> None:
    """Only where there are tools."""
    tools = (Tool("f"), Tool("g", type="custom"))
    assert written(foreign_call(tools=tools, tool_choice=choice))["tool_choice"] == expected
    assert "tool_choice" not in written(foreign_call(tool_choice=choice))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 3.0}, {"temperature": 2.0}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"max_output_tokens": 1}, {"max_output_tokens": 16}),
        ({"max_output_tokens": 99}, {"max_output_tokens": 99}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"service_tier": "standard_only"}, {}),
        ({"metadata": {"a": "b", "c": 1, "d": "x" * 513}}, {"metadata": {"a": "b"}}),
        ({"metadata": {}}, {}),
        ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
        ({"output_format": OutputFormat()}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"output_format": OutputFormat({}, description="d", strict=True)},
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "response",
                        "description": "d",
                        "schema": {"type": "object"},
                        "strict": True,
                    }
                }
            },
        ),
        ({"logprobs": True}, {"include": ["message.output_text.logprobs"]}),
        ({"reasoning_summary": "none"}, {}),
        ({"reasoning_budget": -1}, {}),
        ({"parallel_tool_calls": True}, {}),
    ],
)
def test_options_are_written(options: dict[str, Any], expected: Fields) -> None:
    """In the values that OpenAI takes."""
    body = written(foreign_call(options=Options(**options)))
    for name in ("model", "input", "store"):
        del body[name]
    assert body == expected


@pytest.mark.parametrize(
    ("options", "effort"),
    [
        ({"reasoning_effort": "none"}, "none"),
        ({"reasoning_effort": "max"}, "xhigh"),
        ({"reasoning_effort": "own word"}, "own word"),
        ({"reasoning_budget": 1024}, "low"),
        ({"reasoning_budget": 31_999}, "high"),
        ({"reasoning_budget": 1 << 20}, "high"),
    ],
)
def test_effort_is_a_word_that_models_take(options: dict[str, Any], effort: str) -> None:
    """One made of a budget is at most what all of them know."""
    body = written(foreign_call(options=Options(**options)))
    assert body["reasoning"] == {"effort": effort}


def test_flag_for_parallel_calls_needs_tools() -> None:
    """Without them it is refused upstream."""
    call = foreign_call(tools=(Tool("f"),), options=Options(parallel_tool_calls=False))
    assert written(call)["parallel_tool_calls"] is False


def test_written_request_is_json_for_any_text() -> None:
    """Halves of characters included."""
    call: Call = foreign_call(Text("\ud83d"))
    assert json.loads(CLIENT.encode_request(call, "m", is_streaming=True))["stream"] is True
