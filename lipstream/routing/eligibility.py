"""What may be tried: the conditions of one moment, and what they say about each leaf.

Not here: in which order and how many at once (``planner``).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection

import attrs

from lipstream.canonical.candidate import Candidate
from lipstream.errors import (
    CapabilityMissing,
    ContextTooLong,
    NoCandidate,
    RoutingFault,
    TransportRejected,
)
from lipstream.routing.selector import Leaf, Selector, leaves

_MAX_NAMED = 8


def _is_anything(backend: str) -> bool:
    return True


def _is_admitted(candidate: Candidate) -> None:
    """Nothing stands against it."""


@attrs.frozen(kw_only=True)
class Conditions:
    """What planning goes by.

    Attributes:
        excluded: Keys of candidates that are out for this exchange. Kept by reference: it may grow.
        unhealthy: Keys of candidates that are out for everybody at the moment.
        size: The call's size in tokens, or None when unknown; then no bound applies.
        is_first_consumed: Whether the session has had its first call.
        is_retry: Whether an answer had begun before; then ``first`` does not steer.
        preferred: Keys to try before others, the best first.
        sticky: The backend that answered this session or client before, or None.
        is_known: Tells which backends are configured.
        refusal: Tells why a candidate's model or backend cannot take the call, if that is so.
    """

    excluded: Collection[str] = frozenset()
    unhealthy: Collection[str] = frozenset()
    size: int | None = None
    is_first_consumed: bool = False
    is_retry: bool = False
    preferred: tuple[str, ...] = ()
    sticky: str | None = None
    is_known: Callable[[str], bool] = _is_anything
    refusal: Callable[[Candidate], RoutingFault | None] = _is_admitted

    @property
    def steers_first(self) -> bool:
        """Whether ``first`` still means anything."""
        return not (self.is_first_consumed or self.is_retry)


class Bar(enum.Enum):
    """What stands against a leaf."""

    UNKNOWN = "unknown backend"
    EXCLUDED = "excluded"
    UNHEALTHY = "unhealthy"
    TRANSPORT = "transport not offered"
    CAPABILITY = "capability missing"
    TOO_LARGE = "call too large"
    TOO_SMALL = "call too small"


_LASTING = frozenset({Bar.TRANSPORT, Bar.CAPABILITY, Bar.TOO_LARGE, Bar.TOO_SMALL})
"""What the client alone can change."""


def bar_against(leaf: Leaf, conditions: Conditions) -> Bar | None:
    """The first thing that stands against trying a leaf, None when nothing does.

    Bounds meet without a gap: of two leaves with ``max_context=N`` and ``min_context=N`` exactly
    one takes any call.
    """
    if leaf.key in conditions.excluded:
        return Bar.EXCLUDED
    if leaf.key in conditions.unhealthy:
        return Bar.UNHEALTHY
    if not conditions.is_known(leaf.candidate.backend):
        return Bar.UNKNOWN
    refusal = conditions.refusal(leaf.candidate)
    if refusal is not None:
        return Bar.TRANSPORT if isinstance(refusal, TransportRejected) else Bar.CAPABILITY
    size = conditions.size
    if size is not None and leaf.max_context is not None and size > leaf.max_context:
        return Bar.TOO_LARGE
    if size is not None and leaf.min_context is not None and size <= leaf.min_context:
        return Bar.TOO_SMALL
    return None


def no_candidate(selector: Selector, conditions: Conditions) -> RoutingFault:
    """The error for a call of which nothing could be tried at all.

    Returns:
        NoCandidate with the unknown backends when there are no others. When what stands against
        each of the known candidates is there to stay: TransportRejected where it is the transport
        for one of them, else CapabilityMissing, else ContextTooLong when the call is too large for
        all. In every other case NoCandidate that tells what stands against each.
    """
    found = [(leaf, bar_against(leaf, conditions)) for leaf in leaves(selector)]
    known = [(leaf, bar) for leaf, bar in found if conditions.is_known(leaf.candidate.backend)]
    if not known:
        names = tuple(dict.fromkeys(leaf.candidate.backend for leaf, _ in found))
        listed = ", ".join(repr(name) for name in names[:_MAX_NAMED])
        return NoCandidate(f"no such backend: {listed}", unknown_backends=names)
    bars = {bar for _, bar in known}
    if bars <= _LASTING:
        refusals = [conditions.refusal(leaf.candidate) for leaf, _ in known]
        for family in (TransportRejected, CapabilityMissing):
            for refusal in reversed(refusals):
                if isinstance(refusal, family):
                    return refusal
    if bars == {Bar.TOO_LARGE}:
        return ContextTooLong("the call is larger than the context of every candidate")
    why = ", ".join(f"{leaf.key} ({bar.value})" for leaf, bar in found[:_MAX_NAMED] if bar)
    return NoCandidate(f"no candidate may be tried: {why}")
