"""The times a race goes by: by when an attempt must have content, and when to lose patience."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lipstream.execution.attempt import Attempt

HARD_THINKING = ("high", "xhigh", "max")  # efforts for which patience is threefold


class Timetable:
    """Times are ``trio.current_time()``; each is due once.

    Args:
        patience: Seconds without content after which a hedge is due; None for never.
        effort: The reasoning effort that the call asks for.
    """

    def __init__(self, patience: float | None, effort: str | None) -> None:
        factor = 3 if effort in HARD_THINKING else 1
        self._patience = math.inf if patience is None else patience * factor
        self._content_by: dict[Attempt, float] = {}
        self._hedge_at = math.inf

    def start(self, attempt: Attempt, now: float, limit: float) -> None:
        """An attempt starts, and has ``limit`` seconds until its first content."""
        self._content_by[attempt] = now + limit
        self._hedge_at = now + self._patience

    def overdue(self, running: Iterable[Attempt], now: float) -> list[Attempt]:
        """The attempts whose time is over."""
        late = [attempt for attempt in running if self._content_by[attempt] <= now]
        self._content_by |= dict.fromkeys(late, math.inf)
        return [attempt for attempt in late if not attempt.terms.prefix.is_speaking]

    def forget_hedge(self) -> None:
        """What was to be hedged is over."""
        self._hedge_at = math.inf

    def is_hedge_due(self, now: float) -> bool:
        """Whether the running attempts have been without content for too long."""
        is_due = self._hedge_at <= now
        if is_due:
            self._hedge_at = math.inf
        return is_due

    def next_time(self, running: Iterable[Attempt]) -> float:
        """When there is something to do."""
        return min(self._hedge_at, *(self._content_by[attempt] for attempt in running), math.inf)
