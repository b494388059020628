"""A whole answer as a message; also the words and blocks that streams need as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer, Choice
from lipstream.canonical.events import FinishReason
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
)
from lipstream.canonical.seal import Seal, packed
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json
from lipstream.protocols.anthropic_messages.block_writer import signature_of
from lipstream.protocols.anthropic_messages.blocks import encode_input
from lipstream.protocols.anthropic_messages.usage import encode_usage
from lipstream.protocols.anthropic_messages.wire import (
    NAME,
    REASON_WORDS,
    REDACTED,
    STOP_REASONS,
    Fields,
)


def encode_answer(
    answer: Answer, call: Call, model: str | None, new_id: Callable[[], str]
) -> bytes:
    """The body of a response; see ``interfaces.ServerDialect.encode_answer``."""
    is_own = answer.dialect == NAME
    choice = answer.choices[0] if answer.choices else Choice(0, (), FinishReason.STOP)
    parts = [part for part in choice.parts if not (is_own and isinstance(part, Refusal))]
    has_calls = any(isinstance(part, ToolCall) for part in choice.parts)
    has_refused = any(isinstance(part, Refusal) for part in choice.parts)
    body: Fields = {
        "id": answer.id or f"msg_{new_id()}",
        "type": "message",
        "role": "assistant",
        "model": answer.model if model is None else model,
        "content": [block for part in parts for block in _blocks(part, is_own)],
        "stop_reason": stop_word(choice.reason, choice.detail, has_calls, has_refused),
    }
    extra = {**answer.extra, **choice.extra} if is_own else {}
    body = merge_fields(body, {"stop_sequence": None, **extra})
    body["usage"] = encode_usage(answer.usage)
    return encode_json(body)


def stop_word(reason: FinishReason, detail: str, has_calls: bool, has_refused: bool) -> str:
    """Why the message ended: the provider's own word where it is one of this dialect's.

    Some servers say that they just stopped after a call or a refusal; clients go by the word.
    """
    if detail and STOP_REASONS.get(detail) is reason:
        return detail
    if reason is FinishReason.STOP and has_calls:
        return "tool_use"
    if reason is FinishReason.STOP and has_refused:
        return "refusal"
    return REASON_WORDS[reason]


def media_block(kind: str, url: str, name: str = "") -> Fields:
    """A picture or a file that the model made."""
    mime, mark, data = url.removeprefix("data:").partition(";base64,")
    source: Fields = {"type": "url", "url": url}
    if mark and url.startswith("data:"):
        source = {"type": "base64", "media_type": mime, "data": data}
    block: Fields = {"type": "image" if kind == "image" else "document", "source": source}
    return {**block, "title": name} if name else block


def _blocks(part: Part, is_own: bool) -> Iterator[Fields]:
    extra = part.extra if is_own else {}
    if isinstance(part, Text | Refusal):
        if part.text or is_own:
            yield merge_fields({"type": "text", "text": part.text}, extra)
        if isinstance(part, Text) and part.seal is not None:
            yield from _sealed(part.seal)
    elif isinstance(part, Reasoning):
        yield merge_fields(_reasoning(part), extra)
    elif isinstance(part, ToolCall):
        yield merge_fields(_call(part), extra)
        if part.seal is not None:
            yield from _sealed(attrs.evolve(part.seal, call_id=part.id))
    elif isinstance(part, Opaque):
        if part.dialect == NAME:
            yield dict(part.value)
    else:
        yield from _media(part)


def _reasoning(part: Reasoning) -> Fields:
    seal, value = part.seal, signature_of(part.seal)
    is_plain = seal is None or (
        seal.dialect == NAME and seal.fields.get("type") != REDACTED["type"]
    )
    if part.text or is_plain:
        return {"type": "thinking", "thinking": part.text, "signature": value}
    return {**REDACTED, "data": value}


def _sealed(seal: Seal) -> Iterator[Fields]:
    """Another protocol's seal on something that has no place for one here."""
    if seal.dialect != NAME:
        yield {**REDACTED, "data": packed(seal)}


def _call(part: ToolCall) -> Fields:
    given: Any = encode_input(part.arguments)
    if part.type == "custom":
        given = {"input": part.arguments}
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": given}


def _media(part: Part) -> Iterator[Fields]:
    if isinstance(part, Image):
        yield media_block("image", part.url)
    elif isinstance(part, File):
        yield media_block("file", part.url or part.data, part.name)
    elif isinstance(part, Audio) and part.extra.get("transcript"):
        yield {"type": "text", "text": part.extra["transcript"]}
