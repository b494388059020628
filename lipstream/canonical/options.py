"""How to generate: everything that a client may say about it and that more than one provider has.

None is always "not said". What only one dialect knows is no option: it stays in ``Call.extra``.
"""

from __future__ import annotations

import attrs

from lipstream.canonical.parts import Json


@attrs.frozen
class OutputFormat:
    """Structured output: any JSON object, or JSON that follows a schema."""

    schema: Json | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


@attrs.frozen(kw_only=True)
class Options:
    """The generation options of one call.

    Attributes:
        reasoning_effort: ``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh``, ``max``,
            or a provider's own word.
        reasoning_budget: Tokens for reasoning; 0 switches it off, -1 leaves it to the model. A call
            may say an effort and a budget, as its dialect allows: :mod:`.reasoning` makes one of
            the other.
        reasoning_summary: How reasoning is to be shown: ``auto``, ``concise``, ``detailed``, or
            ``none`` for not at all.
        parallel_tool_calls: Whether one turn may call several tools.
        choices: How many answers are wanted.
        user: Whom the request is for, opaque, for the provider's abuse monitoring.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    reasoning_budget: int | None = None
    reasoning_summary: str | None = None
    verbosity: str | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    choices: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    service_tier: str | None = None
    user: str | None = None
    metadata: Json | None = None


NOTHING_SAID = Options()
