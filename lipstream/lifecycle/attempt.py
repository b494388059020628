"""One upstream try.

Theory of operation. An attempt waits for its start (a handicap, a patience), opens its upstream,
and reads events without showing them to anybody: frames are held back, so a client can never see
two beginnings. The first event that counts makes it ask the exchange for the commit. If it gets it,
the attempt streams and owns the exchange; if not, it was late, which is a normal answer, and it is
cancelled. Whatever ends it, it ends once.

One writer at a time: the attempt's own task up to COMMIT, the exchange's task from there on. Nobody
else sends inputs; whoever wants an attempt gone cancels its scope and leaves the reason there, and
the attempt's own task sends CANCEL.
"""

from __future__ import annotations

import enum

from lipstream.lifecycle.machine import Machine, Table


class AttemptState(enum.Enum):
    """Where an attempt stands."""

    WAITING = "waiting"  # not started: its delay is running
    OPENING = "opening"  # connecting, sending, waiting for the response's head
    PRIMING = "priming"  # events arrive and are held back
    STREAMING = "streaming"  # owns the exchange: its events go to the client
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptInput(enum.Enum):
    """What can happen to an attempt."""

    START = "start"
    HEADERS = "headers"
    COMMIT = "commit"
    FINISH = "finish"
    ERROR = "error"
    CANCEL = "cancel"


_S, _I = AttemptState, AttemptInput

ATTEMPT: Table[AttemptState, AttemptInput] = {
    _S.WAITING: {_I.START: _S.OPENING, _I.CANCEL: _S.CANCELLED},
    _S.OPENING: {_I.HEADERS: _S.PRIMING, _I.ERROR: _S.FAILED, _I.CANCEL: _S.CANCELLED},
    _S.PRIMING: {_I.COMMIT: _S.STREAMING, _I.ERROR: _S.FAILED, _I.CANCEL: _S.CANCELLED},
    _S.STREAMING: {_I.FINISH: _S.COMPLETE, _I.ERROR: _S.FAILED, _I.CANCEL: _S.CANCELLED},
    _S.COMPLETE: {},
    _S.FAILED: {},
    _S.CANCELLED: {},
}


class AttemptMachine(Machine[AttemptState, AttemptInput]):
    """The state of one attempt."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(ATTEMPT, AttemptState.WAITING)
