"""Generation options, both ways, but for what only foreign calls need: see :mod:`.fitting`.

Thinking and effort are two things here: ``thinking`` says whether and how the model thinks,
``output_config.effort`` how much of everything it spends. In canonical terms:

- ``enabled`` is its budget, ``adaptive`` a budget that the model chooses, ``disabled`` the effort
  ``none``; the effort beside the first two is the canonical effort.
- ``display`` is whether reasoning is shown.

What does not fit (another type, an effort beside ``disabled``) is kept as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.reasoning import DYNAMIC
from lipstream.framing.json_fields import FieldReader
from lipstream.protocols.anthropic_messages.wire import Fields

OFF = "none"
_SHOWN = {"summarized": "auto", "omitted": "none"}
_DISPLAYS = {"none": "omitted"}
_PLAIN = (
    # canonical name, name on the wire
    ("max_output_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("service_tier", "service_tier"),
)

# ---------------------------------------------------------------- decode


def decode_options(reader: FieldReader) -> Options:
    """Takes the options; see the module."""
    budget, shown = _decode_thinking(reader)
    effort, output = _decode_output(reader, is_off=budget == 0)
    is_off = budget == 0
    return Options(
        temperature=reader.number("temperature"),
        top_p=reader.number("top_p"),
        top_k=reader.integer("top_k"),
        max_output_tokens=reader.integer("max_tokens", 0),
        stop=_decode_stop(reader),
        reasoning_effort=OFF if is_off else effort,
        reasoning_budget=None if is_off else budget,
        reasoning_summary=shown,
        output_format=output,
        service_tier=reader.optional_text("service_tier"),
        user=_decode_user(reader),
    )


def _decode_thinking(reader: FieldReader) -> tuple[int | None, str | None]:
    """The budget, 0 for none, and whether reasoning is shown."""
    if reader.left.get("thinking") is None:
        return None, None
    thinking = FieldReader(reader.left["thinking"], reader.at("thinking"))
    kind = thinking.needed_text("type")
    if kind == "disabled":
        budget: int | None = 0
    elif kind == "adaptive":
        budget = DYNAMIC
    elif kind == "enabled":
        budget = thinking.integer("budget_tokens", 1)
        if budget is None:
            thinking.refuse("budget_tokens", "an integer of at least 1")
    else:
        return None, None
    shown = _take_display(thinking) if budget else None
    del reader.left["thinking"]
    reader.put_back("thinking", thinking)
    return budget, shown


def _take_display(thinking: FieldReader) -> str | None:
    display = thinking.left.get("display")
    if not isinstance(display, str) or display not in _SHOWN:
        return None
    del thinking.left["display"]
    return _SHOWN[display]


def _decode_output(reader: FieldReader, *, is_off: bool) -> tuple[str | None, OutputFormat | None]:
    """The effort and the format; the format's older place keeps an empty text as its sign."""
    effort: str | None = None
    output: OutputFormat | None = None
    if reader.left.get("output_config") is not None:
        config = reader.inner("output_config")
        given = config.left.get("effort")
        if given is not None and not isinstance(given, str):
            config.refuse("effort", "a string")
        if given and given != OFF and not is_off:
            effort = given
            del config.left["effort"]
        output = _decode_format(config, "format")
        if config.left or (effort is None and output is None):
            reader.left["output_config"] = config.left
    if output is None and (output := _decode_format(reader, "output_format")) is not None:
        reader.left["output_format"] = reader.left.get("output_format", "")
    return effort, output


def _decode_format(reader: FieldReader, name: str) -> OutputFormat | None:
    value = reader.left.get(name)
    if value is None or value == "":
        return None
    form = FieldReader(value, reader.at(name))
    if form.needed_text("type") != "json_schema":
        return None
    schema = form.object("schema")
    if schema is None:
        form.refuse("schema", "a JSON schema")
    del reader.left[name]
    reader.put_back(name, form)
    return OutputFormat(schema)


def _decode_stop(reader: FieldReader) -> tuple[str, ...] | None:
    value = reader.left.get("stop_sequences")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        reader.refuse("stop_sequences", "a list of strings")
    del reader.left["stop_sequences"]
    return tuple(value)


def _decode_user(reader: FieldReader) -> str | None:
    """Claude Code's is a JSON text, which is nobody's business."""
    if reader.left.get("metadata") is None:
        return None
    metadata = reader.inner("metadata")
    user = metadata.optional_text("user_id")
    if metadata.left or user is None:
        reader.left["metadata"] = metadata.left
    return user


# ---------------------------------------------------------------- encode


def encode_options(options: Options, extra: Mapping[str, Any]) -> Fields:
    """The options of a call of this dialect, as they came; ``extra`` are the call's own fields."""
    fields = {wire: value for name, wire in _PLAIN if (value := getattr(options, name)) is not None}
    if options.stop is not None:
        fields["stop_sequences"] = list(options.stop)
    if options.user is not None:
        fields["metadata"] = {"user_id": options.user}
    if (thinking := _thinking(options)) is not None:
        fields["thinking"] = thinking
    config: Fields = {}
    if options.reasoning_effort not in (None, OFF):
        config["effort"] = options.reasoning_effort
    if (output := encode_format(options.output_format)) is not None:
        if _is_older(extra.get("output_format")):
            fields["output_format"] = output
        else:
            config["format"] = output
    return {**fields, "output_config": config} if config else fields


def _is_older(left: Any) -> bool:
    """Whether the format came from its older place: what is left there has no type any more."""
    return left == "" or (isinstance(left, dict) and "type" not in left)


def _thinking(options: Options) -> Fields | None:
    budget = options.reasoning_budget
    if options.reasoning_effort == OFF or budget == 0:
        return {"type": "disabled"}
    if budget is None:
        return None
    thinking: Fields = {"type": "adaptive"}
    if budget > 0:
        thinking = {"type": "enabled", "budget_tokens": budget}
    if (shown := display_of(options)) is not None:
        thinking["display"] = shown
    return thinking


def display_of(options: Options) -> str | None:
    """The word for how reasoning is to be shown."""
    if options.reasoning_summary is None:
        return None
    return _DISPLAYS.get(options.reasoning_summary, "summarized")


def encode_format(output: OutputFormat | None) -> Fields | None:
    """The format of the output; there is none for an object of any kind."""
    if output is None or output.schema is None:
        return None
    return {"type": "json_schema", "schema": output.schema}
