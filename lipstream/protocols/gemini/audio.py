"""Audio that comes in pieces of base64, made to fit each other.

The canonical pieces are appended; Gemini's are each padded for themselves. Bytes that do not fill a
group of three wait for the next piece.
"""

from __future__ import annotations

import base64

from lipstream.protocols.gemini.wire import base64_bytes


class AudioJoiner:
    """The audio of one candidate."""

    __slots__ = ("_rest", "mime")

    def __init__(self) -> None:
        self._rest = b""
        self.mime = ""

    @property
    def is_open(self) -> bool:
        """Whether bytes are waiting."""
        return bool(self._rest)

    def add(self, mime: str, data: str) -> str:
        """The base64 text that may be appended now; may be empty."""
        self.mime = mime
        if not self._rest and not data.endswith("="):
            return data
        raw = base64_bytes(data)
        if raw is None:
            return data
        raw = self._rest + raw
        whole = len(raw) - len(raw) % 3
        self._rest = raw[whole:]
        return base64.b64encode(raw[:whole]).decode()

    def end(self) -> str:
        """What is left when no more comes."""
        rest, self._rest = self._rest, b""
        return base64.b64encode(rest).decode()
