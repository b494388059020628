"""Message content, both ways: a string, or a list of typed parts.

A part that stood in a list keeps its ``type`` among its extra fields. That is how a single text is
known to have been a list, and why every part can be written again as it was. Where a service takes
a bare string for an object (Mistral's ``image_url``), the string's place is kept as ``""``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipstream.canonical.parts import Audio, File, Image, Opaque, Part, Refusal, Text
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import FieldReader, merge_fields
from lipstream.protocols.openai_chat.wire import NAME, Fields

PDF = "application/pdf"
_KINDS = {
    # of files, by the ends of their names
    "pdf": PDF,
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
}
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}
_SAME_FILES = frozenset({"openai_responses"})  # protocols of the provider that chat's file ids are

# ---------------------------------------------------------------- decode


def decode_content(reader: FieldReader, maximum: int) -> tuple[Part, ...]:
    """Takes ``content``; null, an empty string and an empty list are left where they are."""
    value = reader.left.get("content")
    if isinstance(value, str):
        return (Text(value),) if reader.text("content") else ()
    if value is not None and not isinstance(value, list):
        reader.refuse("content", "a string or a list of parts")
    return tuple(_decode_part(*entry) for entry in reader.entries("content", maximum))


def _decode_part(value: Any, path: str) -> Part:
    if isinstance(value, str):  # a habit of a few clients
        return Text(value, extra={"type": "text"})
    reader = FieldReader(value, path)
    kind = reader.left.get("type")
    if not isinstance(kind, str):
        reader.refuse("type", "the kind of part, such as text or image_url")
    decode = _DECODERS.get(kind)
    return Opaque(NAME, value) if decode is None else decode(reader)


def _decode_text(reader: FieldReader) -> Part:
    return Text(reader.needed_text("text"), extra=reader.left)


def _decode_refusal(reader: FieldReader) -> Part:
    return Refusal(reader.needed_text("refusal"), extra=reader.left)


def _decode_image(reader: FieldReader) -> Part:
    if isinstance(reader.left.get("image_url"), str):
        return Image(_bare(reader, "image_url"), extra=reader.left)
    inner = reader.inner("image_url")
    url, detail = inner.needed_text("url"), inner.text("detail")
    reader.put_back("image_url", inner)
    return Image(url, detail, extra=reader.left)


def _decode_audio(reader: FieldReader) -> Part:
    if isinstance(reader.left.get("input_audio"), str):
        return Audio(_bare(reader, "input_audio"), "", extra=reader.left)
    inner = reader.inner("input_audio")
    data, form = inner.needed_text("data"), inner.text("format")
    reader.put_back("input_audio", inner)
    return Audio(data, form, extra=reader.left)


def _decode_file(reader: FieldReader) -> Part:
    """``file_data`` holds a data URL or base64, and with some services the URL of the file."""
    inner = reader.inner("file")
    data, key, name = (inner.text(field) for field in ("file_data", "file_id", "filename"))
    reader.put_back("file", inner)
    if data.startswith(("http://", "https://")):
        return File("", data, key, name, extra=reader.left)
    return File(data, "", key, name, extra=reader.left)


def _bare(reader: FieldReader, name: str) -> str:
    """A string in the place of an object."""
    value: str = reader.left[name]
    reader.left[name] = ""
    return value


_DECODERS: dict[str, Callable[[FieldReader], Part]] = {
    "text": _decode_text,
    "refusal": _decode_refusal,
    "image_url": _decode_image,
    "input_audio": _decode_audio,
    "file": _decode_file,
}

# ---------------------------------------------------------------- encode


def encode_content(parts: list[Part], path: str) -> str | list[Fields]:
    """Content of a chat client: a string for a single text that came as one, else a list.

    Raises:
        BadRequest: a part cannot be said in this protocol.
    """
    first = parts[0] if parts else None
    if isinstance(first, Text) and len(parts) == 1 and not first.extra:
        return first.text
    encoded = [_encode_part(part, f"{path}[{i}]") for i, part in enumerate(parts)]
    return [
        _with_extra(fields, part)
        for part, fields in zip(parts, encoded, strict=True)
        if fields is not None
    ]


def _with_extra(fields: Fields, part: Part) -> Fields:
    if isinstance(part, Opaque):
        return fields
    kind = fields["type"]
    if part.extra.get(kind) == "":
        fields[kind] = next(iter(fields[kind].values()))
    return merge_fields(fields, part.extra)


def encode_foreign_part(part: Part, path: str, dialect: str) -> Fields | None:
    """A part of another protocol's content; None for what is no content.

    Raises:
        BadRequest: it cannot be said in this protocol.
    """
    if isinstance(part, File):
        return _encode_foreign_file(part, path, dialect)
    if isinstance(part, Audio):
        form = part.format.removeprefix("audio/")
        return _encode_audio(Audio(part.data, _FORMATS.get(form, form)))
    return _encode_part(part, path)


def _encode_part(part: Part, path: str) -> Fields | None:
    if isinstance(part, Opaque):
        if part.dialect == NAME:
            return dict(part.value)
        message = f"{path}: a part of this kind cannot be sent to a chat-completions backend"
        raise BadRequest(message, param=path, code="unsupported_part")
    encode = _ENCODERS.get(type(part))
    return None if encode is None else encode(part)


def _encode_text(part: Text) -> Fields:
    return {"type": "text", "text": part.text}


def _encode_refusal(part: Refusal) -> Fields:
    return {"type": "refusal", "refusal": part.text}


def _encode_image(part: Image) -> Fields:
    image = {"url": part.url}
    if part.detail:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _encode_audio(part: Audio) -> Fields:
    audio = {"data": part.data}
    if part.format:
        audio["format"] = part.format
    return {"type": "input_audio", "input_audio": audio}


def _encode_file(part: File) -> Fields:
    file = {
        "file_data": part.data or part.url,
        "file_id": part.id,
        "filename": part.name,
    }
    return {"type": "file", "file": {name: value for name, value in file.items() if value}}


def _encode_foreign_file(part: File, path: str, dialect: str) -> Fields:
    """Inline data as a data URL, and always a name: OpenAI asks for both.

    An id is the provider's that gave it; a URL is for the server to take or to refuse.
    """
    if part.id and not part.data and not part.url:
        if dialect in _SAME_FILES:
            return _encode_file(part)
        message = f"{path}: a file that another provider keeps cannot be sent by its id"
        raise BadRequest(message, param=path, code="unsupported_file")
    data = part.data
    if data and not data.startswith("data:"):
        kind = _KINDS.get(part.name.rpartition(".")[2].lower(), PDF)
        data = f"data:{kind};base64,{data}"
    return _encode_file(File(data, part.url, name=part.name or _name_of(part.url, data)))


def _name_of(url: str, data: str) -> str:
    """The last name in the URL's path, else one that says what the data is."""
    path = url.partition("://")[2].partition("?")[0].partition("#")[0]
    name = path.rpartition("/")[2] if "/" in path else ""
    kind = data.removeprefix("data:").partition(",")[0].partition(";")[0] or PDF
    ends = (f".{end}" for end, known in _KINDS.items() if known == kind)
    return name or "document" + next(ends, "")


_ENCODERS: dict[type[Part], Callable[..., Fields]] = {
    Text: _encode_text,
    Refusal: _encode_refusal,
    Image: _encode_image,
    Audio: _encode_audio,
    File: _encode_file,
}
