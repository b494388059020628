"""What the generations of Claude take and refuse, whoever serves them.

A client says ``temperature`` and an effort to whatever model answers, and Claude refuses with a 400
what it does not take: budgets for thinking since 4.7, sampling parameters as well, and so on. The
table has it from the migration guides under https://platform.claude.com/docs/en/models. A model
that is no Claude (there are other servers of Anthropic's protocol) takes what Claude 4 took; a
Claude without a number in its name is taken for a new one.
"""

from __future__ import annotations

import enum
import re

import attrs


class Thinking(enum.Enum):
    """How a model is told to think."""

    NEVER = "never"
    BUDGET = "budget"
    ADAPTIVE = "adaptive"


class Sampling(enum.Enum):
    """Which of temperature, top_p and top_k a model takes."""

    ALL = "all"
    ONE = "one"  # temperature or top_p
    NONE = "none"


@attrs.frozen(kw_only=True)
class Generation:
    """What a model takes.

    Attributes:
        off: The type of ``thinking`` that keeps it from thinking first; empty where nothing does.
        efforts: The words that it knows.
        can_be_forced: Whether it may be told that it must call a tool.
        is_strict: Whether it holds the arguments of its calls to a schema where asked to.
    """

    thinking: Thinking
    sampling: Sampling
    off: str = "disabled"
    efforts: tuple[str, ...] = ("low", "medium", "high", "max")
    can_be_forced: bool = True
    is_strict: bool = True


_ALL = ("low", "medium", "high", "xhigh", "max")
OTHER = Generation(thinking=Thinking.BUDGET, sampling=Sampling.ALL)

# From which version on, newest first.
_GENERATIONS: tuple[tuple[tuple[int, int], Generation], ...] = (
    ((5, 5), Generation(
        thinking=Thinking.ADAPTIVE, sampling=Sampling.NONE, efforts=_ALL, can_be_forced=False)),
    ((4, 7), Generation(thinking=Thinking.ADAPTIVE, sampling=Sampling.NONE, efforts=_ALL)),
    ((4, 6), Generation(thinking=Thinking.ADAPTIVE, sampling=Sampling.ONE)),
    ((4, 5), Generation(thinking=Thinking.BUDGET, sampling=Sampling.ONE)),
    ((4, 1), Generation(thinking=Thinking.BUDGET, sampling=Sampling.ONE, is_strict=False)),
    ((3, 7), Generation(thinking=Thinking.BUDGET, sampling=Sampling.ALL, is_strict=False)),
    ((0, 0), Generation(thinking=Thinking.NEVER, sampling=Sampling.ALL, is_strict=False)),
)  # fmt: skip
_OFF = {
    # what takes the place of `disabled`, by family and the version from which on
    "fable": ((0, 0), ""),
    "mythos": ((0, 0), ""),
    "opus": ((5, 5), ""),
    "sonnet": ((5, 5), "between_tools"),
}
_UNFORCED = {"fable": (5, 1), "mythos": (5, 1)}  # where that came earlier than with the others

_NAME = re.compile(r"claude")
_FAMILY = re.compile(r"opus|sonnet|haiku|fable|mythos")
_VERSION = re.compile(r"(?<![\d.])(\d)(?:[-._](\d)(?!\d))?(?!\d)")
_NEWEST = (5, 0)


def generation_of(model: str) -> Generation:
    """What a model takes, by its name in any provider's spelling."""
    name = model.lower()
    start = _NAME.search(name)
    if start is None:
        return OTHER
    name = name[start.end() :]
    found = _VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    generation = next(row for since, row in _GENERATIONS if version >= since)
    family = _FAMILY.search(name)
    if family is None:
        return generation
    since, off = _OFF.get(family[0], (version, "disabled"))
    if version >= since:
        generation = attrs.evolve(generation, off=off)
    if version >= _UNFORCED.get(family[0], (9, 9)):
        generation = attrs.evolve(generation, can_be_forced=False)
    return generation
