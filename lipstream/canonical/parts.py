"""The pieces that a message is made of.

Every part keeps the fields that only its own dialect knows in ``extra``, as decoded JSON in
document order; an encoder of the same dialect writes them back, every other one leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from lipstream.canonical.seal import Seal

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
    seal: Seal | None = attrs.field(default=None, kw_only=True)


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
    """Reasoning, shown by a provider or sent back to it.

    Attributes:
        text: May be empty: redacted or encrypted reasoning is its seal alone.
        seal: The provider's proof. Reasoning without one goes back only in the dialect of the call
            that it stands in.
    """

    text: str
    seal: Seal | None = None


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
        seal: Gemini wants one back with the call.
    """

    id: str
    name: str
    arguments: str
    type: str = "function"
    seal: Seal | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class ToolResult(Part):
    """What a tool answered; the only part of a TOOL message.

    Attributes:
        name: The tool's name: as given, else that of the call with this id; empty if neither.
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
