"""Requests from Messages client to Messages upstream: written as they came."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical.call import Message, Role, ToolChoice, ToolMode
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Reasoning, Text, ToolResult
from lipstream.canonical.seal import Seal, packed
from lipstream.errors import BadRequest
from lipstream.protocols.anthropic_messages import CLIENT, SERVER
from tests.recordings import exchanges

ASK = {"role": "user", "content": "hi"}


def read(request: Any) -> Any:
    """A client's request."""
    return SERVER.decode_request(json.dumps(request).encode())


def write(call: Any, *, is_streaming: bool = False) -> Any:
    """The body for an upstream."""
    return json.loads(CLIENT.encode_request(call, call.model, is_streaming=is_streaming))


def round_trip(request: Any) -> Any:
    """Both."""
    return write(read(request))


# ---------------------------------------------------------------- everything

TEXTS = st.text(max_size=8)
NAMES = st.sampled_from(["f", "g", "h_1"])
IDS = st.sampled_from(["toolu_1", "toolu_2", "call-3"])
UNKNOWN = st.dictionaries(
    st.sampled_from(["x", "y", "cache_control"]), st.none() | st.integers() | TEXTS, max_size=2
)
MAYBE = st.none() | TEXTS


def fields(_needed: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[Any]:
    """An object with these fields, the optional ones not always, and some unknown ones."""
    known = st.fixed_dictionaries(_needed or {}, optional=optional)
    return st.builds(lambda more, own: {**more, **own}, UNKNOWN, known)


def typed(kind: str, _needed: dict[str, Any] | None = None, **optional: Any) -> Any:
    """An object with a type."""
    return fields({"type": st.just(kind), **(_needed or {})}, **optional)


def source(kind: str, **needed: Any) -> Any:
    """A source of an image or a document."""
    return typed(kind, needed)


MIMES = st.sampled_from(["image/png", "image/jpg", "text/plain", "", "application/pdf;x=1"])
BASE64 = st.sampled_from(["", "QQ==", "not base64", "w6k="])
SOURCES = st.one_of(
    source("base64", media_type=MIMES, data=BASE64),
    source(
        "url", url=TEXTS | st.sampled_from(["https://x", "data:image/png;base64,QQ==", "gs://"])
    ),
    source("file", file_id=TEXTS),
)
TEXT = typed("text", {"text": TEXTS}, citations=st.none() | st.lists(UNKNOWN, max_size=2))
IMAGE = typed("image", {"source": SOURCES})
DOCUMENT = typed(
    "document",
    {
        "source": SOURCES
        | source("text", media_type=MIMES, data=TEXTS)
        | source("content", content=TEXTS)
    },
    title=MAYBE,
    context=MAYBE,
)
SEARCH = typed("search_result", {"content": st.just([])})
RESULT = typed(
    "tool_result",
    {"tool_use_id": IDS},
    content=st.none() | TEXTS | st.lists(TEXT | IMAGE | SEARCH | DOCUMENT, max_size=3),
    is_error=st.none() | st.booleans(),
)
QUESTION = TEXTS | st.lists(TEXT | IMAGE | DOCUMENT | RESULT | SEARCH, max_size=4)
INPUTS = st.dictionaries(TEXTS, st.none() | st.integers() | st.floats(-9, 9) | TEXTS, max_size=2)
ANSWER = TEXTS | st.lists(
    st.one_of(
        TEXT,
        typed("thinking", {"thinking": TEXTS}, signature=MAYBE),
        typed("redacted_thinking", {"data": TEXTS}),
        typed("tool_use", {"id": IDS, "name": NAMES, "input": INPUTS}),
        typed("server_tool_use", {"id": TEXTS, "name": NAMES, "input": INPUTS}),
        typed("web_search_tool_result", {"tool_use_id": TEXTS, "content": st.just([])}),
    ),
    max_size=4,
)
MESSAGES = st.one_of(
    fields({"role": st.just("user"), "content": QUESTION}),
    fields({"role": st.just("assistant"), "content": ANSWER}),
    fields({"role": st.just("system"), "content": TEXTS | st.lists(TEXT, max_size=2)}),
)
SCHEMAS = st.sampled_from([{}, {"type": "object"}])
TOOLS = st.one_of(
    fields(
        {"name": NAMES},
        type=st.none() | st.just("custom") | st.just(""),
        description=MAYBE,
        input_schema=st.none() | SCHEMAS,
        strict=st.none() | st.booleans(),
        defer_loading=st.booleans(),
    ),
    typed("web_search_20250305", name=NAMES, max_uses=st.integers()),
)
CHOICES = st.one_of(
    st.none(),
    typed("auto", disable_parallel_tool_use=st.none() | st.booleans()),
    typed("any", disable_parallel_tool_use=st.booleans()),
    typed("tool", {"name": NAMES}, disable_parallel_tool_use=st.booleans()),
    typed("none"),
)
DISPLAYS = st.sampled_from([None, "summarized", "omitted", "new"])
THINKING = st.one_of(
    st.none(),
    typed("enabled", {"budget_tokens": st.integers(1, 9999)}, display=DISPLAYS),
    typed("adaptive", display=DISPLAYS),
    typed("disabled", display=DISPLAYS),
    typed("between_tools"),
)
FORMATS = st.none() | typed("json_schema", {"schema": SCHEMAS}) | typed("grammar")
FLOATS = st.none() | st.integers(-2, 2) | st.floats(-2, 2)
REQUESTS = fields(
    {
        "messages": st.lists(MESSAGES, min_size=1, max_size=5),
        "model": TEXTS,
        "max_tokens": st.integers(0, 99),
    },
    system=st.none() | TEXTS | st.lists(TEXT, max_size=2),
    tools=st.none() | st.lists(TOOLS, max_size=2),
    tool_choice=CHOICES,
    thinking=THINKING,
    output_config=st.none()
    | fields(effort=st.sampled_from([None, "low", "none", "", "new"]), format=FORMATS),
    output_format=FORMATS,
    temperature=FLOATS,
    top_p=FLOATS,
    top_k=st.none() | st.integers(),
    stop_sequences=st.none() | st.lists(TEXTS, max_size=2),
    metadata=st.none() | fields(user_id=MAYBE),
    service_tier=MAYBE,
    container=MAYBE,
    mcp_servers=st.just([]),
    context_management=st.none() | UNKNOWN,
)


@given(REQUESTS)
def test_request_is_written_as_it_came(request: Any) -> None:
    """Up to the order of fields: nothing added, nothing lost."""
    assert round_trip(request) == request


@pytest.mark.parametrize(
    "given",
    [
        {"type": "base64", "media_type": "text/plain", "data": "QQ=="},
        {"type": "text", "media_type": "application/json", "data": "{}"},
        {"type": "text", "media_type": "text/plain", "data": ""},
        {"type": "url", "url": "data:image/png;base64,QQ=="},
        {"type": "url", "url": "gs://x", "new": 1},
        {"type": "file", "file_id": "f"},
    ],
)
def test_sources_of_any_kind_are_written_as_they_came(given: Any) -> None:
    """Also where the kind does not go with what is in it."""
    block = {"type": "document", "source": given}
    for content in ([block], [{"type": "tool_result", "tool_use_id": "a", "content": [block]}]):
        request = {
            "model": "m",
            "max_tokens": 1,
            "messages": [{"role": "user", "content": content}],
        }
        empty: tuple[Any, ...] = (None, "", [])
        for system in empty:
            assert round_trip({**request, "system": system}) == {**request, "system": system}


def test_recorded_requests_are_written_as_they_came() -> None:
    """What real clients sent; refused is only what the provider refused as well."""
    odd = []
    for exchange in exchanges("messages"):
        if exchange.request is None:
            continue
        try:
            written = round_trip(exchange.request)
        except BadRequest as error:
            odd.append((exchange.status, error.param))
            continue
        expected = {k: v for k, v in exchange.request.items() if k != "stream"}
        assert written == {"max_tokens": 4096, **expected}, exchange.name
    assert odd == [(400, "tools[0].input_schema"), (400, "messages[0]")]


# ---------------------------------------------------------------- what is not


def test_limit_is_added_and_a_stream_is_asked_for() -> None:
    """The one is demanded, the other decided here."""
    call = read({"model": "m", "messages": [ASK], "stream": False})
    expected = {"model": "m", "messages": [ASK], "max_tokens": 4096}
    assert write(call) == expected
    assert write(call, is_streaming=True) == {**expected, "stream": True}


def test_headers_of_the_client_go_on() -> None:
    """Its version and its betas, to its own kind alone."""
    call = read({"model": "m", "messages": [ASK]})
    version = ("anthropic-version", "2023-06-01")
    assert CLIENT.headers(None) == [version]
    assert CLIENT.headers(call) == [version]
    beta = ("anthropic-beta", "a")
    assert CLIENT.headers(call.changed(headers=(beta,))) == [version, beta]
    given = call.changed(headers=(("anthropic-version", "x"),))
    assert CLIENT.headers(given) == [("anthropic-version", "x")]
    assert CLIENT.headers(given.changed(dialect="gemini")) == [version]
    assert CLIENT.path("m", is_streaming=True) == "/v1/messages"


def test_ids_that_would_be_refused_are_replaced_on_both_sides() -> None:
    """The call and its result still match."""
    use = {"type": "tool_use", "id": "functions.f:0", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "functions.f:0"}
    request = {
        "model": "m",
        "messages": [
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
    }
    first, second = round_trip(request)["messages"]
    assert first["content"][0]["id"] == second["content"][0]["tool_use_id"]
    assert first["content"][0]["id"].startswith("toolu_")


def thinking_loop(*blocks: Any, budget: int = 2048) -> Any:
    """A tool loop under way, begun with these blocks."""
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": "1"}
    return {
        "model": "m",
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": budget, "x": 1},
        "messages": [
            ASK,
            {"role": "assistant", "content": [*blocks, use]},
            {"role": "user", "content": [result]},
        ],
    }


def test_reasoning_of_others_is_left_out_and_thinking_is_off() -> None:
    """Anthropic wants the thinking back that a turn began with, and would refuse another's."""
    other = packed(Seal("gemini", "s", "g:m"))
    written = round_trip(thinking_loop({"type": "thinking", "thinking": "h", "signature": other}))
    assert "thinking" not in written
    assert [block["type"] for block in written["messages"][1]["content"]] == ["tool_use"]


def test_thinking_stays_as_it_was_asked_where_nothing_was_taken_away() -> None:
    """Also where its client never had any: other servers do not mind."""
    own = {"type": "thinking", "thinking": "h", "signature": "s"}
    for request in (thinking_loop(own), thinking_loop()):
        assert round_trip(request) == request


def test_turn_of_which_nothing_is_left_is_left_out() -> None:
    """An empty one would be refused."""
    other = {"type": "redacted_thinking", "data": packed(Seal("", ""))}
    request = {"model": "m", "messages": [ASK, {"role": "assistant", "content": [other]}, ASK]}
    assert round_trip(request)["messages"] == [ASK, ASK]


def test_changed_options_count_over_what_came() -> None:
    """Stages and routes may change a call; its extra fields do not bring the old values back."""
    call = read(
        {
            "model": "m",
            "messages": [ASK],
            "temperature": None,
            "thinking": {"type": "adaptive", "display": "new"},
            "output_config": {"effort": "low", "task_budget": 1},
            "tool_choice": {"type": "auto", "x": 1},
        }
    )
    options = Options(
        temperature=1, reasoning_effort="none", output_format=OutputFormat({"a": 1}), user="u"
    )
    written = write(call.changed(options=options, tool_choice=ToolChoice(ToolMode.ANY)))
    assert written == {
        "model": "m",
        "max_tokens": 4096,
        "messages": [ASK],
        "temperature": 1,
        "thinking": {"type": "disabled", "display": "new"},
        "output_config": {
            "task_budget": 1,
            "format": {"type": "json_schema", "schema": {"a": 1}},
        },
        "metadata": {"user_id": "u"},
        "tool_choice": {"type": "any"},
    }
    off = call.changed(options=Options())
    assert "thinking" not in write(off)


def test_single_calls_are_asked_for_without_a_choice() -> None:
    """Where there are tools."""
    call = read({"model": "m", "messages": [ASK], "tools": [{"name": "f"}]})
    single = call.changed(options=Options(parallel_tool_calls=False))
    assert write(single)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in write(single.changed(tools=()))


@pytest.mark.parametrize("place", [0, 2])
def test_system_messages_of_stages_join_the_system_prompt(place: int) -> None:
    """Wherever they were put; those of the client stay between the turns."""
    between = {"role": "system", "content": "between"}
    call = read({"model": "m", "messages": [ASK, between], "system": "own"})
    messages = list(call.messages)
    messages.insert(place, Message(Role.DEVELOPER, (Text("more"),)))
    written = write(call.changed(messages=tuple(messages)))
    assert {block["text"] for block in written["system"]} == {"own", "more"}
    assert written["messages"] == [ASK, between]


def test_changed_pieces_of_a_turn_stay_in_it() -> None:
    """One result gone, one text more."""
    results = [{"type": "tool_result", "tool_use_id": str(i)} for i in range(2)]
    text = {"type": "text", "text": "!"}
    call = read({"model": "m", "messages": [{"role": "user", "content": [text, *results]}]})
    first, second, rest = call.messages
    more = attrs.evolve(rest, parts=(*rest.parts, Text("more")))
    (turn,) = write(call.changed(messages=(first, second, more)))["messages"]
    assert turn["content"] == [*results, text, {"type": "text", "text": "more"}]
    (turn,) = write(call.changed(messages=(second, rest)))["messages"]
    assert turn["content"] == [text, results[1]]
    assert isinstance(second.parts[0], ToolResult)
    developer = Message(Role.DEVELOPER, (Text("x"),), extra={"role": "system"})
    assert write(call.changed(messages=(developer,)))["messages"][0]["role"] == "system"


def test_unsigned_reasoning_of_nobody_is_left_out() -> None:
    """A stage's own words are no thinking of the provider's."""
    call = read({"model": "m", "messages": [ASK, {"role": "assistant", "content": "a"}]})
    answer = attrs.evolve(call.messages[1], parts=(Reasoning("hm"), *call.messages[1].parts))
    written = write(call.changed(messages=(call.messages[0], answer)))
    assert written["messages"][1]["content"] == [{"type": "text", "text": "a"}]
