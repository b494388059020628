"""What a selector says, as data, and how to write it down again.

Not here: reading the text (``selector``) and choosing among the candidates (``planner``).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from urllib.parse import quote_plus

import attrs

from lipstream.canonical.candidate import Candidate


class Affinity(enum.Enum):
    """By whom the choice of a backend is remembered."""

    NONE = "none"
    SESSION = "session"
    CLIENT = "client"


@attrs.frozen
class Leaf:
    """One candidate with the bounds of its use.

    Attributes:
        min_context: Only for calls of more tokens than this.
        max_context: Only for calls of at most this many tokens.
        ttft_timeout: Seconds to the first content, or None.
        key: The candidate's key, kept because planning asks for it all the time.
    """

    candidate: Candidate
    min_context: int | None = None
    max_context: int | None = None
    ttft_timeout: float | None = None
    key: str = attrs.field(init=False, eq=False, repr=False)

    @key.default
    def _key(self) -> str:
        return self.candidate.key


@attrs.frozen
class Branch:
    """A leaf and its standing in the arm.

    Attributes:
        weight: Share of the draws; weighted arms only.
        is_first: Whether a session's first call goes here; weighted arms only.
        handicap: Seconds of head start over a branch without one; parallel arms only.
    """

    leaf: Leaf
    weight: int = 1
    is_first: bool = False
    handicap: float = 0.0


@attrs.frozen
class Primary:
    """An arm of one candidate."""

    leaf: Leaf
    branches: tuple[Branch, ...] = attrs.field(init=False, eq=False, repr=False)

    @branches.default
    def _branches(self) -> tuple[Branch, ...]:
        return (Branch(self.leaf),)


@attrs.frozen
class Weighted:
    """An arm that draws one of its branches (``a^b``)."""

    branches: tuple[Branch, ...]


@attrs.frozen
class Parallel:
    """An arm that races its branches (``a!b``)."""

    branches: tuple[Branch, ...]


Arm = Primary | Weighted | Parallel


@attrs.frozen
class Selector:
    """A parsed selector: arms in the order in which they are tried.

    Attributes:
        ttft_timeout: Seconds to the first content over all attempts together, or None.
        commit: Which event makes an attempt the answer (``content``, ``text``, ``tool_call``,
            ``finish``), or None for the route's default.
        race: Whether calls that leave something behind at a provider may race all the same
            (``always``) or may not (``safe``), or None for the route's default.
        resume: How many times another candidate may go on with a text that was cut, or None for
            the route's default.
    """

    arms: tuple[Arm, ...]
    ttft_timeout: float | None = None
    affinity: Affinity = Affinity.NONE
    commit: str | None = None
    race: bool | None = None
    resume: int | None = None


def leaves(selector: Selector) -> Iterator[Leaf]:
    """Every leaf, in the order in which they are written."""
    for arm in selector.arms:
        for branch in arm.branches:
            yield branch.leaf


def format_selector(selector: Selector) -> str:
    """The canonical text, which parses to an equal selector unless escaping makes it too long."""
    return _format_globals(selector) + "|".join(_format_arm(arm) for arm in selector.arms)


RESUMES = ("off", "once", "twice")  # by how many times


def _format_globals(selector: Selector) -> str:
    entries = []
    if selector.ttft_timeout is not None:
        entries.append(f"ttft_timeout={selector.ttft_timeout:.0f}")
    if selector.affinity is not Affinity.NONE:
        entries.append(f"affinity={selector.affinity.value}")
    if selector.commit is not None:
        entries.append(f"commit={selector.commit}")
    if selector.race is not None:
        entries.append("race=always" if selector.race else "race=safe")
    if selector.resume is not None:
        entries.append(f"resume={RESUMES[selector.resume]}")
    return "{" + ",".join(entries) + "}" if entries else ""


def _format_arm(arm: Arm) -> str:
    if isinstance(arm, Primary):
        return _format_leaf([], arm.leaf)
    if isinstance(arm, Weighted):
        return "^".join(_format_leaf(_weighted_entries(b), b.leaf) for b in arm.branches)
    return "!".join(_format_leaf(_parallel_entries(b), b.leaf) for b in arm.branches)


def _weighted_entries(branch: Branch) -> list[str]:
    # The weight is written even when it is 1: it is what makes an arm of one branch weighted.
    return [f"weight={branch.weight}"] + (["first"] if branch.is_first else [])


def _parallel_entries(branch: Branch) -> list[str]:
    return [f"handicap={branch.handicap:.0f}"] if branch.handicap else []


def _format_leaf(entries: list[str], leaf: Leaf) -> str:
    if leaf.min_context is not None:
        entries.append(f"min_context={leaf.min_context}")
    if leaf.max_context is not None:
        entries.append(f"max_context={leaf.max_context}")
    if leaf.ttft_timeout is not None:
        entries.append(f"ttft_timeout={leaf.ttft_timeout:.0f}")
    annotations = f"[{','.join(entries)}]" if entries else ""
    candidate = leaf.candidate
    text = f"{annotations}{candidate.backend}:{candidate.model}"
    if not candidate.params:
        return text
    pairs = (f"{quote_plus(key)}={quote_plus(value)}" for key, value in candidate.params)
    return f"{text}?{'&'.join(pairs)}"
