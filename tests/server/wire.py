"""A server on a free loopback port, and a client that says exactly what it is told to."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from lipstream.server.app import LipstreamApp, Readiness, create_app
from lipstream.server.downstream import Downstream, Handler, HeaderLines
from lipstream.server.models import ListedModel
from lipstream.server.serve import ServeConfig, Serving, serve

PATIENCE = 5.0  # seconds: what is not here by then is not coming
JSON_LINES: HeaderLines = [(b"content-type", b"application/json")]
SSE_LINES: HeaderLines = [(b"content-type", b"text/event-stream")]
CHAT = "/v1/chat/completions"
POST_CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\n"
ASK = POST_CHAT + b"Content-Length: 2\r\n\r\n{}"


def app_for(
    handler: Handler,
    *more: tuple[tuple[str, str], Handler],
    readiness: Callable[[], Readiness] = Readiness,
) -> LipstreamApp:
    """An application with one handler on the chat endpoint."""
    handlers: Mapping[tuple[str, str], Handler] = {("POST", CHAT): handler, **dict(more)}
    return create_app(
        handlers=handlers, readiness=readiness, models=lambda: [ListedModel("stub:a/b", "stub")]
    )


@asynccontextmanager
async def serving(app: Any, **config: Any) -> AsyncIterator[Serving]:
    """Runs a server; every one of its tasks has ended when the block has."""
    with trio.fail_after(4 * PATIENCE):
        async with trio.open_nursery() as nursery:
            config = {"binds": ("127.0.0.1:0",), "sweep_interval": 0.05, **config}
            server = await nursery.start(serve, app, ServeConfig(**config))
            try:
                yield server
            finally:
                server.end()
                for client in _clients.pop(server, ()):
                    await trio.aclose_forcefully(client.stream)


@attrs.frozen
class Reply:
    """A response as it was on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_complete: bool = True

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's shape."""
        error = self.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert isinstance(error, dict)
        return error


class Client:
    """One connection. What is read stays in ``seen`` until it is taken."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.seen = b""

    async def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        await self.stream.send_all(data)

    async def more(self) -> bool:
        """Reads once; False at the end of the stream or when the connection is broken."""
        with trio.fail_after(PATIENCE):
            try:
                data = await self.stream.receive_some(2**16)
            except trio.BrokenResourceError:
                return False
        self.seen += data
        return bool(data)

    async def until(self, mark: bytes) -> bytes:
        """Takes everything up to and with a mark; what there is if the stream ends first."""
        while mark not in self.seen and await self.more():
            pass
        index = self.seen.find(mark)
        end = len(self.seen) if index < 0 else index + len(mark)
        taken, self.seen = self.seen[:end], self.seen[end:]
        return taken

    async def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        while await self.more():
            pass
        taken, self.seen = self.seen, b""
        return taken

    async def is_reset(self) -> bool:
        """Reads to the end; whether that end is a reset."""
        with trio.fail_after(PATIENCE):
            try:
                while await self.stream.receive_some(2**16):
                    pass
            except trio.BrokenResourceError:
                return True
        return False

    async def reply(self) -> Reply:
        """Takes one response."""
        head = await self.until(b"\r\n\r\n")
        assert head, "the connection ended without a response"
        first, *lines = head.decode().strip().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (s.partition(":") for s in lines)
        }
        status = int(first.split()[1])
        if status < 200:
            return Reply(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return await self._chunked(status, headers)
        if "content-length" not in headers:
            return Reply(status, headers, await self.rest())
        length = int(headers["content-length"])
        while len(self.seen) < length and await self.more():
            pass
        body, self.seen = self.seen[:length], self.seen[length:]
        return Reply(status, headers, body, len(body) == length)

    async def _chunked(self, status: int, headers: dict[str, str]) -> Reply:
        body = b""
        while size := (await self.until(b"\r\n"))[:-2]:
            length = int(size, 16)
            while len(self.seen) < length + 2 and await self.more():
                pass
            body, self.seen = body + self.seen[:length], self.seen[length + 2 :]
            if length == 0:
                return Reply(status, headers, body)
        return Reply(status, headers, body, is_complete=False)

    async def ask(self, request: bytes) -> Reply:
        """Sends a request and takes its response."""
        await self.send(request)
        return await self.reply()

    def reset(self) -> None:
        """Leaves with a reset."""
        assert isinstance(self.stream, trio.SocketStream)
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()

    def leave(self) -> None:
        """Leaves as clients do, with a FIN."""
        assert isinstance(self.stream, trio.SocketStream)
        self.stream.socket.close()


# Whose clients are left open at the end of a test, and are closed then.
_clients: dict[Serving, list[Client]] = {}


async def connect(server: Serving, *, receive_buffer: int | None = None) -> Client:
    """Connects to a server; with a small receive buffer, to be a client that does not read."""
    host, _, port = server.addresses[0].partition("://")[2].rpartition(":")
    sock = trio.socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await sock.connect((host, int(port)))
    except OSError:
        sock.close()
        raise
    client = Client(trio.SocketStream(sock))
    _clients.setdefault(server, []).append(client)
    return client


@asynccontextmanager
async def conversation(handler: Handler, **config: Any) -> AsyncIterator[Client]:
    """A client connected to a server of its own."""
    async with serving(app_for(handler), **config) as server:
        yield await connect(server)


def chunked(*parts: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


async def echo(downstream: Downstream) -> None:
    """Answers with the request's body."""
    body = await downstream.read_body(2**20)
    await downstream.respond(200, JSON_LINES, body)


class Watched:
    """A handler that streams for ever, and remembers what it was told.

    Attributes:
        reasons: Why clients left, one entry per telling.
        is_running: How many requests are in it.
    """

    def __init__(self, piece: bytes = b"data: x\n\n", pause: float = 0.01) -> None:
        self.reasons: list[str] = []
        self.running = 0
        self.piece = piece
        self.pause = pause
        self.changed = trio.Condition()

    async def __call__(self, downstream: Downstream) -> None:
        """Serves one request until its client is gone."""
        self.running += 1
        try:
            with trio.CancelScope() as scope:

                def tell(reason: str) -> None:
                    self.reasons.append(reason)
                    scope.cancel()

                await downstream.read_body(2**20)
                downstream.on_disconnect(tell)
                await self.stream(downstream)
        finally:
            self.running -= 1

    async def stream(self, downstream: Downstream) -> None:
        """What is sent; nothing at all where the pause is infinite."""
        await trio.sleep(self.pause)
        await downstream.send_head(200, SSE_LINES)
        while True:
            await downstream.send(self.piece)
            await trio.sleep(self.pause)

    async def told(self, count: int = 1) -> list[str]:
        """The reasons, once there are so many and no request is running."""
        await until(lambda: len(self.reasons) >= count and not self.running)
        return self.reasons

    async def started(self, count: int = 1) -> None:
        """Until so many requests are running."""
        await until(lambda: self.running >= count)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that happens on the other side of a socket."""
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it has no event for us
            await trio.sleep(0.005)
