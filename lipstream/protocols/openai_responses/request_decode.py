"""A Responses request to a call.

Read is what clients really send: an input that is a string or any list of items, nulls where
something could be missing, and unknown fields, which are kept. Refused is what has a wrong type,
with the path of the field. Values are not judged: whether a temperature is too high is the
provider's business.
"""

from __future__ import annotations

from typing import Any

from lipstream.canonical.ask import Ask
from lipstream.canonical.attribution import attribution_in
from lipstream.canonical.call import Call, Message, Role, Tool
from lipstream.canonical.limits import CallLimits
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Text
from lipstream.framing.json_fields import FieldReader
from lipstream.framing.json_guard import decode_json
from lipstream.protocols.openai_responses.items import (
    INSTRUCTIONS,
    InputReader,
    missing_history,
)
from lipstream.protocols.openai_responses.tools import decode_choice, decode_tools, runs_elsewhere
from lipstream.protocols.openai_responses.wire import LOGPROBS, NAME

PASSED_ON = ("openai-beta",)  # headers that mean something to any provider of this dialect


def decode_request(body: bytes, ask: Ask, limits: CallLimits) -> Call:
    """Reads a request; see ``interfaces.ServerDialect.decode_request``."""
    value = decode_json(body, max_depth=limits.json_depth, max_bytes=limits.body)
    reader = FieldReader(value, "")
    model = reader.text("model")
    given = InputReader(limits).decode(reader)
    elsewhere = missing_history(reader)
    if not (given or elsewhere):
        reader.refuse("input", "a string or a list of at least one item")
    tools = decode_tools(reader, limits.tools)
    return Call(
        dialect=NAME,
        model=model,
        messages=(*_instructions(reader), *elsewhere, *given),
        tools=tools,
        tool_choice=decode_choice(reader),
        options=_decode_options(reader),
        is_streaming=bool(reader.boolean("stream")),
        wants_usage=True,
        may_race=not _leaves_traces(reader, tools),
        headers=_headers(ask),
        extra=reader.left,
    )


def _headers(ask: Ask) -> tuple[tuple[str, str], ...]:
    """Those for every provider of this dialect, and those for OpenRouter."""
    passed = tuple((name, ask.headers[name]) for name in PASSED_ON if name in ask.headers)
    return passed + attribution_in(ask.headers)


def _leaves_traces(reader: FieldReader, tools: tuple[Tool, ...]) -> bool:
    """What is stored, runs in the background, goes on with what was stored, or has a tool that the
    provider runs: once is enough.

    Without a word on it OpenAI stores a response; only a client that asks for it has to have it
    once, else no client would ever be raced.
    """
    left = reader.left
    is_kept = left.get("store") is True or left.get("background") is True
    goes_on = left.get("previous_response_id") or left.get("conversation")
    return is_kept or bool(goes_on) or runs_elsewhere(tools)


def _instructions(reader: FieldReader) -> tuple[Message, ...]:
    text = reader.text("instructions")
    return (Message(Role.SYSTEM, (Text(text),), extra=INSTRUCTIONS),) if text else ()


# ---------------------------------------------------------------- options


def _decode_options(reader: FieldReader) -> Options:
    effort, summary = _decode_reasoning(reader)
    output, verbosity = _decode_text(reader)
    top_logprobs = reader.integer("top_logprobs", 0)
    return Options(
        temperature=reader.number("temperature"),
        top_p=reader.number("top_p"),
        max_output_tokens=reader.integer("max_output_tokens", 0),
        presence_penalty=reader.number("presence_penalty"),
        frequency_penalty=reader.number("frequency_penalty"),
        reasoning_effort=effort,
        reasoning_summary=summary,
        verbosity=verbosity,
        parallel_tool_calls=reader.boolean("parallel_tool_calls"),
        output_format=output,
        logprobs=_wants_logprobs(reader) or bool(top_logprobs) or None,
        top_logprobs=top_logprobs,
        service_tier=reader.optional_text("service_tier"),
        user=reader.optional_text("user"),
        metadata=reader.object("metadata"),
    )


def _wants_logprobs(reader: FieldReader) -> bool:
    """``include`` stays among the extra fields: it asks for more than that."""
    include = reader.left.get("include")
    if include is None:
        return False
    if not isinstance(include, list):
        reader.refuse("include", "a list of strings")
    return LOGPROBS in include


def _decode_reasoning(reader: FieldReader) -> tuple[str | None, str | None]:
    """The effort, and how reasoning is to be shown; ``generate_summary`` is the older name."""
    if reader.left.get("reasoning") in (None, {}):
        return None, None
    inner = reader.inner("reasoning")
    effort, summary = inner.optional_text("effort"), inner.optional_text("summary")
    older = inner.left.get("generate_summary")
    if summary is None and isinstance(older, str):
        summary = older
    reader.put_back("reasoning", inner)
    return effort, summary


def _decode_text(reader: FieldReader) -> tuple[OutputFormat | None, str | None]:
    """Forms that mean nothing to other dialects (text, grammars) stay as they are."""
    if reader.left.get("text") in (None, {}):
        return None, None
    inner = reader.inner("text")
    verbosity = inner.optional_text("verbosity")
    output = _decode_format(inner)
    reader.put_back("text", inner)
    return output, verbosity


def _decode_format(reader: FieldReader) -> OutputFormat | None:
    value: Any = reader.left.get("format")
    if value is None:
        return None
    kind = FieldReader(value, reader.at("format")).needed_text("type")
    if kind not in ("json_object", "json_schema"):
        return None
    form = reader.inner("format")
    del form.left["type"]
    output = OutputFormat()
    if kind == "json_schema":
        schema = form.object("schema") if form.left.get("schema") != {} else {}
        output = OutputFormat(
            schema or {}, form.text("name"), form.text("description"), form.boolean("strict")
        )
    reader.put_back("format", form)
    return output
