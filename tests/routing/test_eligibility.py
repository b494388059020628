"""What a call is told when nothing may be tried."""

import pytest

from lipstream.canonical.candidate import Candidate
from lipstream.errors import (
    CapabilityMissing,
    ContextTooLong,
    NoCandidate,
    RoutingFault,
    TransportRejected,
)
from lipstream.routing.eligibility import Bar, Conditions, bar_against, no_candidate
from lipstream.routing.planner import count_steps
from lipstream.routing.selector import leaves, parse_selector

ALWAYS_KNOWN = {"a", "b", "c", "d"}.__contains__


def test_only_unknown_backends_are_named() -> None:
    """The client learns which names it may have mistyped, each once."""
    fault = no_candidate(parse_selector("x:m|y:m!x:n"), Conditions(is_known=ALWAYS_KNOWN))
    assert isinstance(fault, NoCandidate)
    assert fault.unknown_backends == ("x", "y")
    assert str(fault) == "no such backend: 'x', 'y'"


def test_call_too_large_for_all_is_too_long() -> None:
    """Unknown backends do not count: nobody knows what they could take."""
    fault = no_candidate(
        parse_selector("[max_context=5]a:m|[max_context=9]b:m|x:m"),
        Conditions(is_known=ALWAYS_KNOWN, size=10),
    )
    assert isinstance(fault, ContextTooLong)


def test_mixed_reasons_are_told_per_candidate() -> None:
    """The operator sees at a glance why nothing ran."""
    fault = no_candidate(
        parse_selector("x:m|a:m|b:m|[max_context=5]c:m|[min_context=50]d:m"),
        Conditions(is_known=ALWAYS_KNOWN, size=10, excluded={"a:m"}, unhealthy={"b:m"}),
    )
    assert isinstance(fault, NoCandidate)
    assert fault.unknown_backends == ()
    assert str(fault) == (
        "no candidate may be tried: x:m (unknown backend), a:m (excluded), b:m (unhealthy), "
        "c:m (call too large), d:m (call too small)"
    )


# ---------------------------------------------------------------- candidates that are not admitted

REFUSALS: dict[str, RoutingFault] = {
    "blind": CapabilityMissing("missing: vision"),
    "mute": CapabilityMissing("missing: audio"),
    "slow": TransportRejected("not offered"),
}


def refusal(candidate: Candidate) -> RoutingFault | None:
    """By the backend's name."""
    return REFUSALS.get(candidate.backend)


def test_refused_candidate_is_no_step() -> None:
    """Nothing is planned for it, in a race nor in turn."""
    conditions = Conditions(refusal=refusal)
    assert count_steps(parse_selector("blind:m|a:m!slow:m|slow:m"), conditions) == 1
    bars = [bar_against(leaf, conditions) for leaf in leaves(parse_selector("blind:m|a:m|slow:m"))]
    assert bars == [Bar.CAPABILITY, None, Bar.TRANSPORT]


@pytest.mark.parametrize(
    ("selector", "told"),
    [
        ("blind:m", "blind"),
        ("blind:m!mute:m", "mute"),
        ("slow:m|blind:m", "slow"),
        ("blind:m!slow:m", "slow"),
        ("blind:m|[max_context=5]a:m|[min_context=50]b:m", "blind"),
        ("blind:m|x:m", "blind"),
    ],
)
def test_typed_refusal_is_told_where_nothing_else_can_help(selector: str, told: str) -> None:
    """The transport before the capability, either before the size; the last of its kind."""
    known = {"a", "b", *REFUSALS}.__contains__
    conditions = Conditions(refusal=refusal, is_known=known, size=10)
    assert no_candidate(parse_selector(selector), conditions) is REFUSALS[told]


@pytest.mark.parametrize(("excluded", "unhealthy"), [({"a:m"}, ()), ((), {"a:m"})])
def test_refusal_is_not_the_last_word_while_another_candidate_may_come_back(
    excluded: set[str], unhealthy: set[str]
) -> None:
    """The client had better ask again than change its call."""
    conditions = Conditions(refusal=refusal, excluded=excluded, unhealthy=unhealthy)
    fault = no_candidate(parse_selector("blind:m|a:m"), conditions)
    assert isinstance(fault, NoCandidate)
    assert "blind:m (capability missing)" in str(fault)


def test_sizes_that_fit_nobody_are_told_one_by_one() -> None:
    """One is too small for the call, the other one is for larger calls."""
    selector = parse_selector("[max_context=5]a:m|[min_context=50]b:m")
    assert isinstance(no_candidate(selector, Conditions(size=10)), NoCandidate)
