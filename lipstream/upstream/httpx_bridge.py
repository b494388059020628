"""What stands between httpx's way to speak of a message and ours: time limits and body streams."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import attrs
import httpx
import trio

from lipstream.upstream.client import Response
from lipstream.upstream.connection import Connection
from lipstream.upstream.http1 import length_field


@contextlib.contextmanager
def _limit(seconds: float, error: type[httpx.TimeoutException]) -> Iterator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error(f"nothing in {seconds} s")


@attrs.frozen
class Limits:
    """Seconds for a connect, and for each single read and write, as httpx counts them."""

    connect: float
    read: float
    write: float

    @classmethod
    def of(cls, request: httpx.Request, connect: float) -> Limits:
        """What the request says; ``connect`` if it says nothing at all."""
        given = request.extensions.get("timeout", {"connect": connect})
        seconds = {name: math.inf if limit is None else limit for name, limit in given.items()}
        return cls(*(seconds.get(name, math.inf) for name in ("connect", "read", "write")))

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Ends in ``httpx.ReadTimeout``."""
        return _limit(self.read, httpx.ReadTimeout)

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """Ends in ``httpx.WriteTimeout``."""
        return _limit(self.write, httpx.WriteTimeout)


class Upload:
    """The body of an httpx request, which may be a stream.

    Attributes:
        framing: The header that says how long the body is, if it needs one.
    """

    def __init__(self, request: httpx.Request) -> None:
        self.method = request.method.encode("ascii")
        self._stream = request.stream
        self._length: int | None = None
        if isinstance(self._stream, httpx.ByteStream):
            self._body = b"".join(self._stream)
            self.framing = length_field(self.method, self._body)
        elif length := request.headers.get("content-length"):
            self._length = int(length)
            self.framing = (b"Content-Length", b"%d" % self._length)
        else:
            self.framing = (b"Transfer-Encoding", b"chunked")

    async def send(self, connection: Connection, head: bytes, limits: Limits) -> None:
        """Sends head and body, or less of it if an answer comes before.

        Raises:
            httpx.LocalProtocolError: The stream is not as long as it was said to be.
            httpx.WriteTimeout: The server stopped reading.
        """
        if isinstance(self._stream, httpx.ByteStream):
            with limits.writing():
                await connection.write_request(head, self._body)
            return
        assert isinstance(self._stream, httpx.AsyncByteStream)
        parts = aiter(self._stream)
        try:
            await self._send_parts(connection, head, parts, limits)
        finally:
            if isinstance(parts, AsyncGenerator):
                await parts.aclose()

    async def _send_parts(
        self, connection: Connection, head: bytes, parts: AsyncIterator[bytes], limits: Limits
    ) -> None:
        async def write(data: bytes) -> bool:
            with limits.writing():
                return await connection.write(data)

        left = self._length
        wanted = await write(head)
        while wanted and (part := await anext(parts, None)) is not None:
            left = None if left is None else left - len(part)
            if left is not None and left < 0:
                raise httpx.LocalProtocolError("the body is longer than its Content-Length")
            wanted = await write(part if self._length is not None else _chunk(part))
        if wanted and left:
            raise httpx.LocalProtocolError("the body is shorter than its Content-Length")
        if wanted and left is None:
            await write(b"0\r\n\r\n")


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part) if part else b""


class DownloadStream(httpx.AsyncByteStream):
    """The body of a response, to be read once."""

    def __init__(self, response: Response, limits: Limits) -> None:
        self._response = response
        self._limits = limits

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with self._limits.reading():
            piece = await self._response.receive()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._response.close()
