"""Parameters of a candidate fill what the client left open."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical.options import Options
from lipstream.errors import BadSelector
from lipstream.routing.options import apply_params, check_params


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([("temperature", "0.2")], {"temperature": 0.2}),
        ([("temperature", " 2 ")], {"temperature": 2.0}),
        ([("temperature", "2e-1")], {"temperature": 0.2}),
        ([("temperature", ".5")], {"temperature": 0.5}),
        ([("top_p", "1"), ("topP", "0.5")], {"top_p": 1.0}),
        ([("topP", "0.5"), ("top_p", " ")], {"top_p": 0.5}),
        ([("max_tokens", "5"), ("max_output_tokens", "7")], {"max_output_tokens": 7}),
        ([("max_tokens", "2147483647")], {"max_output_tokens": 2**31 - 1}),
        ([("max_tokens", "0")], {"max_output_tokens": 0}),
        ([("reasoning_effort", " high ")], {"reasoning_effort": "high"}),
        ([("parallel_tool_calls", "YES")], {"parallel_tool_calls": True}),
        ([("parallel_tool_calls", "off")], {"parallel_tool_calls": False}),
        ([("temperature", "1"), ("temperature", "2")], {"temperature": 1.0}),
        ([("temperature", ""), ("temperature", "2")], {}),
        ([("temperature", "  ")], {}),
        ([("Temperature", "1"), ("note", "x")], {}),
        ([], {}),
    ],
)
def test_parameter_fills_an_unset_option(
    params: list[tuple[str, str]], expected: dict[str, Any]
) -> None:
    """Known names with a value set their option; blanks and unknown names set nothing."""
    check_params(tuple(params))
    assert Options(**expected) == apply_params(Options(), tuple(params))


def test_what_the_client_said_wins() -> None:
    """Zero and False are something said."""
    options = Options(temperature=0.0, parallel_tool_calls=False)
    params = (("temperature", "1"), ("parallel_tool_calls", "true"), ("top_p", "0.5"))
    expected = Options(temperature=0.0, parallel_tool_calls=False, top_p=0.5)
    assert expected == apply_params(options, params)


def test_nothing_to_fill_keeps_the_object() -> None:
    """The common case copies nothing."""
    options = Options(temperature=1.0)
    assert apply_params(options, ()) is options
    assert apply_params(options, (("note", "x"),)) is options


MALFORMED = [
    ("temperature", "2.1"),
    ("temperature", "-0.1"),
    ("temperature", "nan"),
    ("temperature", "inf"),
    ("temperature", "0_1"),
    ("temperature", "\u0661"),
    ("temperature", "warm"),
    ("top_p", "1.01"),
    ("topP", "x"),
    ("max_tokens", "-1"),
    ("max_tokens", "1.5"),
    ("max_tokens", "2147483648"),
    ("max_output_tokens", "9" * 5000),
    ("parallel_tool_calls", "maybe"),
]


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_malformed_parameter_is_refused(name: str, value: str) -> None:
    """At once when a route is checked, and when it would be applied."""
    with pytest.raises(BadSelector, match=f"parameter {name} is "):
        check_params(((name, value),))
    with pytest.raises(BadSelector, match=f"parameter {name} is "):
        apply_params(Options(), ((name, value),))


def test_malformed_parameter_that_is_not_needed_is_not_looked_at() -> None:
    """The client's own value stands, so nothing of the parameter is used."""
    options = Options(temperature=1.0)
    assert apply_params(options, (("temperature", "warm"),)) is options


NAMES = st.sampled_from(["temperature", "top_p", "max_tokens", "parallel_tool_calls", "x"])


@given(st.lists(st.tuples(NAMES, st.text() | st.floats().map(str) | st.integers().map(str))))
def test_what_is_checked_can_be_applied(params: list[tuple[str, str]]) -> None:
    """Parameters that pass the check never fail a call; all others are refused in one way."""
    try:
        check_params(tuple(params))
    except BadSelector:
        return
    options = apply_params(Options(), tuple(params))
    assert options.temperature is None or 0 <= options.temperature <= 2
    assert options.top_p is None or 0 <= options.top_p <= 1
