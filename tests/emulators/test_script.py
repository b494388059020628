"""Scripts as data: what they say, when, and how they are read from JSON."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.emulators.script import Break, Script, ToolCall, cut, script_from_json, tokens
from lipstream.emulators.timing import Bimodal, Constant, Lognormal, Times, draw
from lipstream.errors import ConfigError


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    """Streaming word by word loses and adds nothing."""
    assert "".join(tokens(text)) == text


@given(st.text(), st.integers(1, 9))
def test_cut_pieces_joined_are_the_text(text: str, size: int) -> None:
    """Cutting by size loses nothing either, and no piece is larger than asked."""
    pieces = cut(text, size)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= size for piece in pieces)


def test_words_make_numbered_words() -> None:
    """A reader can tell from the text which words are missing."""
    assert Script(words=3).deltas() == ["word1", " word2", " word3"]


def test_delta_size_stretches_words() -> None:
    """Each word becomes a delta of exactly that many characters."""
    assert [len(delta) for delta in Script(words=2, delta_size=100_000).deltas()] == [100_000] * 2


def test_delta_size_cuts_text() -> None:
    """A given text keeps its content."""
    assert Script(text="abcdefg", delta_size=3).deltas() == ["abc", "def", "g"]


@pytest.mark.parametrize(
    "script",
    [
        Script(text=""),
        Script(tool_calls=(ToolCall("f"),)),
        Script(refusal="No."),
        Script(image="https://example.com/cat.png"),
    ],
)
def test_greeting_is_said_only_when_nothing_else_is(script: Script) -> None:
    """An answer of another kind has no text unless the script gives one."""
    assert script.deltas() == []
    assert Script().deltas()


def test_smallest_count_breaks_first() -> None:
    """Of several breaks the one that comes first decides."""
    assert Script(hang_after=5, reset_after=2).first_break() == (2, Break.RESET)
    assert Script().first_break() is None


def test_times_are_drawn_anew_and_repeat_with_the_seed() -> None:
    """Two requests differ, two runs do not."""
    script = Script(content_after=Lognormal(0.4, 0.5), pace=Constant(0.02))
    rng, again = random.Random(7), random.Random(7)
    first, second = script.times(rng), script.times(rng)
    assert first != second
    assert first == script.times(again)
    assert first.pace == 0.02


def test_lognormal_median_is_in_the_middle() -> None:
    """Half of the samples lie below the median."""
    rng = random.Random(1)
    below = sum(draw(Lognormal(0.4, 1.0), rng) < 0.4 for _ in range(2000))
    assert 900 < below < 1100


def test_bimodal_is_slow_in_its_share() -> None:
    """The share is that of the slow value; there is no third one."""
    rng = random.Random(1)
    samples = [draw(Bimodal(0.1, 2.0, 0.25), rng) for _ in range(2000)]
    assert set(samples) == {0.1, 2.0}
    assert 400 < samples.count(2.0) < 600


def test_content_is_never_due_before_the_head() -> None:
    """A head that comes late moves the content, and the pace counts from there."""
    assert [Times(3.0, 1.0, 0.5).due(n) for n in range(3)] == [3.0, 3.5, 4.0]


def test_json_script_equals_the_written_one() -> None:
    """The JSON form has the same names; distributions go by type, bodies are text."""
    raw = {
        "words": 2,
        "content_after": {"type": "bimodal", "fast": 0.1, "slow": 2, "share": 0.1},
        "tool_calls": [{"name": "f", "arguments": "{}"}],
        "headers": [["x-a", "1"]],
        "error_body": "oops",
    }
    assert script_from_json(raw) == Script(
        words=2,
        content_after=Bimodal(0.1, 2.0, 0.1),
        tool_calls=(ToolCall("f", "{}"),),
        headers=(("x-a", "1"),),
        error_body=b"oops",
    )


@pytest.mark.parametrize("raw", [{"wordz": 2}, {"words": "two"}, {"garbage": "tail"}])
def test_json_script_with_unknown_name_or_type_is_refused(raw: dict[str, object]) -> None:
    """A typo must not become a benign script."""
    with pytest.raises(ConfigError):
        script_from_json(raw)
