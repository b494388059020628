"""Where a request goes, from the header, the model and the rules."""

from __future__ import annotations

import pytest

from lipstream.errors import BadSelector
from lipstream.routing.aliases import compile_aliases
from lipstream.routing.choice import RouteRules, route_names
from lipstream.routing.selector import format_selector


def rules(default_route: str = "a:main", default_backend: str = "") -> RouteRules:
    """Two backends, one alias, one declared model."""
    return RouteRules(
        compile_aliases([("^smart$", "a:big!b:big"), ("^quick-(.+)$", "b:$1")]),
        default_route,
        default_backend,
        backends=frozenset({"a", "b"}),
        declared={"declared-model": "b"},
    )


@pytest.mark.parametrize(
    ("model", "route"),
    [
        ("smart", "a:big!b:big"),
        ("quick-x", "b:x"),
        ("a:m", "a:m"),
        ("a : m", "a:m"),
        ("a/m", "a:m"),
        ("a/org/m", "a:org/m"),
        ("a:m|b:n", "a:m|b:n"),
        ("{ttft_timeout=3}a:m", "{ttft_timeout=3}a:m"),
        ("declared-model", "b:declared-model"),
        ("gpt-4o", "a:main"),
        ("org/model", "a:main"),
        ("", "a:main"),
        ("  ", "a:main"),
        ("x:m", "x:m"),
    ],
)
def test_model_chooses_the_route(model: str, route: str) -> None:
    """Alias, configured backend, selector, declared model, else the default route."""
    assert route == format_selector(rules().choose(model))


@pytest.mark.parametrize(("header", "route"), [("b:n", "b:n"), (" smart ", "a:big!b:big")])
def test_header_comes_before_the_model(header: str, route: str) -> None:
    """A header may be an alias as well."""
    assert route == format_selector(rules().choose("a:m", header))


@pytest.mark.parametrize("header", [None, "", "  "])
def test_blank_header_is_none(header: str | None) -> None:
    """Some clients send headers without a value."""
    assert format_selector(rules().choose("a:m", header)) == "a:m"


@pytest.mark.parametrize(
    ("model", "route"),
    [
        ("gpt-4o", "a:gpt-4o|[handicap=2]b:gpt-4o!b:fixed"),
        ("llama3:8b", "a:llama3:8b|[handicap=2]b:llama3:8b!b:fixed"),
        ("b:n", "b:n"),
    ],
)
def test_default_route_takes_any_model_where_it_says_so(model: str, route: str) -> None:
    """A leaf with the model * gets the client's name as it is, colons and all."""
    any_model = rules("a:*|[handicap=2]b:*!b:fixed")
    assert route == format_selector(any_model.choose(model))


def test_route_that_takes_any_model_needs_one() -> None:
    """Without a name there is nothing to put in."""
    with pytest.raises(BadSelector, match="name one"):
        rules("a:*").choose("")


def test_route_without_a_default_needs_a_model() -> None:
    """The error says what to do."""
    with pytest.raises(BadSelector, match="name a model"):
        rules("").choose("gpt-4o")


def test_model_alone_goes_to_the_default_backend() -> None:
    """In a selector a leaf may leave its backend out."""
    assert format_selector(rules(default_backend="b").choose("", "m|a:n")) == "b:m|a:n"


def test_query_option_out_of_range_is_refused_with_the_route() -> None:
    """Before anything is tried."""
    with pytest.raises(BadSelector, match="temperature"):
        rules().choose("a:m?temperature=9")


def test_routes_are_named_by_their_canonical_text() -> None:
    """As records name them; a text that is no selector has no name."""
    texts = ["a : m ! b:m", "m", "a:m!", "{race=always}a:m"]
    assert list(route_names(texts, "d")) == ["a:m!b:m", "d:m", "{race=always}a:m"]
