"""Budgets that keep extra attempts from multiplying load: a bucket that requests fill and extra
attempts empty."""

from __future__ import annotations

from collections import OrderedDict

RESERVE = 2.0  # extra attempts that a route may start before it has earned any
LIMIT = 10.0  # what a bucket holds at most: a quiet hour earns no storm
ROUTES = 1024  # buckets kept; the least recently used goes first


class TokenBucket:
    """Earns ``ratio`` per request, pays 1 per extra attempt."""

    __slots__ = ("_balance", "_ratio")

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._balance = RESERVE if ratio > 0 else 0.0

    def deposit(self) -> None:
        """Counts one request."""
        self._balance = min(self._balance + self._ratio, LIMIT)

    def withdraw(self) -> bool:
        """Takes the price of one extra attempt, if it is there."""
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True


class HedgeBudgets:
    """One bucket per route."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, float], TokenBucket] = OrderedDict()

    def of(self, route: str, ratio: float) -> TokenBucket:
        """The bucket of a route, by its canonical text."""
        key = (route, ratio)
        bucket = self._buckets.setdefault(key, TokenBucket(ratio))
        self._buckets.move_to_end(key)
        if len(self._buckets) > ROUTES:
            self._buckets.popitem(last=False)
        return bucket
