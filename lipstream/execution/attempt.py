"""One upstream try: open, hold events back, commit or clean up.

Theory of operation. An attempt runs as a task of its own in the exchange's nursery until it commits
or ends. Its scope is what others may cancel, after leaving the reason with :meth:`Attempt.cancel`;
its idle limit is the scope's deadline, pushed by every read. If it commits, its task ends and the
attempt, with the open upstream and the held events, belongs to the exchange's task. In every other
case the attempt's own task says so first (so that nobody waits for a slow close), then closes the
upstream under a shield of :data:`CLOSE_LIMIT` seconds, then writes its record. That order is in one
``finally``, so each of the three happens exactly once however the attempt ends.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from lipstream.canonical import events as e
from lipstream.errors import ClientFault, FaultKind, UpstreamFault
from lipstream.execution.live import LiveExchange
from lipstream.execution.opening import Terms
from lipstream.execution.recording import attempt_record
from lipstream.interfaces import Backend, Upstream
from lipstream.lifecycle.attempt import AttemptInput, AttemptMachine, AttemptState
from lipstream.lifecycle.tally import Tally
from lipstream.routing.options import apply_params
from lipstream.routing.planner import Entry

CLOSE_LIMIT = 1.0  # seconds that closing an upstream may take, shielded

LOST = "lost_race"


@attrs.define(eq=False)
class Attempt:
    """One try of one candidate; its times are explained at ``AttemptRecord``."""

    live: LiveExchange
    number: int
    step: int
    entry: Entry
    backend: Backend
    terms: Terms
    due_at: float
    state: AttemptMachine = attrs.field(factory=AttemptMachine)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    fault: UpstreamFault | None = None
    reason: str = ""
    tally: Tally = attrs.field(factory=Tally)
    opened_at: float | None = None
    headers_at: float | None = None
    content_at: float | None = None
    committed_at: float | None = None
    cancelled_at: float | None = None
    ended_at: float = 0.0
    upstream: Upstream | None = None

    @property
    def is_streaming(self) -> bool:
        """Whether this attempt owns the exchange."""
        return self.state.state is AttemptState.STREAMING

    def cancel(self, reason: str) -> None:
        """Asks the attempt to end; it cleans up in its own task."""
        self.reason = self.reason or reason
        self.cancelled_at = self.cancelled_at or trio.current_time()
        self.scope.cancel(reason=reason)

    def expire(self) -> None:
        """Ends the attempt because it has been without content for too long."""
        self.fault = UpstreamFault(FaultKind.TTFT, "no content within the time to first token")
        self.scope.cancel(reason="ttft")

    async def run(self, on_end: Callable[[Attempt], None]) -> None:
        """Tries to commit; ``on_end`` is called when the outcome is known, before any close."""
        self.opened_at = trio.current_time()
        self.state.send(AttemptInput.START)
        self.live.open_upstreams[self.backend.id] += 1
        try:
            with self.scope:
                self._push_idle()
                await self._prime()
        finally:
            if not self.is_streaming:
                self._end_unless_over()
            on_end(self)
            if not self.is_streaming:
                await self.close()  # noqa: ASYNC102 - shields itself, for a bounded time

    async def _prime(self) -> None:
        call, candidate = self.terms.call, self.entry.candidate
        if candidate.params:
            call = call.changed(options=apply_params(call.options, candidate.params))
        try:
            self.upstream = await self.backend.open(call, candidate)
            self.headers_at = trio.current_time()
            self.state.send(AttemptInput.HEADERS)
            while not self.terms.prefix.add(await self.receive()):
                self._push_idle()
            self._commit()
        except UpstreamFault as fault:
            self.fail(fault)
        except ClientFault as fault:
            self.fail(UpstreamFault(FaultKind.UNSUPPORTED, str(fault), code=fault.code))

    def _push_idle(self) -> None:
        self.scope.deadline = trio.current_time() + self.live.route.policy.idle

    def _commit(self) -> None:
        self.content_at = trio.current_time()
        if self.terms.claim(self.number):
            self.fault, self.reason = None, ""  # it may have been told to expire in this very tick
            self.committed_at = self.content_at
            self.state.send(AttemptInput.COMMIT)
        else:
            self.reason = self.reason or LOST

    async def receive(self) -> e.Batch:
        """The next batch of the upstream. Raises UpstreamFault when the connection broke."""
        assert self.upstream is not None
        batch = await self.upstream.receive()
        self.tally.add(batch)
        return batch

    # -- endings: exactly one of them is written, by whoever owns the attempt

    def finish(self) -> None:
        """The answer is complete."""
        self.reason = "complete"
        self._end(AttemptInput.FINISH)

    def fail(self, fault: UpstreamFault) -> None:
        """The upstream failed."""
        self.fault, self.reason = fault, fault.kind.value
        self._end(AttemptInput.ERROR)

    def _end_unless_over(self) -> None:
        """Ends an attempt that was cancelled: by its idle limit, by a competitor, or with the whole
        exchange."""
        if self.state.is_terminal:
            return
        if self.reason:
            self._end(AttemptInput.CANCEL)
        elif self.fault is not None:
            self.fail(self.fault)
        elif self.scope.cancelled_caught:
            self.fail(UpstreamFault(FaultKind.IDLE, "the upstream was silent for too long"))
        else:
            self.end_with_exchange()

    def end_with_exchange(self) -> None:
        """Ends an attempt because its exchange ended."""
        ending = self.live.state.ending
        self.reason = ending.reason if ending else "cancelled"
        self._end(AttemptInput.CANCEL)

    def _end(self, given: AttemptInput) -> None:
        self.ended_at = trio.current_time()
        self.state.send(given)

    async def close(self) -> None:
        """Closes the upstream of an attempt that is over, and writes its record. Called once, by
        the owner."""
        try:
            if self.upstream is not None:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_LIMIT):
                    await self.upstream.aclose()
        finally:
            self.live.open_upstreams[self.backend.id] -= 1
            self.live.add_record(attempt_record(self))
