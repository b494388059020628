"""Query parameters of a leaf: generation options that apply where the client said nothing.

    openai:gpt-4o?temperature=0.2&max_tokens=800

Of two names of one option the first in the table that has a value counts, of a repeated one the
first value. A blank value is no value. Parameters that the table does not know are part of the
candidate's key and nothing else. :func:`check_params` refuses what :func:`apply_params` could not
apply, whatever the client says, so that a route with a malformed parameter fails before anything
is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from lipstream.canonical.candidate import Params
from lipstream.canonical.options import Options
from lipstream.errors import BadSelector
from lipstream.routing.selector_text import quoted

_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"\+?[0-9]{1,10}")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_BOOLEANS = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)

Decoder = Callable[[str], Any]


def _decimal(largest: float) -> Decoder:
    def decode(text: str) -> float | None:
        # The pattern leaves out what float() takes besides: nan, inf, underscores, other digits.
        number = float(text) if _DECIMAL.fullmatch(text) else -1.0
        return number if 0 <= number <= largest else None

    return decode


def _whole(largest: int) -> Decoder:
    def decode(text: str) -> int | None:
        number = int(text) if _WHOLE.fullmatch(text) else -1
        return number if 0 <= number <= largest else None

    return decode


def _boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.lower())


@attrs.frozen
class _Row:
    names: tuple[str, ...]
    decode: Decoder  # None for what is not allowed
    allowed: str


# By the field of Options that is filled.
_ROWS = {
    "temperature": _Row(("temperature",), _decimal(2), "a number from 0 to 2"),
    "top_p": _Row(("top_p", "topP"), _decimal(1), "a number from 0 to 1"),
    "max_output_tokens": _Row(
        ("max_output_tokens", "max_tokens"), _whole(2**31 - 1), "a whole number below 2^31"
    ),
    "reasoning_effort": _Row(("reasoning_effort",), str, "a word"),
    "parallel_tool_calls": _Row(
        ("parallel_tool_calls",), _boolean, f"one of {', '.join(_TRUE + _FALSE)}"
    ),
}


def apply_params(options: Options, params: Params) -> Options:
    """The options with what the client left open filled from the parameters.

    Raises:
        BadSelector: a parameter that would be applied is malformed.
    """
    if not params:
        return options
    given = _first_values(params)
    values = {
        field: _value(row, given) for field, row in _ROWS.items() if getattr(options, field) is None
    }
    filled = {field: value for field, value in values.items() if value is not None}
    return attrs.evolve(options, **filled) if filled else options


def check_params(params: Params) -> None:
    """Looks at every parameter that could be applied.

    Raises:
        BadSelector: one is malformed.
    """
    given = _first_values(params)
    for row in _ROWS.values():
        _value(row, given)


def _first_values(params: Params) -> Mapping[str, str]:
    values: dict[str, str] = {}
    for key, value in params:
        values.setdefault(key, value.strip())
    return values


def _value(row: _Row, given: Mapping[str, str]) -> Any:
    name = next((name for name in row.names if given.get(name)), None)
    if name is None:
        return None
    value = row.decode(given[name])
    if value is None:
        raise BadSelector(f"parameter {name} is {row.allowed}, not {quoted(given[name])}")
    return value
