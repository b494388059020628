"""Seals: what a provider attaches to its own output so that it can trust it when it comes back.

Anthropic signs thinking, Gemini signs parts, OpenAI encrypts reasoning. Such a value is opaque, is
kept byte for byte, and goes back to the backend and model it came from, to nobody else. A client
of the same protocol gets it bare. A client of another protocol gets it :func:`packed` into the
place that its own protocol has for such a thing, and sends it back from there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

_MARK = b"lipseal1:"  # nine bytes, so that its base64 form stands for itself
_PREFIX = base64.b64encode(_MARK).decode()
_MAX_DEPTH = 64  # of the fields: a client may have made the text itself


@attrs.frozen
class Seal:
    """One provider's opaque word on something it wrote.

    Attributes:
        dialect: The protocol that it was received in.
        value: As the provider wrote it; may be empty where only the text has to come back.
        origin: ``backend:model`` that wrote it; empty when that is not known, because a client of
            the same protocol brought it bare.
        fields: What else has to stand beside it on the wire, for its own dialect to know.
        call_id: The tool call that it belongs to, where it travels apart from that call.
    """

    dialect: str
    value: str
    origin: str = ""
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    call_id: str = ""


def _forget(seal: Seal, call_id: str) -> None:
    """Nobody wants to know."""


@attrs.frozen
class Sealer:
    """Makes the seals of one stream, and tells of each.

    Attributes:
        origin: ``backend:model`` that the stream comes from.
        tell: Called with each seal and the id of the tool call it belongs to, empty if none.
    """

    origin: str = ""
    tell: Callable[[Seal, str], None] = _forget

    def seal(
        self, dialect: str, value: str, fields: Mapping[str, Any] | None = None, call_id: str = ""
    ) -> Seal:
        """A seal of this stream's origin."""
        seal = Seal(dialect, value, self.origin, fields or {})
        self.tell(seal, call_id)
        return seal


UNKNOWN_ORIGIN = Sealer()


def packed(seal: Seal) -> str:
    """A seal as text that any dialect can carry: standard base64, which Gemini's clients insist on.

    The origin is inside, so that it comes back to where it belongs also after a restart. Halves of
    characters, which some servers send, stay what they are.
    """
    fields = [seal.dialect, seal.value, seal.origin, dict(seal.fields), seal.call_id]
    return base64.b64encode(_MARK + json.dumps(fields, separators=(",", ":")).encode()).decode()


def unpacked(text: str) -> Seal | None:
    """The seal that :func:`packed` made this text of; None for any other text."""
    if not text.startswith(_PREFIX):
        return None
    try:
        raw = base64.b64decode(text, validate=True)[len(_MARK) :]
        value = json.loads(raw)
        fields = msgspec.convert(value, tuple[str, str, str, dict[str, Any], str])
    except (ValueError, RecursionError):
        return None
    return Seal(*fields) if _is_shallow(value, _MAX_DEPTH) else None


def _is_shallow(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return True
    return depth > 0 and all(_is_shallow(inner, depth - 1) for inner in value)
