"""Options to ``generationConfig``, the choice of tools to ``toolConfig``.

Of a call in this dialect everything goes back to where it stood, see :mod:`.config_decode`. Of any
other one what the model can be told is told, within the service's ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical.call import Call, ToolChoice, ToolMode
from lipstream.canonical.options import Options, OutputFormat
from lipstream.protocols.gemini.config_decode import CONFIG, JSON, LEVEL, SCHEMA, TOOL_CONFIG
from lipstream.protocols.gemini.models import thinking_config
from lipstream.protocols.gemini.schema import to_json_schema
from lipstream.protocols.gemini.wire import ALT, Fields

_MAX_TEMPERATURE = 2.0
_OPTIONS = (
    # canonical name, name on the wire
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("max_output_tokens", "maxOutputTokens"),
    ("stop", "stopSequences"),
    ("seed", "seed"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
    ("choices", "candidateCount"),
    ("logprobs", "responseLogprobs"),
    ("top_logprobs", "logprobs"),
)
# Values that say what is so anyway, and that some models refuse to hear.
_DEFAULTS: Mapping[str, Any] = {
    "presencePenalty": 0,
    "frequencyPenalty": 0,
    "candidateCount": 1,
    "responseLogprobs": False,
    "logprobs": 0,
    "stopSequences": (),
}


def encode_config(call: Call, model: str, *, is_own: bool) -> Fields:
    """The ``generationConfig``; empty where there is nothing to say."""
    options = call.options
    config: Fields = {
        wire: value for name, wire in _OPTIONS if (value := getattr(options, name)) is not None
    }
    if not is_own:
        config = {k: v for k, v in config.items() if k not in _DEFAULTS or v != _DEFAULTS[k]}
        if "temperature" in config:
            config["temperature"] = min(max(config["temperature"], 0), _MAX_TEMPERATURE)
        if not options.logprobs:
            config.pop("logprobs", None)
    if options.output_format is not None:
        kept = call.extra.get(SCHEMA) if is_own else None
        config.update(_output_format(options.output_format, kept))
    kept = call.extra.get(LEVEL)
    thinking = _own_thinking(options, kept) if is_own else thinking_config(options, model)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _output_format(output: OutputFormat, kept: Any) -> Fields:
    """JSON, by the schema in Gemini's language where the client gave one that still holds."""
    if output.schema is None:
        return {"responseMimeType": JSON}
    if kept is not None and to_json_schema(kept) == output.schema:
        return {"responseMimeType": JSON, "responseSchema": kept}
    return {"responseMimeType": JSON, "responseJsonSchema": output.schema}


def _own_thinking(options: Options, kept: Any) -> Fields:
    """As the client said it, level and budget alike."""
    summary, effort = options.reasoning_summary, options.reasoning_effort
    level = None if effort is None else _LEVELS.get(effort, effort).upper()
    config = {
        "thinkingBudget": options.reasoning_budget,
        "thinkingLevel": kept if isinstance(kept, str) and kept.upper() == level else level,
        "includeThoughts": None if summary is None else summary != "none",
    }
    return {name: value for name, value in config.items() if value is not None}


_LEVELS = {"none": "minimal", "max": "high"}  # efforts that are no levels
_BOXES = (CONFIG, TOOL_CONFIG, "thinkingConfig")


def put_back(body: Fields, call: Call) -> None:
    """Writes the extra fields of a call of this dialect to where they stood."""
    written = {ALT} if call.options.output_format is None else {ALT, SCHEMA}
    for name, value in call.extra.items():
        if (name in written and value is not None) or (name == LEVEL and value):
            continue
        place = body
        for box in _BOXES:
            inner = name.removeprefix(f"{box}.")
            found = place.get(box, {}) if inner != name else None
            if isinstance(found, dict):
                place[box], place, name = found, found, inner
        place.setdefault(name, value)


# ---------------------------------------------------------------- choice of tools

_MODES = {ToolMode.AUTO: "AUTO", ToolMode.NONE: "NONE", ToolMode.ANY: "ANY", ToolMode.NAMED: "ANY"}


def encode_tool_choice(choice: ToolChoice, *, is_own: bool) -> Fields:
    """The ``functionCallingConfig``.

    Names go with ANY alone; where tools are only allowed, the others are not declared at all.
    """
    if is_own and choice.extra:
        return dict(choice.extra)
    config: Fields = {"mode": _MODES[choice.mode]}
    if choice.names and config["mode"] == "ANY":
        config["allowedFunctionNames"] = list(choice.names)
    return config
