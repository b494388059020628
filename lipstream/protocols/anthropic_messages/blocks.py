"""Content blocks, both ways.

A block keeps its ``type`` among its extra fields, which is how a single text is known to have been
a list. Blocks that have no canonical counterpart (what the provider's own tools did, search
results, whatever comes) are kept whole as ``Opaque``.

Signatures: one that was packed here becomes the seal that it was; any other is this protocol's own.
``is_error: false`` leaves an empty text as the sign that it was said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from lipstream.canonical.parts import (
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
from lipstream.canonical.seal import Seal, unpacked
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import FieldReader, merge_fields
from lipstream.protocols.anthropic_messages import media
from lipstream.protocols.anthropic_messages.wire import NAME, REDACTED, Fields

# ---------------------------------------------------------------- decode


def decode_content(reader: FieldReader, maximum: int) -> tuple[Part, ...]:
    """Takes ``content``: a string or a list of blocks; an empty one is left where it is."""
    value = reader.left.get("content")
    if isinstance(value, str):
        return (Text(value),) if reader.text("content") else ()
    if not isinstance(value, list):
        reader.refuse("content", "a string or a list of blocks")
    return decode_blocks(reader, "content", maximum)


def decode_blocks(reader: FieldReader, name: str, maximum: int) -> tuple[Part, ...]:
    """Takes a list of blocks."""
    return tuple(_decode_block(*entry, maximum) for entry in reader.entries(name, maximum))


def _decode_block(value: Any, path: str, maximum: int) -> Part:
    reader = FieldReader(value, path)
    kind = reader.left.get("type")
    if not isinstance(kind, str):
        reader.refuse("type", "the kind of block, such as text or tool_result")
    if kind == "tool_result":
        return _decode_result(reader, maximum)
    decode = _DECODERS.get(kind)
    part = None if decode is None else decode(reader)
    return Opaque(NAME, value) if part is None else part


def _decode_text(reader: FieldReader) -> Part:
    return Text(reader.needed_text("text"), extra=reader.left)


def _decode_thinking(reader: FieldReader) -> Part:
    text, signature = reader.needed_text("thinking"), reader.text("signature")
    return Reasoning(text, _seal(signature) if signature else None, extra=reader.left)


def _decode_redacted(reader: FieldReader) -> Part:
    return Reasoning("", _seal(reader.needed_text("data"), REDACTED), extra=reader.left)


def _seal(value: str, fields: Fields | None = None) -> Seal:
    return unpacked(value) or Seal(NAME, value, fields=fields or {})


def _decode_tool_use(reader: FieldReader) -> Part:
    call_id, name = reader.needed_text("id"), reader.needed_text("name")
    given = reader.object("input")
    if given is None:
        reader.refuse("input", "an object")
    return ToolCall(call_id, name, msgspec.json.encode(given).decode(), extra=reader.left)


def _decode_result(reader: FieldReader, maximum: int) -> Part:
    call_id = reader.needed_text("tool_use_id")
    content = decode_content(reader, maximum) if reader.left.get("content") is not None else ()
    is_error = reader.boolean("is_error")
    if is_error is False:
        reader.left["is_error"] = ""
    return ToolResult(call_id, content, "", bool(is_error), extra=reader.left)


_DECODERS: dict[str, Callable[[FieldReader], Part | None]] = {
    "text": _decode_text,
    "image": media.decode_image,
    "document": media.decode_document,
    "thinking": _decode_thinking,
    "redacted_thinking": _decode_redacted,
    "tool_use": _decode_tool_use,
}

# ---------------------------------------------------------------- encode

_ID = re.compile(r"[a-zA-Z0-9_-]+")


def wire_id(call_id: str) -> str:
    """A call's id as Anthropic takes it; what it would refuse becomes a digest, always the same."""
    if _ID.fullmatch(call_id):
        return call_id
    return "toolu_" + blake2b(call_id.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def encode_input(arguments: str) -> Fields:
    """A call's arguments as an object; text that is none is carried in one."""
    if not arguments or arguments.isspace():
        return {}
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        value = None
    return value if isinstance(value, dict) else {"_raw": arguments}


def encode_blocks(parts: Iterable[Part], path: str, *, is_own: bool) -> list[Fields]:
    """Parts as blocks, without those that are not written; ``is_own`` lets extra fields be.

    Raises:
        BadRequest: a part cannot be said in this protocol.
    """
    blocks = (_encode_block(part, f"{path}[{i}]", is_own) for i, part in enumerate(parts))
    return [block for block in blocks if block is not None]


def _encode_block(part: Part, path: str, is_own: bool) -> Fields | None:
    if isinstance(part, Opaque):
        if part.dialect == NAME:
            return dict(part.value)
        raise _unsupported(path)
    encode = _ENCODERS.get(type(part))
    if encode is None:
        raise _unsupported(path)
    block = encode(part, path, is_own)
    return merge_fields(block, _written(part)) if is_own and block is not None else block


def _written(part: Part) -> Fields:
    """The extra fields without the signs that stand for something else."""
    extra = dict(part.extra)
    if isinstance(part, ToolResult) and extra.get("is_error") == "":
        extra["is_error"] = False
    return extra


def _unsupported(path: str) -> BadRequest:
    message = f"{path}: a part of this kind cannot be sent to this backend"
    return BadRequest(message, param=path, code="unsupported_part")


def _encode_text(part: Text, path: str, is_own: bool) -> Fields | None:
    """Blank texts are refused by the provider."""
    if not is_own and (not part.text or part.text.isspace()):
        return None
    return {"type": "text", "text": part.text}


def _encode_refusal(part: Refusal, path: str, is_own: bool) -> Fields | None:
    return _encode_text(Text(part.text), path, is_own)


def _encode_image(part: Image, path: str, is_own: bool) -> Fields:
    return {"type": "image", "source": media.image_source(part, path, is_own=is_own)}


def _encode_file(part: File, path: str, is_own: bool) -> Fields:
    if not is_own and media.is_image(part):
        return _encode_image(Image(part.data), path, is_own)
    block = {"type": "document", "source": media.document_source(part, path, is_own=is_own)}
    return {**block, "title": part.name} if part.name else block


def encode_reasoning(part: Reasoning, is_own: bool) -> Fields | None:
    """Only what this protocol sealed goes back to it, and what a client of it brought unsealed."""
    seal = part.seal
    if seal is None:
        return {"type": "thinking", "thinking": part.text} if is_own and part.extra else None
    if seal.dialect != NAME:
        return None
    if seal.fields.get("type") == REDACTED["type"]:
        return {**REDACTED, "data": seal.value}
    return {"type": "thinking", "thinking": part.text, "signature": seal.value}


def _encode_reasoning(part: Reasoning, path: str, is_own: bool) -> Fields | None:
    return encode_reasoning(part, is_own)


def _encode_call(part: ToolCall, path: str, is_own: bool) -> Fields:
    is_free = part.type == "custom"
    given = {"input": part.arguments} if is_free else encode_input(part.arguments)
    return {"type": "tool_use", "id": wire_id(part.id), "name": part.name, "input": given}


def _encode_result(part: ToolResult, path: str, is_own: bool) -> Fields:
    block: Fields = {"type": "tool_result", "tool_use_id": wire_id(part.call_id)}
    content = encode_blocks(part.content, f"{path}.content", is_own=is_own)
    if content:
        block["content"] = as_content(part.content, content)
    if part.is_error:
        block["is_error"] = True
    return block


def as_content(parts: tuple[Part, ...], blocks: list[Fields]) -> str | list[Fields]:
    """A string for a single text that was not said to be a block, else the list."""
    first = parts[0] if len(parts) == 1 else None
    if isinstance(first, Text) and not first.extra and len(blocks) == 1:
        return first.text
    return blocks


_ENCODERS: dict[type[Part], Callable[..., Fields | None]] = {
    Text: _encode_text,
    Refusal: _encode_refusal,
    Image: _encode_image,
    File: _encode_file,
    Reasoning: _encode_reasoning,
    ToolCall: _encode_call,
    ToolResult: _encode_result,
}
