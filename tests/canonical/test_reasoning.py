"""Effort and budget, each out of the other."""

from __future__ import annotations

import pytest

from lipstream.canonical.options import Options
from lipstream.canonical.reasoning import BUDGETS, DYNAMIC, budget_of, effort_of


@pytest.mark.parametrize("word", BUDGETS)
def test_word_survives_the_way_there_and_back(word: str) -> None:
    """Whatever the numbers are."""
    budget = budget_of(Options(reasoning_effort=word))
    assert effort_of(Options(reasoning_budget=budget)) == word


@pytest.mark.parametrize(
    ("options", "budget"),
    [
        (Options(), None),
        (Options(reasoning_budget=7), 7),
        (Options(reasoning_budget=7, reasoning_effort="high"), 7),
        (Options(reasoning_effort="none"), 0),
        (Options(reasoning_effort="own word"), DYNAMIC),
    ],
)
def test_budget_is_what_was_said_or_stands_for_the_effort(
    options: Options, budget: int | None
) -> None:
    """A word that nobody knows leaves it to the model."""
    assert budget_of(options) == budget


@pytest.mark.parametrize(
    ("options", "effort"),
    [
        (Options(), None),
        (Options(reasoning_effort="own word"), "own word"),
        (Options(reasoning_effort="low", reasoning_budget=0), "low"),
        (Options(reasoning_budget=0), "none"),
        (Options(reasoning_budget=1), "minimal"),
        (Options(reasoning_budget=1024), "low"),
        (Options(reasoning_budget=1025), "medium"),
        (Options(reasoning_budget=DYNAMIC), "medium"),
        (Options(reasoning_budget=10**9), "max"),
    ],
)
def test_effort_is_what_was_said_or_the_smallest_that_covers_the_budget(
    options: Options, effort: str | None
) -> None:
    """What no word covers has the largest."""
    assert effort_of(options) == effort


def test_words_go_up_with_their_budgets() -> None:
    """The search for the smallest relies on it."""
    assert list(BUDGETS.values()) == sorted(set(BUDGETS.values()))
