"""What each provider refuses, in its own words."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.proofs import prove
from lipstream.emulators.script import Script
from tests.emulators import conversation
from tests.emulators.asks import CHAT, GEMINI, MESSAGES, RESPONSES, Tongue
from tests.emulators.raw_client import Raw, exchange, request

Change = tuple[tuple[Any, ...], Any]

ABSENT = object()
"""A change that takes the field away."""


def changed(body: Any, *changes: Change) -> Any:
    """A copy with other values at these paths."""
    body = copy.deepcopy(body)
    for (*path, last), value in changes:
        inner = body
        for key in path:
            inner = inner[key]
        if value is ABSENT:
            del inner[last]
        else:
            inner[last] = value
    return body


async def ask(tongue: Tongue, body: Any, model: str = "m") -> Raw:
    async with Emulator(default=Script(text="ok")) as emulator:
        data = json.dumps(body).encode()
        path = tongue.path.replace("models/m:", f"models/{model}:")
        headers = (*tongue.headers, "connection: close")
        return await exchange(emulator.port, request(data, path=path, headers=headers))


def message_of(raw: Raw) -> str:
    return str(raw.json["error"]["message"]) if raw.status >= 400 else ""


BODIES = (
    (CHAT, conversation.CHAT, "m"),
    (RESPONSES, conversation.RESPONSES, "m"),
    (MESSAGES, conversation.MESSAGES, "m"),
    (GEMINI, conversation.GEMINI, "gemini-3-pro"),
)


@pytest.mark.parametrize(("tongue", "body", "model"), BODIES, ids=lambda v: str(v)[:12])
async def test_sound_conversation_is_answered(tongue: Tongue, body: Any, model: str) -> None:
    """Signatures, tool loop, options and all."""
    raw = await ask(tongue, body, model)
    assert (raw.status, message_of(raw)) == (200, "")


CHAT_FAULTS: list[tuple[Change, str]] = [
    (
        (("messages", 2), {"role": "user", "content": "x"}),
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
        "with 'tool_calls'.",
    ),
    (
        (("messages", 4), {"role": "user", "content": "x"}),
        "The following tool_call_ids did not have response messages: call_2",
    ),
    ((("messages", 3, "tool_call_id"), "other"), "'tool_call_id' of 'other' not found"),
    ((("messages", 3, "tool_call_id"), ABSENT), "Missing parameter 'tool_call_id'"),
    ((("messages", 1, "role"), "robot"), "Invalid value: 'robot'. Supported values are: 'system',"),
    (
        (("messages", 1, "content"), None),
        "Invalid value for 'content': expected a string, got null",
    ),
    ((("messages", 0, "content"), [{"type": "image_url"}]), "but this message with role 'system'"),
    ((("messages",), []), "Invalid 'messages': empty array."),
    ((("tools",), ABSENT), "'tool_choice' is only allowed when 'tools' are specified."),
    ((("tools", 0, "function", "name"), "a b"), "string does not match pattern."),
    ((("temperature",), 2.5), "Expected a value <= 2, but got 2.5 instead."),
    ((("stop",), list("abcde")), "Expected an array with maximum length 4"),
    ((("stream_options",), {"include_usage": True}), "only allowed when 'stream' is enabled"),
    ((("response_format",), {"type": "json_object"}), "must contain the word 'json'"),
    (
        (("tools", 0, "function", "strict"), True),
        "'additionalProperties' is required to be supplied and to be false.",
    ),
]


@pytest.mark.parametrize(("change", "words"), CHAT_FAULTS)
async def test_chat_refuses(change: Change, words: str) -> None:
    """400 with OpenAI's type."""
    raw = await ask(CHAT, changed(conversation.CHAT, change))
    assert (raw.status, words in message_of(raw)) == (400, True), message_of(raw)
    assert raw.json["error"]["type"] == "invalid_request_error"


async def test_chat_wants_short_ids() -> None:
    """Forty characters at most, however well they are paired."""
    body = changed(
        conversation.CHAT,
        (("messages", 2, "tool_calls", 0, "id"), "c" * 41),
        (("messages", 3, "tool_call_id"), "c" * 41),
    )
    expected = "Expected a string with maximum length 40, but got a string with length 41 instead."
    assert expected in message_of(await ask(CHAT, body))


RESPONSES_FAULTS: list[tuple[Change, str]] = [
    (
        (("input", 3, "call_id"), "other"),
        "No tool call found for function call output with call_id call_1.",
    ),
    ((("input", 5), {"role": "user", "content": "x"}), "No tool output found for function call"),
    (
        (("input", 3, "call_id"), "c" * 65),
        "Invalid 'input[3].call_id': string too long. Expected a string with maximum length 64, "
        "but got a string with length 65 instead.",
    ),
    (
        (("input", 3, "id"), "call_1"),
        "Invalid 'input[3].id': 'call_1'. Expected an ID that begins with 'fc'.",
    ),
    (
        (("input", 3, "arguments"), {}),
        "Invalid type for 'input[3].arguments': expected a string, but got an object instead.",
    ),
    ((("input", 5, "name"), "f"), "Unknown parameter: 'input[5].name'."),
    (
        (("input", 2, "content", 0, "type"), "input_text"),
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
    ),
    ((("input", 1, "encrypted_content"), f"gAAAA{prove('n')}"), "could not be verified."),
    ((("input", 2), {"role": "user", "content": "x"}), "without its required following item."),
    ((("input",), ABSENT), 'One of "input" or "previous_response_id"'),
    ((("model",), ABSENT), "Missing required parameter: 'model'."),
    ((("stop",), ["x"]), "Unknown parameter: 'stop'."),
    ((("max_tokens",), 5), "this parameter has moved to 'max_output_tokens'."),
    ((("max_output_tokens",), 15), "Expected a value >= 16, but got 15 instead."),
    ((("tools", 0), {"type": "function", "function": {}}), "parameter: 'tools[0].name'."),
    ((("tool_choice",), {"type": "function", "function": {}}), "'tool_choice.function'"),
    ((("text",), {"format": {"type": "json_object"}}), "must contain the word 'json'"),
    ((("include",), ["thoughts"]), "Invalid value: 'thoughts'."),
]


@pytest.mark.parametrize(("change", "words"), RESPONSES_FAULTS)
async def test_responses_refuses(change: Change, words: str) -> None:
    """400 with OpenAI's type."""
    raw = await ask(RESPONSES, changed(conversation.RESPONSES, change))
    assert (raw.status, words in message_of(raw)) == (400, True), message_of(raw)
    assert raw.json["error"]["type"] == "invalid_request_error"


async def test_responses_does_not_know_items_it_did_not_keep() -> None:
    """Reasoning by its id alone is only found where it was stored."""
    raw = await ask(
        RESPONSES, changed(conversation.RESPONSES, (("input", 1, "encrypted_content"), ABSENT))
    )
    assert raw.status == 404
    assert "Items are not persisted when `store` is set to false." in message_of(raw)


_RESULT = conversation.MESSAGES["messages"][2]["content"][0]
MESSAGES_FAULTS: list[tuple[Change, str]] = [
    ((("max_tokens",), ABSENT), "max_tokens: Field required"),
    ((("messages",), []), "messages: at least one message is required"),
    ((("messages", 0, "role"), "system"), 'messages: Unexpected role "system".'),
    (
        (("messages", 0, "content"), [{**_RESULT, "tool_use_id": "other"}]),
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: other.",
    ),
    (
        (("messages", 2, "content", 1), {"type": "text", "text": "x"}),
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: "
        "call_2.",
    ),
    (
        (("messages", 2, "content"), [*conversation.MESSAGES["messages"][2]["content"], _RESULT]),
        "each tool_use must have a single result.",
    ),
    (
        (("messages", 1, "content", 2, "id"), "call:1"),
        "messages.1.content.2.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    (
        (("messages", 1, "content", 0, "signature"), ABSENT),
        "messages.1.content.0.thinking.signature: Field required",
    ),
    (
        (("messages", 1, "content", 0, "thinking"), "Other words."),
        "Invalid `signature` in `thinking` block",
    ),
    (
        (("messages", 1, "content", 0), {"type": "redacted_thinking", "data": "x"}),
        "Invalid `data` in `redacted_thinking` block",
    ),
    ((("messages", 0, "content", 0, "text"), ""), "text content blocks must be non-empty"),
    (
        (("messages", 0, "content", 1, "source", "media_type"), "image/bmp"),
        "Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
    ),
    (
        (("messages", 2, "content", 0, "name"), "f"),
        "tool_result.name: Extra inputs are not permitted",
    ),
    ((("stop",), ["x"]), "stop: Extra inputs are not permitted"),
    ((("temperature",), 1.5), "temperature: range: 0..1"),
    ((("tool_choice",), "auto"), "tool_choice: Input should be a valid dictionary"),
    ((("tools", 0, "input_schema", "type"), ABSENT), "input_schema.type: Field required"),
    ((("metadata",), {"trace": "x"}), "metadata.trace: Extra inputs are not permitted"),
    (
        (("thinking",), {"type": "enabled", "budget_tokens": 1024}),
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
]


@pytest.mark.parametrize(("change", "words"), MESSAGES_FAULTS)
async def test_messages_refuses(change: Change, words: str) -> None:
    """400 with Anthropic's type and its request id."""
    raw = await ask(MESSAGES, changed(conversation.MESSAGES, change))
    assert (raw.status, words in message_of(raw)) == (400, True), message_of(raw)
    assert (raw.json["type"], raw.json["error"]["type"]) == ("error", "invalid_request_error")
    assert raw.json["request_id"] == raw.headers["request-id"]


THINKING = {"type": "enabled", "budget_tokens": 1024}


async def test_enabled_thinking_wants_it_back_first_of_all() -> None:
    """The model's last turn in a tool loop starts with a thinking block."""
    body = changed(
        conversation.MESSAGES,
        (("thinking",), THINKING),
        (("max_tokens",), 2000),
        (("temperature",), 1),
        (("tool_choice",), {"type": "auto"}),
    )
    assert (await ask(MESSAGES, body)).status == 200
    content = body["messages"][1]["content"]
    raw = await ask(MESSAGES, changed(body, (("messages", 1, "content"), content[1:])))
    assert "Expected `thinking` or `redacted_thinking`, but found `text`." in message_of(raw)
    raw = await ask(MESSAGES, changed(body, (("max_tokens",), 1024)))
    assert "`max_tokens` must be greater than `thinking.budget_tokens`" in message_of(raw)


async def test_messages_wants_its_version_header() -> None:
    """Without it nothing is looked at."""
    async with Emulator() as emulator:
        body = json.dumps(conversation.MESSAGES).encode()
        raw = await exchange(emulator.port, request(body, path="/v1/messages"))
        assert (raw.status, message_of(raw)) == (400, "anthropic-version: header is required")


async def test_turns_of_the_same_role_are_joined() -> None:
    """The real API takes them, and so does this one."""
    hello = {"role": "user", "content": "Hi"}
    body = changed(MESSAGES.question, (("messages",), [hello, hello]))
    assert (await ask(MESSAGES, body)).status == 200


_CALL = ("contents", 1, "parts", 2)
GEMINI_FAULTS: list[tuple[Change, str]] = [
    ((("contents",), []), "* GenerateContentRequest.contents: contents is not specified"),
    ((("contents", 0, "parts"), []), "contents[0].parts: contents.parts must not be empty."),
    ((("contents", 0, "role"), "assistant"), "Please use a valid role: user, model."),
    (
        (("stop",), ["x"]),
        'Invalid JSON payload received. Unknown name "stop": Cannot find field.',
    ),
    (
        (("generationConfig", "max_tokens"), 5),
        "Unknown name \"max_tokens\" at 'generation_config': Cannot find field.",
    ),
    (
        (("tools", 0, "functionDeclarations", 0, "parameters"), {"additionalProperties": False}),
        'Unknown name "additionalProperties" at '
        "'tools[0].function_declarations[0].parameters': Cannot find field.",
    ),
    (
        (("contents", 2, "parts", 1), {"text": "x"}),
        "Please ensure that the number of function response parts is equal to the number of "
        "function call parts of the function call turn.",
    ),
    (
        (("contents", 1, "parts"), [{"text": "x"}]),
        "function response turn comes immediately after a function call turn.",
    ),
    ((("contents", 2, "parts", 0, "functionResponse", "name"), ""), "Name cannot be empty."),
    (
        ((*_CALL, "thoughtSignature"), ABSENT),
        "Function call is missing a thought_signature in functionCall parts.",
    ),
    (((*_CALL, "thoughtSignature"), prove("gemini-3-flash", "weather")), "is not valid"),
    (((*_CALL, "thoughtSignature"), "!"), "Base64 decoding failed"),
    ((("generationConfig", "temperature"), 3), "temperature must be in the range [0.0, 2.0]."),
    ((("tools", 0, "functionDeclarations", 0, "name"), "9"), "Invalid function name."),
]


@pytest.mark.parametrize(("change", "words"), GEMINI_FAULTS)
async def test_gemini_refuses(change: Change, words: str) -> None:
    """400 and INVALID_ARGUMENT."""
    raw = await ask(GEMINI, changed(conversation.GEMINI, change), "gemini-3-pro")
    assert (raw.status, words in message_of(raw)) == (400, True), message_of(raw)
    assert (raw.json["error"]["code"], raw.json["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_gemini_lets_foreign_history_pass_with_the_documented_word() -> None:
    """And asks nothing of older models and of calls before the user's last words."""
    skip = (((*_CALL, "thoughtSignature"), "skip_thought_signature_validator"),)
    none = (((*_CALL, "thoughtSignature"), ABSENT),)
    assert (await ask(GEMINI, changed(conversation.GEMINI, *skip), "gemini-3-pro")).status == 200
    assert (await ask(GEMINI, changed(conversation.GEMINI, *none), "gemini-2.5-pro")).status == 200
    past = changed(conversation.GEMINI, *none)
    past["contents"] += [
        {"role": "model", "parts": [{"text": "Warm."}]},
        {"role": "user", "parts": [{"text": "Thanks."}]},
    ]
    assert (await ask(GEMINI, past, "gemini-3-pro")).status == 200


async def test_gemini_takes_both_spellings_and_nulls() -> None:
    """Snake case throughout, one object for a list, null for nothing."""
    body = {
        "system_instruction": {"parts": {"text": "x"}},
        "contents": {"parts": [{"text": "x"}]},
        "generation_config": {"max_output_tokens": 5},
        "safetySettings": None,
    }
    assert (await ask(GEMINI, body)).status == 200


@pytest.mark.parametrize(
    ("tongue", "missing", "wrong"),
    [(CHAT, 401, 401), (RESPONSES, 401, 401), (MESSAGES, 401, 401), (GEMINI, 403, 400)],
    ids=lambda value: getattr(value, "name", None),
)
async def test_keys_are_asked_for_in_the_providers_way(
    tongue: Tongue, missing: int, wrong: int
) -> None:
    """From any of the places where keys are put; each provider has its own status."""
    name = {"messages": "x-api-key: {}", "gemini": "x-goog-api-key: {}"}
    header = name.get(tongue.name, "authorization: Bearer {}")
    statuses = []
    async with Emulator(expect_key="right") as emulator:
        for key in (None, "wrong", "right"):
            added = f"{header.format(key)}\r\n".encode() if key else b""
            data = tongue.ask(stream=False).replace(b"connection:", added + b"connection:")
            statuses.append((await exchange(emulator.port, data)).status)
    assert statuses == [missing, wrong, 200]
