"""A call to a chat-completions request.

A call that came in this dialect is written as it came, extra fields included; of any other, what
this protocol can say is said in the way that most servers understand: plain text as a string,
reasoning of other providers left out. What would be lost in silence and matters (a server tool, a
part of the question that only another protocol knows) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.losses import NOTIONS, Fate, Support
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json
from lipstream.protocols.openai_chat.parts import encode_content
from lipstream.protocols.openai_chat.wire import FUNCTION_CALL, FUNCTIONS, NAME, Fields

_OPTIONS = (
    # canonical name, name on the wire; of calls in any dialect
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("reasoning_effort", "reasoning_effort"),
    ("verbosity", "verbosity"),
    ("choices", "n"),
    ("logprobs", "logprobs"),
    ("top_logprobs", "top_logprobs"),
    ("user", "user"),
)
_OWN_OPTIONS = (
    # OpenAI refuses top_k and, without `store`, metadata; the tiers are named differently elsewhere
    ("top_k", "top_k"),
    ("service_tier", "service_tier"),
    ("metadata", "metadata"),
)
_NEW_LIMIT = re.compile(r"(.*/)?(o\d|gpt-[5-9])")  # models that only take max_completion_tokens

SUPPORT: Support = {name: Fate.KEPT for name in NOTIONS} | {
    "top_k": Fate.DROPPED,
    "reasoning": Fate.MAPPED,
    "reasoning_summary": Fate.DROPPED,
    "service_tier": Fate.DROPPED,
    "metadata": Fate.DROPPED,
    "tool_error": Fate.MAPPED,
    "tool_media": Fate.MAPPED,
}

_NOT_COPIED = frozenset({"stream", "stream_options"})


def encode_request(call: Call, model: str, *, is_streaming: bool) -> bytes:
    """The request's body; see ``interfaces.ClientDialect.encode_request``."""
    is_own = call.dialect == NAME
    body: Fields = {"model": model, "messages": _messages(call.messages, is_own)}
    body.update(_tools(call.tools, is_own))
    if call.tool_choice is not None and (call.tools or is_own):
        body.update(_tool_choice(call.tool_choice, call.tools, is_own))
    body.update(_options(call, model, is_own))
    if is_streaming:
        asked = call.extra.get("stream_options") if is_own else None
        body["stream"] = True
        body["stream_options"] = {**(asked or {}), "include_usage": True}
    if is_own:
        extra = {name: value for name, value in call.extra.items() if name not in _NOT_COPIED}
        body = merge_fields(body, extra)
    return encode_json(body)


# ---------------------------------------------------------------- messages


def _messages(messages: tuple[Message, ...], is_own: bool) -> list[Fields]:
    encoded: list[Fields] = []
    for i, message in enumerate(messages):
        path = f"messages[{i}]"
        if message.role is Role.TOOL:
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            encoded.extend(_result(message, result, path, is_own) for result in results)
        elif message.role is Role.ASSISTANT:
            encoded.append(_assistant(message, path, is_own))
        else:
            fields: Fields = {"role": message.role.value}
            _put_content(fields, message, list(message.parts), path, is_own)
            encoded.append(_finished(fields, message, is_own))
    return encoded


def _finished(fields: Fields, message: Message, is_own: bool) -> Fields:
    if message.name:
        fields["name"] = message.name
    return merge_fields(fields, message.extra) if is_own else fields


def _put_content(
    fields: Fields, message: Message, parts: list[Part], path: str, is_own: bool
) -> None:
    """Leaves content out only where a message of this dialect had none of the usual kind."""
    if parts or not is_own:
        content = encode_content(parts, f"{path}.content", is_own=is_own)
        fields["content"] = content or ""


def _result(message: Message, result: ToolResult, path: str, is_own: bool) -> Fields:
    parts = list(result.content)
    if not is_own and all(isinstance(part, Text) for part in parts):
        parts = [Text("\n".join(part.text for part in parts if isinstance(part, Text)))]
    if is_own and message.extra.get("role") == "function":
        fields: Fields = {"role": "function", "name": result.name}
    else:
        fields = {"role": "tool", "tool_call_id": result.call_id}
    _put_content(fields, message, parts, path, is_own)
    return _finished(fields, message, is_own)


def _assistant(message: Message, path: str, is_own: bool) -> Fields:
    fields: Fields = {"role": "assistant"}
    content: list[Part] = []
    calls: list[Fields] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            if is_own and FUNCTION_CALL in part.extra:
                fields[FUNCTION_CALL] = _legacy_call(part)
            else:
                calls.append(_tool_call(part, is_own))
        elif isinstance(part, Reasoning):
            fields.update(_reasoning(part, is_own))
        elif isinstance(part, Refusal) and not (is_own and part.extra):
            fields["refusal"] = part.text
        elif not isinstance(part, Opaque) or part.dialect == NAME:
            content.append(part)  # what another protocol's model did is none of this one's business
    if content:
        _put_content(fields, message, _plain(content, is_own), path, is_own)
    elif not is_own:
        fields["content"] = None if calls else ""
    if calls:
        fields["tool_calls"] = calls
    return _finished(fields, message, is_own)


def _plain(parts: list[Part], is_own: bool) -> list[Part]:
    """Several texts of another dialect as one."""
    if is_own or not all(isinstance(part, Text) for part in parts):
        return parts
    return [Text("".join(part.text for part in parts if isinstance(part, Text)))]


def _reasoning(part: Reasoning, is_own: bool) -> Mapping[str, Any]:
    """Only what came from this protocol goes back to it."""
    if is_own and part.extra:
        return part.extra
    is_ours = part.seal.dialect == NAME if part.seal else is_own
    return {"reasoning_content": part.text} if is_ours else {}


def _tool_call(part: ToolCall, is_own: bool) -> Fields:
    name = "input" if part.type == "custom" else "arguments"
    inner = {"name": part.name, name: part.arguments}
    fields: Fields = {"id": part.id, "type": part.type, part.type: inner}
    return _typed(fields, part.extra) if is_own else fields


def _typed(fields: Fields, extra: Mapping[str, Any]) -> Fields:
    """With its extra fields, and without a type where it came without one."""
    if extra.get("type") == "":
        del fields["type"]
        extra = {name: value for name, value in extra.items() if name != "type"}
    return merge_fields(fields, extra)


def _legacy_call(part: ToolCall) -> Fields:
    fields = {"name": part.name, "arguments": part.arguments}
    return merge_fields(fields, part.extra[FUNCTION_CALL])


# ---------------------------------------------------------------- tools


def _tools(tools: tuple[Tool, ...], is_own: bool) -> Fields:
    current: list[Fields] = []
    legacy: list[Fields] = []
    for i, tool in enumerate(tools):
        if is_own and FUNCTIONS in tool.extra:
            legacy.append(merge_fields(_function(tool), tool.extra[FUNCTIONS]))
        else:
            current.append(_tool(tool, i, is_own))
    lists = {"tools": current, FUNCTIONS: legacy}
    return {name: entries for name, entries in lists.items() if entries}


def _tool(tool: Tool, place: int, is_own: bool) -> Fields:
    if tool.type == "function":
        fields: Fields = {"type": "function", "function": _function(tool)}
        return _typed(fields, tool.extra) if is_own else fields
    if is_own:
        return dict(tool.extra)
    if tool.type == "custom":
        custom = {"name": tool.name, "description": tool.description}
        return {"type": "custom", "custom": custom}
    path = f"tools[{place}]"
    message = f"{path}: this kind of tool does not exist with a chat-completions backend"
    raise BadRequest(message, param=path, code="unsupported_tool")


def _function(tool: Tool) -> Fields:
    fields: Fields = {"name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    if tool.parameters is not None:
        fields["parameters"] = tool.parameters
    if tool.strict is not None:
        fields["strict"] = tool.strict
    return fields


_WORDS = {ToolMode.AUTO: "auto", ToolMode.NONE: "none", ToolMode.ANY: "required"}


def _tool_choice(choice: ToolChoice, tools: tuple[Tool, ...], is_own: bool) -> Mapping[str, Any]:
    if is_own and choice.extra:
        return choice.extra
    kinds = {tool.name: tool.type for tool in tools}
    named: list[Fields] = []
    for name in choice.names:
        kind = "custom" if kinds.get(name) == "custom" else "function"
        named.append({"type": kind, kind: {"name": name}})
    if choice.mode is ToolMode.NAMED and named:
        return {"tool_choice": named[0]}
    word = _WORDS.get(choice.mode, "required")
    if named and choice.mode is not ToolMode.NONE:
        allowed = {"mode": word, "tools": named}
        return {"tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}
    return {"tool_choice": word}


# ---------------------------------------------------------------- options


def _options(call: Call, model: str, is_own: bool) -> Fields:
    options = call.options
    names = _OPTIONS + _OWN_OPTIONS if is_own else _OPTIONS
    fields = {wire: value for name, wire in names if (value := getattr(options, name)) is not None}
    if options.parallel_tool_calls is not None and (call.tools or is_own):
        fields["parallel_tool_calls"] = options.parallel_tool_calls
    if options.max_output_tokens is not None:
        fields[_limit_name(call, model, is_own)] = options.max_output_tokens
    if options.stop is not None:
        fields["stop"] = _stop(call, options, is_own)
    if options.output_format is not None:
        fields["response_format"] = _output_format(options.output_format, is_own)
    return fields


def _limit_name(call: Call, model: str, is_own: bool) -> str:
    """The name that the client used; else the one that the model takes."""
    given = [name for name in ("max_completion_tokens",) if call.extra.get(name) is not None]
    if is_own:
        return given[0] if given else "max_tokens"
    return "max_completion_tokens" if _NEW_LIMIT.match(model) else "max_tokens"


def _stop(call: Call, options: Options, is_own: bool) -> str | list[str]:
    stops = list(options.stop or ())
    was_text = is_own and isinstance(call.extra.get("stop"), str)
    return stops[0] if was_text and len(stops) == 1 else stops


def _output_format(output: OutputFormat, is_own: bool) -> Fields:
    if output.schema is None:
        return {"type": "json_object"}
    inner: Fields = {"name": output.name or "response"}
    if output.description:
        inner["description"] = output.description
    if output.schema or not is_own:
        inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    return {"type": "json_schema", "json_schema": inner}
