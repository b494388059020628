"""The input of a request to messages.

What the assistant did stands in the input as a flat list of items: reasoning, messages, calls.
Items in a row are one canonical turn, so that other protocols get turns as they know them; each
part keeps what its item had beside it under ``content`` among its extra fields, which is where the
encoder finds the items again. A part that goes on with the message before it has None there.

What the provider did itself is history, which other protocols do without (an ``Opaque`` part of the
assistant). What another provider cannot do without (a reference to what was stored, a compacted
conversation, the result of a tool that only this protocol has) is an ``Opaque`` part of the user,
which other protocols refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from lipstream.canonical.call import Message, Role
from lipstream.canonical.limits import CallLimits
from lipstream.canonical.parts import Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from lipstream.canonical.seal import Seal
from lipstream.framing.json_fields import FieldReader, refuse
from lipstream.framing.sse import encode_json
from lipstream.protocols.openai_responses.content import decode_content
from lipstream.protocols.openai_responses.reasoning import seal_of_client, text_of_item
from lipstream.protocols.openai_responses.wire import (
    CALLS,
    CUSTOM_CALL,
    MESSAGE,
    NAME,
    REASONING,
)

# The extra fields of a message that was something else.
PLAIN = {"role": "input"}  # an input that was a string
INSTRUCTIONS = {"role": "instructions"}  # beside the input
ITEM = {"role": "item"}  # an item that is no message
ELSEWHERE = {"role": "elsewhere"}  # a conversation that is not in the request

_ROLES = {role.value: role for role in (Role.SYSTEM, Role.DEVELOPER, Role.USER, Role.ASSISTANT)}
_RESULTS = ("function_call_output", "custom_tool_call_output")
_STORED = ("previous_response_id", "conversation", "prompt")
_NEEDED = frozenset(
    # kinds without which the rest of the input makes no sense
    {
        "item_reference",
        "compaction",
        "compaction_summary",
        "additional_tools",
        "computer_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "mcp_approval_response",
    }
)


class InputReader:
    """Reads the items of one request in order."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._names: dict[str, str] = {}  # of the tools, by the id of the call
        self._messages: list[Message] = []
        self._turn: list[Part] = []  # of the assistant, under way
        self._seals: dict[str, Seal] = {}  # that came apart from their calls

    def decode(self, reader: FieldReader) -> tuple[Message, ...]:
        """Takes ``input``; an empty one is left where it is."""
        value = reader.left.get("input")
        if isinstance(value, str):
            if not value:
                return ()
            del reader.left["input"]
            return (Message(Role.USER, (Text(value),), extra=PLAIN),)
        if value is not None and not isinstance(value, list):
            reader.refuse("input", "a string or a list of items")
        for entry, path in reader.entries("input", self._limits.messages):
            self._item(entry, path)
        self._end_turn()
        return (
            tuple(map(self._with_seals, self._messages)) if self._seals else tuple(self._messages)
        )

    def _item(self, value: Any, path: str) -> None:
        reader = FieldReader(value, path)
        kind = reader.left.get("type")
        if kind is None and "role" in reader.left:
            kind = MESSAGE
        if not isinstance(kind, str) or not kind:
            reader.refuse("type", "the kind of item, such as message or function_call")
        decode = _DECODERS.get(kind)
        if decode is not None:
            decode(self, reader)
        elif kind in _NEEDED:
            self._say(Message(Role.USER, (Opaque(NAME, value),), extra=ITEM))
        else:
            self._turn.append(Opaque(NAME, value))

    def _say(self, message: Message) -> None:
        self._end_turn()
        self._messages.append(message)

    def _end_turn(self) -> None:
        if self._turn:
            self._messages.append(Message(Role.ASSISTANT, tuple(self._turn)))
            self._turn = []

    # -------------------------------------------------------- kinds of items

    def _message(self, reader: FieldReader) -> None:
        given = reader.needed_text("role")
        role = _ROLES.get(given.lower())
        if role is None:
            refuse(reader.at("role"), "one of " + ", ".join(_ROLES), given)
        item = dict(reader.left)
        parts = decode_content(reader, "content", self._limits.parts_per_message)
        if "content" not in item:
            reader.refuse("content", "a string or a list of parts")
        if role is not Role.ASSISTANT:
            self._say(Message(role, parts, extra=reader.left))
        elif not parts:
            self._turn.append(Opaque(NAME, {"role": "assistant", **item}))
        else:
            first, *rest = parts
            self._turn.append(_marked(first, reader.left))
            self._turn.extend(_marked(part, None) for part in rest)

    def _reasoning(self, reader: FieldReader) -> None:
        """A packed seal of a call is for that call alone."""
        item = reader.left
        for name in ("summary", "content"):
            if item.get(name) is not None and not isinstance(item[name], list):
                reader.refuse(name, "a list of parts")
        if item.get("encrypted_content") is not None:
            FieldReader(item, reader.path).text("encrypted_content")
        seal = seal_of_client(item)
        if seal is not None and seal.call_id:
            self._seals[seal.call_id] = seal
        else:
            self._turn.append(Reasoning(text_of_item(item), seal, extra={"content": item}))

    def _call(self, reader: FieldReader) -> None:
        kind = reader.needed_text("type")
        field = CALLS[kind]
        call_id, name = reader.needed_text("call_id"), reader.needed_text("name")
        if isinstance(reader.left.get(field), dict):
            reader.left[field] = encode_json(reader.left[field]).decode()
        arguments = reader.text(field)
        self._names[call_id] = name
        form = "custom" if kind == CUSTOM_CALL else "function"
        extra = {"type": kind, **reader.left}
        self._turn.append(ToolCall(call_id, name, arguments, form, extra=extra))

    def _result(self, reader: FieldReader) -> None:
        call_id = reader.needed_text("call_id")
        if reader.left.get("output") is None:
            reader.refuse("output", "a string or a list of parts")
        content = decode_content(reader, "output", self._limits.parts_per_message)
        name = self._names.get(call_id, "")
        self._say(Message(Role.TOOL, (ToolResult(call_id, content, name, extra=reader.left),)))

    # -------------------------------------------------------- seals of calls

    def _with_seals(self, message: Message) -> Message:
        parts = tuple(
            attrs.evolve(part, seal=seal)
            if isinstance(part, ToolCall) and (seal := self._seals.get(part.id)) is not None
            else part
            for part in message.parts
        )
        return attrs.evolve(message, parts=parts)


def _marked(part: Part, item: dict[str, Any] | None) -> Part:
    """A part of a message with what the message had beside it."""
    return attrs.evolve(part, extra={**part.extra, "content": item})


def missing_history(body: FieldReader) -> tuple[Message, ...]:
    """What stands for a conversation that only its own provider has: see the module's text."""
    fields = {name: body.left[name] for name in _STORED if body.left.get(name)}
    return (Message(Role.USER, (Opaque(NAME, fields),), extra=ELSEWHERE),) if fields else ()


_DECODERS: dict[str, Callable[[InputReader, FieldReader], None]] = {
    MESSAGE: InputReader._message,
    REASONING: InputReader._reasoning,
    **dict.fromkeys(CALLS, InputReader._call),
    **dict.fromkeys(_RESULTS, InputReader._result),
}
