"""Aliases: ordered pairs of a regular expression and a replacement that rewrite a selector.

The first pattern that is found anywhere in the text replaces all its matches, and that is all:
results are not rewritten again. ``$1``, ``${1}``, ``$name`` and ``${name}`` in a replacement stand
for what a group matched (nothing, when there is no such group or it took no part), ``$$`` for a
dollar; ``$1x`` names a group "1x", so what is meant is written ``${1}x``.

A pattern that could take long on some text is refused at configuration time, and one that is only
safe up to some length refuses longer texts instead of skipping them: aliases may be policy, and
nobody gets around it with a long selector. See ``pattern_cost``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from lipstream.canonical.limits import CALL_LIMITS
from lipstream.errors import BadSelector, ConfigError
from lipstream.routing.pattern_cost import longest_text
from lipstream.routing.selector import caret, parse_selector

_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")

Template = tuple[str | int, ...]


@attrs.frozen
class Alias:
    """One compiled pair.

    Attributes:
        template: Literal text, and the numbers of the groups between it.
        max_length: Longest text in characters that the pattern may be searched in.
    """

    pattern: re.Pattern[str]
    template: Template
    max_length: int

    def expand(self, match: re.Match[str]) -> str:
        """The replacement for one match."""
        return "".join(
            piece if isinstance(piece, str) else match[piece] or "" for piece in self.template
        )


@attrs.frozen
class Aliases:
    """All pairs, in the order in which they are tried."""

    pairs: tuple[Alias, ...] = ()

    def resolve(self, text: str) -> str:
        """The text, trimmed, and rewritten by the first alias that is found in it.

        Raises:
            BadSelector: it is longer than an alias can be searched for in.
        """
        text = text.strip()
        for alias in self.pairs:
            if len(text) > alias.max_length:
                raise BadSelector(
                    f"the selector is {len(text)} characters long, at most {alias.max_length} "
                    "are allowed where aliases are configured",
                    selector=text,
                    position=alias.max_length,
                )
            if alias.pattern.search(text):
                return alias.pattern.sub(alias.expand, text)
        return text


def compile_aliases(pairs: Iterable[tuple[str, str]]) -> Aliases:
    """Checks and compiles (pattern, replacement) pairs.

    Raises:
        ConfigError: one is blank, the pattern is no regular expression or may take too long, or the
            replacement is no selector by itself (references count as ordinary text).
    """
    return Aliases(tuple(_compile(pattern, replacement) for pattern, replacement in pairs))


def _compile(pattern: str, replacement: str) -> Alias:
    if not pattern.strip():
        raise ConfigError("an alias has a blank pattern")
    if not replacement.strip():
        raise ConfigError(f"the alias for {pattern!r} has a blank replacement")
    max_length = min(longest_text(pattern), CALL_LIMITS.selector)
    try:
        parse_selector(replacement, default_backend="default")
    except BadSelector as fault:
        raise ConfigError(f"the alias for {pattern!r} is not a selector: {caret(fault)}") from fault
    compiled = re.compile(pattern)
    return Alias(compiled, _compile_template(replacement, compiled), max_length)


def _compile_template(replacement: str, pattern: re.Pattern[str]) -> Template:
    pieces: list[str | int] = []
    end = 0
    for reference in _REFERENCE.finditer(replacement):
        pieces.append(replacement[end : reference.start()])
        end = reference.end()
        pieces.append(_resolve_reference(reference, pattern))
    pieces.append(replacement[end:])
    return tuple(piece for piece in pieces if piece != "")


def _resolve_reference(reference: re.Match[str], pattern: re.Pattern[str]) -> str | int:
    if reference[1]:
        return "$"
    name = reference[2] or reference[3]
    if name in pattern.groupindex:
        return pattern.groupindex[name]
    if name.isascii() and name.isdecimal() and len(name) < 4 and int(name) <= pattern.groups:
        return int(name)
    return ""
