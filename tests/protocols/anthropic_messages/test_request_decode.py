"""Requests of Messages clients: what they mean, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.limits import CallLimits
from lipstream.canonical.losses import losses
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import (
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.canonical.seal import Seal, packed
from lipstream.errors import BadRequest, TooLarge
from lipstream.protocols.anthropic_messages import SERVER, MessagesServer
from lipstream.protocols.anthropic_messages.request_encode import SUPPORT
from tests.protocols.anthropic_messages.building import NAME

ASK = [{"role": "user", "content": "hi"}]


def call(**fields: Any) -> Call:
    """A decoded request with these fields."""
    body = {"model": "claude", "max_tokens": 9, "messages": ASK, **fields}
    return SERVER.decode_request(json.dumps(body).encode())


def parts(*blocks: Any, role: str = "user") -> tuple[Part, ...]:
    """The parts of one turn."""
    messages = call(messages=[{"role": role, "content": [*blocks]}]).messages
    return tuple(part for message in messages for part in message.parts)


def bare(*blocks: Any, role: str = "user") -> list[tuple[Any, ...]]:
    """The same without extra fields, to be compared as text."""
    found = []
    for part in parts(*blocks, role=role):
        names = [a.name for a in part.__attrs_attrs__ if a.name != "extra"]
        found.append((type(part).__name__, *(getattr(part, name) for name in names)))
    return found


# ---------------------------------------------------------------- the request


def test_plain_request_is_read() -> None:
    """A model, a limit, a question."""
    assert call() == Call(
        dialect=NAME,
        model="claude",
        messages=(Message(Role.USER, (Text("hi"),)),),
        options=Options(max_output_tokens=9),
        wants_usage=True,
    )


def test_request_of_claude_code_is_read() -> None:
    """Marks for the cache everywhere, a JSON text as user, a query, a beta header."""
    mark = {"type": "ephemeral"}
    user = json.dumps({"device_id": "d", "session_id": "s"})
    body = {
        "model": "claude",
        "max_tokens": 9,
        "stream": True,
        "system": [
            {"type": "text", "text": "You are"},
            {"type": "text", "text": "a tool", "cache_control": mark},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": mark}]},
            {"role": "system", "content": "reminder"},
        ],
        "metadata": {"user_id": user},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": []},
        "tools": [{"name": f"t{i}", "input_schema": {"type": "object"}} for i in range(300)],
    }
    headers = {"anthropic-beta": "a,b", "anthropic-version": "2024", "user-agent": "claude-cli"}
    ask = Ask(query={"beta": "true"}, headers=headers)
    found = SERVER.decode_request(json.dumps(body).encode(), ask)
    assert found.headers == (("anthropic-version", "2024"), ("anthropic-beta", "a,b"))
    assert (found.is_streaming, found.options.user, len(found.tools)) == (True, user, 300)
    assert [message.role for message in found.messages] == [Role.SYSTEM, Role.USER, Role.SYSTEM]
    assert (found.options.reasoning_effort, found.options.reasoning_budget) == ("high", -1)
    assert losses(found, "openai_chat", SUPPORT) == ["cache_control", "context_management"]


def test_body_without_a_limit_is_read_too() -> None:
    """One to count tokens has none."""
    body = json.dumps({"model": "m", "messages": ASK, "max_tokens": None}).encode()
    assert SERVER.decode_request(body).options == Options()


# ---------------------------------------------------------------- content


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": " a "}, ("Text", " a ", None)),
        (
            {"type": "image",
             "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
            ("Image", "data:image/png;base64,QQ==", ""),
        ),
        ({"type": "image", "source": {"type": "url", "url": "https://x"}},
         ("Image", "https://x", "")),
        (
            {"type": "document", "title": "t",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}},
            ("File", "data:application/pdf;base64,QQ==", "", "", "t"),
        ),
        (
            {"type": "document",
             "source": {"type": "text", "media_type": "text/plain", "data": "A"}},
            ("File", "data:text/plain;base64,QQ==", "", "", ""),
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://x"}},
         ("File", "", "https://x", "", "")),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}},
         ("File", "", "", "f", "")),
        ({"type": "tool_result", "tool_use_id": "a"}, ("ToolResult", "a", (), "", False)),
        ({"type": "tool_result", "tool_use_id": "a", "content": "x", "is_error": True},
         ("ToolResult", "a", (Text("x"),), "", True)),
    ],
)  # fmt: skip
def test_blocks_of_a_question_are_read(block: Any, expected: Any) -> None:
    """What other protocols know as well."""
    assert bare(block) == [expected]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "search_result", "source": "s", "title": "t", "content": []},
        {"type": "container_upload", "file_id": "f"},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "content", "content": []}},
        {"type": "document", "source": {"type": "file", "file_id": ""}},
        {"type": "new"},
    ],
)
def test_blocks_that_only_this_protocol_knows_are_kept_whole(block: Any) -> None:
    """Whatever they are."""
    assert parts(block) == (Opaque(NAME, block),)


def test_answers_of_earlier_turns_are_read() -> None:
    """Thinking with its seal, calls with their arguments as text."""
    found = bare(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "redacted_thinking", "data": "r"},
        {"type": "server_tool_use", "id": "s", "name": "n", "input": {}},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1, "é"]}},
        role="assistant",
    )
    value = {"type": "server_tool_use", "id": "s", "name": "n", "input": {}}
    assert found == [
        ("Reasoning", "hm", Seal(NAME, "s")),
        ("Reasoning", "hm", None),
        ("Reasoning", "", Seal(NAME, "r", fields={"type": "redacted_thinking"})),
        ("Opaque", NAME, value),
        ("ToolCall", "a", "f", '{"x":[1,"é"]}', "function", None),
    ]


def test_packed_seals_become_what_they_were() -> None:
    """In either place; one that is for a call is put there."""
    seals = [Seal("gemini", "1", "g:m"), Seal("openai_responses", "2", "o:m", {"id": "x"})]
    of_call = Seal("gemini", "3", "g:m", {}, "a")
    found = parts(
        {"type": "thinking", "thinking": "hm", "signature": packed(seals[0])},
        {"type": "redacted_thinking", "data": packed(seals[1])},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        {"type": "redacted_thinking", "data": packed(of_call)},
        {"type": "text", "text": "x"},
        role="assistant",
    )
    assert [type(part) for part in found] == [Reasoning, Reasoning, ToolCall, Text]
    assert [getattr(part, "seal", None) for part in found] == [*seals, of_call, None]


def test_turns_with_results_are_taken_apart() -> None:
    """The results first, each under the name of its tool, then the rest."""
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "1"}]}
    messages = call(
        messages=[
            {"role": "assistant", "content": [use]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    result,
                    {**result, "tool_use_id": "b"},
                    {"type": "text", "text": "!"},
                ],
            },
        ]
    ).messages[1:]
    assert [message.role for message in messages] == [Role.TOOL, Role.TOOL, Role.USER]
    assert [part.name for m in messages for part in m.parts if isinstance(part, ToolResult)] == [
        "f",
        "",
    ]
    assert [part.text for part in messages[2].parts if isinstance(part, Text)] == ["look", "!"]


def test_media_in_results_are_read() -> None:
    """A screenshot is one."""
    source = {"type": "base64", "media_type": "image/png", "data": "QQ=="}
    shot = {"type": "image", "source": source}
    (result,) = parts({"type": "tool_result", "tool_use_id": "a", "content": [shot]})
    assert isinstance(result, ToolResult)
    assert isinstance(result.content[0], Image)
    assert not isinstance(result.content[0], File)


# ---------------------------------------------------------------- tools


def test_tools_are_read() -> None:
    """Those with a type of their own stand as they were given."""
    typed = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    tools = call(
        tools=[
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True},
            {"type": "custom", "name": "g", "eager_input_streaming": True},
            typed,
        ]
    ).tools
    assert tools == (
        Tool("f", "d", {"type": "object"}, True),
        Tool("g", extra={"type": "custom", "eager_input_streaming": True}),
        Tool("web_search", type="web_search_20250305", extra=typed),
    )


@pytest.mark.parametrize(
    ("fields", "may_race"),
    [
        ({"tools": [{"name": "f"}]}, True),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, True),
        ({"tools": [{"type": "text_editor_20250728", "name": "e"}]}, True),
        ({"tools": [{"type": "computer_20250124"}]}, True),
        ({"tools": [{"type": "web_search_20250305"}]}, False),
        ({"tools": [{"type": "code_execution_20260120"}]}, False),
        ({"mcp_servers": [{"url": "u"}]}, False),
        ({"container": {"id": "c"}}, False),
        ({"container": None, "mcp_servers": []}, True),
    ],
)
def test_what_the_provider_runs_is_run_once(fields: dict[str, Any], may_race: bool) -> None:
    """A search costs, a container remembers."""
    assert call(**fields).may_race is may_race


@pytest.mark.parametrize(
    ("given", "choice", "is_parallel"),
    [
        ({"type": "auto"}, ToolChoice(ToolMode.AUTO), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(ToolMode.ANY), False),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False},
         ToolChoice(ToolMode.NAMED, ("f",)), True),
        ({"type": "none", "x": 1}, ToolChoice(ToolMode.NONE, extra={"x": 1}), None),
        (None, None, None),
    ],
)  # fmt: skip
def test_tool_choices_are_read(given: Any, choice: Any, is_parallel: bool | None) -> None:
    """With the word on several calls at once."""
    found = call(tool_choice=given)
    assert (found.tool_choice, found.options.parallel_tool_calls) == (choice, is_parallel)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0.5, "top_p": 1, "top_k": 3},
         Options(temperature=0.5, top_p=1, top_k=3)),
        ({"stop_sequences": ["a"]}, Options(stop=("a",))),
        ({"service_tier": "auto", "metadata": {"user_id": "u", "x": 1}},
         Options(service_tier="auto", user="u")),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}},
         Options(reasoning_budget=2048, reasoning_summary="none")),
        ({"thinking": {"type": "adaptive", "display": "summarized"}},
         Options(reasoning_budget=-1, reasoning_summary="auto")),
        ({"thinking": {"type": "adaptive", "display": None}}, Options(reasoning_budget=-1)),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
         Options(reasoning_budget=-1, reasoning_effort="xhigh")),
        ({"thinking": {"type": "disabled"}}, Options(reasoning_effort="none")),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
         Options(reasoning_effort="none")),
        ({"thinking": {"type": "between_tools"}}, Options()),
        ({"thinking": None, "output_config": None, "metadata": None, "stop_sequences": None},
         Options()),
        ({"output_config": {"effort": "none"}}, Options()),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"x": 1}}}},
         Options(output_format=OutputFormat({"x": 1}))),
        ({"output_format": {"type": "json_schema", "schema": {}}},
         Options(output_format=OutputFormat({}))),
        ({"output_format": {"type": "grammar"}}, Options()),
    ],
)  # fmt: skip
def test_options_are_read(fields: dict[str, Any], expected: Options) -> None:
    """Each under its canonical name."""
    found = call(**fields, max_tokens=None)
    assert found.options == expected


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"messages": []}, "messages", "at least one"),
        ({"messages": None}, "messages", "at least one"),
        ({"messages": "hi"}, "messages", "a list"),
        ({"messages": ["hi"]}, "messages[0]", "an object"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "user, assistant"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "a string or a list"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content", "a string or"),
        ({"messages": [{"role": "user", "content": [1]}]}, "messages[0].content[0]", "an object"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type", "kind"),
        ({"model": 1}, "model", "a string"),
        ({"system": 1}, "system", "a string or a list"),
        ({"system": [{"type": "text"}]}, "system[0].text", "a string"),
        ({"max_tokens": "9"}, "max_tokens", "an integer"),
        ({"max_tokens": -1}, "max_tokens", "at least 0"),
        ({"stream": "yes"}, "stream", "true or false"),
        ({"stop_sequences": "a"}, "stop_sequences", "a list of strings"),
        ({"stop_sequences": [1]}, "stop_sequences", "a list of strings"),
        ({"metadata": "u"}, "metadata", "an object"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id", "a string"),
        ({"thinking": "on"}, "thinking", "an object"),
        ({"thinking": {}}, "thinking.type", "a string"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", "an integer"),
        ({"output_config": {"effort": 1}}, "output_config.effort", "a string"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema",
         "a JSON schema"),
        ({"output_format": 1}, "output_format", "an object"),
        ({"tools": {}}, "tools", "a list"),
        ({"tools": [{}]}, "tools[0].name", "a string"),
        ({"tools": [{"type": 1}]}, "tools[0].type", "a string"),
        ({"tools": [{"name": "f", "input_schema": True}]}, "tools[0].input_schema", "an object"),
        ({"tool_choice": "auto"}, "tool_choice", "an object"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type", "one of auto, any"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name", "a string"),
    ],
)  # fmt: skip
def test_wrong_types_are_refused_with_their_place(
    fields: dict[str, Any], param: str, message: str
) -> None:
    """In the client's own JSON."""
    with pytest.raises(BadRequest, match=message) as caught:
        call(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("block", "place", "message"),
    [
        ({"type": "text"}, "text", "a string"),
        ({"type": "thinking"}, "thinking", "a string"),
        ({"type": "redacted_thinking"}, "data", "a string"),
        ({"type": "tool_use", "id": "a", "name": "f"}, "input", "an object"),
        ({"type": "tool_use", "id": "a", "name": "f", "input": "{}"}, "input", "an object"),
        ({"type": "tool_result"}, "tool_use_id", "a string"),
        ({"type": "tool_result", "tool_use_id": "a", "content": {}}, "content", "a string or"),
        ({"type": "tool_result", "tool_use_id": "a", "content": [{"type": 1}]}, "content[0].type",
         "kind of block"),
        ({"type": "image"}, "source", "an object"),
        ({"type": "image", "source": {}}, "source.type", "a string"),
        ({"type": "image", "source": {"type": "url"}}, "source.url", "a string"),
        ({"type": "image", "source": {"type": "base64", "data": "x"}}, "source.media_type", "a s"),
        ({"type": "image", "source": {"type": "base64", "media_type": "a,b", "data": "x"}},
         "source.media_type", "a media type"),
        ({"type": "document", "source": {"type": "file"}}, "source.file_id", "a string"),
    ],
)  # fmt: skip
def test_wrong_blocks_are_refused_with_their_place(block: Any, place: str, message: str) -> None:
    """However deep."""
    with pytest.raises(BadRequest, match=message) as caught:
        parts(block)
    assert caught.value.param == f"messages[0].content[0].{place}"


def test_limits_are_kept() -> None:
    """Of the body, of the lists, of the depth."""
    server = MessagesServer(CallLimits(body=300, messages=2, parts_per_message=2, tools=1))
    for fields in (
        {"messages": ASK * 3},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * 3}]},
        {"tools": [{"name": "f"}] * 2, "messages": ASK},
        {"messages": [{"role": "user", "content": "x" * 300}]},
    ):
        with pytest.raises(TooLarge):
            server.decode_request(json.dumps(fields).encode())
    with pytest.raises(BadRequest, match="JSON"):
        server.decode_request(b"{")


def test_conversation_that_a_provider_would_keep_is_refused_so_that_clients_send_it_whole() -> None:
    """Anthropic's client looks for this code in this place, and goes on without a thread."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(BadRequest) as caught:
        SERVER.decode_request(json.dumps({**body, "thread": {"type": "create"}}).encode(), Ask())
    assert (caught.value.param, caught.value.code) == ("thread", "thread_unsupported_request")
    problem = Problem(400, ProblemKind.INVALID_REQUEST, "no", caught.value.code)
    error = json.loads(SERVER.encode_problem(problem))["error"]
    expected = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert error["details"] == expected
