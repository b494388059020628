"""Parts of a message to content blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b

import msgspec

from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from lipstream.errors import BadRequest
from lipstream.protocols.bedrock_converse.media import Documents, audio_block, image_block
from lipstream.protocols.bedrock_converse.models import Family
from lipstream.protocols.bedrock_converse.wire import NAME, REDACTED, Fields

MAX_ID = 64
_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_CLAUDE_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class BlockWriter:
    """Writes the blocks of one request.

    Attributes:
        names: The tools that were called, in the order of their first call.
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._documents = Documents()
        self._attached: list[Fields] = []
        self.names: dict[str, None] = {}

    def message(self, parts: Iterable[Part], path: str) -> list[Fields]:
        """The blocks of a message; what a result cannot hold stands behind it.

        Raises:
            BadRequest: a part cannot be said in this protocol.
        """
        blocks = self.blocks(parts, path)
        attached, self._attached = self._attached, []
        return blocks + attached

    def blocks(self, parts: Iterable[Part], path: str) -> list[Fields]:
        """Parts as blocks, without those that are not written.

        Raises:
            BadRequest: a part cannot be said in this protocol.
        """
        found = (self._block(part, f"{path}[{i}]") for i, part in enumerate(parts))
        return [block for block in found if block is not None]

    def _block(self, part: Part, path: str) -> Fields | None:
        write = _WRITERS.get(type(part))
        if write is None:
            message = f"{path}: a part of this kind cannot be sent to this backend"
            raise BadRequest(message, param=path, code="unsupported_part")
        return write(self, part, path)

    def _text(self, part: Text | Refusal, path: str) -> Fields | None:
        """Blank texts are refused by the service."""
        return {"text": part.text} if part.text and not part.text.isspace() else None

    def _image(self, part: Image, path: str) -> Fields:
        return image_block(part, path)

    def _file(self, part: File, path: str) -> Fields:
        return self._documents.block(part, path)

    def _audio(self, part: Audio, path: str) -> Fields:
        return audio_block(part)

    def _reasoning(self, part: Reasoning, path: str) -> Fields | None:
        """Only what this protocol sealed goes back to it, and only Claude seals."""
        seal = part.seal
        if seal is None or seal.dialect != NAME or not seal.value:
            return None
        if seal.fields.get("type") == REDACTED["type"]:
            return {"reasoningContent": {"redactedContent": seal.value}}
        told = {"text": part.text, "signature": seal.value}
        return {"reasoningContent": {"reasoningText": told}}

    def _call(self, part: ToolCall, path: str) -> Fields:
        name = _NOT_IN_NAMES.sub("_", part.name)[:MAX_ID] or "_"
        self.names[name] = None
        is_free = part.type == "custom"
        given = {"input": part.arguments} if is_free else encode_input(part.arguments)
        return {"toolUse": {"toolUseId": self._id(part.id), "name": name, "input": given}}

    def _result(self, part: ToolResult, path: str) -> Fields:
        call_id = self._id(part.call_id)
        content = self.blocks(part.content, f"{path}.content")
        sounds = [block for block in content if "audio" in block]
        if sounds:
            title = f"Attached to the result of {part.name or 'the call'} ({call_id}):"
            self._attached += [{"text": title}, *sounds]
            content = [block for block in content if "audio" not in block]
        if self._family is Family.MISTRAL:
            content = [_as_json(block) for block in content]
        result: Fields = {"toolUseId": call_id, "content": content}
        if part.is_error:
            result["content"] = content or [{"text": "Error"}]
            result["status"] = "error"
        return {"toolResult": result}

    def _id(self, call_id: str) -> str:
        """A call's id as the model takes it; any other becomes a digest, always the same."""
        taken = _CLAUDE_ID if self._family is Family.CLAUDE else _ID
        if taken.fullmatch(call_id):
            return call_id
        data = call_id.encode(errors="surrogatepass")
        return "tooluse_" + blake2b(data, digest_size=12).hexdigest()


_WRITERS: dict[type[Part], Callable[..., Fields | None]] = {
    Text: BlockWriter._text,
    Refusal: BlockWriter._text,
    Image: BlockWriter._image,
    File: BlockWriter._file,
    Audio: BlockWriter._audio,
    Reasoning: BlockWriter._reasoning,
    ToolCall: BlockWriter._call,
    ToolResult: BlockWriter._result,
}


def check_name(name: str, path: str) -> None:
    """Whether a tool may have this name: the model would call it by another one otherwise.

    Raises:
        BadRequest: it may not.
    """
    if not _TOOL_NAME.fullmatch(name):
        message = f"{path}: a tool's name has up to 64 letters, digits, _ and - with this backend"
        raise BadRequest(message, param=path, code="unsupported_tool_name")


def is_sayable(part: Part) -> bool:
    """Whether a model's own part may be said again; what another one made or drew may not."""
    return isinstance(part, Text | Refusal | ToolCall | Reasoning)


def encode_input(arguments: str) -> Fields:
    """A call's arguments as an object; text that is none is carried in one."""
    if not arguments or arguments.isspace():
        return {}
    value = _object(arguments)
    return {"_raw": arguments} if value is None else value


def _object(text: str) -> Fields | None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return value if isinstance(value, dict) else None


def _as_json(block: Fields) -> Fields:
    """Text of a result for a model that takes objects alone."""
    if "text" not in block:
        return block
    value = _object(block["text"])
    return {"json": {"result": block["text"]} if value is None else value}
