"""Two ways to hand an answer to a client: streamed as it comes, or folded into one body.

Both hold the status line back until there is an answer, so that a failure before it is a clean HTTP
error. After it a stream ends with the dialect's own error frame, never with its normal end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import quote

import trio

from lipstream.canonical.collect import Collector
from lipstream.canonical.problem import Problem
from lipstream.errors import ClientGone, LipstreamError
from lipstream.execution.body import Body
from lipstream.execution.live import LiveExchange
from lipstream.interfaces import Backend, ServerDialect, StreamEncoder
from lipstream.server.downstream import Downstream
from lipstream.server.errors import problem_for

Headers = list[tuple[bytes, bytes]]

TOLD_ATTEMPTS = 8  # in the header, the last ones
TOLD_NAME = 120  # bytes of a candidate there
TOLD_LOSSES = 32  # fields in the header of what the answering protocol had no place for

log = logging.getLogger(__name__)

# Where a client's library looks for the id of its request, if not in X-Request-Id.
_ID_HEADERS = {"anthropic_messages": b"request-id"}

_JSON = (b"content-type", b"application/json")


async def respond_problem(
    downstream: Downstream, dialect: ServerDialect, problem: Problem, headers: Headers
) -> None:
    """Answers with an error in the client's dialect. Raises ClientGone."""
    headers = [_JSON, *headers]
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(problem.retry_after).encode()))
    await downstream.respond(problem.status, headers, dialect.encode_problem(problem))


class Delivery:
    """What both have in common: counting, headers, errors before the answer."""

    def __init__(
        self,
        downstream: Downstream,
        dialect: ServerDialect,
        live: LiveExchange,
        backends: Mapping[str, Backend],
        expose: bool,
    ) -> None:
        self.status: int | None = None
        self.first_byte_at: float | None = None
        self.events_sent = 0
        self.bytes_sent = 0
        self._downstream = downstream
        self._dialect = dialect
        self.live = live
        self._backends = backends
        self._expose = expose
        call, policy = live.call, live.route.policy
        self._model = call.model if policy.echo_alias else None

    def _headers(self, *first: tuple[bytes, bytes]) -> Headers:
        name = _ID_HEADERS.get(self._dialect.name, b"x-request-id")
        headers = [*first, (name, self.live.id.encode())]
        tree = attempt_tree(self.live)
        if tree:
            headers.append((b"x-lip-attempts", tree))
        lost = self._losses()
        if lost:
            log.debug("%s: %s has no place for %s", self.live.id, self.live.winner, lost)
            headers.append((b"x-lip-dropped", ", ".join(lost[:TOLD_LOSSES]).encode()))
        return headers

    def _losses(self) -> list[str]:
        """What of the call the winner's protocol could not say."""
        winner = self.live.winner
        if winner is None:
            return []
        return [_name(field) for field in self._backends[winner.backend].dropped(self.live.call)]

    def _count(self, size: int) -> None:
        if self.first_byte_at is None:
            self.first_byte_at = trio.current_time()
        self.bytes_sent += size

    async def fail(self, error: LipstreamError) -> None:
        """Tells the client why there is no answer."""
        problem = problem_for(error, expose_upstream=self._expose)
        self.status = problem.status
        self._count(0)
        await respond_problem(self._downstream, self._dialect, problem, self._headers())


class WholeDelivery(Delivery):
    """For a client that does not stream: the fold of the same events."""

    async def answer(self, body: Body) -> None:
        """Collects the answer and responds."""
        collector = Collector()
        while not body.is_over:
            batch = await body.receive()
            self.events_sent += len(batch)
            collector.add(batch)
        content = self._dialect.encode_answer(collector.answer(), self.live.call, model=self._model)
        self.status = 200
        self._count(len(content))
        await self._downstream.respond(200, self._headers(_JSON), content)


class StreamDelivery(Delivery):
    """For a client that streams: one write per batch.

    Keep-alives come from another task, only while this one is not writing; the two never write at
    once.
    """

    def __init__(
        self,
        downstream: Downstream,
        dialect: ServerDialect,
        live: LiveExchange,
        backends: Mapping[str, Backend],
        expose: bool,
    ) -> None:
        super().__init__(downstream, dialect, live, backends, expose)
        self.encoder: StreamEncoder = dialect.stream_encoder(live.call, model=self._model)
        self._last_write = live.started_at
        self._is_writing = False
        self._beating: trio.Event | None = None

    async def answer(self, body: Body) -> None:
        """Passes on every batch as it comes."""
        encode = self.encoder.encode
        while not body.is_over:
            batch = await body.receive()
            data = encode(batch)
            self.events_sent += len(batch)
            if data or body.is_over:
                await self._write(data, is_last=body.is_over)

    async def fail(self, error: LipstreamError) -> None:
        """An HTTP error while nothing was sent, else the dialect's error frame and the end."""
        await self._beat_over()
        if self.status is None:
            await super().fail(error)
            return
        problem = problem_for(error, expose_upstream=self._expose)
        await self._write(self.encoder.encode_problem(problem), is_last=True)

    async def _write(self, data: bytes, *, is_last: bool) -> None:
        await self._beat_over()
        self._is_writing = True
        if self.status is None:
            await self._send_head()
        self._count(len(data))
        await (self._downstream.finish(data) if is_last else self._downstream.send(data))
        self._last_write = trio.current_time()
        self._is_writing = False

    async def _send_head(self) -> None:
        self.status = 200
        content_type = (b"content-type", self.encoder.content_type.encode())
        headers = self._headers(content_type, (b"cache-control", b"no-cache"))
        await self._downstream.send_head(200, headers)

    # -- keep-alive

    def beat_if_due(self, now: float) -> None:
        """Starts a keep-alive if the client has been without bytes for long enough."""
        live, policy = self.live, self.live.route.policy
        is_free = not self._is_writing and self._beating is None and live.state.ending is None
        may_begin = self.status is not None or policy.early_headers
        if is_free and may_begin and now - self._last_write >= policy.keepalive:
            self._beating = trio.Event()
            live.nursery.start_soon(self._beat, self._beating)

    async def _beat_over(self) -> None:
        if self._beating is not None:
            await self._beating.wait()

    async def _beat(self, done: trio.Event) -> None:
        try:
            if self.status is None:
                await self._send_head()
            await self._downstream.send(self.encoder.keepalive())
            self._last_write = trio.current_time()
        except ClientGone:
            pass  # the exchange is told by the server, or by its own next write
        finally:
            self._beating = None
            done.set()


def attempt_tree(live: LiveExchange) -> bytes:
    """The attempts so far in one line for a header: ``a:m=server@0.120, b:m=won@0.604``, times in
    seconds. Long names are cut, and so is a long line; the records have the whole."""
    told = [f"{_name(r.candidate.key)}={r.reason}@{r.ended_at:.3f}" for r in live.records]
    if live.winner is not None:
        since = trio.current_time() - live.started_at
        told.append(f"{_name(live.winner.key)}=won@{since:.3f}")
    return ", ".join(told[-TOLD_ATTEMPTS:]).encode()


def _name(key: str) -> str:
    text = quote(key, safe=":/.-_?&=+~")
    if len(text) <= TOLD_NAME:
        return text
    cut = text[:TOLD_NAME]
    return (cut[: cut.rindex("%")] if "%" in cut[-2:] else cut) + "..."
