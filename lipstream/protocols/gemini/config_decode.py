"""``generationConfig`` and its kin to options.

What has no canonical place is lifted out of its object: ``generationConfig.imageConfig`` is the
name of an extra field of the call, and :mod:`.config_encode` puts it back where it stood. So a
client is told the name of each thing that another provider cannot do, and not that of the box.
"""

from __future__ import annotations

from typing import Any

from lipstream.canonical.call import ToolChoice, ToolMode
from lipstream.canonical.options import Options, OutputFormat
from lipstream.protocols.gemini.fields import Reader
from lipstream.protocols.gemini.schema import to_json_schema

CONFIG = "generationConfig"
TOOL_CONFIG = "toolConfig"
SCHEMA = f"{CONFIG}.responseSchema"  # the extra field that keeps a schema in Gemini's language
LEVEL = f"{CONFIG}.thinkingConfig.thinkingLevel"  # the same for a level that is not in upper case
JSON = "application/json"

_MODES = {
    "": ToolMode.AUTO,
    "MODE_UNSPECIFIED": ToolMode.AUTO,
    "AUTO": ToolMode.AUTO,
    "VALIDATED": ToolMode.AUTO,
    "ANY": ToolMode.ANY,
    "NONE": ToolMode.NONE,
}
_NUMBERED_MODES = ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE")


def decode_options(reader: Reader) -> Options:
    """Takes ``generationConfig`` and ``serviceTier``."""
    tier = reader.optional_text("serviceTier")
    if reader.left.get(CONFIG) is None:
        return Options(service_tier=tier)
    config = reader.inner(CONFIG)
    thinking = _decode_thinking(config)
    options = Options(
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.integer("topK"),
        max_output_tokens=config.integer("maxOutputTokens"),
        stop=_decode_stop(config),
        seed=config.integer("seed"),
        presence_penalty=config.number("presencePenalty"),
        frequency_penalty=config.number("frequencyPenalty"),
        output_format=_decode_format(config, reader.left),
        choices=config.integer("candidateCount", 1),
        logprobs=config.boolean("responseLogprobs"),
        top_logprobs=config.integer("logprobs", 0),
        service_tier=tier,
        **thinking,
    )
    lift(config.left, CONFIG, reader.left)
    return options


def lift(left: dict[str, Any], box: str, into: dict[str, Any]) -> None:
    """What is left of an object, as fields that are named after it."""
    into.update((f"{box}.{name}", value) for name, value in left.items())


def _decode_stop(config: Reader) -> tuple[str, ...] | None:
    value = config.left.get("stopSequences")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        config.refuse("stopSequences", "a list of strings")
    del config.left["stopSequences"]
    return tuple(value)


def _decode_thinking(config: Reader) -> dict[str, Any]:
    """A level is an effort; whether thoughts are shown is a matter of the summary."""
    if config.left.get("thinkingConfig") is None:
        return {}
    thinking = config.inner("thinkingConfig")
    level, shown = thinking.text("thinkingLevel"), thinking.boolean("includeThoughts")
    found = {
        "reasoning_budget": thinking.integer("thinkingBudget"),
        "reasoning_effort": level.lower() or None,
        "reasoning_summary": None if shown is None else "auto" if shown else "none",
    }
    if level != level.upper():
        thinking.left["thinkingLevel"] = level
    lift(thinking.left, "thinkingConfig", config.left)
    return found


def _decode_format(config: Reader, extra: dict[str, Any]) -> OutputFormat | None:
    """JSON, with a schema in either language; other media types stay as they are."""
    if config.left.get("responseMimeType") != JSON:
        return None
    del config.left["responseMimeType"]
    for name in ("responseJsonSchema", "_responseJsonSchema"):
        if config.left.get(name) is not None:
            return OutputFormat(config.object(name))
    given = config.object("responseSchema")
    if given is None:
        return OutputFormat()
    extra[SCHEMA] = given
    return OutputFormat(to_json_schema(given))


# ---------------------------------------------------------------- tool config


def decode_tool_choice(reader: Reader) -> ToolChoice | None:
    """Takes ``toolConfig``; the choice keeps what it was read from."""
    if reader.left.get(TOOL_CONFIG) is None:
        return None
    config = reader.inner(TOOL_CONFIG)
    choice = None
    if config.left.get("functionCallingConfig"):  # an empty one says nothing
        choice = _decode_choice(config.inner("functionCallingConfig"))
    lift(config.left, TOOL_CONFIG, reader.left)
    return choice


def _decode_choice(calling: Reader) -> ToolChoice:
    given = dict(calling.left)
    number = calling.left.get("mode")
    if isinstance(number, int) and 0 <= number < len(_NUMBERED_MODES):
        calling.left["mode"] = _NUMBERED_MODES[number]
    word = calling.optional_text("mode") or ""
    mode = _MODES.get(word.upper())
    if mode is None:
        calling.left["mode"] = word
        calling.refuse("mode", "AUTO, ANY, NONE or VALIDATED")
    names = calling.left.get("allowedFunctionNames") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        calling.refuse("allowedFunctionNames", "a list of strings")
    if mode is ToolMode.ANY and len(names) == 1:
        mode = ToolMode.NAMED
    return ToolChoice(mode, tuple(names), extra=given)
