"""The language of route selectors: text in, tree out.

    {ttft_timeout=60} [weight=3]a:m ^ [first]b:m | [handicap=2]c:m ! d:m?temperature=0

    selector = [ globals ] arm { "|" arm }               arms are tried in this order
    globals  = "{" setting { "," setting } "}"           only at the very beginning
    arm      = leaf                                      primary
             | branch { "^" branch }                     weighted: one is drawn
             | branch "!" branch { "!" branch }          parallel: they race
    branch   = { "[" setting { "," setting } "]" } leaf
    leaf     = [ backend ":" ] model [ "?" query ]
    setting  = key [ "=" value ]

White space around any piece does not count, keys are known in any case. Separators inside square
brackets do not separate; in a query, which nothing protects, they are written ``%7C``, ``%21``,
``%5E``. Brackets and braces may stand in a model's name, square brackets in pairs. An arm that
begins with ``weight`` or ``first`` is weighted even with one branch.

Which settings there are is data: :data:`GLOBALS` and the annotations below it. One more is one more
row (and, in the tree, one more field).

Whatever the text, :func:`parse_selector` either returns or raises :class:`BadSelector`, in time
linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote_plus

import attrs

from lipstream.canonical.candidate import Candidate, Params
from lipstream.errors import BadSelector
from lipstream.routing.selector_text import (
    Span,
    caret,
    quoted,
    read_whole_number,
    unbalanced_bracket,
    whole_text,
)
from lipstream.routing.selector_tree import (
    RESUMES,
    Affinity,
    Arm,
    Branch,
    Leaf,
    Parallel,
    Primary,
    Selector,
    Weighted,
    format_selector,
    leaves,
)

__all__ = [
    "Affinity",
    "Arm",
    "Branch",
    "Leaf",
    "Parallel",
    "Primary",
    "Selector",
    "Weighted",
    "caret",
    "format_selector",
    "leaves",
    "parse_selector",
]

MAX_PARALLEL_BRANCHES = 16
MAX_SECONDS = 9_223_372_036  # what fits a signed 64-bit count of nanoseconds

# ---------------------------------------------------------------- settings


@attrs.frozen
class Setting:
    """One ``key=value`` of a block.

    Attributes:
        entry: The whole entry, for complaints.
        value: None when there is no equals sign.
    """

    key: str
    entry: Span
    value: Span | None

    def required(self) -> Span:
        """The value.

        Raises:
            BadSelector: there is none.
        """
        if self.value is None or self.value.is_empty:
            raise self.entry.fault(f"{self.key} needs a value: {self.key}=...", at=self.entry.end)
        return self.value


Reader = Callable[[Setting], Any]
_TIMES = {word: times for times, name in enumerate(RESUMES) for word in (name, str(times))}


def _whole(setting: Setting) -> int:
    return read_whole_number(setting.required(), setting.key)


def _tokens(setting: Setting) -> int:
    return read_whole_number(setting.required(), setting.key, takes_suffix=True)


def _seconds(setting: Setting) -> float:
    return float(read_whole_number(setting.required(), setting.key, maximum=MAX_SECONDS))


def _one_of(choices: Mapping[str, Any]) -> Reader:
    def read(setting: Setting) -> Any:
        value = setting.required()
        choice = choices.get(value.text.lower())
        if choice is None:
            allowed = ", ".join(choices)
            raise value.fault(f"{setting.key} is one of {allowed}, not {quoted(value.text)}")
        return choice

    return read


def _flag(meaning: Any, *, allows_equals: bool = False) -> Reader:
    def read(setting: Setting) -> Any:
        value = setting.value
        if value is not None and not (allows_equals and value.is_empty):
            raise value.fault(f"{setting.key} takes no value")
        return meaning

    return read


def _resume(setting: Setting) -> int:
    """A flag, or how often: in words or figures."""
    if setting.value is None:
        return 1
    return cast(int, _one_of(_TIMES)(setting))


# Each key, the field it fills and how its value is read. Two keys may fill one field, but not in
# one selector.
Settings = Mapping[str, tuple[str, Reader]]

GLOBALS: Settings = {
    "ttft_timeout": ("ttft_timeout", _seconds),
    "affinity": (
        "affinity",
        _one_of({"session": Affinity.SESSION, "client": Affinity.CLIENT}),
    ),
    "session_sticky": ("affinity", _flag(Affinity.SESSION)),
    "client_sticky": ("affinity", _flag(Affinity.CLIENT)),
    "commit": (
        "commit",
        _one_of({word: word for word in ("content", "text", "tool_call", "finish")}),
    ),
    "race": ("race", _one_of({"always": True, "safe": False})),
    "resume": ("resume", _resume),
}

_OF_LEAVES: Settings = {
    "max_context": ("max_context", _tokens),
    "min_context": ("min_context", _tokens),
    "ttft_timeout": ("ttft_timeout", _seconds),
}
_OF_WEIGHTED: Settings = {
    "weight": ("weight", _whole),
    "first": ("is_first", _flag(True, allows_equals=True)),
    **_OF_LEAVES,
}
_OF_PARALLEL: Settings = {"handicap": ("handicap", _seconds), **_OF_LEAVES}

_MAKES_WEIGHTED = frozenset({"weight", "first"})
_BELONGS_TO = {
    "weight": "a weighted arm (a^b)",
    "first": "a weighted arm (a^b)",
    "handicap": "a race (a!b)",
}

# A brace after a dollar is a capture reference in an alias's replacement, not a block.
_STRAY_GLOBALS = re.compile(rf"(?<!\$)\{{\s*(?:{'|'.join(GLOBALS)})\s*(?:[=,}}]|$)", re.IGNORECASE)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


# ---------------------------------------------------------------- the grammar


def parse_selector(text: str, *, default_backend: str = "") -> Selector:
    """Reads a selector.

    Args:
        default_backend: The backend of leaves that name only a model; empty when there is none.

    Raises:
        BadSelector: it is not one; the position is where the first fault lies, and the message says
            what would be allowed there (see :func:`caret`).
    """
    whole = whole_text(text).trimmed()
    if whole.is_empty:
        raise whole.fault("the selector is empty: expected backend:model")
    found, rest = _cut_globals(whole)
    arms = tuple(_parse_arm(arm, default_backend) for arm in rest.split_outside_brackets("|"))
    return Selector(arms, **found)


def _cut_globals(whole: Span) -> tuple[dict[str, Any], Span]:
    if not whole.starts_with("{"):
        return {}, whole
    close = whole.find("}")
    if close < 0:
        raise whole.fault("this { has no }")
    rest = Span(whole.source, close + 1, whole.end).trimmed()
    if rest.starts_with("{"):
        raise rest.fault("a selector has one {...} block: put all settings into the first")
    if rest.is_empty:
        raise rest.fault("nothing follows the {...} block: expected backend:model")
    block = Span(whole.source, whole.start + 1, close)
    return _gather(_read_block(block), GLOBALS), rest


def _parse_arm(arm: Span, default_backend: str) -> Arm:
    arm = arm.trimmed()
    if arm.is_empty:
        raise arm.fault("an arm is missing here: expected backend:model")
    legs = arm.split_outside_brackets("!")
    shares = arm.split_outside_brackets("^")
    is_weighted = len(shares) > 1 or _begins_weighted(arm)
    if len(legs) > 1 and is_weighted:
        at = max(legs[0].end, shares[0].end) if len(shares) > 1 else legs[0].end
        raise arm.fault("an arm cannot mix a race (!) with weights (^, weight, first)", at=at)
    if len(legs) > 1:
        return _parse_parallel(legs, default_backend)
    if is_weighted:
        return _parse_weighted(shares, default_backend)
    return Primary(_parse_branch(arm, _OF_LEAVES, default_backend).leaf)


def _begins_weighted(arm: Span) -> bool:
    settings = (setting for block in _Blocks(arm) for setting in _read_block(block))
    return any(setting.key in _MAKES_WEIGHTED for setting in settings)


def _parse_parallel(legs: list[Span], default_backend: str) -> Parallel:
    if len(legs) > MAX_PARALLEL_BRANCHES:
        raise legs[MAX_PARALLEL_BRANCHES].fault(
            f"a race has at most {MAX_PARALLEL_BRANCHES} branches, this one has {len(legs)}"
        )
    return Parallel(tuple(_parse_branch(leg, _OF_PARALLEL, default_backend) for leg in legs))


def _parse_weighted(shares: list[Span], default_backend: str) -> Weighted:
    branches: list[Branch] = []
    has_first = False
    for share in shares:
        branch = _parse_branch(share, _OF_WEIGHTED, default_backend)
        if branch.is_first and has_first:
            raise share.trimmed().fault("only one branch of an arm can be first")
        has_first = has_first or branch.is_first
        branches.append(branch)
    return Weighted(tuple(branches))


def _parse_branch(branch: Span, table: Settings, default_backend: str) -> Branch:
    branch = branch.trimmed()
    if branch.is_empty:
        raise branch.fault("a branch is missing here: expected backend:model")
    blocks = _Blocks(branch)
    found = _gather((setting for block in blocks for setting in _read_block(block)), table)
    of_leaf = {field: found.pop(field) for field, _ in _OF_LEAVES.values() if field in found}
    leaf = Leaf(_parse_candidate(blocks.rest, default_backend), **of_leaf)
    if leaf.min_context and leaf.max_context and leaf.min_context >= leaf.max_context:
        raise branch.fault("min_context must be smaller than max_context")
    return Branch(leaf, **found)


def _parse_candidate(leaf: Span, default_backend: str) -> Candidate:
    path, query = leaf.cut("?")
    path = path.trimmed()
    _check_path(path)
    backend, model = path.cut(":")
    if model is None:
        backend, model = Span(path.source, path.start, path.start), path
    name, model_name = backend.trimmed().text or default_backend, model.trimmed().text
    if not model_name:
        raise path.fault("a model is missing here: expected backend:model", at=path.end)
    if not name:
        raise path.fault(
            f"{quoted(model_name)} names no backend and there is no default backend: "
            "expected backend:model"
        )
    return Candidate(name, model_name, () if query is None else _parse_query(query))


def _check_path(path: Span) -> None:
    stray = _STRAY_GLOBALS.search(path.source, path.start, path.end)
    if stray:
        raise path.fault("a {...} block stands at the beginning of a selector", at=stray.start())
    at = unbalanced_bracket(path)
    if at is not None:
        raise path.fault(f"this {path.source[at]} has no partner", at=at)


def _parse_query(query: Span) -> Params:
    at = unbalanced_bracket(query)
    if at is not None:
        raise query.fault("a single bracket in a query is written %5B or %5D", at=at)
    return tuple(_parse_pair(pair) for pair in query.split("&") if not pair.is_empty)


def _parse_pair(pair: Span) -> tuple[str, str]:
    semicolon = pair.find(";")
    if semicolon >= 0:
        raise pair.fault("parameters are separated by &; a semicolon is written %3B", at=semicolon)
    key, value = pair.cut("=")
    return _unescape(key), "" if value is None else _unescape(value)


def _unescape(span: Span) -> str:
    broken = _BROKEN_ESCAPE.search(span.source, span.start, span.end)
    if broken:
        raise span.fault("a percent sign is followed by two hex digits", at=broken.start())
    try:
        return unquote_plus(span.text, errors="strict")
    except UnicodeDecodeError as error:
        raise span.fault("these escapes are not UTF-8") from error


# ---------------------------------------------------------------- blocks


class _Blocks:
    """Iterates over the blocks at the beginning of a branch; then ``rest`` is what follows them."""

    def __init__(self, branch: Span) -> None:
        self.rest = branch

    def __iter__(self) -> Iterator[Span]:
        while self.rest.starts_with("["):
            source, start, end = self.rest.source, self.rest.start, self.rest.end
            close = self.rest.find("]")
            if close < 0:
                raise self.rest.fault("this [ has no ]")
            self.rest = Span(source, close + 1, end).trimmed()
            yield Span(source, start + 1, close)


def _read_block(block: Span) -> Iterator[Setting]:
    for piece in block.split(","):
        entry = piece.trimmed()
        if entry.is_empty:
            raise entry.fault("a setting is missing here: expected key=value")
        key, value = entry.cut("=")
        value = None if value is None else value.trimmed()
        yield Setting(key.trimmed().text.lower(), entry, value)


def _gather(settings: Iterable[Setting], table: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in settings:
        if setting.key not in table:
            raise _unknown(setting, table)
        field, read = table[setting.key]
        if field in found:
            raise setting.entry.fault(f"{field.removeprefix('is_')} is given twice")
        found[field] = read(setting)
    return found


def _unknown(setting: Setting, table: Settings) -> BadSelector:
    home = _BELONGS_TO.get(setting.key)
    why = f"belongs to {home}" if home else "is not known"
    return setting.entry.fault(f"{quoted(setting.key)} {why}; allowed here: {', '.join(table)}")
