"""What the exchange handler sees of the server: one request, and a way to answer it.

The handler is written once against :class:`Downstream`; the implementations are the ASGI one
(``connection.py``) and, later, a native one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import attrs

HeaderLines = Sequence[tuple[bytes, bytes]]


@attrs.frozen
class RequestHead:
    """The head of a request.

    Attributes:
        path: Decoded, without the query.
        query: Raw query string, without the question mark.
        headers: Names in lower case; of a repeated header the last value.
        client: The peer's address for logs, ``host:port``.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    client: str


class Downstream(Protocol):
    """One client request."""

    @property
    def head(self) -> RequestHead:
        """What was asked."""

    def on_disconnect(self, tell: Callable[[str], None]) -> None:
        """Registers who is told, once and synchronously, when the client is gone before the
        response is complete.

        ``tell`` gets the reason, ``client_gone`` or ``client_stalled`` (it did not read within the
        write deadline), and usually cancels the handler's scope. If the client is gone already,
        ``tell`` is called at once.
        """

    async def read_body(self, limit: int) -> bytes:
        """The whole request body.

        Raises:
            TooLarge: it is longer than ``limit`` bytes (by its Content-Length, or while reading).
            ClientGone: the client left before it was all there.
        """

    async def respond(self, status: int, headers: HeaderLines, body: bytes) -> None:
        """A complete response, with its Content-Length, in one write where possible."""

    async def send_head(self, status: int, headers: HeaderLines) -> None:
        """Starts a streamed response. May be held back and written together with the first
        :meth:`send`."""

    async def send(self, data: bytes) -> None:
        """Sends one piece; waits while the client does not read.

        Raises:
            ClientGone: the client is gone or did not read within the write deadline.
        """

    async def finish(self, last: bytes = b"") -> None:
        """Ends a streamed response normally, with its last piece. Raises ClientGone."""

    def abort(self) -> None:
        """Cuts a streamed response without its normal end, so that the client can tell."""


Handler = Callable[[Downstream], Awaitable[None]]
