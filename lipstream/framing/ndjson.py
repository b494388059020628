"""Newline-delimited JSON: bytes to lines (https://github.com/ndjson/ndjson-spec).

The splitter knows line ends and nothing of what stands between them. A line ends in LF, with a CR
before it or without; blank lines say nothing and are left out, as is a byte order mark at the very
beginning.

Work per byte is constant, however the bytes are cut: what is left of one read is kept until its
line is complete and is not searched again.
"""

from __future__ import annotations

from collections.abc import Iterator

from lipstream.errors import FaultKind, UpstreamFault

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r"


class NdjsonSplitter:
    """Cuts a body into lines, whatever pieces it comes in.

    Args:
        limit: How many bytes one line may have, its end not counted.
    """

    __slots__ = ("_is_first", "_limit", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()  # of the line under way
        self._is_first = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that these bytes complete. Has to be run to its end, or not used again.

        Raises:
            UpstreamFault: PROTOCOL, a line is over the limit; the lines before it are out.
        """
        lines = data.split(b"\n")
        tail = lines.pop()
        if lines and self._rest:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += tail
        for line in lines:
            if text := self._text(line):
                yield text
        self._check(self._rest)

    def end(self) -> bytes:
        """The line that the body left without its end; empty if there is none."""
        rest, self._rest = bytes(self._rest), bytearray()
        return self._text(rest)

    def _text(self, line: bytes) -> bytes:
        """The line without blanks around it, and the first one without a byte order mark."""
        self._check(line)
        if self._is_first and line:
            self._is_first = False
            line = line.removeprefix(_BOM)
        return line.strip(_BLANKS)

    def _check(self, line: bytes | bytearray) -> None:
        if len(line) > self._limit and len(line) - line.endswith(b"\r") > self._limit:
            message = f"a line of the stream is longer than {self._limit} bytes"
            raise UpstreamFault(FaultKind.PROTOCOL, message)
