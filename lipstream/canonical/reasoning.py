"""Reasoning effort in words and reasoning budget in tokens, each out of the other.

OpenAI, OpenRouter and newer Claude and Gemini models take a word; older Claude and Gemini models
take a number of tokens. The numbers here lie where both kinds of provider document theirs; what
matters is that a word survives the way there and back.
"""

from __future__ import annotations

from lipstream.canonical.options import Options

DYNAMIC = -1  # a budget that the model chooses

BUDGETS: dict[str, int] = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32768,
    "max": 65536,
}


def budget_of(options: Options) -> int | None:
    """The budget in tokens: the one that was said, else the one that stands for the effort.

    0 is off, :data:`DYNAMIC` leaves it to the model, None says that nothing was said.
    """
    if options.reasoning_budget is not None or options.reasoning_effort is None:
        return options.reasoning_budget
    return BUDGETS.get(options.reasoning_effort, DYNAMIC)


def effort_of(options: Options) -> str | None:
    """The effort as a word: the one that was said, else the smallest that covers the budget."""
    if options.reasoning_effort is not None or options.reasoning_budget is None:
        return options.reasoning_effort
    if options.reasoning_budget < 0:
        return "medium"
    return next((word for word, size in BUDGETS.items() if options.reasoning_budget <= size), "max")
