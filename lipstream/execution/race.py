"""One loop for the race, the hedge and the failover: start what is due, wait for one thing, decide.

Theory of operation. The plan gives one step after another; the entries of a step race each other,
each with its own delay. An entry is started when it is due, or at once when a running attempt of
the step failed. When nothing runs and nothing waits, the next step follows: that is failover. When
the running attempts stay without content for the policy's patience, the next step is started beside
them: that is a hedge, and it has a budget. All of them report to one place, and the loop waits
there until somebody reports or the next time is due. The shape is that of Trio's own happy-eyeballs
connect.

The first attempt to commit has won before the loop hears of it (``Exchange.try_commit`` knows no
tie). The loop then cancels the others and returns; they clean up in the nursery and nobody waits
for them. Results are values: no exception but a bug leaves.

Not here: which times count (``timetable.py``), when a candidate is worth a repeat
(``routing.repeats``), what an attempt sends and holds back (``opening.py``, ``prefix.py``).
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping, Sequence

import trio

from lipstream.errors import Cause, Exhausted, LipstreamError, UpstreamFault
from lipstream.execution.attempt import LOST, Attempt
from lipstream.execution.live import LiveExchange
from lipstream.execution.opening import Opening
from lipstream.execution.timetable import Timetable
from lipstream.execution.waiting import Pending, Waiting
from lipstream.interfaces import Backend
from lipstream.routing.budgets import TokenBucket
from lipstream.routing.classify import Verdict, decisive
from lipstream.routing.planner import Conditions, Entry, Step, count_steps, next_step, no_candidate
from lipstream.routing.repeats import repeat_delay

GIVEN_UP = "given_up"
Failure = tuple[Attempt, UpstreamFault]


class Race:
    """Everything that happens in one exchange until an attempt commits or nothing is left.

    Attributes:
        winner: The attempt that committed, as soon as it has. Whoever runs the race owns it, also
            when the run is cancelled.
    """

    def __init__(
        self,
        live: LiveExchange,
        backends: Mapping[str, Backend],
        budget: TokenBucket,
        rng: random.Random,
    ) -> None:
        self.winner: Attempt | None = None
        self._live = live
        self._opening = Opening(live)
        self._policy = live.route.policy
        self._backends = backends
        self._budget = budget
        self._rng = rng
        self._pending = Waiting()
        self._running: list[Attempt] = []
        self._ended: deque[Failure] = deque()
        self._failed: list[Failure] = []
        self._excluded: set[str] = set()
        self._repeated: set[str] = set()
        self._times = Timetable(self._policy.patience, live.call.options.reasoning_effort)
        self._launched = 0
        self._steps = 0
        self._wake = trio.Event()

    async def run(self, scope: trio.CancelScope) -> LipstreamError | None:
        """Runs until there is a winner, whom the caller then owns, or the scope's time is over.

        Returns what stood against it when nothing is left to try.
        """
        try:
            with scope:
                return await self._run()
        except BaseException:
            if self.winner is not None:  # it committed in the tick of the cancellation
                self.winner.end_with_exchange()
                await self.winner.close()  # noqa: ASYNC102 - shields itself, for a bounded time
            raise
        self.stop("deadline")
        return None

    def reopen(self, opening: Opening, broken: Attempt) -> None:
        """Makes ready to run again, with what is left, for what ``broken`` did not finish."""
        self.winner, self._opening = None, opening
        self._excluded.add(broken.entry.candidate.key)
        self._times.forget_hedge()

    async def _run(self) -> LipstreamError | None:
        while True:
            result = self.winner or self._reap()
            if result is not None:
                self.stop(GIVEN_UP if isinstance(result, LipstreamError) else LOST)
                return result if isinstance(result, LipstreamError) else None
            await trio.lowlevel.checkpoint_if_cancelled()  # the client may be gone already
            self._start_due()
            self._check_clock()
            if not self._running and not self._pending and not self._begin_anything():
                return self._exhausted()
            await self._wait()

    # -- what has ended

    def _on_end(self, attempt: Attempt) -> None:
        self._running.remove(attempt)
        if attempt.is_streaming:
            self.winner = attempt
        elif attempt.fault is not None:
            self._ended.append((attempt, attempt.fault))
        self._wake.set()

    def _reap(self) -> Exhausted | None:
        """Takes in the attempts that failed; a fatal fault decides the race."""
        while self._ended:
            attempt, fault = self._ended.popleft()
            self._failed.append((attempt, fault))
            self._excluded.add(attempt.entry.candidate.key)
            if self._opening.verdict(fault) is Verdict.GIVE_UP:
                return Exhausted(fault, self.causes())
            self._pending.hurry(trio.current_time())
            repeat = self._repeat(attempt, fault) if self._policy.same_first else None
            if repeat is not None and self._slots > 0:
                self._queue_repeat(repeat)
        return None

    def stop(self, reason: str) -> None:
        """Starts nothing any more and cancels what runs; it cleans up in the nursery."""
        self._pending.clear()
        for attempt in self._running:
            attempt.cancel(reason)

    # -- what is started

    @property
    def _slots(self) -> int:
        return self._policy.max_attempts - self._launched

    def _start_due(self) -> None:
        now = trio.current_time()
        while (pending := self._pending.pop_due(now)) is not None:
            if self._slots > 0:
                self._start(pending)
            else:
                self._pending.clear()

    def _start(self, pending: Pending) -> None:
        self._launched += 1
        self._opening.launch()
        entry = pending.entry
        backend = self._backends[entry.candidate.backend]
        attempt = Attempt(
            self._live,
            self._launched,
            pending.step,
            entry,
            backend,
            self._opening.terms(backend, entry.candidate),
            pending.due_at,
        )
        self._running.append(attempt)
        self._live.nursery.start_soon(attempt.run, self._on_end)
        self._times.start(attempt, trio.current_time(), self._time_to_content(entry))

    def _conditions(self) -> Conditions:
        """Out are the candidates that failed, and those that run or wait already."""
        running = {attempt.entry.candidate.key for attempt in self._running}
        return Conditions(
            excluded=self._excluded | running | self._pending.keys(),
            is_retry=self._opening.is_retry,
            is_known=self._backends.__contains__,
            refusal=self._live.admissions.refusal,
        )

    def _next_step(self) -> Step | None:
        if self._slots <= len(self._pending):
            return None
        selector, rng = self._live.route.selector, self._rng
        return next_step(selector, self._conditions(), rng)

    def _company(self, step: Step) -> Sequence[Entry]:
        return self._live.company(step.entries, [attempt.entry for attempt in self._running])

    def _begin(self, step: Step) -> None:
        now = trio.current_time()
        for entry in self._company(step):
            self._pending.add(Pending(now + entry.delay, entry, self._steps))
        self._steps += 1
        self._start_due()

    def _begin_anything(self) -> bool:
        """Starts the next step, else a repeat; False when nothing is left."""
        step = self._next_step()
        if step is not None:
            self._begin(step)
            return True
        repeats = [p for failed in self._failed if (p := self._repeat(*failed)) is not None]
        if repeats and self._slots > 0:
            self._queue_repeat(min(repeats, key=lambda pending: pending.due_at))
            return True
        return False

    # -- the same candidate again

    def _repeat(self, attempt: Attempt, fault: UpstreamFault) -> Pending | None:
        if attempt.entry.candidate.key in self._repeated:
            return None
        had_head = attempt.headers_at is not None
        delay = repeat_delay(fault, self._policy, self._rng, had_head=had_head)
        if delay is None:
            return None
        due_at = max(attempt.ended_at + delay, trio.current_time())
        if due_at >= self._live.deadline:
            return None
        return Pending(due_at, attempt.entry, attempt.step, is_repeat=True)

    def _queue_repeat(self, pending: Pending) -> None:
        self._repeated.add(pending.entry.candidate.key)
        self._pending.add(pending)

    # -- time

    def _time_to_content(self, entry: Entry) -> float:
        """Seconds until the first content: the entry's own limit, or its share of the deadline."""
        steps_left = count_steps(self._live.route.selector, self._conditions())
        rounds = min(self._slots, steps_left) + 1
        share = (self._live.deadline - trio.current_time()) / rounds if rounds > 1 else math.inf
        return min(share, math.inf if entry.ttft_timeout is None else entry.ttft_timeout)

    def _check_clock(self) -> None:
        """Acts on the times that have passed: cuts the silent, starts a hedge."""
        now = trio.current_time()
        for attempt in self._times.overdue(self._running, now):
            others = [a for a in self._running if a.fault is None and a is not attempt]
            if others or self._pending or self._next_step() is not None:
                attempt.expire()
        if self._times.is_hedge_due(now):
            may_hedge = self._live.may_race and not self._pending
            step = self._next_step() if may_hedge else None
            if step is not None and self._company(step) and self._budget.withdraw():
                self._begin(step)

    async def _wait(self) -> None:
        """Until somebody reports, or the next time is due."""
        until = min(self._times.next_time(self._running), self._pending.next_time())
        self._wake = trio.Event()
        with trio.CancelScope(deadline=until):
            await self._wake.wait()

    # -- nothing is left

    def causes(self) -> tuple[Cause, ...]:
        """Why the attempts that failed did, in the order in which they failed."""
        return tuple(_cause(attempt) for attempt, _ in self._failed)

    def _exhausted(self) -> LipstreamError:
        if not self._failed:
            return no_candidate(self._live.route.selector, self._conditions())
        return Exhausted(decisive([fault for _, fault in self._failed]), self.causes())


def _cause(attempt: Attempt) -> Cause:
    phase = "open" if attempt.headers_at is None else "stream"
    return Cause(attempt.entry.candidate.key, phase, attempt.reason)
