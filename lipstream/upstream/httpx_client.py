"""The ``Client`` interface over httpx's own transport, for HTTP proxies and HTTP/2.

Ten times dearer per request than ``transport.Transport``, and httpcore's pool walks all of its
connections for each one. It is never given an upper limit on connections: a pool with one loses
slots when requests are cancelled, which here is the normal case.

Not as exact as ours in one point: what httpx opened is closed by an await, so ``close`` leaves that
to a task of its own. HTTP/1.1 servers see it at once, HTTP/2 servers are not told of a stream that
was let go of.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import trio

from lipstream.upstream.client import CONNECT_TIMEOUT, Origin, Request, check_encoding
from lipstream.upstream.http1 import OWNED

FINISH_TIMEOUT = 1.0  # seconds for the last bytes of an answer whose reader knows it is over
_EXPECTED = (httpx.HTTPError, OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class HttpxResponse:
    """An answer that is being read; see ``client.Response``."""

    def __init__(self, response: httpx.Response, reused: bool) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self.status = response.status_code
        self.headers = [(name.lower(), value) for name, value in response.headers.raw]
        self.reused = reused
        self._stream = response.stream
        self._pieces: AsyncIterator[bytes] = aiter(self._stream)
        self._is_open = True
        self._is_reading = False

    async def receive(self) -> bytes:
        """Unlike ours it does not survive a cancellation: the connection is gone then."""
        if not self._is_open:
            raise httpx.ReadError("the response is closed")
        self._is_reading = True
        try:
            piece = await self._next()
            if not piece:
                await self._stream.aclose()  # now, so that the next request finds the connection
            return piece
        except BaseException:
            self.close()
            raise
        finally:
            self._is_reading = False

    async def _next(self) -> bytes:
        return await anext(self._pieces, b"")

    def close(self, finished: bool = False) -> None:
        if self._is_open:
            self._is_open = False
            trio.lowlevel.spawn_system_task(self._finish, FINISH_TIMEOUT if finished else 0.0)

    async def aclose(self) -> None:
        self.close()

    async def _finish(self, patience: float) -> None:
        # Reading on, if only into a timeout that is already over, is what unwinds the generators
        # that httpcore nests; to close the outermost one leaves the others to the collector.
        with contextlib.suppress(*_EXPECTED):  # a system task that raises ends the program
            with trio.move_on_after(patience):
                while not self._is_reading and await self._next():
                    pass
            await self._stream.aclose()


class HttpxClient:
    """Sends requests through ``httpx.AsyncHTTPTransport``.

    Args:
        ssl_context: For https; by default httpx's own.
        connect_timeout: Seconds for TCP, and again for TLS.
        proxy: URL of an HTTP proxy.
        http2: Offer HTTP/2 to https servers (needs ``httpx[http2]``).
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        proxy: str | None = None,
        http2: bool = False,
    ) -> None:
        self._timeout = httpx.Timeout(None, connect=connect_timeout).as_dict()
        self._transport = httpx.AsyncHTTPTransport(
            verify=ssl_context or True,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
            proxy=proxy,
            http2=http2,
        )

    @property
    def open_connections(self) -> int:
        return len(self._transport._pool.connections)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def send(self, origin: Origin, request: Request) -> HttpxResponse:
        connects: list[str] = []

        async def trace(event: str, _: dict[str, Any]) -> None:
            if event.endswith("connect_tcp.started"):
                connects.append(event)

        response = await self._transport.handle_async_request(
            httpx.Request(
                request.method.decode("ascii"),
                httpx.URL(
                    scheme=origin.scheme,
                    host=origin.host,
                    port=origin.port,
                    raw_path=request.target,
                ),
                headers=_own_headers(request),
                content=request.body or None,
                extensions={"timeout": self._timeout, "trace": trace},
            )
        )
        answer = HttpxResponse(response, reused=not connects)
        try:
            check_encoding(answer.headers)
        except httpx.RemoteProtocolError:
            answer.close()
            raise
        return answer


def _own_headers(request: Request) -> list[tuple[bytes, bytes]]:
    headers = [(name, value) for name, value in request.headers if name.lower() not in OWNED]
    return [*headers, (b"Accept-Encoding", b"identity")]
