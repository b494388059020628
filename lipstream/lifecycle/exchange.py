"""One client request and all that is done for it.

Theory of operation. An exchange launches attempts until one of them commits; from then on it has a
winner, and what the winner sends is what the client gets. Before the commit nothing has been sent,
so every failure can still be a clean HTTP error (FAILED); after it the client has part of an
answer, and a failure must be said inside the stream (TRUNCATED). ABORTED means that nobody is
listening any more.

The exchange's task is the only writer, except for :meth:`Exchange.try_commit`, which attempts call.
There is no cascade: the winner does not touch the losers' machines. Two attempts may have content
in the same scheduler tick; the first to ask wins and the other is told False.

Every ending carries a reason, and the first one stands: terminal rows are empty. Who cancels says
why first.
"""

from __future__ import annotations

import enum

import attrs

from lipstream.lifecycle.machine import Machine, Table


class ExchangeState(enum.Enum):
    """Where an exchange stands."""

    OPEN = "open"
    COMMITTED = "committed"
    COMPLETE = "complete"
    FAILED = "failed"  # nothing was sent: a clean error is possible
    TRUNCATED = "truncated"  # part of an answer was sent: an error in the stream is due
    ABORTED = "aborted"  # nobody is listening


class ExchangeInput(enum.Enum):
    """What can happen to an exchange."""

    LAUNCH = "launch"  # an attempt is started
    COMMIT = "commit"  # an attempt has its first content
    FINISH = "finish"  # the answer is complete
    RECOVER = "recover"  # a cut stream is closed with a warning, by configuration
    RESUME = "resume"  # a cut stream goes on from another candidate, by configuration
    EXHAUST = "exhaust"  # nothing is left to try
    EXPIRE = "expire"  # a deadline passed
    REFUSE = "refuse"  # policy or the client's own mistake ends it
    BREAK = "break"  # the upstream failed, or we did
    LEAVE = "leave"  # the client hung up or stopped reading
    CANCEL = "cancel"  # somebody asked for it: an operator, a shutdown


_S, _I = ExchangeState, ExchangeInput

EXCHANGE: Table[ExchangeState, ExchangeInput] = {
    _S.OPEN: {
        _I.LAUNCH: _S.OPEN,
        _I.COMMIT: _S.COMMITTED,
        _I.EXHAUST: _S.FAILED,
        _I.EXPIRE: _S.FAILED,
        _I.REFUSE: _S.FAILED,
        _I.BREAK: _S.FAILED,
        _I.LEAVE: _S.ABORTED,
        _I.CANCEL: _S.ABORTED,
    },
    _S.COMMITTED: {
        _I.FINISH: _S.COMPLETE,
        _I.RECOVER: _S.COMPLETE,
        _I.RESUME: _S.COMMITTED,
        _I.EXPIRE: _S.TRUNCATED,
        _I.REFUSE: _S.TRUNCATED,
        _I.BREAK: _S.TRUNCATED,
        _I.LEAVE: _S.ABORTED,
        _I.CANCEL: _S.ABORTED,
    },
    _S.COMPLETE: {},
    _S.FAILED: {},
    _S.TRUNCATED: {},
    _S.ABORTED: {},
}


@attrs.frozen
class Ending:
    """How an exchange ended.

    Attributes:
        reason: A stable word for metrics and records: ``complete``, ``exhausted``, ``deadline``,
            ``client_gone``, ...
        cause: The exception behind it, where there is one.
    """

    state: ExchangeState
    reason: str
    cause: BaseException | None = attrs.field(default=None, eq=False)


class Exchange(Machine[ExchangeState, ExchangeInput]):
    """The state of one exchange, its winner and its ending.

    Attributes:
        winner: The number of the attempt that owns the exchange; None before the commit.
        ending: None while it lives; set once.
    """

    __slots__ = ("ending", "winner")

    def __init__(self) -> None:
        super().__init__(EXCHANGE, ExchangeState.OPEN)
        self.winner: int | None = None
        self.ending: Ending | None = None

    def try_commit(self, attempt: int) -> bool:
        """Makes ``attempt`` the winner if there may still be one; says whether it did."""
        if not self.can(ExchangeInput.COMMIT):
            return False
        self.send(ExchangeInput.COMMIT)
        self.winner = attempt
        return True

    def resume(self, attempt: int) -> None:
        """Hands a committed exchange on: the one way in which the winner changes."""
        self.send(ExchangeInput.RESUME)
        self.winner = attempt

    def end(self, given: ExchangeInput, reason: str, cause: BaseException | None = None) -> Ending:
        """Ends the exchange, unless it has ended already; returns the ending that stands."""
        if self.ending is None:
            self.ending = Ending(self.send(given), reason, cause)
        return self.ending
