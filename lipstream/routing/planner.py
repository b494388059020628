"""What to try next: one step of candidates, from the selector and what is known by now.

The executor asks before every attempt, each time with what has been excluded since, and uses only
the first step. So a weighted arm is drawn again among the branches that are left (``a^b|c`` tries a
or b, then the other one, then c), and nothing is drawn or consumed for arms that are not used.

What may be tried at all is a matter of :class:`Conditions` (``eligibility``). Hints (``preferred``)
reorder what may be tried and never add to it.

Planning changes nothing: an entry that ``consumes_first`` says so, and whoever opens it remembers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Protocol

import attrs

from lipstream.canonical.candidate import Candidate
from lipstream.routing.eligibility import Conditions, bar_against, no_candidate
from lipstream.routing.selector import Arm, Branch, Selector, Weighted

__all__ = [
    "Conditions",
    "Dice",
    "Entry",
    "Step",
    "count_steps",
    "next_step",
    "no_candidate",
    "plan",
]


class Dice(Protocol):
    """A source of chance; ``random.Random`` is one."""

    def randrange(self, stop: int, /) -> int:
        """Draws uniformly from 0 to ``stop - 1``."""


@attrs.frozen
class Entry:
    """A candidate, and when it starts within its step.

    Attributes:
        delay: Seconds after the step's beginning.
        ttft_timeout: Seconds to the first content, or None.
        handicap: Seconds of head start as written. When a leg that has one fails, all that still
            wait start at once.
        index: Place of the branch in its arm, which tells two equal candidates of a race apart.
        consumes_first: Whether opening it is the session's first call.
    """

    candidate: Candidate
    delay: float = 0.0
    ttft_timeout: float | None = None
    handicap: float = 0.0
    index: int = 0
    consumes_first: bool = False


@attrs.frozen
class Step:
    """What is tried together, sorted by delay, and the number of the arm it comes from."""

    arm: int
    entries: tuple[Entry, ...]


def next_step(selector: Selector, conditions: Conditions, dice: Dice) -> Step | None:
    """The step to try now, or None when nothing may be tried (see :func:`no_candidate`)."""
    return next(plan(selector, conditions, dice), None)


def plan(selector: Selector, conditions: Conditions, dice: Dice) -> Iterator[Step]:
    """All steps that are possible now, made one by one as they are asked for.

    With a sticky backend that has a leaf which may be tried, the plan is that leaf alone.
    """
    sticky = _sticky_step(selector, conditions)
    if sticky is not None:
        yield sticky
        return
    steps = _steps(selector, conditions, dice)
    if conditions.preferred:
        steps = iter(sorted(steps, key=lambda step: _preference(step, conditions)))
    yield from steps


def count_steps(selector: Selector, conditions: Conditions) -> int:
    """How many steps are possible now; draws nothing."""
    return sum(1 for arm in selector.arms if _eligible(arm, conditions))


Choice = tuple[int, Branch]


def _steps(selector: Selector, conditions: Conditions, dice: Dice) -> Iterator[Step]:
    for number, arm in enumerate(selector.arms):
        choices = _eligible(arm, conditions)
        if not choices:
            continue
        if isinstance(arm, Weighted):
            choices = [_draw(choices, conditions, dice)]
        yield _step(number, choices, conditions)


def _eligible(arm: Arm, conditions: Conditions) -> list[Choice]:
    return [
        (index, branch)
        for index, branch in enumerate(arm.branches)
        if bar_against(branch.leaf, conditions) is None
    ]


def _draw(choices: list[Choice], conditions: Conditions, dice: Dice) -> Choice:
    if conditions.steers_first:
        for choice in choices:
            if choice[1].is_first:
                return choice
    bounds = list(accumulate(branch.weight for _, branch in choices))
    return choices[bisect_right(bounds, dice.randrange(bounds[-1]))]


def _step(number: int, choices: list[Choice], conditions: Conditions) -> Step:
    head_start = max(branch.handicap for _, branch in choices)
    if conditions.preferred:
        choices = sorted(choices, key=lambda choice: _rank(choice[1].leaf.key, conditions))
    entries = [
        Entry(
            branch.leaf.candidate,
            delay=head_start - branch.handicap,
            ttft_timeout=branch.leaf.ttft_timeout,
            handicap=branch.handicap,
            index=index,
            consumes_first=branch.is_first and conditions.steers_first,
        )
        for index, branch in choices
    ]
    return Step(number, tuple(sorted(entries, key=lambda entry: entry.delay)))


def _sticky_step(selector: Selector, conditions: Conditions) -> Step | None:
    if conditions.sticky is None:
        return None
    for number, arm in enumerate(selector.arms):
        for index, branch in _eligible(arm, conditions):
            if branch.leaf.candidate.backend == conditions.sticky:
                return _step(number, [(index, branch)], conditions)
    return None


def _preference(step: Step, conditions: Conditions) -> int:
    return min(_rank(entry.candidate.key, conditions) for entry in step.entries)


def _rank(key: str, conditions: Conditions) -> int:
    preferred = conditions.preferred
    return preferred.index(key) if key in preferred else len(preferred)
