"""The options of calls of other protocols, made to fit what the model takes.

Left out is what would be refused; nothing is made up but the limit of tokens, which the API
demands.

- ``max_tokens`` is the client's limit, else a default with the thinking on top. Thinking counts
  towards it: where the client's limit leaves no room, the budget is cut to half of the limit, and
  under its minimum there is none.
- A budget (older models) goes with no temperature, no top_k, a top_p of at least 0.95, and no
  forced tool; and only if the tool loop under way began with thinking, because Anthropic wants that
  back at the head of the turn.
- Newer models choose their budget themselves and take an effort; what they think is asked to be
  shown unless the client asked that it is not.
"""

from __future__ import annotations

import attrs

from lipstream.canonical.call import Call, ToolMode
from lipstream.canonical.claude import Generation, Sampling, Thinking
from lipstream.canonical.options import Options
from lipstream.canonical.reasoning import BUDGETS, DYNAMIC, budget_of, effort_of
from lipstream.framing.json_schema import closed_schema
from lipstream.protocols.anthropic_messages.options import OFF, display_of, encode_format
from lipstream.protocols.anthropic_messages.wire import Fields

MIN_BUDGET = 1024  # the least that Anthropic takes
MAX_TOTAL = 32_000  # what every model that thinks by a budget can put out
MIN_TOP_P = 0.95  # with thinking
MAX_USER = 256  # characters

_TIERS = {
    "auto": "auto",
    "default": "standard_only",
    "standard": "standard_only",
    "standard_only": "standard_only",
    "priority": "auto",
}


@attrs.frozen
class _Plan:
    """How the model is to think.

    Attributes:
        thinking: The field, or None for none.
        effort: The word, or None for none.
        budget: Tokens that are set apart; 0 for none.
    """

    thinking: Fields | None = None
    effort: str | None = None
    budget: int = 0


def fitted_options(call: Call, model: Generation, max_tokens: int, has_thought: bool) -> Fields:
    """The options of a foreign call.

    Args:
        max_tokens: The limit where the client gave none, not counting the thinking.
        has_thought: Whether the last turn may be gone on with while thinking by a budget.
    """
    options = call.options
    plan = _plan(call, model, max_tokens, has_thought)
    limit = options.max_output_tokens
    fields: Fields = {"max_tokens": max_tokens + plan.budget if limit is None else limit}
    if plan.thinking is not None:
        fields["thinking"] = plan.thinking
    fields.update(_sampling(options, model, is_budgeted=plan.budget > 0))
    stops = [stop for stop in options.stop or () if stop and not stop.isspace()]
    if stops:
        fields["stop_sequences"] = stops
    if options.user and len(options.user) <= MAX_USER:
        fields["metadata"] = {"user_id": options.user}
    if options.service_tier in _TIERS:
        fields["service_tier"] = _TIERS[options.service_tier]
    config: Fields = {} if plan.effort is None else {"effort": plan.effort}
    if (output := encode_format(options.output_format)) is not None:
        config["format"] = {**output, "schema": closed_schema(output["schema"])}
    return {**fields, "output_config": config} if config else fields


# ---------------------------------------------------------------- thinking


def _plan(call: Call, model: Generation, max_tokens: int, has_thought: bool) -> _Plan:
    options = call.options
    if model.thinking is Thinking.NEVER or budget_of(options) is None:
        return _Plan()
    if budget_of(options) == 0 or options.reasoning_effort == OFF:
        return _off(model)
    if model.thinking is Thinking.ADAPTIVE:
        shown = display_of(options) or "summarized"
        return _Plan({"type": "adaptive", "display": shown}, _effort(options, model))
    choice = call.tool_choice
    is_forced = choice is not None and choice.mode in (ToolMode.ANY, ToolMode.NAMED)
    if not has_thought or (is_forced and call.tools):
        return _Plan()
    budget = _budget(options, max_tokens)
    if budget == 0:
        return _Plan()
    return _Plan({"type": "enabled", "budget_tokens": budget}, budget=budget)


def _off(model: Generation) -> _Plan:
    """Where a model cannot be kept from thinking, it is told to think little."""
    if model.off:
        return _Plan({"type": model.off})
    return _Plan(effort=model.efforts[0])


def _effort(options: Options, model: Generation) -> str | None:
    if options.reasoning_effort is None and options.reasoning_budget == DYNAMIC:
        return None
    word = effort_of(options)
    if word == "minimal":
        word = "low"
    if word == "xhigh" and word not in model.efforts:
        word = "high"
    return word if word in model.efforts else None


def _budget(options: Options, max_tokens: int) -> int:
    """Tokens to think with; 0 where the client's limit has no room for any."""
    asked, limit = budget_of(options) or 0, options.max_output_tokens
    if asked < 0:
        asked = BUDGETS["medium"]
    if options.reasoning_budget is None or options.reasoning_budget < 0:
        asked = min(asked, max(MAX_TOTAL - max_tokens, MIN_BUDGET))
        most = None if limit is None else limit // 2
    else:
        most = limit // 2 if limit is not None and asked >= limit else None
    if limit is not None and limit <= MIN_BUDGET:
        return 0
    return max(asked if most is None else min(asked, most), MIN_BUDGET)


# ---------------------------------------------------------------- sampling


def _sampling(options: Options, model: Generation, *, is_budgeted: bool) -> Fields:
    if model.sampling is Sampling.NONE:
        return {}
    fields: Fields = {}
    if options.temperature is not None and not is_budgeted:
        fields["temperature"] = min(max(options.temperature, 0), 1)
    may_both = model.sampling is Sampling.ALL or "temperature" not in fields
    if options.top_p is not None and may_both and (not is_budgeted or options.top_p >= MIN_TOP_P):
        fields["top_p"] = options.top_p
    if options.top_k is not None and not is_budgeted:
        fields["top_k"] = options.top_k
    return fields
