"""The text of a selector, cut into pieces that know where they stand.

Every complaint about a selector points at a place, so the parser never handles bare strings: it
cuts a :class:`Span` into smaller ones, and the one that is wrong makes the error. Cutting copies
nothing and looks at each character once.

Not here: what the pieces mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from lipstream.canonical.limits import CALL_LIMITS
from lipstream.errors import BadSelector

MAX_INTEGER = 2**63 - 1

_SPACE = re.compile(r"\s*")
_BRACKET = re.compile(r"[\[\]]")
_MARKS = {separator: re.compile(rf"[\[\]\{separator}]") for separator in "|!^"}
_WHOLE_NUMBER = re.compile(r"\+?0*([0-9]{1,19})([KkMm]?)")
_MULTIPLIERS = {"": 1, "k": 1_000, "m": 1_000_000}

_QUOTE_LENGTH = 40
_CARET_WINDOW = 40


@attrs.frozen
class Span:
    """A piece of the selector: ``source[start:end]``."""

    source: str
    start: int
    end: int

    @property
    def text(self) -> str:
        """The piece itself."""
        return self.source[self.start : self.end]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return self.start >= self.end

    def starts_with(self, prefix: str) -> bool:
        """Whether the piece begins with ``prefix``."""
        return self.source.startswith(prefix, self.start, self.end)

    def find(self, text: str) -> int:
        """Where ``text`` first stands, as an offset in the source; -1 when nowhere."""
        return self.source.find(text, self.start, self.end)

    def trimmed(self) -> Span:
        """The piece without white space around it."""
        space = _SPACE.match(self.source, self.start, self.end)
        start = space.end() if space else self.start
        end = self.end
        while end > start and self.source[end - 1].isspace():
            end -= 1
        return Span(self.source, start, end)

    def cut(self, separator: str) -> tuple[Span, Span | None]:
        """What stands before the first ``separator`` and what stands after it, None without one."""
        at = self.find(separator)
        if at < 0:
            return self, None
        return Span(self.source, self.start, at), Span(self.source, at + 1, self.end)

    def split(self, separator: str) -> Iterator[Span]:
        """The pieces between all separators."""
        start = self.start
        while (at := self.source.find(separator, start, self.end)) >= 0:
            yield Span(self.source, start, at)
            start = at + 1
        yield Span(self.source, start, self.end)

    def split_outside_brackets(self, separator: str) -> list[Span]:
        """The pieces between the separators, one of ``|!^``, that no square bracket encloses."""
        pieces, depth, start = [], 0, self.start
        for mark in _MARKS[separator].finditer(self.source, self.start, self.end):
            if mark[0] == "[":
                depth += 1
            elif mark[0] == "]":
                depth -= 1
            elif depth == 0:
                pieces.append(Span(self.source, start, mark.start()))
                start = mark.end()
        pieces.append(Span(self.source, start, self.end))
        return pieces

    def fault(self, message: str, *, at: int | None = None) -> BadSelector:
        """The error that points at ``at``, or at the beginning of the piece."""
        return BadSelector(message, selector=self.source, position=self.start if at is None else at)


def whole_text(text: str) -> Span:
    """The text as a span, once it is known to be text of a sensible size.

    Raises:
        BadSelector: it is over the limit, or holds half a surrogate pair.
    """
    limit = CALL_LIMITS.selector
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise BadSelector(
            "half a surrogate pair is not text", selector=text, position=error.start
        ) from error
    if len(encoded) > limit:
        raise BadSelector(
            f"the selector is {len(encoded)} bytes long, at most {limit} are allowed",
            selector=text,
            position=len(encoded[:limit].decode(errors="ignore")),
        )
    return Span(text, 0, len(text))


def unbalanced_bracket(span: Span) -> int | None:
    """Where a square bracket stands that has no partner within the piece, or None."""
    opened: list[int] = []
    for mark in _BRACKET.finditer(span.source, span.start, span.end):
        if mark[0] == "[":
            opened.append(mark.start())
        elif opened:
            opened.pop()
        else:
            return mark.start()
    return opened[0] if opened else None


def read_whole_number(
    value: Span, name: str, *, maximum: int = MAX_INTEGER, takes_suffix: bool = False
) -> int:
    """Reads a number from 1 to ``maximum``; with ``takes_suffix`` K and M multiply.

    Raises:
        BadSelector: it is anything else.
    """
    match = _WHOLE_NUMBER.fullmatch(value.source, value.start, value.end)
    if match and (takes_suffix or not match[2]):
        number = int(match[1]) * _MULTIPLIERS[match[2].lower()]
        if 1 <= number <= maximum:
            return number
    suffix = ", optionally with K or M" if takes_suffix else ""
    raise value.fault(
        f"{name} takes a whole number from 1 to {maximum}{suffix}, not {quoted(value.text)}"
    )


def quoted(text: str) -> str:
    """The text in quotes, cut where it is long: for messages."""
    return repr(text if len(text) <= _QUOTE_LENGTH else text[: _QUOTE_LENGTH - 3] + "...")


def caret(fault: BadSelector) -> str:
    """The message, and below it the text around the place with a ``^`` under the place itself."""
    if not fault.selector:
        return str(fault)
    start = max(0, fault.position - _CARET_WINDOW)
    end = fault.position + _CARET_WINDOW
    before = "..." if start else ""
    after = "..." if end < len(fault.selector) else ""
    text = "".join(c if c.isprintable() else " " for c in fault.selector[start:end])
    indent = " " * (len(before) + fault.position - start)
    return f"{fault}\n  {before}{text}{after}\n  {indent}^"
