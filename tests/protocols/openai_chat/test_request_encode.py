"""Requests of chat clients to chat upstreams: written as they came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical.call import Call, Message, Role, ToolChoice, ToolMode
from lipstream.canonical.losses import losses
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Opaque, Reasoning, Text
from lipstream.canonical.seal import Seal
from lipstream.errors import BadRequest
from lipstream.protocols.openai_chat import CLIENT, SERVER
from tests.recordings import exchanges


def round_trip(request: Any, *, is_streaming: bool = False) -> Any:
    """A chat client's request, read and written."""
    call = SERVER.decode_request(json.dumps(request).encode())
    return json.loads(CLIENT.encode_request(call, call.model, is_streaming=is_streaming))


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


def test_tools_that_the_proxy_restricts_are_not_shown() -> None:
    """Where a stage chose among them; what the client said itself is written as it came."""
    tools = [{"type": "function", "function": {"name": name}} for name in "fg"]
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{**tools[0]}]},
    }
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools}
    assert round_trip({**request, "tool_choice": allowed})["tools"] == tools
    call = SERVER.decode_request(json.dumps(request).encode())
    changed = call.changed(tool_choice=ToolChoice(ToolMode.ANY, ("g",)))
    body = json.loads(CLIENT.encode_request(changed, "m", is_streaming=False))
    assert (body["tools"], body["tool_choice"]) == (tools[1:], "required")


def test_reasoning_that_a_stage_added_is_written_where_chat_has_it() -> None:
    """Unless it is another protocol's, whose seal would be refused."""
    parts = (
        Reasoning("a"),
        Reasoning("b", Seal("anthropic_messages", "s")),
        Opaque("x", {}),
        Text("t"),
    )
    call = Call(dialect="openai_chat", model="m", messages=(Message(Role.ASSISTANT, parts),))
    body = json.loads(CLIENT.encode_request(call, "m", is_streaming=False))
    assert body["messages"] == [{"role": "assistant", "reasoning_content": "a", "content": "t"}]


EVERYTHING = {
    "audio": {"voice": "alloy", "format": "wav"},
    "logit_bias": {"50256": -100},
    "modalities": ["text", "audio"],
    "moderation": {"x": 1},
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "store": True,
    "suffix": "s",
    "web_search_options": {"search_context_size": "low"},
}


def test_fields_of_openai_alone_pass_and_are_told_of_elsewhere() -> None:
    """Nothing of a request is lost in silence."""
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **EVERYTHING}
    assert round_trip(request) == request
    call = SERVER.decode_request(json.dumps(request).encode())
    assert losses(call, "anthropic_messages", CLIENT.support) == sorted(EVERYTHING)
    assert losses(call, "openai_chat", CLIENT.support) == []


def test_other_ways_to_say_the_same_are_no_losses() -> None:
    """The newer limit, a single stop sequence, legacy tools, and reasoning of earlier turns."""
    function = {"name": "f", "parameters": {"type": "object"}}
    request = {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "reasoning": "hm",
                "function_call": {**function, "arguments": ""},
            },
        ],
        "functions": [function],
        "max_completion_tokens": 5,
        "max_tokens": 4,
        "stop": "a",
        "stream_options": {"include_usage": True},
    }
    call = SERVER.decode_request(json.dumps(request).encode())
    assert losses(call, "anthropic_messages", CLIENT.support) == []
