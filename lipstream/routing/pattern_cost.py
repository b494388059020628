"""What matching a regular expression can cost, told from its text before it is ever used.

Python's ``re`` backtracks: a harmless looking pattern can take exponential time on a text that a
client chooses. This is the guard for patterns out of a configuration. It reads the pattern once and
bounds in how many ways the engine could try to match, as ``ways * length ** degree``:

    one character, class, anchor        1 way
    a sequence                          ways multiply, degrees add
    alternatives                        ways add, the largest degree counts
    x?                                  one way more
    x*  x+  x{2,}  x{1,9}               one degree more; x must have but one way itself
    a search that is not anchored       one degree more, for where it begins

So ``^gpt-(.*)$`` is of degree 1 and takes texts of any length, ``(.*)-mini`` is of degree 2 and
takes short ones; ``(a+)+``, ``(a|aa)+`` and thirty times ``a?`` are refused, and so are back
references, lookaround and conditionals, about which nothing can be said this way.

The bound is conservative: some refused patterns are harmless, ``(?:foo|bar)+`` for one. It is meant
for an operator's slips and not for hostile patterns, which nobody but the operator can write.
``re`` has a parser that would tell more, but it is private and changes between versions.
"""

from __future__ import annotations

import re

import attrs

from lipstream.errors import ConfigError

# Steps that one search may take: some 50 ms of a slow machine.
MAX_STEPS = 2**22

# A pattern that takes only shorter texts than this is of no use: selectors get this long.
SHORTEST_LIMIT = 256

_MAX_VARYING_REPEATS = 8

_ANCHOR = re.compile(r"(?:\(\?[aiLsu]+\))?(?:\^|\\A)")
_TOKEN = re.compile(
    r"""
      (?P<open> \( (?: \?: | \?P<\w+> | \?[aiLmsu-]*:)? (?!\?) )
    | (?P<flags> \( \? [aiLmsu]+ \) )
    | (?P<refused> \( \? | \\ [1-9] )
    | (?P<close> \) )
    | (?P<bar> \| )
    | (?P<optional> (?: \? | \{0?,1\} | \{0\} ) [?+]? )
    | (?P<fixed> \{ (?P<count> \d+ ) \} [?+]? )
    | (?P<many> (?: [*+] | \{ \d* , \d* \} ) [?+]? )
    | (?P<atom> \\. | \[ \^? \]? (?: \\. | [^\]\\] )* \] | . )
    """,
    re.VERBOSE | re.DOTALL,
)


@attrs.frozen
class Cost:
    """An upper bound of the ways to try: ``ways * length ** degree``."""

    degree: int = 0
    ways: int = 1

    @property
    def is_single(self) -> bool:
        """Whether there is exactly one way, whatever the text."""
        return self.degree == 0 and self.ways == 1

    def then(self, other: Cost) -> Cost:
        """The cost of both, one after the other."""
        return Cost(self.degree + other.degree, self.ways * other.ways)

    def otherwise(self, other: Cost) -> Cost:
        """The cost of either."""
        return Cost(max(self.degree, other.degree), self.ways + other.ways)


class _Group:
    """The cost of a group so far: finished alternatives, the running one, and its last item."""

    def __init__(self) -> None:
        self.others: Cost | None = None
        self.sequence = Cost()
        self.item = Cost()

    def add(self, item: Cost) -> None:
        self.sequence = self.sequence.then(self.item)
        self.item = item

    def close_alternative(self) -> Cost:
        whole = self.sequence.then(self.item)
        self.others = whole if self.others is None else self.others.otherwise(whole)
        self.sequence = self.item = Cost()
        return self.others


def longest_text(pattern: str) -> int:
    """The length in characters up to which a search for ``pattern`` takes at most MAX_STEPS.

    Raises:
        ConfigError: the pattern is not a regular expression, or may take too long.
    """
    try:
        flags = re.compile(pattern).flags
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"pattern {pattern!r} is not a regular expression: {error}") from error
    if flags & re.VERBOSE:
        raise ConfigError(f"pattern {pattern!r} uses (?x), which is not allowed here")
    cost = _read(pattern, has_lines=bool(flags & re.MULTILINE))
    limit = int((MAX_STEPS / cost.ways) ** (1 / max(1, cost.degree)))
    if limit < SHORTEST_LIMIT:
        raise ConfigError(
            f"pattern {pattern!r} may take too long: it has too many repetitions or alternatives "
            "in a row; begin it with ^, or say more exactly what is repeated"
        )
    return limit


def _read(pattern: str, *, has_lines: bool) -> Cost:
    groups = [_Group()]
    for token in _TOKEN.finditer(pattern):
        group = groups[-1]
        match token.lastgroup:
            case "open":
                groups.append(_Group())
            case "close":
                groups.pop()
                groups[-1].add(group.close_alternative())
            case "bar":
                group.close_alternative()
            case "optional":
                group.item = Cost(group.item.degree, group.item.ways + 1)
            case "fixed":
                group.item = _repeated(group.item, int(token["count"]), pattern)
            case "many":
                group.item = _repeated(group.item, None, pattern)
            case "refused":
                raise _refused(pattern, token)
            case _:
                group.add(Cost())
    whole = groups[0]
    is_anchored = bool(_ANCHOR.match(pattern)) and not has_lines and whole.others is None
    cost = whole.close_alternative()
    return cost if is_anchored else cost.then(Cost(degree=1))


def _repeated(item: Cost, count: int | None, pattern: str) -> Cost:
    """The cost of ``count`` items in a row, of any number for None."""
    if count is None and item.is_single:
        return Cost(degree=1)
    if item.is_single:
        return item
    if count is None or count > _MAX_VARYING_REPEATS:
        raise ConfigError(
            f"pattern {pattern!r} repeats a group that itself has repetitions, options or "
            "alternatives: that can take for ever"
        )
    return Cost(item.degree * count, item.ways**count)


def _refused(pattern: str, token: re.Match[str]) -> ConfigError:
    return ConfigError(
        f"pattern {pattern!r} has {token[0]!r} at {token.start()}: back references, lookaround, "
        "conditionals and comments are not allowed, what they cost cannot be told"
    )
