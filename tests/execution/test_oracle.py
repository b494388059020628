"""Random race and failover scripts agree with the oracle, to the microsecond of virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.canonical.policy import Policy
from lipstream.errors import FaultKind
from tests.execution.oracle import Expected, Leg, expect
from tests.fakes import END, START, Run, Script, Step, fault, run_exchange

KINDS = ["ok", "ok", "ok", "silent", "connect", "protocol", "truncated", "not_found", "bad_request"]


@st.composite
def plans(draw: st.DrawFn) -> list[list[Leg]]:
    """One to three arms of one to three legs; every time has its own fraction, so nothing ties."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    marks = iter(draw(st.permutations(range(1, 2 * sum(sizes) + 1))))
    names = iter("abcdefghi")

    def leg(is_race: bool) -> Leg:
        outcome = draw(st.sampled_from(KINDS))
        return Leg(
            next(names),
            draw(st.integers(0, 6)) + next(marks) * 2.0**-10,
            draw(st.integers(0, 9)) + next(marks) * 2.0**-15,
            outcome,
            draw(st.integers(0, 5)) if is_race else 0,
            outcome not in ("ok", "silent") and draw(st.booleans()),
        )

    return [[leg(size > 1) for _ in range(size)] for size in sizes]


def selector_of(arms: list[list[Leg]]) -> str:
    """The plan as a person would write it."""

    def branch(leg: Leg) -> str:
        return f"[handicap={leg.handicap}]{leg.name}:m" if leg.handicap else f"{leg.name}:m"

    return "|".join("!".join(map(branch, arm)) for arm in arms)


def script_of(leg: Leg) -> Script:
    """The leg as a fake backend plays it."""
    if leg.outcome == "silent":
        return Script((Step(0, START), Step(0, None)), leg.headers)
    if leg.outcome == "ok":
        said = [e.TextDelta(leg.name)]
        return Script((Step(0, START), Step(leg.content, said), Step(0.5, END)), leg.headers)
    broken = fault(FaultKind(leg.outcome))
    if leg.refuses:
        return Script((), leg.headers, refusal=broken)
    return Script((Step(0, START), Step(leg.content, broken)), leg.headers)


def play(arms: list[list[Leg]], max_attempts: int, limit: float) -> Run:
    """Runs the real executor on the plan, in virtual time."""
    scripts = {leg.name: script_of(leg) for arm in arms for leg in arm}
    policy = Policy(max_attempts=max_attempts, deadline=10_000, idle=10_000, patience=None)
    selector = f"{{ttft_timeout={int(limit)}}}{selector_of(arms)}"

    async def main() -> Run:
        return await run_exchange(selector, scripts, policy)

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def found(run: Run) -> Expected:
    """What really happened, in the oracle's words."""
    attempts = run.record.attempts
    winner = next((a for a in attempts if a.number == run.record.winner), None)
    opened = tuple((a.candidate.backend, a.opened_at or 0.0) for a in attempts)
    if winner is not None:
        return Expected(winner.candidate.backend, winner.committed_at or 0.0, None, opened)
    return Expected(None, run.record.duration, run.record.ending.reason, opened)


def near(expected: Expected) -> Expected:
    """The same with times that compare as floats should."""
    opened: Any = tuple((name, pytest.approx(at)) for name, at in expected.opened)
    at: Any = pytest.approx(expected.at)
    return Expected(expected.winner, at, expected.failure, opened)


@given(plans(), st.integers(1, 6), st.integers(1, 40))
def test_random_plan_agrees_with_the_oracle(
    arms: list[list[Leg]], max_attempts: int, limit: int
) -> None:
    """The same leg wins or the exchange fails the same way, at the same time, after the same
    openings."""
    run = play(arms, max_attempts, limit)
    assert near(expect(arms, max_attempts, limit)) == found(run)
    if run.record.winner is not None:
        assert run.delivery.text == found(run).winner
        assert run.delivery.events[:2] == START
        assert run.delivery.events[-2:] == END
