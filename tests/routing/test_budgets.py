"""Budgets for extra attempts, and when a repeat is worth it."""

from __future__ import annotations

import random

import pytest

from lipstream.canonical.policy import Policy
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.routing.budgets import LIMIT, ROUTES, HedgeBudgets, TokenBucket
from lipstream.routing.repeats import repeat_delay


def drain(bucket: TokenBucket) -> int:
    """How many extra attempts a bucket pays for now."""
    count = 0
    while bucket.withdraw():
        count += 1
    return count


def test_bucket_pays_for_its_share_of_requests() -> None:
    """Over many requests extra attempts are the ratio, plus the reserve it began with."""
    bucket = TokenBucket(0.1)
    paid = 0
    for _ in range(1000):
        bucket.deposit()
        paid += bucket.withdraw()
    assert 100 <= paid <= 103


def test_bucket_does_not_grow_without_bound() -> None:
    """A quiet hour earns no storm."""
    bucket = TokenBucket(0.5)
    for _ in range(1000):
        bucket.deposit()
    assert int(LIMIT) == drain(bucket)


def test_ratio_of_nothing_pays_for_nothing() -> None:
    """Not even the reserve."""
    bucket = TokenBucket(0.0)
    bucket.deposit()
    assert drain(bucket) == 0


def test_each_route_has_its_own_bucket() -> None:
    """One route's stragglers do not use up another's budget."""
    budgets = HedgeBudgets()
    drain(budgets.of("a:m", 0.1))
    assert drain(budgets.of("b:m", 0.1)) > 0
    assert budgets.of("a:m", 0.1) is budgets.of("a:m", 0.1)


def test_oldest_bucket_is_forgotten() -> None:
    """Clients choose routes, so their number is bounded."""
    budgets = HedgeBudgets()
    drain(budgets.of("a:m", 0.1))
    for number in range(ROUTES):
        budgets.of(f"b:{number}", 0.1)
    assert drain(budgets.of("a:m", 0.1)) > 0


@pytest.mark.parametrize(
    ("kind", "status", "retry_after", "had_head", "expected"),
    [
        (FaultKind.SERVER, 500, None, True, "soon"),
        (FaultKind.OVERLOADED, 503, None, True, "soon"),
        (FaultKind.READ, None, None, False, "soon"),
        (FaultKind.READ, None, None, True, None),
        (FaultKind.SERVER, 501, None, True, None),
        (FaultKind.RATE_LIMIT, 429, 30.0, True, 30.0),
        (FaultKind.RATE_LIMIT, 429, 30.1, True, None),
        (FaultKind.RATE_LIMIT, 429, None, True, None),
        (FaultKind.TTFT, None, 1.0, True, None),
        (FaultKind.IDLE, None, None, False, None),
    ],
)
def test_repeat_is_made_where_it_may_help(
    kind: FaultKind,
    status: int | None,
    retry_after: float | None,
    had_head: bool,
    expected: float | str | None,
) -> None:
    """A short known wait is waited out, a bare failure soon repeated, silence never."""
    fault = UpstreamFault(kind, "x", status=status, retry_after=retry_after)
    delay = repeat_delay(fault, Policy(), random.Random(1), had_head=had_head)
    if expected == "soon":
        assert delay is not None
        assert 0.05 <= delay <= 0.2
    else:
        assert expected == delay
