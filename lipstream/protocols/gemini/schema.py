"""Gemini's schema language to JSON Schema.

Gemini's ``Schema`` is a part of OpenAPI 3.0: types in upper case, ``nullable`` beside the type, an
order of properties, counts as strings (they are 64-bit integers). JSON Schema says the same with
lower-case types and a list of them. The way back is not computed: who needs it keeps the original.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_LEFT_OUT = frozenset({"nullable", "propertyOrdering", "property_ordering"})
_NAMES = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "additional_properties": "additionalProperties",
}


def to_json_schema(schema: Any) -> Any:
    """The JSON Schema that a Gemini schema stands for; what is none is left as it is."""
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for given, value in schema.items():
        name = _NAMES.get(given) or given
        if name in _LEFT_OUT:
            continue
        convert = _CONVERTERS.get(name)
        out[name] = value if convert is None else convert(value)
    if schema.get("nullable") is True:
        _allow_null(out)
    return out


def _type(value: Any) -> Any:
    if isinstance(value, list):
        return [_type(entry) for entry in value]
    return value.lower() if isinstance(value, str) else value


def _count(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def _each(value: Any) -> Any:
    return [to_json_schema(entry) for entry in value] if isinstance(value, list) else value


def _members(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: to_json_schema(entry) for name, entry in value.items()}


def _allow_null(schema: dict[str, Any]) -> None:
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
    elif "anyOf" in schema and isinstance(schema["anyOf"], list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "type": _type,
    "properties": _members,
    "$defs": _members,
    "defs": _members,
    "items": to_json_schema,
    "additionalProperties": to_json_schema,
    "anyOf": _each,
    "oneOf": _each,
    "allOf": _each,
    "prefixItems": _each,
} | dict.fromkeys(_COUNTS, _count)
