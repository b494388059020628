"""A call to a chat-completions request.

A call that came in this dialect is written as it came, extra fields included. Of any other, what
this protocol can say is said in the way that most servers understand (:mod:`.message_encode` has
the conversation): tools that may not be called are not shown, a budget for reasoning is a word, and
names are put into the letters that OpenAI takes. What would be lost in silence and matters is
refused: a server tool, a part of the question that only another protocol knows, and for OpenAI's
models, which take four, a fifth stop sequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lipstream.canonical.call import Call, Tool, ToolChoice, ToolMode
from lipstream.canonical.losses import NOTIONS, Fate, Support
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.reasoning import effort_of
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json
from lipstream.protocols.openai_chat.effort import encode_own_effort
from lipstream.protocols.openai_chat.message_encode import encode_messages, with_type
from lipstream.protocols.openai_chat.wire import FUNCTIONS, NAME, Fields

_OPTIONS = (
    # canonical name, name on the wire; of calls in any dialect
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
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
_OPENAI = re.compile(r"(.*/)?(o\d|gpt-(?!oss)|chatgpt-)")
_OPENAI_WITHOUT_REASONING = re.compile(r"(.*/)?(gpt-[34]|chatgpt-)")  # refuse to be told how much
_MAX_STOPS = 4  # with OpenAI
_NOT_IN_FORMATS = re.compile(r"[^a-zA-Z0-9_-]")

SUPPORT: Support = dict.fromkeys(NOTIONS, Fate.KEPT) | {
    "top_k": Fate.DROPPED,
    "reasoning": Fate.MAPPED,
    "reasoning_summary": Fate.DROPPED,
    "service_tier": Fate.DROPPED,
    "metadata": Fate.DROPPED,
    "allowed_tools": Fate.MAPPED,
    "tool_error": Fate.MAPPED,
    "tool_media": Fate.MAPPED,
}

_NOT_COPIED = frozenset({"stream", "stream_options"})


def encode_request(call: Call, model: str, *, is_streaming: bool) -> bytes:
    """The request's body; see ``interfaces.ClientDialect.encode_request``."""
    is_own = call.dialect == NAME
    body: Fields = {"model": model, "messages": encode_messages(call.messages, call.dialect)}
    tools = _allowed(call)
    body.update(_tools(tools, is_own))
    if call.tool_choice is not None and (tools or is_own):
        body.update(_tool_choice(call.tool_choice, tools, is_own))
    body.update(_options(call, model, is_own))
    if is_streaming:
        asked = call.extra.get("stream_options") if is_own else None
        body["stream"] = True
        body["stream_options"] = {**(asked or {}), "include_usage": True}
    if is_own:
        effort, void = encode_own_effort(call)
        body.update(effort)
        left_out = _NOT_COPIED | void
        extra = {name: value for name, value in call.extra.items() if name not in left_out}
        body = merge_fields(body, extra)
    return encode_json(body)


# ---------------------------------------------------------------- tools


def _allowed(call: Call) -> tuple[Tool, ...]:
    """The tools that may be called: few servers know OpenAI's ``allowed_tools``.

    A chat client that named them so is written as it came.
    """
    choice = call.tool_choice
    if choice is None or choice.mode not in (ToolMode.AUTO, ToolMode.ANY):
        return call.tools
    if call.dialect == NAME and choice.extra:
        return call.tools
    return tuple(t for t in call.tools if t.name in choice.names) or call.tools


def _tools(tools: tuple[Tool, ...], is_own: bool) -> Fields:
    current: list[Fields] = []
    legacy: list[Fields] = []
    for i, tool in enumerate(tools):
        if is_own and FUNCTIONS in tool.extra:
            legacy.append(merge_fields(_function(tool), tool.extra[FUNCTIONS]))
        else:
            current.append(_own_tool(tool) if is_own else _foreign_tool(tool, i))
    lists = {"tools": current, FUNCTIONS: legacy}
    return {name: entries for name, entries in lists.items() if entries}


def _own_tool(tool: Tool) -> Fields:
    if tool.type != "function":
        return dict(tool.extra)
    return with_type({"type": "function", "function": _function(tool)}, tool.extra)


def _foreign_tool(tool: Tool, place: int) -> Fields:
    if tool.type == "function":
        function = _function(tool)
        function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
        return {"type": "function", "function": function}
    if tool.type == "custom":
        custom = {"name": tool.name, "description": tool.description}
        return {"type": "custom", "custom": {key: text for key, text in custom.items() if text}}
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
    if choice.mode is not ToolMode.NAMED or not choice.names:
        return {"tool_choice": _WORDS.get(choice.mode, "required")}
    name = choice.names[0]
    kind = "custom" if any(t.name == name and t.type == "custom" for t in tools) else "function"
    return {"tool_choice": {"type": kind, kind: {"name": name}}}


# ---------------------------------------------------------------- options


def _options(call: Call, model: str, is_own: bool) -> Fields:
    options = call.options
    names = _OPTIONS + _OWN_OPTIONS if is_own else _OPTIONS
    fields = {wire: value for name, wire in names if (value := getattr(options, name)) is not None}
    effort = None if is_own else _foreign_effort(options, model)
    if effort is not None:
        fields["reasoning_effort"] = effort
    if options.parallel_tool_calls is not None and (call.tools or is_own):
        fields["parallel_tool_calls"] = options.parallel_tool_calls
    if options.max_output_tokens is not None:
        fields[_limit_name(call, model, is_own)] = options.max_output_tokens
    if options.stop is not None:
        fields["stop"] = _own_stop(call, options) if is_own else _foreign_stop(options.stop, model)
    if options.output_format is not None:
        fields["response_format"] = _output_format(options.output_format, is_own)
    return fields


def _foreign_effort(options: Options, model: str) -> str | None:
    """The word, of which chat has one less; clients that always ask for it may have any model."""
    effort = None if _OPENAI_WITHOUT_REASONING.match(model) else effort_of(options)
    return "xhigh" if effort == "max" else effort


def _limit_name(call: Call, model: str, is_own: bool) -> str:
    """The name that the client used; else the one that the model takes."""
    given = [name for name in ("max_completion_tokens",) if call.extra.get(name) is not None]
    if is_own:
        return given[0] if given else "max_tokens"
    return "max_completion_tokens" if _NEW_LIMIT.match(model) else "max_tokens"


def _own_stop(call: Call, options: Options) -> str | list[str]:
    """One string where it came as one."""
    stops = list(options.stop or ())
    return stops[0] if len(stops) == 1 and isinstance(call.extra.get("stop"), str) else stops


def _foreign_stop(stops: tuple[str, ...], model: str) -> list[str]:
    """All of them: other servers take more than OpenAI does."""
    if len(stops) > _MAX_STOPS and _OPENAI.match(model):
        message = f"stop: {len(stops)} sequences, at most {_MAX_STOPS} are possible with {model}"
        raise BadRequest(message, param="stop", code="unsupported_stop")
    return list(stops)


def _output_format(output: OutputFormat, is_own: bool) -> Fields:
    if output.schema is None:
        return {"type": "json_object"}
    name = output.name if is_own else _NOT_IN_FORMATS.sub("_", output.name)[:64]
    inner: Fields = {"name": name or "response"}
    if output.description:
        inner["description"] = output.description
    if output.schema or not is_own:
        inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    return {"type": "json_schema", "json_schema": inner}
