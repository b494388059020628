"""Variables in texts, settings by variable, keys."""

import pytest

from lipstream.canonical.secret import Secret
from lipstream.config.env import KeyNumbers, Setting, interpolate, key_in, keys_in, settings_in

ENVIRONMENT = {"NAME": "value", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${NAME}", "value"),
        ("a${NAME}b${NAME}", "avaluebvalue"),
        ("${EMPTY}", ""),
        ("${EMPTY:-x}", "x"),
        ("${UNSET:-x y}", "x y"),
        ("${UNSET:-}", ""),
        ("$$", "$"),
        ("$${NAME}", "${NAME}"),
        ("$NAME", "$NAME"),
        ("$1 ${1} ${12}x", "$1 ${1} ${12}x"),
        ("^smart$", "^smart$"),
        ("costs 5$", "costs 5$"),
    ],
)
def test_references_are_filled_in(text: str, expected: str) -> None:
    """Only ``${NAME}``, ``${NAME:-default}`` and ``$$`` mean something."""
    assert expected == interpolate(text, ENVIRONMENT)


def test_value_of_a_variable_is_not_searched_again() -> None:
    """A key with a dollar in it stays as it is."""
    assert interpolate("${A}", {"A": "${B}$$"}) == "${B}$$"


def test_unset_variable_is_refused_by_name() -> None:
    """An empty key by accident would be found out only by the provider."""
    with pytest.raises(ValueError, match="variable UNSET is not set"):
        interpolate("${UNSET}", ENVIRONMENT)


@pytest.mark.parametrize("text", ["${NAME", "${NAME-x}", "${}", "${a b}"])
def test_broken_reference_is_refused(text: str) -> None:
    """What looks like a reference and is none is a slip."""
    with pytest.raises(ValueError, match=r"not a reference"):
        interpolate(text, ENVIRONMENT)


def test_settings_come_from_short_and_long_names() -> None:
    """Two underscores lead one level down; what is empty or another's says nothing."""
    environment = {
        "LIPSTREAM_PORT": "9000",
        "LIPSTREAM_ROUTING__MAX_ATTEMPTS": "5",
        "LIPSTREAM_HOST": "",
        "LIPSTREAM_CONFIG": "x.yaml",
        "ROUTING__IDLE": "3",
    }
    assert settings_in(environment) == [
        Setting("server.port", "9000", "LIPSTREAM_PORT"),
        Setting("routing.max_attempts", "5", "LIPSTREAM_ROUTING__MAX_ATTEMPTS"),
    ]


def test_port_that_kubernetes_sets_is_no_setting() -> None:
    """A service called lipstream makes LIPSTREAM_PORT a URL in every pod."""
    assert settings_in({"LIPSTREAM_PORT": "tcp://10.0.0.1:80"}) == []


@pytest.mark.parametrize(
    ("value", "expected"), [(" k\n", Secret("k")), ("", None), ("  ", None), (None, None)]
)
def test_key_is_trimmed_and_blank_is_none(value: str | None, expected: Secret | None) -> None:
    """A newline from a file is not part of a key."""
    assert expected == key_in({} if value is None else {"K": value}, "K")


FROM_TWO, FROM_ONE = KeyNumbers(), KeyNumbers(first=1, may_miss_first=True)


@pytest.mark.parametrize(
    ("numbers", "environment", "expected"),
    [
        (FROM_TWO, {"K": "a", "K_3": "c"}, "a"),
        (FROM_TWO, {"K": " ", "K_2": "x"}, "x"),
        (FROM_TWO, {"K": "a", "K_1": "b"}, "a"),
        (FROM_TWO, {"K": "a", "K_2": "b", "K_3": "a"}, "ab"),
        (FROM_TWO, {f"K_{n}": "z" if n > 32 else "y" for n in range(2, 40)}, "y"),
        (FROM_TWO, {}, ""),
        (FROM_ONE, {"K_1": "a", "K_2": "b", "K_3": "c"}, "abc"),
        (FROM_ONE, {"K": "a", "K_1": "a", "K_2": "b"}, "ab"),
        (FROM_ONE, {"K_1": "a", "K_2": "", "K_3": "c"}, "a"),
        (FROM_ONE, {"K": "a", "K_2": "b"}, "ab"),
        (FROM_ONE, {"K": "a", "K_3": "c"}, "a"),
    ],
)
def test_numbered_keys_go_up_to_the_first_gap(
    numbers: KeyNumbers, environment: dict[str, str], expected: str
) -> None:
    """The order is that of the numbers, no key counts twice, and 32 is the highest number."""
    assert [Secret(key) for key in expected] == keys_in(environment, "K", numbers)
