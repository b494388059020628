"""What a backend needs of HTTP: send one request, read its answer as it comes, let go of it.

Two clients fit this interface: ``transport.Transport``, our own, and ``httpx_client.HttpxClient``
over the transport that httpx ships (HTTP proxies, HTTP/2). Both raise httpx's own exceptions.
No redirects, no retries, no content decoding, no limit on time except for the connect: the caller
has its own deadlines and cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import httpx

Headers = Sequence[tuple[bytes, bytes]]

CONNECT_TIMEOUT = 10.0  # seconds for name lookup, TCP and TLS together
DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where a request goes, and what connections are kept by (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> bytes:
        """The value of the Host header (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port != DEFAULT_PORTS[self.scheme]:
            host = f"{host}:{self.port}"
        return host.encode("ascii")


class StaleConnection(httpx.ReadError):
    """A kept-alive connection broke before one byte of the answer came.

    As a rule the server closed it for being idle, just as the request went out: to send the request
    once more costs nothing then. Raised by our own transport only.
    """

    reused = True


class Request(NamedTuple):
    """One request.

    ``headers`` need no framing: the client adds Host (unless given), Content-Length and
    ``Accept-Encoding: identity``. ``target`` is the path with its query, percent-encoded.
    """

    method: bytes
    target: bytes
    headers: Headers
    body: bytes


class Response(Protocol):
    """An answer whose head is here and whose body may still be coming.

    Whoever got it from ``Client.send`` owns it and must close it.

    Attributes:
        headers: In the order they came, names in lower case.
        reused: It came over a kept-alive connection.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    reused: bool

    async def receive(self) -> bytes:
        """All of the body that one read delivered, chunked framing removed; ``b""`` at its end.

        Raises:
            httpx.ReadError: The connection broke.
            httpx.RemoteProtocolError: The body was cut short or is not HTTP.
        """
        ...

    def close(self, finished: bool = False) -> None:
        """Lets go of the connection: it is kept if the answer was read to its end, else closed.

        Never waits, never raises, may be called again. With ``finished`` the caller knows by the
        content that the answer is over although its end may not be here yet; the connection is
        then kept as well, and looked at again before it is used.
        """
        ...

    async def aclose(self) -> None:
        """The same as ``close()``."""
        ...


class Client(Protocol):
    """Sends requests; safe to use from many tasks at once."""

    @property
    def open_connections(self) -> int:
        """Sockets to upstreams that exist now, idle ones included."""
        ...

    async def send(self, origin: Origin, request: Request) -> Response:
        """Sends the request and returns when the final (not 1xx) head is here.

        Raises:
            httpx.ConnectError: Name lookup, TCP or TLS failed.
            httpx.ConnectTimeout: They took too long.
            StaleConnection: A kept-alive connection turned out to be dead.
            httpx.WriteError: The connection broke under the request, and no answer was there.
            httpx.ReadError: The connection broke before the head was complete.
            httpx.RemoteProtocolError: What came is not HTTP, or nothing came.
            httpx.LocalProtocolError: The request cannot be written as HTTP.
        """
        ...

    async def aclose(self) -> None:
        """Closes every connection, also those in use."""
        ...


def origin_of(url: httpx.URL) -> Origin:
    """The origin of an absolute ``http`` or ``https`` URL.

    Raises:
        httpx.UnsupportedProtocol: Any other scheme.
    """
    if url.scheme not in DEFAULT_PORTS:
        raise httpx.UnsupportedProtocol(f"no http:// or https:// URL: {url}")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme])


def check_encoding(headers: Headers) -> None:
    """Nothing is decompressed here, so an answer that is compressed all the same is refused.

    Raises:
        httpx.RemoteProtocolError: A content coding other than identity.
    """
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            coding = value.decode("latin-1")
            raise httpx.RemoteProtocolError(f"content-encoding {coding} was not asked for")
