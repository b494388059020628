"""Server-sent events: bytes to frames and back (WHATWG HTML, "Server-sent events").

The splitter knows lines and fields, nothing of what stands in the data; the writer makes JSON fit
for one data line. ``id`` and ``retry`` fields are read over: no model API uses them.

Work per byte is constant, however the bytes are cut: what is left of one read is kept until its
event is complete and is searched once. The usual events, a single ``data: ...`` line and one behind
an ``event: ...`` line, are cut out by methods of ``bytes`` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from lipstream.errors import FaultKind, UpstreamFault

Frame = tuple[bytes, bytes]
"""The name of an event (empty when it has none) and its data."""

BOM = b"\xef\xbb\xbf"


class SseSplitter:
    """Cuts a body into frames, whatever pieces it comes in.

    Args:
        limit: How many bytes one event may have, its field names included.
    """

    __slots__ = ("_head", "_is_after_cr", "_limit", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()  # of the event under way, with LF for every line end
        self._is_after_cr = False
        self._head: bytes | None = b""  # the first bytes while they may be a byte order mark

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete. Has to be run to its end, or not used again.

        Raises:
            UpstreamFault: PROTOCOL, an event is over the limit; the frames before it are out.
        """
        if self._head is not None or self._is_after_cr or b"\r" in data:
            data = self._plain(data)
        rest = self._rest
        if rest:
            if b"\n\n" in data or (data[:1] == b"\n" and rest[-1] == 10):
                data = bytes(rest) + data
                rest.clear()
            else:
                rest += data
                data = b""
        events = data.split(b"\n\n")
        tail = events.pop()
        if tail:
            rest += tail
        for event in events:
            if len(event) > self._limit:
                raise self._too_long()
            if event[:6] == b"data: " and b"\n" not in event:
                yield b"", event[6:]
                continue
            name, _, payload = event.partition(b"\ndata: ")
            if payload and name[:7] == b"event: " and b"\n" not in payload and b"\n" not in name:
                yield name[7:], payload
            elif (frame := _frame(event)) is not None:
                yield frame
        if len(rest) > self._limit and len(rest) - rest.endswith(b"\n") > self._limit:
            raise self._too_long()

    def end(self) -> Frame | None:
        """The event that the body left without its blank line, if there is one."""
        rest, self._rest = bytes(self._rest), bytearray()
        return _frame(rest)

    def _plain(self, data: bytes) -> bytes:
        """The bytes without a byte order mark, with LF for every line end."""
        if self._head is not None:
            data = self._head + data
            if len(data) < len(BOM) and BOM.startswith(data):
                self._head = data
                return b""
            self._head = None
            data = data.removeprefix(BOM)
        if not data or not (self._is_after_cr or b"\r" in data):
            return data
        if self._is_after_cr and data[:1] == b"\n":
            data = data[1:]
        self._is_after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _too_long(self) -> UpstreamFault:
        message = f"an event of the stream is longer than {self._limit} bytes"
        return UpstreamFault(FaultKind.PROTOCOL, message)


def _frame(event: bytes) -> Frame | None:
    """The fields of one event; None when it has no data."""
    name, lines = b"", []
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return (name, b"\n".join(lines)) if lines else None


def encode_sse(data: bytes, event: bytes | None = None) -> bytes:
    """One event; data of several lines becomes several ``data`` fields."""
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event + b"\ndata: " + data + b"\n\n"


_encode = msgspec.json.Encoder().encode


def encode_json(value: object) -> bytes:
    """JSON in one line, in which nothing is a line end to anybody.

    U+2028, U+2029 and U+0085 are escaped, because clients that split text and not bytes take them
    for line ends. A lone surrogate is written as the escape that it came as.
    """
    try:
        data = _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
    return data if data.isascii() else escape_line_ends(data)


def escape_line_ends(data: bytes) -> bytes:
    """The same JSON with U+2028, U+2029 and U+0085 escaped."""
    if b"\xe2\x80" in data:
        data = data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    if b"\xc2\x85" in data:
        data = data.replace(b"\xc2\x85", b"\\u0085")
    return data
