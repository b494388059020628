"""Calls of this dialect on their way to an upstream: everything is written again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.call import Message, Role, ToolChoice, ToolMode
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal, packed
from lipstream.protocols.gemini import CLIENT
from tests.protocols.gemini.building import ARRAY, HI, again, read, said, written
from tests.protocols.gemini.test_request_decode import MODEL_PARTS, OPTIONS, PARTS, RESULTS

# ---------------------------------------------------------------- as it came


@pytest.mark.parametrize("part", [part for part, _ in PARTS])
def test_parts_of_a_user_are_written_again(part: dict[str, Any]) -> None:
    """In the usual spelling, without what is so anyway."""
    assert again(turn("user", part)) == turn("user", usual(part))


@pytest.mark.parametrize("part", [part for part, _ in MODEL_PARTS])
def test_parts_of_a_model_are_written_again(part: dict[str, Any]) -> None:
    """Ids that were made up are not told."""
    assert again(turn("model", part)) == turn("model", usual(part))


def turn(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """A request of one turn."""
    return {"contents": [{"role": role, "parts": list(parts)}]}


USUAL: dict[str, dict[str, Any]] = {
    # parts that are not written as they stood
    '{"text": "hi", "thought": false}': {"text": "hi"},
    "{}": {"text": ""},
    '{"text": null}': {"text": ""},
    '{"inline_data": {"mime_type": "image/png", "data": "-_8="}}': {
        "inlineData": {"mimeType": "image/png", "data": "+/8="}
    },
    '{"inlineData": {"data": "QQ=="}}': {
        "inlineData": {"mimeType": "application/octet-stream", "data": "QQ=="}
    },
    '{"file_data": {"mime_type": "video/mp4", "file_uri": "u"}, "videoMetadata": {"fps": 1}}': {
        "fileData": {"mimeType": "video/mp4", "fileUri": "u"},
        "videoMetadata": {"fps": 1},
    },
    '{"thought": true, "thought_signature": "-_8="}': {
        "text": "",
        "thought": True,
        "thoughtSignature": "+/8=",
    },
    '{"thoughtSignature": "c2ln"}': {"text": "", "thoughtSignature": "c2ln"},
    '{"function_call": {"name": "f g", "args": null}}': {
        "functionCall": {"name": "f g", "args": {}}
    },
    '{"functionCall": {"name": "f", "id": "gemini-fn-x"}}': {
        "functionCall": {"name": "f", "id": "gemini-fn-x", "args": {}}
    },
    '{"functionCall": {"name": "f"}, "thoughtSignature": "skip_thought_signature_validator"}': {
        "functionCall": {"name": "f", "args": {}},
        "thoughtSignature": "skip_thought_signature_validator",
    },
    '{"functionCall": {"name": "f", "willContinue": false}, '
    '"thoughtSignature": "c2ln", "odd": 1}': {
        "functionCall": {"name": "f", "args": {}, "willContinue": False},
        "thoughtSignature": "c2ln",
        "odd": 1,
    },
}


def usual(part: dict[str, Any]) -> dict[str, Any]:
    """A part as it is written."""
    return USUAL.get(json.dumps(part), part)


@pytest.mark.parametrize("fields", [fields for fields, _, _ in RESULTS])
def test_results_are_written_again(fields: dict[str, Any]) -> None:
    """The object as it was, whatever its keys."""
    part = {"functionResponse": {"name": "f", "id": "i", **fields}}
    assert again(turn("user", part)) == turn("user", part)


@pytest.mark.parametrize("config", [config for config, _, _ in OPTIONS if config])
def test_options_are_written_again(config: dict[str, Any]) -> None:
    """To where they stood."""
    known = {
        "top_p": "topP",
        "max_output_tokens": "maxOutputTokens",
        "response_mime_type": "responseMimeType",
        "response_schema": "responseSchema",
        "_responseJsonSchema": "responseJsonSchema",
        "thinking_config": "thinkingConfig",
        "include_thoughts": "includeThoughts",
    }

    def named(fields: dict[str, Any]) -> dict[str, Any]:
        return {
            known.get(name, name): named(value) if name == "thinking_config" else value
            for name, value in fields.items()
        }

    assert again(HI | {"generationConfig": config}) == HI | {"generationConfig": named(config)}


TOOLS = [
    {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "nullable": True}}]},
    {"googleSearch": {}},
    {"url_context": {}},
    {"functionDeclarations": [{"name": "g", "parametersJsonSchema": {"type": "object"}, "x": 1}]},
]
REQUEST = {
    "systemInstruction": {"role": "user", "parts": [{"text": "be kind"}]},
    "contents": [
        {"parts": [{"text": "a"}], "role": "user", "odd": 1},
        {"parts": [{"text": "b"}], "role": "user"},
        {"parts": [{"text": ""}, {"functionCall": {"name": "f", "args": {}}}], "role": "model"},
        {
            "parts": [
                {"functionResponse": {"name": "f", "response": {"result": "x"}}},
                {"text": "and"},
                {"text": "so"},
            ],
            "role": "function",
        },
        {"parts": [{"functionResponse": {"name": "f", "response": {}}}], "role": "user"},
        {"parts": [], "role": "model"},
    ],
    "tools": TOOLS,
    "toolConfig": {
        "functionCallingConfig": {"mode": "VALIDATED", "streamFunctionCallArguments": True},
        "includeServerSideToolInvocations": True,
    },
    "generationConfig": {"temperature": 5, "thinkingConfig": {"thinkingLevel": "low", "x": 1}},
    "safetySettings": [{"category": "A"}],
    "cachedContent": "c",
    "labels": {"a": "b"},
    "serviceTier": "flex",
}


def test_whole_request_is_written_again() -> None:
    """Turns are what they were, tools are in their order."""
    assert again(REQUEST) == REQUEST
    assert written(read(REQUEST, ARRAY)) == REQUEST


def test_functions_side_by_side_are_one_entry() -> None:
    """However they were spread."""
    f, g = {"name": "f"}, {"name": "g"}
    spread = [{"functionDeclarations": [f]}, {"function_declarations": [g]}, {}]
    assert again(HI | {"tools": spread})["tools"] == [{"functionDeclarations": [f, g]}]


def test_body_says_nothing_of_the_model_and_the_stream() -> None:
    """Both stand in the path."""
    body = CLIENT.encode_request(read(HI | {"model": "x"}), "m", is_streaming=True)
    assert json.loads(body) == HI
    assert CLIENT.encode_request(read(HI), "m", is_streaming=False) == body


@pytest.mark.parametrize(
    "value",
    [
        {"generationConfig": None, "generationConfig.x": 1},
        {"generationConfig": {"thinkingConfig": None, "thinkingConfig.x": 1}},
        {"toolConfig": None, "tools": None},
    ],
)
def test_odd_fields_are_written_somewhere(value: dict[str, Any]) -> None:
    """Names that look like ours do no harm."""
    assert read(again(HI | value)) == read(HI | value)


# ---------------------------------------------------------------- what was changed on the way


def test_changed_schemas_are_written_as_json_schema() -> None:
    """The original holds no longer."""
    call = read(
        REQUEST
        | {"generationConfig": {"responseMimeType": "application/json", "responseSchema": {}}}
    )
    tools = tuple(tool for tool in call.tools if tool.name == "f")
    changed = [type(tool)(tool.name, parameters={"a": 1}, extra=tool.extra) for tool in tools]
    options = Options(output_format=OutputFormat({"b": 2}))
    body = written(call.changed(tools=tuple(changed), options=options, tool_choice=None))
    assert body["tools"] == [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"a": 1}}]}
    ]
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"b": 2},
    }
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}


@pytest.mark.parametrize(
    ("effort", "level"),
    [("none", "MINIMAL"), ("max", "HIGH"), ("low", "LOW"), ("medium", "MEDIUM")],
)
def test_changed_effort_is_written_as_a_level(effort: str, level: str) -> None:
    """A routed call may be given another one."""
    call = read(HI | {"generationConfig": {"thinkingConfig": {"thinkingLevel": "odd"}}})
    body = written(call.changed(options=Options(reasoning_effort=effort)))
    assert body["generationConfig"] == {"thinkingConfig": {"thinkingLevel": level}}


def test_new_choice_of_tools_is_written() -> None:
    """One that has nothing of the client's about it."""
    call = read(REQUEST).changed(tool_choice=ToolChoice(ToolMode.NAMED, ("f",)))
    config = written(call)["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "ANY", "allowedFunctionNames": ["f"]}


def test_messages_that_others_put_in_are_written() -> None:
    """A system message in the middle speaks as the user."""
    call = read(HI)
    more = (
        Message(Role.SYSTEM, (Text("late"),)),
        Message(Role.USER, (Text("x"),), extra={"content": ""}),
    )
    body = written(call.changed(messages=(*call.messages, *more)))
    assert body["contents"][1:] == [{"role": "user", "parts": [{"text": "late"}, {"text": "x"}]}]
    alone = written(call.changed(messages=more[1:]))
    assert alone["contents"] == [{"role": "user", "parts": [{"text": "x"}]}]
    nobody = written(call.changed(messages=more[:1]))
    assert nobody == {
        "systemInstruction": {"parts": [{"text": "late"}]},
        "contents": [{"role": "user", "parts": [{"text": ""}]}],
    }


# ---------------------------------------------------------------- seals


def test_seals_of_others_stay_here() -> None:
    """Their reasoning too; text and calls go on without them."""
    text = packed(Seal("anthropic_messages", "s", "b:m"))
    parts: list[dict[str, Any]] = [
        {"text": "hm", "thought": True, "thoughtSignature": text},
        {"text": "own", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "hi", "thoughtSignature": text},
        {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": text},
    ]
    assert again(turn("model", *parts)) == turn(
        "model", parts[1], {"text": "hi"}, {"functionCall": {"name": "f", "args": {}}}
    )
    assert again(turn("model", parts[0]))["contents"] == [{"role": "user", "parts": [{"text": ""}]}]


def test_first_call_of_a_step_is_signed_for_models_that_insist() -> None:
    """By the word that Google has for it, where there is no signature of its own."""
    call, signed = ({"functionCall": {"name": n, "args": {}}} for n in "fg")
    turns = [
        {"role": "model", "parts": [call, call]},
        {"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": [{"text": "y"}, signed | {"thoughtSignature": "c2ln"}, call]},
    ]
    body = written(read({"contents": turns}), "gemini-3-pro-preview")
    assert [
        part.get("thoughtSignature") for content in body["contents"] for part in content["parts"]
    ] == ["skip_thought_signature_validator", None, None, None, "c2ln", None]
    assert written(read({"contents": turns}), "gemini-2.5-pro")["contents"] == turns


def test_reasoning_without_a_seal_goes_back_in_its_own_dialect() -> None:
    """As the service takes it."""
    call = said({"text": "hm", "thought": True}, role="model")
    assert call.messages[0].parts == (Reasoning("hm"),)
    assert written(call) == turn("model", {"text": "hm", "thought": True})
    assert isinstance(
        said({"functionCall": {"name": "f"}}, role="model").messages[0].parts[0], ToolCall
    )
