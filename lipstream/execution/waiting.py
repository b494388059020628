"""What a race has planned and not started yet, in the order in which it is due."""

from __future__ import annotations

import math
from collections import deque

import attrs

from lipstream.routing.planner import Entry


@attrs.frozen
class Pending:
    """An entry that waits for its time; a repeat waits it out whatever happens to the others."""

    due_at: float
    entry: Entry
    step: int
    is_repeat: bool = False

    def hurried(self, now: float) -> Pending:
        """The same, due now at the latest."""
        return self if self.is_repeat else attrs.evolve(self, due_at=min(self.due_at, now))


class Waiting:
    """Entries by the time at which they are due; equal ones in the order in which they came."""

    def __init__(self) -> None:
        self._queue: deque[Pending] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, pending: Pending) -> None:
        """Takes one more."""
        self._queue.append(pending)
        self._sort()

    def hurry(self, now: float) -> None:
        """An attempt failed: what waits for its handicap is due now."""
        self._queue = deque(pending.hurried(now) for pending in self._queue)
        self._sort()

    def pop_due(self, now: float) -> Pending | None:
        """The next one whose time has come, if any."""
        return self._queue.popleft() if self.next_time() <= now else None

    def next_time(self) -> float:
        """When the next one is due."""
        return self._queue[0].due_at if self._queue else math.inf

    def keys(self) -> set[str]:
        """The candidates that wait."""
        return {pending.entry.candidate.key for pending in self._queue}

    def clear(self) -> None:
        """Lets all of them go."""
        self._queue.clear()

    def _sort(self) -> None:
        self._queue = deque(sorted(self._queue, key=lambda pending: pending.due_at))
