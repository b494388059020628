"""Payloads that differ in one string are read as a parser would read them, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.framing.repeats import MAX_MISSES, Repeats

BEFORE = b'{"id":"1","a":[{"word":"x","n":[1,2]}],"word2":"y"}'
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def learned(payload: bytes = BEFORE, text: str = "x") -> Repeats:
    repeats = Repeats()
    assert repeats.learn(payload, b"word", text)
    return repeats


def with_word(word: str, *, is_ascii: bool = True) -> bytes:
    return BEFORE.replace(b'"x"', json.dumps(word, ensure_ascii=is_ascii).encode())


@given(WORDS, st.booleans())
def test_same_payload_with_another_word_gives_that_word(word: str, is_ascii: bool) -> None:
    """However it is escaped; an empty one is left to the parser."""
    assert (word or None) == learned().text(with_word(word, is_ascii=is_ascii))


@given(st.data())
def test_what_it_reads_is_what_a_parser_reads(data: st.DataObject) -> None:
    """Whatever stands in the hole: a word is told only where the rest is the same object."""
    middle = data.draw(st.binary(max_size=30) | st.sampled_from([b'x","word":"z', b"\\", b'"']))
    payload = BEFORE.replace(b"x", middle, 1)
    found = learned().text(payload)
    if found is not None:
        value: Any = json.loads(payload)
        assert found == value["a"][0]["word"]
        assert json.loads(BEFORE) == {**value, "a": [{**value["a"][0], "word": "x"}]}


@pytest.mark.parametrize(
    "payload",
    [
        BEFORE[:-1],
        BEFORE.replace(b'"1"', b'"2"'),
        BEFORE.replace(b'"x"', b"1"),
        BEFORE.replace(b'"x"', b'"\xff"'),
        BEFORE.replace(b'"x"', b'"\\ud83d"'),
        BEFORE.replace(b'"x"', b'"a\nb"'),
        b'{"id":"1","a":[{"word":"',
        b"",
    ],
)
def test_any_other_payload_is_left_to_the_parser(payload: bytes) -> None:
    """Other bytes around the word, no string, or one that is none."""
    assert None is learned().text(payload)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b'{"a":"x"}', "x"),
        (b'{"word":"x","word":"x"}', "x"),
        (b'{"word":"y"}', "x"),
        (b'{"word":"x', "x"),
        (b'{"word":5}', "x"),
        (b'{"word"  :"x"}', "x"),
    ],
)
def test_unclear_payload_is_not_learned(payload: bytes, text: str) -> None:
    """The member is missing, twice there, another string, or written in an unusual way."""
    repeats = Repeats()
    assert not repeats.learn(payload, b"word", text)
    assert None is repeats.text(payload)


def test_blank_after_the_colon_is_usual_too() -> None:
    """Python's json writes one."""
    assert "y" == learned(b'{"word": "x"}').text(b'{"word": "y"}')


def test_forgotten_payload_reads_nothing() -> None:
    """Something else came between."""
    repeats = learned()
    repeats.forget()
    assert None is repeats.text(BEFORE)


def test_learning_ends_where_it_never_pays() -> None:
    """Streams with noise in every payload are not learned for ever; one hit starts it anew."""
    repeats = Repeats()
    for _ in range(MAX_MISSES):
        assert repeats.may_learn
        repeats.learn(BEFORE, b"word", "x")
    assert not repeats.may_learn
    assert "x" == repeats.text(BEFORE)
    assert repeats.may_learn
