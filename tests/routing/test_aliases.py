"""Aliases rewrite a selector once, and cannot be got around or be made to hang."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical.limits import CALL_LIMITS
from lipstream.errors import BadSelector, ConfigError
from lipstream.routing.aliases import Aliases, compile_aliases

AMBIGUOUS = r"^(\w+)-(\w+)$"


def resolve(text: str, *pairs: tuple[str, str]) -> str:
    return compile_aliases(pairs).resolve(text)


def test_text_without_a_match_is_only_trimmed() -> None:
    """No alias, no change."""
    assert resolve("  openai:gpt ", ("^smart$", "a:b")) == "openai:gpt"
    assert Aliases().resolve(" x ") == "x"


def test_first_matching_alias_is_the_only_one() -> None:
    """The order of the configuration decides, and a result is not rewritten again."""
    assert resolve("one", ("one", "two"), ("one", "three"), ("two", "four")) == "two"


def test_every_match_is_replaced() -> None:
    """A pattern that is not anchored rewrites each leaf it is found in."""
    assert resolve("old:a|old:b", ("old:", "new:m")) == "new:ma|new:mb"


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "expected"),
    [
        ("^gpt-(.*)$", "openai:gpt-$1", "gpt-4o", "openai:gpt-4o"),
        ("^gpt-(.*)$", "openai:${1}x", "gpt-4o", "openai:4ox"),
        ("^gpt-(.*)$", "openai:$1x", "gpt-4o", "openai:"),
        ("^gpt-(.*)$", "openai:$0", "gpt-4o", "openai:gpt-4o"),
        ("^gpt-(.*)$", "openai:$2${00000000001}", "gpt-4o", "openai:"),
        ("^(?P<model>.*)$", "a:$model|b:${model}", "m", "a:m|b:m"),
        ("^(?P<model>.*)$", "a:${1}", "m", "a:m"),
        ("^x(y)?$", "a:z$1", "x", "a:z"),
        ("^x$", "a:$$1$ ${!}$", "x", "a:$1$ ${!}$"),
        (AMBIGUOUS, "$1:$2!b:${2}", "openai-mini", "openai:mini!b:mini"),
        ("(?i)^smart$", "a:b?c=d", "SMART", "a:b?c=d"),
    ],
)
def test_references_stand_for_groups(
    pattern: str, replacement: str, text: str, expected: str
) -> None:
    """By number or name, nothing for a group that is not there, and a doubled dollar for one."""
    assert expected == resolve(text, (pattern, replacement))


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (" ", "a:b", "blank pattern"),
        ("a", " ", "blank replacement"),
        ("(", "a:b", "not a regular expression"),
        ("(a+)+", "a:b", "can take for ever"),
        ("^a$", "a:b||c", "an arm is missing"),
        ("^a$", "a:$1{commit=text}", "at the beginning"),
    ],
)
def test_unusable_alias_is_an_error_of_configuration(
    pattern: str, replacement: str, message: str
) -> None:
    """A mistake is found at the start and not by the request that meets it."""
    with pytest.raises(ConfigError, match=message):
        compile_aliases([(pattern, replacement)])


def test_replacement_may_name_only_a_model() -> None:
    """The default backend is not known before the default route has been resolved."""
    assert resolve("x", ("x", "gpt-4o")) == "gpt-4o"


def test_text_longer_than_an_alias_can_bear_is_refused() -> None:
    """It is not passed on: aliases may be policy, and length must not be a way around."""
    with pytest.raises(BadSelector, match="at most 2048 are allowed where aliases") as caught:
        resolve("x" * 2049, (AMBIGUOUS, "a:b"))
    assert caught.value.position == 2048


def test_linear_alias_takes_any_selector() -> None:
    """Only a selector that is too long by itself is refused."""
    longest = "x" * CALL_LIMITS.selector
    assert longest == resolve(longest, ("^smart$", "a:b"))
    with pytest.raises(BadSelector):
        resolve(longest + "x", ("^smart$", "a:b"))


@given(st.text(max_size=300))
def test_any_text_resolves(text: str) -> None:
    """Whatever a client sends, aliases answer with text."""
    pairs = [("^smart$", "a:b"), (AMBIGUOUS, "$1:$2"), ("b*", "c")]
    assert isinstance(resolve(text, *pairs), str)
