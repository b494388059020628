"""Which patterns are taken, and up to which length of text."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lipstream.errors import ConfigError
from lipstream.routing.pattern_cost import MAX_STEPS, SHORTEST_LIMIT, longest_text

SQUARE = 2**11  # the length whose square is MAX_STEPS


@pytest.mark.parametrize(
    ("pattern", "limit"),
    [
        ("^smart$", MAX_STEPS),
        ("smart", MAX_STEPS),
        (r"\Asmart", MAX_STEPS),
        (r"^gpt-(.*)$", MAX_STEPS),
        (r"^gpt-([0-9.]+)$", MAX_STEPS),
        (r"(?i)^claude(?:-.*)?$", MAX_STEPS // 2),
        ("^(a|b|c|d)$", MAX_STEPS // 4),
        ("^a$|^b$", MAX_STEPS // 2),
        (r"^o(1|3)(-\d{4}(-\d\d){2})?$", MAX_STEPS // 4),
        ("^(a|b){2}$", MAX_STEPS // 4),
        (r"^[]x*(+?]\(\*\{\\$", MAX_STEPS),
        (r"^[^]\]*]{3}$", MAX_STEPS),
        ("^a{x}{}{b", MAX_STEPS),
        ("^(?:ab)+$", MAX_STEPS),
        ("^(?i:ab){2,}?$", MAX_STEPS),
        ("^x{0,1}y{,1}$", MAX_STEPS // 4),
        ("(.*)-mini", SQUARE),
        ("x{2,3}", SQUARE),
        ("^(?P<backend>[^:]+):(.*)$", SQUARE),
        ("(?m)^(.*)$", SQUARE),
        ("a+|^b", int((MAX_STEPS / 2) ** 0.5)),
    ],
)
def test_harmless_pattern_has_a_limit(pattern: str, limit: int) -> None:
    """Linear patterns take any text in use, quadratic ones texts that keep the work the same."""
    assert limit == longest_text(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|aa)+$",
        "(a|a)*b",
        "(.*)*x",
        "(x+x+)+y",
        "([a-z]+)*@",
        "(a?){30}a{30}",
        "^" + "a?" * 30 + "a" * 30,
        r"^(([a-z])+.)+[A-Z]([a-z])+$",
        "^(?:.*a){20}$",
        "^(.*?,){11}P",
        "((a|b)?c)*",
        "(a*)*",
        ".*.*.*x",
        r"\d+\d+\d+x",
        "(a*){3}",
        "(?:(?:x?)?)+",
    ],
)
def test_catastrophic_pattern_is_refused(pattern: str) -> None:
    """What can take exponential or high polynomial time never gets to see a text."""
    with pytest.raises(ConfigError, match=r"can take for ever|may take too long"):
        longest_text(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(\w)\1", "(?P<x>a)(?P=x)", "(?>a)", "(a)(?(1)b)"],
)
def test_construct_of_unknown_cost_is_refused(pattern: str) -> None:
    """Back references, lookaround and conditionals are outside of what can be told."""
    with pytest.raises(ConfigError, match="not allowed"):
        longest_text(pattern)


@pytest.mark.parametrize("pattern", ["(", "a**", "[", "a{1,2}{3}", "x{99999999999}", "(?P<a>"])
def test_broken_pattern_is_refused(pattern: str) -> None:
    """The error is one of configuration and keeps its cause."""
    with pytest.raises(ConfigError, match="not a regular expression") as caught:
        longest_text(pattern)
    assert caught.value.__cause__ is not None


def test_verbose_pattern_is_refused() -> None:
    """With (?x) white space and comments mean something else."""
    with pytest.raises(ConfigError, match=r"\(\?x\)"):
        longest_text("(?x) a # (")


BITS = st.sampled_from(["a", "b", ".", "[ab]", "(", "(?:", ")", "|", "*", "+", "?", "{2}", "{1,3}"])


@given(st.lists(BITS, max_size=12).map("".join), st.sampled_from("ab"))
def test_taken_pattern_comes_back_from_a_text_that_hurts(pattern: str, letter: str) -> None:
    """What the guard lets pass ends, also where every way of matching fails at the last moment."""
    try:
        longest_text(pattern)
        limit = longest_text(f"(?:{pattern})c")
    except ConfigError:
        assume(False)
    assert limit >= SHORTEST_LIMIT
    assert re.search(f"(?:{pattern})c", letter * SHORTEST_LIMIT) is None
