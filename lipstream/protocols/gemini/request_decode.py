"""A generateContent request to a call.

The model stands in the path. Read is what clients really send: both spellings of a field, a single
part or turn in the place of a list, turns without a role. A turn of the user's that holds results
of tools becomes one message for each result and one for the rest; messages that stood in one turn
say so (``content`` among their extra fields), so that the turn can be put together again. How turns
of the model's are joined is told in :mod:`.joining`.
"""

from __future__ import annotations

from typing import Any

import attrs

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call, Message, Role, Tool
from lipstream.canonical.limits import CallLimits
from lipstream.canonical.parts import Part, Reasoning, Text, ToolCall, ToolResult
from lipstream.canonical.seal import Seal
from lipstream.errors import TooLarge
from lipstream.framing.json_fields import FieldReader
from lipstream.framing.json_guard import decode_json
from lipstream.protocols.gemini.config_decode import decode_options, decode_tool_choice
from lipstream.protocols.gemini.fields import Reader
from lipstream.protocols.gemini.ids import CallBook
from lipstream.protocols.gemini.joining import JOINED, joined
from lipstream.protocols.gemini.parts import decode_part
from lipstream.protocols.gemini.schema import to_json_schema
from lipstream.protocols.gemini.wire import ALT, NAME

STREAM = "streamGenerateContent"
_ROLES = {
    "user": Role.USER,
    "": Role.USER,
    "function": Role.USER,
    "tool": Role.USER,
    "model": Role.ASSISTANT,
}


def decode_request(body: bytes, ask: Ask, limits: CallLimits) -> Call:
    """Reads a request; see ``interfaces.ServerDialect.decode_request``."""
    return _decode(_read(body, limits), ask, limits)


def decode_count_request(body: bytes, ask: Ask, limits: CallLimits) -> Call:
    """Reads a ``countTokens`` request: bare contents, or a whole request within."""
    reader = _read(body, limits)
    if reader.left.get("generateContentRequest") is not None:
        reader = reader.inner("generateContentRequest")
    return _decode(reader, ask, limits)


def _read(body: bytes, limits: CallLimits) -> Reader:
    return Reader(decode_json(body, max_depth=limits.json_depth, max_bytes=limits.body), "")


def _decode(reader: Reader, ask: Ask, limits: CallLimits) -> Call:
    named = reader.text("model").removeprefix("models/")
    messages = _decode_system(reader, limits) + _decode_contents(reader, limits)
    tools = _decode_tools(reader, limits)
    choice = decode_tool_choice(reader)
    options = decode_options(reader)
    is_streaming = ask.action == STREAM
    reader.left.pop(ALT, None)
    if is_streaming and ask.query.get("alt") != "sse":
        reader.left[ALT] = "json"
    return Call(
        dialect=NAME,
        model=ask.model.removeprefix("models/") or named,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        options=options,
        is_streaming=is_streaming,
        wants_usage=True,
        may_race=all(tool.type == "function" for tool in tools),
        extra=reader.left,
    )


# ---------------------------------------------------------------- contents


def _decode_system(reader: Reader, limits: CallLimits) -> tuple[Message, ...]:
    value = reader.left.get("systemInstruction")
    if value is None:
        return ()
    if isinstance(value, str):
        del reader.left["systemInstruction"]
        return (Message(Role.SYSTEM, (Text(value),)),)
    content = reader.inner("systemInstruction")
    parts = _decode_parts(content, limits, CallBook(), Role.SYSTEM)
    if not parts and not content.left:
        return ()
    return (Message(Role.SYSTEM, parts, extra=content.left),)


def _decode_contents(reader: Reader, limits: CallLimits) -> tuple[Message, ...]:
    if isinstance(reader.left.get("contents"), dict):
        reader.left["contents"] = [reader.left["contents"]]
    entries = reader.objects("contents", limits.messages)
    if not entries:
        reader.refuse("contents", "a list of at least one content")
    book = CallBook()
    messages: list[Message] = []
    for i, entry in enumerate(entries):
        messages += _decode_content(entry, f"contents[{i}]", limits, book)
    return _with_seals(joined(messages))


def _decode_content(value: Any, path: str, limits: CallLimits, book: CallBook) -> list[Message]:
    content = Reader(value, path)
    given = content.optional_text("role") or ""
    role = _ROLES.get(given.lower())
    if role is None:
        content.left["role"] = given
        content.refuse("role", "user or model")
    content.left.pop("role", None)
    if content.left.get(JOINED) == "":
        del content.left[JOINED]
    if given not in ("user", "model", ""):
        content.left["role"] = given
    parts = _decode_parts(content, limits, book, role)
    results = [part for part in parts if isinstance(part, ToolResult)]
    rest = tuple(part for part in parts if not isinstance(part, ToolResult))
    messages = [Message(Role.TOOL, (result,)) for result in results]
    if rest or not results:
        messages.append(Message(role, rest))
    return [
        attrs.evolve(message, extra={JOINED: ""} if i else content.left)
        for i, message in enumerate(messages)
    ]


def _decode_parts(
    content: Reader, limits: CallLimits, book: CallBook, role: Role
) -> tuple[Part, ...]:
    """The parts of a content; a single one may stand without its list."""
    if isinstance(content.left.get("parts"), dict):
        content.left["parts"] = [content.left["parts"]]
    entries = content.entries("parts", limits.parts_per_message)
    return tuple(decode_part(entry, path, book, role) for entry, path in entries)


def _with_seals(messages: list[Message]) -> tuple[Message, ...]:
    """Gives the calls the seals that travelled apart from them."""
    seals = {
        part.seal.call_id: part.seal
        for message in messages
        for part in message.parts
        if isinstance(part, Text | Reasoning) and part.seal is not None and part.seal.call_id
    }
    if not seals:
        return tuple(messages)
    return tuple(attrs.evolve(message, parts=_sealed(message.parts, seals)) for message in messages)


def _sealed(parts: tuple[Part, ...], seals: dict[str, Seal]) -> tuple[Part, ...]:
    found: list[Part] = []
    for part in parts:
        if isinstance(part, ToolCall):
            part = attrs.evolve(part, seal=part.seal or seals.get(part.id))
        elif isinstance(part, Text | Reasoning) and part.seal and part.seal.call_id:
            part = attrs.evolve(part, seal=None)
        found.append(part)
    return tuple(found)


# ---------------------------------------------------------------- tools


def _decode_tools(reader: Reader, limits: CallLimits) -> tuple[Tool, ...]:
    """Every function is a tool, and so is every other field of an entry."""
    tools: list[Tool] = []
    path = reader.at("tools")
    for entry, place in reader.entries("tools", limits.tools):
        tool = Reader(entry, place)
        functions = tool.entries("functionDeclarations", limits.tools)
        tools += (_decode_function(*function) for function in functions)
        for name, value in tool.left.items():
            if value is not None and name != "functionDeclarations":
                tools.append(Tool(name, type=f"{NAME}.{name}", extra={name: value}))
    if len(tools) > limits.tools:
        message = f"{path}: {len(tools)} tools, at most {limits.tools} are allowed"
        raise TooLarge(message, param=path, code="array_above_max_length")
    return tuple(tools)


def _decode_function(value: Any, path: str) -> Tool:
    """A schema in Gemini's own language stays beside what it means."""
    reader = Reader(value, path)
    name, description = reader.needed_text("name"), reader.text("description")
    parameters = reader.object("parametersJsonSchema")
    if parameters is None and reader.left.get("parameters") is not None:
        given = FieldReader(reader.left["parameters"], reader.at("parameters"))
        parameters = to_json_schema(given.left)
    return Tool(name, description, parameters, extra=reader.left)
