"""A small HTTP/1.1 server on sockets where every byte and every close is the caller's.

Two tasks serve a connection: one always reads, so that a client's FIN or RST is noticed at once,
also while the other one sleeps; the other answers one request after the other. The client's close
cancels the answer. A half-closed client counts as gone: no proxy that still wants the answer does
that.

Not here: TLS, HTTP/2, upgrades, ``Expect``, and what is answered.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import math
import socket
import struct
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import Literal, Protocol

import attrs
import httptools
import trio

BACKLOG = 4096
READ_SIZE = 262_144
LINGER = 5.0
"""Seconds after our FIN that the client has to close its side, before the socket is dropped."""

DRAIN = 1.0
"""Seconds that bytes have to leave before an RST."""

LAST_CHUNK = b"0\r\n\r\n"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

ClosedBy = Literal["fin", "reset", "emulator"]

_SIOCOUTQNSD = 0x894B  # linux/sockios.h
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@attrs.frozen
class Request:
    """One request, read whole.

    Attributes:
        headers: Lower-case names; a repeated field's values are joined by ``, ``.
        received_at: ``trio.current_time()`` at its last byte.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    version: str
    is_kept_alive: bool
    received_at: float


class RequestReader:
    """Bytes to requests; the ``on_`` methods are httptools' callbacks."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._requests: list[Request] = []
        self._now = 0.0
        self.on_message_begin()

    def feed(self, data: bytes, now: float) -> list[Request]:
        """The requests that ``data`` completes.

        Raises:
            httptools.HttpParserError: Not HTTP.
            httptools.HttpParserUpgrade: The client wants another protocol.
        """
        self._now = now
        self._parser.feed_data(data)
        done, self._requests = self._requests, []
        return done

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        url = httptools.parse_url(self._url)
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=(url.path or b"/").decode("latin-1"),
            query=(url.query or b"").decode("latin-1"),
            headers=self._headers,
            body=b"".join(self._body),
            version=self._parser.get_http_version(),
            is_kept_alive=self._parser.should_keep_alive(),
            received_at=self._now,
        )
        self._requests.append(request)


def encode_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The response head with its empty line; an unassigned status gets no reason phrase."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def encode_chunk(data: bytes) -> bytes:
    """``data`` as one chunk of the chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Site(Protocol):
    """What a server serves."""

    def opened(self, connection: Connection) -> None:
        """A client has connected."""

    def closed(self, connection: Connection) -> None:
        """The connection is over; called once, the moment it is known."""

    def failed(self, failure: Exception) -> None:
        """Something unforeseen has cost a connection."""

    async def handle(self, request: Request, connection: Connection) -> bool:
        """Answer; True keeps the connection alive, False ends it with a FIN."""


class Connection:
    """One client's connection.

    Attributes:
        number: Unique in its server.
        closed_at: ``trio.current_time()`` of the end, or None; ``closed_by`` says who ended it.
    """

    def __init__(self, number: int, sock: socket.socket, site: Site) -> None:
        self.number = number
        self.closed_at: float | None = None
        self.closed_by: ClosedBy | None = None
        self._socket = sock
        self._site = site
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Serve the connection to its end; the socket is closed afterwards.

        A failure of the site's own code costs this connection and no other.
        """
        self._site.opened(self)
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    send, receive = trio.open_memory_channel[Request | None](math.inf)
                    nursery.start_soon(self._read, send)
                    await self._answer(receive)
                    self._scope.cancel()
        except* Exception as failures:  # noqa: BLE001 - the site's code is not ours, see above
            for failure in failures.exceptions:
                self._site.failed(failure)
        finally:
            self._close("emulator")

    async def _answer(self, requests: trio.MemoryReceiveChannel[Request | None]) -> None:
        async for request in requests:
            if request is None:
                await self.send(BAD_REQUEST)
                break
            if not await self._site.handle(request, self):
                break
        await self._finish()

    async def _read(self, requests: trio.MemorySendChannel[Request | None]) -> None:
        """Pass requests on, None for what is not one; return when the connection is over."""
        reader = RequestReader()
        is_http = True
        while (data := await self._receive()) is not None:
            if is_http:
                try:
                    complete: list[Request | None] = [*reader.feed(data, trio.current_time())]
                except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                    is_http, complete = False, [None]
                for request in complete:
                    requests.send_nowait(request)

    async def _receive(self) -> bytes | None:
        """What has arrived, or None once the connection is over."""
        try:
            await trio.lowlevel.wait_readable(self._socket)
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return b""
        except (OSError, trio.ClosedResourceError):
            self._gone("reset")
            return None
        if not data:
            self._gone("fin")
            return None
        return data

    async def send(self, data: bytes) -> None:
        """Hand ``data`` to the kernel; waits only while its buffer is full.

        Does not return when the client is gone: the caller is cancelled.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            except OSError:
                self._gone("reset")
                await trio.sleep_forever()

    async def send_in_pieces(self, data: bytes, size: int) -> None:
        """Hand ``data`` over in pieces of ``size`` bytes; every other task runs between two."""
        for at in range(0, len(data), size):
            await self.send(data[at : at + size])
            await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """Close with an RST, once the kernel has sent on what it was given.

        A client that does not read loses what has no room in its own kernel's buffer.
        """
        await self._drain()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._gone("emulator")
        self._close("emulator")

    async def _drain(self) -> None:
        """Wait until nothing is unsent: an RST would throw it away."""
        with trio.move_on_after(DRAIN):
            while _unsent(self._socket):  # noqa: ASYNC110 - the kernel has no event for it
                await trio.sleep(0.001)

    async def _finish(self) -> None:
        """Send a FIN and wait a while for the client's: it is noticed, and no RST follows."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return
        with trio.move_on_after(LINGER):
            await trio.sleep_forever()

    def _gone(self, by: ClosedBy) -> None:
        """The connection is over: whoever works for it is cancelled."""
        self._note(by)
        self._scope.cancel()

    def _note(self, by: ClosedBy) -> None:
        if self.closed_at is None:
            self.closed_at, self.closed_by = trio.current_time(), by
            self._site.closed(self)

    def _close(self, by: ClosedBy) -> None:
        self._note(by)
        if self._socket.fileno() != -1:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


def _unsent(sock: socket.socket) -> int:
    """Bytes that the kernel has not sent yet; 0 where it cannot tell (anything but Linux)."""
    try:
        answer = fcntl.ioctl(sock, _SIOCOUTQNSD, b"\0" * 4)
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


async def serve(listener: socket.socket, site: Site) -> None:
    """Accept and serve until cancelled; every socket is closed then, the listener included."""
    with listener:
        async with trio.open_nursery() as nursery:
            for number in itertools.count(1):
                sock = await _accept(listener)
                nursery.start_soon(Connection(number, sock, site).run)


async def _accept(listener: socket.socket) -> socket.socket:
    while True:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listener)
        except OSError as problem:
            await trio.sleep(0.1 if problem.errno in _OUT_OF_FILES else 0)
        else:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
