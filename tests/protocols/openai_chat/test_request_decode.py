"""Requests of chat clients: what they mean, and what is refused with which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.limits import CallLimits
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
from lipstream.errors import BadRequest, TooLarge
from lipstream.protocols.openai_chat import SERVER, ChatServer

USER = {"role": "user", "content": "hi"}


def request(*messages: Any, **fields: Any) -> bytes:
    """A request's body, with one message where none is given."""
    return json.dumps({"model": "m", "messages": [*messages] or [USER], **fields}).encode()


def read(*messages: Any, **fields: Any) -> Call:
    """The call of a request."""
    return SERVER.decode_request(request(*messages, **fields))


def content(*parts: Any, role: str = "user") -> tuple[Part, ...]:
    """The parts of a message with this content."""
    return read({"role": role, "content": [*parts]}).messages[0].parts


def test_smallest_request_is_a_call() -> None:
    """A model and one message; nothing else is assumed."""
    assert read() == Call(
        dialect="openai_chat",
        model="m",
        messages=(Message(Role.USER, (Text("hi"),)),),
        wants_usage=True,
    )


@pytest.mark.parametrize("fields", [{"messages": [USER]}, {"messages": [USER], "model": None}])
def test_missing_model_is_empty(fields: Any) -> None:
    """The default route takes it."""
    assert SERVER.decode_request(json.dumps(fields).encode()).model == ""


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "USER"])
def test_roles_are_kept(role: str) -> None:
    """Also that of the developer; case does not matter; text is not trimmed."""
    message = read({"role": role, "content": " hi\n", "name": "n"}).messages[0]
    assert message == Message(Role(role.lower()), (Text(" hi\n"),), "n")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": ""}, Text("")),
        ({"type": "text", "text": " a", "cache_control": {"type": "x"}}, Text(" a")),
        ({"type": "image_url", "image_url": {"url": "u", "detail": "low"}}, Image("u", "low")),
        ({"type": "image_url", "image_url": "u"}, Image("u")),
        ({"type": "input_audio", "input_audio": {"data": "QQ", "format": "wav"}},
         Audio("QQ", "wav")),
        ({"type": "input_audio", "input_audio": "QQ"}, Audio("QQ", "")),
        ({"type": "file", "file": {"file_data": "d", "filename": "n"}}, File("d", name="n")),
        ({"type": "file", "file": {"file_data": "https://x/y"}}, File(url="https://x/y")),
        ({"type": "file", "file": {"file_id": "i"}}, File(id="i")),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        ("bare", Text("bare")),
    ],
)  # fmt: skip
def test_parts_are_read(part: Any, expected: Part) -> None:
    """What is not canonical of them stays among the extra fields."""
    (found,) = content(part)
    assert type(found) is type(expected)
    assert {**vars_of(found), "extra": None} == {**vars_of(expected), "extra": None}
    assert found.extra["type"] == (part["type"] if isinstance(part, dict) else "text")


def vars_of(part: Part) -> dict[str, Any]:
    """The fields of a part."""
    return {name: getattr(part, name) for name in dir(part) if not name.startswith("_")}


def test_unknown_part_is_kept_as_it_stands() -> None:
    """Videos, Mistral's documents ..."""
    part = {"type": "video_url", "video_url": {"url": "u"}}
    assert content(part) == (Opaque("openai_chat", part),)


@pytest.mark.parametrize("value", [None, "", []])
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_empty_content_has_no_parts(role: str, value: Any) -> None:
    """How it was empty is kept."""
    message = read({"role": role, "content": value}).messages[0]
    assert message == Message(Role(role), (), extra={"content": value})


def test_assistant_history_is_read() -> None:
    """Reasoning, text, refusal and calls, in this order; content may be missing."""
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0},
        {"id": "b", "function": {"name": "g", "arguments": {"x": 1}}},
        {"id": "c", "type": "custom", "custom": {"name": "h", "input": "in"}},
    ]
    message = {
        "role": "assistant",
        "tool_calls": calls,
        "reasoning_content": "hm",
        "refusal": "no",
        "audio": {"id": "x"},
    }
    assert read(message).messages[0] == Message(
        Role.ASSISTANT,
        (
            Reasoning("hm", extra={"reasoning_content": "hm"}),
            Refusal("no"),
            ToolCall("a", "f", "{}", extra={"index": 0}),
            ToolCall("b", "g", '{"x":1}', extra={"type": ""}),
            ToolCall("c", "h", "in", "custom"),
        ),
        extra={"audio": {"id": "x"}},
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"reasoning": "a"}, "a"),
        ({"reasoning": "a", "reasoning_content": "a"}, "a"),
        ({"reasoning_details": [{"text": "a"}, {"summary": "b"}, {"data": "x"}, 1]}, "ab"),
        ({"reasoning": "a", "reasoning_details": [{"text": "b"}]}, "a"),
    ],
)
def test_reasoning_is_one_part_that_keeps_its_fields(fields: Any, text: str) -> None:
    """Details go back to the provider as they came."""
    (part, _) = read({"role": "assistant", "content": "hi", **fields}).messages[0].parts
    assert part == Reasoning(text, extra=fields)


@pytest.mark.parametrize("value", [None, "", [], 3])
def test_reasoning_that_is_none_stays_an_extra_field(value: Any) -> None:
    """A null, for instance."""
    message = read({"role": "assistant", "content": "hi", "reasoning": value}).messages[0]
    assert message == Message(Role.ASSISTANT, (Text("hi"),), extra={"reasoning": value})


def test_tool_results_know_the_name_of_their_tool() -> None:
    """From the call before, unless they say it themselves."""
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    image = {"type": "image_url", "image_url": {"url": "u"}}
    messages = read(
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "a", "content": [image], "name": "g"},
        {"role": "tool", "tool_call_id": "z", "content": ""},
    ).messages
    assert messages[1:] == (
        Message(Role.TOOL, (ToolResult("a", (Text("1"),), "f"),)),
        Message(
            Role.TOOL, (ToolResult("a", (Image("u", extra={"type": "image_url"}),), "g"),), "g"
        ),
        Message(Role.TOOL, (ToolResult("z", ()),), extra={"content": ""}),
    )


def test_legacy_calls_and_results_belong_together() -> None:
    """They have no ids of their own."""
    messages = read(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "function", "name": "g", "content": "2"},
    ).messages
    assert messages[0].parts == (ToolCall("call_0_f", "f", "{}", extra={"function_call": {}}),)
    results = [message.parts[0] for message in messages[1:]]
    assert results == [
        ToolResult("call_0_f", (Text("1"),), "f"),
        ToolResult("call_g", (Text("2"),), "g"),
    ]


def test_tools_are_read() -> None:
    """Functions, legacy functions, and every other kind as it was given."""
    schema = {"type": "object"}
    custom = {"type": "custom", "custom": {"name": "c", "description": "d", "format": {}}}
    flat = {"type": "web_search", "name": "w", "x": 1}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}},
        {"function": {"name": "g", "strict": True, "y": 1, "description": ""}, "z": 2},
        custom,
        flat,
    ]
    assert read(tools=tools, functions=[{"name": "h", "y": 1}]).tools == (
        Tool("f", "d", schema),
        Tool("g", strict=True, extra={"type": "", "z": 2, "function": {"y": 1, "description": ""}}),
        Tool("c", "d", type="custom", extra=custom),
        Tool("w", type="web_search", extra=flat),
        Tool("h", extra={"functions": {"y": 1}}),
    )


NAMED = {"type": "function", "function": {"name": "f"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED, {}, 1]}}


@pytest.mark.parametrize(
    ("value", "mode", "names"),
    [
        ("auto", ToolMode.AUTO, ()),
        ("none", ToolMode.NONE, ()),
        ("required", ToolMode.ANY, ()),
        ("any", ToolMode.ANY, ()),
        (NAMED, ToolMode.NAMED, ("f",)),
        ({"type": "custom", "custom": {"name": "f"}}, ToolMode.NAMED, ("f",)),
        (ALLOWED, ToolMode.ANY, ("f",)),
        ({"type": "auto"}, ToolMode.AUTO, ()),
    ],
)
def test_tool_choice_is_read(value: Any, mode: ToolMode, names: tuple[str, ...]) -> None:
    """What is no plain word is kept as it was given."""
    is_plain = value in ("auto", "none", "required")
    extra = {} if is_plain else {"tool_choice": value}
    assert read(tool_choice=value).tool_choice == ToolChoice(mode, names, extra=extra)


def test_legacy_function_call_is_a_tool_choice() -> None:
    """Where there is no newer one."""
    for value, mode, names in (
        ("auto", ToolMode.AUTO, ()),
        ({"name": "f"}, ToolMode.NAMED, ("f",)),
    ):
        expected = ToolChoice(mode, names, extra={"function_call": value})
        assert read(function_call=value).tool_choice == expected
    assert read(tool_choice=None).tool_choice is None


def test_options_are_read() -> None:
    """All that are canonical; numbers as they were written."""
    given: dict[str, Any] = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 40.0,
        "seed": -1,
        "presence_penalty": 1,
        "frequency_penalty": -0.5,
        "reasoning_effort": "low",
        "verbosity": "high",
        "parallel_tool_calls": False,
        "logprobs": True,
        "top_logprobs": 3,
        "service_tier": "flex",
        "user": "u",
        "metadata": {"a": "b"},
    }
    call = read(**given, n=2, max_tokens=9, stop=["a", "b"], stream=True)
    expected = Options(**given, choices=2, max_output_tokens=9, stop=("a", "b"))
    assert (call.options, call.extra, call.is_streaming) == (expected, {}, True)


@pytest.mark.parametrize(
    ("fields", "expected", "extra"),
    [
        ({"max_completion_tokens": 5}, 5, {"max_completion_tokens": 5}),
        ({"max_tokens": 5}, 5, {}),
        (
            {"max_tokens": 4, "max_completion_tokens": 5},
            5,
            {"max_tokens": 4, "max_completion_tokens": 5},
        ),
        ({"max_tokens": None}, None, {"max_tokens": None}),
    ],
)
def test_newer_limit_counts(fields: Any, expected: int | None, extra: Any) -> None:
    """Which one was given can be seen."""
    call = read(**fields)
    assert (call.options.max_output_tokens, call.extra) == (expected, extra)


@pytest.mark.parametrize(
    ("value", "expected", "extra"),
    [
        ({"type": "text"}, None, {"response_format": {"type": "text"}}),
        ({"type": "json_object"}, OutputFormat(), {}),
        ({"type": "json_object", "schema": {}}, OutputFormat(),
         {"response_format": {"schema": {}}}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}}},
            OutputFormat({"a": 1}, "n"),
            {},
        ),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, OutputFormat({}, "n"), {}),
        (
            {"type": "json_schema", "json_schema": {"schema": {}, "x": 1, "description": "d"}},
            OutputFormat({}, description="d"),
            {"response_format": {"json_schema": {"schema": {}, "x": 1}}},
        ),
        ({"type": "grammar", "g": 1}, None, {"response_format": {"type": "grammar", "g": 1}}),
    ],
)  # fmt: skip
def test_output_formats_are_read(value: Any, expected: OutputFormat | None, extra: Any) -> None:
    """Those that other dialects can say; the others are kept."""
    call = read(response_format=value)
    assert (call.options.output_format, call.extra) == (expected, extra)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stream_options": {"include_usage": True}}, True),
        ({"stream_options": {"include_usage": False}}, False),
        ({"stream_options": {}}, False),
        ({"stream_options": None}, False),
        ({"usage": {"include": True}}, True),
        ({"usage": {"include": False}}, False),
    ],
)
def test_wish_for_usage_is_read(fields: Any, expected: bool) -> None:
    """OpenAI's way and OpenRouter's; an answer that is no stream always has it."""
    call = read(**fields, stream=True)
    assert (call.wants_usage, call.extra) == (expected, fields)
    assert read(**fields).wants_usage


def test_unknown_fields_keep_their_order() -> None:
    """They belong to the dialect."""
    fields = {"z": 1, "logit_bias": {}, "a": None, "stop": "x"}
    assert list(read(**fields).extra.items()) == list(fields.items())


# ---------------------------------------------------------------- refused


def user(part: Any) -> bytes:
    """A request with one message of one part."""
    return request({"role": "user", "content": [part]})


def assistant(call: Any) -> bytes:
    """A request with one message of one call."""
    return request({"role": "assistant", "tool_calls": [call]})


ROLES = "one of system, developer, user, assistant, tool, function"
PARTS = "a string or a list of parts"
CHOICES = "auto, none, required or an object that names tools"
MISSING = "missing"


@pytest.mark.parametrize(
    ("body", "param", "expected", "got"),
    [
        (b"[]", None, "an object", "a list of 0"),
        (request(model=3), "model", "a string", "3"),
        (b"{}", "messages", "a list of at least one message", MISSING),
        (b'{"messages": []}', "messages", "a list of at least one message", "a list of 0"),
        (b'{"messages": {}}', "messages", "a list", "an object"),
        (request("hi"), "messages[0]", "an object", '"hi"'),
        (request(USER, {"content": "x"}), "messages[1].role", "a string", MISSING),
        (request({"role": "bot", "content": "x"}), "messages[0].role", ROLES, '"bot"'),
        (request({"role": "x" * 81}), "messages[0].role", ROLES, "a string of 81 characters"),
        (request({"role": "user"}), "messages[0].content", PARTS, MISSING),
        (request({"role": "user", "content": 3}), "messages[0].content", PARTS, "3"),
        (user({"text": "x"}), "messages[0].content[0].type",
         "the kind of part, such as text or image_url", MISSING),
        (user({"type": "text", "text": [1]}), "messages[0].content[0].text",
         "a string", "a list of 1"),
        (user({"type": "image_url"}), "messages[0].content[0].image_url", "an object", MISSING),
        (user({"type": "image_url", "image_url": {"url": None}}),
         "messages[0].content[0].image_url.url", "a string", MISSING),
        (request({"role": "tool", "content": "x"}), "messages[0].tool_call_id",
         "a string", MISSING),
        (assistant({"id": "a", "type": "x"}), "messages[0].tool_calls[0].type",
         "function or custom", '"x"'),
        (assistant({"id": "a", "function": {"name": "f", "arguments": 3}}),
         "messages[0].tool_calls[0].function.arguments", "a string", "3"),
        (request(tools=[{"type": "function"}]), "tools[0].function", "an object", MISSING),
        (request(tools=[{"function": {"name": "f", "parameters": "{}"}}]),
         "tools[0].function.parameters", "an object", '"{}"'),
        (request(functions=[{}]), "functions[0].name", "a string", MISSING),
        (request(tool_choice="maybe"), "tool_choice", CHOICES, '"maybe"'),
        (request(tool_choice={"type": "x"}), "tool_choice", CHOICES, "an object"),
        (request(tool_choice={"type": "function"}), "tool_choice.function", "an object", MISSING),
        (request(temperature="hot"), "temperature", "a number", '"hot"'),
        (request(temperature=True), "temperature", "a number", "true"),
        (request(max_tokens=-1), "max_tokens", "an integer of at least 0", "-1"),
        (request(max_tokens=1.5), "max_tokens", "an integer of at least 0", "1.5"),
        (request(n=True), "n", "an integer of at least 1", "true"),
        (request(seed="x"), "seed", "an integer", '"x"'),
        (request(stream="yes"), "stream", "true or false", '"yes"'),
        (request(stream_options=[]), "stream_options", "an object", "a list of 0"),
        (request(stop=[1]), "stop", "a string or a list of strings", "a list of 1"),
        (request(response_format="json"), "response_format", "an object", '"json"'),
        (request(response_format={"type": "json_schema"}), "response_format.json_schema",
         "an object", MISSING),
        (request(metadata=int("9" * 90)), "metadata", "an object", "something of 90 characters"),
    ],
)  # fmt: skip
def test_wrong_types_are_refused_with_their_place(
    body: bytes, param: str | None, expected: str, got: str
) -> None:
    """The message says what is wrong and what would be right, and shows little."""
    with pytest.raises(BadRequest) as caught:
        SERVER.decode_request(body)
    place = param or "the body"
    if got is MISSING:
        assert str(caught.value) == f"{place}: missing, expected {expected}"
    else:
        assert str(caught.value) == f"{place}: expected {expected}, got {got}"
    assert caught.value.param == param


LIMITS = CallLimits(body=400, messages=2, parts_per_message=2, tools=2, json_depth=6)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (request(USER, USER, USER), "messages"),
        (request({"role": "user", "content": ["a", "b", "c"]}), "messages[0].content"),
        (request({"role": "assistant", "tool_calls": [1, 2, 3]}), "messages[0].tool_calls"),
        (request(tools=[1, 2, 3]), "tools"),
        (request(functions=[1, 2, 3]), "functions"),
        (request(x="x" * 400), None),
    ],
)
def test_limits_are_kept(body: bytes, param: str | None) -> None:
    """Each names its field."""
    with pytest.raises(TooLarge) as caught:
        ChatServer(LIMITS).decode_request(body)
    assert caught.value.param == param
    assert "allowed" in str(caught.value)


def test_depth_is_limited() -> None:
    """Before anything is decoded."""
    with pytest.raises(BadRequest, match="nested more than 6 levels"):
        ChatServer(LIMITS).decode_request(request(x=[[[[[[1]]]]]]))


@pytest.mark.parametrize(
    ("fields", "may_race"),
    [
        ({}, True),
        ({"store": False}, True),
        ({"store": True}, False),
        ({"web_search_options": {}}, False),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, True),
        ({"tools": [{"type": "web_search"}]}, False),
    ],
    ids=repr,
)
def test_call_that_leaves_traces_may_not_race(fields: dict[str, object], may_race: bool) -> None:
    """What a provider stores, or runs itself, is asked for once."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    assert may_race == SERVER.decode_request(json.dumps(body).encode()).may_race
