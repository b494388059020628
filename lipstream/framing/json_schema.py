"""JSON Schemas, made to fit what providers ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HOLDERS = frozenset({"items", "prefixItems", "anyOf", "oneOf", "allOf", "not"})
_NAMED_HOLDERS = ("properties", "$defs", "definitions")


def closed_schema(schema: Any) -> Any:
    """A schema whose objects all say whether they may have other properties: no, if unsaid."""
    if isinstance(schema, list):
        return [closed_schema(entry) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    fields = {
        name: closed_schema(value) if name in _HOLDERS else value for name, value in schema.items()
    }
    for name in _NAMED_HOLDERS:
        inner = schema.get(name)
        if isinstance(inner, Mapping):
            fields[name] = {key: closed_schema(value) for key, value in inner.items()}
    kind = schema.get("type")
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
    if is_object and "additionalProperties" not in schema:
        fields["additionalProperties"] = False
    return fields
