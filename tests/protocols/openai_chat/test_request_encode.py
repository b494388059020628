"""Requests to chat upstreams: of chat clients as they came, of others as most servers take them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from lipstream.protocols.openai_chat import CLIENT, SERVER
from tests.recordings import exchanges

ASK = Message(Role.USER, (Text("hi"),))


def written(model: str = "m", *, is_streaming: bool = False, **fields: Any) -> dict[str, Any]:
    """The body for a call of another dialect."""
    call = Call(**{"dialect": "gemini", "model": "x", "messages": (ASK,), **fields})
    body = json.loads(CLIENT.encode_request(call, model, is_streaming=is_streaming))
    assert isinstance(body, dict)
    return body


def messages(*given: Message) -> Any:
    """How these messages are written."""
    return written(messages=given)["messages"]


def round_trip(request: Any, *, is_streaming: bool = False) -> Any:
    """A chat client's request, read and written."""
    call = SERVER.decode_request(json.dumps(request).encode())
    return json.loads(CLIENT.encode_request(call, call.model, is_streaming=is_streaming))


# ---------------------------------------------------------------- chat to chat

TEXTS = st.text(max_size=8)
NAMES = st.sampled_from(["f", "g", "h_1"])
UNKNOWN = st.dictionaries(
    st.sampled_from(["x", "y", "cache_control"]), st.none() | st.integers() | TEXTS, max_size=2
)
MAYBE = st.none() | TEXTS


def fields(_needed: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[Any]:
    """An object with these fields, the optional ones not always, and some unknown ones."""
    known = st.fixed_dictionaries(_needed or {}, optional=optional)
    return st.builds(lambda more, own: {**more, **own}, UNKNOWN, known)


PARTS = st.one_of(
    fields({"type": st.just("text"), "text": TEXTS}),
    fields({"type": st.just("refusal"), "refusal": TEXTS}),
    fields(
        {
            "type": st.just("image_url"),
            "image_url": fields({"url": TEXTS}, detail=st.sampled_from(["low", "", None])) | TEXTS,
        }
    ),
    fields(
        {
            "type": st.just("input_audio"),
            "input_audio": fields({"data": TEXTS}, format=st.sampled_from(["wav", None])) | TEXTS,
        }
    ),
    fields(
        {
            "type": st.just("file"),
            "file": fields(file_data=MAYBE | st.just("https://x"), file_id=MAYBE, filename=MAYBE),
        }
    ),
    fields({"type": st.sampled_from(["video_url", "document_url"]), "value": TEXTS}),
)
CONTENT = TEXTS | st.lists(PARTS, max_size=3)
FUNCTIONS = fields(
    {"name": NAMES},
    description=MAYBE,
    parameters=st.none() | st.just({}) | st.just({"type": "object"}),
    strict=st.none() | st.booleans(),
)
FUNCTION_CALLS = fields({"name": NAMES, "arguments": TEXTS})
CALLS = st.one_of(
    fields({"id": TEXTS, "function": FUNCTION_CALLS}),
    fields({"id": TEXTS, "type": st.just("function"), "function": FUNCTION_CALLS}),
    fields(
        {"id": TEXTS, "type": st.just("custom"), "custom": fields({"name": NAMES, "input": TEXTS})}
    ),
)
DETAILS = st.lists(fields({"type": st.just("reasoning.text")}, text=TEXTS), max_size=2)
MESSAGES = st.one_of(
    fields(
        {"role": st.sampled_from(["system", "developer", "user"]), "content": CONTENT}, name=MAYBE
    ),
    fields(
        {"role": st.just("assistant")},
        content=st.none() | CONTENT,
        tool_calls=st.none() | st.lists(CALLS, max_size=2),
        function_call=st.none() | FUNCTION_CALLS,
        reasoning=MAYBE,
        reasoning_content=MAYBE,
        reasoning_details=st.none() | DETAILS,
        refusal=MAYBE,
        audio=st.none() | st.just({"id": "a"}),
    ),
    fields(
        {"role": st.just("tool"), "tool_call_id": TEXTS}, content=st.none() | CONTENT, name=MAYBE
    ),
    fields({"role": st.just("function"), "name": NAMES, "content": st.none() | TEXTS}),
)
NAMED = st.sampled_from(
    [
        "auto",
        "none",
        "required",
        "any",
        {"type": "function", "function": {"name": "f"}},
        {"type": "custom", "custom": {"name": "f"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        None,
    ]
)
FORMATS = st.one_of(
    st.none(),
    fields({"type": st.sampled_from(["text", "json_object", "regex"])}),
    fields(
        {
            "type": st.just("json_schema"),
            "json_schema": fields(
                {"name": NAMES},
                description=MAYBE,
                strict=st.none() | st.booleans(),
                schema=st.none() | st.just({}) | st.just({"type": "object"}),
            ),
        }
    ),
)
FLOATS = st.none() | st.integers(-2, 2) | st.floats(-2, 2)
REQUESTS = fields(
    {"messages": st.lists(MESSAGES, min_size=1, max_size=4), "model": TEXTS},
    tools=st.none()
    | st.lists(
        fields({"type": st.just("function"), "function": FUNCTIONS})
        | fields({"function": FUNCTIONS})
        | st.just({"type": "web_search"})
        | st.just({"type": "custom", "custom": {"name": "c"}}),
        max_size=2,
    ),
    functions=st.none() | st.lists(FUNCTIONS, max_size=2),
    tool_choice=NAMED,
    function_call=st.sampled_from([None, "auto", {"name": "f"}]),
    temperature=FLOATS,
    top_p=FLOATS,
    presence_penalty=FLOATS,
    max_tokens=st.none() | st.integers(0, 9),
    max_completion_tokens=st.none() | st.integers(0, 9),
    top_k=st.none() | st.integers(),
    stop=MAYBE | st.lists(TEXTS, max_size=2),
    seed=st.none() | st.integers(),
    n=st.none() | st.integers(1, 3),
    logprobs=st.none() | st.booleans(),
    reasoning_effort=MAYBE,
    service_tier=MAYBE,
    metadata=st.none() | st.just({}) | st.just({"a": "b"}),
    response_format=FORMATS,
    parallel_tool_calls=st.none() | st.booleans(),
    user=MAYBE,
)


@given(REQUESTS)
def test_request_of_a_chat_client_is_written_as_it_came(request: Any) -> None:
    """Up to the order of fields: nothing added, nothing lost."""
    assert round_trip(request) == request


def test_recorded_requests_are_written_as_they_came() -> None:
    """What real clients sent, but for the stream's own fields."""
    odd = []
    for exchange in exchanges("chat-completions"):
        if exchange.request is None:
            continue
        try:
            written = round_trip(exchange.request)
        except BadRequest as error:
            odd.append((exchange.name.split("__")[1], error.param))
            continue
        stream = {"stream", "stream_options"}
        expected = {k: v for k, v in exchange.request.items() if k not in stream}
        assert written == expected, exchange.name
    assert odd == [
        ("llamacpp-error_matrix-malformed_request_field", "temperature"),
        ("internal-testopenai-chat-no-messages", "messages"),
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        (
            {"stream_options": {"include_usage": False, "include_obfuscation": False}},
            {"include_usage": True, "include_obfuscation": False},
        ),
    ],
)
def test_streams_always_ask_for_usage(given: Any, expected: Any) -> None:
    """The client's other stream options are kept; without a stream there are none."""
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **given}
    streamed = round_trip({**request, "stream": True}, is_streaming=True)
    assert (streamed["stream"], streamed["stream_options"]) == (True, expected)
    assert round_trip({**request, "stream": True}).keys() == {"model", "messages"}


def test_changed_options_count_over_what_came() -> None:
    """Stages may change a call; its extra fields do not bring the old values back."""
    request = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stop": "a",
        "max_completion_tokens": 5,
        "temperature": None,
        "response_format": {"type": "text"},
        "tool_choice": "any",
    }
    call = SERVER.decode_request(json.dumps(request).encode())
    options = Options(
        stop=("b", "c"), max_output_tokens=6, temperature=1, output_format=OutputFormat()
    )
    changed = call.changed(options=options, tool_choice=ToolChoice(ToolMode.NONE))
    body = json.loads(CLIENT.encode_request(changed, "other", is_streaming=False))
    assert {name: body[name] for name in request} == {
        "model": "other",
        "messages": request["messages"],
        "stop": ["b", "c"],
        "max_completion_tokens": 6,
        "temperature": 1,
        "response_format": {"type": "json_object"},
        "tool_choice": "none",
    }


# ---------------------------------------------------------------- from other dialects


def test_foreign_extras_are_left_out() -> None:
    """At every level."""
    extra = {"x": 1}
    call = ToolCall("a", "f", "{}", extra=extra)
    body = written(
        messages=(
            Message(Role.USER, (Text("hi", extra=extra), Image("u", extra=extra)), extra=extra),
            Message(Role.ASSISTANT, (call,), extra=extra),
            Message(Role.TOOL, (ToolResult("a", (Text("1", extra=extra),), "f", extra=extra),)),
        ),
        tools=(Tool("f", "", {}, extra=extra),),
        tool_choice=ToolChoice(ToolMode.AUTO, extra=extra),
        extra=extra,
    )
    assert b'"x"' not in json.dumps(body).encode()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), ""),
        ((Text("a"),), "a"),
        ((Text("a"), Text("b")), [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        ((Image("u", "low"),), [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]),
        ((Audio("QQ", "wav"),),
         [{"type": "input_audio", "input_audio": {"data": "QQ", "format": "wav"}}]),
        ((File("d", name="n"),), [{"type": "file", "file": {"file_data": "d", "filename": "n"}}]),
        ((File(url="https://x"),), [{"type": "file", "file": {"file_data": "https://x"}}]),
        ((File(id="i"), ToolCall("a", "f", "")), [{"type": "file", "file": {"file_id": "i"}}]),
    ],
)  # fmt: skip
def test_questions_are_written_in_parts(parts: tuple[Part, ...], expected: Any) -> None:
    """A single text as a plain string; system messages stay where they are."""
    system = Message(Role.SYSTEM, (Text("s"),))
    assert messages(Message(Role.USER, parts, "n"), system) == [
        {"role": "user", "content": expected, "name": "n"},
        {"role": "system", "content": "s"},
    ]


CALL = ToolCall("a", "f", "{}")
WRITTEN = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), {"content": ""}),
        ((Text("a"), Text("b")), {"content": "ab"}),
        ((CALL,), {"content": None, "tool_calls": [WRITTEN]}),
        ((Text("a"), CALL), {"content": "a", "tool_calls": [WRITTEN]}),
        ((ToolCall("a", "f", "x", "custom"),),
         {"content": None,
          "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}]}),
        ((Reasoning("hm", Seal("anthropic_messages", "sig")), Text("a")), {"content": "a"}),
        ((Reasoning("hm", Seal("openai_chat", "")), Text("a")),
         {"content": "a", "reasoning_content": "hm"}),
        ((Opaque("anthropic", {"x": 1}), Text("a")), {"content": "a"}),
        ((Refusal("no"),), {"content": "", "refusal": "no"}),
        ((Text("a"), Image("u")),
         {"content": [{"type": "text", "text": "a"},
                      {"type": "image_url", "image_url": {"url": "u"}}]}),
    ],
)  # fmt: skip
def test_answers_of_earlier_turns_are_written(parts: tuple[Part, ...], expected: Any) -> None:
    """Reasoning goes back only to where it came from."""
    assert messages(Message(Role.ASSISTANT, parts)) == [{"role": "assistant", **expected}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ((), ""),
        ((Text("a"), Text("b")), "a\nb"),
        ((Text("a"), Image("u")),
         [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]),
    ],
)  # fmt: skip
def test_tool_results_are_plain_text_where_they_can_be(
    content: tuple[Part, ...], expected: Any
) -> None:
    """One message for each result."""
    results = (ToolResult("a", content, "f"), ToolResult("b", ()))
    assert messages(Message(Role.TOOL, results)) == [
        {"role": "tool", "tool_call_id": "a", "content": expected},
        {"role": "tool", "tool_call_id": "b", "content": ""},
    ]


def test_part_that_only_another_protocol_knows_is_refused_in_a_question() -> None:
    """Leaving it out would change what is asked."""
    with pytest.raises(BadRequest, match="cannot be sent") as caught:
        messages(Message(Role.USER, (Text("a"), Opaque("anthropic", {}))))
    assert caught.value.param == "messages[0].content[1]"


def test_own_parts_of_unknown_kinds_are_written_in_any_call() -> None:
    """They are this protocol's."""
    part = Opaque("openai_chat", {"type": "video_url"})
    assert messages(Message(Role.USER, (part,)))[0]["content"] == [{"type": "video_url"}]
    assert messages(Message(Role.ASSISTANT, (part,)))[0]["content"] == [{"type": "video_url"}]


def test_tools_are_written() -> None:
    """Custom tools too; a tool that runs at another provider is refused."""
    tools = (Tool("f", "d", {"type": "object"}, True), Tool("c", "d", type="custom"))
    assert written(tools=tools)["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": True,
            },
        },
        {"type": "custom", "custom": {"name": "c", "description": "d"}},
    ]
    with pytest.raises(BadRequest, match="does not exist") as caught:
        written(tools=(*tools, Tool("", type="web_search")))
    assert caught.value.param == "tools[2]"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(ToolMode.AUTO), "auto"),
        (ToolChoice(ToolMode.NONE, ("f",)), "none"),
        (ToolChoice(ToolMode.ANY), "required"),
        (ToolChoice(ToolMode.NAMED, ("f",)), {"type": "function", "function": {"name": "f"}}),
        (ToolChoice(ToolMode.NAMED, ("c",)), {"type": "custom", "custom": {"name": "c"}}),
        (ToolChoice(ToolMode.NAMED), "required"),
        (
            ToolChoice(ToolMode.ANY, ("f",)),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
        ),
    ],
)
def test_tool_choices_are_written(choice: ToolChoice, expected: Any) -> None:
    """Only where there are tools."""
    tools = (Tool("f"), Tool("c", type="custom"))
    assert written(tools=tools, tool_choice=choice)["tool_choice"] == expected
    assert "tool_choice" not in written(tool_choice=choice)


def test_options_that_servers_share_are_written() -> None:
    """Others would be refused by OpenAI, or mean something else."""
    options = Options(
        temperature=0.5, top_p=1, top_k=3, seed=1, presence_penalty=0, frequency_penalty=1,
        reasoning_effort="low", verbosity="low", choices=2, logprobs=True, top_logprobs=1, user="u",
        stop=("a",), service_tier="x", metadata={"a": "b"}, parallel_tool_calls=True,
    )  # fmt: skip
    assert written(options=options) == {
        "model": "m", "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5, "top_p": 1, "seed": 1, "presence_penalty": 0, "frequency_penalty": 1,
        "reasoning_effort": "low", "verbosity": "low", "n": 2, "logprobs": True, "top_logprobs": 1,
        "user": "u", "stop": ["a"],
    }  # fmt: skip
    with_tools = written(options=options, tools=(Tool("f"),))
    assert with_tools["parallel_tool_calls"] is True


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "max_tokens"),
        ("llama-3", "max_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("openai/gpt-5", "max_completion_tokens"),
    ],
)
def test_limit_has_the_name_that_the_model_takes(model: str, name: str) -> None:
    """OpenAI's newer models refuse the old one, other servers do not know the new one."""
    body = written(model, options=Options(max_output_tokens=7))
    assert {key: value for key, value in body.items() if "max" in key} == {name: 7}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (OutputFormat(), {"type": "json_object"}),
        (
            OutputFormat({"type": "object"}),
            {
                "type": "json_schema",
                "json_schema": {"name": "response", "schema": {"type": "object"}},
            },
        ),
        (
            OutputFormat({}, "n", "d", True),
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": True},
            },
        ),
    ],
)
def test_output_formats_are_written(output: OutputFormat, expected: Any) -> None:
    """A schema needs a name."""
    assert written(options=Options(output_format=output))["response_format"] == expected


def test_stream_of_another_dialect_asks_for_usage_too() -> None:
    """Whatever the other dialect's own options were."""
    body = written(is_streaming=True, extra={"stream_options": {"x": 1}})
    assert body["stream_options"] == {"include_usage": True}
