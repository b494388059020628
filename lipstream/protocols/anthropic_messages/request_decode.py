"""A Messages request to a call.

Read is what clients really send, Claude Code above all: system prompts and results with cache
marks, typed tools, system messages between the turns, thinking of every kind, and unknown fields,
which are kept. Refused is what has a wrong type, with the path of the field. Values are not judged.

A user turn with tool results becomes one message for each result and one for the rest, as
everywhere. What it takes to write a turn again as it came stays among the messages' extra fields,
under names that say nothing to anybody else:

- ``role`` of a piece is :data:`SAME_TURN` where it belongs to the turn of the message before, and
  :data:`IN_PLACE` of a system message that stood between the turns.
- ``content`` of a piece is the list of its places, where the results did not come first; of an
  assistant's message it is :data:`THOUGHT` where it began with thinking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.limits import CallLimits
from lipstream.canonical.parts import Part, Reasoning, Text, ToolCall, ToolResult
from lipstream.canonical.seal import Seal
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import FieldReader, refuse
from lipstream.framing.json_guard import decode_json
from lipstream.protocols.anthropic_messages.blocks import decode_blocks, decode_content
from lipstream.protocols.anthropic_messages.errors import UNTHREADED
from lipstream.protocols.anthropic_messages.options import decode_options
from lipstream.protocols.anthropic_messages.wire import NAME

SAME_TURN = "user"
IN_PLACE = "system"
THOUGHT = "thinking"

PASSED_HEADERS = ("anthropic-version", "anthropic-beta")

_ROLES = {role.value: role for role in (Role.USER, Role.ASSISTANT, Role.SYSTEM)}
_MODES = {
    "auto": ToolMode.AUTO,
    "any": ToolMode.ANY,
    "tool": ToolMode.NAMED,
    "none": ToolMode.NONE,
}
_CLIENT_RUN = ("bash_", "text_editor_", "computer_", "memory_", "browser_", "tool_search_tool_")


def decode_request(body: bytes, ask: Ask, limits: CallLimits) -> Call:
    """Reads a request; see ``interfaces.ServerDialect.decode_request``.

    A query (``?beta=true``) says nothing that the headers do not.
    """
    value = decode_json(body, max_depth=limits.json_depth, max_bytes=limits.body)
    reader = FieldReader(value, "")
    model = reader.text("model")
    _check_is_whole(reader)
    system = _decode_system(reader, limits.parts_per_message)
    messages = _Messages(limits).decode(reader)
    tools = _decode_tools(reader, limits)
    choice, is_parallel = _decode_tool_choice(reader)
    options = attrs.evolve(decode_options(reader), parallel_tool_calls=is_parallel)
    return Call(
        dialect=NAME,
        model=model,
        messages=(*system, *messages),
        tools=tools,
        tool_choice=choice,
        options=options,
        is_streaming=bool(reader.boolean("stream")),
        wants_usage=True,
        may_race=not _leaves_traces(reader, tools),
        headers=_passed(ask.headers),
        extra=reader.left,
    )


def _check_is_whole(reader: FieldReader) -> None:
    """Refuses to be one turn of a conversation that a provider keeps.

    The next turn may lead to another provider, which would know nothing of the turns before.
    Anthropic's own client, whose tool runner asks for it without being told to, knows this refusal
    and sends the whole conversation from then on.
    """
    if reader.left.get("thread") is not None:
        message = "thread: send the whole conversation, it is kept nowhere between requests"
        raise BadRequest(message, param="thread", code=UNTHREADED)


def _passed(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name in PASSED_HEADERS if (text := headers.get(name)))


def _leaves_traces(reader: FieldReader, tools: tuple[Tool, ...]) -> bool:
    """A container, or a tool that the provider runs: once is enough."""
    if reader.left.get("container") or reader.left.get("mcp_servers"):
        return True
    kinds = (tool.type for tool in tools if tool.type != "function")
    return any(not kind.startswith(_CLIENT_RUN) for kind in kinds)


# ---------------------------------------------------------------- messages


def _decode_system(reader: FieldReader, maximum: int) -> tuple[Message, ...]:
    """The system prompt as a message; an empty one is left where it is."""
    value = reader.left.get("system")
    parts: tuple[Part, ...] = ()
    if isinstance(value, str):
        if value:
            del reader.left["system"]
            parts = (Text(value),)
    elif isinstance(value, list):
        parts = decode_blocks(reader, "system", maximum)
    elif value is not None:
        reader.refuse("system", "a string or a list of text blocks")
    return (Message(Role.SYSTEM, parts),) if parts else ()


class _Messages:
    """Reads the conversation; knows the calls before, which results refer to."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._names: dict[str, str] = {}  # of the tools, by the id of the call

    def decode(self, reader: FieldReader) -> tuple[Message, ...]:
        entries = reader.objects("messages", self._limits.messages)
        if not entries:
            reader.refuse("messages", "a list of at least one message")
        messages: list[Message] = []
        for i, entry in enumerate(entries):
            messages.extend(self._turn(entry, i))
        return tuple(messages)

    def _turn(self, value: Any, place: int) -> Sequence[Message]:
        reader = FieldReader(value, f"messages[{place}]")
        given = reader.needed_text("role")
        role = _ROLES.get(given)
        if role is None:
            refuse(reader.at("role"), "user, assistant or system", given)
        parts = decode_content(reader, self._limits.parts_per_message)
        if role is Role.USER:
            return self._user(reader, parts)
        if role is Role.SYSTEM:
            return [Message(role, parts, extra={**reader.left, "role": IN_PLACE})]
        return [self._assistant(reader, parts)]

    def _assistant(self, reader: FieldReader, parts: tuple[Part, ...]) -> Message:
        for part in parts:
            if isinstance(part, ToolCall):
                self._names[part.id] = part.name
        if parts and isinstance(parts[0], Reasoning):
            reader.left["content"] = THOUGHT
        return Message(Role.ASSISTANT, _with_seals_of_calls(parts), extra=reader.left)

    def _user(self, reader: FieldReader, parts: tuple[Part, ...]) -> list[Message]:
        results = [i for i, part in enumerate(parts) if isinstance(part, ToolResult)]
        if not results:
            return [Message(Role.USER, parts, extra=reader.left)]
        others = [i for i in range(len(parts)) if not isinstance(parts[i], ToolResult)]
        is_usual = results[-1] == len(results) - 1
        pieces: list[Message] = []
        for role, places in [*((Role.TOOL, [i]) for i in results), (Role.USER, others)]:
            if not places:
                continue
            extra = {"role": SAME_TURN} if pieces else reader.left
            if not is_usual:
                extra["content"] = places
            pieces.append(Message(role, tuple(self._named(parts[i]) for i in places), extra=extra))
        return pieces

    def _named(self, part: Part) -> Part:
        if isinstance(part, ToolResult):
            return attrs.evolve(part, name=self._names.get(part.call_id, ""))
        return part


def _with_seals_of_calls(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """A seal that says which call it belongs to is put there, out of the block that carried it."""
    seals: dict[str, Seal] = {}
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, Reasoning) and part.seal is not None and part.seal.call_id:
            seals[part.seal.call_id] = part.seal
        else:
            kept.append(part)
    if not seals:
        return parts
    return tuple(
        attrs.evolve(part, seal=seals.get(part.id)) if isinstance(part, ToolCall) else part
        for part in kept
    )


# ---------------------------------------------------------------- tools


def _decode_tools(reader: FieldReader, limits: CallLimits) -> tuple[Tool, ...]:
    return tuple(_decode_tool(*entry) for entry in reader.entries("tools", limits.tools))


def _decode_tool(value: Any, path: str) -> Tool:
    """A tool of the client's; one with a type of its own stands in the extra fields as given."""
    reader = FieldReader(value, path)
    kind = reader.left.get("type")
    if kind is not None and not isinstance(kind, str):
        reader.refuse("type", "a string")
    if kind not in (None, "", "custom"):
        name = reader.left.get("name")
        return Tool(name if isinstance(name, str) else "", type=kind, extra=value)
    return Tool(
        reader.needed_text("name"),
        reader.text("description"),
        reader.object("input_schema"),
        reader.boolean("strict"),
        extra=reader.left,
    )


def _decode_tool_choice(reader: FieldReader) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be parallel."""
    if reader.left.get("tool_choice") is None:
        return None, None
    choice = reader.inner("tool_choice")
    kind = choice.needed_text("type")
    mode = _MODES.get(kind)
    if mode is None:
        refuse(choice.at("type"), "one of " + ", ".join(_MODES), kind)
    names = (choice.needed_text("name"),) if mode is ToolMode.NAMED else ()
    is_single = choice.boolean("disable_parallel_tool_use")
    is_parallel = None if is_single is None else not is_single
    return ToolChoice(mode, names, extra=choice.left), is_parallel
