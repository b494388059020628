"""Under which names models are listed and reached."""

from __future__ import annotations

import pytest

from lipstream.routing.aliases import compile_aliases
from lipstream.routing.choice import RouteRules
from lipstream.routing.names import ModelNames, plain_name
from lipstream.routing.selector import format_selector

DECLARED = {"a": ["m"], "b": ["m", "n"], "c": []}
FIRST = "a:*"


def names(
    route: str = FIRST,
    *,
    may_route: bool = True,
    aliases: tuple[tuple[str, str], ...] = (),
    declared: dict[str, list[str]] | None = None,
) -> ModelNames:
    """Those of three backends."""
    models = DECLARED if declared is None else declared
    owners: dict[str, str] = {}
    for backend, listed in models.items():
        for model in listed:
            owners.setdefault(model, backend)
    rules = RouteRules(compile_aliases(aliases), route, "a", models.keys(), owners)
    return ModelNames(rules, models, [pattern for pattern, _ in aliases], may_route)


def listed(given: ModelNames) -> list[str]:
    """What is shown."""
    return [name.text for name in given.listed]


def asked(given: ModelNames, model: str) -> str:
    """Where a name leads."""
    return format_selector(given.rules.choose(model))


def test_declared_models_are_shown_without_anything_found() -> None:
    """The first to declare one has its bare name."""
    assert listed(names()) == ["m", "b:m", "n"]


def test_found_models_are_added_to_their_backend() -> None:
    """Each once, and those that are gone are gone."""
    given = names()
    given.update({"a": ["m", "x"], "c": ["y"]})
    assert listed(given) == ["m", "x", "b:m", "n", "y"]
    assert [name.backend for name in given.listed] == ["a", "a", "b", "b", "c"]
    given.update({"a": []})
    assert listed(given) == ["m", "b:m", "n"]


def test_bare_name_of_a_found_model_leads_to_its_backend() -> None:
    """Where the default route would hand it to somebody who is known not to have it."""
    given = names()
    assert asked(given, "y") == "a:y"
    given.update({"a": ["m"], "c": ["y", "llama3:8b"]})
    assert asked(given, "y") == "c:y"
    assert asked(given, "llama3:8b") == "c:llama3:8b"
    given.update({"a": ["m"], "c": []})
    assert asked(given, "y") == "a:y"


@pytest.mark.parametrize(
    ("found", "leads_to", "shown"),
    [
        ({"c": ["y"]}, "a:y", ["c:y"]),  # whether a has it nobody knows
        ({"a": ["y"], "c": ["y"]}, "a:y", ["y", "c:y"]),
        ({"a": [], "b": ["y"], "c": ["y"]}, "a:y", ["b:y", "c:y"]),
        ({"a": ["n"]}, "b:n", ["a:n"]),  # declared elsewhere
    ],
)
def test_found_model_takes_no_name_from_anybody(
    found: dict[str, list[str]], leads_to: str, shown: list[str]
) -> None:
    """Not from the default route, not from another backend, not from the configuration."""
    given = names()
    given.update(found)
    model = shown[0].rpartition(":")[2]
    assert asked(given, model) == leads_to
    assert set(listed(given)) - {"m", "b:m", "n"} == set(shown)
    for text in shown:
        owner = text.partition(":")[0] if ":" in text else leads_to.partition(":")[0]
        assert asked(given, text) == f"{owner}:{model}"


def test_default_route_that_was_chosen_is_not_changed() -> None:
    """It gets what nobody declared, whatever is found."""
    given = names("b:cheap", may_route=False)
    given.update({"a": ["x"], "c": ["y"]})
    assert asked(given, "y") == "b:cheap"
    assert listed(given) == ["m", "a:x", "b:m", "n", "c:y"]
    race = names("a:*!b:*", may_route=False)
    race.update({"a": ["x"], "b": ["x", "y"], "c": ["z"]})
    assert asked(race, "x") == "a:x!b:x"
    assert listed(race) == ["m", "x", "b:m", "n", "b:x", "y", "c:z"]


def test_default_route_of_stubs_gives_way() -> None:
    """Nobody who names a model of a provider wants to hear a stub."""
    given = names("a:demo")
    given.update({"c": ["y"]})
    assert (asked(given, "y"), asked(given, "other")) == ("c:y", "a:demo")
    assert names("").listed == names().listed


def test_bare_name_that_means_something_else_is_not_shown() -> None:
    """One that looks like a backend's, and one that an alias takes."""
    given = names(aliases=(("^m$", "b:m"), ("nano", "b:n")))
    given.update({"a": ["b/x", "c:x", "gpt-nano", "meta/x"]})
    shown = listed(given)
    assert shown == ["m", "a:m", "a:b/x", "a:c:x", "a:gpt-nano", "meta/x", "b:m", "n"]
    assert given.listed[0].backend is None


def test_name_that_aliases_cannot_be_searched_for_in_is_not_shown_bare() -> None:
    """Some patterns are only tried on short texts."""
    long = "m" * 3000
    given = names(aliases=(("x+$", "b:m"),), declared={"a": [long]})
    assert listed(given) == [f"a:{long}"]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("^smart$", "smart"),
        (r"^gpt-4\.1$", "gpt-4.1"),
        ("^gpt-4.1$", "gpt-4.1"),
        ("^openai/gpt:free$", "openai/gpt:free"),
        (r"^a\-b\/c\:d$", "a-b/c:d"),
        ("smart", None),
        ("^smart", None),
        ("^gpt-.*$", None),
        ("^(a|b)$", None),
        (r"^\d$", None),
        ("^$", None),
    ],
)
def test_alias_of_one_name_is_a_name(pattern: str, name: str | None) -> None:
    """Any other pattern stands for many."""
    assert plain_name(pattern) == name
