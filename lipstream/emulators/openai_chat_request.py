"""What OpenAI's chat API sees in a request and what it refuses.

Fields that it does not know are let through: its many followers have their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lipstream.emulators.openai_errors import OpenAIWords, refuse
from lipstream.emulators.openai_fields import (
    check_length,
    check_not_empty,
    check_one_of,
    check_schema,
    choice,
    function,
    plain,
    sampling,
)
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import (
    Role,
    Seen,
    SeenCall,
    SeenMedia,
    SeenPart,
    SeenReasoning,
    SeenRefusal,
    SeenResult,
    SeenText,
    from_url,
    inline,
    parsed,
    turns_of,
)

ROLES = ("system", "assistant", "user", "function", "tool", "developer")
PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file")
CALL_ID = 40
"""Characters of a tool call's id at most."""

STOPS = 4
"""Stop sequences at most."""

OPTIONS = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "seed": "seed",
    "n": "n",
    "user": "user",
    "parallel_tool_calls": "parallel_tool_calls",
    "reasoning_effort": "reasoning_effort",
    "verbosity": "verbosity",
    "service_tier": "service_tier",
}

NO_JSON = (
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
    "'json_object'."
)
UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. The following tool_call_ids did not have response messages: "
)
UNASKED = (
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
    "'tool_calls'."
)


def see_chat(body: Any) -> Seen:
    """The request's content.

    Raises:
        Refused: The provider would answer 400.
    """
    root = Node(body, "", OpenAIWords())
    if not isinstance(body, dict):
        raise refuse("We could not parse the JSON body of your request.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise refuse("you must provide a model parameter")
    messages = root.need("messages")
    check_not_empty(messages)
    _check_pairs(messages.items())
    system: list[str] = []
    said: list[tuple[Role, SeenPart]] = []
    for message in messages.items():
        role = check_one_of(message.need("role"), ROLES)
        parts = list(_message(message, role))
        if role in ("system", "developer"):
            system += [part.text for part in parts if isinstance(part, SeenText)]
        else:
            said += [("assistant" if role == "assistant" else "user", part) for part in parts]
    tools = tuple(function(tool.need("function")) for tool in _functions(root))
    return Seen("\n\n".join(system), turns_of(said), tools, _options(root))


# ---------------------------------------------------------------- messages


def _message(message: Node, role: str) -> Iterator[SeenPart]:
    if role == "tool":
        text = "".join(part.text for part in _content(message, role) if isinstance(part, SeenText))
        yield SeenResult(message.at("tool_call_id").text(), None, text)
        return
    if role == "assistant":
        for name in ("reasoning_content", "reasoning"):
            if isinstance(reasoning := message.at(name).value, str) and reasoning:
                yield SeenReasoning(reasoning)
                break
    yield from _content(message, role)
    if role == "assistant":
        if isinstance(refusal := message.at("refusal").value, str):
            yield SeenRefusal(refusal)
        yield from (_call(call) for call in message.at("tool_calls").items())


def _content(message: Node, role: str) -> Iterator[SeenPart]:
    content = message.at("content")
    if content.is_missing:
        others = ("tool_calls", "function_call", "refusal", "audio")
        if role != "assistant" or all(message.at(name).is_missing for name in others):
            path = content.path.replace("[", ".[")
            raise refuse("Invalid value for 'content': expected a string, got null.", path)
    elif isinstance(content.value, str):
        if content.value:
            yield SeenText(content.value)
    else:
        for part in content.items():
            yield _part(part, role, message.path)


def _part(part: Node, role: str, where: str) -> SeenPart:
    kind = check_one_of(part.need("type"), PARTS)
    if kind == "text":
        return SeenText(part.need("text").text())
    if kind == "refusal":
        return SeenRefusal(part.need("refusal").text())
    if role != "user":
        what = "Image URLs are" if kind == "image_url" else "Files and audio are"
        raise refuse(
            f"Invalid '{where}'. {what} only allowed for messages with role 'user', but this "
            f"message with role '{role}' contains one.",
            where,
            "invalid_value",
        )
    return _media(part, kind)


def _media(part: Node, kind: str) -> SeenMedia:
    if kind == "image_url":
        return from_url("image", part.need("image_url").need("url").text())
    if kind == "file":
        file = part.need("file")
        name, data, file_id = (file.at(key).value for key in ("filename", "file_data", "file_id"))
        if file_id is not None:
            return SeenMedia("document", source=file_id)
        if isinstance(data, str) and data.startswith("data:"):
            return from_url("document", data, name)
        return inline("document", "", file.need("file_data").text(), name)
    audio = part.need("input_audio")
    return inline("audio", f"audio/{audio.need('format').text()}", audio.need("data").text())


def _call(call: Node) -> SeenCall:
    made = call.at("function")
    if made.is_missing:
        made = call.at("custom")
        name, arguments = made.need("name").text(), made.need("input").text()
    else:
        name, arguments = made.need("name").text(), made.need("arguments").text()
    return SeenCall(check_length(call.need("id"), CALL_ID), name, parsed(arguments))


def _check_pairs(messages: list[Node]) -> None:
    """Each call must be answered before anything else is said, and nothing else be answered."""
    open_ids: list[str] = []
    known: list[str] = []
    for message in messages:
        role = message.at("role").value
        where = f"{message.path.replace('[', '.[')}.role"
        if role == "tool":
            answered = _answered(message)
            if not known:
                raise refuse(UNASKED, where)
            if answered not in known:
                problem = f"'tool_call_id' of '{answered}' not found in 'tool_calls' of previous"
                raise refuse(f"Invalid parameter: {problem} message.", where)
            open_ids = [call_id for call_id in open_ids if call_id != answered]
            continue
        if open_ids:
            raise refuse(UNANSWERED + ", ".join(open_ids), where)
        calls = message.at("tool_calls").items() if role == "assistant" else []
        known = [call.need("id").text() for call in calls]
        open_ids = list(known)
    if open_ids:
        raise refuse(UNANSWERED + ", ".join(open_ids), "messages")


def _answered(message: Node) -> str:
    call_id = message.at("tool_call_id")
    if call_id.is_missing:
        problem = "Missing parameter 'tool_call_id': messages with role 'tool' must have a "
        raise refuse(f"{problem}'tool_call_id'.", call_id.path.replace("[", ".["))
    return call_id.text()


# ---------------------------------------------------------------- options


def _functions(root: Node) -> list[Node]:
    tools = root.at("tools")
    if not tools.is_missing:
        check_not_empty(tools)
    return [tool for tool in tools.items() if tool.need("type").value == "function"]


def _options(root: Node) -> dict[str, Any]:
    _check_together(root)
    found = {**plain(root, OPTIONS), **sampling(root)}
    stop = root.at("stop")
    if not stop.is_missing:
        found["stop"] = _stops(stop)
    tool_choice = root.at("tool_choice")
    if not tool_choice.is_missing:
        given = tool_choice.value
        is_named = isinstance(given, dict) and given.get("type") != "allowed_tools"
        found["tool_choice"] = choice(tool_choice, tool_choice.at("function") if is_named else None)
    return found | _format(root)


def _check_together(root: Node) -> None:
    """Fields that want, or do not suffer, another one."""
    fields = {name for name, value in root.table().items() if value is not None}
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in fields and not fields & {"tools", "functions"}:
            problem = f"'{name}' is only allowed when 'tools' are specified."
            raise refuse(f"Invalid value for '{name}': {problem}", name)
    if "stream_options" in fields and root.at("stream").value is not True:
        problem = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise refuse(problem, "stream_options")
    if {"max_tokens", "max_completion_tokens"} <= fields:
        problem = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not "
        raise refuse(f"{problem}supported.", "max_tokens", "invalid_parameter_combination")


def _stops(stop: Node) -> list[str]:
    stops = [stop.value] if isinstance(stop.value, str) else [node.text() for node in stop.items()]
    if len(stops) > STOPS:
        problem = f"array too long. Expected an array with maximum length {STOPS}, but got an array"
        message = f"Invalid 'stop': {problem} with length {len(stops)} instead."
        raise refuse(message, "stop", "array_above_max_length")
    return stops


def _format(root: Node) -> dict[str, Any]:
    wanted = root.at("response_format")
    if wanted.is_missing:
        return {}
    kind = check_one_of(wanted.need("type"), ("json_object", "json_schema", "text"))
    if kind == "json_object":
        if "json" not in str(root.at("messages").value).lower():
            raise refuse(NO_JSON, "messages")
        return {"json_mode": True}
    if kind == "text":
        return {}
    shape = wanted.need("json_schema")
    name, schema = shape.need("name").text(), shape.at("schema")
    if not schema.is_missing:
        what = f"response_format '{name}'"
        check_schema(schema, what, "invalid_json_schema", shape.at("strict").value)
    return {"json_schema": schema.value}
