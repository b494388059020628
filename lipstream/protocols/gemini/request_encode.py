"""A call to a generateContent request.

A call that came in this dialect is written as it came, extra fields included; of any other, what
this protocol can say. Schemas of other dialects are JSON Schema and go where Gemini takes that as
it is. What would be lost in silence and matters (a tool that another provider runs, a part that
only another protocol knows) is refused.
"""

from __future__ import annotations

from lipstream.canonical.call import Call, Tool, ToolMode
from lipstream.canonical.losses import NOTIONS, Fate, Support
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json
from lipstream.protocols.gemini.config_decode import CONFIG, TOOL_CONFIG
from lipstream.protocols.gemini.config_encode import (
    encode_config,
    encode_tool_choice,
    put_back,
)
from lipstream.protocols.gemini.schema import to_json_schema
from lipstream.protocols.gemini.turns import encode_turns
from lipstream.protocols.gemini.wire import NAME, Fields

SUPPORT: Support = dict.fromkeys(NOTIONS, Fate.KEPT) | {
    "reasoning": Fate.MAPPED,
    "reasoning_summary": Fate.MAPPED,
    "verbosity": Fate.DROPPED,
    "service_tier": Fate.DROPPED,
    "user": Fate.DROPPED,
    "metadata": Fate.DROPPED,
    "custom_tools": Fate.REFUSED,
    "strict_tools": Fate.DROPPED,
    "allowed_tools": Fate.MAPPED,
    "parallel_tool_calls": Fate.DROPPED,
    "image_detail": Fate.DROPPED,
    "message_name": Fate.DROPPED,
    "tool_error": Fate.MAPPED,
    "tool_media": Fate.MAPPED,
}


def encode_request(call: Call, model: str) -> bytes:
    """The request's body; see ``interfaces.ClientDialect.encode_request``."""
    is_own = call.dialect == NAME
    body = encode_turns(call, model)
    if tools := _tools(call, is_own):
        body["tools"] = tools
    if call.tool_choice is not None and (tools or is_own):
        choice = encode_tool_choice(call.tool_choice, is_own=is_own)
        body[TOOL_CONFIG] = {"functionCallingConfig": choice}
    if config := encode_config(call, model, is_own=is_own):
        body[CONFIG] = config
    if is_own:
        if call.options.service_tier is not None:
            body["serviceTier"] = call.options.service_tier
        put_back(body, call)
    return encode_json(body)


# ---------------------------------------------------------------- tools


def _tools(call: Call, is_own: bool) -> list[Fields]:
    """Functions in a row are one entry, everything else is an entry of its own."""
    allowed = _allowed(call)
    entries: list[Fields] = []
    for i, tool in enumerate(call.tools):
        if tool.type != "function":
            entries.append(_other_tool(tool, i, is_own))
        elif is_own or not allowed or tool.name in allowed:
            if not entries or "functionDeclarations" not in entries[-1]:
                entries.append({"functionDeclarations": []})
            entries[-1]["functionDeclarations"].append(_function(tool, is_own))
    return entries


def _allowed(call: Call) -> frozenset[str]:
    """The tools that another dialect's call allows without asking for one; empty for all."""
    choice = call.tool_choice
    is_open = choice is not None and choice.mode is ToolMode.AUTO
    return frozenset(choice.names) if choice is not None and is_open else frozenset()


def _other_tool(tool: Tool, place: int, is_own: bool) -> Fields:
    if is_own:
        return dict(tool.extra)
    path = f"tools[{place}]"
    message = f"{path}: this kind of tool does not exist with a Gemini backend"
    raise BadRequest(message, param=path, code="unsupported_tool")


def _function(tool: Tool, is_own: bool) -> Fields:
    fields: Fields = {"name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    if not is_own:
        return fields | {"parametersJsonSchema": tool.parameters} if tool.parameters else fields
    extra = dict(tool.extra)
    if tool.parameters is not None and to_json_schema(extra.get("parameters")) != tool.parameters:
        extra.pop("parameters", None)
        fields["parametersJsonSchema"] = tool.parameters
    return merge_fields(fields, extra)
