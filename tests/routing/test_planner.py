"""Which candidates are tried next, given what is known."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.routing.eligibility import Conditions
from lipstream.routing.planner import Entry, Step, count_steps, next_step, plan
from lipstream.routing.selector import Selector, leaves, parse_selector


class Rolls:
    """Dice that fall as told, and remember what was asked of them."""

    def __init__(self, *rolls: int) -> None:
        self.rolls = iter(rolls)
        self.asked: list[int] = []

    def randrange(self, stop: int, /) -> int:
        self.asked.append(stop)
        return next(self.rolls)


ALWAYS_KNOWN = {"a", "b", "c", "d", "e"}.__contains__


def keys(step: Step | None) -> list[str]:
    return [entry.candidate.key for entry in step.entries] if step else []


def tried(text: str, *rolls: int, conditions: Conditions | None = None) -> list[str]:
    """The keys of the first step."""
    step = next_step(parse_selector(text), conditions or Conditions(), Rolls(*rolls))
    return keys(step)


def failing_over(text: str, *rolls: int) -> Iterator[list[str]]:
    """The steps of an exchange in which everything fails."""
    excluded: set[str] = set()
    conditions, dice = Conditions(excluded=excluded), Rolls(*rolls)
    while step := next_step(parse_selector(text), conditions, dice):
        yield keys(step)
        excluded.update(keys(step))


# ---------------------------------------------------------------- arms


def test_arms_are_tried_in_order() -> None:
    """What failed is excluded, and the next arm comes."""
    assert list(failing_over("a:m|b:m|c:m")) == [["a:m"], ["b:m"], ["c:m"]]


def test_excluded_head_is_skipped() -> None:
    """Planning goes by keys, parameters included."""
    text = "a:m?x=1|a:m|b:m"
    assert tried(text, conditions=Conditions(excluded={"a:m?x=1"})) == ["a:m"]
    assert tried(text, conditions=Conditions(excluded={"a:m"})) == ["a:m?x=1"]


def test_unhealthy_candidate_is_skipped() -> None:
    """An open circuit counts like an exclusion."""
    assert tried("a:m|b:m", conditions=Conditions(unhealthy={"a:m"})) == ["b:m"]


def test_nothing_left_gives_no_step() -> None:
    """When all are excluded there is nothing to try."""
    assert tried("a:m|b:m!c:m", conditions=Conditions(excluded={"a:m", "b:m", "c:m"})) == []


def test_unknown_backend_excludes_its_leaf_alone() -> None:
    """A name that is not configured does not spoil the arms and legs beside it."""
    conditions = Conditions(is_known=ALWAYS_KNOWN)
    assert tried("x:m|b:m", conditions=conditions) == ["b:m"]
    assert tried("x:m!b:m|c:m", conditions=conditions) == ["b:m"]
    assert tried("x:m|y:m", conditions=conditions) == []


@pytest.mark.parametrize(
    ("size", "expected"),
    [(None, "a:m"), (1, "a:m"), (4096, "a:m"), (4097, "b:m"), (10_000, "b:m"), (10_001, "c:m")],
)
def test_size_bounds_meet_without_a_gap(size: int | None, expected: str) -> None:
    """A call of any size has one leaf of a partition; without an estimate no bound applies."""
    text = "[max_context=4096]a:m|[min_context=4096,max_context=10K]b:m|[min_context=10K]c:m"
    assert tried(text, conditions=Conditions(size=size)) == [expected]


def test_steps_are_counted_without_drawing() -> None:
    """Whether there is something left to turn to is a question and not a choice."""
    selector = parse_selector("a:m^b:m|c:m!a:m|d:m")
    assert count_steps(selector, Conditions()) == 3
    assert count_steps(selector, Conditions(excluded={"a:m", "c:m"})) == 2


# ---------------------------------------------------------------- weighted arms


@pytest.mark.parametrize(
    ("roll", "expected"), [(0, "a:m"), (1, "a:m"), (2, "a:m"), (3, "b:m"), (4, "c:m")]
)
def test_draw_follows_the_weights(roll: int, expected: str) -> None:
    """Weights 3, 1 and 1 share five numbers."""
    dice = Rolls(roll)
    step = next_step(parse_selector("[weight=3]a:m^b:m^c:m"), Conditions(), dice)
    assert [expected] == keys(step)
    assert dice.asked == [5]


def test_weighted_arm_is_drawn_again_among_the_rest() -> None:
    """One arm with weights gives each of its branches a try before the next arm."""
    assert list(failing_over("a:m^b:m|c:m", 1, 0)) == [["b:m"], ["a:m"], ["c:m"]]


def test_enormous_weights_do_not_overflow() -> None:
    """The sum of weights has no bound."""
    weight = 2**63 - 1
    assert tried(f"[weight={weight}]a:m^[weight={weight}]b:m", weight) == ["b:m"]


def test_only_the_used_arm_is_drawn() -> None:
    """Arms that are not reached cost no draw."""
    dice = Rolls(0)
    next_step(parse_selector("a:m^b:m|c:m^d:m"), Conditions(), dice)
    assert dice.asked == [2]


def test_first_branch_takes_the_first_call() -> None:
    """No dice are thrown, and the entry says that it is the session's first call."""
    step = next_step(parse_selector("[weight=9]a:m^[first]b:m"), Conditions(), Rolls())
    assert step is not None
    assert [(e.candidate.key, e.consumes_first) for e in step.entries] == [("b:m", True)]


@pytest.mark.parametrize(
    "conditions", [Conditions(is_first_consumed=True), Conditions(is_retry=True)]
)
def test_first_means_nothing_later(conditions: Conditions) -> None:
    """After the first call, and when an answer is replaced, the branch is one among others."""
    step = next_step(parse_selector("[first]a:m^b:m"), conditions, Rolls(0))
    assert step is not None
    assert [(e.candidate.key, e.consumes_first) for e in step.entries] == [("a:m", False)]


def test_first_branch_that_is_out_leaves_the_draw_to_the_others() -> None:
    """What may not be tried cannot steer."""
    assert tried("[first]a:m^b:m^c:m", 1, conditions=Conditions(excluded={"a:m"})) == ["c:m"]


def test_first_of_an_unused_arm_is_not_consumed() -> None:
    """Only the entry that is used says so."""
    step = next_step(parse_selector("a:m|[first]b:m"), Conditions(), Rolls())
    assert step == Step(0, (Entry(parse_selector("a:m").arms[0].branches[0].leaf.candidate),))


# ---------------------------------------------------------------- races


def test_delay_is_what_is_missing_to_the_largest_handicap() -> None:
    """The largest handicap starts at once; equal delays keep the written order."""
    text = "a:m![handicap=2,ttft_timeout=7]b:m!c:m![handicap=5]d:m"
    step = next_step(parse_selector(text), Conditions(), Rolls())
    assert step is not None
    assert [(e.candidate.key, e.delay, e.handicap, e.ttft_timeout) for e in step.entries] == [
        ("d:m", 0, 5, None),
        ("b:m", 3, 2, 7),
        ("a:m", 5, 0, None),
        ("c:m", 5, 0, None),
    ]


def test_delay_is_counted_among_the_legs_that_run() -> None:
    """A head start over nobody would only cost time."""
    step = next_step(
        parse_selector("[handicap=5]a:m![handicap=2]b:m!c:m"),
        Conditions(excluded={"a:m"}),
        Rolls(),
    )
    assert step is not None
    assert [(e.candidate.key, e.delay) for e in step.entries] == [("b:m", 0), ("c:m", 2)]


def test_equal_candidates_of_a_race_differ_in_their_index() -> None:
    """The same candidate twice is a way to cut its tail latency."""
    step = next_step(parse_selector("c:m|a:m!b:m!a:m"), Conditions(excluded={"c:m"}), Rolls())
    assert step is not None
    assert step.arm == 1
    assert [(e.candidate.key, e.index) for e in step.entries] == [
        ("a:m", 0),
        ("b:m", 1),
        ("a:m", 2),
    ]
    assert len(set(step.entries)) == 3


# ---------------------------------------------------------------- hints and stickiness


def test_preferred_arms_come_first_in_order_of_preference() -> None:
    """The rest keeps its order."""
    conditions = Conditions(preferred=("d:m", "c:m"))
    steps = plan(parse_selector("a:m|b:m!c:m|d:m|e:m"), conditions, Rolls())
    assert [keys(step) for step in steps] == [["d:m"], ["c:m", "b:m"], ["a:m"], ["e:m"]]


def test_preference_moves_legs_within_their_delay() -> None:
    """A hint reorders what starts together and does not take a head start away."""
    conditions = Conditions(preferred=("c:m",))
    assert tried("a:m!b:m!c:m", conditions=conditions) == ["c:m", "a:m", "b:m"]
    assert tried("[handicap=1]a:m!b:m!c:m", conditions=conditions) == ["a:m", "c:m", "b:m"]


def test_preference_does_not_bring_back_what_is_excluded() -> None:
    """Hints add nothing."""
    conditions = Conditions(preferred=("b:m",), excluded={"b:m"})
    assert tried("a:m|b:m", conditions=conditions) == ["a:m"]


def test_sticky_backend_is_tried_alone() -> None:
    """Its first leaf in written order is the whole plan."""
    conditions = Conditions(sticky="c")
    steps = list(plan(parse_selector("a:m|b:m!c:1!d:m|c:2"), conditions, Rolls()))
    assert [(step.arm, keys(step)) for step in steps] == [(1, ["c:1"])]
    assert steps[0].entries[0].index == 1


def test_sticky_leg_loses_its_delay() -> None:
    """There is nobody to give a head start to."""
    step = next_step(parse_selector("[handicap=5]a:m!b:m!c:m"), Conditions(sticky="b"), Rolls())
    assert step is not None
    assert step.entries[0].delay == 0


def test_sticky_backend_is_found_in_weighted_arms() -> None:
    """No dice are thrown for it, and `first` keeps its mark when it is that branch."""
    step = next_step(parse_selector("a:m^[first]b:m"), Conditions(sticky="b"), Rolls())
    assert step is not None
    assert [(e.candidate.key, e.consumes_first) for e in step.entries] == [("b:m", True)]


def test_sticky_backend_that_is_out_leaves_the_normal_plan() -> None:
    """Stickiness is a wish."""
    assert tried("a:m|b:m", conditions=Conditions(sticky="b", excluded={"b:m"})) == ["a:m"]
    assert tried("a:m|b:m", conditions=Conditions(sticky="x")) == ["a:m"]


# ---------------------------------------------------------------- properties

KEYS = [f"{backend}:m" for backend in "abcde"]
NAMES = st.sampled_from("abcde").map("{}:m".format)
ARMS = (
    NAMES
    | st.lists(NAMES, min_size=2, max_size=4).map("!".join)
    | st.lists(NAMES, min_size=2, max_size=4).map("^".join)
)
ROUTES = st.lists(ARMS, min_size=1, max_size=4).map("|".join).map(parse_selector)
CONDITIONS = st.builds(
    Conditions,
    excluded=st.frozensets(st.sampled_from(KEYS)),
    unhealthy=st.frozensets(st.sampled_from(KEYS), max_size=2),
    preferred=st.lists(st.sampled_from(KEYS), max_size=2).map(tuple),
    sticky=st.none() | st.sampled_from("abcde"),
    is_retry=st.booleans(),
)


@given(ROUTES, CONDITIONS, st.integers())
def test_plan_holds_only_what_may_be_tried(
    selector: Selector, conditions: Conditions, seed: int
) -> None:
    """No step is empty, none holds a barred key, and there is one as long as a leaf is left."""
    barred = set(conditions.excluded) | set(conditions.unhealthy)
    steps = list(plan(selector, conditions, Random(seed)))
    assert all(step.entries and not barred & set(keys(step)) for step in steps)
    left = {leaf.key for leaf in leaves(selector)} - barred
    assert bool(left) == bool(steps)


@given(ROUTES, st.integers())
def test_every_candidate_gets_its_turn(selector: Selector, seed: int) -> None:
    """Failing over until nothing is left tries each candidate in just one step."""
    seen: set[str] = set()
    conditions, dice = Conditions(excluded=seen), Random(seed)
    while step := next_step(selector, conditions, dice):
        assert not seen & set(keys(step))
        seen.update(keys(step))
    assert {leaf.key for leaf in leaves(selector)} == seen
