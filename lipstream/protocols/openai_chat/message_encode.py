"""The conversation of a call as chat messages.

A chat client's messages are written as they came. Those of another protocol are written in the way
that most servers understand, which means for

- developers: they speak as ``system``, which OpenAI takes for the same;
- tool results: text alone. Images, files and audio follow in a user message behind all results of
  the turn, with a line that names the call. A failed result says so: chat has no flag for it;
- ids of calls: those that OpenAI would refuse become a hash of themselves, in calls and results;
- what the model drew or said aloud itself: it follows in a user message, too, since no chat server
  takes it from an assistant;
- earlier turns of which nothing is left, for instance of reasoning alone: they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from lipstream.canonical.call import Message, Role
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
    ToolResult,
)
from lipstream.framing.json_fields import merge_fields
from lipstream.protocols.openai_chat.parts import encode_content, encode_foreign_part
from lipstream.protocols.openai_chat.seals import reasoning_fields, signed_fields
from lipstream.protocols.openai_chat.wire import FUNCTION_CALL, NAME, Fields


def encode_messages(messages: Sequence[Message], dialect: str) -> list[Fields]:
    """The messages of a call of this dialect.

    Raises:
        BadRequest: a part cannot be said in this protocol.
    """
    if dialect != NAME:
        return list(_Conversation(dialect).encoded(messages))
    return [
        fields
        for i, message in enumerate(messages)
        for fields in _own_message(message, f"messages[{i}].content")
    ]


# ---------------------------------------------------------------- of a chat client


def _own_message(message: Message, path: str) -> Iterator[Fields]:
    if message.role is Role.TOOL:
        yield from (_own_result(message, result, path) for result in _results(message))
    elif message.role is Role.ASSISTANT:
        yield _own_assistant(message, path)
    else:
        yield _finished({"role": message.role.value}, message, message.parts, path)


def _finished(fields: Fields, message: Message, parts: Sequence[Part], path: str) -> Fields:
    """With content, unless it had none of the usual kind, with its name and its extra fields."""
    if parts:
        fields["content"] = encode_content(list(parts), path) or ""
    if message.name:
        fields["name"] = message.name
    return merge_fields(fields, message.extra)


def _own_result(message: Message, result: ToolResult, path: str) -> Fields:
    if message.extra.get("role") == "function":
        fields: Fields = {"role": "function", "name": result.name}
    else:
        fields = {"role": "tool", "tool_call_id": result.call_id}
    return _finished(fields, message, result.content, path)


def _own_assistant(message: Message, path: str) -> Fields:
    fields: Fields = {"role": "assistant"}
    content: list[Part] = []
    calls: list[Fields] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            if FUNCTION_CALL in part.extra:
                call = {"name": part.name, "arguments": part.arguments}
                fields[FUNCTION_CALL] = merge_fields(call, part.extra[FUNCTION_CALL])
            else:
                calls.append(with_type(_tool_call(part, part.id), part.extra))
        elif isinstance(part, Refusal) and not part.extra:
            fields["refusal"] = part.text
        elif not isinstance(part, Reasoning) and _is_own(part):
            content.append(part)
    fields.update(reasoning_fields(_reasoning(message), is_own=True))
    if calls:
        fields["tool_calls"] = calls
    return _finished(fields, message, content, path)


def with_type(fields: Fields, extra: Mapping[str, Any]) -> Fields:
    """With its extra fields, and without a type where it came without one."""
    if extra.get("type") == "":
        del fields["type"]
        extra = {name: value for name, value in extra.items() if name != "type"}
    return merge_fields(fields, extra)


def _tool_call(part: ToolCall, call_id: str) -> Fields:
    name = "input" if part.type == "custom" else "arguments"
    inner = {"name": part.name, name: part.arguments}
    return {"id": call_id, "type": part.type, part.type: inner, **signed_fields(part.seal)}


def _results(message: Message) -> list[ToolResult]:
    return [part for part in message.parts if isinstance(part, ToolResult)]


def _reasoning(message: Message) -> list[Reasoning]:
    return [part for part in message.parts if isinstance(part, Reasoning)]


def _is_own(part: Part) -> bool:
    return not isinstance(part, Opaque) or part.dialect == NAME


# ---------------------------------------------------------------- of any other client

_ID = re.compile(r"[!-~]{1,64}")
_NOT_IN_NAMES = re.compile(r"[\s<|\\/>]")
_SAYS_ERROR = re.compile(r"\W*error\b", re.IGNORECASE | re.ASCII)
_IS_ATTACHED = "The result is attached to the next message."
_MEDIA = (Image, File, Audio)
_NOTHING = Part()


def wire_id(call_id: str) -> str:
    """The id of a call as OpenAI takes it: itself, or a hash of itself."""
    if _ID.fullmatch(call_id):
        return call_id
    return "call_" + sha256(call_id.encode(errors="surrogatepass")).hexdigest()[:32]


class _Conversation:
    """The messages of one call, and what waits for the end of the turn's results."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._attached: list[Fields] = []

    def encoded(self, messages: Sequence[Message]) -> Iterator[Fields]:
        for i, message in enumerate(messages):
            path = f"messages[{i}].content"
            if message.role is Role.TOOL:
                yield from [self._result(result, path) for result in _results(message)]
                continue
            yield from self._attachment()
            if message.role is Role.ASSISTANT:
                yield from self._assistant(message, path)
            else:
                yield self._question(message, path)
        yield from self._attachment()

    def _attachment(self) -> Iterator[Fields]:
        if self._attached:
            yield {"role": "user", "content": self._attached}
            self._attached = []

    def _attach(self, title: str, parts: list[Fields]) -> None:
        if parts:
            self._attached += [{"type": "text", "text": title}, *parts]

    def _encoded(self, parts: Sequence[Part], path: str) -> list[Fields]:
        """All that is content, in chat's own form."""
        found = (
            encode_foreign_part(part, f"{path}[{i}]", self._dialect) for i, part in enumerate(parts)
        )
        return [fields for fields in found if fields is not None]

    def _question(self, message: Message, path: str) -> Fields:
        role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
        content: Any = self._encoded(message.parts, path)
        if all(part["type"] == "text" for part in content) and len(content) < 2:
            content = "".join(part["text"] for part in content)
        return _named({"role": role.value, "content": content}, message)

    def _result(self, result: ToolResult, path: str) -> Fields:
        call_id = wire_id(result.call_id)
        parts = self._encoded(result.content, path)
        others = [part for part in parts if part["type"] != "text"]
        self._attach(f"Attached to the result of {result.name or 'the call'} ({call_id}):", others)
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        text = text or (_IS_ATTACHED if others else "")
        if result.is_error and not _SAYS_ERROR.match(text):
            text = f"Error: {text}" if text else "Error"
        return {"role": "tool", "tool_call_id": call_id, "content": text}

    def _assistant(self, message: Message, path: str) -> Iterator[Fields]:
        parts = message.parts
        text = "".join(part.text for part in parts if isinstance(part, Text))
        refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
        own = [dict(part.value) for part in parts if isinstance(part, Opaque) and _is_own(part)]
        calls = [_foreign_call(part) for part in parts if isinstance(part, ToolCall)]
        said: Fields = reasoning_fields(_reasoning(message), is_own=False)
        if refusal:
            said["refusal"] = refusal
        if calls:
            said["tool_calls"] = calls
        content: Any = text or (None if calls else "")
        if own:
            content = [{"type": "text", "text": text}, *own] if text else own
        if content or said or not parts:
            yield _named({"role": "assistant", "content": content, **said}, message)
        media = [part if isinstance(part, _MEDIA) else _NOTHING for part in parts]
        self._attach("Attached to the answer of the assistant:", self._encoded(media, path))


def _named(fields: Fields, message: Message) -> Fields:
    if message.name:
        fields["name"] = _NOT_IN_NAMES.sub("_", message.name)[:64]
    return fields


def _foreign_call(part: ToolCall) -> Fields:
    fields = _tool_call(part, wire_id(part.id))
    if part.type == "function" and not part.arguments.strip():
        fields["function"]["arguments"] = "{}"
    return fields
