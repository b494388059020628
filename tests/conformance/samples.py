"""What only one protocol knows, for each of them: a request and a stream full of unknown things.

``x_`` names are of no protocol at all; tomorrow's fields look the same to us.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

Json = dict[str, Any]

MODEL = "<model>"
"""Stands for the model that the provider is asked for."""


@attrs.frozen
class Sample:
    """One protocol's.

    Attributes:
        path: Of the request, below the origin; ``MODEL`` is the route.
        request: The body; its model, where it has one, is put in.
        events: The stream: the event's name, or empty, and its data.
        whole: The body that the provider would have answered with, unstreamed.
        end: What ends the stream.
        added: What the proxy puts after it: clients of other servers wait for it.
    """

    path: str
    request: Json
    events: tuple[tuple[str, Json], ...]
    whole: Json
    end: bytes = b""
    added: bytes = b""

    def stream(self, model: str) -> bytes:
        """The bytes of the stream."""
        return (
            b"".join(
                (f"event: {name}\n".encode() if name else b"")
                + b"data: "
                + named(json.dumps(data), model).encode()
                + b"\n\n"
                for name, data in self.events
            )
            + self.end
        )


def named(text: str, model: str) -> str:
    """With the model's name in its places."""
    return text.replace(MODEL, model)


# ---------------------------------------------------------------- chat completions

_CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": MODEL,
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}
_USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 2,
    "total_tokens": 11,
    "x_units": 3.5,
    "prompt_tokens_details": {"cached_tokens": 4, "x_warm": 1},
}


def _chunk(delta: Json, finish: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**_CHUNK, "choices": [{**choice, **more.pop("x_choice", {})}], **more}


CHAT = Sample(
    path="/v1/chat/completions",
    request={
        "x_first": {"deep": [1, None, {"b": "c"}]},
        "model": MODEL,
        "messages": [
            {"role": "developer", "content": "Be brief.", "x_weight": 2},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "Hi", "x_lang": "en"},
                    {"type": "x_scent", "x_scent": {"note": "musk"}},
                ],
            },
            {"role": "assistant", "content": None, "refusal": None, "x_mood": "shy"},
            {"role": "user", "content": "Well?"},
        ],
        "temperature": 0.25,
        "tools": [{"type": "function", "function": {"name": "f", "x_cost": 1}, "x_kind": "k"}],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "logit_bias": {"50256": -100},
        "x_null": None,
        "stream": True,
        "stream_options": {"include_usage": True, "x_pad": False},
        "x_last": [[]],
    },
    events=(
        ("", _chunk({"role": "assistant", "content": "", "refusal": None}, x_top={"a": 1})),
        ("", _chunk({"content": "Hi", "x_note": {"n": 1}}, x_choice={"x_rank": 3})),
        ("", _chunk({"content": " there", "x_note": {"n": 2}})),
        ("", _chunk({}, "stop", x_choice={"x_why": "done"})),
        ("", {**_CHUNK, "choices": [], "usage": _USAGE}),
    ),
    whole={
        **_CHUNK,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi there",
                    "refusal": None,
                    "x_note": {"n": 2},
                },
                "logprobs": None,
                "finish_reason": "stop",
                "x_rank": 3,
                "x_why": "done",
            }
        ],
        "usage": _USAGE,
        "x_top": {"a": 1},
    },
    end=b"data: [DONE]\n\n",
)

# ---------------------------------------------------------------- Responses

_RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_700_000_000,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "model": MODEL,
    "output": [],
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "usage": None,
    "x_region": "north",
}
_ITEM: Json = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi there", "annotations": [], "x_tone": "warm"}],
}
_PROBE: Json = {"id": "xp_1", "type": "x_probe", "status": "completed", "x_depth": 7}
_FINAL: Json = {
    **_RESPONSE,
    "status": "completed",
    "output": [_PROBE, _ITEM],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 11,
        "x_units": 3.5,
    },
    "x_late": True,
}


def _numbered(*events: Json) -> tuple[tuple[str, Json], ...]:
    return tuple(
        (event["type"], {**event, "sequence_number": number}) for number, event in enumerate(events)
    )


_TEXT = {"item_id": "msg_1", "output_index": 1, "content_index": 0}

RESPONSES = Sample(
    path="/v1/responses",
    request={
        "x_first": {"deep": [1, None, {"b": "c"}]},
        "model": MODEL,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi", "x_lang": "en"}]},
            {"type": "x_thing", "x_size": 4},
            {"role": "user", "content": "Well?", "x_weight": 2},
        ],
        "text": {"format": {"type": "text"}, "x_font": "serif"},
        "reasoning": {"effort": "low", "x_path": "left"},
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True, "x_kind": 1}],
        "store": False,
        "x_null": None,
        "stream": True,
        "x_last": [[]],
    },
    events=_numbered(
        {"type": "response.created", "response": _RESPONSE},
        {"type": "response.x_warming", "x_percent": 50},
        {"type": "response.in_progress", "response": _RESPONSE},
        {"type": "response.output_item.added", "output_index": 0, "item": _PROBE},
        {"type": "response.x_probe.delta", "output_index": 0, "item_id": "xp_1", "delta": "?"},
        {"type": "response.output_item.done", "output_index": 0, "item": _PROBE},
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {**_ITEM, "status": "in_progress", "content": []},
        },
        {
            "type": "response.content_part.added",
            **_TEXT,
            "part": {"type": "output_text", "text": "", "annotations": []},
        },
        {"type": "response.output_text.delta", **_TEXT, "delta": "Hi", "x_p": 0.5},
        {"type": "response.output_text.delta", **_TEXT, "delta": " there"},
        {"type": "response.output_text.done", **_TEXT, "text": "Hi there"},
        {"type": "response.content_part.done", **_TEXT, "part": _ITEM["content"][0]},
        {"type": "response.output_item.done", "output_index": 1, "item": _ITEM},
        {"type": "response.completed", "response": _FINAL},
    ),
    whole=_FINAL,
    added=b"data: [DONE]\n\n",
)

# ---------------------------------------------------------------- Messages

_MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1, "x_units": 3},
    "x_region": "north",
}

MESSAGES = Sample(
    path="/v1/messages",
    request={
        "x_first": {"deep": [1, None, {"b": "c"}]},
        "model": MODEL,
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "x_lang": "en"}]},
            {"role": "assistant", "content": [{"type": "x_block", "x_depth": 4}]},
            {"role": "user", "content": "Well?", "x_weight": 2},
        ],
        "metadata": {"user_id": "u", "x_team": "t"},
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "x_kind": 1}],
        "x_null": None,
        "stream": True,
        "x_last": [[]],
    },
    events=(
        ("message_start", {"type": "message_start", "message": _MESSAGE, "x_top": 1}),
        ("ping", {"type": "ping"}),
        ("x_warming", {"type": "x_warming", "x_percent": 50}),
        (
            "content_block_start",
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "x_block", "x_depth": 7},
            },
        ),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        (
            "content_block_start",
            {
                "type": "content_block_start",
                "index": 1,
                "content_block": {"type": "text", "text": "", "x_tone": "warm"},
            },
        ),
        *(
            (
                "content_block_delta",
                {
                    "type": "content_block_delta",
                    "index": 1,
                    "delta": {"type": "text_delta", "text": text},
                    "x_p": 0.5,
                },
            )
            for text in ("Hi", " there")
        ),
        ("content_block_stop", {"type": "content_block_stop", "index": 1}),
        (
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None, "x_why": "done"},
                "usage": {"output_tokens": 2, "x_more": 1},
            },
        ),
        ("message_stop", {"type": "message_stop"}),
    ),
    whole={
        **_MESSAGE,
        "content": [
            {"type": "x_block", "x_depth": 7},
            {"type": "text", "text": "Hi there", "x_tone": "warm"},
        ],
        "stop_reason": "end_turn",
        "usage": {**_MESSAGE["usage"], "output_tokens": 2, "x_more": 1},
        "x_why": "done",
    },
)

# ---------------------------------------------------------------- Gemini


def _answer(parts: list[Json], tokens: int, **candidate: Any) -> Json:
    return {
        "candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0, **candidate}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": tokens,
            "totalTokenCount": 9 + tokens,
            "xUnits": 3.5,
        },
        "modelVersion": MODEL,
        "responseId": "r1",
        "xRegion": "north",
    }


GEMINI = Sample(
    path=f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
    request={
        "xFirst": {"deep": [1, None, {"b": "c"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi", "xLang": "en"}], "xWeight": 2},
            {"role": "model", "parts": [{"xThing": {"size": 4}}]},
            {"role": "user", "parts": [{"text": "Well?"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}], "xTone": "warm"},
        "generationConfig": {"temperature": 0.25, "xFont": "serif"},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "tools": [{"functionDeclarations": [{"name": "f", "xCost": 1}]}, {"xTool": {}}],
        "xLast": [[]],
    },
    events=(
        ("", _answer([{"xThing": {"depth": 7}}], 0)),
        ("", _answer([{"text": "Hi", "xTone": "warm"}], 1, xRank=3)),
        ("", _answer([{"text": " there"}], 2)),
        ("", _answer([{"text": ""}], 2, finishReason="STOP", xWhy="done")),
    ),
    whole=_answer(
        [{"xThing": {"depth": 7}}, {"text": "Hi there", "xTone": "warm"}],
        2,
        xRank=3,
        finishReason="STOP",
        xWhy="done",
    ),
)

SAMPLES: Mapping[str, Sample] = {
    "openai_chat": CHAT,
    "openai_responses": RESPONSES,
    "anthropic_messages": MESSAGES,
    "gemini": GEMINI,
}
