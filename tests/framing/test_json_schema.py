"""JSON Schemas that are made to fit."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.framing.json_schema import closed_schema

OPEN: Any = {"type": "object"}
CLOSED: Any = {"type": "object", "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (OPEN, CLOSED),
        ({"type": ["object", "null"]}, {"type": ["object", "null"], "additionalProperties": False}),
        ({**OPEN, "additionalProperties": True}, {**OPEN, "additionalProperties": True}),
        ({"type": "string", "enum": [OPEN]}, {"type": "string", "enum": [OPEN]}),
        ({"items": OPEN}, {"items": CLOSED}),
        ({"anyOf": [OPEN, True]}, {"anyOf": [CLOSED, True]}),
        ({"properties": {"type": OPEN}}, {"properties": {"type": CLOSED}}),
        ({"$defs": {"a": OPEN}, "definitions": 5}, {"$defs": {"a": CLOSED}, "definitions": 5}),
        (5, 5),
    ],
)
def test_objects_are_closed_wherever_they_are(schema: Any, expected: Any) -> None:
    """Unless they say for themselves; the given one stays as it was."""
    before = repr(schema)
    assert closed_schema(schema) == expected
    assert repr(schema) == before
