"""What the scenarios are made of: tools, pictures, texts."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zlib
from collections.abc import Iterator
from typing import Any

from lipstream.emulators.script import ToolCall
from tests.conformance.prompt import Media, Tool

PARITY = "conformance parity: it says the same everywhere"

WEATHER = Tool(
    "weather",
    "Tells the weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
CLOCK = Tool(
    "clock",
    "Tells the time of a zone.",
    {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
)
COLOGNE = ToolCall("weather", '{"city": "Köln"}')
BONN = ToolCall("weather", '{"city": "Bonn"}')
ZONE = ToolCall("clock", '{"zone": "CET"}')

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "number"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}

UNICODE = (
    "é \U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f467 \u2028 \u2029 \u0085 e\u0301 "
    'שלום \u202eRTL\u202c 漢字 \ufffd \ufeff "quoted" \\back\\ \t tab \r\n line \x07 \x1b[0m \x7f '
    "\U0010ffff end"
)
"""Everything that some codec somewhere has broken: surrogate pairs, joined emoji, separators that
count as ends of lines, combining marks, right to left, control characters other than NUL."""


def picture(size: int, seed: int = 7) -> Media:
    """A PNG of about so many bytes, no two alike."""
    noise = random.Random(f"{seed}:{size}").randbytes(max(64, size - 100))
    chunks = [(b"IHDR", bytes(13)), (b"IDAT", noise), (b"IEND", b"")]
    data = b"".join(
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
        for name, body in chunks
    )
    return Media("image", b"\x89PNG\r\n\x1a\n" + data, "image/png", "picture.png")


def paper() -> Media:
    """A PDF."""
    data = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    return Media("document", data, "application/pdf", "paper.pdf")


def sound() -> Media:
    """A WAV file."""
    samples = random.Random(3).randbytes(2_000)
    head = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt " + bytes(20)
    return Media("audio", head + b"data" + samples, "audio/wav", "sound.wav")


def digests(body: Any) -> set[str]:
    """The hashes of everything in a request's body that is base64, in a data URL or bare."""
    return {digest(data) for text in _strings(body) for data in _decoded(text)}


def digest(data: bytes) -> str:
    """What bytes are known by."""
    return hashlib.sha256(data).hexdigest()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def _decoded(text: str) -> Iterator[bytes]:
    _, _, data = text.rpartition(";base64,")
    data = (data or text).replace("-", "+").replace("_", "/")
    if len(data) < 64:
        return
    try:
        yield base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except ValueError:
        return


def loosely(text: str) -> Any:
    """What a tool's result says, however a protocol wraps it."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        if name in ("result", "output", "error", "content"):
            return loosely(inner) if isinstance(inner, str) else inner
    return value
