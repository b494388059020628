"""Requests of clients to calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call, Message, Role, ToolChoice, ToolMode
from lipstream.canonical.limits import CALL_LIMITS, CallLimits
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
from lipstream.errors import BadRequest, TooLarge
from lipstream.protocols.openai_responses import SERVER
from lipstream.protocols.openai_responses.request_decode import decode_request
from tests.protocols.openai_responses.building import request

OWN = "openai_responses"


def parts_of(*content: Any, role: str = "user") -> tuple[Part, ...]:
    """The parts of one message."""
    (message,) = request(input=[{"role": role, "content": list(content)}]).messages
    return message.parts


def spoken(call: Call) -> list[tuple[Role, list[str]]]:
    """Who spoke, and what kinds of parts."""
    return [(m.role, [type(part).__name__ for part in m.parts]) for m in call.messages]


def test_string_is_a_user_message() -> None:
    """Exactly as given."""
    call = request(input=" hi\n", stream=True)
    (message,) = call.messages
    assert (message.role, message.parts) == (Role.USER, (Text(" hi\n"),))
    assert (call.dialect, call.model, call.is_streaming, call.wants_usage) == (OWN, "m", True, True)


def test_instructions_are_a_system_message_before_all() -> None:
    """Not trimmed."""
    call = request(instructions=" be brief ")
    assert call.messages[0].parts == (Text(" be brief "),)
    assert call.messages[0].role is Role.SYSTEM
    assert len(request(instructions="").messages) == len(request(instructions=None).messages) == 1


@pytest.mark.parametrize("role", ["user", "system", "developer"])
@pytest.mark.parametrize("form", [{}, {"type": "message"}, {"type": "message", "id": "msg_1"}])
def test_messages_of_all_roles_are_read(role: str, form: dict[str, str]) -> None:
    """In the easy form and as items."""
    for content in ("hi", [{"type": "input_text", "text": "hi"}]):
        (message,) = request(input=[{**form, "role": role, "content": content}]).messages
        assert message.role is Role(role)
        assert [part.text for part in message.parts if isinstance(part, Text)] == ["hi"]


def test_parts_of_content_are_read() -> None:
    """Each with what it has beside its text."""
    found = parts_of(
        {"type": "input_text", "text": " a "},
        {"type": "input_image", "image_url": "u", "detail": "low"},
        {"type": "input_image", "image_url": {"url": "u", "detail": "high"}},
        {"type": "input_file", "file_data": "data:x", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "u"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
        {"type": "input_image", "file_id": "file-2"},
        {"type": "new", "x": 1},
    )
    assert found == (
        Text(" a ", extra={"type": "input_text"}),
        Image("u", "low", extra={"type": "input_image"}),
        Image("u", "high", extra={"type": "input_image"}),
        File("data:x", name="a.pdf", extra={"type": "input_file"}),
        File(url="u", extra={"type": "input_file"}),
        File(id="file-1", extra={"type": "input_file"}),
        Audio("QQ==", "wav", extra={"type": "input_audio"}),
        Opaque(OWN, {"type": "input_image", "file_id": "file-2"}),
        Opaque(OWN, {"type": "new", "x": 1}),
    )


def test_output_may_be_sent_back_as_it_came() -> None:
    """What the assistant did in a row is one turn; results follow it, each on its own."""
    call = request(
        input=[
            {"role": "user", "content": "hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "a", "annotations": []},
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": ""},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
            {"role": "assistant", "content": "done"},
        ]
    )
    assert spoken(call) == [
        (Role.USER, ["Text"]),
        (Role.ASSISTANT, ["Reasoning", "Text", "Refusal", "Opaque", "ToolCall", "ToolCall"]),
        (Role.TOOL, ["ToolResult"]),
        (Role.TOOL, ["ToolResult"]),
        (Role.ASSISTANT, ["Text"]),
    ]
    thought, text, refusal, _, first, second = call.messages[1].parts
    assert isinstance(thought, Reasoning)
    assert (thought.text, thought.seal) == ("", Seal(OWN, "E"))
    texts = [part.text for part in (text, refusal) if isinstance(part, Text | Refusal)]
    assert texts == ["a", "no"]
    calls = [
        (x.id, x.name, x.arguments, x.type) for x in (first, second) if isinstance(x, ToolCall)
    ]
    assert calls == [("c1", "f", "", "function"), ("c2", "g", "x", "custom")]


def test_results_are_read() -> None:
    """Text or parts; the name is that of the call before."""
    image = {"type": "input_image", "image_url": "u"}
    call = request(
        input=[
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": {"a": 1}},
            {"type": "function_call_output", "call_id": "c1", "output": "ok"},
            {"type": "function_call_output", "call_id": "c9", "output": [image]},
            {"type": "function_call_output", "call_id": "c1", "output": ""},
        ]
    )
    assert isinstance(call.messages[0].parts[0], ToolCall)
    assert call.messages[0].parts[0].arguments == '{"a":1}'
    results = [part for m in call.messages[1:] for part in m.parts if isinstance(part, ToolResult)]
    assert [(r.call_id, r.name, len(r.content)) for r in results] == [
        ("c1", "f", 1),
        ("c9", "", 1),
        ("c1", "f", 0),
    ]
    assert results[0].content == (Text("ok"),)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "computer_call_output", "call_id": "c", "output": {}},
        {"type": "local_shell_call_output", "id": "c", "output": "x"},
        {"type": "mcp_approval_response", "approve": True},
    ],
)
def test_items_that_matter_are_the_users(item: dict[str, Any]) -> None:
    """No other protocol can do without them."""
    call = request(input=[{"role": "assistant", "content": "a"}, item])
    assert spoken(call) == [(Role.ASSISTANT, ["Text"]), (Role.USER, ["Opaque"])]
    assert call.messages[1].parts == (Opaque(OWN, item),)


@pytest.mark.parametrize("kind", ["file_search_call", "mcp_list_tools", "brand_new"])
def test_items_of_history_are_the_assistants(kind: str) -> None:
    """Other protocols do without them."""
    call = request(input=[{"type": kind, "x": 1}, {"role": "assistant", "content": []}])
    assert spoken(call) == [(Role.ASSISTANT, ["Opaque", "Opaque"])]


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "prompt"])
def test_conversation_kept_elsewhere_is_part_of_the_call(field: str) -> None:
    """So that no other protocol answers without it; there need be no other input."""
    given: dict[str, Any] = {"input": None, field: {"id": "x"}}
    call = request(**given)
    assert call.messages[0].parts == (Opaque(OWN, {field: {"id": "x"}}),)
    assert call.messages[0].role is Role.USER
    assert call.extra[field] == {"id": "x"}
    assert call.may_race is (field == "prompt")


@pytest.mark.parametrize(
    ("fields", "may_race"),
    [
        ({}, True),
        ({"store": False}, True),
        ({"store": None}, True),
        ({"store": True}, False),
        ({"background": True}, False),
        ({"tools": [{"type": "function", "name": "f"}]}, True),
        ({"tools": [{"type": "custom", "name": "f"}, {"type": "local_shell"}]}, True),
        ({"tools": [{"type": "web_search"}]}, False),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, False),
    ],
)
def test_what_leaves_something_behind_is_not_raced(fields: dict[str, Any], may_race: bool) -> None:
    """Only what the client asked for counts: by itself OpenAI stores everything."""
    assert request(**fields).may_race is may_race


def test_options_are_read() -> None:
    """All that other protocols know."""
    call = request(
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low", "format": {"type": "json_object"}},
        parallel_tool_calls=False,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        service_tier="flex",
        user="u",
        metadata={"a": "b"},
    )
    assert call.options == Options(
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        reasoning_effort="low",
        reasoning_summary="auto",
        verbosity="low",
        parallel_tool_calls=False,
        output_format=OutputFormat(),
        logprobs=True,
        top_logprobs=2,
        service_tier="flex",
        user="u",
        metadata={"a": "b"},
    )
    assert call.extra == {"include": ["message.output_text.logprobs"]}


def test_schema_is_read() -> None:
    """With its name, and whether it is strict."""
    form = {"type": "json_schema", "name": "n", "description": "d", "schema": {"a": 1}}
    options = request(text={"format": {**form, "strict": True}}).options
    assert options.output_format == OutputFormat({"a": 1}, "n", "d", True)
    empty = request(text={"format": {"type": "json_schema", "name": "n", "schema": {}}}).options
    assert empty.output_format == OutputFormat({}, "n")


def test_unknown_fields_are_kept() -> None:
    """Also those of objects that are known."""
    call = request(
        prompt_cache_key="k",
        reasoning={"generate_summary": "auto", "context": "x"},
        text={"format": {"type": "text"}},
        truncation="auto",
    )
    assert call.options.reasoning_summary == "auto"
    assert call.extra == {
        "prompt_cache_key": "k",
        "reasoning": {"generate_summary": "auto", "context": "x"},
        "text": {"format": {"type": "text"}},
        "truncation": "auto",
    }
    assert request(reasoning=None, text={}).extra == {"reasoning": None, "text": {}}
    assert request(text={"format": None}).options == Options()


def test_tools_are_read() -> None:
    """Flat, nested, and those that only this dialect has."""
    function = {"type": "function", "name": "f", "description": "d", "parameters": {"a": 1}}
    nested = {"type": "function", "function": {"name": "g", "strict": True, "x": 1}}
    search = {"type": "web_search", "filters": {}}
    free = {"type": "custom", "name": "h", "description": "e", "format": {"type": "text"}}
    tools = request(tools=[{**function, "strict": False}, nested, search, free]).tools
    found = [(t.name, t.description, t.parameters, t.strict, t.type) for t in tools]
    assert found == [
        ("f", "d", {"a": 1}, False, "function"),
        ("g", "", None, True, "function"),
        ("", "", None, None, "web_search"),
        ("h", "e", None, None, "custom"),
    ]
    assert tools[1].extra == {"function": {"x": 1}}
    assert (tools[2].extra, tools[3].extra) == (search, free)


@pytest.mark.parametrize(
    ("value", "mode", "names"),
    [
        ("auto", ToolMode.AUTO, ()),
        ("none", ToolMode.NONE, ()),
        ("required", ToolMode.ANY, ()),
        ({"type": "function", "name": "f"}, ToolMode.NAMED, ("f",)),
        ({"type": "function", "function": {"name": "f"}}, ToolMode.NAMED, ("f",)),
        ({"type": "custom", "name": "f"}, ToolMode.NAMED, ("f",)),
        ({"type": "web_search_preview"}, ToolMode.ANY, ()),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "mcp"}, 7],
            },
            ToolMode.ANY,
            ("f",),
        ),
    ],
)
def test_choice_of_a_tool_is_read(value: Any, mode: ToolMode, names: tuple[str, ...]) -> None:
    """What is no plain word is kept as it stood."""
    extra = {} if isinstance(value, str) else {"tool_choice": value}
    assert request(tool_choice=value).tool_choice == ToolChoice(mode, names, extra=extra)
    assert request(tool_choice=None).tool_choice is None


BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": None}, "input"),
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": 7}, "input"),
    ({"input": ["x"]}, "input[0]"),
    ({"input": [{}]}, "input[0].type"),
    ({"input": [{"type": 7}]}, "input[0].type"),
    ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "critic", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
    ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "input[0].content[0].text",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input[0].content[0].image_url",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
        "input[0].content[0].file_data",
    ),
    ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
    ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
    ({"input": [{"type": "reasoning", "summary": "x"}]}, "input[0].summary"),
    ({"input": [{"type": "reasoning", "encrypted_content": 7}]}, "input[0].encrypted_content"),
    ({"instructions": []}, "instructions"),
    ({"model": 7}, "model"),
    ({"stream": "yes"}, "stream"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"name": "f"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "x"}}, "tool_choice"),
    ({"reasoning": "high"}, "reasoning"),
    ({"reasoning": {"effort": 7}}, "reasoning.effort"),
    ({"text": {"format": {}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "schema": 7}}}, "text.format.schema"),
    ({"include": "x"}, "include"),
    ({"temperature": "hot"}, "temperature"),
    ({"max_output_tokens": -1}, "max_output_tokens"),
    ({"metadata": []}, "metadata"),
]


@pytest.mark.parametrize(("fields", "path"), BAD)
def test_wrong_types_are_refused_with_their_path(fields: dict[str, Any], path: str) -> None:
    """And with what was expected."""
    with pytest.raises(BadRequest) as caught:
        request(**fields)
    assert caught.value.param == path
    assert "expected" in str(caught.value)


def test_limits_hold() -> None:
    """The message names the limit."""
    body = json.dumps({"input": [{"role": "user", "content": "hi"}] * 2}).encode()
    for limits in (CallLimits(body=10), CallLimits(messages=1)):
        with pytest.raises(TooLarge):
            decode_request(body, Ask(), limits)
    with pytest.raises(BadRequest, match="not JSON"):
        decode_request(b"{", Ask(), CALL_LIMITS)


def test_headers_for_the_provider_are_kept() -> None:
    """Only those that mean something to it."""
    ask = Ask(headers={"openai-beta": "x", "authorization": "secret"})
    assert request(ask).headers == (("openai-beta", "x"),)
    assert SERVER.decode_request(b'{"input": "hi"}').headers == ()


def test_input_of_a_message_alone_is_one_message() -> None:
    """Nothing is added to it."""
    assert request().messages == (Message(Role.USER, (Text("hi"),), extra={"role": "input"}),)
