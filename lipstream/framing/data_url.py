"""Data URLs (RFC 2397): what is inline in a request."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

_MAGIC = {
    # what base64 begins with, for data whose type is not told
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}


def split_data_url(url: str) -> tuple[str, str]:
    """The media type, in lower case and without parameters, and the data in base64.

    A type that is not told is the one that the data begins like; empty where that is unknown, too.
    """
    head, _, data = url.removeprefix("data:").partition(",")
    kind, *parameters = (word.strip().lower() for word in head.split(";"))
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return kind or sniffed(data), data


def sniffed(data: str) -> str:
    """The media type that base64 data begins like; empty for none that is known."""
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "")
