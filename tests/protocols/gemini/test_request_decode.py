"""Requests as clients write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.limits import CallLimits
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
from lipstream.canonical.seal import Seal, packed
from lipstream.errors import BadRequest, TooLarge
from lipstream.protocols.gemini import SERVER, GeminiServer
from tests.protocols.gemini.building import ARRAY, HI, STREAM, WHOLE, read, said

# ---------------------------------------------------------------- what the path and query say


@pytest.mark.parametrize(
    ("ask", "is_streaming", "extra"),
    [
        (STREAM, True, {}),
        (ARRAY, True, {"$alt": "json"}),
        (Ask("m", "streamGenerateContent", {"alt": "json"}), True, {"$alt": "json"}),
        (WHOLE, False, {}),
    ],
)
def test_form_of_the_answer_is_in_the_path_and_the_query(
    ask: Ask, is_streaming: bool, extra: dict[str, Any]
) -> None:
    """A stream is one of server-sent events only where that was asked for."""
    call = read(HI | {"$alt": "odd"}, ask)
    assert (call.is_streaming, call.extra, call.wants_usage) == (is_streaming, extra, True)


@pytest.mark.parametrize(
    ("named", "given", "expected"),
    [
        ("gemini-x", None, "gemini-x"),
        ("models/gemini-x", "other", "gemini-x"),
        ("", "models/gemini-x", "gemini-x"),
        ("", None, ""),
        ("tunedModels/x", None, "tunedModels/x"),
    ],
)
def test_model_is_the_one_of_the_path(named: str, given: str | None, expected: str) -> None:
    """The body's counts only where the path has none, and is not sent on."""
    call = read(HI | ({} if given is None else {"model": given}), Ask(named))
    assert (call.model, call.extra) == (expected, {})


# ---------------------------------------------------------------- parts

PNG = {"mimeType": "image/png", "data": "QQ=="}

PARTS: list[tuple[dict[str, Any], Part]] = [
    ({"text": " hi "}, Text(" hi ")),
    ({"text": ""}, Text("")),
    ({"text": "hi", "thought": False}, Text("hi")),
    ({"text": "hi", "thought": True}, Text("hi", extra={"thought": True})),
    ({"text": "hi", "odd": [1]}, Text("hi", extra={"odd": [1]})),
    ({"text": "hi", "inlineData": None}, Text("hi", extra={"inlineData": None})),
    ({}, Text("")),
    ({"text": None}, Text("")),
    ({"inlineData": PNG}, Image("data:image/png;base64,QQ==")),
    (
        {"inline_data": {"mime_type": "image/png", "data": "-_8="}},
        Image("data:image/png;base64,+/8="),
    ),
    (
        {"inlineData": PNG | {"displayName": "n"}},
        Image("data:image/png;base64,QQ==", extra={"inlineData": {"displayName": "n"}}),
    ),
    (
        {"inlineData": {"mimeType": "application/pdf", "data": "QQ==", "displayName": "n"}},
        File("data:application/pdf;base64,QQ==", name="n"),
    ),
    ({"inlineData": {"data": "QQ=="}}, File("data:application/octet-stream;base64,QQ==")),
    ({"inlineData": {"mimeType": "audio/wav", "data": "QQ=="}}, Audio("QQ==", "wav")),
    (
        {"inlineData": {"mimeType": "audio/mpeg", "data": "QQ=="}},
        Audio("QQ==", "mp3", extra={"type": "audio/mpeg"}),
    ),
    (
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}},
        Image("gs://x", extra={"type": "image/png"}),
    ),
    (
        {"file_data": {"mime_type": "video/mp4", "file_uri": "u"}, "videoMetadata": {"fps": 1}},
        File(url="u", extra={"videoMetadata": {"fps": 1}, "type": "video/mp4"}),
    ),
    ({"fileData": {"fileUri": "https://youtu.be/x"}}, File(url="https://youtu.be/x")),
    ({"executableCode": {"code": "1"}}, Opaque("gemini", {"executableCode": {"code": "1"}})),
    ({"functionCall": {"name": "f"}}, Opaque("gemini", {"functionCall": {"name": "f"}})),
]


@pytest.mark.parametrize(("given", "expected"), PARTS)
def test_parts_of_a_user_are_read(given: dict[str, Any], expected: Part) -> None:
    """What no other protocol knows stays as it stood."""
    assert said(given).messages == (Message(Role.USER, (expected,)),)


MODEL_PARTS: list[tuple[dict[str, Any], Part]] = [
    ({"text": "hm", "thought": True}, Reasoning("hm")),
    (
        {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
        Reasoning("hm", Seal("gemini", "c2ln")),
    ),
    ({"thought": True, "thought_signature": "-_8="}, Reasoning("", Seal("gemini", "+/8="))),
    ({"text": "hi", "thoughtSignature": "c2ln"}, Text("hi", seal=Seal("gemini", "c2ln"))),
    ({"thoughtSignature": "c2ln"}, Text("", seal=Seal("gemini", "c2ln"))),
    ({"text": "hi", "thoughtSignature": ""}, Text("hi", extra={"thoughtSignature": ""})),
    (
        {"functionCall": {"name": "f", "args": {"b": 1, "a": [2.5]}, "id": "i"}},
        ToolCall("i", "f", '{"b":1,"a":[2.5]}'),
    ),
    (
        {"function_call": {"name": "f g", "args": None}},
        ToolCall("gemini-fn-f_g-0", "f g", "{}"),
    ),
    (
        {
            "functionCall": {"name": "f", "willContinue": False},
            "thoughtSignature": "c2ln",
            "odd": 1,
        },
        ToolCall(
            "gemini-fn-f-0",
            "f",
            "{}",
            seal=Seal("gemini", "c2ln"),
            extra={"odd": 1, "functionCall": {"willContinue": False}},
        ),
    ),
    (
        {"functionCall": {"name": "f", "id": "gemini-fn-x"}},
        ToolCall("gemini-fn-x", "f", "{}", extra={"id": "gemini-fn-x"}),
    ),
    (
        {"functionCall": {"name": "f"}, "thoughtSignature": "skip_thought_signature_validator"},
        ToolCall(
            "gemini-fn-f-0", "f", "{}", seal=Seal("gemini", "skip_thought_signature_validator")
        ),
    ),
    (
        {"toolCall": {"id": "x"}, "thoughtSignature": "s"},
        Opaque("gemini", {"toolCall": {"id": "x"}, "thoughtSignature": "s"}),
    ),
    (
        {"inlineData": PNG, "thoughtSignature": "s"},
        Image("data:image/png;base64,QQ==", extra={"thoughtSignature": "s"}),
    ),
]


@pytest.mark.parametrize(("given", "expected"), MODEL_PARTS)
def test_parts_of_a_model_are_read(given: dict[str, Any], expected: Part) -> None:
    """Thoughts are reasoning, signatures are seals, calls without an id get one."""
    assert said(given, role="model").messages == (Message(Role.ASSISTANT, (expected,)),)


def test_packed_signature_is_the_seal_that_it_was() -> None:
    """In either alphabet of base64."""
    seal = Seal("anthropic_messages", "???>>>~~~", "b:m", {"a": 1})
    text = packed(seal)
    for given in (text, text.replace("+", "-").replace("/", "_")):
        (turn,) = said(
            {"text": "hm", "thought": True, "thoughtSignature": given}, role="model"
        ).messages
        assert turn.parts == (Reasoning("hm", seal),)


def test_seal_that_travelled_apart_goes_to_its_call() -> None:
    """And stays with nobody else."""
    seal = Seal("other", "s", call_id="i")
    parts = [
        {"text": "a", "thoughtSignature": packed(seal)},
        {"functionCall": {"name": "f", "id": "i"}},
        {"text": "b"},
    ]
    (turn,) = said(*parts, role="model").messages
    assert turn.parts == (Text("a"), ToolCall("i", "f", "{}", seal=seal), Text("b"))


# ---------------------------------------------------------------- turns


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"parts": [{"text": "a"}]}, Message(Role.USER, (Text("a"),))),
        ({"role": "", "parts": {"text": "a"}}, Message(Role.USER, (Text("a"),))),
        (
            {"role": "User", "parts": []},
            Message(Role.USER, (), extra={"parts": [], "role": "User"}),
        ),
        (
            {"role": "function", "parts": [{"text": "a"}]},
            Message(Role.USER, (Text("a"),), extra={"role": "function"}),
        ),
        ({"role": None, "content": "", "parts": []}, Message(Role.USER, (), extra={"parts": []})),
        ({"role": "model", "odd": 1}, Message(Role.ASSISTANT, (), extra={"odd": 1})),
    ],
)
def test_turns_are_read(content: dict[str, Any], expected: Message) -> None:
    """With or without a role, with one part or a list."""
    assert read({"contents": [content]}).messages == (expected,)
    assert read({"contents": content}).messages == (expected,)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("be kind", Message(Role.SYSTEM, (Text("be kind"),))),
        ({"parts": [{"text": "a"}, {"text": "b"}]}, Message(Role.SYSTEM, (Text("a"), Text("b")))),
        (
            {"role": "user", "parts": {"text": "a"}},
            Message(Role.SYSTEM, (Text("a"),), extra={"role": "user"}),
        ),
    ],
)
@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_system_instruction_comes_first(name: str, value: Any, expected: Message) -> None:
    """As text or as a content."""
    assert read(HI | {name: value}).messages[0] == expected
    assert read(HI | {name: {}}) == read(HI)


def turns(*contents: list[dict[str, Any]]) -> tuple[Message, ...]:
    """The messages of contents; the first is the model's, then they take turns."""
    roles = ["model", "user"] * len(contents)
    given = [{"role": role, "parts": parts} for role, parts in zip(roles, contents, strict=False)]
    return read({"contents": given}).messages


def call(name: str, **more: Any) -> dict[str, Any]:
    """A part that calls."""
    return {"functionCall": {"name": name, "args": {}, **more}}


def result(name: str, value: Any, **more: Any) -> dict[str, Any]:
    """A part that answers a call."""
    return {"functionResponse": {"name": name, "response": {"result": value}, **more}}


def ids(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    """The ids of calls and of results."""
    parts = [part for message in messages for part in message.parts]
    calls = [("call", part.id) for part in parts if isinstance(part, ToolCall)]
    return calls + [("result", part.call_id) for part in parts if isinstance(part, ToolResult)]


def test_results_come_first_and_each_is_a_message() -> None:
    """The rest of the turn follows; all of it says that it is one turn."""
    messages = turns([call("f")], [{"text": "a"}, result("f", "x"), {"text": "b"}])
    id_ = "gemini-fn-f-0"
    text = Text("x", extra={"type": "result"})
    assert messages[1:] == (
        Message(Role.TOOL, (ToolResult(id_, (text,), "f"),)),
        Message(Role.USER, (Text("a"), Text("b")), extra={"content": ""}),
    )


@pytest.mark.parametrize(
    ("calls", "results", "expected"),
    [
        # without ids: by name, in order
        (
            [call("f"), call("g"), call("f")],
            [result("f", 1), result("f", 2), result("g", 3)],
            [0, 2, 1],
        ),
        # with ids, in any order
        (
            [call("f", id="a"), call("f", id="b")],
            [result("f", 1, id="b"), result("f", 2, id="a")],
            [1, 0],
        ),
        # ids only with the calls, or only with the results
        ([call("f", id="a"), call("f", id="b")], [result("f", 1), result("f", 2)], [0, 1]),
        ([call("f"), call("f")], [result("f", 1, id="x"), result("f", 2, id="y")], [0, 1]),
        # one with, one without
        ([call("f", id="a"), call("f")], [result("f", 1, id="a"), result("f", 2)], [0, 1]),
    ],
)
def test_results_find_their_calls(
    calls: list[dict[str, Any]], results: list[dict[str, Any]], expected: list[int]
) -> None:
    """Whichever way ids are used."""
    found = ids(turns(calls, results))
    given = [id_ for kind, id_ in found if kind == "call"]
    assert len(set(given)) == len(calls)
    assert [id_ for kind, id_ in found if kind == "result"] == [given[i] for i in expected]


def test_ids_stay_the_same_as_the_conversation_grows() -> None:
    """Over turns, and unlike those that clients use."""
    first = [[call("f")], [result("f", 1)]]
    grown = [*first, [call("f"), call("f", id="gemini-fn-f-1"), call("f", id="gemini-fn-f-1")]]
    before, after = ids(turns(*first)), ids(turns(*grown))
    assert before == [("call", "gemini-fn-f-0"), ("result", "gemini-fn-f-0")]
    assert after[:3] == [
        ("call", "gemini-fn-f-0"),
        ("call", "gemini-fn-f-1"),
        ("call", "gemini-fn-f-2"),
    ]
    assert after[3][1] not in dict.fromkeys(id_ for _, id_ in after[:3])


def test_result_of_no_call_keeps_its_id_or_gets_one() -> None:
    """It is the provider's business what to make of it."""
    found = turns([call("f", id="a")], [result("f", 1, id="z"), result("g", 2)])
    assert ids(found)[1:] == [("result", "z"), ("result", "gemini-fn-g-unasked")]


RESULTS: list[tuple[dict[str, Any], tuple[Part, ...], bool]] = [
    ({"response": {"result": "x"}}, (Text("x", extra={"type": "result"}),), False),
    ({"response": {"output": "x"}}, (Text("x", extra={"type": "output"}),), False),
    ({"response": {"result": 5}}, (Text('{"result":5}'),), False),
    ({"response": {"a": 1, "result": "x"}}, (Text('{"a":1,"result":"x"}'),), False),
    ({"response": {"error": "bad"}}, (Text("bad", extra={"type": "error"}),), True),
    ({"response": {"error": {"a": 1}}}, (Text('{"error":{"a":1}}'),), True),
    ({"response": {}}, (Text("{}"),), False),
    ({}, (), False),
    (
        {"response": {"a": 1}, "parts": [{"inlineData": PNG}, {"fileData": {"fileUri": "u"}}]},
        (Text('{"a":1}'), Image("data:image/png;base64,QQ=="), File(url="u")),
        False,
    ),
]


@pytest.mark.parametrize(("fields", "content", "is_error"), RESULTS)
def test_results_are_read(
    fields: dict[str, Any], content: tuple[Part, ...], is_error: bool
) -> None:
    """Text where it is one, else JSON text; media after it."""
    part = {"functionResponse": {"name": "f", "id": "i", **fields}}
    expected = ToolResult("i", content, "f", is_error)
    assert said(part).messages == (Message(Role.TOOL, (expected,)),)


# ---------------------------------------------------------------- tools


def tools(*entries: Any) -> tuple[Tool, ...]:
    """The tools of a request."""
    return read(HI | {"tools": list(entries)}).tools


def test_functions_are_tools() -> None:
    """In either schema language; the one that is not JSON Schema is kept beside its meaning."""
    given = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    functions = [
        {"name": "f", "description": "d", "parameters": given},
        {"name": "g", "parametersJsonSchema": schema, "behavior": "NON_BLOCKING"},
        {"name": "h", "parameters": None},
    ]
    expected = (
        Tool("f", "d", schema, extra={"parameters": given}),
        Tool("g", "", schema, extra={"behavior": "NON_BLOCKING"}),
        Tool("h", extra={"parameters": None}),
    )
    assert tools({"functionDeclarations": functions}) == expected
    assert (
        tools({"function_declarations": functions[:1]}, {"functionDeclarations": functions[1:]})
        == expected
    )


def test_tools_of_the_provider_are_kept_and_run_once() -> None:
    """One for each field of an entry; a race would run them twice."""
    call = read(
        HI | {"tools": [{"googleSearch": {}, "codeExecution": None}, {"url_context": {"a": 1}}]}
    )
    assert call.tools == (
        Tool("googleSearch", type="gemini.googleSearch", extra={"googleSearch": {}}),
        Tool("url_context", type="gemini.url_context", extra={"url_context": {"a": 1}}),
    )
    assert not call.may_race
    assert read(HI).may_race


@pytest.mark.parametrize(
    ("config", "mode", "names"),
    [
        ({"x": 1}, ToolMode.AUTO, ()),
        ({"mode": "MODE_UNSPECIFIED"}, ToolMode.AUTO, ()),
        ({"mode": "AUTO"}, ToolMode.AUTO, ()),
        ({"mode": "auto"}, ToolMode.AUTO, ()),
        ({"mode": "NONE"}, ToolMode.NONE, ()),
        ({"mode": "ANY"}, ToolMode.ANY, ()),
        ({"mode": 2}, ToolMode.ANY, ()),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolMode.ANY, ("f", "g")),
        ({"mode": "ANY", "allowed_function_names": ["f"]}, ToolMode.NAMED, ("f",)),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolMode.AUTO, ("f",)),
    ],
)
def test_choice_of_tools_is_read(
    config: dict[str, Any], mode: ToolMode, names: tuple[str, ...]
) -> None:
    """And keeps what it was read from."""
    kept = {
        name.replace("allowed_function_names", "allowedFunctionNames"): v
        for name, v in config.items()
    }
    expected = ToolChoice(mode, names, extra=kept)
    assert read(HI | {"toolConfig": {"functionCallingConfig": config}}).tool_choice == expected
    assert read(HI | {"tool_config": {"function_calling_config": config}}).tool_choice == expected


def test_tool_config_without_a_choice_is_kept() -> None:
    """Under the name of what it holds."""
    call = read(HI | {"toolConfig": {"includeServerSideToolInvocations": True}})
    assert call.tool_choice is None
    assert call.extra == {"toolConfig.includeServerSideToolInvocations": True}


# ---------------------------------------------------------------- options

SCHEMA = {"type": "OBJECT"}
OPTIONS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # what stands in generationConfig, the options it is, what is kept
    (
        {"temperature": 0.5, "topP": 1, "topK": 40.0},
        {"temperature": 0.5, "top_p": 1, "top_k": 40},
        {},
    ),
    ({"top_p": 0.5, "max_output_tokens": 5}, {"top_p": 0.5, "max_output_tokens": 5}, {}),
    ({"stopSequences": ["a"], "seed": -3}, {"stop": ("a",), "seed": -3}, {}),
    (
        {"presencePenalty": 1, "frequencyPenalty": 2},
        {"presence_penalty": 1, "frequency_penalty": 2},
        {},
    ),
    (
        {"candidateCount": 2, "responseLogprobs": True, "logprobs": 3},
        {"choices": 2, "logprobs": True, "top_logprobs": 3},
        {},
    ),
    ({"responseMimeType": "application/json"}, {"output_format": OutputFormat()}, {}),
    ({"responseMimeType": "text/plain"}, {}, {"generationConfig.responseMimeType": "text/plain"}),
    ({"responseSchema": SCHEMA}, {}, {"generationConfig.responseSchema": SCHEMA}),
    (
        {"response_mime_type": "application/json", "response_schema": SCHEMA},
        {"output_format": OutputFormat({"type": "object"})},
        {"generationConfig.responseSchema": SCHEMA},
    ),
    (
        {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        {"output_format": OutputFormat(SCHEMA)},
        {},
    ),
    (
        {"responseMimeType": "application/json", "_responseJsonSchema": SCHEMA},
        {"output_format": OutputFormat(SCHEMA)},
        {},
    ),
    (
        {"thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True}},
        {"reasoning_budget": 5, "reasoning_summary": "auto"},
        {},
    ),
    (
        {"thinking_config": {"include_thoughts": False, "odd": 1}},
        {"reasoning_summary": "none"},
        {"generationConfig.thinkingConfig.odd": 1},
    ),
    ({"thinkingConfig": {"thinkingLevel": "HIGH"}}, {"reasoning_effort": "high"}, {}),
    (
        {"thinkingConfig": {"thinkingLevel": "low"}},
        {"reasoning_effort": "low"},
        {"generationConfig.thinkingConfig.thinkingLevel": "low"},
    ),
    (
        {"imageConfig": {"a": 1}, "media_resolution": "M"},
        {},
        {"generationConfig.imageConfig": {"a": 1}, "generationConfig.media_resolution": "M"},
    ),
    ({"temperature": None}, {}, {"generationConfig.temperature": None}),
    ({}, {}, {}),
]


@pytest.mark.parametrize(("config", "options", "extra"), OPTIONS)
@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
def test_options_are_read(
    name: str, config: dict[str, Any], options: dict[str, Any], extra: dict[str, Any]
) -> None:
    """What has no canonical place is kept by name."""
    call = read(HI | {name: config})
    assert call.options == Options(**options)
    assert call.extra == extra


def test_other_fields_are_kept_as_they_are_spelt() -> None:
    """The tier is an option, though."""
    given: dict[str, Any] = {
        "safety_settings": [],
        "cachedContent": "c",
        "labels": {"a": "b"},
        "odd": None,
    }
    call = read(HI | given | {"service_tier": "flex"})
    assert call.extra == given
    assert call.options == Options(service_tier="flex")


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "the body: expected an object, got a list of 0"),
        ({}, "contents: missing"),
        ({"contents": []}, "contents: expected a list of at least one content"),
        ({"contents": "hi"}, "contents: expected a list"),
        ({"contents": ["hi"]}, r"contents\[0\]: expected an object"),
        (
            {"contents": [{"role": "system"}]},
            r'contents\[0\].role: expected user or model, got "system"',
        ),
        ({"contents": [{"role": 5}]}, r"contents\[0\].role: expected a string"),
        ({"contents": [{"parts": "hi"}]}, r"contents\[0\].parts: expected a list"),
        ({"contents": [{"parts": [5]}]}, r"contents\[0\].parts\[0\]: expected an object, got 5"),
        ({"contents": [{"parts": [{"text": 5}]}]}, r"parts\[0\].text: expected a string, got 5"),
        ({"contents": [{"parts": [{"inline_data": {}}]}]}, r"inline_data.data: missing"),
        ({"contents": [{"parts": [{"fileData": 5}]}]}, r"fileData: expected an object"),
        (
            {"contents": [{"parts": [{"fileData": {"file_uri": 5}}]}]},
            r"fileData.file_uri: expected a string",
        ),
        (
            {"contents": [{"role": "model", "parts": [{"functionCall": {}}]}]},
            r"functionCall.name: missing",
        ),
        (
            {
                "contents": [
                    {"role": "model", "parts": [{"functionCall": {"name": "f", "args": []}}]}
                ]
            },
            r"functionCall.args: expected an object",
        ),
        (
            {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]},
            r"functionResponse.response: expected an object",
        ),
        (
            {"contents": [{"parts": [{"functionResponse": {"name": "f", "parts": [{}]}}]}]},
            r"functionResponse.parts\[0\].inlineData: missing",
        ),
        (HI | {"systemInstruction": 5}, "systemInstruction: expected an object, got 5"),
        (HI | {"tools": {}}, "tools: expected a list"),
        (
            HI | {"tools": [{"function_declarations": [{}]}]},
            r"tools\[0\].function_declarations\[0\].name: missing",
        ),
        (
            HI | {"tools": [{"functionDeclarations": [{"name": "f", "parameters": 5}]}]},
            "parameters: expected an object",
        ),
        (HI | {"toolConfig": 5}, "toolConfig: expected an object"),
        (
            HI | {"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            'mode: expected AUTO, ANY, NONE or VALIDATED, got "SOME"',
        ),
        (
            HI | {"toolConfig": {"functionCallingConfig": {"mode": 9}}},
            "mode: expected a string, got 9",
        ),
        (
            HI | {"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": "f"}}},
            "allowedFunctionNames: expected a list of strings",
        ),
        (
            HI | {"generation_config": {"top_k": "x"}},
            "generation_config.top_k: expected an integer",
        ),
        (
            HI | {"generationConfig": {"stopSequences": "a"}},
            "stopSequences: expected a list of strings",
        ),
        (
            HI | {"generationConfig": {"candidateCount": 0}},
            "candidateCount: expected an integer of at least 1",
        ),
        (
            HI | {"generationConfig": {"thinkingConfig": {"includeThoughts": 1}}},
            "includeThoughts: expected true or false",
        ),
        (
            HI
            | {"generationConfig": {"responseMimeType": "application/json", "responseSchema": 1}},
            "responseSchema: expected an object",
        ),
    ],
)
def test_wrong_types_are_refused_with_their_path(value: Any, message: str) -> None:
    """In the client's own spelling."""
    with pytest.raises(BadRequest, match=message):
        read(value)


def test_limits_hold() -> None:
    """Of the body, of turns, of parts and of tools, however these are spread."""
    limits = CallLimits(body=600, messages=2, parts_per_message=2, tools=2)
    server = GeminiServer(limits)
    part = {"text": "a"}
    tool: dict[str, Any] = {"googleSearch": {}}
    for value in (
        {"contents": [{"parts": [part]}] * 3},
        {"contents": [{"parts": [part] * 3}]},
        HI | {"tools": [tool] * 3},
        HI | {"tools": [{"functionDeclarations": [{"name": "f"}] * 2}, tool]},
        HI | {"odd": "x" * 600},
    ):
        with pytest.raises(TooLarge):
            server.decode_request(json.dumps(value).encode(), STREAM)


@pytest.mark.parametrize("body", [b"", b"{", b'{"contents": [' + b"[" * 200 + b"]" * 200 + b"]}"])
def test_body_that_is_no_sound_json_is_refused(body: bytes) -> None:
    """Before anything is made of it."""
    with pytest.raises(BadRequest):
        SERVER.decode_request(body, STREAM)
