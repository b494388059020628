"""A scripted server on a real loopback socket that says exactly the bytes it is told.

A script is called once per connection with its :class:`Peer`; when it returns, the connection is
closed. What the script could not do because the client had gone is not an error.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import trio

from lipstream.upstream.client import Origin, Request

PATIENCE = 30.0  # seconds until a test gives up; no test waits for it when all is well

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
STREAM = CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"

GET = Request(b"GET", b"/", (), b"")
POST = Request(b"POST", b"/v1/x?y=z", ((b"X-Test", b"yes"),), b'{"a": 1}')


class Peer:
    """The server's end of one connection.

    Attributes:
        index: 0 for the first connection that the server accepted.
        requests: What the client sent, one entry per request, head and body.
    """

    def __init__(self, stream: trio.abc.Stream, index: int) -> None:
        self.stream = stream
        self.index = index
        self.requests: list[bytes] = []
        self.gone = trio.Event()
        self._unread = bytearray()

    async def request(self) -> bytes:
        """Reads one request, its body included, and returns it; ends the script at EOF."""
        while b"\r\n\r\n" not in self._unread:
            await self._read()
        size = self._unread.index(b"\r\n\r\n")
        head = self._take(size + 4)[:-4]
        lines = [line.partition(b":") for line in head.lower().split(b"\r\n")]
        fields = {name: value.strip() for name, _, value in lines}
        if b"transfer-encoding" in fields:
            while not self._unread.endswith(b"0\r\n\r\n"):
                await self._read()
            length = len(self._unread)
        else:
            length = int(fields.get(b"content-length", b"0"))
        while len(self._unread) < length:
            await self._read()
        self.requests.append(head + b"\r\n\r\n" + self._take(length))
        return self.requests[-1]

    def _take(self, size: int) -> bytes:
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken

    async def _read(self) -> None:
        received = await self.stream.receive_some(65_536)
        if not received:
            raise trio.EndOfChannel
        self._unread += received

    async def send(self, *pieces: bytes) -> None:
        """Sends each piece by itself, in its own turn of the scheduler."""
        for piece in pieces:
            await self.stream.send_all(piece)
            await trio.lowlevel.checkpoint()

    async def wait_gone(self) -> None:
        """Waits until the client has closed its end."""
        with contextlib.suppress(trio.BrokenResourceError, trio.EndOfChannel):
            while True:
                await self._read()


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """What the server saw.

    Attributes:
        peers: Every connection so far, in the order they were accepted.
    """

    def __init__(self, script: Script, port: int, tls: ssl.SSLContext | None) -> None:
        self.origin = Origin("https" if tls else "http", "127.0.0.1", port)
        self.url = f"{self.origin.scheme}://{self.origin.authority.decode()}"
        self.peers: list[Peer] = []
        self._script = script
        self._tls = tls

    async def handle(self, stream: trio.SocketStream) -> None:
        secured: trio.abc.Stream = stream
        if self._tls:
            secured = trio.SSLStream(stream, self._tls, server_side=True)
        peer = Peer(secured, len(self.peers))
        self.peers.append(peer)
        try:
            with contextlib.suppress(
                trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel
            ):
                await self._script(peer)
        finally:
            await trio.aclose_forcefully(stream)
            peer.gone.set()

    async def all_gone(self) -> None:
        """Waits until no connection is left."""
        with trio.fail_after(PATIENCE):
            for peer in self.peers:
                await peer.gone.wait()


@contextlib.asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serves on a free port until the block ends."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(script, listeners[0].socket.getsockname()[1], tls)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.handle, listeners)  # noqa: ASYNC113 - they listen already
        with trio.fail_after(PATIENCE):
            yield server
        nursery.cancel_scope.cancel()


def answering(*answers: bytes) -> Script:
    """A script that gives one answer per request and then goes on with the last."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)
        while True:
            await peer.request()
            await peer.send(answers[-1])

    return script


def saying(pieces: Sequence[bytes]) -> Script:
    """A script that reads a request, says the pieces and closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*pieces)

    return script


class Names(trio.abc.HostnameResolver):
    """A name service that knows what it is told, so that no test asks a real one."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        name = (host or b"").decode("ascii")
        if name not in self._addresses:
            raise OSError(f"unknown host: {name}")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self._addresses[name], port))]

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int
    ) -> tuple[str, str]:
        raise OSError("nobody asks")


def open_files() -> int:
    """How many file descriptors the process has."""
    return len(os.listdir("/proc/self/fd"))
