"""A request on ASGI: the :class:`~lipstream.server.downstream.Downstream` that handlers get.

For the endpoints of the application's table, :class:`ExchangeConnection` answers on ASGI's
``receive`` and ``send`` without building a Quart request or response; every other path is Quart's.

One thing alone takes what the client sends: the :class:`Inbox`. On our own server
(:mod:`lipstream.server.tcp`) the connection's reader fills it directly, so nothing has to wait in
``receive`` to learn that the client is gone. On a stock Hypercorn a task of the request fills it.

Not here: sockets, limits of time, and what a handler does with a request.
"""

from __future__ import annotations

import enum
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPScope,
)
from quart_trio.asgi import TrioASGIHTTPConnection

from lipstream.errors import ClientGone, TooLarge
from lipstream.server.downstream import Handler, HeaderLines, RequestHead

EXTENSION = "lipstream"
CLIENT_GONE = "client_gone"
CLIENT_STALLED = "client_stalled"
INBOX_MESSAGES = 8  # each at most what one read of the socket delivered

log = logging.getLogger("lipstream.server")


class Peer(Protocol):
    """What our own server tells about a connection, beyond ASGI."""

    @property
    def lost(self) -> str | None:
        """Why the connection is lost: ``client_gone`` or ``client_stalled``; None if it is not."""

    def hang_up(self, *, is_reset: bool = False) -> None:
        """Closes the connection at once; a reset is what no client takes for a normal end."""


class Inbox:
    """The ASGI messages of one request, between the connection's reader and the application.

    ``put`` holds the reader back while the application does not read. Once the request is over,
    whether the client left or the application returned, it holds nobody back any more.

    Attributes:
        on_wait: Awaited once, before the application waits for the first time.
    """

    __slots__ = ("_changed", "_is_over", "_last", "_messages", "_tell", "on_wait")

    def __init__(self) -> None:
        self._messages: deque[ASGIReceiveEvent] = deque()
        self._last: ASGIReceiveEvent = {"type": "http.disconnect"}
        self._is_over = False
        self._changed = trio.lowlevel.ParkingLot()
        self._tell: Callable[[], None] | None = None
        self.on_wait: Callable[[], Awaitable[None]] | None = None

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Takes a message; waits while there are too many. A disconnect is never held back."""
        if message["type"].endswith(".disconnect"):
            self._last = message
            self.end()
            return
        while len(self._messages) >= INBOX_MESSAGES and not self._is_over:
            await self._changed.park()
        if not self._is_over:
            self._messages.append(message)
            self._changed.unpark_all()

    def end(self) -> None:
        """No more will come: messages already here can still be received, then the disconnect."""
        if self._is_over:
            return
        self._is_over = True
        self._changed.unpark_all()
        if self._tell is not None:
            self._tell()

    def on_over(self, tell: Callable[[], None]) -> None:
        """Registers who is told, once and synchronously, that no more will come."""
        self._tell = tell
        if self._is_over:
            tell()

    async def receive(self) -> ASGIReceiveEvent:
        """ASGI's ``receive``. Only one task may be in it at a time."""
        while not self._messages:
            if self._is_over:
                return self._last
            if self.on_wait is not None:
                awaited, self.on_wait = self.on_wait, None
                await awaited()
                continue
            await self._changed.park()
        message = self._messages.popleft()
        if self._changed:
            self._changed.unpark_all()
        return message


def error_body(message: str, *, code: str, kind: str = "invalid_request_error") -> bytes:
    """An error in OpenAI's shape, for what fails before any dialect is known."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json.dumps({"error": error}).encode()


NO_CONTENT = frozenset({204, 304})  # which say so without a Content-Length

JSON_TYPE = (b"content-type", b"application/json")
FAILED = error_body(
    "lipstream failed to answer; its log has the reason",
    code="internal_error",
    kind="server_error",
)


def decode_head(scope: HTTPScope) -> RequestHead:
    """The head of the request that an ASGI scope describes."""
    client = scope["client"]
    return RequestHead(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers={
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        },
        client=f"{client[0]}:{client[1]}" if client else "local",
    )


class Phase(enum.Enum):
    """How far the response is."""

    UNANSWERED = enum.auto()  # nothing is sent; a head may be held back
    STREAMING = enum.auto()  # the head is out
    OVER = enum.auto()  # complete or cut: a disconnect concerns nobody any more


class AsgiDownstream:
    """A :class:`~lipstream.server.downstream.Downstream` on ASGI.

    Args:
        inbox: The messages of this request; nobody else may take from it.
        peer: The connection, where our own server runs.
    """

    def __init__(
        self, scope: HTTPScope, inbox: Inbox, send: ASGISendCallable, peer: Peer | None = None
    ) -> None:
        self._head = decode_head(scope)
        self._http_version = scope["http_version"]
        self._inbox = inbox
        self._send = send
        self._peer = peer
        self._phase = Phase.UNANSWERED
        self._held: tuple[int, HeaderLines] | None = None
        self._lost: str | None = None
        self._tell: Callable[[str], None] | None = None
        inbox.on_over(self._on_over)

    @property
    def head(self) -> RequestHead:
        """What was asked."""
        return self._head

    @property
    def is_over(self) -> bool:
        """Whether the response is complete or cut."""
        return self._phase is Phase.OVER

    @property
    def is_lost(self) -> bool:
        """Whether the client is gone, or does not read."""
        return self._lost is not None

    # ------------------------------------------------------------ the client leaves

    def on_disconnect(self, tell: Callable[[str], None]) -> None:
        """See :class:`~lipstream.server.downstream.Downstream`."""
        if self._lost is not None:
            tell(self._lost)
        else:
            self._tell = tell

    def _on_over(self) -> None:
        if self._phase is Phase.OVER:
            return
        self._lost = (self._peer.lost if self._peer is not None else None) or CLIENT_GONE
        if self._tell is not None:
            tell, self._tell = self._tell, None
            tell(self._lost)

    def _check_lost(self) -> None:
        if self._lost is not None:
            raise ClientGone(self._lost)

    # ------------------------------------------------------------ the request's body

    async def read_body(self, limit: int) -> bytes:
        """See :class:`~lipstream.server.downstream.Downstream`. To be called once."""
        declared = self._head.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise TooLarge(f"the body has {declared} bytes, at most {limit} are taken")
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._inbox.receive()
            if message["type"] != "http.request":
                raise ClientGone(self._lost or CLIENT_GONE)
            if part := message["body"]:
                parts.append(part)
                size += len(part)
            if size > limit:
                raise TooLarge(f"the body has more than {limit} bytes")
            if not message["more_body"]:
                return parts[0] if len(parts) == 1 else b"".join(parts)

    # ------------------------------------------------------------ the response

    async def respond(self, status: int, headers: HeaderLines, body: bytes) -> None:
        """See :class:`~lipstream.server.downstream.Downstream`.

        Raises:
            ClientGone: the client is gone or did not read within the write deadline.
        """
        if status not in NO_CONTENT:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self.send_head(status, headers)
        await self.finish(body)

    async def send_head(self, status: int, headers: HeaderLines) -> None:
        """See :class:`~lipstream.server.downstream.Downstream`. Goes out with the first piece."""
        self._check_lost()
        if self._phase is not Phase.UNANSWERED:
            raise AssertionError("a response has one head")
        self._held = (status, headers)

    async def send(self, data: bytes) -> None:
        """See :class:`~lipstream.server.downstream.Downstream`. Sending nothing does nothing."""
        self._check_lost()
        if not data:
            return
        await self._start()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._check_lost()

    async def finish(self, last: bytes = b"") -> None:
        """See :class:`~lipstream.server.downstream.Downstream`."""
        self._check_lost()
        await self._start()
        # From here on a disconnect is the end that ASGI reports for every request.
        self._phase = Phase.OVER
        await self._send({"type": "http.response.body", "body": last, "more_body": False})
        if self._peer is not None and self._peer.lost is not None:
            raise ClientGone(self._peer.lost)

    def abort(self) -> None:
        """See :class:`~lipstream.server.downstream.Downstream`.

        On a stock server, and on HTTP/2, the cut comes when the handler returns.
        """
        self._phase = Phase.OVER
        if self._peer is not None and self._http_version.startswith("1"):
            # HTTP/1.0 knows no other end than the connection's: only a reset tells.
            self._peer.hang_up(is_reset=self._http_version == "1.0")

    async def conclude(self, status: int, body: bytes) -> None:
        """Ends what a handler left open: by this error if nothing was sent yet, else by a cut."""
        if self._phase is Phase.OVER or self._lost is not None:
            return
        if self._phase is Phase.UNANSWERED:
            await self.respond(status, [JSON_TYPE], body)
        else:
            self.abort()

    async def _start(self) -> None:
        if self._phase is not Phase.UNANSWERED:
            return
        if self._held is None:
            raise AssertionError("a response starts with its head")
        status, headers = self._held
        self._phase = Phase.STREAMING
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


async def answer(handler: Handler, downstream: AsgiDownstream) -> None:
    """Runs a handler; whatever it does, the request ends and the server lives."""
    status, body = 500, FAILED
    try:
        await handler(downstream)
        if not downstream.is_over and not downstream.is_lost:
            log.error("%s %s: left unanswered", downstream.head.method, downstream.head.path)
    except ClientGone:
        return
    except TooLarge as error:
        status, body = 413, error_body(str(error), code="request_too_large")
    except Exception:  # one request must not end the connection, nor the server
        log.exception("%s %s failed", downstream.head.method, downstream.head.path)
    try:
        await downstream.conclude(status, body)
    except ClientGone:
        return


async def _fill(inbox: Inbox, receive: ASGIReceiveCallable) -> None:
    message: ASGIReceiveEvent = {"type": "http.request", "body": b"", "more_body": True}
    while message["type"] != "http.disconnect":
        message = await receive()
        await inbox.put(message)


class ExchangeApp(Protocol):
    """What :class:`ExchangeConnection` needs of its application."""

    def handler(self, method: str, path: str) -> Handler | None:
        """Who answers this request, or None where Quart does."""

    def usual_path(self, path: str) -> str:
        """The path by which the tables know what a client asked for."""


class ExchangeConnection(TrioASGIHTTPConnection):
    """Answers exchange endpoints on bare ASGI and hands every other path to Quart."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serves one request."""
        app = cast(ExchangeApp, self.app)
        handler = app.handler(self.scope["method"], self.scope["path"])
        if handler is None:
            self.scope["path"] = path = app.usual_path(self.scope["path"])
            handler = app.handler(self.scope["method"], path)
        if handler is None:
            await super().__call__(receive, send)
            return
        extension: Mapping[str, Any] | None = (self.scope.get("extensions") or {}).get(EXTENSION)
        if extension is not None:
            inbox = extension["inbox"]
            await answer(handler, AsgiDownstream(self.scope, inbox, send, extension["peer"]))
            return
        inbox = Inbox()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_fill, inbox, receive)
            await answer(handler, AsgiDownstream(self.scope, inbox, send))
            nursery.cancel_scope.cancel()
