"""Media parts, both ways: bytes in the request (``inlineData``) or a file by URI (``fileData``).

Both say their media type, by which a part is an image, audio or a file. A type that cannot be told
from the canonical part again stays beside it under ``type``.
"""

from __future__ import annotations

from lipstream.canonical.parts import Audio, File, Image, Part
from lipstream.errors import BadRequest
from lipstream.protocols.gemini.fields import Reader
from lipstream.protocols.gemini.wire import (
    Fields,
    data_url,
    split_data_url,
    standard_base64,
)

_ANY = "application/octet-stream"
_FORMATS = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav", "audio/x-flac": "flac"}
_ENDINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "htm": "text/html",
    "xml": "text/xml",
    "css": "text/css",
    "js": "text/javascript",
    "py": "text/x-python",
    "rtf": "text/rtf",
    "json": "application/json",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/aac",
    "aac": "audio/aac",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
    "mpeg": "video/mpeg",
}

# ---------------------------------------------------------------- decode


def decode_inline_data(reader: Reader) -> Part:
    """``{"inlineData": {"mimeType": ..., "data": ...}}``."""
    inner = reader.inner("inlineData")
    mime = inner.text("mimeType") or _ANY
    inner.forget_null("mimeType")
    data = standard_base64(inner.needed_text("data"))
    form = _format(mime) if mime.startswith("audio/") else ""
    _keep_type(reader, mime, _audio_type(form) if form else mime)
    if mime.startswith("audio/"):
        part: Part = Audio(data, form, extra=reader.left)
    elif mime.startswith("image/"):
        part = Image(data_url(mime, data), extra=reader.left)
    else:
        part = File(data_url(mime, data), name=inner.text("displayName"), extra=reader.left)
    reader.put_back("inlineData", inner)
    return part


def decode_file_data(reader: Reader) -> Part:
    """``{"fileData": {"mimeType": ..., "fileUri": ...}}``."""
    inner = reader.inner("fileData")
    mime, uri = inner.text("mimeType"), inner.needed_text("fileUri")
    _keep_type(reader, mime, "")
    if mime.startswith("image/"):
        part: Part = Image(uri, extra=reader.left)
    else:
        part = File(url=uri, name=inner.text("displayName"), extra=reader.left)
    reader.put_back("fileData", inner)
    return part


def _keep_type(reader: Reader, mime: str, told: str) -> None:
    reader.left.pop("type", None)  # no field of a part's
    if mime != told:
        reader.left["type"] = mime


def _format(mime: str) -> str:
    return _FORMATS.get(mime) or mime.removeprefix("audio/")


def _audio_type(form: str) -> str:
    if form.startswith("audio/"):  # audio in an answer has its whole type
        return form
    return "audio/L16;codec=pcm;rate=24000" if form == "pcm16" else f"audio/{form or 'wav'}"


# ---------------------------------------------------------------- encode


def encode_media(part: Audio | Image | File, path: str, *, is_own: bool) -> Fields:
    """A media part as it goes to Gemini.

    Raises:
        BadRequest: the part is a file that only another provider knows.
    """
    mime = part.extra.get("type", "") if is_own else ""
    if isinstance(part, Audio):
        return _inline(mime or _audio_type(part.format), part.data)
    if isinstance(part, Image):
        return _encode_url(part.url, mime, "image/jpeg", "", is_own)
    if part.data:
        return _encode_file(part)
    if part.url:
        return _encode_url(part.url, mime, "application/pdf", part.name, is_own)
    message = f"{path}: a file by its id cannot be sent to a Gemini backend, send its data"
    raise BadRequest(message, param=path, code="unsupported_file")


def encode_url(kind: str, url: str, mime: str, name: str) -> Fields:
    """Media of an answer."""
    default = "image/png" if kind == "image" else "application/octet-stream"
    return _encode_url(url, mime, default, name, False)


def _encode_url(url: str, mime: str, default: str, name: str, is_own: bool) -> Fields:
    found = split_data_url(url)
    if found is not None:
        return _inline(*found, name)
    mime = mime or ("" if is_own else _type_by_name(url) or default)
    fields = {"mimeType": mime, "fileUri": url, "displayName": name}
    return {"fileData": {key: value for key, value in fields.items() if value}}


def _encode_file(file: File) -> Fields:
    """A data URL, or the bare base64 that some clients send."""
    found = split_data_url(file.data)
    if found is not None:
        return _inline(*found, file.name)
    is_pdf = file.data.startswith("JVBERi")
    mime = "application/pdf" if is_pdf else _type_by_name(file.name) or _ANY
    return _inline(mime, file.data, file.name)


def _inline(mime: str, data: str, name: str = "") -> Fields:
    fields = {"mimeType": mime, "data": data}
    return {"inlineData": fields | {"displayName": name} if name else fields}


def _type_by_name(name: str) -> str:
    """The media type that the name of a file, or a URL, stands for."""
    bare = name.partition("?")[0].partition("#")[0]
    return _ENDINGS.get(bare.rpartition(".")[2].lower(), "")
