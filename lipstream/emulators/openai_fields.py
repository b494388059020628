"""What OpenAI's two APIs check alike in a request: bounds, names, schemas, tool choice.

The words are those of https://platform.openai.com/docs/guides/error-codes and of its real answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lipstream.emulators.openai_errors import refuse
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import SeenTool

NAME = re.compile(r"[a-zA-Z0-9_-]+")

BOUNDS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


def check_length(node: Node, limit: int) -> str:
    """The string, refused if it has more than ``limit`` characters."""
    text = node.text()
    if len(text) > limit:
        raise refuse(
            f"Invalid '{node.path}': string too long. Expected a string with maximum length "
            f"{limit}, but got a string with length {len(text)} instead.",
            node.path,
            "string_above_max_length",
        )
    return text


def check_not_empty(node: Node) -> None:
    """Refuse a list without items."""
    if not node.items():
        raise refuse(
            f"Invalid '{node.path}': empty array. Expected an array with minimum length 1, but got "
            "an empty array instead.",
            node.path,
            "empty_array",
        )


def check_one_of(node: Node, allowed: tuple[str, ...]) -> str:
    """The string, refused if it is none of these."""
    text = node.text()
    if text not in allowed:
        names = [f"'{name}'" for name in allowed]
        listed = ", ".join(names[:-1]) + ("," if len(names) > 2 else "") + f" and {names[-1]}"
        message = f"Invalid value: '{text}'. Supported values are: {listed}."
        raise refuse(message, node.path, "invalid_value")
    return text


def sampling(body: Node) -> dict[str, Any]:
    """The bounded numbers."""
    found: dict[str, Any] = {}
    for name, (low, high) in BOUNDS.items():
        node = body.at(name)
        if node.is_missing:
            continue
        value = found[name] = node.number()
        if value > high:
            _out_of_bounds(name, "above maximum", "decimal_above_max_value", f"<= {high}", value)
        if value < low:
            _out_of_bounds(name, "below minimum", "decimal_below_min_value", f">= {low}", value)
    return found


def _out_of_bounds(name: str, where: str, code: str, expected: str, value: float) -> None:
    message = (
        f"Invalid '{name}': decimal {where} value. Expected a value {expected}, but got {value} "
        "instead."
    )
    raise refuse(message, name, code)


def plain(body: Node, names: Mapping[str, str]) -> dict[str, Any]:
    """Fields that are taken as they are: canonical name by the wire's one."""
    fields = body.table()
    return {
        ours: fields[theirs] for theirs, ours in names.items() if fields.get(theirs) is not None
    }


def function(node: Node) -> SeenTool:
    """A function with name, description, parameters and ``strict``."""
    name = node.need("name")
    if not NAME.fullmatch(name.text()):
        raise refuse(
            f"Invalid '{name.path}': string does not match pattern. Expected a string that matches "
            "the pattern '^[a-zA-Z0-9_-]+$'.",
            name.path,
            "invalid_value",
        )
    check_length(name, 64)
    parameters = node.at("parameters")
    if not parameters.is_missing:
        what = f"function '{name.value}'"
        check_schema(parameters, what, "invalid_function_parameters", node.at("strict").value)
    return SeenTool(name.text(), node.text_at("description") or "", parameters.value)


def check_schema(schema: Node, what: str, code: str, is_strict: Any) -> None:
    """Refuse what is not a schema, and what a strict one may not leave out."""
    table = schema.table()
    kind = table.get("type")
    if code == "invalid_function_parameters" and kind not in (None, "object"):
        problem = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
        raise refuse(f"Invalid schema for {what}: {problem}", schema.path, code)
    if is_strict is not True:
        return
    if table.get("additionalProperties") is not False:
        problem = "'additionalProperties' is required to be supplied and to be false."
        raise refuse(f"Invalid schema for {what}: In context=(), {problem}", schema.path, code)
    required = [node.value for node in schema.at("required").items()]
    for name in schema.table_at("properties").table():
        if name not in required:
            problem = (
                "'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{name}'."
            )
            raise refuse(f"Invalid schema for {what}: In context=(), {problem}", schema.path, code)


def choice(node: Node, named: Node | None) -> Any:
    """``tool_choice``; ``named`` is the object with the function's name where it is an object."""
    if isinstance(node.value, str):
        return check_one_of(node, ("none", "auto", "required"))
    return {"name": named.need("name").text()} if named is not None else node.value
