"""The options of a call, made to fit the family of the model.

``inferenceConfig`` is the same for all; what else a model takes stands in
``additionalModelRequestFields``, in its maker's own words, and the effort in ``outputConfig``. What
would be refused is left out:

- Thinking by a budget (older Claude models) goes with no temperature, no top_k, a top_p of at least
  0.95 and no forced tool, and only if the tool loop under way began with it. It counts towards the
  limit of tokens: where the client's limit leaves no room, the budget is cut to half of the limit,
  and under its minimum there is none.
- Newer Claude models choose their budget themselves and take an effort; they are asked to show what
  they think unless the client asked that they do not. A forced tool goes without thinking as well.
- Nova 2 takes one of three efforts; the highest goes with no sampling and no limit, so a client
  with a limit gets the middle one.
- gpt-oss takes one of three efforts. Other models are not told.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from lipstream.canonical.call import Call, ToolMode
from lipstream.canonical.claude import Generation, Sampling, Thinking, generation_of
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.reasoning import BUDGETS, DYNAMIC, budget_of, effort_of
from lipstream.framing.json_schema import closed_schema
from lipstream.framing.sse import encode_json
from lipstream.protocols.bedrock_converse.models import Family, family_of
from lipstream.protocols.bedrock_converse.wire import Fields

MIN_BUDGET = 1024  # the least that Claude takes
MAX_BUDGET = 28_000  # what leaves room for an answer with every model that thinks by a budget
MIN_TOP_P = 0.95  # with thinking
MAX_METADATA = 16  # pairs

_EFFORTS = ("low", "medium", "high")
_TIERS = frozenset({"flex", "priority", "reserved"})  # `default` need not be said
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_NOT_IN_FORMATS = re.compile(r"[^a-zA-Z0-9_-]")


@attrs.define
class _Plan:
    """What goes with the model's reasoning.

    Attributes:
        more: Of ``additionalModelRequestFields``.
        effort: For ``outputConfig``.
        is_budgeted: Claude thinks by a budget.
        is_free: Neither sampling nor a limit may be said.
    """

    more: Fields = attrs.field(factory=dict)
    effort: str | None = None
    is_budgeted: bool = False
    is_free: bool = False


def encode_options(call: Call, model: str, *, has_lost_reasoning: bool) -> Fields:
    """The fields of a request that say how to generate."""
    options, family = call.options, family_of(model)
    claude = generation_of(model) if family is Family.CLAUDE else None
    plan = _plan(call, family, claude, has_lost_reasoning)
    fields: Fields = {"inferenceConfig": _inference(options, claude, plan)}
    more = plan.more
    if options.top_k is not None and not plan.is_free:
        if family in (Family.NOVA, Family.NOVA_2):
            more["inferenceConfig"] = {"topK": options.top_k}
        elif claude is not None and claude.sampling is not Sampling.NONE and not plan.is_budgeted:
            more["top_k"] = options.top_k
    output: Fields = {} if plan.effort is None else {"effort": plan.effort}
    if options.output_format is not None and options.output_format.schema is not None:
        output["textFormat"] = _text_format(options.output_format)
    fields |= {"additionalModelRequestFields": more, "outputConfig": output}
    fields["requestMetadata"] = _metadata(options.metadata or {})
    if options.service_tier in _TIERS:
        fields["serviceTier"] = {"type": options.service_tier}
    return {name: value for name, value in fields.items() if value}


def _inference(options: Options, claude: Generation | None, plan: _Plan) -> Fields:
    if plan.is_free:
        fields: Fields = {}
    else:
        fields = _sampling(options, claude, is_budgeted=plan.is_budgeted)
        if options.max_output_tokens:
            fields["maxTokens"] = options.max_output_tokens
    stops = [stop for stop in options.stop or () if stop and not stop.isspace()]
    return {**fields, "stopSequences": stops} if stops else fields


def _sampling(options: Options, claude: Generation | None, *, is_budgeted: bool) -> Fields:
    sampling = Sampling.ALL if claude is None else claude.sampling
    if sampling is Sampling.NONE:
        return {}
    fields: Fields = {}
    if options.temperature is not None and not is_budgeted:
        fields["temperature"] = min(max(options.temperature, 0), 1)
    may_both = sampling is Sampling.ALL or "temperature" not in fields
    if options.top_p is not None and may_both and (not is_budgeted or options.top_p >= MIN_TOP_P):
        fields["topP"] = min(max(options.top_p, 0), 1)
    return fields


def _text_format(output: OutputFormat) -> Fields:
    inner: Fields = {"schema": encode_json(closed_schema(output.schema)).decode()}
    name = _NOT_IN_FORMATS.sub("_", output.name)[:64]
    inner |= {k: v for k, v in (("name", name), ("description", output.description)) if v}
    return {"type": "json_schema", "structure": {"jsonSchema": inner}}


def _metadata(given: Any) -> Fields:
    """The pairs that invocation logs may carry."""
    pairs = {
        name: value
        for name, value in given.items()
        if isinstance(value, str) and _METADATA.fullmatch(name) and _METADATA.fullmatch(value)
    }
    return dict(list(pairs.items())[:MAX_METADATA])


# ---------------------------------------------------------------- reasoning


def _plan(call: Call, family: Family, claude: Generation | None, has_lost_reasoning: bool) -> _Plan:
    options = call.options
    budget = budget_of(options)
    if budget is None:
        return _Plan()
    is_off = budget == 0 or options.reasoning_effort == "none"
    if claude is not None:
        return _off(claude) if is_off else _claude(call, claude, has_lost_reasoning)
    if family is Family.GPT_OSS:
        return _Plan({"reasoning_effort": "low" if is_off else _of_three(options)})
    if family is Family.NOVA_2 and not is_off:
        return _nova(options)
    return _Plan()


def _claude(call: Call, model: Generation, has_lost_reasoning: bool) -> _Plan:
    options = call.options
    if model.thinking is Thinking.NEVER:
        return _Plan()
    choice = call.tool_choice
    is_forced = choice is not None and choice.mode in (ToolMode.ANY, ToolMode.NAMED)
    is_forced = is_forced and bool(call.tools) and model.can_be_forced
    if model.thinking is Thinking.ADAPTIVE:
        more = {} if is_forced else {"thinking": _adaptive(options, model)}
        return _Plan(more, _effort(options, model))
    budget = _budget(options)
    if has_lost_reasoning or is_forced or not budget:
        return _Plan()
    return _Plan({"thinking": {"type": "enabled", "budget_tokens": budget}}, is_budgeted=True)


def _adaptive(options: Options, model: Generation) -> Fields:
    """Models that take no sampling show nothing unless they are asked to."""
    if options.reasoning_summary == "none":
        return {"type": "adaptive", "display": "omitted"}
    shown = {"display": "summarized"} if model.sampling is Sampling.NONE else {}
    return {"type": "adaptive", **shown}


def _off(model: Generation) -> _Plan:
    """Where a model cannot be kept from thinking, it is told to think little."""
    if model.thinking is Thinking.NEVER:
        return _Plan()
    return _Plan({"thinking": {"type": model.off}}) if model.off else _Plan(effort=model.efforts[0])


def _effort(options: Options, model: Generation) -> str | None:
    if options.reasoning_effort is None and options.reasoning_budget == DYNAMIC:
        return None
    word = effort_of(options)
    word = {"minimal": "low", "xhigh": "xhigh" if "xhigh" in model.efforts else "high"}.get(
        word or "", word
    )
    return word if word in model.efforts else None


def _budget(options: Options) -> int:
    """Tokens to think with; 0 where the client's limit has no room for any."""
    asked, limit = budget_of(options) or 0, options.max_output_tokens
    is_told = options.reasoning_budget is not None and options.reasoning_budget > 0
    if not is_told:
        asked = min(BUDGETS["medium"] if asked < 0 else asked, MAX_BUDGET)
    if limit is not None:
        if limit <= MIN_BUDGET:
            return 0
        if not is_told or asked >= limit:
            asked = min(asked, limit // 2)
    return max(asked, MIN_BUDGET)


def _of_three(options: Options) -> str:
    word = effort_of(options) or ""
    if word in _EFFORTS:
        return word
    return {"minimal": "low", "xhigh": "high", "max": "high"}.get(word, "medium")


def _nova(options: Options) -> _Plan:
    word = _of_three(options)
    if word == "high" and options.max_output_tokens is not None:
        word = "medium"
    config = {"type": "enabled", "maxReasoningEffort": word}
    return _Plan({"reasoningConfig": config}, is_free=word == "high")
