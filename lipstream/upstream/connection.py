"""One connection to an origin: a non-blocking socket, perhaps TLS, the parser of its answers.

Everything is tried before it is waited for: ``send`` and ``recv`` at once, and Trio only when the
kernel says "not now". Closing is synchronous. A connection is used by one request at a time and
knows nothing of the pool it may come from.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

import httpx
import trio

from lipstream.upstream.client import Origin
from lipstream.upstream.http1 import ResponseParser
from lipstream.upstream.tls import READ_SIZE, TlsSession

INLINE_BODY = 65_536  # up to here a copy is cheaper than a second send
WRITE_SIZE = 65_536  # encrypted at a time, so that a large upload does not hold the event loop
# A read that found data waiting is no checkpoint, every eighth in a row is: one trip round the
# scheduler costs as much as the read, and 512 KiB (8 reads) is little enough to be fair.
EAGER_READS = 8
SETTLE_READS = 4  # an answer whose rest takes more reads than this was not over


class Connection:
    """Owns its socket. Whoever holds the connection closes it, or gives it to the pool.

    Attributes:
        parser: The state of the answer that is being read.
        idle_since: When the pool got it, by Trio's clock.
        is_sound: False when the request was not wholly sent: no use after this answer.
    """

    def __init__(self, sock: socket.socket, origin: Origin, registry: set[Connection]) -> None:
        self.origin = origin
        self.parser = ResponseParser()
        self.idle_since = 0.0
        self.is_sound = True
        self._sock = sock
        self._tls: TlsSession | None = None
        self._write_error: Exception | None = None
        self._eager_reads = 0
        self._registry = registry
        registry.add(self)

    def close(self) -> None:
        """Closes the socket at once: no goodbye, nothing awaited, safe to repeat."""
        if self not in self._registry:
            return
        self._registry.discard(self)
        with contextlib.suppress(RuntimeError):  # after the end of the run nobody is waiting
            trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    # ------------------------------------------------------------ TLS

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Shakes hands.

        Raises:
            OSError: Also for what TLS itself refuses (``ssl.SSLError``).
        """
        tls = TlsSession(context, self.origin.host)
        is_done, flight = tls.shake(b"")
        await self._flush(memoryview(flight))
        while not is_done:
            received = await self._receive_raw()
            if not received:
                raise ConnectionError("the server closed the connection in the TLS handshake")
            is_done, flight = tls.shake(received)
            await self._flush(memoryview(flight))
        self._tls = tls

    async def _receive_raw(self) -> bytes:
        while True:
            try:
                return self._sock.recv(READ_SIZE)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)

    # ------------------------------------------------------------ writing

    async def write_request(self, head: bytes, body: bytes) -> None:
        """Sends a whole request; see ``write`` for when it is not sent wholly."""
        if len(body) <= INLINE_BODY:
            await self.write(head + body)
        elif await self.write(head):
            await self.write(body)

    async def write(self, data: bytes) -> bool:
        """Sends a part of a request; False when the rest of it need not be sent.

        That is so when the server answered or went away before it had read everything. Not an
        error yet: ``read_head`` finds out what there is to read.
        """
        pieces = self._on_the_wire(data)
        try:
            for piece in pieces:
                if rest := self._send_now(piece):
                    self.is_sound = await self._write_watchfully(rest, pieces)
                    break
        except OSError as error:
            self._write_error = error
            self.is_sound = False
        return self.is_sound

    def _on_the_wire(self, data: bytes) -> Iterator[memoryview]:
        view = memoryview(data)
        if self._tls is None:
            yield view
            return
        for start in range(0, len(view), WRITE_SIZE):
            yield memoryview(self._tls.encrypt(view[start : start + WRITE_SIZE]))

    def _send_now(self, data: memoryview) -> memoryview:
        """Sends what the kernel takes and returns what it does not."""
        try:
            while data:
                data = data[self._sock.send(data) :]
        except BlockingIOError:
            pass
        return data

    async def _flush(self, data: memoryview) -> None:
        while data := self._send_now(data):
            await trio.lowlevel.wait_writable(self._sock)

    async def _write_watchfully(self, rest: memoryview, pieces: Iterator[memoryview]) -> bool:
        """The slow way, for what the kernel does not take at once: an answer may come meanwhile."""
        is_sent = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stop_when_answered, nursery.cancel_scope)
            try:
                await self._flush(rest)
                for piece in pieces:
                    await self._flush(piece)
                is_sent = True
            except (OSError, trio.ClosedResourceError) as error:
                self._write_error = error
            nursery.cancel_scope.cancel()
        return is_sent

    async def _stop_when_answered(self, upload: trio.CancelScope) -> None:
        """Ends the upload on a refusal or the end of the connection; a success may want it all."""
        parser = self.parser
        try:
            while not parser.status and not parser.fault:
                await self.fill()
        except httpx.ReadError:
            upload.cancel()
        if parser.status >= 300 or parser.complete or parser.fault:
            upload.cancel()

    # ------------------------------------------------------------ reading

    async def read_head(self) -> None:
        """Reads until the head of the final answer is parsed.

        Raises:
            httpx.WriteError: The request could not be sent, and there is no answer to it.
            httpx.ReadError: The connection broke.
            httpx.RemoteProtocolError: No answer, or none in HTTP.
        """
        parser = self.parser
        try:
            while not parser.status and not parser.fault:
                await self.fill()
            if not parser.status:
                raise httpx.RemoteProtocolError(parser.fault or "")
        except (httpx.ReadError, httpx.RemoteProtocolError):
            if self._write_error is None:
                raise
            raise httpx.WriteError(str(self._write_error)) from self._write_error

    async def fill(self) -> None:
        """Gives the parser what one read delivers, waiting for it if need be.

        Cancelled, it has lost nothing.

        Raises:
            httpx.ReadError: The connection broke, was cut inside TLS, or was closed here.
        """
        try:
            if self._eager_reads >= EAGER_READS:
                self._eager_reads = 0
                await trio.lowlevel.checkpoint()
            self._eager_reads += 1
            while (data := self._read_now()) is None:
                self._eager_reads = 0
                await trio.lowlevel.wait_readable(self._sock)
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(str(error) or repr(error)) from error
        self.parser.feed(data)

    def _read_now(self) -> bytes | None:
        """What is here; ``b""`` at the end of the connection, None when there is nothing yet."""
        tls = self._tls
        while tls is None or not tls.ended:
            try:
                data = self._sock.recv(READ_SIZE)
            except BlockingIOError:
                return None
            if tls is None:
                return data
            if not data:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection was cut inside TLS")
            if plain := tls.decrypt(data):
                return plain
        return b""

    # ------------------------------------------------------------ between two requests

    def settle(self) -> None:
        """Reads without waiting what is here, if anything: the rest of an answer, or the end."""
        with contextlib.suppress(OSError):
            for _ in range(SETTLE_READS):
                if (data := self._read_now()) is None:
                    return
                self.parser.feed(data)
        self.is_sound = False  # broken, or more than the rest of an answer

    @property
    def is_reusable(self) -> bool:
        """The answer is over and the connection can carry another request."""
        return self.is_sound and self.parser.is_at_rest

    @property
    def is_unfinished(self) -> bool:
        """In good order, but the end of the answer is not here yet."""
        parser = self.parser
        in_body = parser.status and not parser.complete and not parser.fault
        return bool(in_body and parser.keeps_alive and self.is_sound)
