"""Waking many sleepers at the price of one.

``trio.sleep_until`` costs a cancel scope and a cancellation each time, twice as much as the
send it precedes. Here one task sleeps for all and wakes whoever is due, at most once per `TICK`.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any

import trio

TICK = 0.001
"""Seconds between two wakings at least: what a sleeper may come late by when there are many."""


class Alarm:
    """Sleepers and when they are due; works while `run` runs."""

    def __init__(self) -> None:
        self._sleepers: list[tuple[float, int, list[trio.lowlevel.Task]]] = []
        self._order = itertools.count()
        self._scope = trio.CancelScope()
        self._woken_at = -math.inf

    async def run(self) -> None:
        """Wake sleepers until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._next()) as self._scope:
                await trio.sleep_forever()
            self._wake(trio.current_time())

    async def sleep_until(self, due: float) -> None:
        """Return at ``due``, a value of ``trio.current_time()``, or up to a `TICK` later."""
        sleeper = [trio.lowlevel.current_task()]

        def abort(_: Any) -> trio.lowlevel.Abort:
            sleeper.clear()
            return trio.lowlevel.Abort.SUCCEEDED

        heapq.heappush(self._sleepers, (due, next(self._order), sleeper))
        if self._sleepers[0][2] is sleeper:
            self._scope.deadline = self._next()
        await trio.lowlevel.wait_task_rescheduled(abort)

    def _next(self) -> float:
        return max(self._sleepers[0][0], self._woken_at + TICK) if self._sleepers else math.inf

    def _wake(self, now: float) -> None:
        self._woken_at = now
        while self._sleepers and self._sleepers[0][0] <= now:
            for task in heapq.heappop(self._sleepers)[2]:
                trio.lowlevel.reschedule(task)
