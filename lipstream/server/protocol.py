"""Hypercorn's HTTP/1.1 with its faults mended, and where a connection changes to HTTP/2.

Stock code does the parsing (h11), builds the ASGI scope and keeps the states. Overridden is
what it gets wrong for us, and what it does too often:

- Requests whose length two readers could take differently are refused (RFC 9112, section 6.1),
  and the limit on a request's head is exact.
- A response's head is held back and goes out in one write with what follows it.
- A client that pipelined a request is still seen when it leaves.
- ``100 Continue`` is sent when the application asks for the body, not before: a body that is too
  long by its Content-Length is refused without being sent.
"""

from __future__ import annotations

from typing import Any

import h11
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import Body, Data, EndBody, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import (
    STREAM_ID,
    H2CProtocolRequiredError,
    H2ProtocolAssumedError,
    H11Protocol,
)
from hypercorn.typing import H11SendableEvent

from lipstream.server.connection import error_body
from lipstream.server.http2 import EdgeH2Protocol
from lipstream.server.task_group import Connection, EdgeTaskGroup

# h11's states of a client that may go on sending although the request will not be read.
MID_REQUEST = frozenset({h11.SEND_BODY, h11.ERROR})

CHUNKED = b"\r\nTransfer-Encoding: chunked\r\n"  # as h11 writes it

# Of a request's first line beside method and target, and of the blank line after its headers.
LINE_BYTES = len(b"  HTTP/1.1\r\n\r\n")

REFUSALS = {
    400: "the request is not valid HTTP/1.1",
    431: "the head of the request is too large",
    501: "the transfer coding is not known; send the body chunked or with a Content-Length",
}


class Turn:
    """Where the reader waits while a pipelined request waits for the response before it.

    Has the interface of Hypercorn's events. Meanwhile the socket is read, or nobody would see the
    client leave.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._scope = trio.CancelScope()

    async def clear(self) -> None:
        """A request has to wait."""
        self._scope = trio.CancelScope()

    async def set(self) -> None:
        """The response before it is complete."""
        self._scope.cancel()

    async def wait(self) -> None:
        """Until :meth:`set`; raises as a read does when the client leaves."""
        with self._scope:
            await self._connection.read_ahead()

    def is_set(self) -> bool:
        """Whether the waiting is over."""
        return self._scope.cancel_called


def check_framing(request: h11.Request, limit: int) -> None:
    """Refuses a head that is too large or that leaves the body's length to interpretation.

    Raises:
        h11.RemoteProtocolError: with the status to answer.
    """
    headers = request.headers.raw_items()
    size = sum(len(name) + len(value) + 4 for name, value in headers)
    if size + len(request.method) + len(request.target) + LINE_BYTES > limit:
        raise h11.RemoteProtocolError("head too large", error_status_hint=431)
    names = {name.lower() for name, _ in headers}
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise h11.RemoteProtocolError("Content-Length with Transfer-Encoding")
        if request.http_version < b"1.1":
            raise h11.RemoteProtocolError("Transfer-Encoding in HTTP/1.0")


class EdgeH11Protocol(H11Protocol):
    """HTTP/1.1 and the start of a WebSocket."""

    task_group: EdgeTaskGroup

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.can_read = Turn(self.task_group.connection)
        self._held = b""  # the head of a response
        self._is_chunked = False

    @property
    def is_mid_request(self) -> bool:
        """Whether the client may still be sending what belongs to the current request."""
        return self.connection.their_state in MID_REQUEST

    async def handle(self, event: Event) -> None:
        """Takes what the connection received; what follows a client's last request is dropped."""
        if not isinstance(event, RawData) or self.connection.their_state is not h11.MUST_CLOSE:
            await super().handle(event)

    async def stream_send(self, event: StreamEvent) -> None:
        """Sends what belongs to the response; while draining it is the last of its connection."""
        if isinstance(event, Body) and self._is_chunked:
            # What h11 would write. It keeps no count of chunks, so it need not see them.
            await self._send_bytes(b"%x\r\n%b\r\n" % (len(event.data), event.data))
            return
        if isinstance(event, Response):
            event = self._with_end(event)
        await super().stream_send(event)

    def _with_end(self, response: Response) -> Response:
        if response.status_code < 200 or not self.context.terminated.is_set():
            return response
        headers = [*response.headers, (b"connection", b"close")]
        return Response(response.stream_id, headers, response.status_code)

    async def _handle_events(self) -> None:
        event: object = None
        while event is not h11.NEED_DATA and self.connection.their_state is not h11.MUST_CLOSE:
            try:
                event = self.connection.next_event()
                if isinstance(event, h11.Request):
                    check_framing(event, self.config.h11_max_incomplete_size)
            except h11.RemoteProtocolError as error:
                if self.connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                    await self._send_error_response(error.error_status_hint)
                await self.send(Closed())
                return
            if event is h11.PAUSED:
                await self.can_read.clear()
                await self.can_read.wait()
            elif isinstance(event, h11.Request):
                await self._start_request(event)
            elif self.stream is None:
                return  # the response was complete before the request was
            elif isinstance(event, h11.Data):
                await self.stream.handle(Body(STREAM_ID, bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                await self.stream.handle(EndBody(STREAM_ID))
            elif isinstance(event, Data):  # of a WebSocket
                await self.stream.handle(event)

    async def _start_request(self, request: h11.Request) -> None:
        await self.send(Updated(idle=False))
        await self._check_protocol(request)
        await self._create_stream(request)
        if self.connection.they_are_waiting_for_100_continue:
            self.task_group.inbox.on_wait = self._send_continue

    async def _send_continue(self) -> None:
        if self.connection.they_are_waiting_for_100_continue:
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._held = data
            self._is_chunked = CHUNKED in data
        else:
            await self._send_bytes(data)

    async def _send_bytes(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        if data:
            await self.send(RawData(data))

    async def _send_error_response(self, status_code: int) -> None:
        text = REFUSALS.get(status_code, REFUSALS[400])
        body = error_body(text, code="malformed_request")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class EdgeProtocol(ProtocolWrapper):
    """The protocol of one connection, which HTTP/1.1 may hand over to HTTP/2."""

    protocol: EdgeH11Protocol | EdgeH2Protocol

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # What ProtocolWrapper gives its protocols: all but the last, the name agreed on by TLS.
        self._args = args[:-1]
        is_h2 = isinstance(self.protocol, H2Protocol)
        self.protocol = (EdgeH2Protocol if is_h2 else EdgeH11Protocol)(*self._args)

    @property
    def is_mid_request(self) -> bool:
        """Whether the client may still be sending what belongs to the current request."""
        return isinstance(self.protocol, EdgeH11Protocol) and self.protocol.is_mid_request

    async def handle(self, event: Event) -> None:
        """Takes what the connection received."""
        try:
            await self.protocol.handle(event)
            return
        except H2ProtocolAssumedError as error:
            rest = error.data
            self.protocol = EdgeH2Protocol(*self._args)
            await self.protocol.initiate()
        except H2CProtocolRequiredError as error:
            rest = error.data
            self.protocol = EdgeH2Protocol(*self._args)
            await self.protocol.initiate(error.headers, error.settings)
        if rest:
            await self.protocol.handle(RawData(rest))
