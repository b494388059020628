"""What the generations of Claude take, by their names in every provider's spelling."""

from __future__ import annotations

import pytest

from lipstream.canonical.claude import OTHER, Generation, Sampling, Thinking, generation_of


def brief(generation: Generation) -> tuple[Thinking, Sampling, str, bool, bool]:
    """What is asked of it most."""
    return (
        generation.thinking,
        generation.sampling,
        generation.off,
        generation.can_be_forced,
        generation.is_strict,
    )


@pytest.mark.parametrize(
    ("model", "thinking", "sampling"),
    [
        ("claude-3-haiku-20240307", Thinking.NEVER, Sampling.ALL),
        ("anthropic.claude-v2:1", Thinking.NEVER, Sampling.ALL),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Thinking.BUDGET, Sampling.ALL),
        ("claude-sonnet-4-20250514", Thinking.BUDGET, Sampling.ALL),
        ("anthropic/claude-opus-4.1", Thinking.BUDGET, Sampling.ONE),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", Thinking.BUDGET, Sampling.ONE),
        ("global.anthropic.claude-opus-4-6-v1", Thinking.ADAPTIVE, Sampling.ONE),
        ("claude-opus-4-7", Thinking.ADAPTIVE, Sampling.NONE),
        ("claude-latest", Thinking.ADAPTIVE, Sampling.NONE),
    ],
)
def test_generation_is_told_by_its_number(
    model: str, thinking: Thinking, sampling: Sampling
) -> None:
    """In every spelling; dates and versions of the offer are none, and no number is the newest."""
    generation = generation_of(model)
    assert (generation.thinking, generation.sampling) == (thinking, sampling)


@pytest.mark.parametrize(
    ("model", "off", "can_be_forced"),
    [
        ("claude-opus-5", "disabled", True),
        ("claude-opus-5-5", "", False),
        ("claude-sonnet-5-5", "between_tools", False),
        ("claude-haiku-5-5", "disabled", False),
        ("claude-fable-5", "", True),
        ("claude-fable-5-1", "", False),
        ("claude-mythos-5-1", "", False),
    ],
)
def test_families_differ_in_what_they_can_be_kept_from(
    model: str, off: str, can_be_forced: bool
) -> None:
    """Thinking, and not calling a tool."""
    generation = generation_of(model)
    assert (generation.off, generation.can_be_forced) == (off, can_be_forced)


def test_model_that_is_no_claude_takes_what_claude_4_took() -> None:
    """Other servers of the protocol came up with it."""
    assert brief(generation_of("glm-5")) == brief(OTHER)
