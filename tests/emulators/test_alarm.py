"""The alarm: exact for a few sleepers, cancellable."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from lipstream.emulators.alarm import Alarm


async def test_sleepers_wake_in_the_order_of_their_times(autojump_clock: MockClock) -> None:
    """Each one wakes at its own moment, whenever it lay down."""
    alarm, start, woken = Alarm(), trio.current_time(), list[float]()

    async def sleep(seconds: float) -> None:
        await alarm.sleep_until(start + seconds)
        woken.append(trio.current_time() - start)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.run)
        async with trio.open_nursery() as sleepers:
            for seconds in (3.0, 1.0, 2.0, 2.0, 0.5):
                sleepers.start_soon(sleep, seconds)
        nursery.cancel_scope.cancel()
    assert woken == [0.5, 1.0, 2.0, 2.0, 3.0]


async def test_cancelled_sleeper_leaves_the_others_alone(autojump_clock: MockClock) -> None:
    """A sleeper may be cancelled; whoever sleeps beside it still wakes in time."""
    alarm, start = Alarm(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.run)
        with trio.move_on_after(1):
            await alarm.sleep_until(start + 2)
        assert trio.current_time() - start == 1
        await alarm.sleep_until(start + 3)
        nursery.cancel_scope.cancel()
    assert trio.current_time() - start == 3
