"""Gemini's schema language as JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.protocols.gemini.schema import to_json_schema

TABLE: list[tuple[Any, Any]] = [
    ({"type": "STRING"}, {"type": "string"}),
    ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
    ({"type": "INTEGER", "nullable": True}, {"type": ["integer", "null"]}),
    ({"type": "INTEGER", "nullable": False}, {"type": "integer"}),
    ({"type": ["STRING", "NULL"], "nullable": True}, {"type": ["string", "null"]}),
    (
        {"type": "STRING", "enum": ["a"], "nullable": True},
        {"type": ["string", "null"], "enum": ["a", None]},
    ),
    (
        {"anyOf": [{"type": "STRING"}], "nullable": True},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
    ),
    ({"any_of": [{"type": "STRING"}]}, {"anyOf": [{"type": "string"}]}),
    (
        {"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "2"},
        {"type": "array", "items": {"type": "number"}, "minItems": 2},
    ),
    (
        {"type": "ARRAY", "max_items": 3, "prefixItems": [{"type": "BOOLEAN"}]},
        {"type": "array", "maxItems": 3, "prefixItems": [{"type": "boolean"}]},
    ),
    (
        {
            "type": "OBJECT",
            "properties": {"type": {"type": "STRING"}},
            "propertyOrdering": ["type"],
            "required": ["type"],
        },
        {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]},
    ),
    (
        {"$defs": {"a": {"type": "STRING"}}, "$ref": "#/$defs/a"},
        {"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"},
    ),
    ({"additionalProperties": {"type": "STRING"}}, {"additionalProperties": {"type": "string"}}),
    (
        {"additionalProperties": False, "minLength": "x"},
        {"additionalProperties": False, "minLength": "x"},
    ),
    ({"nullable": True}, {}),
    # what is no schema stays what it is
    (
        {"properties": 5, "anyOf": 5, "type": 5, "items": 5},
        {"properties": 5, "anyOf": 5, "type": 5, "items": 5},
    ),
    (True, True),
    (None, None),
]


@pytest.mark.parametrize(("given", "expected"), TABLE)
def test_schema_means_the_same_as_json_schema(given: Any, expected: Any) -> None:
    """Types in lower case, null among the types, and no order of properties."""
    assert to_json_schema(given) == expected


def test_json_schema_stays_as_it_is() -> None:
    """Many clients write it in the place of the other."""
    schema = {"type": ["string", "null"], "const": "a", "x": {"type": "STRING"}}
    assert to_json_schema(schema) == schema
