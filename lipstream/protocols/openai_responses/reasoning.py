"""Reasoning items: their text, and the seal that lets them come back.

OpenAI gives reasoning back encrypted, where ``include`` asked for it; some other servers sign it.
What else stands in the item, and where its text was cut into parts, goes into the seal's fields, so
that a client of another protocol can bring the item back as it was.

A client of this protocol gets a foreign seal packed into ``encrypted_content``. Foreign reasoning
without a seal gets a packed empty one: what comes back with it is known not to be the provider's.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lipstream.canonical.parts import Reasoning
from lipstream.canonical.seal import Seal, Sealer, packed, unpacked
from lipstream.protocols.openai_responses.wire import NAME, REASONING, Fields, text_of, texts_of

UNSEALED = packed(Seal("", ""))

_GAP = "\n\n"  # between the paragraphs of one item
_TEXT = frozenset({"type", "summary", "content", "encrypted_content", "status"})
_KINDS = {"summary": "summary_text", "content": "reasoning_text"}


def text_of_item(item: Mapping[str, Any]) -> str:
    """The text of an item, summary first, in paragraphs."""
    return _GAP.join(text for _, text in texts_of(item) if text)


def sealed(item: Mapping[str, Any], sealer: Sealer) -> Seal | None:
    """The seal of an item; None where its provider gave none."""
    value = text_of(item.get("encrypted_content"))
    if not value and not item.get("signature"):
        return None
    cuts = [[group, len(text)] for (group, _), text in texts_of(item) if text]
    rest = {name: field for name, field in item.items() if name not in _TEXT}
    return sealer.seal(NAME, value, {"item": rest, "cuts": cuts})


def seal_of_client(item: Mapping[str, Any]) -> Seal | None:
    """The seal of an item that a client sent back."""
    value = item.get("encrypted_content")
    if not isinstance(value, str) or not value:
        return None
    return unpacked(value) or Seal(NAME, value)


def encrypted(seal: Seal) -> str:
    """What a client of this protocol gets of a seal."""
    return seal.value if seal.dialect == NAME else packed(seal)


def encode_item(part: Reasoning) -> Fields | None:
    """A part that another protocol's client sent back, where it is one of this protocol."""
    seal = part.seal
    if seal is None or seal.dialect != NAME:
        return None
    rest = seal.fields.get("item")
    item: Fields = {"type": REASONING, **(rest if isinstance(rest, dict) else {}), "summary": []}
    for group, text in _pieces(part.text, seal.fields.get("cuts")):
        item.setdefault(group, []).append({"type": _KINDS[group], "text": text})
    if seal.value:
        item["encrypted_content"] = seal.value
    return item


def _pieces(text: str, cuts: Any) -> list[tuple[str, str]]:
    """The text cut as it was; in one piece where it is no longer the same."""
    whole = [("summary", text)] if text else []
    if not isinstance(cuts, list) or not cuts or not all(map(_is_cut, cuts)):
        return whole
    ends = [0]
    for _, size in cuts:
        ends.append(ends[-1] + size + len(_GAP))
    if ends[-1] != len(text) + len(_GAP):
        return whole
    pieces = [text[start : stop - len(_GAP)] for start, stop in pairwise(ends)]
    return [(cut[0], piece) for cut, piece in zip(cuts, pieces, strict=True)]


def _is_cut(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and value[0] in ("summary", "content")
        and type(value[1]) is int
        and value[1] >= 0
    )
