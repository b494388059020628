"""A whole answer as a ``chat.completion``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer, Choice
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, ToolCall
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json
from lipstream.protocols.openai_chat.pieces import join_pieces
from lipstream.protocols.openai_chat.seals import DETAILS, SealWriter, packed_fields
from lipstream.protocols.openai_chat.usage import encode_usage
from lipstream.protocols.openai_chat.wire import (
    COMPLETION,
    FUNCTIONS,
    NAME,
    REASON_WORDS,
    WHOLE_CALLS,
    Fields,
)

_AUDIO_FIELDS = ("id", "transcript")  # what else is known of it, whatever protocol it came in


def encode_answer(
    answer: Answer,
    call: Call,
    model: str | None,
    new_id: Callable[[], str],
    clock: Callable[[], float],
) -> bytes:
    """The body of a response; see ``interfaces.ServerDialect.encode_answer``."""
    is_own = answer.dialect == NAME
    is_legacy = any(FUNCTIONS in tool.extra for tool in call.tools)
    body: Fields = {
        "id": answer.id or f"chatcmpl-{new_id()}",
        "object": COMPLETION,
        "created": answer.created or int(clock()),
        "model": answer.model if model is None else model,
        "choices": [_choice(choice, is_own, is_legacy) for choice in answer.choices],
    }
    if answer.usage is not None:
        body["usage"] = encode_usage(answer.usage)
    return encode_json(merge_fields(body, answer.extra) if is_own else body)


def _choice(choice: Choice, is_own: bool, is_legacy: bool) -> Fields:
    message = _message(choice.parts)
    if not is_own and choice.reason in WHOLE_CALLS:
        _fill_arguments(message.get("tool_calls", ()))
    word = REASON_WORDS[choice.reason]
    if is_legacy and message.get("tool_calls"):
        message["function_call"] = message.pop("tool_calls")[0].get("function")
        word = "function_call" if choice.reason is FinishReason.TOOL_CALLS else word
    more = join_pieces(choice.pieces) if is_own else {}
    logprobs = _logprobs(choice, more.pop("logprobs", None))
    if "tool_calls" in message:
        _add_to_calls(message["tool_calls"], more.pop("tool_calls", None))
    body: Fields = {
        "index": choice.index,
        "message": merge_fields(message, more),
        "logprobs": logprobs,
        "finish_reason": word,
    }
    return merge_fields(body, choice.extra) if is_own else body


def _message(parts: tuple[Part, ...]) -> Fields:
    texts = [part.text for part in parts if isinstance(part, Text)]
    reasoning = "".join(part.text for part in parts if isinstance(part, Reasoning))
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    calls = [_tool_call(part) for part in parts if isinstance(part, ToolCall)]
    is_silent = not texts and bool(calls or refusal)
    message: Fields = {
        "role": "assistant",
        "content": None if is_silent else "".join(texts),
        "refusal": refusal or None,
    }
    if reasoning:
        message.update(reasoning_content=reasoning, reasoning=reasoning)
    if details := _details(parts):
        message[DETAILS] = details
    if calls:
        message["tool_calls"] = calls
    for part in parts:
        if isinstance(part, Audio):
            told = {name: part.extra[name] for name in _AUDIO_FIELDS if name in part.extra}
            message["audio"] = {"data": part.data, **told}
        elif isinstance(part, Image):
            image = {"type": "image_url", "image_url": {"url": part.url}}
            message.setdefault("images", []).append(image)
        elif isinstance(part, File):
            file = {"type": "file", "file": {"file_data": part.url, "filename": part.name}}
            message.setdefault("files", []).append(file)
    return message


def _details(parts: tuple[Part, ...]) -> list[Fields]:
    writer = SealWriter()
    details: list[Fields] = []
    for part in parts:
        if isinstance(part, Reasoning):
            writer.length += len(part.text)
            details.extend(writer.end(part.seal).get(DETAILS, ()))
    return details


def _tool_call(part: ToolCall) -> Fields:
    if part.type == "custom":
        inner = {"name": part.name, "input": part.arguments}
    else:
        inner = {"name": part.name, "arguments": part.arguments}
    return {"id": part.id, "type": part.type, part.type: inner, **packed_fields(part.seal)}


def _fill_arguments(calls: Iterable[Fields]) -> None:
    """Clients parse what they get, so that no arguments are an empty object."""
    for call in calls:
        inner = call.get("function")
        if inner is not None and not inner["arguments"]:
            inner["arguments"] = "{}"


def _add_to_calls(calls: list[Fields], more: Any) -> None:
    """Adds what the deltas said of a call beyond the canonical fields, by its index."""
    for entry in more if isinstance(more, list) else ():
        index = entry.get("index") if isinstance(entry, Mapping) else None
        if isinstance(index, int) and 0 <= index < len(calls):
            rest = {name: value for name, value in entry.items() if name != "index"}
            calls[index] = merge_fields(calls[index], rest)


def _logprobs(choice: Choice, more: Any) -> Fields | None:
    fields: Fields = {}
    if choice.logprobs is not None:
        fields["content"] = choice.logprobs
    if choice.refusal_logprobs is not None:
        fields["refusal"] = choice.refusal_logprobs
    if isinstance(more, Mapping):
        fields = merge_fields(fields, more)
    return fields or None
