"""A chat-completions request to a call.

Read is what clients really send: every role and kind of part, nulls where something could be
missing, the legacy ``functions``, and unknown fields, which are kept. Refused is what has a wrong
type, with the path of the field. Values are not judged: whether a temperature is too high is the
provider's business.

Seals of other protocols, which the client got from here, become what they were: see :mod:`.seals`.
Fields that have a canonical place but could be written in more than one way leave in ``extra`` what
it takes to write them as they were: see :mod:`.request_encode`.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.limits import CallLimits
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Part, Refusal, ToolCall, ToolResult
from lipstream.canonical.seal import Seal
from lipstream.framing.json_fields import FieldReader, refuse
from lipstream.framing.json_guard import decode_json
from lipstream.protocols.openai_chat.effort import decode_effort
from lipstream.protocols.openai_chat.parts import decode_content
from lipstream.protocols.openai_chat.seals import DETAILS, unpacked_call, unpacked_reasoning
from lipstream.protocols.openai_chat.wire import FUNCTION_CALL, FUNCTIONS, NAME

_ROLES = {role.value: role for role in Role} | {"function": Role.TOOL}
_REASONING = ("reasoning_content", "reasoning", DETAILS)
_MODES = {
    "auto": ToolMode.AUTO,
    "none": ToolMode.NONE,
    "required": ToolMode.ANY,
    "any": ToolMode.ANY,  # Mistral
}


def decode_request(body: bytes, limits: CallLimits) -> Call:
    """Reads a request; see ``interfaces.ServerDialect.decode_request``."""
    value = decode_json(body, max_depth=limits.json_depth, max_bytes=limits.body)
    reader = FieldReader(value, "")
    model = reader.text("model")
    messages = _Messages(limits).decode(reader)
    tools = _decode_tools(reader, limits)
    choice = _decode_tool_choice(reader)
    options = _decode_options(reader)
    is_streaming = bool(reader.boolean("stream"))
    return Call(
        dialect=NAME,
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        options=options,
        is_streaming=is_streaming,
        wants_usage=_wants_usage(reader) or not is_streaming,
        may_race=not _leaves_traces(reader, tools),
        extra=reader.left,
    )


def _leaves_traces(reader: FieldReader, tools: tuple[Tool, ...]) -> bool:
    """A stored completion, or a tool that the provider runs: once is enough."""
    if reader.left.get("store") is True or reader.left.get("web_search_options") is not None:
        return True
    return any(tool.type not in ("function", "custom") for tool in tools)


def _wants_usage(reader: FieldReader) -> bool:
    """OpenAI's stream option, or OpenRouter's own field; both stay among the extra fields."""
    options, own = reader.left.get("stream_options"), reader.left.get("usage")
    if options is not None and not isinstance(options, dict):
        reader.refuse("stream_options", "an object")
    return (isinstance(options, dict) and options.get("include_usage") is True) or (
        isinstance(own, dict) and own.get("include") is True
    )


# ---------------------------------------------------------------- messages


class _Messages:
    """Reads the conversation; knows the calls before, which results refer to."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._names: dict[str, str] = {}  # of the tools, by the id of the call
        self._legacy: dict[str, str] = {}  # the id of the last legacy call, by its name

    def decode(self, reader: FieldReader) -> tuple[Message, ...]:
        entries = reader.objects("messages", self._limits.messages)
        if not entries:
            reader.refuse("messages", "a list of at least one message")
        return tuple(self._message(entry, i) for i, entry in enumerate(entries))

    def _message(self, value: Any, place: int) -> Message:
        reader = FieldReader(value, f"messages[{place}]")
        given = reader.needed_text("role")
        role = _ROLES.get(given.lower())
        if role is None:
            refuse(reader.at("role"), "one of " + ", ".join(_ROLES), given)
        name = reader.text("name")
        maximum = self._limits.parts_per_message
        if given.lower() == "function":
            reader.left["role"] = given
            parts = self._legacy_result(reader, name, maximum)
        elif role is Role.TOOL:
            parts = self._result(reader, name, maximum)
        elif role is Role.ASSISTANT:
            parts = self._assistant(reader, place, maximum)
        else:
            parts = decode_content(reader, maximum)
            if "content" not in reader.left and not parts:
                reader.refuse("content", "a string or a list of parts")
        return Message(role, parts, name, extra=reader.left)

    def _result(self, reader: FieldReader, name: str, maximum: int) -> tuple[Part, ...]:
        call_id = reader.needed_text("tool_call_id")
        content = decode_content(reader, maximum)
        return (ToolResult(call_id, content, name or self._names.get(call_id, "")),)

    def _legacy_result(self, reader: FieldReader, name: str, maximum: int) -> tuple[Part, ...]:
        content = decode_content(reader, maximum)
        return (ToolResult(self._legacy.get(name, f"call_{name}"), content, name),)

    def _assistant(self, reader: FieldReader, place: int, maximum: int) -> tuple[Part, ...]:
        reasoning, seals = _decode_reasoning(reader)
        parts = [*reasoning, *decode_content(reader, maximum)]
        if refusal := reader.text("refusal"):
            parts.append(Refusal(refusal))
        for entry, path in reader.entries("tool_calls", maximum):
            call = self._tool_call(entry, path)
            seal = seals.get(call.id)
            parts.append(call if seal is None else attrs.evolve(call, seal=call.seal or seal))
        if reader.left.get(FUNCTION_CALL) is not None:
            parts.append(self._legacy_call(reader.inner(FUNCTION_CALL), place))
        return tuple(parts)

    def _tool_call(self, value: Any, path: str) -> ToolCall:
        reader = FieldReader(value, path)
        call_id = reader.needed_text("id")
        kind = _decode_type(reader)
        if kind not in ("function", "custom"):
            refuse(reader.at("type"), "function or custom", kind)
        inner = reader.inner(kind)
        name = inner.needed_text("name")
        arguments = _arguments(inner) if kind == "function" else inner.text("input")
        reader.put_back(kind, inner)
        self._names[call_id] = name
        seal = unpacked_call(reader.left)
        return ToolCall(call_id, name, arguments, kind, seal=seal, extra=reader.left)

    def _legacy_call(self, reader: FieldReader, place: int) -> ToolCall:
        """A call without an id gets one that says where it stood."""
        name = reader.needed_text("name")
        arguments = _arguments(reader)
        call_id = self._legacy[name] = f"call_{place}_{name}"
        return ToolCall(call_id, name, arguments, extra={FUNCTION_CALL: reader.left})


def _arguments(reader: FieldReader) -> str:
    """JSON text; the object itself is a habit of some clients."""
    if isinstance(reader.left.get("arguments"), dict):
        return msgspec.json.encode(reader.left.pop("arguments")).decode()
    return reader.text("arguments")


def _decode_reasoning(reader: FieldReader) -> tuple[list[Part], dict[str, Seal]]:
    """The reasoning, which keeps its fields as they stood, and the seals of calls among them."""
    given = {
        name: value
        for name in _REASONING
        if (value := reader.left.get(name)) and isinstance(value, str | list)
    }
    texts = [value for value in given.values() if isinstance(value, str)]
    details = given.get(DETAILS)
    if not texts and isinstance(details, list):
        entries = [entry for entry in details if isinstance(entry, dict)]
        found = [entry.get("text") or entry.get("summary") for entry in entries]
        texts = ["".join(text for text in found if isinstance(text, str))]
    if not given or not texts:
        return [], {}
    for name in given:
        del reader.left[name]
    return unpacked_reasoning(given, texts[0])


# ---------------------------------------------------------------- tools


def _decode_tools(reader: FieldReader, limits: CallLimits) -> tuple[Tool, ...]:
    tools = [_decode_tool(*entry) for entry in reader.entries("tools", limits.tools)]
    for entry, path in reader.entries(FUNCTIONS, limits.tools):
        tool = _decode_function(FieldReader(entry, path))
        tools.append(attrs.evolve(tool, extra={FUNCTIONS: tool.extra}))
    return tuple(tools)


def _decode_tool(value: Any, path: str) -> Tool:
    reader = FieldReader(value, path)
    kind = _decode_type(reader)
    if kind != "function":
        return _opaque_tool(kind, value)
    inner = reader.inner("function")
    tool = _decode_function(inner)
    reader.put_back("function", inner)
    return attrs.evolve(tool, extra=reader.left)


def _decode_type(reader: FieldReader) -> str:
    """Function, where nothing else is said; an empty type stays as the sign that it was not."""
    kind = reader.text("type")
    if not kind:
        reader.left["type"] = ""
    return kind or "function"


def _decode_function(reader: FieldReader) -> Tool:
    return Tool(
        reader.needed_text("name"),
        reader.text("description"),
        reader.object("parameters"),
        reader.boolean("strict"),
        extra=reader.left,
    )


def _opaque_tool(kind: str, value: dict[str, Any]) -> Tool:
    """A tool of another kind stands in the extra fields as it was given."""
    inner = value.get(kind)
    inner = inner if isinstance(inner, dict) else value
    name, description = inner.get("name"), inner.get("description")
    return Tool(
        name if isinstance(name, str) else "",
        description if isinstance(description, str) else "",
        type=kind,
        extra=value,
    )


def _decode_tool_choice(reader: FieldReader) -> ToolChoice | None:
    """``tool_choice``, or the legacy ``function_call``.

    What is no plain word is kept under the name of its field.
    """
    for name in ("tool_choice", FUNCTION_CALL):
        value = reader.left.get(name)
        if value is None:
            continue
        mode, names = _decode_choice(value, name)
        if mode is None:
            reader.refuse(name, "auto, none, required or an object that names tools")
        del reader.left[name]
        is_plain = name == "tool_choice" and value in ("auto", "none", "required")
        return ToolChoice(mode, names, extra={} if is_plain else {name: value})
    return None


def _decode_choice(value: Any, path: str) -> tuple[ToolMode | None, tuple[str, ...]]:
    if isinstance(value, str):
        return _MODES.get(value.lower()), ()
    reader = FieldReader(value, path)
    kind = reader.text("type")
    if not kind:  # the legacy form
        return ToolMode.NAMED, (reader.needed_text("name"),)
    if kind in ("function", "custom"):
        return ToolMode.NAMED, (reader.inner(kind).needed_text("name"),)
    if kind == "allowed_tools":
        inner = reader.inner(kind)
        mode = _MODES.get(inner.needed_text("mode"))
        tools = inner.objects("tools", 1 << 16)
        return mode, tuple(name for tool in tools if (name := _name_in(tool)))
    return _MODES.get(kind), ()


def _name_in(tool: Any) -> str:
    """The name in an entry of ``allowed_tools``."""
    inner = tool.get(tool.get("type")) if isinstance(tool, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


# ---------------------------------------------------------------- options


def _decode_options(reader: FieldReader) -> Options:
    """Of two limits the newer one counts, and the other one is kept."""
    limit = reader.integer("max_completion_tokens", 0)
    if limit is None:
        limit = reader.integer("max_tokens", 0)
    else:
        reader.left["max_completion_tokens"] = limit
    reasoning = decode_effort(reader)
    return Options(
        temperature=reader.number("temperature"),
        top_p=reader.number("top_p"),
        top_k=reader.integer("top_k"),
        max_output_tokens=limit,
        stop=_decode_stop(reader),
        seed=reader.integer("seed"),
        presence_penalty=reader.number("presence_penalty"),
        frequency_penalty=reader.number("frequency_penalty"),
        reasoning_effort=reasoning.effort,
        reasoning_budget=reasoning.budget,
        reasoning_summary=reasoning.summary,
        verbosity=reader.optional_text("verbosity"),
        parallel_tool_calls=reader.boolean("parallel_tool_calls"),
        output_format=_decode_format(reader),
        choices=reader.integer("n", 1),
        logprobs=reader.boolean("logprobs"),
        top_logprobs=reader.integer("top_logprobs", 0),
        service_tier=reader.optional_text("service_tier"),
        user=reader.optional_text("user"),
        metadata=reader.object("metadata"),
    )


def _decode_stop(reader: FieldReader) -> tuple[str, ...] | None:
    """A list, or one string, which then stays as the sign that it was one."""
    value = reader.left.get("stop")
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        reader.refuse("stop", "a string or a list of strings")
    del reader.left["stop"]
    return tuple(value)


def _decode_format(reader: FieldReader) -> OutputFormat | None:
    """Forms that mean nothing to other dialects (text, grammars) stay as they are."""
    value = reader.left.get("response_format")
    if value is None:
        return None
    kind = FieldReader(value, reader.at("response_format")).needed_text("type")
    if kind not in ("json_object", "json_schema"):
        return None
    form = reader.inner("response_format")
    del form.left["type"]
    output = OutputFormat()
    if kind == "json_schema":
        inner = form.inner("json_schema")
        output = OutputFormat(
            _schema(inner),
            inner.text("name"),
            inner.text("description"),
            inner.boolean("strict"),
        )
        form.put_back("json_schema", inner)
    reader.put_back("response_format", form)
    return output


def _schema(reader: FieldReader) -> dict[str, Any]:
    """The schema, empty where none was given; an empty one is left as well."""
    return {} if reader.left.get("schema") == {} else reader.object("schema") or {}
