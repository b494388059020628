"""YAML as it is read here: lines, variables, keys that stand once, settings on top."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.config.document import Document, read_document
from lipstream.config.env import Setting
from lipstream.errors import ConfigError


def read(text: str, **environment: str) -> Document:
    """A document from text."""
    return read_document(text, "x.yaml", environment)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "null"])
def test_empty_text_is_an_empty_map(text: str) -> None:
    """A file may say nothing."""
    assert read(text).tree == {}


def test_every_value_has_its_line() -> None:
    """Complaints name the line, also inside of lists."""
    document = read("a:\n  b: 1\n  c:\n    - x\n    - y\n")
    assert document.origins.places == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
    }


def test_keys_are_texts_as_they_are_written() -> None:
    """YAML's true, 1 and null are no names."""
    assert read("on: a\n1: b\n~: c").tree == {"on": "a", "1": "b", "~": "c"}


def test_dates_are_texts() -> None:
    """A model may be called like a day, even one that is none."""
    assert read("a: 2024-01-01\nb: 2024-99-99").tree == {"a": "2024-01-01", "b": "2024-99-99"}


def test_variables_are_filled_into_values_alone() -> None:
    """Their text cannot bring in new keys."""
    assert read('a: "${X}"\n"${X}": 1', X="b: 2\nc: 3").tree == {"a": "b: 2\nc: 3", "${X}": 1}


def test_merge_keys_and_anchors_work() -> None:
    """Backends may share settings; what is merged may be overridden."""
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: *b\nthree: {<<: *b}\nfour: *b"
    tree = read(text).tree
    assert tree["one"] == {"x": 1, "y": 3}
    assert tree["two"] == tree["three"] == tree["four"] == {"x": 1, "y": 2}


def test_anchored_map_with_a_merge_may_be_used_twice() -> None:
    """Its keys stand once, however often it is looked at."""
    tree = read("a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: *b").tree
    assert tree["c"] == {"x": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml:3: a: stands already in line 1"),
        ("s:\n  a: 1\n  a: 1", "x.yaml:3: s.a: stands already in line 2"),
        ("a: [", "x.yaml:1: not YAML: expected the node content, but found '<stream end>'"),
        ("a: *b", "x.yaml:1: not YAML: found undefined alias 'b'"),
        ("- a", "x.yaml: expected a map of sections, got a list"),
        ("text", 'x.yaml: expected a map of sections, got "text"'),
        ("? [a]\n: b", "x.yaml: a key must be a single word"),
        ("a: !!set {b}", "x.yaml:1: a: the tag tag:yaml.org,2002:set is not known"),
        ("a: &a [*a]", "nested too deeply"),
        ("a: " + "[" * 4000, "x.yaml: not YAML: maximum recursion depth exceeded"),
        ("\0", "x.yaml: not YAML: unacceptable character"),
        ("a:\n  - ${X}", "x.yaml:2: a.0: the environment variable X is not set"),
        ("a: {b: ${X}}", "inside of {...} and [...], a ${NAME} needs quotes"),
        ("a: 1\n---\nb: 1", "x.yaml:2: not YAML: but found another document"),
    ],
)
def test_bad_text_is_refused_with_its_place(text: str, message: str) -> None:
    """One line that says where and what."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="a:-[]{}&*!|>'\"#? \n\t$%@`1,<", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a ConfigError comes out."""
    with contextlib.suppress(ConfigError):
        assert read(text).tree is not None


def test_settings_stand_over_the_file_and_name_their_source() -> None:
    """The later one wins; sections come into being as needed."""
    document = read("a: {b: 1}")
    document.override(
        [Setting("a.b", "2", "--x"), Setting("a.b", "3", "--y"), Setting("c.d", "${E}", "--z")],
        {"E": "e"},
    )
    assert document.tree == {"a": {"b": "3"}, "c": {"d": "e"}}
    assert str(document.origins.fault(("a", "b"), "no")) == "--y: a.b: no"
    assert str(document.origins.fault(("a", "c"), "no")) == "x.yaml:1: a.c: no"


def test_setting_below_a_map_given_as_text_changes_that_map() -> None:
    """Two flags may build on each other."""
    document = read("")
    document.override([Setting("a", "{b: 1, c: 2}", "-"), Setting("a.b", "3", "-")], {})
    assert document.tree == {"a": {"b": "3", "c": 2}}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (Setting("a.b.c", "1", "--set"), "x.yaml:1: a.b: expected a map, got the number 1"),
        (Setting("a.c", "${X}", "--set"), "--set: a.c: the environment variable X is not set"),
    ],
)
def test_setting_that_cannot_be_made_is_refused(setting: Setting, message: str) -> None:
    """A flag may be wrong just like a file."""
    with pytest.raises(ConfigError) as caught:
        read("a: {b: 1}").override([setting], {})
    assert str(caught.value).startswith(message)
