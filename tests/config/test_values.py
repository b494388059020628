"""Single values: what is taken for what, and what a refusal says."""

from typing import Any

import pytest

from lipstream.canonical.secret import Secret
from lipstream.config import values as v
from lipstream.config.values import Address, Untyped


def read(kind: Any, value: object) -> Any:
    """Reads a value of a kind."""
    reader = v.reader_of(kind)
    assert reader is not None
    return reader.read(value)


GOOD = [
    (str, "a", "a"),
    (str, Untyped("12"), "12"),
    (bool, True, True),
    (bool, Untyped("yes"), True),
    (v.Seconds, 3, 3.0),
    (v.Seconds, "250ms", 0.25),
    (v.Seconds, "1.5 m", 90.0),
    (v.Seconds, Untyped("2h"), 7200.0),
    (v.Seconds, Untyped("2"), 2.0),
    (v.Pause, 0, 0.0),
    (v.Patience, 4, 4.0),
    (v.Patience, "off", None),
    (v.Patience, False, None),
    (v.Patience, None, None),
    (v.Patience, Untyped("off"), None),
    (v.Resumes, "off", 0),
    (v.Resumes, False, 0),
    (v.Resumes, Untyped("off"), 0),
    (v.Resumes, "once", 1),
    (v.Resumes, Untyped("twice"), 2),
    (v.Resumes, 2, 2),
    (v.Bytes, 1024, 1024),
    (v.Bytes, "8 KiB", 8192),
    (v.Bytes, "2MB", 2_000_000),
    (v.Count, 1, 1),
    (v.Count, Untyped("5"), 5),
    (v.Number, -3, -3),
    (v.Port, 0, 0),
    (v.Share, 0.5, 0.5),
    (v.Share, 1, 1),
    (Address, "127.0.0.1:80", Address("127.0.0.1", 80)),
    (Address, "[::1]:80", Address("::1", 80)),
    (Address, "localhost:0", Address("localhost", 0)),
    (v.Url, "https://h/v1/", "https://h/v1"),
    (v.Url, "http://[::1]:8000", "http://[::1]:8000"),
    (v.HeaderName, "X-Title", "X-Title"),
    (v.BackendId, "stub-1_a", "stub-1_a"),
    (Secret, " k ", Secret("k")),
    (Secret, Untyped("12"), Secret("12")),
]


@pytest.mark.parametrize(("kind", "value", "expected"), GOOD)
def test_good_value_is_read(kind: Any, value: object, expected: object) -> None:
    """Values mean what they say; a text from outside has the type that is expected."""
    assert expected == read(kind, value)


BAD = [
    (str, 3),
    (str, False),
    (bool, 1),
    (bool, "true"),
    (v.Seconds, 0),
    (v.Seconds, "0s"),
    (v.Seconds, "soon"),
    (v.Seconds, True),
    (v.Seconds, float("nan")),
    (v.Seconds, float("inf")),
    (v.Seconds, Untyped("x")),
    (v.Pause, -1),
    (v.Patience, 0),
    (v.Patience, True),
    (v.Resumes, "often"),
    (v.Resumes, 3),
    (v.Resumes, True),
    (v.Resumes, [1]),
    (v.Bytes, 0),
    (v.Bytes, 1.5),
    (v.Bytes, "many MiB"),
    (v.Count, 0),
    (v.Count, 1.0),
    (v.Count, Untyped("[1]")),
    (v.Port, 65536),
    (v.Share, 1.1),
    (Address, "127.0.0.1"),
    (Address, ":80"),
    (Address, "h:65536"),
    (Address, "h:x"),
    (Address, "::1:80"),
    (Address, 80),
    (v.Url, "h/v1"),
    (v.Url, "ftp://h"),
    (v.Url, "http://"),
    (v.Url, "http://user:secret@h/v1"),
    (v.Url, "http://h/v1?key=secret"),
    (v.Url, "http://h:port/v1"),
    (v.HeaderName, "a b"),
    (v.HeaderName, ""),
    (v.BackendId, "a.b"),
    (v.BackendId, "a:b"),
    (v.BackendId, "-a"),
    (Secret, 12),
    (Secret, "a\nb"),
]


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_bad_value_is_refused(kind: Any, value: object) -> None:
    """Nothing is guessed, cut or rounded."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the refusal's
        read(kind, value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        (3, "the number 3"),
        ("x", '"x"'),
        ("x" * 50, '"' + "x" * 40 + '..."'),
        ([1], "a list"),
        ({}, "a map"),
    ],
)
def test_refusal_says_what_was_there(value: object, words: str) -> None:
    """Who reads it finds the place."""
    reader = v.reader_of(bool)
    assert reader is not None
    assert v.refusal(reader, value) == f"expected true or false, got {words}"


@pytest.mark.parametrize("value", [1234567, "sk-1234567\n"])
def test_refusal_of_a_secret_does_not_repeat_it(value: object) -> None:
    """A key that was mistyped is still a key."""
    reader = v.reader_of(Secret)
    assert reader is not None
    assert "1234567" not in v.refusal(reader, value)


def test_address_of_ipv6_is_written_in_brackets() -> None:
    """It can be read again."""
    assert str(Address("::1", 80)) == "[::1]:80"


def test_nearest_name_is_suggested() -> None:
    """A slip of the pen is answered with the word that was meant."""
    assert v.nearest("max_atempts", ["max_attempts", "idle"]) == "did you mean max_attempts?"


def test_all_names_are_listed_where_none_is_near() -> None:
    """A list helps where a guess would not."""
    assert v.nearest("zzz", ["b", "a"]) == "known here: a, b"
