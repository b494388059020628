"""Reading JSON that a server may not have written well: halves of characters, NaN, broken UTF-8.

What clients send is read by :mod:`.json_guard` alone: they are told what is wrong with it.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from lipstream.errors import BadRequest
from lipstream.framing.json_guard import MAX_DEPTH, check_json

SHALLOW = 512  # bytes, in which no harmful depth fits

_decode = msgspec.json.Decoder().decode


class NotJson(ValueError):
    """The data is no JSON, or none that may be looked into."""


def is_shallow(data: bytes) -> bool:
    """Whether data cannot be nested too deeply, as far as a glance tells."""
    return len(data) <= SHALLOW or data.count(b"{") + data.count(b"[") <= MAX_DEPTH


def read_value(data: bytes) -> tuple[Any, bool]:
    """The value, and whether it says the same as the data.

    Where it does not, texts may hold halves of characters, and numbers that nobody else could read
    are None. Nothing is nested so deeply that what comes after may not recurse.

    Raises:
        NotJson: not even this reads it.
    """
    try:
        if not is_shallow(data):
            check_json(data)
        return _decode(data), True
    except (BadRequest, ValueError):
        text = data.decode(errors="replace")
    try:
        check_json(text.encode())
        return json.loads(text, parse_constant=_none, parse_float=_finite), False
    except (BadRequest, ValueError):
        raise NotJson("not JSON") from None


def _none(_: str) -> None:
    """NaN and Infinity."""


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
