"""A call to a Responses request.

A call that came in this dialect is written as it came, extra fields included; of any other, what
this protocol can say is said: the first system messages as instructions, text as strings, results
behind their calls, reasoning only where this protocol's provider sealed it. Such a call is not to
be stored, and asks for sealed reasoning where its model is one that reasons.
"""

from __future__ import annotations

import re

from lipstream.canonical.call import Call
from lipstream.canonical.losses import NOTIONS, Fate, Support
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Json, Reasoning
from lipstream.canonical.reasoning import effort_of
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json
from lipstream.protocols.openai_responses.input_encode import encode_input
from lipstream.protocols.openai_responses.tools import encode_choice, encode_tools
from lipstream.protocols.openai_responses.wire import ENCRYPTED, LOGPROBS, NAME, Fields

MIN_OUTPUT_TOKENS = 16  # OpenAI refuses less
MAX_TEMPERATURE = 2.0
MAX_METADATA = 16  # pairs
MAX_KEY, MAX_VALUE = 64, 512  # characters, in metadata

_TIERS = frozenset({"auto", "default", "flex", "scale", "priority"})
_REASONS = re.compile(r"(.*/)?(o\d|gpt-[5-9]|codex|computer-use)")  # models that reason unasked

SUPPORT: Support = dict.fromkeys(NOTIONS, Fate.KEPT) | {
    "top_k": Fate.DROPPED,
    "max_output_tokens": Fate.MAPPED,
    "stop": Fate.DROPPED,
    "seed": Fate.DROPPED,
    "presence_penalty": Fate.DROPPED,
    "frequency_penalty": Fate.DROPPED,
    "reasoning": Fate.MAPPED,
    "choices": Fate.DROPPED,
    "service_tier": Fate.MAPPED,
    "metadata": Fate.MAPPED,
    "audio": Fate.REFUSED,
    "message_name": Fate.DROPPED,
    "tool_error": Fate.DROPPED,
}

_OPTIONS = (
    # canonical name, name on the wire; of calls in any dialect
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_logprobs", "top_logprobs"),
    ("user", "user"),
)
_OWN_OPTIONS = (
    # elsewhere these have other values, or none
    ("max_output_tokens", "max_output_tokens"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("parallel_tool_calls", "parallel_tool_calls"),
    ("service_tier", "service_tier"),
    ("metadata", "metadata"),
)


def encode_request(call: Call, model: str, *, is_streaming: bool) -> bytes:
    """The request's body; see ``interfaces.ClientDialect.encode_request``."""
    is_own = call.dialect == NAME
    body: Fields = {"model": model}
    body.update(encode_input(call, is_own=is_own))
    if call.tools:
        body["tools"] = encode_tools(call.tools, is_own=is_own)
    if call.tools or is_own:
        choice = encode_choice(call, is_own=is_own)
        if choice is not None:
            body["tool_choice"] = choice
    body.update(_own_options(call) if is_own else _foreign_options(call, model))
    if is_streaming:
        body["stream"] = True
    if is_own:
        is_told = is_streaming or "stream_options" not in call.extra
        extra = call.extra if is_told else {**call.extra, "stream_options": None}
        body = merge_fields(body, extra)
        if not model:
            del body["model"]
    return encode_json(body)


def _own_options(call: Call) -> Fields:
    """As they were: what stands among the extra fields already is not said twice."""
    options = call.options
    fields = _named(options, _OPTIONS + _OWN_OPTIONS)
    reasoning: Fields = {}
    if options.reasoning_effort is not None:
        reasoning["effort"] = options.reasoning_effort
    older = call.extra.get("reasoning")
    is_older = isinstance(older, dict) and older.get("generate_summary") is not None
    if options.reasoning_summary is not None and not is_older:
        reasoning["summary"] = options.reasoning_summary
    if reasoning:
        fields["reasoning"] = reasoning
    text: Fields = {}
    if options.output_format is not None:
        text["format"] = _output_format(options.output_format, is_own=True)
    if options.verbosity is not None:
        text["verbosity"] = options.verbosity
    return {**fields, "text": text} if text else fields


def _foreign_options(call: Call, model: str) -> Fields:
    options = call.options
    fields = _named(options, _OPTIONS)
    if options.temperature is not None:
        fields["temperature"] = min(max(options.temperature, 0), MAX_TEMPERATURE)
    if options.max_output_tokens is not None:
        fields["max_output_tokens"] = max(options.max_output_tokens, MIN_OUTPUT_TOKENS)
    if options.parallel_tool_calls is not None and call.tools:
        fields["parallel_tool_calls"] = options.parallel_tool_calls
    if options.service_tier in _TIERS:
        fields["service_tier"] = options.service_tier
    if metadata := _metadata(options.metadata or {}):
        fields["metadata"] = metadata
    reasoning = _reasoning(options)
    if reasoning:
        fields["reasoning"] = reasoning
    text: Fields = {}
    if options.output_format is not None:
        text["format"] = _output_format(options.output_format, is_own=False)
    if options.verbosity is not None:
        text["verbosity"] = options.verbosity
    if text:
        fields["text"] = text
    include = [ENCRYPTED] if reasoning or _is_reasoning(call, model) else []
    if options.logprobs:
        include.append(LOGPROBS)
    return {**fields, "include": include, "store": False} if include else {**fields, "store": False}


def _named(options: Options, names: tuple[tuple[str, str], ...]) -> Fields:
    return {wire: value for name, wire in names if (value := getattr(options, name)) is not None}


def _metadata(given: Json) -> Fields:
    """What OpenAI takes of it: a few short strings."""
    kept = [
        (name, value)
        for name, value in given.items()
        if isinstance(value, str) and len(name) <= MAX_KEY and len(value) <= MAX_VALUE
    ]
    return dict(kept[:MAX_METADATA])


def _reasoning(options: Options) -> Fields:
    """An effort that was said in words is passed on; one made of a budget stays where most models
    follow. No budget, and one that is left to the model, say nothing here."""
    fields: Fields = {}
    if options.reasoning_effort is not None:
        word = options.reasoning_effort
        fields["effort"] = "xhigh" if word == "max" else word
    elif (options.reasoning_budget or 0) > 0:
        word = effort_of(options) or ""
        fields["effort"] = "high" if word in ("xhigh", "max") else word
    if options.reasoning_summary not in (None, "none"):
        fields["summary"] = options.reasoning_summary
    return fields


def _is_reasoning(call: Call, model: str) -> bool:
    """Whether sealed reasoning is to be expected, or was sent back."""
    if _REASONS.match(model):
        return True
    parts = (part for message in call.messages for part in message.parts)
    return any(
        isinstance(part, Reasoning) and part.seal is not None and part.seal.dialect == NAME
        for part in parts
    )


def _output_format(output: OutputFormat, *, is_own: bool) -> Fields:
    """A schema is strict only where that was said: elsewhere it is not by itself."""
    if output.schema is None:
        return {"type": "json_object"}
    fields: Fields = {"type": "json_schema"}
    if output.name or not is_own:
        fields["name"] = output.name or "response"
    if output.description:
        fields["description"] = output.description
    if output.schema or not is_own:
        fields["schema"] = output.schema or {"type": "object"}
    if output.strict is not None:
        fields["strict"] = output.strict
    return fields
