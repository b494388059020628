"""The usual chunk, typed: one candidate with one piece of text, and nothing that needs a look.

Any other chunk does not fit the structs and is read as a plain object.
"""

from __future__ import annotations

import msgspec


class HotPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A piece of text or of thought."""

    text: str
    thought: bool = False


class HotContent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The content of a candidate."""

    parts: list[HotPart]
    role: str = "model"


class HotCandidate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A candidate that goes on."""

    content: HotContent
    index: int = 0


class HotChunk(msgspec.Struct, forbid_unknown_fields=True):
    """One chunk."""

    candidates: list[HotCandidate]
    usageMetadata: msgspec.Raw = msgspec.Raw()
    modelVersion: str = ""
    responseId: str = ""
    createTime: str = ""


decode_hot = msgspec.json.Decoder(HotChunk).decode
