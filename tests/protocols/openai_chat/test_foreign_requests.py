"""Requests of other protocols' clients to chat upstreams: written as most servers take them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

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
from lipstream.protocols.openai_chat import CLIENT

ASK = Message(Role.USER, (Text("hi"),))


def written(model: str = "m", *, is_streaming: bool = False, **fields: Any) -> dict[str, Any]:
    """The body for a call of another dialect."""
    call = Call(**{"dialect": "gemini", "model": "x", "messages": (ASK,), **fields})
    body = json.loads(CLIENT.encode_request(call, model, is_streaming=is_streaming))
    assert isinstance(body, dict)
    return body


def messages(*given: Message, **fields: Any) -> Any:
    """How these messages are written."""
    return written(messages=given, **fields)["messages"]


def refusal(**fields: Any) -> tuple[str | None, str | None]:
    """The field and the code with which a call is refused."""
    with pytest.raises(BadRequest) as caught:
        written(**fields)
    return caught.value.param, caught.value.code


def text(value: str) -> dict[str, str]:
    """A text part."""
    return {"type": "text", "text": value}


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


# ---------------------------------------------------------------- questions


PDF = "data:application/pdf;base64,QQ=="


def audio(form: str) -> dict[str, Any]:
    """An audio part."""
    return {"type": "input_audio", "input_audio": {"data": "QQ", "format": form}}


def file(**fields: str) -> dict[str, Any]:
    """A file part."""
    return {"type": "file", "file": fields}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), ""),
        ((Text(" a\n"),), " a\n"),
        ((Text("a"), Text("b")), [text("a"), text("b")]),
        ((Image("u", "low"),), [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]),
        ((Audio("QQ", "wav"),), [audio("wav")]),
        ((Audio("QQ", "audio/mpeg"),), [audio("mp3")]),
        ((Audio("QQ", "audio/x-wav"),), [audio("wav")]),
        ((Audio("QQ", "audio/flac"),), [audio("flac")]),
        ((File(PDF, name="n.pdf"),), [file(file_data=PDF, filename="n.pdf")]),
        ((File(PDF),), [file(file_data=PDF, filename="document.pdf")]),
        ((File("QQ=="),), [file(file_data=PDF, filename="document.pdf")]),
        ((File("QQ==", name="a.TXT"),),
         [file(file_data="data:text/plain;base64,QQ==", filename="a.TXT")]),
        ((File("data:text/markdown,hi"),),
         [file(file_data="data:text/markdown,hi", filename="document.md")]),
        ((File("data:x/y;base64,QQ=="),),
         [file(file_data="data:x/y;base64,QQ==", filename="document")]),
        ((File(url="https://x/a/b.pdf?c=/d#e"),),
         [file(file_data="https://x/a/b.pdf?c=/d#e", filename="b.pdf")]),
        ((File(url="https://x"),), [file(file_data="https://x", filename="document.pdf")]),
        ((File(url="https://x/"),), [file(file_data="https://x/", filename="document.pdf")]),
        ((Text("a"), ToolCall("a", "f", "")), "a"),
    ],
)  # fmt: skip
def test_questions_are_written_in_parts(parts: tuple[Part, ...], expected: Any) -> None:
    """A single text as a plain string; inline files as data URLs with a name."""
    assert messages(Message(Role.USER, parts)) == [{"role": "user", "content": expected}]


def test_system_messages_stay_where_they_are_and_developers_are_system() -> None:
    """Every server knows the one word, OpenAI takes it for the other."""
    given = [Message(role, (Text("s"),)) for role in (Role.SYSTEM, Role.USER, Role.DEVELOPER)]
    assert [message["role"] for message in messages(*given)] == ["system", "user", "system"]


@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT, Role.SYSTEM])
def test_names_of_speakers_are_put_into_openais_letters(role: Role) -> None:
    """No blanks, no brackets, 64 characters."""
    (message,) = messages(Message(role, (Text("a"),), "A <b>/c" + "é" * 90))
    assert message["name"] == "A__b__c" + "é" * 57


def test_file_of_another_provider_is_refused_by_its_id() -> None:
    """Nobody else has it; OpenAI's other protocol has the same files."""
    question = Message(Role.USER, (Text("a"), File(id="file-1")))
    assert refusal(messages=(question,)) == ("messages[0].content[1]", "unsupported_file")
    (message,) = messages(question, dialect="openai_responses")
    assert message["content"][1] == file(file_id="file-1")


def test_part_that_only_another_protocol_knows_is_refused_in_a_question() -> None:
    """Leaving it out would change what is asked."""
    odd = Opaque("anthropic", {})
    expected = ("messages[0].content[1]", "unsupported_part")
    assert refusal(messages=(Message(Role.USER, (Text("a"), odd)),)) == expected
    result = ToolResult("a", (Text("a"), odd))
    assert refusal(messages=(Message(Role.TOOL, (result,)),)) == expected


def test_own_parts_of_unknown_kinds_are_written_in_any_call() -> None:
    """They are this protocol's."""
    part = Opaque("openai_chat", {"type": "video_url"})
    assert messages(Message(Role.USER, (part,)))[0]["content"] == [{"type": "video_url"}]
    assert messages(Message(Role.ASSISTANT, (part,)))[0]["content"] == [{"type": "video_url"}]
    (both,) = messages(Message(Role.ASSISTANT, (Text("a"), part)))
    assert both["content"] == [text("a"), {"type": "video_url"}]


# ---------------------------------------------------------------- earlier turns

CALL = ToolCall("a", "f", "{}")
WRITTEN = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
DETAILS = [{"type": "reasoning.text", "text": "hm", "signature": "s"}]
OURS = Seal("openai_chat", "", "b:m", {"reasoning_details": DETAILS})


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), {"content": ""}),
        ((Text("a"), Text("b")), {"content": "ab"}),
        ((CALL,), {"content": None, "tool_calls": [WRITTEN]}),
        ((ToolCall("a", "f", " "),), {"content": None, "tool_calls": [WRITTEN]}),
        ((Text("a"), CALL), {"content": "a", "tool_calls": [WRITTEN]}),
        ((ToolCall("a", "f", "", "custom"),),
         {"content": None,
          "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": ""}}]}),
        ((Refusal("no"),), {"content": "", "refusal": "no"}),
        ((Opaque("anthropic", {"x": 1}), Text("a")), {"content": "a"}),
        # reasoning
        ((Reasoning("hm"), Text("a")), {"content": "a"}),
        ((Reasoning("hm", Seal("anthropic_messages", "sig")), Text("a")), {"content": "a"}),
        ((Reasoning("hm", Seal("openai_chat", "")), Reasoning("!", Seal("openai_chat", "")), CALL),
         {"content": None, "reasoning_content": "hm!", "tool_calls": [WRITTEN]}),
        ((Reasoning("hm", OURS), Reasoning("", OURS), Text("a")),
         {"content": "a", "reasoning_content": "hm", "reasoning_details": DETAILS * 2}),
        ((Reasoning("", Seal("openai_chat", "", "", {"reasoning_details": 1})), Text("a")),
         {"content": "a"}),
    ],
)  # fmt: skip
def test_answers_of_earlier_turns_are_written(parts: tuple[Part, ...], expected: Any) -> None:
    """Reasoning goes back only to where it came from."""
    assert messages(Message(Role.ASSISTANT, parts)) == [{"role": "assistant", **expected}]


@pytest.mark.parametrize(
    "part", [Reasoning("hm", Seal("x", "")), Opaque("anthropic", {}), Text("")], ids=repr
)
def test_earlier_turn_of_which_nothing_is_left_is_left_out(part: Part) -> None:
    """Some servers refuse an empty one."""
    assert messages(ASK, Message(Role.ASSISTANT, (part,)), ASK) == messages(ASK, ASK)


def test_media_that_the_assistant_made_follow_in_a_user_message() -> None:
    """No server takes them from the assistant."""
    image = {"type": "image_url", "image_url": {"url": "u"}}
    assert messages(Message(Role.ASSISTANT, (Text("a"), Image("u"))), ASK) == [
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": [text("Attached to the answer of the assistant:"), image]},
        {"role": "user", "content": "hi"},
    ]


@pytest.mark.parametrize(
    ("seal", "expected"),
    [
        (Seal("openai_chat", "sig"), {"google": {"thought_signature": "sig"}}),
        (
            Seal("openai_chat", "sig", "", {"extra_content": {"google": {"a": 1}, "b": 2}}),
            {"google": {"thought_signature": "sig", "a": 1}, "b": 2},
        ),
        (Seal("gemini", "sig"), None),
        (None, None),
    ],
)
def test_signature_of_a_call_goes_back_to_chat(seal: Seal | None, expected: Any) -> None:
    """In the place that it came from."""
    call = ToolCall("a", "f", "{}", seal=seal)
    (message,) = messages(Message(Role.ASSISTANT, (call,)))
    assert message["tool_calls"][0].get("extra_content") == expected


# ---------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("content", "is_error", "expected"),
    [
        ((), False, ""),
        ((Text("a"), Text("b")), False, "a\nb"),
        ((Text('{"a":1}'),), False, '{"a":1}'),
        ((Text("no such file"),), True, "Error: no such file"),
        ((), True, "Error"),
        ((Text("Error: no"),), True, "Error: no"),
        ((Text('{"error": "no"}'),), True, '{"error": "no"}'),
        ((Text("errors are fine"),), True, "Error: errors are fine"),
    ],
)
def test_results_are_text(content: tuple[Part, ...], is_error: bool, expected: str) -> None:
    """One message for each; one that failed says so, once."""
    results = (ToolResult("a", content, "f", is_error), ToolResult("b", ()))
    assert messages(Message(Role.TOOL, results)) == [
        {"role": "tool", "tool_call_id": "a", "content": expected},
        {"role": "tool", "tool_call_id": "b", "content": ""},
    ]


def test_media_of_results_follow_behind_all_results_of_the_turn() -> None:
    """In one user message that names the calls."""
    given = [
        Message(Role.TOOL, (ToolResult("a", (Text("t"), Image("u")), "f"),)),
        Message(Role.TOOL, (ToolResult("b", (File(PDF, name="n"),), is_error=True),)),
        Message(Role.TOOL, (ToolResult("c", (Text("x"),), "g"),)),
    ]
    carried = {
        "role": "user",
        "content": [
            text("Attached to the result of f (a):"),
            {"type": "image_url", "image_url": {"url": "u"}},
            text("Attached to the result of the call (b):"),
            file(file_data=PDF, filename="n"),
        ],
    }
    results = [
        {"role": "tool", "tool_call_id": "a", "content": "t"},
        {"role": "tool", "tool_call_id": "b",
         "content": "Error: The result is attached to the next message."},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]  # fmt: skip
    assert messages(*given) == [*results, carried]
    assert messages(*given, ASK, *given[:1])[:5] == [
        *results,
        carried,
        {"role": "user", "content": "hi"},
    ]


@pytest.mark.parametrize("call_id", ["", "x" * 65, "a b", "é", "\ud800"])
def test_ids_that_openai_refuses_are_hashed_alike_in_call_and_result(call_id: str) -> None:
    """The same in every turn; others stay as they are."""
    other = "functions.f:0"
    calls = Message(Role.ASSISTANT, (ToolCall(call_id, "f", "{}"), ToolCall(other, "f", "{}")))
    result = Message(Role.TOOL, (ToolResult(call_id, (Text("1"), Image("u"))),))
    found = messages(calls, result)
    first, second = (call["id"] for call in found[0]["tool_calls"])
    assert re.fullmatch(r"call_[0-9a-f]{32}", first)
    assert (found[1]["tool_call_id"], second) == (first, other)
    assert first in found[2]["content"][0]["text"]
    assert messages(calls, result) == found


# ---------------------------------------------------------------- tools


def test_tools_are_written() -> None:
    """Custom tools too; a tool that runs at another provider is refused."""
    schema = {"type": "object"}
    tools = (
        Tool("f", "d", schema, True),
        Tool("g"),
        Tool("c", "d", type="custom", extra={"x": 1}),
        Tool("e", type="custom"),
    )
    empty = {"type": "object", "properties": {}}
    strict = {"name": "f", "description": "d", "parameters": schema, "strict": True}
    assert written(tools=tools)["tools"] == [
        {"type": "function", "function": strict},
        {"type": "function", "function": {"name": "g", "parameters": empty}},
        {"type": "custom", "custom": {"name": "c", "description": "d"}},
        {"type": "custom", "custom": {"name": "e"}},
    ]
    odd = (*tools, Tool("", type="web_search"))
    assert refusal(tools=odd) == ("tools[4]", "unsupported_tool")


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        (ToolChoice(ToolMode.AUTO), "auto", "fc"),
        (ToolChoice(ToolMode.NONE, ("f",)), "none", "fc"),
        (ToolChoice(ToolMode.ANY), "required", "fc"),
        (ToolChoice(ToolMode.NAMED, ("f",)), {"type": "function", "function": {"name": "f"}}, "fc"),
        (ToolChoice(ToolMode.NAMED, ("c",)), {"type": "custom", "custom": {"name": "c"}}, "fc"),
        (ToolChoice(ToolMode.NAMED), "required", "fc"),
        (ToolChoice(ToolMode.ANY, ("f",)), "required", "f"),
        (ToolChoice(ToolMode.AUTO, ("c", "z")), "auto", "c"),
        (ToolChoice(ToolMode.AUTO, ("z",)), "auto", "fc"),
    ],
)
def test_tool_choices_are_written(choice: ToolChoice, expected: Any, names: str) -> None:
    """Only where there are tools; those that may not be called are not shown."""
    body = written(tools=(Tool("f"), Tool("c", type="custom")), tool_choice=choice)
    assert body["tool_choice"] == expected
    assert "".join(tool[tool["type"]]["name"] for tool in body["tools"]) == names
    assert "tool_choice" not in written(tool_choice=choice)


# ---------------------------------------------------------------- options


def test_options_that_servers_share_are_written() -> None:
    """Others would be refused by OpenAI, or mean something else."""
    options = Options(
        temperature=0.5, top_p=1, top_k=3, seed=1, presence_penalty=0, frequency_penalty=1,
        reasoning_effort="low", verbosity="low", choices=2, logprobs=True, top_logprobs=1, user="u",
        stop=("a",), service_tier="x", metadata={"a": "b"}, parallel_tool_calls=True,
        reasoning_summary="auto",
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
    ("options", "expected"),
    [
        (Options(reasoning_effort="none"), "none"),
        (Options(reasoning_effort="xhigh"), "xhigh"),
        (Options(reasoning_effort="max"), "xhigh"),
        (Options(reasoning_effort="own"), "own"),
        (Options(reasoning_effort="low", reasoning_budget=50_000), "low"),
        (Options(reasoning_budget=0), "none"),
        (Options(reasoning_budget=-1), "medium"),
        (Options(reasoning_budget=4000), "medium"),
        (Options(reasoning_budget=10**9), "xhigh"),
        (Options(), None),
    ],
)
def test_budgets_become_words(options: Options, expected: str | None) -> None:
    """Chat knows no budget, and one word less."""
    assert written(options=options).get("reasoning_effort") == expected


@pytest.mark.parametrize(
    ("model", "is_told"),
    [("gpt-4o", False), ("openai/gpt-4.1", False), ("gpt-5", True), ("o3", True), ("qwen", True)],
)
def test_model_of_openai_that_does_not_reason_is_not_told_how_much(
    model: str, is_told: bool
) -> None:
    """It would refuse the whole request; some clients always ask."""
    body = written(model, options=Options(reasoning_effort="low"))
    assert ("reasoning_effort" in body) is is_told


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "max_tokens"),
        ("llama-3", "max_tokens"),
        ("gpt-oss-120b", "max_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("openai/gpt-5", "max_completion_tokens"),
    ],
)
def test_limit_has_the_name_that_the_model_takes(model: str, name: str) -> None:
    """OpenAI's newer models refuse the old one, other servers do not know the new one."""
    body = written(model, options=Options(max_output_tokens=7))
    assert {key: value for key, value in body.items() if "max" in key} == {name: 7}


def test_stop_sequences_are_never_cut() -> None:
    """OpenAI takes four; what goes beyond is refused there, and left to any other server."""
    stops = ("a", "b", "c", "d", "e")
    assert written("gpt-4o", options=Options(stop=stops[:4]))["stop"] == [*stops[:4]]
    assert written("gpt-oss-20b", options=Options(stop=stops))["stop"] == [*stops]
    with pytest.raises(BadRequest, match="at most 4") as caught:
        written("openai/gpt-4o", options=Options(stop=stops))
    assert (caught.value.param, caught.value.code) == ("stop", "unsupported_stop")


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
            OutputFormat({}, "My schema: ä" + "x" * 60, "d", True),
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "My_schema___" + "x" * 52,
                    "description": "d",
                    "schema": {},
                    "strict": True,
                },
            },
        ),
    ],
)
def test_output_formats_are_written(output: OutputFormat, expected: Any) -> None:
    """A schema needs a name, in OpenAI's letters."""
    assert written(options=Options(output_format=output))["response_format"] == expected


def test_stream_of_another_dialect_asks_for_usage_too() -> None:
    """Whatever the other dialect's own options were."""
    body = written(is_streaming=True, extra={"stream_options": {"x": 1}})
    assert body["stream_options"] == {"include_usage": True}
