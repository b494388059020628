"""A backend that is asked over HTTP in one of the wire dialects; foreign exceptions become ours
here.

Whatever the upstream, its transport or our own codec raises inside an attempt leaves this module as
an :class:`~lipstream.errors.UpstreamFault` (or a ClientFault, where the call cannot be written in
the dialect), so that the executor has one thing to decide by.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import attrs
import httpx

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.canonical.losses import losses
from lipstream.canonical.seal import Sealer
from lipstream.canonical.secret import Secret
from lipstream.errors import FaultKind, LipstreamError, UpstreamFault
from lipstream.interfaces import ClientDialect, StreamDecoder
from lipstream.upstream.client import (
    Client,
    Origin,
    Request,
    Response,
    StaleConnection,
    origin_of,
)
from lipstream.upstream.seals import SealMemory

BEARER = "authorization"

log = logging.getLogger(__name__)

_OPENING_FAULTS: tuple[tuple[type[Exception], FaultKind, str], ...] = (
    (httpx.ConnectTimeout, FaultKind.CONNECT, "connecting took too long"),
    (httpx.ConnectError, FaultKind.CONNECT, "no connection"),
    (httpx.NetworkError, FaultKind.READ, "the connection broke"),
    (httpx.RemoteProtocolError, FaultKind.PROTOCOL, "the answer is not HTTP"),
    (httpx.HTTPError, FaultKind.READ, "the request failed"),
)


@attrs.frozen(eq=False, kw_only=True)
class HttpBackend:
    """One configured upstream.

    Attributes:
        base_url: What the dialect's paths are appended to, without a slash at its end.
        api_key: Sent as ``key_header`` says; None sends none.
        key_header: The header of the key: ``authorization`` for a bearer token, or its own.
        headers: Sent with every request, over our own of the same name.
        models: Models known without asking.
        prefills: See ``interfaces.Backend``.
        seals: The process's memory of what came from where.
    """

    id: str
    base_url: str
    dialect: ClientDialect
    client: Client
    api_key: Secret | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    models: Sequence[str] = ()
    key_header: str = BEARER
    prefills: bool = False
    seals: SealMemory = attrs.field(factory=SealMemory, repr=False)
    _origin: Origin = attrs.field(init=False, repr=False)
    _path: str = attrs.field(init=False, repr=False)
    _head: Sequence[tuple[bytes, bytes]] = attrs.field(init=False, repr=False)

    @_origin.default
    def _parse_origin(self) -> Origin:
        return origin_of(httpx.URL(self.base_url))

    @_path.default
    def _parse_path(self) -> str:
        return httpx.URL(self.base_url).raw_path.decode("ascii").rstrip("/")

    @_head.default
    def _make_head(self) -> Sequence[tuple[bytes, bytes]]:
        head = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        if self.api_key is not None:
            key = self.api_key.reveal()
            head[self.key_header] = f"Bearer {key}" if self.key_header == BEARER else key
        head |= {name.lower(): value for name, value in self.headers.items()}
        return _encoded(head)

    def dropped(self, call: Call) -> Sequence[str]:
        """What of the call its protocol has no place for."""
        return losses(call, self.dialect.name, self.dialect.support)

    async def open(self, call: Call, candidate: Candidate) -> HttpAnswer:
        """Sends the call; see ``interfaces.Backend``."""
        model = candidate.model
        origin = f"{self.id}:{model}"
        try:
            call = self.seals.addressed(call, origin)
            body = self.dialect.encode_request(call, model, is_streaming=True)
            path = self._path + self.dialect.path(model, is_streaming=True)
            head = self._head_of(call)
        except LipstreamError:
            raise
        except Exception as bug:
            raise _crash(bug) from bug
        request = Request(b"POST", path.encode("ascii"), head, body)
        response, is_resent = await self._send(request)
        try:
            if response.status != 200:
                raise await self._refusal(response)
            return HttpAnswer(response, self.dialect, self.seals.sealer(origin), is_resent)
        except BaseException:
            response.close()
            raise

    async def forward(self, path: str, body: bytes) -> bytes:
        """Posts a body as it is to a path below the base URL; returns the whole answer.

        For requests that are no exchange of messages: embeddings, token counts.

        Raises:
            UpstreamFault: the answer is none, or not a 200.
        """
        headers = [*self._head, *_encoded(dict(self.dialect.headers(None)))]
        target = (self._path + path).encode("ascii")
        response, _ = await self._send(Request(b"POST", target, headers, body))
        try:
            if response.status != 200:
                raise await self._refusal(response)
            return await self._whole(response)
        finally:
            response.close()

    async def _whole(self, response: Response) -> bytes:
        pieces, size = [], 0
        try:
            while piece := await response.receive():
                pieces.append(piece)
                size += len(piece)
                if size > STREAM_LIMITS.answer_bytes:
                    raise UpstreamFault(FaultKind.PROTOCOL, "the answer is over its limit")
        except httpx.HTTPError as error:
            raise _broken_off(error) from error
        return b"".join(pieces)

    def _head_of(self, call: Call) -> Sequence[tuple[bytes, bytes]]:
        """The headers of one request: the dialect's own never replace a configured one."""
        own = self.dialect.headers(call)
        if not own:
            return self._head
        configured = {name.lower() for name in self.headers}
        more = {name: value for name, value in own if name not in configured}
        return [*self._head, *_encoded(more)]

    async def _send(self, request: Request) -> tuple[Response, bool]:
        """Sends a request; once more, on a new connection, if a kept one turned out to be dead.

        A server may close an idle connection just as a request goes out. That is no failure of the
        backend and costs nothing to repeat, since not one byte of an answer came.
        """
        try:
            return await self.client.send(self._origin, request), False
        except StaleConnection:
            log.info("%s: a kept connection was dead, sent again", self.id)
        except httpx.HTTPError as error:
            raise _fault(error) from error
        try:
            return await self.client.send(self._origin, request), True
        except httpx.HTTPError as error:
            raise _fault(error) from error

    async def _refusal(self, response: Response) -> UpstreamFault:
        """The fault that an error response means; as much of its body as is needed."""
        pieces, size = [], 0
        try:
            while size < STREAM_LIMITS.error_body and (piece := await response.receive()):
                pieces.append(piece)
                size += len(piece)
        except httpx.HTTPError:
            pass  # the status says enough
        response.close()
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers
        }
        body = b"".join(pieces)[: STREAM_LIMITS.error_body]
        try:
            return self.dialect.decode_error(response.status, headers, body)
        except Exception as bug:
            raise _crash(bug) from bug


class HttpAnswer:
    """An open answer over HTTP; see ``interfaces.Upstream``."""

    def __init__(
        self, response: Response, dialect: ClientDialect, sealer: Sealer, is_resent: bool
    ) -> None:
        self.is_resent = is_resent
        self._response = response
        self._dialect = dialect
        self._decoder: StreamDecoder = dialect.stream_decoder(sealer)
        self._is_over = False

    @property
    def dropped_events(self) -> int:
        """How many unparseable events were left out."""
        return self._decoder.dropped_events

    async def receive(self) -> e.Batch:
        """The events of the next read; see ``interfaces.Upstream``."""
        try:
            data = await self._response.receive()
        except httpx.HTTPError as error:
            raise _broken_off(error) from error
        try:
            batch = self._decoder.feed(data) if data else self._decoder.end()
        except Exception as bug:
            raise _crash(bug) from bug
        if batch:
            self._is_over = type(batch[-1]) in e.TERMINAL
        elif not data:
            raise UpstreamFault(FaultKind.TRUNCATED, "the answer ended without an end")
        return batch

    async def aclose(self) -> None:
        """Gives the connection back after a whole answer, else closes it at once."""
        self._response.close(finished=self._is_over)


def _encoded(head: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("utf-8")) for name, value in head.items()]


def _fault(error: httpx.HTTPError) -> UpstreamFault:
    for family, kind, message in _OPENING_FAULTS:
        if isinstance(error, family):
            return UpstreamFault(kind, message, detail=str(error) or type(error).__name__)
    raise AssertionError(f"no row for {error!r}")


def _broken_off(error: httpx.HTTPError) -> UpstreamFault:
    """A body that was cut short by the connection is a truncated answer."""
    is_cut = isinstance(error, httpx.RemoteProtocolError)
    kind = FaultKind.TRUNCATED if is_cut else FaultKind.READ
    return UpstreamFault(kind, "the answer broke off", detail=str(error))


def _crash(bug: Exception) -> UpstreamFault:
    """Our own code could not cope with what came: the exchange goes on elsewhere."""
    log.error("a codec failed", exc_info=bug)
    return UpstreamFault(FaultKind.INTERNAL, "the codec failed", detail=repr(bug)[:512])
