"""A call to a Converse request (https://docs.aws.amazon.com/bedrock/latest/APIReference).

No client speaks this protocol to lipstream, so every call comes from another one and is made to
fit. What would be lost in silence and matters is refused: an image or a file that lies elsewhere, a
tool that runs at another provider, a tool by a name that Bedrock does not take, a part of the
question that only another protocol knows. A free-text tool becomes a tool with the text as its one
argument, ``input``. Where only some tools are allowed, only those are declared.

The service demands that tools are declared wherever the conversation mentions any. So they are
where the client says that none may be called, and where it declares none any more: then by their
names.
"""

from __future__ import annotations

from typing import Any

from lipstream.canonical.call import Call, Tool, ToolChoice, ToolMode
from lipstream.canonical.claude import generation_of
from lipstream.canonical.losses import NOTIONS, Fate, Support
from lipstream.errors import BadRequest
from lipstream.framing.sse import encode_json
from lipstream.protocols.bedrock_converse.blocks import BlockWriter, check_name
from lipstream.protocols.bedrock_converse.models import Family, family_of
from lipstream.protocols.bedrock_converse.options import encode_options
from lipstream.protocols.bedrock_converse.turns import Conversation, encode_messages
from lipstream.protocols.bedrock_converse.wire import Fields

SUPPORT: Support = dict.fromkeys(NOTIONS, Fate.KEPT) | {
    # options
    "temperature": Fate.MAPPED,
    "top_p": Fate.MAPPED,
    "top_k": Fate.MAPPED,
    "stop": Fate.MAPPED,
    "seed": Fate.DROPPED,
    "presence_penalty": Fate.DROPPED,
    "frequency_penalty": Fate.DROPPED,
    "reasoning": Fate.MAPPED,
    "reasoning_summary": Fate.MAPPED,
    "verbosity": Fate.DROPPED,
    "json_object": Fate.DROPPED,
    "json_schema": Fate.MAPPED,
    "choices": Fate.DROPPED,
    "logprobs": Fate.DROPPED,
    "service_tier": Fate.MAPPED,
    "user": Fate.DROPPED,
    "metadata": Fate.MAPPED,
    # tools
    "custom_tools": Fate.MAPPED,
    "strict_tools": Fate.MAPPED,
    "tool_choice": Fate.MAPPED,
    "allowed_tools": Fate.MAPPED,
    "parallel_tool_calls": Fate.DROPPED,
    # messages
    "remote_image": Fate.REFUSED,
    "image_detail": Fate.DROPPED,
    "file": Fate.MAPPED,
    "message_name": Fate.DROPPED,
}

_NO_PARAMETERS: Fields = {"type": "object", "properties": {}}


def encode_request(call: Call, model: str, *, is_streaming: bool) -> bytes:
    """The request's body; see ``interfaces.ClientDialect.encode_request``.

    The path says whether a stream is wanted.
    """
    writer = BlockWriter(family_of(model))
    conversation = encode_messages(call.messages, writer)
    body: Fields = {"messages": conversation.turns}
    if conversation.system:
        body["system"] = conversation.system
    tools = _tools(call, model, conversation)
    if tools:
        body["toolConfig"] = {"tools": tools, **_tool_choice(call, model)}
    lost = conversation.has_lost_reasoning
    return encode_json({**body, **encode_options(call, model, has_lost_reasoning=lost)})


# ---------------------------------------------------------------- tools


def _tools(call: Call, model: str, conversation: Conversation) -> list[Fields]:
    choice = call.tool_choice
    is_none = choice is not None and choice.mode is ToolMode.NONE
    is_strict = family_of(model) is Family.CLAUDE and generation_of(model).is_strict
    tools = [
        _tool(tool, f"tools[{i}]", is_strict)
        for i, tool in enumerate(call.tools)
        if _is_allowed(tool, call)
    ]
    if not conversation.called:
        return [] if is_none else tools
    return tools or [_spec(name, _NO_PARAMETERS) for name in conversation.called]


def _is_allowed(tool: Tool, call: Call) -> bool:
    choice = call.tool_choice
    if choice is None or choice.mode not in (ToolMode.AUTO, ToolMode.ANY):
        return True
    names = {known.name for known in call.tools}.intersection(choice.names)
    return not names or tool.name in names


def _tool(tool: Tool, path: str, is_strict: bool) -> Fields:
    if tool.type == "function":
        schema: Any = {**_NO_PARAMETERS, **(tool.parameters or {})}
    elif tool.type == "custom":
        given = {"input": {"type": "string"}}
        schema = {"type": "object", "properties": given, "required": ["input"]}
    else:
        message = f"{path}: this kind of tool does not exist with a Bedrock backend"
        raise BadRequest(message, param=path, code="unsupported_tool")
    check_name(tool.name, path)
    more: Fields = {"description": tool.description} if tool.description else {}
    if tool.strict and tool.type == "function" and is_strict:
        more["strict"] = True
    return _spec(tool.name, schema, **more)


def _spec(name: str, schema: Any, **more: Any) -> Fields:
    return {"toolSpec": {"name": name, **more, "inputSchema": {"json": schema}}}


def _tool_choice(call: Call, model: str) -> Fields:
    """What has to be called; that anything may be is not said: not every model can be told."""
    choice = call.tool_choice
    if choice is None or not call.tools or not _can_be_forced(model):
        return {}
    if choice.mode is ToolMode.NAMED:
        return {"toolChoice": _named(choice)}
    return {"toolChoice": {"any": {}}} if choice.mode is ToolMode.ANY else {}


def _named(choice: ToolChoice) -> Fields:
    return {"tool": {"name": choice.names[0]}} if choice.names else {"any": {}}


def _can_be_forced(model: str) -> bool:
    return family_of(model) is not Family.CLAUDE or generation_of(model).can_be_forced
