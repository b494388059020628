"""What is left of an exchange when it is over: immutable facts for observers (metrics, logs,
ledgers, the demo's timeline).

All times are seconds on the executor's clock since the exchange began; ``started_at`` of the
exchange is wall-clock time. None means that it did not come to that.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from lipstream.canonical.candidate import Candidate
from lipstream.canonical.transport import Mode, Verdict
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind
from lipstream.lifecycle.attempt import AttemptState
from lipstream.lifecycle.bill import NOTHING, Bill, total
from lipstream.lifecycle.exchange import Ending


@attrs.frozen
class Reject:
    """A candidate that was looked at and could not take the call: it had no attempt.

    Attributes:
        transport: What its backend does not offer; None where its model lacks something.
        message: Our own words.
    """

    candidate: Candidate
    transport: Verdict | None
    message: str


@attrs.frozen(kw_only=True)
class AttemptRecord:
    """One upstream try, from the moment it was planned to the moment its upstream was closed.

    Attributes:
        number: 1, 2, 3 ... in the order in which the attempts were planned.
        step: Which step of the plan it belonged to, from 0; attempts of one step raced each other.
        due_at: When it was to start by the plan; it may have started earlier because another one
            failed.
        headers_at: The response's head had arrived.
        content_at: The event that counts (see ``lifecycle.finish_line``) had arrived.
        cancelled_at: The race told it to end; None where it ended in another way.
        reason: Why it ended: ``complete``, ``lost_race``, ``client_gone``, ``deadline``, or the
            kind of its fault.
        detail: The upstream's own words about the fault, redacted; not for clients.
        events: Canonical events read.
        dropped_events: Events that could not be parsed and were left out.
        is_resent: The request went out twice, because a kept connection turned out to be dead.
        closed_at: The upstream's connection was given back or closed.
        usage: As the provider reported it.
        bill: What it came to, with estimates for what was not reported.
        rescue: How it was to go on with an answer that was cut: ``prefill`` (it was given the
            beginning) or ``splice`` (asked anew); None for an attempt at a whole answer.
        credential: The id of the key that was used last; None without one, and where the attempt
            was cancelled before it was known.
        operation: What the client asked for, in the terms of transport negotiation, or empty.
        delivery: How the client wants its answer, where that was part of it.
        mode: How the backend was asked; None left it to the backend.
    """

    number: int
    step: int
    candidate: Candidate
    state: AttemptState
    reason: str
    due_at: float
    opened_at: float | None
    headers_at: float | None
    content_at: float | None
    committed_at: float | None
    ended_at: float
    closed_at: float
    cancelled_at: float | None = None
    fault: FaultKind | None = None
    status: int | None = None
    retry_after: float | None = None
    detail: str | None = None
    events: int = 0
    dropped_events: int = 0
    is_resent: bool = False
    usage: Usage | None = None
    bill: Bill = NOTHING
    rescue: str | None = None
    credential: str | None = None
    operation: str = ""
    delivery: Mode | None = None
    mode: Mode | None = None

    @property
    def is_bridged(self) -> bool:
        """Whether the answer travelled otherwise than the client wanted it."""
        return None not in (self.mode, self.delivery) and self.mode is not self.delivery


@attrs.frozen(kw_only=True)
class ExchangeRecord:
    """One client request and everything that was done for it.

    Attributes:
        id: Unique, also in the client's ``X-Request-Id`` header.
        selector: The route as it was compiled, in canonical text.
        started_at: Unix time.
        may_race: False where legs were tried one after the other, because the call must not race.
        first_byte_at: The first byte of the answer was handed to the server.
        winner: ``number`` of the attempt that was streamed to the client; the last one, where
            rescues handed the answer on. ``usage`` is that attempt's.
        attempts: In order of number; every one that was started, exactly once.
        status: The HTTP status that was sent, or None when the client was gone before.
        rejects: The candidates that could not take the call, as far as they were looked at.
    """

    id: str
    dialect: str
    model: str
    selector: str
    is_streaming: bool
    started_at: float
    duration: float
    ending: Ending
    winner: int | None
    attempts: tuple[AttemptRecord, ...]
    may_race: bool = True
    first_byte_at: float | None = None
    events_sent: int = 0
    bytes_sent: int = 0
    status: int | None = None
    usage: Usage | None = None
    rejects: tuple[Reject, ...] = ()

    @property
    def negotiations(self) -> Iterator[Verdict]:
        """What came of asking for a transport: of every attempt, and of those that had none."""
        for attempt in self.attempts:
            yield Verdict(True, attempt.operation, attempt.delivery)
        for reject in self.rejects:
            if reject.transport is not None:
                yield reject.transport

    @property
    def rescues(self) -> int:
        """How many times another attempt went on with the answer."""
        went_on = (a for a in self.attempts if a.rescue and a.committed_at is not None)
        return sum(1 for _ in went_on)

    @property
    def waste(self) -> Bill:
        """What the attempts came to that never committed: the client got nothing of them."""
        return total(attempt.bill for attempt in self.attempts if attempt.committed_at is None)
