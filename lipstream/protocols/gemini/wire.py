"""What Gemini's generateContent looks like on the wire: names, words, ids, inline data.

Fields are camelCase in responses; clients write camelCase or snake_case, and the service takes
both. Bytes are base64, in the standard alphabet as the service writes them and in the URL-safe one
as Google's Python client does; both mean the same.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from lipstream.canonical.events import FinishReason
from lipstream.canonical.seal import Seal, packed, unpacked

NAME = "gemini"
ALT = "$alt"  # the name under which a call remembers that its stream is to be a JSON array
NO_SEAL = "skip_thought_signature_validator"  # documented for calls that no Gemini model made
DUMMIES = frozenset({NO_SEAL, "context_engineering_is_the_way_to_go"})

Fields = dict[str, Any]


def json_text(value: object) -> str:
    """Compact JSON for a text; it is to go into a string, so nothing needs an escape."""
    return msgspec.json.encode(value).decode()


# ---------------------------------------------------------------- finish reasons

FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "FINISH_REASON_UNSPECIFIED": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.PAUSE,
    # policy
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    # the model failed
    "OTHER": FinishReason.ERROR,
    "IMAGE_OTHER": FinishReason.ERROR,
    "NO_IMAGE": FinishReason.ERROR,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
    "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
}
PLAIN_REASONS = frozenset({"STOP", "MAX_TOKENS"})  # say no more than the canonical word
NUMBERED_REASONS = (
    # with ``$alt=json;enum-encoding=int``; from here on the two APIs number differently
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
)
REASON_WORDS: dict[FinishReason, str] = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.REFUSAL: "SAFETY",
    FinishReason.PAUSE: "STOP",
    FinishReason.ERROR: "OTHER",
}


def reason_word(reason: FinishReason, detail: str, *, is_own: bool) -> str:
    """The word for a client: the upstream's own where it is one of Gemini's."""
    return detail if detail and (is_own or detail in FINISH_REASONS) else REASON_WORDS[reason]


# ---------------------------------------------------------------- ids of calls

_MADE_UP = "gemini-fn-"
_NAME_LENGTH = 32  # of the name in an id, so that the id stays within the 64 that OpenAI takes
_ODD = re.compile(r"[^A-Za-z0-9_-]")


def random_id() -> str:
    """The random part of an id that the upstream did not give: 12 hexadecimal digits."""
    return secrets.token_hex(6)


def made_up_id(name: str, mark: str) -> str:
    """An id for a call that came without one; ``mark`` tells it from others of the same name."""
    return f"{_MADE_UP}{_ODD.sub('_', name)[:_NAME_LENGTH]}-{mark}"


def is_made_up(call_id: str) -> bool:
    """Whether an id is one of ours: Gemini is not told those, it goes by name and order."""
    return call_id.startswith(_MADE_UP)


# ---------------------------------------------------------------- signatures

_TO_STANDARD = str.maketrans("-_", "+/")


def decode_signature(text: str) -> Seal | None:
    """The seal that a ``thoughtSignature`` is; None for an empty one."""
    if not text:
        return None
    if text not in DUMMIES:
        text = text.translate(_TO_STANDARD)
    return unpacked(text) or Seal(NAME, text)


def encode_signature(seal: Seal | None) -> str:
    """A seal for a client: its own bare, any other one packed; empty where there is none."""
    if seal is None:
        return ""
    return seal.value if seal.dialect == NAME else packed(seal)


# ---------------------------------------------------------------- inline data

_DATA_URL = re.compile(r"data:([^,]*?)(;base64)?,", re.IGNORECASE)


def standard_base64(text: str) -> str:
    """The same bytes in the standard alphabet."""
    return text.translate(_TO_STANDARD) if "-" in text or "_" in text else text


def data_url(mime: str, data: str) -> str:
    """A data URL of base64 text."""
    return f"data:{mime};base64,{data}"


def split_data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 text of a data URL; None for anything else."""
    head = _DATA_URL.match(url)
    if head is None:
        return None
    data = url[head.end() :]
    if head[2] is None:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return head[1] or "text/plain", data


def base64_bytes(text: str) -> bytes | None:
    """The bytes of base64 text, padded or not; None where it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
