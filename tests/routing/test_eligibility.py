"""What a call is told when nothing may be tried."""

from lipstream.errors import ContextTooLong, NoCandidate
from lipstream.routing.eligibility import Conditions, no_candidate
from lipstream.routing.selector import parse_selector

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
