"""Cancellation after a chosen step of a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

MOST_STEPS = 5000


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope when the run has made a number of steps."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self._steps = steps
        self._scope = scope

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._steps -= 1
        if self._steps == 0:
            self._scope.cancel()


async def cancelled_after(steps: int, operation: Callable[[], Awaitable[object]]) -> bool:
    """Whether the cancellation came before the operation was through."""
    with trio.CancelScope() as scope:
        instrument = CancelAfter(steps, scope)
        trio.lowlevel.add_instrument(instrument)
        try:
            await operation()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return scope.cancelled_caught
