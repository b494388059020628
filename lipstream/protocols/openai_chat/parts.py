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

# ---------------------------------------------------------------- decode


def decode_content(reader: FieldReader, maximum: int) -> tuple[Part, ...]:
    """Takes ``content``; null, an empty string and an empty list are left where they are."""
    value = reader.left.get("content")
    if isinstance(value, str):
        if not value:
            return ()
        del reader.left["content"]
        return (Text(value),)
    if value is not None and not isinstance(value, list):
        reader.refuse("content", "a string or a list of parts")
    path = reader.at("content")
    entries = reader.objects("content", maximum)
    return tuple(_decode_part(entry, f"{path}[{i}]") for i, entry in enumerate(entries))


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


def encode_content(parts: list[Part], path: str, *, is_own: bool) -> str | list[Fields]:
    """A string for a single text, else a list; ``is_own`` lets extra fields be written.

    Raises:
        BadRequest: a part cannot be said in this protocol.
    """
    first = parts[0] if parts else None
    if isinstance(first, Text) and len(parts) == 1 and not (is_own and first.extra):
        return first.text
    encoded = [_encode_part(part, f"{path}[{i}]", is_own) for i, part in enumerate(parts)]
    return [part for part in encoded if part is not None]


def _encode_part(part: Part, path: str, is_own: bool) -> Fields | None:
    if isinstance(part, Opaque):
        if part.dialect == NAME:
            return dict(part.value)
        message = f"{path}: a part of this kind cannot be sent to a chat-completions backend"
        raise BadRequest(message, param=path, code="unsupported_part")
    encode = _ENCODERS.get(type(part))
    if encode is None:
        return None
    fields = encode(part)
    if not is_own:
        return fields
    kind = fields["type"]
    if part.extra.get(kind) == "":
        fields[kind] = next(iter(fields[kind].values()))
    return merge_fields(fields, part.extra)


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


_ENCODERS: dict[type[Part], Callable[..., Fields]] = {
    Text: _encode_text,
    Refusal: _encode_refusal,
    Image: _encode_image,
    Audio: _encode_audio,
    File: _encode_file,
}
