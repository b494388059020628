"""Message content that is a list of parts, as Mistral and Gemini stream it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipstream.protocols.openai_chat.wire import Delta, Fields


def flatten_content(delta: Delta) -> str:
    """The text of the parts; what is no text moves to the fields where OpenAI has it.

    Parts of an unknown kind are carried as ``content_parts``.
    """
    parts = delta.content if isinstance(delta.content, list) else []
    delta.content = ""
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if isinstance(part, str):
            delta.content += part
        elif reader is not None:
            reader(part, delta)
        elif isinstance(part, dict):
            delta.other = dict(delta.other or {})
            delta.other.setdefault("content_parts", []).append(part)
    return delta.content


def _read_text(part: Fields, delta: Delta) -> None:
    delta.content = f"{delta.content}{_text_of(part.get('text'))}"


def _read_thinking(part: Fields, delta: Delta) -> None:
    delta.reasoning_content = (delta.reasoning_content or "") + _text_of(part.get("thinking"))


def _read_refusal(part: Fields, delta: Delta) -> None:
    delta.refusal = (delta.refusal or "") + _text_of(part.get("refusal"))


def _read_image(part: Fields, delta: Delta) -> None:
    delta.images = [*(delta.images or []), part]


_READERS: dict[str, Callable[[Fields, Delta], None]] = {
    "text": _read_text,
    "output_text": _read_text,
    "thinking": _read_thinking,
    "refusal": _read_refusal,
    "image_url": _read_image,
}


def _text_of(value: Any) -> str:
    """Text, or a list of text parts."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))
