"""The parts of a request's contents, both ways.

A part is an object with one telling field (``text``, ``functionCall``, ``inlineData`` ...) and
others beside it (``thought``, ``thoughtSignature``, ``videoMetadata`` ...). Kinds that no other
protocol knows, such as the code that Google's own tools ran, are kept whole as ``Opaque``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipstream.canonical.call import Role
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from lipstream.canonical.seal import Seal
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.json_guard import decode_json
from lipstream.protocols.gemini.fields import Reader
from lipstream.protocols.gemini.ids import CallBook
from lipstream.protocols.gemini.joining import JOINED, begins_turn
from lipstream.protocols.gemini.media import decode_file_data, decode_inline_data, encode_media
from lipstream.protocols.gemini.results import decode_result
from lipstream.protocols.gemini.wire import NAME, Fields, decode_signature, is_made_up, json_text

# ---------------------------------------------------------------- decode


def decode_part(value: Any, path: str, book: CallBook, role: Role) -> Part:
    """Reads one part of a turn of this role."""
    reader = Reader(value, path)
    if reader.left.get("thought") is False:
        del reader.left["thought"]
    if reader.left.get(JOINED) == "":
        del reader.left[JOINED]
    names = [name for name, field in reader.left.items() if field is not None]
    is_model = role is Role.ASSISTANT
    if role is Role.USER and "functionResponse" in names:
        return decode_result(reader, book)
    if is_model and "functionCall" in names:
        return _decode_call(reader, book)
    if "text" in names or not set(names) - {"thought", "thoughtSignature"}:
        return _decode_text(reader, is_model)
    decode = next((found for name in names if (found := _MEDIA.get(name))), None)
    return Opaque(NAME, value) if decode is None else decode(reader)


def _decode_text(reader: Reader, is_model: bool) -> Part:
    text = reader.optional_text("text") or ""
    reader.forget_null("text")
    is_thought = is_model and reader.left.get("thought") is True
    if is_thought:
        del reader.left["thought"]
    seal = _decode_seal(reader)
    kind = Reasoning if is_thought else Text
    return kind(text, seal=seal, extra=reader.left)


def _decode_call(reader: Reader, book: CallBook) -> ToolCall:
    inner = reader.inner("functionCall")
    reader.left.pop("id", None)  # no field of a part's; the name is needed here
    name, given = inner.needed_text("name"), inner.text("id")
    arguments = inner.object("args") or {}
    inner.forget_null("args")
    call_id = book.called(name, given)
    if given and (given != call_id or is_made_up(given)):
        reader.left["id"] = given
    reader.put_back("functionCall", inner)
    seal = _decode_seal(reader)
    return ToolCall(call_id, name, json_text(arguments), seal=seal, extra=reader.left)


def _decode_seal(reader: Reader) -> Seal | None:
    return decode_signature(reader.text("thoughtSignature"))


_MEDIA: dict[str, Callable[[Reader], Part]] = {
    "inlineData": decode_inline_data,
    "fileData": decode_file_data,
}

# ---------------------------------------------------------------- encode


def encode_part(part: Part, path: str, *, is_own: bool) -> Fields | None:
    """A part of a user's or a model's turn; None for one that Gemini has no business with.

    Raises:
        BadRequest: the part cannot be said in this protocol.
    """
    if isinstance(part, Opaque):
        if part.dialect == NAME:
            return dict(part.value)
        message = f"{path}: a part of this kind cannot be sent to a Gemini backend"
        raise BadRequest(message, param=path, code="unsupported_part")
    if isinstance(part, Reasoning) and not _is_ours(part, is_own):
        return None
    if isinstance(part, Image | File | Audio):
        return _merged(encode_media(part, path, is_own=is_own), part, is_own)
    if isinstance(part, ToolCall):
        given = part.extra.get("id") if is_own else None
        return _merged(_encode_call(part, given), part, is_own)
    encode = _ENCODERS.get(type(part))
    return None if encode is None else _merged(encode(part), part, is_own)


def _merged(fields: Fields, part: Part, is_own: bool) -> Fields:
    if not is_own or not part.extra:
        return fields
    mark = "id" if isinstance(part, ToolCall) else "type"
    is_marked = isinstance(part, ToolCall | Image | File | Audio)
    more = {name: value for name, value in part.extra.items() if not is_marked or name != mark}
    if begins_turn(part):
        del more[JOINED]
    return merge_fields(fields, more)


def _is_ours(part: Reasoning, is_own: bool) -> bool:
    """Whether reasoning came from this protocol; what has no seal goes by its call."""
    return is_own if part.seal is None else part.seal.dialect == NAME


def _encode_text(part: Text) -> Fields:
    return _sealed({"text": part.text}, part.seal)


def _encode_refusal(part: Refusal) -> Fields:
    return {"text": part.text}


def _encode_reasoning(part: Reasoning) -> Fields:
    return _sealed({"text": part.text, "thought": True}, part.seal)


def _encode_call(part: ToolCall, given: str | None) -> Fields:
    """``given`` is the id that stood there, where that is another one or ours to look at."""
    call: Fields = {"name": part.name, "args": arguments_of(part)}
    if given or not is_made_up(part.id):
        call["id"] = given or part.id
    return _sealed({"functionCall": call}, part.seal)


def _sealed(fields: Fields, seal: Seal | None) -> Fields:
    """With the signature, where it is Gemini's."""
    if seal is not None and seal.dialect == NAME and seal.value:
        fields["thoughtSignature"] = seal.value
    return fields


_ENCODERS: dict[type[Part], Callable[..., Fields]] = {
    Text: _encode_text,
    Refusal: _encode_refusal,
    Reasoning: _encode_reasoning,
}


def arguments_of(call: ToolCall) -> Fields:
    """The arguments as an object, whatever the model wrote."""
    if call.type == "custom":
        return {"input": call.arguments}
    return object_of(call.arguments)


def object_of(text: str) -> Fields:
    """JSON text as an object; what is none is kept under ``_raw``."""
    if not text or text.isspace():
        return {}
    try:
        value = decode_json(text.encode())
    except (BadRequest, UnicodeEncodeError):
        value = None
    return value if isinstance(value, dict) else {"_raw": text}
