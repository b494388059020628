"""Secrets stay inside."""

import copy
import json
import logging
import pickle

import attrs
import msgspec
import pytest

from lipstream.canonical.secret import PLACEHOLDER, Secret

KEY = "sk-do-not-show"


@attrs.frozen
class Holder:
    """Something that a debugger prints."""

    key: Secret


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(KEY)),
        repr(Secret(KEY)),
        f"{Secret(KEY)}",
        f"{Secret(KEY)!r:>10}",
        "%s" % Secret(KEY),  # noqa: UP031 - logging formats like this
        str([Secret(KEY)]),
        str(Holder(Secret(KEY))),
        str(attrs.asdict(Holder(Secret(KEY)))),
    ],
)
def test_shown_secret_is_a_placeholder(shown: str) -> None:
    """However it is turned into text, the text does not hold it."""
    assert KEY not in shown
    assert PLACEHOLDER in shown


def test_formatted_secret_takes_a_width() -> None:
    """A table of settings may be aligned."""
    assert f"{Secret(KEY):>10}" == "  [secret]"


def test_logged_secret_is_a_placeholder(caplog: pytest.LogCaptureFixture) -> None:
    """Also where the formatting is left to the logger."""
    logging.getLogger("test").error("key %s", Secret(KEY))
    assert caplog.messages == ["key [secret]"]


@pytest.mark.parametrize("write", [json.dumps, msgspec.json.encode, pickle.dumps])
def test_serialised_secret_is_refused(write: object) -> None:
    """What would be stored or sent is an error, not a placeholder that somebody reads back."""
    assert callable(write)
    with pytest.raises(TypeError):
        write(Secret(KEY))


def test_secret_has_no_readable_attributes() -> None:
    """A generic dump of an object's fields finds nothing."""
    assert not hasattr(Secret(KEY), "__dict__")


def test_revealed_secret_is_the_text() -> None:
    """The one way out."""
    assert Secret(KEY).reveal() == KEY


def test_equal_secrets_are_equal_and_hash_alike() -> None:
    """A pool may hold each key once."""
    assert {Secret(KEY), Secret(KEY), Secret("other")} == {Secret(KEY), Secret("other")}


def test_secret_is_not_equal_to_its_text() -> None:
    """Comparing with a bare text is a mistake, and not a match."""
    assert Secret(KEY) != KEY


def test_non_ascii_secrets_compare() -> None:
    """Comparing does not fail on what somebody pasted."""
    assert Secret("k\u00e9") != Secret("ke")


def test_copies_are_the_secret_itself() -> None:
    """Copying a configuration does not need to know of it."""
    secret = Secret(KEY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


@pytest.mark.parametrize(("text", "truth"), [("", False), ("x", True)])
def test_empty_secret_is_false(text: str, truth: bool) -> None:
    """An empty key is no key."""
    assert bool(Secret(text)) is truth
