"""Cutting a JSON array that comes in pieces into its entries, as bytes.

Without ``alt=sse`` a Gemini stream is one array, of which every entry is a chunk. Entries are cut
out by counting brackets outside strings; whether they are JSON is for the reader to find out. Every
byte is looked at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.sse import Frame

_OUTSIDE = re.compile(rb'[{}"]')
_INSIDE = re.compile(rb'["\\]')


class ArraySplitter:
    """Cuts one array into its objects.

    Args:
        limit: How many bytes one entry may have.
    """

    __slots__ = ("_depth", "_is_escaped", "_is_in_text", "_limit", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()  # of the entry under way
        self._depth = 0
        self._is_in_text = False
        self._is_escaped = False  # whether the next byte belongs to an escape

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The entries that these bytes complete, as frames without a name.

        Raises:
            UpstreamFault: PROTOCOL, an entry is over the limit.
        """
        start = place = 0
        while (found := self._next(data, place)) is not None:
            mark, place = found
            if mark == b"{" and self._depth == 1:
                start = place - 1
            elif mark == b"}" and self._depth == 0:
                yield b"", bytes(self._rest) + data[start:place]
                self._rest.clear()
                start = place
        if self._depth:
            self._rest += data[start:]
            if len(self._rest) > self._limit:
                message = f"an event of the stream is longer than {self._limit} bytes"
                raise UpstreamFault(FaultKind.PROTOCOL, message)

    def _next(self, data: bytes, place: int) -> tuple[bytes, int] | None:
        """The next bracket that counts, and the place behind it."""
        while place < len(data):
            if self._is_escaped:
                self._is_escaped = False
                place += 1
                continue
            pattern = _INSIDE if self._is_in_text else _OUTSIDE
            found = pattern.search(data, place)
            if found is None:
                return None
            place, mark = found.end(), found[0]
            if mark == b'"':
                self._is_in_text = not self._is_in_text and self._depth > 0
            elif mark == b"\\":
                self._is_escaped = True
            else:
                self._depth += 1 if mark == b"{" else -(self._depth > 0)
                return mark, place
        return None
