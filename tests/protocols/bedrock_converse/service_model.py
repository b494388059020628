"""AWS's own description of the service, as botocore has it, and a strict look at requests by it."""

from __future__ import annotations

import base64
import functools
import re
from typing import Any

from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]
from botocore.loaders import Loader  # type: ignore[import-untyped]
from botocore.model import ServiceModel  # type: ignore[import-untyped]
from botocore.parsers import create_parser  # type: ignore[import-untyped]


@functools.cache
def service() -> Any:
    """The model of the runtime's API."""
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def complaints(body: Any) -> list[str]:
    """What of a Converse request is not as the model says; the model's id is in the path."""
    shape = service().operation_model("ConverseStream").input_shape
    return list(_look({**body, "modelId": "m.m"}, shape, ""))


def _look(value: Any, shape: Any, path: str) -> Any:
    kind = shape.type_name
    if kind == "structure" and not shape.metadata.get("document"):
        yield from _structure(value, shape, path)
    elif kind == "list":
        yield from _bounds(len(value), shape, path)
        for i, item in enumerate(value):
            yield from _look(item, shape.member, f"{path}[{i}]")
    elif kind == "map":
        yield from _bounds(len(value), shape, path)
        for name, item in value.items():
            yield from _look(name, shape.key, path)
            yield from _look(item, shape.value, f"{path}.{name}")
    elif kind == "blob":
        yield from _bounds(len(base64.b64decode(value, validate=True)), shape, path)
    elif kind == "string":
        yield from _string(value, shape, path)
    elif kind in ("integer", "float", "long"):
        yield from _bounds(value, shape, path)
    elif kind == "boolean" and not isinstance(value, bool):
        yield f"{path}: no boolean"


def _structure(value: Any, shape: Any, path: str) -> Any:
    if not isinstance(value, dict):
        yield f"{path}: no object"
        return
    yield from (f"{path}: needs {name}" for name in shape.required_members if name not in value)
    if shape.is_tagged_union and len(value) != 1:
        yield f"{path}: holds {sorted(value)}"
    for name, item in value.items():
        if name not in shape.members:
            yield f"{path}: knows no {name}"
        else:
            yield from _look(item, shape.members[name], f"{path}.{name}")


def _string(value: Any, shape: Any, path: str) -> Any:
    if not isinstance(value, str):
        yield f"{path}: no string"
        return
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value} is none of {shape.enum}"
    pattern = shape.metadata.get("pattern")
    if pattern and not path.endswith("modelId") and not re.fullmatch(pattern, value):
        yield f"{path}: {value} is not like {pattern}"
    yield from _bounds(len(value), shape, path)


def _bounds(size: float, shape: Any, path: str) -> Any:
    least, most = shape.metadata.get("min", size), shape.metadata.get("max", size)
    if not least <= size <= most:
        yield f"{path}: {size} is out of bounds"


def events_in(stream: bytes) -> list[tuple[str, Any]]:
    """The events of a stream as AWS's own client reads them."""
    shape = service().operation_model("ConverseStream").output_shape.members["stream"]
    parser = create_parser("rest-json")
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    found = []
    for event in buffer:
        read = parser._event_stream_parser.parse(event.to_response_dict(), shape)
        found.extend(read.items())
    return found
