"""Upstreams beyond what a script can say: fixed bytes, no end, no accept, TLS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import attrs
import trio

KEPT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
CLOSING_HEAD = KEPT_HEAD + b"Connection: close\r\n"

Answer = Callable[[trio.SocketStream], Awaitable[None]]


@attrs.define(eq=False)
class Raw:
    """A server that hands over each connection as soon as a request's head is there.

    Attributes:
        opened: How many connections there were.
        closed_at: ``trio.current_time()`` of the moments when the answers ended.
    """

    port: int = 0
    opened: int = 0
    closed_at: list[float] = attrs.field(factory=list)

    @property
    def base_url(self) -> str:
        """For the configuration."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve_one(self, answer: Answer, stream: trio.SocketStream) -> None:
        """Answers once; the client may end it at any time."""
        self.opened += 1
        try:
            while not (await stream.receive_some()).count(b"\r\n\r\n"):
                pass
            await answer(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            self.closed_at.append(trio.current_time())
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def raw_upstream(answer: Answer) -> AsyncIterator[Raw]:
    """Runs one."""
    raw = Raw()
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, partial(raw.serve_one, answer), 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        raw.port = listeners[0].socket.getsockname()[1]
        yield raw
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- fixed bytes


def encode_chunked(data: bytes) -> bytes:
    """One chunk of the chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def encode_sse(*chunks: Any, head: bytes = CLOSING_HEAD) -> bytes:
    """A stream of chat completion chunks, its head and its end included."""
    events = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks]
    body = b"".join([*events, b"data: [DONE]\n\n"])
    return head + b"\r\n" + encode_chunked(body) + b"0\r\n\r\n"


def chunk(index: int, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chat completion chunk with one choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    kind = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**kind, "choices": [choice]}


def says(data: bytes) -> Answer:
    """Answers with these bytes and waits for the client to close."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(data)
        while await stream.receive_some():
            pass

    return answer


@attrs.define(eq=False)
class Endless:
    """Answers with words as fast as they are taken, for ever.

    Attributes:
        sent: Bytes that the kernel took, of all connections.
    """

    word: str = "word " * 200
    sent: int = 0

    async def __call__(self, stream: trio.SocketStream) -> None:
        """Answers once."""
        await stream.send_all(CLOSING_HEAD + b"\r\n")
        event = b"data: %b\n\n" % json.dumps(chunk(0, content=self.word)).encode()
        piece = encode_chunked(event)
        while True:
            await stream.send_all(piece)
            self.sent += len(piece)


# ---------------------------------------------------------------- no accept


@contextmanager
def unaccepting() -> Iterator[str]:
    """The base URL of a server to which a connect neither succeeds nor fails."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(address)
            yield f"http://127.0.0.1:{address[1]}/v1"
        finally:
            for sock in waiting:
                sock.close()


def refusing() -> str:
    """The base URL of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


# ---------------------------------------------------------------- TLS


async def _pump(source: trio.abc.Stream, sink: trio.abc.Stream, scope: trio.CancelScope) -> None:
    """Passes on what comes; the end of either side is the end of both."""
    try:
        while data := await source.receive_some(2**16):
            await sink.send_all(data)
    except trio.BrokenResourceError:
        pass
    scope.cancel()


async def _relay(port: int, stream: trio.SSLStream[trio.SocketStream]) -> None:
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError:
        return
    plain = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pump, stream, plain, nursery.cancel_scope)
            nursery.start_soon(_pump, plain, stream, nursery.cancel_scope)
    finally:
        await trio.aclose_forcefully(plain)
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def tls_relay(context: ssl.SSLContext, port: int) -> AsyncIterator[str]:
    """Puts TLS before a plain server; gives the base URL."""
    async with trio.open_nursery() as nursery:
        serve = partial(
            trio.serve_ssl_over_tcp, partial(_relay, port), 0, context, host="127.0.0.1"
        )
        listeners: list[trio.SSLListener[trio.SocketStream]] = await nursery.start(serve)
        listener = listeners[0].transport_listener
        assert isinstance(listener, trio.SocketListener)
        yield f"https://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
        nursery.cancel_scope.cancel()
