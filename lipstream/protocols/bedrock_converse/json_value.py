"""Reading JSON that a server may not have written well: halves of characters, NaN, broken UTF-8."""

from __future__ import annotations

import json
import math

import msgspec

from lipstream.errors import BadRequest
from lipstream.framing.json_guard import check_json
from lipstream.protocols.bedrock_converse.wire import MAX_DEPTH, SHALLOW, Fields

_decode = msgspec.json.Decoder().decode


class NotAnObject(ValueError):
    """The data is no JSON object, or none that may be looked into."""


def is_shallow(data: bytes) -> bool:
    """Whether data cannot be nested too deeply, as far as a glance tells."""
    return len(data) <= SHALLOW or data.count(b"{") + data.count(b"[") <= MAX_DEPTH


def read_fields(data: bytes) -> tuple[Fields, bool]:
    """The object, and whether its texts are sound: else they may hold halves of characters.

    Raises:
        NotAnObject: not even this reads it.
    """
    is_sound = True
    try:
        if not is_shallow(data):
            check_json(data, max_depth=MAX_DEPTH)
        value = _decode(data)
    except (BadRequest, ValueError):
        value, is_sound = _read_loosely(data), False
    if not isinstance(value, dict):
        raise NotAnObject("no JSON object")
    return value, is_sound


def _read_loosely(data: bytes) -> object:
    text = data.decode(errors="replace")
    try:
        check_json(text.encode(), max_depth=MAX_DEPTH)
        return json.loads(text, parse_constant=_none, parse_float=_finite)
    except (BadRequest, ValueError):
        return None


def _none(_: str) -> None:
    """NaN and Infinity, which nobody else could read."""


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
