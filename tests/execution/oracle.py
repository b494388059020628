"""A second opinion on races and failover: a discrete-event simulation that shares no code with
lipstream.

It knows legs that send headers, then content, or fail; arms of legs with handicaps; a budget of
attempts; a time limit over all. It keeps a heap of things to come and one clock. Times in its
scripts never tie, so there is exactly one right answer.
"""

from __future__ import annotations

import heapq
import itertools

import attrs

FATAL = "bad_request"


@attrs.frozen
class Leg:
    """One leg: content (or a fault, or nothing ever) after ``headers + content`` seconds."""

    name: str
    headers: float | None
    content: float
    outcome: str  # ok | silent | a fault kind
    handicap: int = 0
    refuses: bool = False  # the fault comes instead of the headers


@attrs.frozen
class Expected:
    """What must happen: who wins when, or which way it fails when, and when which leg was
    opened."""

    winner: str | None
    at: float
    failure: str | None
    opened: tuple[tuple[str, float], ...]


def expect(arms: list[list[Leg]], max_attempts: int, limit: float) -> Expected:
    """Plays one exchange."""
    heap: list[tuple[float, int, str, Leg]] = []
    order = itertools.count()
    opened: list[tuple[str, float]] = []
    waiting: list[Leg] = []
    faults: list[str] = []
    live: set[str] = set()
    now, steps = 0.0, list(arms)

    def open_leg(leg: Leg) -> None:
        if len(opened) >= max_attempts:
            return
        opened.append((leg.name, now))
        live.add(leg.name)
        if leg.outcome == "silent" or leg.headers is None:
            return
        after = leg.headers if leg.refuses else leg.headers + leg.content
        heapq.heappush(heap, (now + after, next(order), "report", leg))

    def begin(arm: list[Leg]) -> None:
        head_start = max(leg.handicap for leg in arm)
        for leg in sorted(arm, key=lambda leg: head_start - leg.handicap):
            waiting.append(leg)
            heapq.heappush(heap, (now + head_start - leg.handicap, next(order), "start", leg))

    def start_waiting() -> None:
        for leg in list(waiting):
            waiting.remove(leg)
            open_leg(leg)

    while True:
        if not live and not waiting:
            if not steps or len(opened) >= max_attempts:
                return Expected(None, now, "exhausted", tuple(opened))
            begin(steps.pop(0))
        if not heap or heap[0][0] >= limit:
            return Expected(None, limit, "deadline", tuple(opened))
        now, _, kind, leg = heapq.heappop(heap)
        if kind == "start":
            if leg in waiting:
                waiting.remove(leg)
                open_leg(leg)
        elif leg.outcome == "ok":
            return Expected(leg.name, now, None, tuple(opened))
        else:
            live.discard(leg.name)
            faults.append(leg.outcome)
            if leg.outcome == FATAL:
                return Expected(None, now, FATAL, tuple(opened))
            start_waiting()
