"""One request to a provider and its answer; foreign exceptions become ours here.

Whatever the upstream, its transport or our own codec raises inside an attempt leaves this module as
an :class:`~lipstream.errors.UpstreamFault` (or a ClientFault, where the call cannot be written in
the dialect), so that the executor has one thing to decide by.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import trio

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.canonical.seal import Sealer
from lipstream.errors import FaultKind, LipstreamError, UpstreamFault
from lipstream.interfaces import ClientDialect, StreamDecoder
from lipstream.lifecycle.finish_line import FinishLine
from lipstream.upstream.client import Client, Origin, Request, Response, StaleConnection
from lipstream.upstream.quirks import Poll
from lipstream.upstream.rotation import Ask, Keys

log = logging.getLogger(__name__)

MAX_POLLS = 240  # for one answer; each may be held for a while by the server
POLL_PAUSE = 1.0  # seconds from one to the next, at least
MAX_SKIPPED = 16  # network reads of a body that nobody wants

_OPENING_FAULTS: tuple[tuple[type[Exception], FaultKind, str], ...] = (
    (httpx.ConnectTimeout, FaultKind.CONNECT, "connecting took too long"),
    (httpx.ConnectError, FaultKind.CONNECT, "no connection"),
    (httpx.NetworkError, FaultKind.READ, "the connection broke"),
    (httpx.RemoteProtocolError, FaultKind.PROTOCOL, "the answer is not HTTP"),
    (httpx.HTTPError, FaultKind.READ, "the request failed"),
)

ReadError = Callable[[int, dict[str, str], bytes], UpstreamFault]
"""What an error response means: status, headers, body."""

Opened = tuple[Response, bool]
"""A response whose status is 200, and whether the request went out twice."""


async def send(
    client: Client,
    origin: Origin,
    request: Request,
    read_error: ReadError,
    poll: Poll | None = None,
) -> Opened:
    """Sends a request; once more, on a new connection, if a kept one turned out to be dead.

    A server may close an idle connection just as a request goes out. That is no failure of the
    backend and costs nothing to repeat, since not one byte of an answer came.

    Args:
        poll: See ``quirks.Quirks``.

    Raises:
        UpstreamFault: the answer is none, or not a 200.
    """
    response, is_resent = await _send(client, origin, request)
    try:
        if poll is not None:
            response = await _ready(client, origin, request, response, poll)
        if response.status != 200:
            raise await refusal(response, read_error)
        return response, is_resent
    except BaseException:
        response.close()
        raise


async def _send(client: Client, origin: Origin, request: Request) -> Opened:
    try:
        return await client.send(origin, request), False
    except StaleConnection:
        log.info("%s: a kept connection was dead, sent again", origin.host)
    except httpx.HTTPError as error:
        raise opening_fault(error) from error
    try:
        return await client.send(origin, request), True
    except httpx.HTTPError as error:
        raise opening_fault(error) from error


async def _ready(
    client: Client, origin: Origin, request: Request, response: Response, poll: Poll
) -> Response:
    """The answer, asked for again until there is one; closes the responses before it.

    It is asked for at most once a second, and not for ever: the last response is returned then.
    """
    asked_at = -math.inf
    for _ in range(MAX_POLLS):
        again = poll(request, response.status, _headers_of(response))
        if again is None:
            break
        await _skip(response)
        await trio.sleep_until(asked_at + POLL_PAUSE)
        asked_at = trio.current_time()
        response, _ = await _send(client, origin, again)
    return response


async def _skip(response: Response) -> None:
    """Lets go of a response; its connection is kept if little is left of it."""
    try:
        for _ in range(MAX_SKIPPED):
            if not await response.receive():
                break
    except httpx.HTTPError:
        pass  # nobody wants it
    finally:
        response.close()


def _headers_of(response: Response) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}


async def refusal(response: Response, read_error: ReadError) -> UpstreamFault:
    """The fault that an error response means; as much of its body as is needed."""
    pieces, size = [], 0
    try:
        while size < STREAM_LIMITS.error_body and (piece := await response.receive()):
            pieces.append(piece)
            size += len(piece)
    except httpx.HTTPError:
        pass  # the status says enough
    response.close()
    with codec():
        body = b"".join(pieces)[: STREAM_LIMITS.error_body]
        return read_error(response.status, _headers_of(response), body)


async def read_whole(response: Response, limit: int = STREAM_LIMITS.answer_bytes) -> bytes:
    """The body, of so many bytes at most; closes the response.

    Raises:
        UpstreamFault: it broke off, or is over the limit.
    """
    pieces, size = [], 0
    try:
        while piece := await response.receive():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise _too_long()
    except httpx.HTTPError as error:
        raise broken_off(error) from error
    finally:
        response.close()
    return b"".join(pieces)


# ---------------------------------------------------------------- the answer


class HttpAnswer:
    """An open answer over HTTP; see ``interfaces.Upstream``.

    An answer whose very first word is that the key is no good is not handed on: the request goes
    out once more with the next key.

    Args:
        ask: Sends the request with a key.
        new_decoder: Makes what reads one body.
    """

    def __init__(
        self, ask: Ask[Opened], new_decoder: Callable[[], StreamDecoder], keys: Keys
    ) -> None:
        self.is_resent = False
        self._ask = ask
        self._new_decoder = new_decoder
        self._keys = keys
        self._decoder = new_decoder()
        self._response: Response | None = None
        self._has_begun = False
        self._is_over = False
        self._is_closed = False
        self._fault: UpstreamFault | None = None

    @property
    def dropped_events(self) -> int:
        """How many unparseable events were left out."""
        return self._decoder.dropped_events

    @property
    def credential(self) -> str | None:
        """The id of the key that it was asked with."""
        return self._keys.used

    async def open(self) -> HttpAnswer:
        """Sends the request, with one key after another, until the head says that an answer
        follows; returns itself. Raises UpstreamFault."""
        self._response, self.is_resent = await self._keys.first(self._ask)
        return self

    async def receive(self) -> e.Batch:
        """The events of the next read; see ``interfaces.Upstream``."""
        while True:
            response = self._response
            if response is None:  # it is another key's turn
                assert not self._is_closed, "received after the close"
                await self.open()
                continue
            try:
                data = await response.receive()
            except httpx.HTTPError as error:
                raise broken_off(error) from error
            try:
                batch = self._decoder.feed(data) if data else self._decoder.end()
            except UpstreamFault:
                raise
            except Exception as bug:
                raise _crash(bug) from bug
            if not batch:
                if not data:
                    raise UpstreamFault(FaultKind.TRUNCATED, "the answer ended without an end")
                return batch
            if type(batch[-1]) in e.TERMINAL and self._ends_otherwise(batch):
                continue
            self._has_begun = True
            return batch

    def _ends_otherwise(self, batch: e.Batch) -> bool:
        """Takes the end of the answer in; True where it is another key's turn instead."""
        self._is_over = True
        last = batch[-1]
        if not isinstance(last, e.StreamFailed):
            return False
        line = FinishLine()
        if self._has_begun or any(line.is_crossed_by(event) for event in batch):
            self._fault = last.fault
            return False
        if not self._keys.turn(last.fault):
            return False
        self._close()
        self._decoder, self._is_over = self._new_decoder(), False
        return True

    async def aclose(self) -> None:
        """Gives the connection back after a whole answer, else closes it at once; gives the key
        back."""
        self._is_closed = True
        self._close()
        self._keys.end(self._fault)

    def _close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close(finished=self._is_over)


class WholeDecoder:
    """Reads an answer that comes in one piece; see ``interfaces.StreamDecoder``."""

    dropped_events = 0

    def __init__(self, dialect: ClientDialect, sealer: Sealer) -> None:
        self._dialect = dialect
        self._sealer = sealer
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> e.Batch:
        """Keeps the piece. Raises UpstreamFault when the answer is over its limit."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > STREAM_LIMITS.answer_bytes:
            raise _too_long()
        return []

    def end(self) -> e.Batch:
        """The whole answer."""
        return self._dialect.decode_answer(b"".join(self._pieces), self._sealer)


# ---------------------------------------------------------------- foreign exceptions


@contextmanager
def codec() -> Iterator[None]:
    """What our own code raises without meaning to is a fault of this attempt.

    Raises:
        UpstreamFault: INTERNAL.
    """
    try:
        yield
    except LipstreamError:
        raise
    except Exception as bug:
        raise _crash(bug) from bug


def opening_fault(error: httpx.HTTPError) -> UpstreamFault:
    for family, kind, message in _OPENING_FAULTS:
        if isinstance(error, family):
            return UpstreamFault(kind, message, detail=str(error) or type(error).__name__)
    raise AssertionError(f"no row for {error!r}")


def broken_off(error: httpx.HTTPError) -> UpstreamFault:
    """A body that was cut short by the connection is a truncated answer."""
    is_cut = isinstance(error, httpx.RemoteProtocolError)
    kind = FaultKind.TRUNCATED if is_cut else FaultKind.READ
    return UpstreamFault(kind, "the answer broke off", detail=str(error))


def _too_long() -> UpstreamFault:
    return UpstreamFault(FaultKind.PROTOCOL, "the answer is over its limit")


def _crash(bug: Exception) -> UpstreamFault:
    """Our own code could not cope with what came: the exchange goes on elsewhere."""
    log.error("a codec failed", exc_info=bug)
    return UpstreamFault(FaultKind.INTERNAL, "the codec failed", detail=repr(bug)[:512])
