"""The parts of an answer as clients get them, whole or in a stream."""

from __future__ import annotations

from lipstream.canonical import events as e
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
from lipstream.framing.json_fields import merge_fields
from lipstream.protocols.gemini.media import encode_media, encode_url
from lipstream.protocols.gemini.parts import arguments_of
from lipstream.protocols.gemini.wire import NAME, Fields, encode_signature, is_made_up


def encode_piece(part: Part, *, is_own: bool) -> Fields | None:
    """A part of a whole answer; None for one that clients of this dialect cannot read.

    Args:
        is_own: Whether the extra fields are of this dialect.
    """
    if isinstance(part, Opaque):
        return dict(part.value) if part.dialect == NAME else None
    fields = _piece(part)
    if not is_own or isinstance(part, Audio):
        return fields
    return merge_fields(fields, part.extra)


def _piece(part: Part) -> Fields:
    if isinstance(part, ToolCall):
        return _signed({"functionCall": _call(part)}, part.seal)
    if isinstance(part, Reasoning):
        return _signed({"text": part.text, "thought": True}, part.seal)
    if isinstance(part, Text):
        return _signed({"text": part.text}, part.seal)
    if isinstance(part, Audio):
        fields = encode_media(part, "", is_own=False)
        transcript = part.extra.get("transcript")
        return fields if part.data or not transcript else {"text": transcript}
    if isinstance(part, Image):
        return encode_url("image", part.url, "", "")
    if isinstance(part, File):
        return encode_url("file", part.url, "", part.name)
    return {"text": part.text if isinstance(part, Refusal) else ""}


def _signed(fields: Fields, seal: Seal | None) -> Fields:
    signature = encode_signature(seal)
    return fields | {"thoughtSignature": signature} if signature else fields


def _call(part: ToolCall) -> Fields:
    """Without an id that was made up: Gemini's clients go by name and order."""
    call: Fields = {"name": part.name, "args": arguments_of(part)}
    return call if is_made_up(part.id) else {"id": part.id, **call}


def call_part(start: e.ToolCallStarted, arguments: str, seal: Seal | None) -> Fields:
    """The part for a call of a stream."""
    part = ToolCall(start.id, start.name, arguments, start.type, seal=seal)
    return _piece(part)


def encode_media_part(media: e.Media) -> Fields:
    """The part for media of a stream."""
    if media.kind != "audio":
        return encode_url(media.kind, media.url, media.mime, media.name)
    audio = Audio(media.url, media.mime, extra={"transcript": media.transcript})
    return _piece(audio)
