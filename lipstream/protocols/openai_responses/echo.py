"""The response object around the output: what OpenAI's API repeats of the request, and the end."""

from __future__ import annotations

from typing import Any

from lipstream.canonical.call import Call, Role
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Text
from lipstream.protocols.openai_responses.tools import encode_choice, encode_tools
from lipstream.protocols.openai_responses.wire import CUT_WORDS, NAME, RESPONSE, Fields

_REPEATED = (
    # fields that the client may have written and that only this dialect knows
    ("background", False),
    ("max_tool_calls", None),
    ("previous_response_id", None),
    ("prompt_cache_key", None),
    ("safety_identifier", None),
    ("truncation", "disabled"),
)
_UNFINISHED = {"code": "server_error", "message": "The model could not finish its answer."}


def echo(call: Call, response_id: str, model: str, created: int) -> Fields:
    """A response in progress. Nothing is kept here, so ``store`` is false whatever was asked."""
    options = call.options
    is_own = call.dialect == NAME
    asked = call.extra if is_own else {}
    repeated = {name: asked.get(name, default) for name, default in _REPEATED}
    return {
        "id": response_id,
        "object": RESPONSE,
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": _instructions(call),
        "max_output_tokens": options.max_output_tokens,
        "metadata": options.metadata or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": options.parallel_tool_calls is not False,
        "reasoning": {
            "effort": options.reasoning_effort,
            "summary": options.reasoning_summary,
            **_object(asked.get("reasoning")),
        },
        "service_tier": options.service_tier or "default",
        "store": False,
        "temperature": options.temperature,
        "text": _text(call, _object(asked.get("text"))),
        "tool_choice": encode_choice(call, is_own=is_own) or "auto",
        "tools": [_tool(tool) for tool in encode_tools(call.tools, is_own=is_own)],
        "top_logprobs": options.top_logprobs,
        "top_p": options.top_p,
        "usage": None,
        "user": options.user,
        **repeated,
    }


def ended(reason: FinishReason) -> Fields:
    """What the end changes in a response."""
    if reason is FinishReason.ERROR:
        return {"status": "failed", "error": _UNFINISHED}
    word = CUT_WORDS.get(reason)
    if word is None:
        return {"status": "completed", "error": None, "incomplete_details": None}
    return {"status": "incomplete", "error": None, "incomplete_details": {"reason": word}}


def _instructions(call: Call) -> str | None:
    for message in call.messages:
        if message.role is Role.SYSTEM and message.extra.get("role") == "instructions":
            return "".join(part.text for part in message.parts if isinstance(part, Text))
    return None


def _text(call: Call, asked: Fields) -> Fields:
    fields: Fields = {"format": {"type": "text"}}
    output = call.options.output_format
    if output is not None and output.schema is None:
        fields["format"] = {"type": "json_object"}
    elif output is not None:
        fields["format"] = {
            "type": "json_schema",
            "name": output.name,
            "description": output.description or None,
            "schema": output.schema,
            "strict": output.strict,
        }
    if call.options.verbosity is not None:
        fields["verbosity"] = call.options.verbosity
    return {**asked, **fields}


def _tool(tool: Fields) -> Fields:
    """A function has both of these fields, whatever the client wrote."""
    return {"parameters": None, "strict": None, **tool} if tool.get("type") == "function" else tool


def _object(value: Any) -> Fields:
    return value if isinstance(value, dict) else {}
