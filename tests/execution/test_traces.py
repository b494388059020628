"""Backends whose work cannot be taken back are asked one after the other."""

from __future__ import annotations

import pytest
import trio

from lipstream.canonical.abilities import Abilities
from lipstream.canonical.policy import Policy
from lipstream.errors import FaultKind
from tests.fakes import FakeBackend, Run, Script, fault, make_call, run_exchange, says

AGENT = Abilities(leaves_traces=True)
FAILS = Script(refusal=fault(FaultKind.SERVER), headers_after=1.0)
SLOW = Script(says("slow", first_after=30.0))
GOOD = Script(says("good", first_after=1.0))


async def run(
    selector: str,
    scripts: dict[str, Script],
    policy: Policy | None = None,
    *,
    may_race: bool = True,
) -> Run:
    """One exchange; the backends x, y, z leave traces, all others do not."""
    backends = {
        name: FakeBackend(name, script, abilities=AGENT if name in "xyz" else Abilities())
        for name, script in scripts.items()
    }
    return await run_exchange(selector, backends, policy, call=make_call(may_race=may_race))


def asked(run: Run) -> list[str]:
    """Who was asked, in order, with the time."""
    openings = sorted(run.openings(), key=lambda opening: opening.opened_at)
    return [f"{opening.candidate.backend}@{opening.opened_at:g}" for opening in openings]


@pytest.mark.parametrize(
    ("selector", "scripts", "expected"),
    [
        # an agent that comes first is alone, whoever else is there
        ("x:m!a:m", {"x": GOOD, "a": GOOD}, ["x@0"]),
        ("x:m!a:m!b:m", {"x": FAILS, "a": GOOD, "b": GOOD}, ["x@0", "a@1", "b@1"]),
        ("x:m!y:m", {"x": FAILS, "y": GOOD}, ["x@0", "y@1"]),
        # others race each other, and the agent's turn is after them
        ("a:m!x:m!b:m", {"a": GOOD, "x": GOOD, "b": GOOD}, ["a@0", "b@0"]),
        ("a:m!x:m!b:m", {"a": FAILS, "x": GOOD, "b": FAILS}, ["a@0", "b@0", "x@1"]),
        # the route says otherwise
        ("{race=always}x:m!a:m", {"x": GOOD, "a": GOOD}, ["x@0", "a@0"]),
        ("{race=safe}a:m!x:m", {"a": GOOD, "x": GOOD}, ["a@0"]),
    ],
)
async def test_agent_is_raced_with_nobody(
    autojump_clock: trio.testing.MockClock,
    selector: str,
    scripts: dict[str, Script],
    expected: list[str],
) -> None:
    """Unless the route says so."""
    assert asked(await run(selector, scripts)) == expected


@pytest.mark.parametrize(
    ("selector", "scripts", "expected"),
    [
        ("x:m|a:m", {"x": SLOW, "a": GOOD}, ["x@0"]),
        ("a:m|x:m", {"a": SLOW, "x": GOOD}, ["a@0"]),
        ("a:m|x:m!b:m", {"a": SLOW, "x": GOOD, "b": GOOD}, ["a@0", "b@10"]),
        ("a:m|b:m", {"a": SLOW, "b": GOOD}, ["a@0", "b@10"]),
        ("{race=always}x:m|a:m", {"x": SLOW, "a": GOOD}, ["x@0", "a@10"]),
        ("{race=always}a:m|x:m", {"a": SLOW, "x": GOOD}, ["a@0", "x@10"]),
    ],
)
async def test_agent_is_neither_hedged_nor_a_hedge(
    autojump_clock: trio.testing.MockClock,
    selector: str,
    scripts: dict[str, Script],
    expected: list[str],
) -> None:
    """Patience with one that works, and none is set to work beside another."""
    policy = Policy(patience=10.0, hedge_ratio=1.0)
    assert asked(await run(selector, scripts, policy)) == expected


async def test_all_routes_may_race_agents(autojump_clock: trio.testing.MockClock) -> None:
    """Where the operator says so; a selector has the last word."""
    policy = Policy(race_side_effects=True)
    raced = await run("x:m!y:m", {"x": GOOD, "y": GOOD}, policy)
    assert asked(raced) == ["x@0", "y@0"]
    start = trio.current_time()
    tried = await run("{race=safe}x:m!y:m", {"x": GOOD, "y": GOOD}, policy)
    assert asked(tried) == [f"x@{start:g}"]


async def test_call_that_leaves_traces_is_raced_nowhere(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whoever it is for."""
    assert asked(await run("a:m!b:m", {"a": GOOD, "b": GOOD}, may_race=False)) == ["a@0"]
