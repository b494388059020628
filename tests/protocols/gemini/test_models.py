"""How models are told to think."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.options import Options
from lipstream.protocols.gemini.models import generation, thinking_config, wants_signatures

ON = {"includeThoughts": True}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-2.5-flash", 2.5),
        ("models/gemini-3-pro-preview", 3),
        ("google/gemini-3.1-flash-lite", 3.1),
        ("gemini-flash-latest", 3),
        ("gemini-pro", 0),
        ("gemma-3-27b", 0),
    ],
)
def test_generation_is_read_from_the_name(model: str, expected: float) -> None:
    """From generation 3 on calls are signed."""
    assert generation(model) == expected
    assert wants_signatures(model) is (expected >= 3)


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        # nothing was said
        ("gemini-3-flash", {}, {}),
        # levels
        ("gemini-3-flash", {"reasoning_effort": "low"}, ON | {"thinkingLevel": "low"}),
        ("gemini-3-flash", {"reasoning_effort": "medium"}, ON | {"thinkingLevel": "medium"}),
        ("gemini-3-flash", {"reasoning_effort": "max"}, ON | {"thinkingLevel": "high"}),
        (
            "gemini-3-flash",
            {"reasoning_effort": "none"},
            {"includeThoughts": False, "thinkingLevel": "minimal"},
        ),
        ("gemini-3-pro-preview", {"reasoning_effort": "minimal"}, ON | {"thinkingLevel": "low"}),
        ("gemini-3-pro-preview", {"reasoning_effort": "medium"}, ON | {"thinkingLevel": "high"}),
        ("gemini-3.1-pro", {"reasoning_effort": "medium"}, ON | {"thinkingLevel": "medium"}),
        ("gemini-3-pro-preview", {"reasoning_effort": "odd"}, ON),
        ("gemini-3-flash", {"reasoning_budget": 2000}, ON | {"thinkingLevel": "medium"}),
        ("gemini-3-flash", {"reasoning_budget": -1}, ON),
        # budgets
        ("gemini-2.5-flash", {"reasoning_effort": "low"}, ON | {"thinkingBudget": 1024}),
        ("gemini-2.5-flash", {"reasoning_budget": 99999}, ON | {"thinkingBudget": 24576}),
        ("gemini-2.5-pro", {"reasoning_budget": 99999}, ON | {"thinkingBudget": 32768}),
        ("gemini-2.5-flash", {"reasoning_budget": -1}, ON | {"thinkingBudget": -1}),
        (
            "gemini-2.5-flash",
            {"reasoning_budget": 0},
            {"includeThoughts": False, "thinkingBudget": 0},
        ),
        (
            "gemini-2.5-pro",
            {"reasoning_effort": "none"},
            {"includeThoughts": False, "thinkingBudget": 128},
        ),
        ("gemini-2.5-flash-lite", {"reasoning_budget": 100}, ON | {"thinkingBudget": 512}),
        (
            "gemini-2.5-flash-lite",
            {"reasoning_budget": 0},
            {"includeThoughts": False, "thinkingBudget": 0},
        ),
        ("gemini-robotics-er", {"reasoning_budget": 5000}, ON | {"thinkingBudget": 5000}),
        # the summary alone
        ("gemini-2.5-pro", {"reasoning_summary": "auto"}, ON),
        ("gemini-3-flash", {"reasoning_summary": "none"}, {"includeThoughts": False}),
        (
            "gemini-2.5-flash",
            {"reasoning_summary": "none", "reasoning_effort": "low"},
            {"includeThoughts": False, "thinkingBudget": 1024},
        ),
        # models that do not think
        ("gemini-2.0-flash", {"reasoning_effort": "high"}, {}),
        ("gemini-2.5-flash-image", {"reasoning_effort": "high"}, {}),
        ("gemma-3-27b", {"reasoning_effort": "high"}, {}),
    ],
)
def test_reasoning_is_told_as_the_model_takes_it(
    model: str, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    """The nearest level or budget, and thoughts where reasoning is spoken of."""
    assert thinking_config(Options(**options), model) == expected
