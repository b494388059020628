"""Images and documents: their ``source`` objects, both ways.

Canonical media are a URL, where what is inline is a base64 data URL; a source names its kind, its
media type and its data apart. A document of plain text stands in its source as text.
"""

from __future__ import annotations

import base64
from typing import Any

from lipstream.canonical.parts import File, Image
from lipstream.errors import BadRequest
from lipstream.framing.data_url import split_data_url
from lipstream.framing.json_fields import FieldReader
from lipstream.protocols.anthropic_messages.wire import Fields

_MARK = ";base64,"
_PDF = "application/pdf"

# ---------------------------------------------------------------- decode


def decode_image(reader: FieldReader) -> Image | None:
    """Takes ``source``; None where only this dialect knows its kind (a file's id)."""
    url = _take_url(reader, {"base64", "url"})
    return None if url is None else Image(url, extra=reader.left)


def decode_document(reader: FieldReader) -> File | None:
    """Takes ``source`` and ``title``; None where only this dialect knows its kind."""
    kind = _kind(reader)
    if kind == "file":
        source = _inner(reader)
        data, url, key = "", "", source.needed_text("file_id")
        if not key:
            return None
        reader.put_back("source", source)
    else:
        given = _take_url(reader, {"base64", "url", "text"})
        if given is None:
            return None
        is_remote = kind == "url"
        data, url, key = ("", given, "") if is_remote else (given, "", "")
    return File(data, url, key, reader.text("title"), extra=reader.left)


def _kind(reader: FieldReader) -> Any:
    source = FieldReader(reader.left.get("source"), reader.at("source"))
    return source.needed_text("type")


def _inner(reader: FieldReader) -> FieldReader:
    source = reader.inner("source")
    del source.left["type"]
    return source


def _take_url(reader: FieldReader, kinds: set[str]) -> str | None:
    kind = _kind(reader)
    if kind not in kinds:
        return None
    source = _inner(reader)
    if kind == "url":
        url = source.needed_text("url")
    else:
        mime, data = source.needed_text("media_type"), source.needed_text("data")
        if "," in mime:
            source.left["media_type"] = mime
            source.refuse("media_type", "a media type such as image/png")
        url = f"data:{mime}{_MARK}{data if kind == 'base64' else _encoded(data)}"
    if _kind_of(url) != kind:  # a data URL as URL, a text as base64
        source.left["type"] = kind
    reader.put_back("source", source)
    return url


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _kind_of(url: str) -> str:
    if not url.startswith("data:"):
        return "url"
    return "text" if url.startswith("data:text/") else "base64"


# ---------------------------------------------------------------- encode


def image_source(part: Image, path: str, *, is_own: bool) -> Fields:
    """The source of an image.

    Raises:
        BadRequest: its URL is none that an upstream could load.
    """
    if is_own:
        return _own_source(part.url, part)
    return _source(part.url, path, "image/png")


def document_source(part: File, path: str, *, is_own: bool) -> Fields:
    """The source of a document.

    Raises:
        BadRequest: it is the id of a file at another provider, or a URL of another kind.
    """
    if is_own:
        if part.id:
            return {"type": "file", "file_id": part.id}
        return _own_source(part.data or part.url, part)
    if part.data:
        url = part.data if part.data.startswith("data:") else f"data:{_MARK}{part.data}"
        return _source(url, path, _PDF)
    if part.url:
        return _source(part.url, path, _PDF)
    message = f"{path}: a file that lies with another provider cannot be sent to this backend"
    raise BadRequest(message, param=path, code="unsupported_file")


def is_image(part: File) -> bool:
    """Whether a file is a picture, which is no document here."""
    return part.data.startswith("data:image/")


def media_url(block: Fields) -> str:
    """The URL of an image or a document in an answer; empty where there is none to be had."""
    source = block.get("source")
    fields = source if isinstance(source, dict) else {}
    url, data, mime = (fields.get(name) for name in ("url", "data", "media_type"))
    if isinstance(url, str) and url:
        return url
    if not isinstance(data, str) or not data:
        return ""
    mime = mime if isinstance(mime, str) else "application/octet-stream"
    return f"data:{mime}{_MARK}{_encoded(data) if fields.get('type') == 'text' else data}"


def _own_source(url: str, part: Image | File) -> Fields:
    """As it came."""
    given = part.extra.get("source")
    kind = given.get("type") if isinstance(given, dict) else None
    kind = kind or _kind_of(url)
    if kind == "url":
        return {"type": "url", "url": url}
    mime, _, data = url.removeprefix("data:").partition(_MARK)
    if kind == "text":
        data = _text(data) or ""
    return {"type": kind, "media_type": mime, "data": data}


def _source(url: str, path: str, default: str) -> Fields:
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    if not url.startswith("data:"):
        message = f"{path}: only http, https and data URLs can be sent to this backend"
        raise BadRequest(message, param=path, code="unsupported_url")
    mime, data = _inline(url, default)
    text = _text(data) if mime.startswith("text/") else None
    if text:
        return {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "base64", "media_type": mime, "data": data}


def _inline(url: str, default: str) -> tuple[str, str]:
    mime, data = split_data_url(url)
    mime = mime or default
    return "image/jpeg" if mime == "image/jpg" else mime, data


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:  # neither base64 nor text
        return None
