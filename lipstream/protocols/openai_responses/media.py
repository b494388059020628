"""Media in an answer: what a model drew, and files in a message."""

from __future__ import annotations

from typing import Any

from lipstream.canonical import events as e
from lipstream.protocols.openai_responses.wire import IMAGE_CALL, Fields, text_of

FILE = "output_file"

_MIMES = {"jpeg": "image/jpeg", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}


def decode_image(item: Fields, source: e.Source | None) -> e.Media | None:
    """The image that an item of the image tool holds, once it is drawn."""
    result = item.get("result")
    if not isinstance(result, str) or not result:
        return None
    if result.startswith(("http://", "https://", "data:")):
        return e.Media("image", result, source=source)
    mime = _MIMES.get(text_of(item.get("output_format")), "image/png")
    return e.Media("image", f"data:{mime};base64,{result}", mime, source=source)


def encode_image(item_id: str, url: str) -> Fields:
    """An image as an item of the image tool, which holds bare base64."""
    head, _, data = url.partition(";base64,")
    is_inline = url.startswith("data:") and bool(data)
    kind = head.removeprefix("data:image/") if is_inline else ""
    item: Fields = {"id": item_id, "type": IMAGE_CALL, "status": "completed"}
    if kind in ("jpeg", "webp", "gif"):
        item["output_format"] = kind
    return {**item, "result": data if is_inline else url}


def decode_part(part: Fields, source: e.Source | None) -> e.Media | None:
    """The media that a part of a message's content holds."""
    kind = part.get("type")
    if kind in ("input_image", "output_image"):
        url = _url_of(part.get("image_url"))
        return e.Media("image", url, source=source) if url else None
    if kind in ("input_file", "output_file"):
        places = ("file_data", "file_url", "file_id")
        url = next((text for name in places if (text := text_of(part.get(name)))), "")
        name = text_of(part.get("filename"))
        return e.Media("file", url, name=name, source=source) if url else None
    if kind == "output_audio":
        data, transcript = text_of(part.get("data")), text_of(part.get("transcript"))
        return e.Media("audio", data, transcript=transcript, source=source)
    return None


def encode_part(file: e.Media) -> Fields:
    """A file as a part of a message's content."""
    url = file.url
    remote = "file_url" if "://" in url else "file_id"
    place = "file_data" if url.startswith("data:") else remote
    part: Fields = {"type": FILE, place: url}
    return {**part, "filename": file.name} if file.name else part


def _url_of(value: Any) -> str:
    """The URL itself, or an object that holds it."""
    return text_of(value.get("url")) if isinstance(value, dict) else text_of(value)
