"""Our own HTTP/1.1 client on Trio: keep-alive, TLS, streaming; a ``Client`` and an httpx transport.

``send`` is the way of the hot path. ``handle_async_request`` puts the same under
``httpx.AsyncClient`` for everything else; only there do httpx's timeouts count, and only there may
a request body be a stream.

Theory of operation: a connection has one holder at a time. ``_acquire`` makes the caller its
holder; from then on every way out either hands it to a response or closes it. The response gives
it to the pool or closes it. No await lies between taking and handing over, so that a cancellation
finds exactly one holder, who closes the socket then and there.
"""

from __future__ import annotations

import socket
import ssl

import httpx
import trio

from lipstream.upstream.client import (
    CONNECT_TIMEOUT,
    Origin,
    Request,
    StaleConnection,
    check_encoding,
    origin_of,
)
from lipstream.upstream.connection import Connection
from lipstream.upstream.http1 import encode_head, length_field
from lipstream.upstream.httpx_bridge import DownloadStream, Limits, Upload
from lipstream.upstream.pool import Pool
from lipstream.upstream.tls import default_context


class StreamedResponse:
    """An answer that is being read; see ``client.Response``."""

    def __init__(self, connection: Connection, pool: Pool, reused: bool) -> None:
        self.status = connection.parser.status
        self.headers = connection.parser.headers
        self.reused = reused
        self._connection: Connection | None = connection
        self._pool = pool

    async def receive(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise httpx.ReadError("the response is closed")
        parser = connection.parser
        try:
            while not parser.pieces:
                if parser.complete:
                    return b""
                if parser.fault:
                    raise httpx.RemoteProtocolError(parser.fault)
                await connection.fill()
        except httpx.TransportError:
            connection.close()
            raise
        return parser.take()

    def close(self, finished: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give(connection, finished)

    async def aclose(self) -> None:
        self.close()


class Transport(httpx.AsyncBaseTransport):
    """Sends requests over kept-alive connections, as many at a time as there are requests.

    Args:
        ssl_context: For https; by default one that all transports share.
        connect_timeout: Seconds for name lookup, TCP and TLS together.
        max_idle: Idle connections kept per origin.
        max_idle_age: Seconds after which an idle connection is not used again.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        max_idle: int = 64,
        max_idle_age: float = 60.0,
    ) -> None:
        self._ssl_context = ssl_context
        self._connect_timeout = connect_timeout
        self._pool = Pool(max_idle, max_idle_age)
        self._connections: set[Connection] = set()

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def aclose(self) -> None:
        self._pool.close()
        for connection in list(self._connections):
            connection.close()

    async def send(self, origin: Origin, request: Request) -> StreamedResponse:
        method, target, headers, body = request
        head = encode_head(origin, method, target, headers, length_field(method, body))
        connection, reused = await self._acquire(origin, self._connect_timeout)
        try:
            connection.parser.expect(method)
            await connection.write_request(head, body)
            return await self._answer(connection, reused)
        except BaseException:
            connection.close()
            raise

    async def _answer(self, connection: Connection, reused: bool) -> StreamedResponse:
        try:
            await connection.read_head()
        except httpx.TransportError as error:
            if reused and connection.parser.is_untouched:
                raise StaleConnection(f"a kept-alive connection was dead: {error}") from error
            raise
        check_encoding(connection.parser.headers)
        return StreamedResponse(connection, self._pool, reused)

    # ------------------------------------------------------------ connecting

    async def _acquire(self, origin: Origin, patience: float) -> tuple[Connection, bool]:
        """A connection for one request, and whether it served one before."""
        await trio.lowlevel.checkpoint_if_cancelled()  # nothing is sent for who is gone
        if connection := self._pool.take(origin):
            return connection, True
        with trio.move_on_after(patience):
            return await self._connect(origin), False
        raise httpx.ConnectTimeout(f"no connection to {origin.host}:{origin.port} in {patience} s")

    async def _connect(self, origin: Origin) -> Connection:
        try:
            stream = await trio.open_tcp_stream(origin.host, origin.port)
            sock = socket.socket(fileno=stream.socket.detach())
            sock.setblocking(False)
            connection = Connection(sock, origin, self._connections)
            if origin.scheme == "https":
                await self._secure(connection)
            return connection
        except (OSError, UnicodeError) as error:
            reasons = getattr(error.__cause__, "exceptions", ())  # one per address
            raise httpx.ConnectError(": ".join(map(str, (error, *reasons)))) from error

    async def _secure(self, connection: Connection) -> None:
        try:
            await connection.start_tls(self._ssl_context or default_context())
        except BaseException:
            connection.close()
            raise

    # ------------------------------------------------------------ under httpx

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Takes connect, read and write from httpx's ``timeout`` extension; pool never waits."""
        limits = Limits.of(request, self._connect_timeout)
        upload = Upload(request)
        head = encode_head(
            origin_of(request.url),
            upload.method,
            request.url.raw_path,
            request.headers.raw,
            upload.framing,
        )
        connection, reused = await self._acquire(origin_of(request.url), limits.connect)
        try:
            connection.parser.expect(upload.method)
            await upload.send(connection, head, limits)
            with limits.reading():
                response = await self._answer(connection, reused)
        except BaseException:
            connection.close()
            raise
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=DownloadStream(response, limits),
            extensions={"http_version": b"HTTP/1.1"},
        )
