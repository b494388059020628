"""Runs exchanges: race, commit, deliver, and one ending for each.

Theory of operation. An exchange is one task with one nursery. Attempts run in the nursery until one
commits (``race.py``); the exchange's own task then pulls the winner's events and hands them to the
delivery (``body.py``), with nothing in between. The losers clean up in the same nursery meanwhile.
When the task leaves the nursery, every attempt is over, closed and recorded, and the exchange's
record is made. Nothing outlives that: no orphan by construction.

Three scopes, from outside in: the exchange's (``LiveExchange.scope``: the client left, an operator
cancelled, the process ends), the opening's (global time to first token and the deadline), the
body's (idle and the deadline). Whoever cancels the outermost has written the ending first. The two
inner ones expire into values, so the client can still be told.
"""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Mapping, Sequence

import trio

from lipstream.canonical.call import Call
from lipstream.errors import (
    ClientGone,
    Exhausted,
    FaultKind,
    LipstreamError,
    Overloaded,
    RoutingFault,
    TimedOut,
    UpstreamFault,
)
from lipstream.execution.attempt import Attempt
from lipstream.execution.body import Body, Delivery
from lipstream.execution.live import LiveExchange, LiveExchanges, Route
from lipstream.execution.race import Race
from lipstream.execution.recording import exchange_record
from lipstream.interfaces import Backend, Observer
from lipstream.lifecycle.exchange import ExchangeInput
from lipstream.lifecycle.records import ExchangeRecord
from lipstream.routing.budgets import HedgeBudgets
from lipstream.routing.classify import Verdict, classify


class Executor:
    """Runs the exchanges of one process."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        observers: Sequence[Observer] = (),
        rng: random.Random | None = None,
    ) -> None:
        self.backends = backends
        self.live = LiveExchanges()
        self._observers = tuple(observers)
        self._rng = rng or random.Random()
        self._budgets = HedgeBudgets()

    def begin(self, call: Call, route: Route, *, time_limit: float | None = None) -> LiveExchange:
        """A new exchange, not running yet; ``time_limit`` seconds may shorten its deadline."""
        seconds = route.policy.deadline if time_limit is None else time_limit
        deadline = trio.current_time() + min(seconds, route.policy.deadline)
        return LiveExchange(uuid.uuid4().hex, call, route, deadline, observers=self._observers)

    async def run(self, live: LiveExchange, delivery: Delivery) -> ExchangeRecord:
        """Runs one exchange to its end. Whatever happens, there is one ending and one record.

        Cancelling the task that runs this ends the exchange as ``cancelled``.
        """
        self.live.add(live)
        try:
            with live.scope:
                async with trio.open_nursery() as live.nursery:
                    await self._serve(live, delivery)
        finally:
            self.live.discard(live)
            _end_abruptly(live)
            record = exchange_record(live, delivery)
            for observer in self._observers:
                observer.on_exchange(record)
        return record

    async def _serve(self, live: LiveExchange, delivery: Delivery) -> None:
        try:
            opened = await self._open(live)
            error = opened if isinstance(opened, LipstreamError) else None
            if isinstance(opened, Attempt):
                error = await self._deliver(live, opened, delivery)
            if error is not None:
                self._end(live, error)
                await delivery.fail(error)
        except ClientGone as gone:
            live.state.end(ExchangeInput.LEAVE, str(gone))

    async def _open(self, live: LiveExchange) -> Attempt | LipstreamError:
        """The race, within the time to first token of the whole exchange."""
        policy, selector = live.route.policy, live.route.selector
        budget = self._budgets.of(live.route.text, policy.hedge_ratio)
        budget.deposit()
        race = Race(live, self.backends, budget, self._rng)
        deadline = live.deadline
        if selector.ttft_timeout is not None:
            deadline = min(deadline, live.started_at + selector.ttft_timeout)
        live.work.deadline = deadline
        try:
            with live.work:
                return await race.run()
        except BaseException:
            if race.winner is not None:  # it committed in the tick of the cancellation
                race.winner.end_with_exchange()
                await race.winner.close()  # noqa: ASYNC102 - shields itself, for a bounded time
            raise
        race.stop("deadline")
        if live.interruption is not None and race.winner is None:
            return live.interruption
        what = "deadline" if deadline == live.deadline else "time to first token"
        late = TimedOut(f"no backend answered within the {what} of this request", race.causes())
        return race.winner or late

    async def _deliver(
        self, live: LiveExchange, winner: Attempt, delivery: Delivery
    ) -> LipstreamError | None:
        """Streams the winner, which is over and closed then; returns what cut it short."""
        live.winner = winner.entry.candidate
        live.work = trio.CancelScope(deadline=live.deadline)
        if live.interruption is not None:
            live.work.cancel()
        body = Body(live, winner)
        fault: LipstreamError | None = None
        try:
            with live.work:
                await delivery.answer(body)
            if live.work.cancelled_caught:
                fault = live.interruption or self._expired(live, body)
            else:
                live.state.end(ExchangeInput.FINISH, "complete")
        except UpstreamFault as broken:
            fault = broken
        except ClientGone as gone:
            live.state.end(ExchangeInput.LEAVE, str(gone))
        finally:
            _end_winner(winner, body, fault)
            await winner.close()  # noqa: ASYNC102 - shields itself, for a bounded time
        return fault

    def _expired(self, live: LiveExchange, body: Body) -> UpstreamFault:
        if not body.is_waiting:
            raise ClientGone("client_stalled")
        if trio.current_time() >= live.deadline:
            return UpstreamFault(FaultKind.DEADLINE, "the time for this request is over")
        return UpstreamFault(FaultKind.IDLE, "the upstream was silent for too long")

    def _end(self, live: LiveExchange, error: LipstreamError) -> None:
        """Writes the ending that an error means."""
        given, reason = ExchangeInput.EXHAUST, "exhausted"
        if isinstance(error, TimedOut):
            given, reason = ExchangeInput.EXPIRE, "deadline"
        elif isinstance(error, UpstreamFault):
            is_late = error.kind in (FaultKind.IDLE, FaultKind.DEADLINE)
            given = ExchangeInput.EXPIRE if is_late else ExchangeInput.BREAK
            reason = error.kind.value
        elif isinstance(error, Exhausted) and classify(error.fault) is Verdict.GIVE_UP:
            given, reason = ExchangeInput.REFUSE, error.fault.kind.value
        elif isinstance(error, Overloaded):
            given, reason = ExchangeInput.REFUSE, "interrupted"
        elif isinstance(error, RoutingFault):
            reason = "no_candidate"
        live.state.end(given, reason, error)


def _end_abruptly(live: LiveExchange) -> None:
    """Writes the ending of an exchange that has none: cancelled, or ended by a bug of ours."""
    if trio.current_effective_deadline() == -math.inf:
        live.state.end(ExchangeInput.CANCEL, "cancelled")
    elif live.state.ending is None:
        live.state.end(ExchangeInput.BREAK, "internal")


def _end_winner(winner: Attempt, body: Body, fault: LipstreamError | None) -> None:
    """Writes the winner's ending, whatever it was that ended the delivery."""
    if isinstance(fault, UpstreamFault):
        winner.fail(fault)
    elif body.is_over:
        winner.finish()
    else:
        winner.end_with_exchange()
