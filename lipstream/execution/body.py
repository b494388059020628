"""The answer after the commit, as the exchange's task pulls it: no channel, no task, no scope per
event.

The winner's held events come first, then what the upstream sends. The body moves the deadline of
the one scope in which the answer is read and written (``LiveExchange.work``): idle while it waits
for the upstream, the exchange's deadline always.
"""

from __future__ import annotations

from typing import Protocol

import trio

from lipstream.canonical import events as e
from lipstream.errors import LipstreamError, UpstreamFault
from lipstream.execution.attempt import Attempt
from lipstream.execution.live import LiveExchange
from lipstream.lifecycle.exchange import ExchangeInput


class Body:
    """One committed answer.

    Attributes:
        is_over: True when the last batch has been received.
        is_waiting: True while a receive waits for the upstream.
        outcome: How the exchange ends when all of the answer has been delivered.
    """

    outcome: tuple[ExchangeInput, str] = (ExchangeInput.FINISH, "complete")

    def __init__(self, live: LiveExchange, winner: Attempt) -> None:
        live.winner = winner.entry.candidate
        self._live = live
        self._winner = winner
        self._idle = live.route.policy.idle
        self._slack = min(1.0, self._idle / 16)
        self._armed_until = trio.current_time()
        self._fault: UpstreamFault | None = None
        self.is_over = False
        self.is_waiting = False

    async def receive(self) -> e.Batch:
        """The next batch, never empty except at a fault's edge; ``is_over`` is True with the last
        one.

        Raises:
            UpstreamFault: the answer ends here, incomplete.
        """
        return self._take(self._winner.terms.prefix.take() or await self._pull())

    async def end(self, fault: LipstreamError | None) -> None:
        """Ends and closes the attempt that is being streamed, whatever ended the delivery."""
        winner = self._winner
        if winner.state.is_terminal:
            return
        if isinstance(fault, UpstreamFault):
            winner.fail(fault)
        elif self.is_over:
            winner.finish()
        else:
            winner.end_with_exchange()
        await winner.close()

    async def _pull(self) -> e.Batch:
        if self._fault is not None:
            raise self._fault
        self.is_waiting = True
        batch: e.Batch = []
        while not batch:
            self._push_deadline()
            batch = await self._winner.receive()
        self.is_waiting = False
        return batch

    def _take(self, batch: e.Batch) -> e.Batch:
        """Splits off the terminal event of the last batch."""
        last = batch[-1]
        if isinstance(last, e.Finished):
            self.is_over = True
        elif isinstance(last, e.StreamFailed):
            self._fault = last.fault
            return batch[:-1]
        return batch

    def _push_deadline(self) -> None:
        """Sets the idle deadline, with slack, so that it is not moved for every event."""
        now = trio.current_time()
        if self._armed_until - now <= self._idle:
            self._armed_until = now + self._idle + self._slack
            self._live.work.deadline = min(self._armed_until, self._live.deadline)


class Delivery(Protocol):
    """Where an answer goes: the client, seen from the executor."""

    status: int | None
    first_byte_at: float | None
    events_sent: int
    bytes_sent: int

    async def answer(self, body: Body) -> None:
        """Pulls the body to its end and sends it.

        Raises:
            UpstreamFault: as the body raised it; :meth:`fail` is called next.
            ClientGone: ``client_gone`` or ``client_stalled``.
        """

    async def fail(self, error: LipstreamError) -> None:
        """Tells the client that there is no answer, or that it ends here. Raises ClientGone."""
