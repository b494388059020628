"""HTTP/1.1 as bytes: writes request heads, parses responses. No sockets.

The grammar is llhttp's (httptools) in its strict mode. What it leaves open is decided here: limits,
interim responses, which answers end at the end of the connection, and whether a connection may
carry another request after this one. RFC 9112 throughout.
"""

from __future__ import annotations

import re

import httptools
import httpx

from lipstream.upstream.client import Headers, Origin

MAX_FRAMING_BYTES = 65_536  # one head with the interim ones before it; or between two body pieces
MAX_HEADERS = 256  # trailers included
MAX_INTERIM = 16

# The transport decides about these, whatever the caller's headers say.
OWNED = frozenset({b"accept-encoding", b"content-length", b"transfer-encoding"})

_METHOD = re.compile(rb"[A-Z]+")
_TARGET = re.compile(rb"[!-~\x80-\xff]+")
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\x00\r\n]*\r\n)*")
_BODILESS = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS"})


def length_field(method: bytes, body: bytes) -> tuple[bytes, bytes] | None:
    """The Content-Length of a body that is wholly here; None where RFC 9110, 8.6 wants none."""
    if body or method not in _BODILESS:
        return (b"Content-Length", b"%d" % len(body))
    return None


def encode_head(
    origin: Origin,
    method: bytes,
    target: bytes,
    headers: Headers,
    framing: tuple[bytes, bytes] | None,
) -> bytes:
    """The head of a request, its blank line included.

    Raises:
        httpx.LocalProtocolError: A part that could be read as something else (line breaks, blanks).
    """
    fields = [(name, value) for name, value in headers if name.lower() not in OWNED]
    if not any(name.lower() == b"host" for name, _ in fields):
        fields.insert(0, (b"Host", origin.authority))
    fields.append((b"Accept-Encoding", b"identity"))
    if framing:
        fields.append(framing)
    block = b"".join([b"%b: %b\r\n" % field for field in fields])
    if not _FIELDS.fullmatch(block) or block.count(b"\n") != len(fields):
        raise httpx.LocalProtocolError("a header name or value is not allowed in HTTP")
    if not _METHOD.fullmatch(method) or method == b"CONNECT" or not _TARGET.fullmatch(target):
        raise httpx.LocalProtocolError("the method or the target is not allowed in HTTP")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, block)


class _StopParsing(Exception):
    """Leaves llhttp from inside a callback; why is in the parser's state."""


class ResponseParser:
    """Parses the responses of one connection, one ``expect`` each.

    Nothing is raised: what came is in the attributes.

    Attributes:
        status: 0 until the head of the final response is complete.
        headers: Names in lower case. A new list for each response.
        pieces: Body that was not yet taken.
        complete: The message is over.
        fault: Why it cannot be parsed (any further), or None.
        keeps_alive: The connection may carry another request after this message. Turns False when
            anything comes after the end.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        self._llhttp = httptools.HttpResponseParser(self)
        self.expect(b"GET")

    def expect(self, method: bytes) -> None:
        """The next bytes answer a request with this method."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces.clear()
        self.complete = False
        self.fault: str | None = None
        self.keeps_alive = False
        self._answers_head = method == b"HEAD"
        self._has_length = self._is_chunked = False
        self._interim = self._fields = self._field_bytes = self._framing_bytes = 0

    @property
    def is_untouched(self) -> bool:
        """Not one byte of the expected answer came."""
        return not self.status and not self._framing_bytes

    @property
    def is_at_rest(self) -> bool:
        """Between two messages, and fit for the next."""
        return self.complete and self.keeps_alive

    def take(self) -> bytes:
        """The body that is here, which is forgotten."""
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        return body

    def feed(self, data: bytes) -> None:
        """What one read delivered; ``b""`` is the end of the connection."""
        if self.complete:
            self.keeps_alive = False
        elif not data:
            self._end()
        else:
            before = len(self.pieces)
            self._parse(data)
            self._bound_framing(data, has_body=len(self.pieces) > before)

    def _parse(self, data: bytes) -> None:
        try:
            self._llhttp.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.complete:
                self.keeps_alive = False
            else:
                self.fault = self.fault or f"not HTTP/1.1: {error}"

    def _bound_framing(self, data: bytes, *, has_body: bool) -> None:
        """Head, chunk lines, trailers: what is not body may not go on for ever."""
        self._framing_bytes = 0 if has_body else self._framing_bytes + len(data)
        if self._framing_bytes > MAX_FRAMING_BYTES and not self.complete:
            self.fault = self.fault or "head, chunk line or trailers too long"

    def _end(self) -> None:
        if not self.status:
            self.fault = "the server closed the connection before it had answered"
        elif self._has_length or self._is_chunked:
            self.fault = "the server closed the connection inside the answer"
        else:
            self.complete = True

    def _reject(self, why: str) -> None:
        self.fault = why
        raise _StopParsing

    # ------------------------------------------------------------ called by llhttp

    def on_message_begin(self) -> None:
        if self.complete:
            raise _StopParsing

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._field_bytes += len(name) + len(value) + 4
        if self._fields > MAX_HEADERS or self._field_bytes > MAX_FRAMING_BYTES:
            self._reject("too many or too long headers")
        if self.status:
            return  # a trailer
        name = name.lower()
        self.headers.append((name, value))
        if name == b"content-length":
            self._has_length = True
        elif name == b"transfer-encoding":
            self._note_transfer_encoding(value)

    def _note_transfer_encoding(self, value: bytes) -> None:
        if self._is_chunked or value.strip().lower() != b"chunked":
            self._reject("a transfer-encoding other than chunked")
        self._is_chunked = True

    def on_headers_complete(self) -> None:
        status = self._llhttp.get_status_code()
        version = self._llhttp.get_http_version()
        if version not in ("1.1", "1.0"):
            self._reject(f"HTTP version {version}")
        if status < 200:
            self._skip_interim(status)
            return
        self.status = status
        # An HTTP/1.0 server that says chunked is not trusted with a second message (6.1).
        trusted = version == "1.1" or not self._is_chunked
        self.keeps_alive = trusted and self._llhttp.should_keep_alive()
        if self._answers_head:
            # llhttp would wait for the body that the head speaks of: the connection ends here.
            self.complete = True
            self.keeps_alive = False
            raise _StopParsing

    def _skip_interim(self, status: int) -> None:
        self._interim += 1
        if status < 100 or status == 101 or self._interim > MAX_INTERIM:
            self._reject(f"status {status} was not asked for")
        self.headers.clear()
        self._has_length = self._is_chunked = False

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
