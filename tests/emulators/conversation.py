"""One conversation in each dialect's words: with tools, a tool loop, an image and options."""

from __future__ import annotations

import json
from typing import Any

from lipstream.emulators.proofs import prove

PIXEL = "iVBORw0KGgo="
URL = f"data:image/png;base64,{PIXEL}"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
ARGUMENTS: dict[str, Any] = {"city": "Rome"}
REASONING = "Better ask."
SYSTEM = "Be brief."
QUESTION = "How warm is it here?"
WORDS = "I will look."
RESULT = "40 C"

_text = json.dumps(ARGUMENTS)

CHAT: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100,
    "temperature": 0.5,
    "stop": ["END"],
    "tool_choice": "required",
    "messages": [
        {"role": "system", "content": SYSTEM},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": QUESTION},
                {"type": "image_url", "image_url": {"url": URL}},
            ],
        },
        {
            "role": "assistant",
            "content": WORDS,
            "reasoning_content": REASONING,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": _text},
                },
                {
                    "id": "call_2",
                    "type": "function",
                    "function": {"name": "now", "arguments": "{}"},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": RESULT},
        {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Of a city", "parameters": SCHEMA},
        }
    ],
}

RESPONSES: dict[str, Any] = {
    "model": "m",
    "instructions": SYSTEM,
    "max_output_tokens": 100,
    "temperature": 0.5,
    "tool_choice": "required",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": QUESTION},
                {"type": "input_image", "image_url": URL},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": REASONING}],
            "encrypted_content": f"gAAAA{prove('m')}",
        },
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "content": [{"type": "output_text", "text": WORDS, "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": _text},
        {"type": "function_call", "call_id": "call_2", "name": "now", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": RESULT},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "noon"}],
        },
    ],
    "tools": [
        {
            "type": "function",
            "name": "weather",
            "description": "Of a city",
            "parameters": SCHEMA,
        }
    ],
}

MESSAGES: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100,
    "system": [{"type": "text", "text": SYSTEM}],
    "temperature": 0.5,
    "stop_sequences": ["END"],
    "tool_choice": {"type": "any"},
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": QUESTION},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": REASONING, "signature": prove("m", REASONING)},
                {"type": "text", "text": WORDS},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": ARGUMENTS},
                {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": RESULT},
                {
                    "type": "tool_result",
                    "tool_use_id": "call_2",
                    "content": [{"type": "text", "text": "noon"}],
                },
            ],
        },
    ],
    "tools": [{"name": "weather", "description": "Of a city", "input_schema": SCHEMA}],
}

GEMINI: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": SYSTEM}]},
    "generationConfig": {"maxOutputTokens": 100, "temperature": 0.5, "stopSequences": ["END"]},
    "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": QUESTION},
                {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": REASONING, "thought": True},
                {"text": WORDS},
                {
                    "functionCall": {"id": "call_1", "name": "weather", "args": ARGUMENTS},
                    "thoughtSignature": prove("gemini-3-pro", "weather"),
                },
                {"functionCall": {"id": "call_2", "name": "now", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": "call_1",
                        "name": "weather",
                        "response": {"result": RESULT},
                    }
                },
                {
                    "functionResponse": {
                        "id": "call_2",
                        "name": "now",
                        "response": {"output": "noon"},
                    }
                },
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "Of a city", "parametersJsonSchema": SCHEMA}
            ]
        }
    ],
}
