"""Media in all their forms, and options, as each dialect's requests are seen."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.emulators.anthropic_request import see_messages
from lipstream.emulators.gemini_request import see_count, see_generate
from lipstream.emulators.openai_chat_request import see_chat
from lipstream.emulators.openai_responses_request import see_responses
from lipstream.emulators.seen import Seen, SeenMedia, SeenRefusal, SeenText
from tests.emulators.conversation import PIXEL, SCHEMA

PDF = "data:application/pdf;base64,aGVsbG8="
CAT = "https://example.com/cat.png"


def chat(*content: Any, **fields: Any) -> Seen:
    messages = [{"role": "user", "content": list(content) or "json"}]
    return see_chat({"model": "m", "messages": messages, **fields})


def responses(*content: Any, **fields: Any) -> Seen:
    items = [{"role": "user", "content": list(content) or "json"}]
    return see_responses({"model": "m", "input": items, **fields})


def messages(*content: Any, **fields: Any) -> Seen:
    turns = [{"role": "user", "content": list(content) or "json"}]
    return see_messages({"model": "m", "max_tokens": 2000, "messages": turns, **fields})


def gemini(*content: Any, **fields: Any) -> Seen:
    parts = list(content) or [{"text": "json"}]
    return see_generate({"contents": [{"parts": parts}], **fields})


def _source(kind: str, what: str = "document", **fields: str) -> dict[str, Any]:
    return {"type": what, "source": {"type": kind, **fields}}


PDF_TYPE, DATA = "application/pdf", "aGVsbG8="
MEDIA: list[tuple[Seen, SeenMedia]] = [
    (chat({"type": "image_url", "image_url": {"url": CAT}}), SeenMedia("image", source=CAT)),
    (
        chat({"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}),
        SeenMedia("document", PDF_TYPE, 5, name="a.pdf"),
    ),
    (
        chat({"type": "file", "file": {"file_data": DATA, "filename": "a.pdf"}}),
        SeenMedia("document", "", 5, name="a.pdf"),
    ),
    (chat({"type": "file", "file": {"file_id": "f1"}}), SeenMedia("document", source="f1")),
    (
        chat({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}),
        SeenMedia("audio", "audio/wav", 5),
    ),
    (responses({"type": "input_image", "image_url": CAT}), SeenMedia("image", source=CAT)),
    (responses({"type": "input_image", "file_id": "f1"}), SeenMedia("image", source="f1")),
    (
        responses({"type": "input_file", "file_data": PDF, "filename": "a.pdf"}),
        SeenMedia("document", PDF_TYPE, 5, name="a.pdf"),
    ),
    (responses({"type": "input_file", "file_url": CAT}), SeenMedia("document", source=CAT)),
    (
        messages(_source("base64", media_type=PDF_TYPE, data=DATA)),
        SeenMedia("document", PDF_TYPE, 5),
    ),
    (
        messages(_source("text", media_type="text/plain", data="hello")),
        SeenMedia("document", "text/plain", 5),
    ),
    (messages(_source("url", url=CAT)), SeenMedia("document", source=CAT)),
    (messages(_source("url", "image", url=CAT)), SeenMedia("image", source=CAT)),
    (messages(_source("file", "image", file_id="f1")), SeenMedia("image", source="f1")),
    (
        gemini({"inline_data": {"mime_type": "image/png", "data": PIXEL}}),
        SeenMedia("image", "image/png", 8),
    ),
    (
        gemini({"fileData": {"mimeType": PDF_TYPE, "fileUri": CAT}}),
        SeenMedia("document", PDF_TYPE, source=CAT),
    ),
    (
        gemini({"inlineData": {"mimeType": "audio/wav", "data": DATA}}),
        SeenMedia("audio", "audio/wav", 5),
    ),
]


@pytest.mark.parametrize(("seen", "media"), MEDIA)
def test_media_are_seen_by_kind_type_and_size(seen: Seen, media: SeenMedia) -> None:
    """What is not inline has its URL or id in the place of a size."""
    assert seen.media == [media]


_CHAT_TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
_FLAT_TOOL = {"type": "function", "name": "f", "parameters": SCHEMA}
_TOOL = {"name": "f", "input_schema": SCHEMA}
_FORMAT = {"type": "json_schema", "name": "x", "schema": SCHEMA}


def _config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


OPTIONS: list[tuple[Seen, dict[str, Any]]] = [
    (
        chat(
            tools=[_CHAT_TOOL],
            tool_choice={"type": "function", "function": {"name": "f"}},
            parallel_tool_calls=False,
        ),
        {"tool_choice": {"name": "f"}, "parallel_tool_calls": False},
    ),
    (
        responses(tools=[_FLAT_TOOL], tool_choice={"type": "function", "name": "f"}),
        {"tool_choice": {"name": "f"}},
    ),
    (
        messages(
            tools=[_TOOL],
            tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
        {"tool_choice": {"name": "f"}, "parallel_tool_calls": False, "max_tokens": 2000},
    ),
    (
        gemini(
            toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}
        ),
        {"tool_choice": {"name": "f"}},
    ),
    (chat(reasoning_effort="low"), {"reasoning_effort": "low"}),
    (
        responses(reasoning={"effort": "low", "summary": "auto"}),
        {"reasoning_effort": "low", "shows_reasoning": True},
    ),
    (
        messages(thinking={"type": "enabled", "budget_tokens": 1024}, metadata={"user_id": "u"}),
        {"reasoning_budget": 1024, "shows_reasoning": True, "max_tokens": 2000, "user": "u"},
    ),
    (
        messages(thinking={"type": "adaptive"}, output_config={"effort": "low"}),
        {"reasoning_effort": "low", "shows_reasoning": True, "max_tokens": 2000},
    ),
    (
        gemini(**_config(thinkingConfig={"includeThoughts": True, "thinkingLevel": "LOW"})),
        {"reasoning_effort": "low", "shows_reasoning": True},
    ),
    (chat(response_format={"type": "json_object"}), {"json_mode": True}),
    (responses(text={"format": {"type": "json_object"}}), {"json_mode": True}),
    (gemini(**_config(responseMimeType="application/json")), {"json_mode": True}),
    (
        chat(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": SCHEMA},
            }
        ),
        {"json_schema": SCHEMA},
    ),
    (responses(text={"format": _FORMAT}), {"json_schema": SCHEMA}),
    (
        messages(output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
        {"json_schema": SCHEMA, "max_tokens": 2000},
    ),
    (
        gemini(**_config(responseMimeType="application/json", responseJsonSchema=SCHEMA)),
        {"json_schema": SCHEMA},
    ),
    (chat(stop="END", seed=7, top_p=1), {"stop": ["END"], "seed": 7, "top_p": 1}),
    (gemini(**_config(topK=5, seed=7)), {"top_k": 5, "seed": 7}),
]


@pytest.mark.parametrize(("seen", "options"), OPTIONS)
def test_options_are_seen_by_their_common_names(seen: Seen, options: dict[str, Any]) -> None:
    """Each only where the request has it."""
    assert seen.options == options


def test_refusals_of_earlier_turns_are_seen_as_such() -> None:
    """In OpenAI's dialects, the only ones that have them."""
    part = {"type": "refusal", "refusal": "No."}
    hello = {"role": "user", "content": "Hi"}
    in_chat = see_chat(
        {"model": "m", "messages": [hello, {"role": "assistant", "refusal": "No."}, hello]}
    )
    items = [hello, {"role": "assistant", "content": [part]}]
    in_responses = see_responses({"model": "m", "input": items})
    for seen in (in_chat, in_responses):
        assert seen.turns[1].parts == (SeenRefusal("No."),)


def test_count_may_wrap_a_whole_request() -> None:
    """Or have the contents alone."""
    contents = {"contents": [{"parts": [{"text": "Hi"}]}]}
    for body in (contents, {"generateContentRequest": {"model": "models/m", **contents}}):
        assert see_count(body).turns[0].parts == (SeenText("Hi"),)
