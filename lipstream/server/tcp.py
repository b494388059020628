"""One client connection: Hypercorn's Trio TCPServer with its faults mended.

What is different from the stock class, which keeps TLS, ALPN and the start of the protocols:

- Closing is one synchronous step that no cancellation can come between, so ``Connection: close``
  and HTTP/1.0 responses end when they are complete, and a drain ends with the last of them.
- Writing tries the socket first and waits only when it is full: not shielded, and for at most
  ``write_timeout`` without progress. Then the client counts as stalled and is cut with a reset.
- Being idle is a timestamp that a sweep over all connections looks at once a second; the stock
  server starts and cancels a task per request for it.
- A connection that is closed with an unread rest of a request lingers for a moment, because a
  close with unread data is a reset, and a reset would destroy the response on its way.

A client that closes only its sending side (a half-close) counts as gone.

Not here: what the bytes mean (:mod:`lipstream.server.protocol`).
"""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import socket
import struct
from contextlib import suppress
from typing import cast

import attrs
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from lipstream.server.connection import CLIENT_GONE, CLIENT_STALLED
from lipstream.server.protocol import EdgeProtocol
from lipstream.server.task_group import EdgeTaskGroup

BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
RECEIVE_BYTES = 2**16
READ_AHEAD_BYTES = 2**16  # of pipelined requests, behind the one that is served
LINGER_SECONDS = 2.0
WRITES_PER_CHECKPOINT = 32
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@attrs.frozen
class Limits:
    """Times after which a connection is closed, in seconds.

    Attributes:
        write_timeout: Without progress, towards a client that does not read.
        read_timeout: Without a byte, in the middle of a request's body.
        keep_alive_timeout: Between requests, and for the whole head of the first.
    """

    write_timeout: float = 60.0
    read_timeout: float = 60.0
    keep_alive_timeout: float = 75.0


class EdgeContext(WorkerContext):
    """What the connections of one worker share.

    Attributes:
        connections: Those that are open.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(max_requests=None)
        self.limits = limits
        self.connections: set[EdgeServer] = set()

    def sweep(self) -> None:
        """Closes the connections whose time is over; while draining, also those that are idle."""
        now = trio.current_time()
        for connection in list(self.connections):
            connection.sweep(now)


class EdgeServer(TCPServer):
    """Serves one connection.

    Attributes:
        lost: Why the connection is lost: ``client_gone``, ``client_stalled``, or None.
        write_timeout: In seconds, without progress.
    """

    context: EdgeContext
    protocol: EdgeProtocol

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: EdgeContext,
        state: LifespanState,
        stream: Stream,
    ) -> None:
        super().__init__(
            app, config, context, state, cast(trio.SSLStream[trio.SocketStream], stream)
        )
        self.lost: str | None = None
        self.write_timeout = context.limits.write_timeout
        if isinstance(stream, trio.SSLStream):
            self._tls: trio.SSLStream[trio.SocketStream] | None = stream
            self._socket = stream.transport_stream.socket
        else:
            self._tls = None
            self._socket = stream.socket
        self._is_closed = False
        self._out = bytearray()  # what the kernel did not take yet
        self._ahead = bytearray()  # what was read before its turn
        self._writes = 0
        # Each of these is a time where it applies, else None.
        self._idle_since: float | None = trio.current_time()
        self._reading_since: float | None = None
        self._linger_since: float | None = None

    # ------------------------------------------------------------ life

    async def run(self) -> None:
        """Serves until the client leaves or there is a reason to close."""
        self.context.connections.add(self)
        try:
            with suppress(*BROKEN, trio.TooSlowError):
                await self._serve()
        finally:
            self.context.connections.discard(self)
            self.hang_up()

    async def _serve(self) -> None:
        alpn_protocol = "http/1.1"
        if self._tls is not None:
            with trio.fail_after(self.config.ssl_handshake_timeout):
                await self._tls.do_handshake()
            alpn_protocol = self._tls.selected_alpn_protocol() or alpn_protocol
        family = self._socket.family
        try:
            peer = parse_socket_addr(family, self._socket.getpeername())
        except OSError:
            return  # the client reset the connection before it was looked at
        async with EdgeTaskGroup(self) as task_group:
            self.protocol = EdgeProtocol(
                self.app,
                self.config,
                self.context,
                task_group,
                ConnectionState(dict(self.state)),
                self._tls is not None,
                peer,
                parse_socket_addr(family, self._socket.getsockname()),
                self.protocol_send,
                alpn_protocol,
            )
            await self.protocol.initiate()
            await self._read_data()

    def sweep(self, now: float) -> None:
        """Closes the connection if its time is over."""
        limits = self.context.limits
        if self._linger_since is not None:
            is_due = now - self._linger_since >= LINGER_SECONDS
        elif self._idle_since is not None:
            is_due = self.context.terminated.is_set()
            is_due = is_due or now - self._idle_since >= limits.keep_alive_timeout
        elif self._reading_since is not None and self.protocol.is_mid_request:
            is_due = now - self._reading_since >= limits.read_timeout
        else:
            is_due = False
        if is_due:
            self.hang_up()

    def _lose(self, reason: str) -> None:
        self.lost = self.lost or reason
        self.hang_up(is_reset=reason == CLIENT_STALLED)

    def hang_up(self, *, is_reset: bool = False) -> None:
        """Closes the connection at once; a reset is what no client takes for a normal end."""
        if self._is_closed:
            return
        self._is_closed = True
        if is_reset or self._out:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._out.clear()
        self._ahead.clear()
        self._socket.close()  # wakes whoever waits for it

    def _finish(self) -> None:
        """Closes after the last response."""
        if self._is_closed or self._linger_since is not None:
            return
        if self._out or not self.protocol.is_mid_request:
            self.hang_up()
            return
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._linger_since = trio.current_time()

    # ------------------------------------------------------------ reading

    async def _read_data(self) -> None:
        with suppress(*BROKEN):
            while data := await self._receive():
                if self._linger_since is None:
                    await self.protocol.handle(RawData(data))
        self._lose(CLIENT_GONE)
        await self.protocol.handle(Closed())

    async def _receive(self) -> bytes:
        if self._ahead:
            data = bytes(self._ahead)
            self._ahead.clear()
            return data
        self._reading_since = trio.current_time()
        try:
            return await self._receive_some()
        finally:
            self._reading_since = None

    async def _receive_some(self) -> bytes:
        if self._tls is not None:
            return bytes(await self._tls.receive_some(RECEIVE_BYTES))
        while not self._is_closed:
            await trio.lowlevel.wait_readable(self._socket)
            with suppress(BlockingIOError):
                return os.read(self._socket.fileno(), RECEIVE_BYTES)
        raise trio.ClosedResourceError("the connection is closed")

    async def read_ahead(self) -> None:
        """Reads and keeps what the client sends; raises as a read does when it leaves.

        Never returns: beyond the limit it only waits to be cancelled.
        """
        while len(self._ahead) < READ_AHEAD_BYTES:
            data = await self._receive_some()
            if not data:
                raise trio.BrokenResourceError("the client is gone")
            self._ahead += data
        await trio.sleep_forever()

    # ------------------------------------------------------------ writing

    async def protocol_send(self, event: Event) -> None:
        """Does what the protocol asks for."""
        if isinstance(event, RawData):
            if not await self._write(event.data):
                await self.protocol.handle(Closed())
        elif isinstance(event, Updated):
            self._idle_since = trio.current_time() if event.idle else None
            if event.idle and self.context.terminated.is_set():
                self.hang_up()
        elif isinstance(event, Closed):
            self._finish()
            await self.protocol.handle(Closed())

    async def _write(self, data: bytes) -> bool:
        """Whether the kernel took it all; if not, the connection is lost and closed."""
        try:
            if self._is_closed:
                return False
            if self._tls is not None:
                await self._write_tls(data)
            elif self._out:
                self._out += data
                await self._drain()
            else:
                await self._write_now(data)
        except BROKEN:
            self._lose(CLIENT_GONE)
        except trio.TooSlowError:
            self._lose(CLIENT_STALLED)
        return not self._is_closed

    async def _write_now(self, data: bytes) -> None:
        try:
            sent = os.write(self._socket.fileno(), data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._out += memoryview(data)[sent:]
            await self._drain()
            return
        # A writer that never has to wait must not keep the others waiting.
        self._writes += 1
        if self._writes % WRITES_PER_CHECKPOINT == 0:
            await trio.lowlevel.checkpoint()

    async def _drain(self) -> None:
        """Waits until the kernel took everything.

        Whoever is cancelled here leaves the rest to the next writer: no byte is lost or doubled.
        """
        async with self.send_lock:
            while self._out:
                with trio.fail_after(self.write_timeout):
                    await trio.lowlevel.wait_writable(self._socket)
                with suppress(BlockingIOError):
                    del self._out[: os.write(self._socket.fileno(), self._out)]

    async def _write_tls(self, data: bytes) -> None:
        async with self.send_lock:
            with trio.fail_after(self.write_timeout):
                try:
                    await self.stream.send_all(data)
                except trio.Cancelled:
                    self.hang_up()  # half a record may be out, and nothing can follow that
                    raise


# ---------------------------------------------------------------- does the installed Hypercorn fit?

SUPPORTED_VERSION = "0.18."

# What is overridden or called, by name, with the parameters it must have.
SEAM: dict[type, dict[str, tuple[str, ...]]] = {
    TCPServer: {
        "__init__": ("app", "config", "context", "state", "stream"),
        "run": (),
        "protocol_send": ("event",),
        "_read_data": (),
    },
    TaskGroup: {"spawn_app": ("app", "config", "scope", "send"), "spawn": ("func", "args")},
    H11Protocol: {
        "handle": ("event",),
        "_handle_events": (),
        "_check_protocol": ("event",),
        "_create_stream": ("request",),
        "_send_h11_event": ("event",),
        "_send_error_response": ("status_code",),
    },
    H2Protocol: {
        "stream_send": ("event",),
        "_create_stream": ("request",),
        "_send_data": ("stream_id",),
        "_close_stream": ("stream_id",),
        "_flush": (),
    },
    StreamBuffer: {"pop": ("max_length",), "set_complete": (), "close": ()},
    ProtocolWrapper: {"initiate": (), "handle": ("event",)},
}


def misfit() -> str:
    """Why this module cannot be used on the installed Hypercorn; empty if it can."""
    version = importlib.metadata.version("hypercorn")
    if not version.startswith(SUPPORTED_VERSION):
        return f"its version is {version}, not {SUPPORTED_VERSION}x"
    for owner, methods in SEAM.items():
        for name, expected in methods.items():
            method = getattr(owner, name, None)
            actual = tuple(inspect.signature(method).parameters)[1:] if method else None
            if actual != expected:
                return f"{owner.__name__}.{name} takes {actual}, not {expected}"
    return ""
