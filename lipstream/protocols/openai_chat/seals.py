"""Seals on the chat wire, all three ways.

Chat has no signatures of its own; what it has are two places that clients bring back as they got
them. OpenRouter's ``reasoning_details`` stand beside a message's reasoning, and Google's
``extra_content.google.thought_signature`` stands in a tool call.

- From an upstream: reasoning is sealed with all of its details, a call with its signature, so that
  clients of any protocol bring them back here. The text alone is worth a seal, too: DeepSeek, Kimi
  and vLLM want ``reasoning_content`` of earlier turns.
- To a chat client: another protocol's seal is packed into one of these places. Chat has a single
  text for all reasoning of a message, so which stretch of it a seal is for travels inside the seal.
- From a chat client: what unpacks is the seal it was, with its text cut out of the whole. Where the
  client did not bring that text back, the seal is left out: it would not hold. What does not unpack
  is the chat upstream's own and stays as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.canonical.parts import Part, Reasoning
from lipstream.canonical.seal import Seal, Sealer, packed, unpacked
from lipstream.framing.json_fields import merge_fields
from lipstream.protocols.openai_chat.pieces import join_pieces
from lipstream.protocols.openai_chat.wire import NAME, Fields

DETAILS = "reasoning_details"
MAX_DETAILS = STREAM_LIMITS.answer_bytes  # of one reasoning's chunks; longer ones stay in chat

_CONTENT, _VENDOR, _SIGNATURE = "extra_content", "google", "thought_signature"
_STRETCH = "(stretch)"  # in a packed seal: from where to where of the message's reasoning

# ---------------------------------------------------------------- from an upstream


class ReasoningEnd:
    """What the reasoning under way has been so far, for its seal.

    Attributes:
        is_due: Whether there is any.
    """

    __slots__ = ("_details", "_size", "is_due")

    def __init__(self) -> None:
        self.is_due = False
        self._details: list[Any] = []
        self._size = 0

    def add(self, details: Any, size: int) -> None:
        """Takes the details of one chunk, which has this size in bytes."""
        if details and isinstance(details, list):
            self.is_due = self.is_due or any(_says_something(entry) for entry in details)
            self._size += size
            if self._size <= MAX_DETAILS:
                self._details.append(details)

    def seal(self, sealer: Sealer) -> Seal:
        """The seal; what comes next is another reasoning."""
        has_all = self._details and self._size <= MAX_DETAILS
        fields = join_pieces({DETAILS: self._details}) if has_all else {}
        self.is_due, self._details, self._size = False, [], 0
        return sealer.seal(NAME, "", fields)


def _says_something(entry: Any) -> bool:
    names = ("text", "summary", "data", "signature")
    return isinstance(entry, Mapping) and any(entry.get(name) for name in names)


def sealed_call(content: Any, sealer: Sealer, call_id: str) -> Seal | None:
    """The seal of a tool call with this ``extra_content``; what stands beside is kept with it."""
    signature = _signature(content)
    if not signature:
        return None
    rest = _without_signature(content)
    return sealer.seal(NAME, signature, {_CONTENT: rest} if rest else None, call_id)


def signed_fields(seal: Seal | None) -> Fields:
    """What a tool call has to carry back to a chat upstream."""
    if seal is None or seal.dialect != NAME or not seal.value:
        return {}
    return merge_fields(_signed(seal.value), {_CONTENT: seal.fields.get(_CONTENT)})


def reasoning_fields(parts: Iterable[Reasoning], is_own: bool) -> Fields:
    """What a message has to carry back to a chat upstream; another protocol's is none of its."""
    fields: Fields = {}
    texts: list[str] = []
    details: list[Any] = []
    for part in parts:
        seal = part.seal
        if is_own and seal is None and part.extra:
            fields.update(part.extra)
        elif seal.dialect == NAME if seal is not None else is_own:
            texts.append(part.text)
            given = seal.fields.get(DETAILS) if seal is not None else None
            details.extend(given if isinstance(given, list) else ())
    if any(texts):
        fields["reasoning_content"] = "".join(texts)
    if details:
        fields[DETAILS] = details
    return fields


# ---------------------------------------------------------------- to a client


class SealWriter:
    """Writes the seals of one message; counts how long its reasoning is."""

    __slots__ = ("_count", "_start", "length")

    def __init__(self) -> None:
        self.length = 0
        self._start = 0
        self._count = 0

    def end(self, seal: Seal | None) -> Fields:
        """The fields for the end of a reasoning."""
        start, self._start = self._start, self.length
        if seal is None or seal.dialect == NAME:
            return {}
        if self.length > start:
            fields = {**seal.fields, _STRETCH: [start, self.length]}
            seal = attrs.evolve(seal, fields=fields)
        detail = {
            "type": "reasoning.encrypted",
            "data": packed(seal),
            "format": "lipstream-v1",
            "index": self._count,
        }
        self._count += 1
        return {DETAILS: [detail]}


def packed_fields(seal: Seal | None) -> Fields:
    """The fields of a tool call with another protocol's seal."""
    return {} if seal is None or seal.dialect == NAME else _signed(packed(seal))


# ---------------------------------------------------------------- from a client


def unpacked_reasoning(given: Mapping[str, Any], text: str) -> tuple[list[Part], dict[str, Seal]]:
    """The reasoning of a message, and the seals that belong to its calls, by their ids.

    ``given`` are the fields of reasoning as they stood, ``text`` is what they say.
    """
    details = given.get(DETAILS)
    entries = details if isinstance(details, list) else []
    seals = [seal for entry in entries if (seal := _packed_in(entry)) is not None]
    if not seals:
        return [Reasoning(text, extra=given)], {}
    parts: list[Part] = []
    place = 0
    for seal in seals:
        bare, start, end = _stretch(seal, place)
        if seal.call_id or not place <= start <= end <= len(text):
            continue
        parts.extend([Reasoning(text[place:start])] if place < start else [])
        parts.append(Reasoning(text[start:end], bare))
        place = end
    own = [entry for entry in entries if _packed_in(entry) is None]
    if own or place < len(text):
        extra: Fields = {DETAILS: own} if own else {}
        if place < len(text):
            extra["reasoning_content"] = text[place:]
        parts.append(Reasoning(text[place:], extra=extra))
    return parts, {seal.call_id: seal for seal in seals if seal.call_id}


def unpacked_call(extra: Fields) -> Seal | None:
    """The seal in the extra fields of a tool call, which is then taken out of them."""
    content = extra.get(_CONTENT, {})
    seal = unpacked(_signature(content))
    if seal is not None:
        del extra[_CONTENT]
        if rest := _without_signature(content):
            extra[_CONTENT] = rest
    return seal


def _packed_in(entry: Any) -> Seal | None:
    data = entry.get("data") if isinstance(entry, Mapping) else None
    return unpacked(data) if isinstance(data, str) else None


def _stretch(seal: Seal, place: int) -> tuple[Seal, int, int]:
    """The seal as it was, and from where to where it is for; nothing, where it stands alone."""
    fields = dict(seal.fields)
    match fields.pop(_STRETCH, None):
        case [int(start), int(end)]:
            return attrs.evolve(seal, fields=fields), start, end
        case _:
            return seal, place, place


# ---------------------------------------------------------------- Google's place


def _signed(signature: str) -> Fields:
    return {_CONTENT: {_VENDOR: {_SIGNATURE: signature}}}


def _signature(content: Any) -> str:
    vendor = content.get(_VENDOR) if isinstance(content, Mapping) else None
    value = vendor.get(_SIGNATURE) if isinstance(vendor, Mapping) else None
    return value if isinstance(value, str) else ""


def _without_signature(content: Mapping[str, Any]) -> Fields:
    vendor = {name: value for name, value in content[_VENDOR].items() if name != _SIGNATURE}
    rest = {name: value for name, value in content.items() if name != _VENDOR}
    return {**rest, _VENDOR: vendor} if vendor else rest
