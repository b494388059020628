"""Tools and the choice of one, both ways.

A function stands flat (``name``, ``parameters`` ... beside ``type``); a few clients nest it as chat
completions do, which is kept. A tool of any other kind stands in ``Tool.extra`` as it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from lipstream.canonical.call import Call, Tool, ToolChoice, ToolMode
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import FieldReader, merge_fields
from lipstream.protocols.openai_responses.wire import Fields

_NESTED = "function"  # the field that holds a nested function, and marks one that came so
_MODES = {
    "auto": ToolMode.AUTO,
    "none": ToolMode.NONE,
    "required": ToolMode.ANY,
    "any": ToolMode.ANY,
}
_WORDS = {ToolMode.AUTO: "auto", ToolMode.NONE: "none", ToolMode.ANY: "required"}
_LOCAL = frozenset(
    # tools whose calls the client answers itself: a second run leaves nothing behind
    {
        "function",
        "custom",
        "namespace",
        "tool_search",
        "local_shell",
        "apply_patch",
        "computer",
        "computer_use_preview",
    }
)
_EMPTY = {"type": "object", "properties": {}}

# ---------------------------------------------------------------- decode


def decode_tools(reader: FieldReader, maximum: int) -> tuple[Tool, ...]:
    """Takes ``tools``."""
    return tuple(_decode_tool(*entry) for entry in reader.entries("tools", maximum))


def runs_elsewhere(tools: tuple[Tool, ...]) -> bool:
    """Whether the provider runs one of them itself."""
    return any(tool.type not in _LOCAL for tool in tools)


def _decode_tool(value: Any, path: str) -> Tool:
    reader = FieldReader(value, path)
    kind = reader.needed_text("type")
    if kind != "function":
        name, description = value.get("name"), value.get("description")
        return Tool(
            name if isinstance(name, str) else "",
            description if isinstance(description, str) else "",
            type=kind,
            extra=value,
        )
    if isinstance(reader.left.get(_NESTED), dict):
        inner = reader.inner(_NESTED)
        tool = _decode_function(inner)
        return attrs.evolve(tool, extra={**reader.left, _NESTED: inner.left})
    return _decode_function(reader)


def _decode_function(reader: FieldReader) -> Tool:
    return Tool(
        reader.needed_text("name"),
        reader.text("description"),
        reader.object("parameters"),
        reader.boolean("strict"),
        extra=reader.left,
    )


def decode_choice(reader: FieldReader) -> ToolChoice | None:
    """Takes ``tool_choice``; what is no plain word is kept as it stood."""
    value = reader.left.get("tool_choice")
    if value is None:
        return None
    mode, names = _decode_choice(value)
    if mode is None:
        reader.refuse("tool_choice", "auto, none, required or an object that names tools")
    del reader.left["tool_choice"]
    is_plain = value in ("auto", "none", "required")
    return ToolChoice(mode, names, extra={} if is_plain else {"tool_choice": value})


def _decode_choice(value: Any) -> tuple[ToolMode | None, tuple[str, ...]]:
    if isinstance(value, str):
        return _MODES.get(value.lower()), ()
    reader = FieldReader(value, "tool_choice")
    kind = reader.needed_text("type")
    if kind in ("function", "custom"):
        is_nested = isinstance(reader.left.get(kind), dict)
        inner = reader.inner(kind) if is_nested else reader
        return ToolMode.NAMED, (inner.needed_text("name"),)
    if kind == "allowed_tools":
        mode = _MODES.get(reader.needed_text("mode"))
        tools = reader.objects("tools", 1 << 16)
        return mode, tuple(name for tool in tools if (name := _name_in(tool)))
    return _MODES.get(kind, ToolMode.ANY), ()  # a tool that the provider runs


def _name_in(tool: Any) -> str:
    """The name in an entry of the allowed tools."""
    name = tool.get("name") if isinstance(tool, dict) else None
    return name if isinstance(name, str) else ""


# ---------------------------------------------------------------- encode


def encode_tools(tools: tuple[Tool, ...], *, is_own: bool) -> list[Fields]:
    """The list of tools.

    Raises:
        BadRequest: a tool is one that another provider runs.
    """
    return [_encode_tool(tool, i, is_own) for i, tool in enumerate(tools)]


def _encode_tool(tool: Tool, place: int, is_own: bool) -> Fields:
    if tool.type == "function":
        return _encode_own(tool) if is_own else _encode_function(tool)
    if is_own:
        return dict(tool.extra)
    if tool.type == "custom":
        fields = {"type": "custom", "name": tool.name}
        return {**fields, "description": tool.description} if tool.description else fields
    path = f"tools[{place}]"
    message = f"{path}: this kind of tool does not exist with a Responses backend"
    raise BadRequest(message, param=path, code="unsupported_tool")


def _encode_own(tool: Tool) -> Fields:
    fields = {
        name: value
        for name, value in (
            ("name", tool.name),
            ("description", tool.description or None),
            ("parameters", tool.parameters),
            ("strict", tool.strict),
        )
        if value is not None
    }
    if isinstance(tool.extra.get(_NESTED), dict):
        fields = {_NESTED: merge_fields(fields, tool.extra[_NESTED])}
    return merge_fields({"type": "function", **fields}, tool.extra)


def _encode_function(tool: Tool) -> Fields:
    """With ``strict``, because here a function is strict where nothing is said."""
    fields: Fields = {"type": "function", "name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    fields["parameters"] = tool.parameters or _EMPTY
    fields["strict"] = bool(tool.strict)
    return fields


def encode_choice(call: Call, *, is_own: bool) -> str | Mapping[str, Any] | None:
    """The choice of a tool, or None where the client made none."""
    choice = call.tool_choice
    if choice is None:
        return None
    if is_own and "tool_choice" in choice.extra:
        kept: str | Mapping[str, Any] = choice.extra["tool_choice"]
        return kept
    kinds = {tool.name: tool.type for tool in call.tools}
    named: list[Fields] = [
        {"type": "custom" if kinds.get(name) == "custom" else "function", "name": name}
        for name in choice.names
    ]
    if choice.mode is ToolMode.NAMED and named:
        return named[0]
    word = _WORDS.get(choice.mode, "required")
    if named and choice.mode is not ToolMode.NONE:
        return {"type": "allowed_tools", "mode": word, "tools": named}
    return word
