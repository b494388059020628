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
    ClientFault,
    ClientGone,
    Exhausted,
    FaultKind,
    LipstreamError,
    Overloaded,
    RoutingFault,
    TimedOut,
    UpstreamFault,
)
from lipstream.execution.body import Body, Delivery
from lipstream.execution.live import LiveExchange, LiveExchanges, Route
from lipstream.execution.race import Race
from lipstream.execution.recording import exchange_record
from lipstream.execution.rescue import body_of
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
        name, observers = uuid.uuid4().hex, self._observers
        return LiveExchange(name, call, route, deadline, self.backends, observers=observers)

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
            race = self._race(live)
            error = await self._open(live, race)
            if error is None:
                error = await self._deliver(live, race, delivery)
            if error is not None:
                self._end(live, error)
                await delivery.fail(error)
        except ClientGone as gone:
            live.state.end(ExchangeInput.LEAVE, str(gone))

    def _race(self, live: LiveExchange) -> Race:
        budget = self._budgets.of(live.route.text, live.route.policy.hedge_ratio)
        budget.deposit()
        return Race(live, self.backends, budget, self._rng)

    async def _open(self, live: LiveExchange, race: Race) -> LipstreamError | None:
        """Runs the race to a winner, within the time to first token of the whole exchange."""
        deadline, limit = live.deadline, live.route.selector.ttft_timeout
        if limit is not None:
            deadline = min(deadline, live.started_at + limit)
        live.work.deadline = deadline
        error = await race.run(live.work)
        if error is not None or race.winner is not None:
            return error
        if live.interruption is not None:
            return live.interruption
        what = "deadline" if deadline == live.deadline else "time to first token"
        return TimedOut(f"no backend answered within the {what} of this request", race.causes())

    async def _deliver(
        self, live: LiveExchange, race: Race, delivery: Delivery
    ) -> LipstreamError | None:
        """Streams the winner, which is over and closed then; returns what cut it short."""
        live.work = trio.CancelScope(deadline=live.deadline)
        if live.interruption is not None:
            live.work.cancel()
        body = body_of(live, race)
        fault: LipstreamError | None = None
        try:
            with live.work:
                await delivery.answer(body)
            if live.work.cancelled_caught:
                fault = live.interruption or self._expired(live, body)
            else:
                live.state.end(*body.outcome)
        except UpstreamFault as broken:
            fault = broken
        except ClientGone as gone:
            live.state.end(ExchangeInput.LEAVE, str(gone))
        finally:
            await body.end(fault)  # noqa: ASYNC102 - shields itself, for a bounded time
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
        elif isinstance(error, Overloaded | ClientFault):
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
