"""What every selector text gets: a tree that formats back to it, or an error with its place."""

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical.candidate import Candidate
from lipstream.errors import BadSelector
from lipstream.routing.selector import (
    Affinity,
    Branch,
    Leaf,
    Parallel,
    Primary,
    Selector,
    Weighted,
    caret,
    format_selector,
    leaves,
    parse_selector,
)

# ---------------------------------------------------------------- texts and trees to try

SHARP = "|!^[]{}?:=,&;%$+ "
PIECES = st.sampled_from(
    [
        *SHARP,
        "a:m",
        "b",
        "weight=2",
        "first",
        "thinker",
        "handicap=3",
        "min_context=10K",
        "ttft_timeout=5",
        "affinity=client",
        "session_sticky",
        "commit=text",
        "race=safe",
        "resume",
        "resume=twice",
        "%20",
        "${1}",
        "\u00a0",
        "\u2028",
        "9" * 30,
    ]
)
WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789./-_", min_size=1, max_size=12)
COUNTS = st.integers(1, 2**63 - 1)
TIMES = st.integers(1, 9_223_372_036).map(float)
MAYBE_TIMES = st.none() | TIMES
BOUNDS = st.sampled_from([(None, None), (None, 7), (7, None), (7, 8)])
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PARAMS = st.lists(st.tuples(VALUES, VALUES), max_size=3).map(tuple)
CANDIDATES = st.builds(Candidate, WORDS, WORDS.map("m:{}".format), PARAMS)
LEAVES = st.builds(
    lambda candidate, bounds, ttft: Leaf(candidate, bounds[0], bounds[1], ttft),
    CANDIDATES,
    BOUNDS,
    MAYBE_TIMES,
)
SHARES = st.lists(st.builds(Branch, LEAVES, COUNTS), min_size=1, max_size=3)
LEGS = st.lists(st.builds(Branch, LEAVES, handicap=st.just(0.0) | TIMES), min_size=2, max_size=16)
ARMS = (
    st.builds(Primary, LEAVES)
    | st.builds(lambda shares: Weighted(tuple(shares)), SHARES)
    | st.builds(lambda leaf: Weighted((Branch(leaf, is_first=True),)), LEAVES)
    | st.builds(lambda legs: Parallel(tuple(legs)), LEGS)
)
SELECTORS = st.builds(
    Selector,
    st.lists(ARMS, min_size=1, max_size=3).map(tuple),
    MAYBE_TIMES,
    st.sampled_from(Affinity),
    st.sampled_from([None, "content", "text", "tool_call", "finish"]),
    race=st.none() | st.booleans(),
    resume=st.none() | st.integers(0, 2),
)


@st.composite
def damaged_selectors(draw: st.DrawFn) -> str:
    """The text of a selector with a few pieces put in, taken out or moved."""
    text = format_selector(draw(SELECTORS))
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        text = text[:start] + draw(PIECES | st.just("")) + text[min(end, start + 5) :]
    return text


TEXTS = st.text() | st.lists(PIECES, max_size=25).map("".join) | damaged_selectors()


# ---------------------------------------------------------------- properties


def parsed_or_fault(text: str) -> Selector | BadSelector:
    try:
        return parse_selector(text, default_backend="default")
    except BadSelector as fault:
        return fault


@given(TEXTS)
def test_any_text_gives_a_selector_or_bad_selector(text: str) -> None:
    """The parser raises nothing else, and what it accepts it can write down and read again."""
    parsed = parsed_or_fault(text)
    if isinstance(parsed, Selector):
        assert parsed == parse_selector(format_selector(parsed))
    else:
        assert parsed.selector == text
        assert 0 <= parsed.position <= len(text)
        assert caret(parsed).endswith("^" if text else "expected backend:model")


@given(SELECTORS)
def test_formatted_selector_parses_to_an_equal_one(selector: Selector) -> None:
    """The canonical text loses nothing, and equal selectors have one: it can name a route."""
    text = format_selector(selector)
    parsed = parse_selector(text)
    assert parsed == selector
    assert format_selector(parsed) == text


def calls_made(work: Callable[[], object]) -> int:
    """Counts calls, of C functions too: a measure of work that no clock disturbs."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        work()
    except BadSelector:
        pass
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("head", "unit", "tail"),
    [
        ("", "|", ""),
        ("", "[", ""),
        ("", "]", ""),
        ("a:", "{", ""),
        ("a:", "{ ", ""),
        ("", "[a=1]", "b:m"),
        ("[weight=1", ",x=1", "]b:m"),
        ("a:m", "|a:m", ""),
        ("a:m", "^a:m", ""),
        ("a:m", "!a:m", ""),
        ("a:m?", "&", ""),
        ("a:m?", "&b=%41", ""),
        ("a:m", " ", "x"),
        ("[weight=", "9", "]a:m"),
    ],
)
def test_work_grows_with_the_length_alone(head: str, unit: str, tail: str) -> None:
    """Twice the text is twice the work, however it is made."""
    short, long = (head + unit * number + tail for number in (400, 800))
    work = calls_made(lambda: parse_selector(short, default_backend="d"))
    assert calls_made(lambda: parse_selector(long, default_backend="d")) <= 2.1 * work + 20


# ---------------------------------------------------------------- single rules


def test_model_without_backend_is_refused_when_there_is_no_default() -> None:
    """The message says what is missing, at the leaf that misses it."""
    with pytest.raises(BadSelector, match="names no backend and there is no default backend") as e:
        parse_selector("a:x| gpt-4o")
    assert e.value.position == 5


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("a:x||b:y", 4, "an arm is missing"),
        ("a:x^ ^b:y", 5, "a branch is missing"),
        ("a:m![weight=2]b:m", 5, "belongs to a weighted arm"),
        ("[handicap=1]a:m", 1, "belongs to a race"),
        ("[wieght=1]a:m", 1, "allowed here: max_context, min_context, ttft_timeout"),
        ("a:m^b:m!c:m", 7, "cannot mix"),
        ("a:m!b:m^c:m", 7, "cannot mix"),
        ("[first]a:m!b:m", 10, "cannot mix"),
        ("[weight=x]a:m", 8, "weight takes a whole number from 1 to"),
        ("[max_context=]a:m", 13, "max_context needs a value"),
        ("{affinity=tenant}a:m", 10, "one of session, client, not 'tenant'"),
        ("{resume=3}a:m", 8, "resume is one of off, 0, once, 1, twice, 2, not '3'"),
        ("a:m|b:m{resume}", 7, "at the beginning"),
        ("o:m?x=%zz", 6, "two hex digits"),
        ("o:m?x=%ff", 6, "UTF-8"),
        ("o:m?a=1;b", 7, "%3B"),
        ("a:b{commit=text}", 3, "at the beginning"),
        ("openai:", 7, "a model is missing"),
        ("!".join(["a:m"] * 17), 64, "at most 16"),
        ("[min_context=5,max_context=5]a:m", 0, "smaller than max_context"),
        ("a:x^[first]b:y^[first]c:z", 15, "only one branch"),
    ],
)
def test_error_points_at_the_place(text: str, position: int, message: str) -> None:
    """Who wrote the selector sees where it is wrong and what would be allowed there."""
    with pytest.raises(BadSelector) as caught:
        parse_selector(text)
    assert position == caught.value.position
    assert message in str(caught.value)


def test_bad_escape_keeps_its_cause() -> None:
    """The decoder's own error stays reachable for logs."""
    with pytest.raises(BadSelector) as caught:
        parse_selector("o:m?x=%ff")
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_caret_stands_under_the_place() -> None:
    """Three lines: what is wrong, the text, the place."""
    fault = BadSelector("no", selector="a:x|\tb", position=5)
    assert caret(fault) == "no\n  a:x| b\n       ^"


def test_caret_shows_a_window_of_a_long_text() -> None:
    """A long selector does not bury the place."""
    fault = BadSelector("no", selector="x" * 100 + "!" + "y" * 100, position=100)
    _, text, place = caret(fault).split("\n")
    assert text == "  ..." + "x" * 40 + "!" + "y" * 39 + "..."
    assert text[place.index("^")] == "!"


def test_caret_without_a_text_is_the_message() -> None:
    """Faults of parameters have no place in a text."""
    assert caret(BadSelector("no")) == "no"


def test_long_values_are_cut_in_messages() -> None:
    """A message stays readable, whatever was sent."""
    with pytest.raises(BadSelector) as caught:
        parse_selector(f"[weight={'x' * 1000}]a:m")
    assert len(str(caught.value)) < 150


def test_canonical_text_of_everything() -> None:
    """Settings in a fixed order, weights always, parameters as they were written."""
    text = (
        "{ session_sticky , resume, race=always , commit=text , ttft_timeout=9 } "
        "[first,min_context=1K][weight=2] a : m?b=c d^b:m "
        "| [ttft_timeout=3,handicap=2,max_context=9] x ! y:z"
    )
    assert format_selector(parse_selector(text, default_backend="d")) == (
        "{ttft_timeout=9,affinity=session,commit=text,race=always,resume=once}"
        "[weight=2,first,min_context=1000]a:m?b=c+d^[weight=1]b:m"
        "|[handicap=2,max_context=9,ttft_timeout=3]d:x!y:z"
    )


def test_leaves_come_in_written_order() -> None:
    """Checks of a whole route walk over its leaves."""
    selector = parse_selector("a:1|b:2!c:3|d:4^e:5")
    assert [leaf.key for leaf in leaves(selector)] == ["a:1", "b:2", "c:3", "d:4", "e:5"]
