"""What a fault means, row by row, and which of several decides."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.routing.classify import (
    Verdict,
    classify,
    decisive,
    has_pushback,
    http_status,
    is_health_fault,
)


def fault(
    kind: FaultKind, *, status: int | None = None, retry_after: float | None = None
) -> UpstreamFault:
    return UpstreamFault(kind, kind.value, status=status, retry_after=retry_after)


ROWS = {
    FaultKind.CONNECT: (Verdict.ELSEWHERE, 502, True),
    FaultKind.READ: (Verdict.ELSEWHERE, 502, True),
    FaultKind.TTFT: (Verdict.ELSEWHERE, 504, True),
    FaultKind.IDLE: (Verdict.ELSEWHERE, 504, True),
    FaultKind.TRUNCATED: (Verdict.ELSEWHERE, 502, True),
    FaultKind.PROTOCOL: (Verdict.ELSEWHERE, 502, True),
    FaultKind.BAD_REQUEST: (Verdict.GIVE_UP, 400, False),
    FaultKind.CONTEXT_LENGTH: (Verdict.ELSEWHERE, 400, False),
    FaultKind.CONTENT_FILTER: (Verdict.GIVE_UP, 400, False),
    FaultKind.CREDENTIALS: (Verdict.ROTATE, 502, False),
    FaultKind.NOT_FOUND: (Verdict.ELSEWHERE, 404, False),
    FaultKind.TRANSIENT: (Verdict.ELSEWHERE, 502, True),
    FaultKind.RATE_LIMIT: (Verdict.ROTATE, 429, False),
    FaultKind.SERVER: (Verdict.ELSEWHERE, 502, True),
    FaultKind.OVERLOADED: (Verdict.ELSEWHERE, 503, True),
    FaultKind.DEADLINE: (Verdict.GIVE_UP, 504, False),
    FaultKind.UNSUPPORTED: (Verdict.ELSEWHERE, 400, False),
    FaultKind.INTERNAL: (Verdict.ELSEWHERE, 502, False),
}


@pytest.mark.parametrize("kind", FaultKind)
def test_kind_has_its_row(kind: FaultKind) -> None:
    """The table is total and says what the design says."""
    one = fault(kind)
    assert ROWS[kind] == (classify(one), http_status(one), is_health_fault(one))


@pytest.mark.parametrize("kind", FaultKind)
def test_nothing_is_tried_after_the_commit(kind: FaultKind) -> None:
    """The client has part of an answer, and gets no second one."""
    assert classify(fault(kind), is_committed=True) is Verdict.GIVE_UP


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        (FaultKind.BAD_REQUEST, 413, 413),
        (FaultKind.BAD_REQUEST, 422, 422),
        (FaultKind.BAD_REQUEST, 418, 400),
        (FaultKind.CONTEXT_LENGTH, 413, 413),
        (FaultKind.CONTEXT_LENGTH, 422, 400),
        (FaultKind.CREDENTIALS, 401, 502),
        (FaultKind.SERVER, 500, 502),
        (FaultKind.OVERLOADED, 529, 503),
    ],
)
def test_status_of_the_upstream_is_kept_where_it_is_the_clients(
    kind: FaultKind, status: int, expected: int
) -> None:
    """A status that speaks about the request is handed on, any other is ours to choose."""
    assert expected == http_status(fault(kind, status=status))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (fault(FaultKind.RATE_LIMIT), True),
        (fault(FaultKind.OVERLOADED), True),
        (fault(FaultKind.SERVER, retry_after=3), True),
        (fault(FaultKind.SERVER), False),
    ],
    ids=str,
)
def test_pushback_is_a_kind_or_a_time(one: UpstreamFault, expected: bool) -> None:
    """Who names a time wants to be left alone, whatever else it says."""
    assert has_pushback(one) is expected


# ---------------------------------------------------------------- which one decides

K = FaultKind


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([K.RATE_LIMIT, K.RATE_LIMIT], K.RATE_LIMIT),
        ([K.RATE_LIMIT, K.CREDENTIALS, K.NOT_FOUND], K.RATE_LIMIT),
        ([K.RATE_LIMIT, K.OVERLOADED], K.OVERLOADED),
        ([K.RATE_LIMIT, K.OVERLOADED, K.SERVER], K.SERVER),
        ([K.RATE_LIMIT, K.TTFT], K.TTFT),
        ([K.TTFT, K.CONNECT], K.CONNECT),
        ([K.IDLE, K.CONTEXT_LENGTH], K.IDLE),
        ([K.SERVER, K.CONTEXT_LENGTH], K.SERVER),
        ([K.CONTEXT_LENGTH, K.RATE_LIMIT], K.RATE_LIMIT),
        ([K.CONTEXT_LENGTH, K.CREDENTIALS, K.NOT_FOUND], K.CONTEXT_LENGTH),
        ([K.CREDENTIALS, K.NOT_FOUND], K.CREDENTIALS),
        ([K.NOT_FOUND, K.NOT_FOUND], K.NOT_FOUND),
        ([K.NOT_FOUND, K.UNSUPPORTED], K.NOT_FOUND),
        ([K.DEADLINE, K.OVERLOADED], K.DEADLINE),
        ([K.BAD_REQUEST, K.SERVER, K.RATE_LIMIT], K.BAD_REQUEST),
        ([K.CONTENT_FILTER, K.CONTEXT_LENGTH, K.INTERNAL], K.CONTENT_FILTER),
    ],
)
def test_decisive_fault_does_not_depend_on_the_order(
    kinds: list[FaultKind], expected: FaultKind
) -> None:
    """Races end in any order, and the client is told the same."""
    for order in permutations(kinds):
        assert decisive([fault(kind) for kind in order]).kind is expected


def test_last_of_equal_faults_decides() -> None:
    """The last word is the freshest."""
    first, last = fault(K.CONNECT), fault(K.READ)
    assert decisive([first, last]) is last
    assert decisive([last, first]) is first


def test_rate_limits_carry_the_earliest_time() -> None:
    """Asking again is worth it as soon as the first cooldown is over."""
    faults = [fault(K.RATE_LIMIT, retry_after=seconds, status=429) for seconds in (9, 4, 7)]
    told = decisive(faults)
    assert (told.kind, told.retry_after, told.status) == (K.RATE_LIMIT, 4, 429)


def test_overload_carries_the_time_of_a_rate_limit() -> None:
    """All pushed back, and the earliest one counts, whoever named it."""
    told = decisive([fault(K.OVERLOADED), fault(K.RATE_LIMIT, retry_after=4), fault(K.NOT_FOUND)])
    assert (told.kind, told.retry_after) == (K.OVERLOADED, 4)


def test_pushback_without_a_time_has_none() -> None:
    """No time is made up."""
    only = fault(K.OVERLOADED)
    assert decisive([only]) is only


def test_no_faults_are_a_mistake_of_the_caller() -> None:
    """There is nothing to decide."""
    with pytest.raises(ValueError, match="empty"):
        decisive([])


@given(st.lists(st.sampled_from(FaultKind), min_size=1))
def test_status_is_the_one_of_a_fault_that_happened(kinds: list[FaultKind]) -> None:
    """429 and 503 are told only if nothing else that passes happened."""
    told = http_status(decisive([fault(kind) for kind in kinds]))
    statuses = {http_status(fault(kind)) for kind in kinds}
    assert told in statuses
    if told in (429, 503) and not statuses <= {429, 503}:
        others = set(kinds) - {K.RATE_LIMIT, K.OVERLOADED}
        assert others <= {K.CONTEXT_LENGTH, K.CREDENTIALS, K.NOT_FOUND, K.UNSUPPORTED}
