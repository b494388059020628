"""Images, documents and audio as blocks: bytes in base64, or an object in S3.

Bedrock loads nothing over HTTP, so anything that is neither is refused. Of a document the format
has to be told, which its media type, else the end of its name, else its first bytes say; its name
may have few kinds of letters and is its own in the request.
"""

from __future__ import annotations

import base64
import binascii
import re

from lipstream.canonical.parts import Audio, File, Image
from lipstream.errors import BadRequest
from lipstream.framing.data_url import sniffed, split_data_url
from lipstream.protocols.bedrock_converse.wire import Fields

MAX_NAME = 200  # characters of a document's name

_IMAGES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "md",
    "text/x-markdown": "md",
    # read as text, whatever it is
    "application/json": "txt",
    "application/xml": "txt",
    "application/yaml": "txt",
    "application/x-yaml": "txt",
    "application/javascript": "txt",
}
_ENDINGS = {
    "pdf": "pdf",
    "csv": "csv",
    "doc": "doc",
    "docx": "docx",
    "xls": "xls",
    "xlsx": "xlsx",
    "html": "html",
    "htm": "html",
    "txt": "txt",
    "text": "txt",
    "md": "md",
    "markdown": "md",
}
_UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_AUDIO = {
    "mpeg": "mp3",
    "x-wav": "wav",
    "wave": "wav",
    "vnd.wave": "wav",
    "x-flac": "flac",
    "x-m4a": "m4a",
    "pcm16": "pcm",
    "": "wav",
}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9()\[\]-]+")
_S3 = "s3://"


def image_block(part: Image, path: str) -> Fields:
    """An image.

    Raises:
        BadRequest: it is elsewhere, or of a kind that Bedrock does not take.
    """
    if part.url.startswith(_S3):
        ending = part.url.rpartition(".")[2].lower()
        form = _IMAGES.get(f"image/{ending}", "png")
        return {"image": {"format": form, "source": _s3(part.url)}}
    mime, data = _inline(part.url, path)
    known = _IMAGES.get(mime or "image/png")
    if known is None:
        message = f"{path}: an image is png, jpeg, gif or webp with this backend, not {mime}"
        raise BadRequest(message, param=path, code="unsupported_image")
    return {"image": {"format": known, "source": {"bytes": data}}}


def audio_block(part: Audio) -> Fields:
    """Audio; few models take any, and the others say so."""
    form = part.format.lower().removeprefix("audio/").partition(";")[0]
    return {"audio": {"format": _AUDIO.get(form, form), "source": {"bytes": part.data}}}


class Documents:
    """The documents of one request, whose names differ."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def block(self, part: File, path: str) -> Fields:
        """A file: a document, or the image that it is.

        Raises:
            BadRequest: it is elsewhere, or of a kind that Bedrock does not take.
        """
        if part.id and not part.data and not part.url:
            message = f"{path}: a file that lies with another provider cannot be sent by its id"
            raise BadRequest(message, param=path, code="unsupported_file")
        given = part.data or part.url
        if part.data and not part.data.startswith("data:"):
            given = f"data:{sniffed(part.data)};base64,{part.data}"
        if given.startswith(_S3):
            form = _of_name(part.name) or _of_name(given) or "pdf"
            return self._document(part.name or given.rpartition("/")[2], form, _s3(given))
        mime, data = _inline(given, path)
        if mime.startswith("image/"):
            return image_block(Image(f"data:{mime};base64,{data}"), path)
        form = _format(mime, part.name, data)
        if not form:
            message = (
                f"{path}: a document of type {mime or 'unknown'} cannot be sent to this backend"
            )
            raise BadRequest(message, param=path, code="unsupported_file")
        return self._document(part.name, form, {"bytes": data})

    def _document(self, name: str, form: str, source: Fields) -> Fields:
        return {"document": {"name": self._name(name), "format": form, "source": source}}

    def _name(self, given: str) -> str:
        stem = given if _of_name(given) == "" else given.rpartition(".")[0]
        stem = _NOT_IN_NAMES.sub(" ", stem).strip() or "document"
        name, count = stem[:MAX_NAME].strip(), 1
        while name in self._names:
            count += 1
            suffix = f" ({count})"
            name = stem[: MAX_NAME - len(suffix)].strip() + suffix
        self._names.add(name)
        return name


def _format(mime: str, name: str, data: str) -> str:
    """The format of a document; empty for one that Bedrock does not take."""
    if mime == "text/plain":
        return _of_name(name) if _of_name(name) in ("md", "csv", "html") else "txt"
    if mime not in _UNTOLD:
        return _DOCUMENTS.get(mime) or ("txt" if mime.startswith("text/") else "")
    return _of_name(name) or ("txt" if _is_text(data) else "")


def _of_name(name: str) -> str:
    return _ENDINGS.get(name.rpartition(".")[2].lower(), "") if "." in name else ""


def _is_text(data: str) -> bool:
    try:
        return "\0" not in base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return False


def _inline(url: str, path: str) -> tuple[str, str]:
    if not url.startswith("data:"):
        message = f"{path}: this backend loads nothing over HTTP, only data and s3 URLs can be sent"
        raise BadRequest(message, param=path, code="unsupported_url")
    return split_data_url(url)


def _s3(uri: str) -> Fields:
    return {"s3Location": {"uri": uri}}
