"""The content of messages and of results, both ways: a string, or a list of typed parts.

A part that stood in a list keeps its ``type`` among its extra fields. That is how a single text is
known to have been a list, and why every part can be written again as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lipstream.canonical.parts import Audio, File, Image, Opaque, Part, Refusal, Text
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import FieldReader, merge_fields
from lipstream.protocols.openai_responses.wire import NAME, Fields

# ---------------------------------------------------------------- decode


def decode_content(reader: FieldReader, name: str, maximum: int) -> tuple[Part, ...]:
    """Takes a field; null, an empty string and an empty list are left where they are."""
    value = reader.left.get(name)
    if isinstance(value, str):
        return (Text(value),) if reader.text(name) else ()
    if value is not None and not isinstance(value, list):
        reader.refuse(name, "a string or a list of parts")
    return tuple(_decode_part(*entry) for entry in reader.entries(name, maximum))


def _decode_part(value: Any, path: str) -> Part:
    reader = FieldReader(value, path)
    kind = reader.left.get("type")
    if not isinstance(kind, str):
        reader.refuse("type", "the kind of part, such as input_text or input_image")
    decode = _DECODERS.get(kind)
    return Opaque(NAME, value) if decode is None else decode(reader)


def _decode_text(reader: FieldReader) -> Part:
    return Text(reader.needed_text("text"), extra=reader.left)


def _decode_refusal(reader: FieldReader) -> Part:
    return Refusal(reader.needed_text("refusal"), extra=reader.left)


def _decode_image(reader: FieldReader) -> Part:
    """By URL; an image that only its id names is for its own provider."""
    if isinstance(reader.left.get("image_url"), dict):  # as in chat completions
        inner = reader.inner("image_url")
        url, detail = inner.needed_text("url"), inner.text("detail")
        return Image(url, detail or reader.text("detail"), extra=reader.left)
    url = reader.text("image_url")
    if not url:
        if not isinstance(reader.left.get("file_id"), str):
            reader.refuse("image_url", "a URL, or a file_id")
        return Opaque(NAME, reader.left)
    return Image(url, reader.text("detail"), extra=reader.left)


def _decode_file(reader: FieldReader) -> Part:
    data, url, key, name = (
        reader.text(field) for field in ("file_data", "file_url", "file_id", "filename")
    )
    if not (data or url or key):
        reader.refuse("file_data", "base64, or a file_url, or a file_id")
    return File(data, url, key, name, extra=reader.left)


def _decode_audio(reader: FieldReader) -> Part:
    inner = reader.inner("input_audio")
    data, form = inner.needed_text("data"), inner.text("format")
    reader.put_back("input_audio", inner)
    return Audio(data, form, extra=reader.left)


_DECODERS: dict[str, Callable[[FieldReader], Part]] = {
    "input_text": _decode_text,
    "output_text": _decode_text,
    "text": _decode_text,
    "refusal": _decode_refusal,
    "input_image": _decode_image,
    "input_file": _decode_file,
    "input_audio": _decode_audio,
}

# ---------------------------------------------------------------- encode


def encode_content(
    parts: Iterable[Part], path: str, *, is_own: bool, text_type: str = "input_text"
) -> str | list[Fields]:
    """A string for a single text, else a list; ``is_own`` lets extra fields be written.

    Raises:
        BadRequest: a part cannot be said in this protocol.
    """
    parts = list(parts)
    first = parts[0] if parts else None
    if isinstance(first, Text) and len(parts) == 1 and not (is_own and "type" in first.extra):
        return first.text
    return [
        encode_part(part, f"{path}[{i}]", is_own=is_own, text_type=text_type)
        for i, part in enumerate(parts)
    ]


def encode_part(part: Part, path: str, *, is_own: bool, text_type: str = "input_text") -> Fields:
    """One part.

    Raises:
        BadRequest: it cannot be said in this protocol.
    """
    if isinstance(part, Opaque) and part.dialect == NAME:
        return dict(part.value)
    encode = _ENCODERS.get(type(part))
    if encode is None or (isinstance(part, Audio) and not is_own):
        what = "audio" if isinstance(part, Audio) else "a part of this kind"
        message = f"{path}: {what} cannot be sent to a Responses backend"
        raise BadRequest(message, param=path, code="unsupported_part")
    fields = encode(part)
    if isinstance(part, Text):
        fields = {"type": text_type, **fields}
    if not is_own:
        return _named(fields) if isinstance(part, File) and part.data else fields
    extra = {name: value for name, value in part.extra.items() if name != "content"}
    if "type" in extra:
        fields["type"] = extra["type"]
    return merge_fields(fields, extra)


def _encode_text(part: Text) -> Fields:
    return {"text": part.text}


def _encode_refusal(part: Refusal) -> Fields:
    return {"type": "refusal", "refusal": part.text}


def _encode_image(part: Image) -> Fields:
    image = {"type": "input_image", "image_url": part.url}
    return {**image, "detail": part.detail} if part.detail else image


def _encode_file(part: File) -> Fields:
    fields = {
        "file_data": part.data,
        "file_url": part.url,
        "file_id": part.id,
        "filename": part.name,
    }
    return {"type": "input_file", **{name: value for name, value in fields.items() if value}}


def _named(file: Fields) -> Fields:
    """An inline file, which here has to be a data URL and to have a name."""
    data: str = file["file_data"]
    if not data.startswith("data:"):
        data = f"data:application/pdf;base64,{data}"
    kind = data[len("data:") : data.find(";")].rpartition("/")[2]
    suffix = kind if kind.isalnum() else "bin"
    return {"filename": f"document.{suffix}", **file, "file_data": data}


def _encode_audio(part: Audio) -> Fields:
    audio = {"data": part.data}
    if part.format:
        audio["format"] = part.format
    return {"type": "input_audio", "input_audio": audio}


_ENCODERS: dict[type[Part], Callable[..., Fields]] = {
    Text: _encode_text,
    Refusal: _encode_refusal,
    Image: _encode_image,
    File: _encode_file,
    Audio: _encode_audio,
}
