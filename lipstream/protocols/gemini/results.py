"""Tool results, both ways: ``functionResponse`` holds an object, a canonical result has parts.

A result that is one text comes as ``{"result": text}`` or ``{"output": text}``, a failed one as
``{"error": ...}``. Such a text remembers its key under ``type``; any other object is JSON text.
Media stand in ``parts`` beside the object.
"""

from __future__ import annotations

from typing import Any

from lipstream.canonical.parts import Audio, File, Image, Part, Text, ToolResult
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.json_guard import decode_json
from lipstream.protocols.gemini.fields import Reader
from lipstream.protocols.gemini.ids import CallBook
from lipstream.protocols.gemini.media import decode_file_data, decode_inline_data, encode_media
from lipstream.protocols.gemini.wire import Fields, is_made_up, json_text

_TEXT_KEYS = ("result", "output", "error")
_MAX_PARTS = 2048

# ---------------------------------------------------------------- decode


def decode_result(reader: Reader, book: CallBook) -> ToolResult:
    """Reads the part that ``reader`` is at."""
    inner = reader.inner("functionResponse")
    reader.left.pop("id", None)  # no field of a part's; the name is needed here
    name, given = inner.needed_text("name"), inner.text("id")
    call_id = book.answered(name, given)
    if given and (given != call_id or is_made_up(given)):
        reader.left["id"] = given
    response = inner.object("response")
    content: list[Part] = []
    if response is not None:
        content.append(_decode_response(response))
    content += (_decode_medium(*entry) for entry in inner.entries("parts", _MAX_PARTS))
    reader.put_back("functionResponse", inner)
    is_error = response is not None and set(response) == {"error"}
    return ToolResult(call_id, tuple(content), name, is_error, extra=reader.left)


def _decode_response(response: Fields) -> Text:
    if len(response) == 1:
        key, value = next(iter(response.items()))
        if key in _TEXT_KEYS and isinstance(value, str):
            return Text(value, extra={"type": key})
    return Text(json_text(response))


def _decode_medium(value: Any, path: str) -> Part:
    reader = Reader(value, path)
    if reader.left.get("fileData") is not None:
        return decode_file_data(reader)
    if reader.left.get("inlineData") is None:
        reader.refuse("inlineData", "an object, or fileData in its place")
    return decode_inline_data(reader)


# ---------------------------------------------------------------- encode


def encode_result(result: ToolResult, path: str, *, is_own: bool, takes_media: bool) -> Fields:
    """The part for a result.

    Args:
        takes_media: Whether media go into the result; if not, they are the caller's to place.
    """
    texts = [part for part in result.content if isinstance(part, Text)]
    response: Fields = {"name": result.name or result.call_id}
    if texts or not is_own:
        response["response"] = _encode_response(texts, result.is_error, is_own)
    given = result.extra.get("id") if is_own else None
    if given or not is_made_up(result.call_id):
        response["id"] = given or result.call_id
    if takes_media and (media := media_of(result)):
        response["parts"] = [_encode_medium(part, path, is_own) for part in media]
    fields = {"functionResponse": response}
    if not is_own:
        return fields
    return merge_fields(fields, {k: v for k, v in result.extra.items() if k != "id"})


def media_of(result: ToolResult) -> list[Image | File | Audio]:
    """What of a result is no text."""
    return [part for part in result.content if isinstance(part, Image | File | Audio)]


def _encode_medium(part: Image | File | Audio, path: str, is_own: bool) -> Fields:
    fields = encode_media(part, path, is_own=is_own)
    if not is_own:
        return fields
    return merge_fields(fields, {k: v for k, v in part.extra.items() if k != "type"})


def _encode_response(texts: list[Text], is_error: bool, is_own: bool) -> Fields:
    first = texts[0] if len(texts) == 1 else None
    if first is not None and is_own and first.extra.get("type") in _TEXT_KEYS:
        return {first.extra["type"]: first.text}
    text = "\n".join(part.text for part in texts)
    value = _value_of(text)
    if not is_error:
        return value if isinstance(value, dict) else {"result": value}
    return value if isinstance(value, dict) and set(value) == {"error"} else {"error": value}


def _value_of(text: str) -> Any:
    """An object or a list where the text is one, else the text."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return decode_json(text.encode())
    except (BadRequest, UnicodeEncodeError):
        return text
