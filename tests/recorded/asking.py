"""A recorded request on its way to the upstreams of every protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from lipstream.canonical.call import Call
from lipstream.compose import DIALECTS
from lipstream.errors import BadRequest
from lipstream.server.ways import SERVERS
from tests.recorded.material import Sample

UNSUPPORTED = "unsupported_"
"""What the code of a call begins with that a protocol cannot say."""


@attrs.frozen
class Asking:
    """What became of a request's body.

    Attributes:
        refusal: Why the body was refused; empty where it was read.
        written: For every protocol an empty text, or the code of what it cannot say.
        inexact: Where the body written in its own protocol differs from what came.
    """

    refusal: str = ""
    written: Mapping[str, str] = attrs.field(factory=dict)
    inexact: str = ""


def ask(sample: Sample) -> Asking:
    """Reads a recorded request and writes it for all upstreams."""
    try:
        call = SERVERS[sample.dialect].decode_request(as_bytes(sample.request), sample.ask)
    except BadRequest as error:
        return Asking(str(error))
    codes = {name: _code(call, name) for name in DIALECTS}
    if codes[sample.dialect]:
        return Asking(written=codes, inexact=f"not written: {codes[sample.dialect]}")
    return Asking("", codes, _difference(sample.dialect, sample.request, call))


def as_bytes(value: Any) -> bytes:
    """A JSON body."""
    return json.dumps(value).encode()


def encoded(call: Call, dialect: str) -> Any:
    """The body for an upstream of a protocol."""
    body = DIALECTS[dialect].encode_request(call, call.model, is_streaming=call.is_streaming)
    return json.loads(body)


def _code(call: Call, dialect: str) -> str:
    try:
        encoded(call, dialect)
    except BadRequest as error:
        return error.code or "no code"
    return ""


# ---------------------------------------------------------------- what came and what is written

_OURS = frozenset({"stream", "stream_options"})  # is said as the way to the upstream needs it

_FREE = frozenset(
    # members whose value is the client's own, down to the order of its members
    {
        "parameters",
        "parametersJsonSchema",
        "input_schema",
        "schema",
        "responseSchema",
        "responseJsonSchema",
        "input",
        "args",
        "response",
        "metadata",
    }
)


def _difference(dialect: str, came: Any, call: Call) -> str:
    """Where the two say something else; the order counts in what is the client's own."""
    normal = _NORMAL.get(dialect, lambda value: value)
    expected, found = (
        {name: value for name, value in normal(body).items() if name not in _OURS}
        for body in (came, encoded(call, dialect))
    )
    path = next(_differing(expected, found, ""), "")
    return path or next(_differing([*_orders(expected)], [*_orders(found)], "order "), "")


def _differing(a: Any, b: Any, path: str) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for name in {**a, **b}:
            if name in a and name in b:
                yield from _differing(a[name], b[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for place, pair in enumerate(zip(a, b, strict=True)):
            yield from _differing(*pair, f"{path}[{place}]")
    elif a != b:
        yield path


def _orders(value: Any, is_free: bool = False) -> Iterator[list[str]]:
    """The names in every object of the client's own."""
    if isinstance(value, list):
        for entry in value:
            yield from _orders(entry, is_free)
    elif isinstance(value, dict):
        if is_free:
            yield list(value)
        for name in value if is_free else sorted(value):
            is_own = name in _FREE and isinstance(value[name], dict)
            yield from _orders(value[name], is_free or is_own)


# ---------------------------------------------------------------- several ways to say a thing

_NOTHING = ("thought", "generationConfig")  # say nothing when they are false or empty
_BASE64 = ("data", "thoughtSignature")


def _normal_gemini(value: Any, is_free: bool = False) -> Any:
    """Names in camel case, the standard alphabet of base64, no null and no default.

    So says JSON for Protocol Buffers, which Google's service reads.
    """
    if isinstance(value, list):
        return [_normal_gemini(entry, is_free) for entry in value]
    if not isinstance(value, dict) or is_free:
        return value
    found = {}
    for name, entry in value.items():
        camel = re.sub("_([a-z])", lambda match: match[1].upper(), name)
        normal = _normal_gemini(entry, camel in _FREE)
        if isinstance(normal, str) and camel in _BASE64:
            normal = normal.replace("-", "+").replace("_", "/")
        if normal is not None and (normal or camel not in _NOTHING):
            found[camel] = normal
    return found


_NORMAL: Mapping[str, Callable[[Any], Any]] = {"gemini": _normal_gemini}
