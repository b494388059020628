"""The pieces that a message is made of.

Every part keeps the fields that only its own dialect knows in ``extra``, as decoded JSON in
document order; an encoder of the same dialect writes them back, every other one leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

Json = Mapping[str, Any]


def no_fields() -> Json:
    """The fields of what has none."""
    return {}


@attrs.frozen
class Part:
    """A piece of a message."""

    extra: Json = attrs.field(factory=no_fields, kw_only=True)


@attrs.frozen
class Text(Part):
    """Visible text, exactly as given: not trimmed."""

    text: str


@attrs.frozen
class Image(Part):
    """An image by URL, or inline as a data URL.

    Attributes:
        detail: ``low``, ``high``, ``auto`` or empty.
    """

    url: str
    detail: str = ""


@attrs.frozen
class File(Part):
    """A document: inline (``data``: a data URL, or bare base64 when the client sent it so), by
    ``url`` or by provider id."""

    data: str = ""
    url: str = ""
    id: str = ""
    name: str = ""


@attrs.frozen
class Audio(Part):
    """Inline audio, base64, with its format (``wav``, ``mp3``)."""

    data: str
    format: str


@attrs.frozen
class Reasoning(Part):
    """Earlier reasoning that is sent back.

    Attributes:
        signature: The provider's proof that it wrote the text; opaque.
        dialect: The protocol that knows what to do with it.
    """

    text: str
    signature: str = ""
    dialect: str = ""


@attrs.frozen
class Refusal(Part):
    """An earlier refusal in the model's own words."""

    text: str


@attrs.frozen
class ToolCall(Part):
    """A call that the assistant made.

    Attributes:
        arguments: JSON text as the model wrote it, possibly broken; free text for ``custom``.
        type: ``function`` or ``custom``.
    """

    id: str
    name: str
    arguments: str
    type: str = "function"


@attrs.frozen
class ToolResult(Part):
    """What a tool answered; the only part of a TOOL message.

    Attributes:
        name: The tool's name where it is known; empty otherwise.
        content: Text, images, files; a structured result is JSON text.
    """

    call_id: str
    content: tuple[Part, ...]
    name: str = ""
    is_error: bool = False


@attrs.frozen
class Opaque(Part):
    """A part of a kind that only its own dialect knows, as it stood."""

    dialect: str
    value: Json
