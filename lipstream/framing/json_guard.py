"""What a JSON body must be before anybody looks into it: not empty, UTF-8, whole, not too deep.

The depth is found without decoding, by taking away everything that is not a bracket outside a
string; all of it happens in a few passes of ``bytes`` methods, so that a body that is one huge
base64 string costs next to nothing.
"""

from __future__ import annotations

import re
from itertools import accumulate, islice
from typing import Any

import msgspec

from lipstream.errors import BadRequest, TooLarge

MAX_DEPTH = 128

_OTHERS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_STEPS = bytes.maketrans(b"[{]}", b"\x02\x02\x00\x00")
_SLICE = 1 << 16
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{\]}]', re.DOTALL)
_MAX_TOKENS = 100_000  # how far the place of a fault is looked for
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
    rb"|.)",
    re.DOTALL,
)


def decode_json(body: bytes, *, max_depth: int = MAX_DEPTH, max_bytes: int | None = None) -> Any:
    """The value of a body that passes :func:`check_json`.

    Lone surrogates, which clients make by cutting strings, become U+FFFD.

    Raises:
        BadRequest: says what is wrong and at which byte; never shows the text.
        TooLarge: the body has more bytes than it may have.
    """
    if max_bytes is not None and len(body) > max_bytes:
        raise TooLarge(f"the body has {len(body)} bytes, at most {max_bytes} are allowed")
    check_json(body, max_depth=max_depth)
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        if b"\\u" in body:
            body = _ESCAPE.sub(_mended, body)
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        if "truncated" in reason:
            reason = f"it ends too early (byte {len(body)})"
        raise BadRequest(f"the body is not JSON: {reason}", code="invalid_json") from None


def check_json(body: bytes, *, max_depth: int = MAX_DEPTH) -> None:
    """Whether a decoder may be let loose on a body. Does not look whether it is well formed.

    Raises:
        BadRequest: the body is empty, not UTF-8, or nested too deeply.
    """
    if not body or body.isspace():
        raise BadRequest("the body is empty, expected JSON", code="invalid_json")
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            message = f"the body is not UTF-8 (byte {error.start})"
            raise BadRequest(message, code="invalid_json") from None
    if not _is_shallow(body, max_depth):
        place = _place_of_depth(body, max_depth)
        message = f"the body is nested more than {max_depth} levels deep{place}"
        raise BadRequest(message, code="invalid_json")


def _is_shallow(body: bytes, max_depth: int) -> bool:
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return True
    brackets = _brackets(body)
    depth = 0
    for start in range(0, len(brackets), _SLICE):
        steps = (step - 1 for step in brackets[start : start + _SLICE])
        depths = list(accumulate(steps, initial=depth))
        if max(depths) > max_depth:
            return False
        depth = depths[-1]
    return True


def _brackets(body: bytes) -> bytes:
    """The brackets outside strings, an opening one as 2 and a closing one as 0."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = body.translate(None, _OTHERS).split(b'"')[::2]
    return b"".join(outside).translate(_STEPS)


def _place_of_depth(body: bytes, max_depth: int) -> str:
    """Where the depth is exceeded; nothing when that is too far in to be worth the search."""
    depth = 0
    for token in islice(_TOKEN.finditer(body), _MAX_TOKENS):
        depth += (token[0] in b"[{") - (token[0] in b"]}")
        if depth > max_depth:
            return f" (byte {token.start()})"
    return ""


def _mended(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape[1] else escape[0]
