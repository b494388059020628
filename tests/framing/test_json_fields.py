"""Reading one object of a request: what is taken, what is left, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import pytest

from lipstream.errors import BadRequest, TooLarge
from lipstream.framing.json_fields import FieldReader, merge_fields, refuse, shown

Take = Callable[[FieldReader], Any]

NEEDED: Take = methodcaller("needed_text", "a")
TEXT: Take = methodcaller("text", "a")
OPTIONAL: Take = methodcaller("optional_text", "a")
NUMBER: Take = methodcaller("number", "a")
INTEGER: Take = methodcaller("integer", "a", 0)
BOOLEAN: Take = methodcaller("boolean", "a")
OBJECT: Take = methodcaller("object", "a")
OBJECTS: Take = methodcaller("objects", "a", 2)


@pytest.mark.parametrize(
    ("take", "value", "expected"),
    [
        (NEEDED, "x", "x"),
        (NEEDED, "", ""),
        (TEXT, "x", "x"),
        (OPTIONAL, "", ""),
        (NUMBER, 1, 1),
        (NUMBER, 1.5, 1.5),
        (INTEGER, 0, 0),
        (INTEGER, 2.0, 2),
        (BOOLEAN, False, False),
        (OBJECT, {}, {}),
        (OBJECTS, [1, 2], [1, 2]),
    ],
)
def test_value_of_the_right_type_is_taken(take: Take, value: Any, expected: Any) -> None:
    """Nothing else is."""
    reader = FieldReader({"a": value, "b": None}, "")
    found = take(reader)
    assert (found, type(found), reader.left) == (expected, type(expected), {"b": None})


@pytest.mark.parametrize(
    ("take", "value", "expected"),
    [(take, None, empty) for take, empty in (
        (TEXT, ""), (OPTIONAL, None), (NUMBER, None), (INTEGER, None), (BOOLEAN, None),
        (OBJECT, None), (OBJECTS, []))]
    + [(TEXT, "", ""), (OBJECTS, [], [])],
)  # fmt: skip
def test_value_that_says_nothing_is_left(take: Take, value: Any, expected: Any) -> None:
    """So that the object can be written as it was."""
    reader = FieldReader({"a": value}, "")
    assert (take(reader), reader.left) == (expected, {"a": value})
    assert take(FieldReader({}, "")) == expected


@pytest.mark.parametrize(
    ("take", "value", "words"),
    [
        (NEEDED, None, "missing, expected a string"),
        (NEEDED, 1, "expected a string, got 1"),
        (TEXT, [], "expected a string, got a list of 0"),
        (NUMBER, "1", 'expected a number, got "1"'),
        (NUMBER, True, "expected a number, got true"),
        (INTEGER, -1, "expected an integer of at least 0, got -1"),
        (INTEGER, 1.5, "expected an integer of at least 0, got 1.5"),
        (INTEGER, True, "expected an integer of at least 0, got true"),
        (BOOLEAN, 1, "expected true or false, got 1"),
        (OBJECT, [1], "expected an object, got a list of 1"),
        (OBJECTS, {}, "expected a list, got an object"),
    ],
)
def test_wrong_type_is_refused_with_its_path(take: Take, value: Any, words: str) -> None:
    """In the client's own JSON."""
    for path, place in (("", "a"), ("x[1]", "x[1].a")):
        with pytest.raises(BadRequest) as caught:
            take(FieldReader({"a": value}, path))
        assert (str(caught.value), caught.value.param) == (f"{place}: {words}", place)
        is_missing = words.startswith("missing")
        code = "missing_required_parameter" if is_missing else "invalid_value"
        assert caught.value.code == code


def test_list_over_its_limit_is_too_large() -> None:
    """The message names both numbers."""
    with pytest.raises(TooLarge, match=r"x\.a: 3 entries, at most 2 are allowed") as caught:
        FieldReader({"a": [1, 2, 3]}, "x").objects("a", 2)
    assert (caught.value.param, caught.value.code) == ("x.a", "array_above_max_length")


def test_entries_come_with_their_paths() -> None:
    """Also those of an object that is the whole body."""
    assert FieldReader({"a": [1, 2]}, "x").entries("a", 2) == [(1, "x.a[0]"), (2, "x.a[1]")]
    assert FieldReader({"a": [{}]}, "").entries("a", 2) == [({}, "a[0]")]
    assert FieldReader({"a": None}, "").entries("a", 2) == []


def test_inner_object_is_put_back_as_far_as_it_was_not_taken() -> None:
    """Not at all, where it was."""
    reader = FieldReader({"a": {"b": "x", "c": 1}, "d": {"b": "x"}}, "r")
    for name in "ad":
        inner = reader.inner(name)
        assert inner.path == f"r.{name}"
        assert inner.text("b") == "x"
        reader.put_back(name, inner)
    assert reader.left == {"a": {"c": 1}}
    with pytest.raises(BadRequest, match=r"r\.e: missing, expected an object"):
        reader.inner("e")


def test_given_object_stays_as_it_was() -> None:
    """The reader has its own copy; the body itself has no path."""
    value = {"a": "x"}
    FieldReader(value, "").text("a")
    assert value == {"a": "x"}
    with pytest.raises(BadRequest, match="the body: expected an object") as caught:
        FieldReader([], "")
    assert caught.value.param is None
    with pytest.raises(BadRequest, match="the body: missing"):
        refuse("", "an object", None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"secret": 1}, "an object"),
        ([1, 2], "a list of 2"),
        ("x" * 78, '"' + "x" * 78 + '"'),
        ("x" * 80, "something of 82 characters"),
        ("x" * 81, "a string of 81 characters"),
        (int("9" * 90), "something of 90 characters"),
        ("é", '"\\u00e9"'),
    ],
)
def test_little_of_a_value_is_shown(value: Any, expected: str) -> None:
    """A body may hold what nobody should read in a log."""
    assert shown(value) == expected


def test_merging_keeps_what_is_known() -> None:
    """At every level."""
    known = {"a": 1, "b": {"c": 2}, "d": [1]}
    more = {"a": 9, "b": {"c": 9, "e": 3}, "d": {"x": 1}, "f": 4}
    assert merge_fields(known, more) == {"a": 1, "b": {"c": 2, "e": 3}, "d": [1], "f": 4}
    assert known == {"a": 1, "b": {"c": 2}, "d": [1]}
