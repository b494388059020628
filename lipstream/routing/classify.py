"""What a failed attempt means: for the exchange, for the client, for the backend's good name.

One row per kind of fault:

    verdict   where the exchange goes while nothing has been sent
    status    what the client gets when the fault decides the answer
    rank      which fault decides when several attempts failed: the lowest (see :func:`decisive`)
    health    whether the fault speaks about the state of the backend, so that a breaker counts it

A quota, a dead key, a wrong model name or a prompt that does not fit say nothing about a backend's
health, and neither does a crash of our own code.

Not here: the time that the whole exchange has (:class:`~lipstream.errors.TimedOut` is no upstream
fault), and faults between request and configuration.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from lipstream.errors import FaultKind, UpstreamFault


class Verdict(enum.Enum):
    """Where an exchange goes after a fault."""

    ELSEWHERE = "elsewhere"  # this candidate is out, try another one
    ROTATE = "rotate"  # the same candidate with its next credential; without one, ELSEWHERE
    GIVE_UP = "give_up"  # no other candidate would or should answer


class _Rank(enum.IntEnum):
    REFUSED = enum.auto()
    FAILED = enum.auto()
    SILENT = enum.auto()
    OVERLOADED = enum.auto()
    LIMITED = enum.auto()
    TOO_LONG = enum.auto()
    LOCKED_OUT = enum.auto()
    UNKNOWN = enum.auto()
    UNSUITABLE = enum.auto()


@attrs.frozen
class _Row:
    verdict: Verdict
    status: int
    rank: _Rank
    speaks_of_health: bool


_K, _V, _R = FaultKind, Verdict, _Rank

_ROWS = {
    _K.CONNECT: _Row(_V.ELSEWHERE, 502, _R.FAILED, True),
    _K.READ: _Row(_V.ELSEWHERE, 502, _R.FAILED, True),
    _K.TTFT: _Row(_V.ELSEWHERE, 504, _R.SILENT, True),
    _K.IDLE: _Row(_V.ELSEWHERE, 504, _R.SILENT, True),
    _K.TRUNCATED: _Row(_V.ELSEWHERE, 502, _R.FAILED, True),
    _K.PROTOCOL: _Row(_V.ELSEWHERE, 502, _R.FAILED, True),
    _K.BAD_REQUEST: _Row(_V.GIVE_UP, 400, _R.REFUSED, False),
    _K.CONTEXT_LENGTH: _Row(_V.ELSEWHERE, 400, _R.TOO_LONG, False),
    _K.CONTENT_FILTER: _Row(_V.GIVE_UP, 400, _R.REFUSED, False),
    _K.CREDENTIALS: _Row(_V.ROTATE, 502, _R.LOCKED_OUT, False),
    _K.NOT_FOUND: _Row(_V.ELSEWHERE, 404, _R.UNKNOWN, False),
    _K.TRANSIENT: _Row(_V.ELSEWHERE, 502, _R.FAILED, True),
    _K.RATE_LIMIT: _Row(_V.ROTATE, 429, _R.LIMITED, False),
    _K.SERVER: _Row(_V.ELSEWHERE, 502, _R.FAILED, True),
    _K.OVERLOADED: _Row(_V.ELSEWHERE, 503, _R.OVERLOADED, True),
    _K.DEADLINE: _Row(_V.GIVE_UP, 504, _R.SILENT, False),
    _K.UNSUPPORTED: _Row(_V.ELSEWHERE, 400, _R.UNSUITABLE, False),
    _K.INTERNAL: _Row(_V.ELSEWHERE, 502, _R.FAILED, False),
}

# Faults of these kinds are handed on with the upstream's own status, if it is one of these.
_KEPT_STATUSES = {
    _K.BAD_REQUEST: frozenset({400, 413, 422}),
    _K.CONTEXT_LENGTH: frozenset({400, 413}),
}

_PUSHBACK = frozenset({_R.OVERLOADED, _R.LIMITED})


def classify(fault: UpstreamFault, *, is_committed: bool = False) -> Verdict:
    """Where the exchange goes; nowhere else, once the client has part of an answer."""
    return Verdict.GIVE_UP if is_committed else _ROWS[fault.kind].verdict


def http_status(fault: UpstreamFault) -> int:
    """The status for the client when this fault decides the answer."""
    if fault.status is not None and fault.status in _KEPT_STATUSES.get(fault.kind, ()):
        return fault.status
    return _ROWS[fault.kind].status


def is_health_fault(fault: UpstreamFault) -> bool:
    """Whether the fault speaks about the state of the backend."""
    return _ROWS[fault.kind].speaks_of_health


def has_pushback(fault: UpstreamFault) -> bool:
    """Whether the upstream asked to be left alone for a while."""
    return fault.retry_after is not None or _ROWS[fault.kind].rank in _PUSHBACK


def decisive(faults: Sequence[UpstreamFault]) -> UpstreamFault:
    """Of the faults of one exchange, the one that decides what the client is told.

    The answer has to be true for all that was tried, and of use to the client:

    1. A refusal of the request itself ended the exchange, and only the client can change it.
    2. Else, if anything failed in a way that passes, the same request may succeed later, so the
       answer must invite to repeat it. Among these the least specific one decides: 502 if anything
       plainly failed, 504 if the others were silent or pushed back, 503 if all pushed back, 429 if
       all were rate limits. The last two carry the earliest time at which it is worth asking again.
    3. Else nothing gets better by waiting. A prompt that is too long comes first, since the client
       can shorten it; it must not come before 2, where a larger model may just have been down, and
       clients would throw away their history for nothing. A locked door comes before an unknown
       model, because the model may well be behind it. That a call cannot be written in some
       protocol comes last: any other reason tells more.

    Of equal ones the last decides.

    Raises:
        ValueError: there are no faults.
    """
    fault = min(reversed(faults), key=lambda fault: _ROWS[fault.kind].rank)
    if _ROWS[fault.kind].rank not in _PUSHBACK:
        return fault
    pushed = (other.retry_after for other in faults if _ROWS[other.kind].rank in _PUSHBACK)
    earliest = min((seconds for seconds in pushed if seconds is not None), default=None)
    return fault if fault.retry_after == earliest else _with_retry_after(fault, earliest)


def _with_retry_after(fault: UpstreamFault, seconds: float | None) -> UpstreamFault:
    return UpstreamFault(
        fault.kind,
        str(fault),
        status=fault.status,
        code=fault.code,
        retry_after=seconds,
        detail=fault.detail,
    )
