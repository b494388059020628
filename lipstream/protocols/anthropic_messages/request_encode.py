"""A call to a Messages request.

A call that came in this dialect is written as it came, extra fields included; with the exceptions
that the API would refuse it, or that a stage or the route changed it: ids of another charset are
replaced, reasoning of other models is left out, and thinking by a budget is off where the thinking
that the turn began with is gone. Of any other call, what this protocol can say is said.

What would be lost in silence and matters is refused: audio, a tool that runs at another provider, a
part of the question that only another protocol knows. A free-text tool becomes a tool with the text
as its one argument, ``input``. Where only some tools are allowed, only those are declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lipstream.canonical.call import Call, Tool, ToolChoice, ToolMode
from lipstream.canonical.claude import Generation, generation_of
from lipstream.canonical.losses import NOTIONS, Fate, Support
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json
from lipstream.protocols.anthropic_messages.fitting import fitted_options
from lipstream.protocols.anthropic_messages.options import encode_options
from lipstream.protocols.anthropic_messages.turns import encode_foreign, encode_own
from lipstream.protocols.anthropic_messages.wire import NAME, Fields

MAX_TOKENS = 4096  # where nobody said how long the answer may be
MAX_STRICT = 20  # strict tools that one request may have

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
    "metadata": Fate.DROPPED,
    # tools
    "custom_tools": Fate.MAPPED,
    "strict_tools": Fate.MAPPED,
    "tool_choice": Fate.MAPPED,
    "allowed_tools": Fate.MAPPED,
    "parallel_tool_calls": Fate.MAPPED,
    # messages
    "image_detail": Fate.DROPPED,
    "file": Fate.MAPPED,
    "audio": Fate.REFUSED,
    "message_name": Fate.DROPPED,
}


def encode_request(
    call: Call, model: str, *, is_streaming: bool, max_tokens: int = MAX_TOKENS
) -> bytes:
    """The request's body; see ``interfaces.ClientDialect.encode_request``."""
    if call.dialect == NAME:
        body = _own(call, model, max_tokens)
    else:
        body = _foreign(call, model, max_tokens)
    if is_streaming:
        body["stream"] = True
    return encode_json(body)


# ---------------------------------------------------------------- as it came


def _own(call: Call, model: str, max_tokens: int) -> Fields:
    conversation = encode_own(call.messages)
    body: Fields = {"model": model, "max_tokens": max_tokens}
    if conversation.system is not None:
        body["system"] = conversation.system
    body["messages"] = conversation.turns
    if call.tools:
        body["tools"] = [_own_tool(tool) for tool in call.tools]
    if (choice := _own_choice(call)) is not None:
        body["tool_choice"] = choice
    options = encode_options(call.options, call.extra)
    if conversation.has_lost_thinking and options.get("thinking", {}).get("type") == "enabled":
        del options["thinking"]
    return merge_fields({**body, **options}, _extra(call, options))


def _extra(call: Call, options: Fields) -> Mapping[str, Any]:
    """What is left of a field that is not written any more is not written either."""
    thinking = call.extra.get("thinking")
    is_rest = isinstance(thinking, Mapping) and "type" not in thinking
    if is_rest and "thinking" not in options:
        return {name: value for name, value in call.extra.items() if name != "thinking"}
    return call.extra


def _own_tool(tool: Tool) -> Fields:
    if tool.type == "function":
        return merge_fields(_function(tool), tool.extra)
    return dict(tool.extra)


def _function(tool: Tool) -> Fields:
    fields: Fields = {"name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    if tool.parameters is not None:
        fields["input_schema"] = tool.parameters
    if tool.strict is not None:
        fields["strict"] = tool.strict
    return fields


def _own_choice(call: Call) -> Fields | None:
    choice, is_parallel = call.tool_choice, call.options.parallel_tool_calls
    if choice is None:
        if is_parallel is not False or not call.tools:
            return None
        choice = ToolChoice(ToolMode.AUTO)
    fields = _choice(choice)
    if is_parallel is not None:
        fields["disable_parallel_tool_use"] = not is_parallel
    return merge_fields(fields, choice.extra)


_WORDS = {ToolMode.AUTO: "auto", ToolMode.NONE: "none", ToolMode.ANY: "any"}


def _choice(choice: ToolChoice) -> Fields:
    if choice.mode is ToolMode.NAMED and choice.names:
        return {"type": "tool", "name": choice.names[0]}
    return {"type": _WORDS.get(choice.mode, "any")}


# ---------------------------------------------------------------- made to fit


def _foreign(call: Call, model: str, max_tokens: int) -> Fields:
    generation = generation_of(model)
    conversation = encode_foreign(call.messages)
    body: Fields = {"model": model}
    if conversation.system is not None:
        body["system"] = conversation.system
    body["messages"] = conversation.turns
    tools = _foreign_tools(call, generation)
    if tools:
        body["tools"] = tools
        if (choice := _foreign_choice(call, generation)) is not None:
            body["tool_choice"] = choice
    has_thought = not conversation.has_lost_thinking
    return {**body, **fitted_options(call, generation, max_tokens, has_thought)}


def _foreign_tools(call: Call, generation: Generation) -> list[Fields]:
    """The tools, without those that may not be called.

    Raises:
        BadRequest: one runs at another provider.
    """
    is_strict = generation.is_strict and sum(bool(t.strict) for t in call.tools) <= MAX_STRICT
    named = _allowed(call, generation)
    return [
        _foreign_tool(tool, f"tools[{i}]", is_strict)
        for i, tool in enumerate(call.tools)
        if not named or tool.name in named
    ]


def _allowed(call: Call, generation: Generation) -> Sequence[str]:
    """The names of the tools that are declared; empty for all."""
    choice = call.tool_choice
    if choice is None or choice.mode is ToolMode.NONE:
        return ()
    if choice.mode is ToolMode.NAMED and generation.can_be_forced:
        return ()
    known = {tool.name for tool in call.tools}
    return [name for name in choice.names if name in known]


def _foreign_tool(tool: Tool, path: str, is_strict: bool) -> Fields:
    fields: Fields = {"name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    if tool.type == "function":
        schema = dict(tool.parameters or {"properties": {}})
        fields["input_schema"] = {"type": "object", **schema}
        return {**fields, "strict": True} if tool.strict and is_strict else fields
    if tool.type == "custom":
        properties = {"input": {"type": "string"}}
        fields["input_schema"] = {
            "type": "object",
            "properties": properties,
            "required": ["input"],
        }
        return fields
    message = f"{path}: this kind of tool does not exist with a backend of this protocol"
    raise BadRequest(message, param=path, code="unsupported_tool")


def _foreign_choice(call: Call, generation: Generation) -> Fields | None:
    """Where a model cannot be forced, what it was to be forced to is all that it may do."""
    choice = call.tool_choice
    is_single = call.options.parallel_tool_calls is False
    if choice is None:
        fields: Fields = {"type": "auto"}
        if not is_single:
            return None
    else:
        fields = _choice(choice)
    if fields["type"] in ("any", "tool") and not generation.can_be_forced:
        fields = {"type": "auto"}
    if is_single and fields["type"] != "none":
        fields["disable_parallel_tool_use"] = True
    return fields
