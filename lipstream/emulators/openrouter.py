"""OpenRouter: OpenAI's two dialects with what it adds to requests, answers and errors.

It comments while it waits for the provider behind, tells what an answer costs, names the provider
and its reason to stop, and shows reasoning as a text beside signed details. Shapes are those of
recorded answers; see also https://openrouter.ai/docs/api-reference/overview.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs
import msgspec

from lipstream.emulators.dialect import Ask
from lipstream.emulators.http import Request
from lipstream.emulators.openai_errors import error_of
from lipstream.emulators.playback import Body, Lead, Stream
from lipstream.emulators.proofs import prove
from lipstream.emulators.script import Script
from lipstream.emulators.seen import Seen
from lipstream.emulators.variants import Variant, is_responses

PREFIX = "/api/v1"
COMMENT = b": OPENROUTER PROCESSING\n\n"
PROVIDER = "Emulator"
COST = 0.00014
"""Dollars, of every answer."""

_DATA = b"data: {"
_DETAIL = {"type": "reasoning.text", "format": "emulator-v1", "index": 0}

WORDS = {
    402: "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
    403: "Your chosen model is not available to this key",
    408: "Your request timed out",
    429: "Provider returned error",
    502: "Provider returned error",
    503: "No instances available that meet the requirements",
}

MODERATED = "Your chosen model requires moderation and your input was flagged"
"""For a 403 whose script has a code."""

Fields = dict[str, Any]

_encode = msgspec.json.encode


class OpenRouter(Variant):
    """Answers below ``/api/v1``."""

    prefix = PREFIX

    def read(self, request: Request) -> Ask:
        """What it asks; reasoning may be given in one way alone."""
        ask = super().read(request)
        if ask.refusal is not None:
            words, status = ask.refusal.error_message, ask.refusal.status
            return attrs.evolve(ask, refusal=Script(status=status, error_message=words))
        problem = None if is_responses(request) else _twofold(ask)
        if problem is not None:
            return attrs.evolve(ask, refusal=Script(status=400, error_message=problem))
        return attrs.evolve(ask, seen=_with_budget(ask))

    def seen_by_openai(self, body: Fields, request: Request) -> Fields:
        """Usage always comes, and an effort within the object is one."""
        body = super().seen_by_openai(body, request)
        reasoning = body.get("reasoning")
        if is_responses(request) or not isinstance(reasoning, dict):
            return body
        effort = reasoning.get("effort")
        return {**body, "reasoning_effort": effort} if isinstance(effort, str) else body

    def denial(self, ask: Ask) -> Script:
        """401 in OpenRouter's words."""
        return Script(status=401, error_message="No auth credentials found")

    def stream(self, ask: Ask, script: Script) -> Stream:
        """A comment, then the answer with OpenRouter's fields."""
        if is_responses(ask.request):
            return _amended_stream(super().stream(ask, script), _amend_event)
        counted = {**ask.fields, "stream_options": {"include_usage": True}}
        stream = super().stream(attrs.evolve(ask, body=counted), script)
        content = _signed(stream.content, ask.model)
        stream = attrs.evolve(stream, content=content, error=[_failed(ask, script)])
        return _amended_stream(stream, _amend_chunk)

    def body(self, ask: Ask, script: Script) -> Body:
        """The answer with OpenRouter's fields."""
        body = super().body(ask, script)
        answer: Fields = msgspec.json.decode(body.data)
        if ask.purpose == "answer" and not is_responses(ask.request):
            _amend_chunk(answer)
            _sign(answer, ask.model)
        _add_cost(answer)
        error = _error_body(script, ask.model)
        return attrs.evolve(body, data=_encode(answer), error=error, headers=())

    def error(self, ask: Ask, script: Script) -> Body:
        """An error object with a number for a code, and metadata."""
        return Body(_error_body(script, ask.model))

    def models(self, names: Sequence[str]) -> Body:
        """Every model with its price."""
        pricing = {"prompt": "0.0000001", "completion": "0.0000004"}
        rows = [
            {"id": name, "name": name, "created": 0, "context_length": 8192, "pricing": pricing}
            for name in names
        ]
        return Body(_encode({"data": rows}))


def _with_budget(ask: Ask) -> Seen | None:
    reasoning = ask.fields.get("reasoning")
    budget = reasoning.get("max_tokens") if isinstance(reasoning, dict) else None
    if ask.seen is None or budget is None:
        return ask.seen
    return attrs.evolve(ask.seen, options={**ask.seen.options, "reasoning_budget": budget})


def _twofold(ask: Ask) -> str | None:
    """What is said twice, in OpenRouter's words."""
    reasoning = ask.fields.get("reasoning")
    if not isinstance(reasoning, dict):
        return None
    if ask.fields.get("reasoning_effort") is not None:
        return 'Only one of "reasoning" and "reasoning_effort" may be provided'
    if reasoning.get("effort") is not None and reasoning.get("max_tokens") is not None:
        return 'Only one of "reasoning.effort" and "reasoning.max_tokens" can be specified'
    return None


# ---------------------------------------------------------------- answers

Amend = Callable[[Fields], None]


def _amended_stream(stream: Stream, amend: Amend) -> Stream:
    return attrs.evolve(
        stream,
        opening=_with_comment(stream.opening, amend),
        content=(_amended(event, amend) for event in stream.content),
        closing=(_amended(event, amend) for event in stream.closing),
        headers=(),
    )


def _with_comment(opening: Iterable[bytes], amend: Amend) -> Iterator[bytes]:
    yield COMMENT
    for event in opening:
        yield _amended(event, amend)


def _amended(event: bytes, amend: Amend) -> bytes:
    """An event with its JSON changed; what goes with it or before it stays so."""
    head, data, rest = event.partition(_DATA)
    if not data:
        return event
    value: Fields = msgspec.json.decode(b"{" + rest)
    amend(value)
    return type(event)(head + b"data: %b\n\n" % _encode(value))


def _amend_chunk(chunk: Fields) -> None:
    chunk["provider"] = PROVIDER
    for choice in chunk["choices"]:
        choice["native_finish_reason"] = choice["finish_reason"]
        said = choice.get("delta") or choice.get("message") or {}
        if text := said.pop("reasoning_content", None):
            said["reasoning"] = text
            said["reasoning_details"] = [{**_DETAIL, "text": text}]
    _add_cost(chunk)


def _amend_event(event: Fields) -> None:
    _add_cost(event.get("response") or {})


def _add_cost(answer: Fields) -> None:
    if isinstance(answer.get("usage"), dict):
        details = {"upstream_inference_cost": COST}
        answer["usage"] |= {"cost": COST, "is_byok": False, "cost_details": details}


def _signed(content: Iterable[bytes], model: str) -> Iterator[bytes]:
    """After the reasoning comes its signature, with what comes next."""
    is_due = False
    for event in content:
        if b'"reasoning_content":"' in event:
            is_due = True
        elif is_due:
            is_due = False
            detail = {**_DETAIL, "signature": prove(model)}
            delta = {"content": "", "reasoning": None, "reasoning_details": [detail]}
            chunk: Fields = msgspec.json.decode(event.removeprefix(b"data: "))
            chunk["choices"][0]["delta"] = delta
            yield Lead(b"data: %b\n\n" % _encode(chunk))
        yield event


def _sign(answer: Fields, model: str) -> None:
    for choice in answer["choices"]:
        for detail in choice["message"].get("reasoning_details", ()):
            detail["signature"] = prove(model)


# ---------------------------------------------------------------- errors


def _failed(ask: Ask, script: Script) -> bytes:
    """The chunk that ends a stream that went wrong."""
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    chunk = {
        "id": "gen-emulator",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": ask.model,
        "provider": PROVIDER,
        "error": _error(script, ask.model),
        "choices": [{**choice, "native_finish_reason": "error"}],
    }
    return b"data: %b\n\n" % _encode(chunk)


def _error_body(script: Script, model: str) -> bytes:
    if script.error_body is not None:
        return script.error_body
    return _encode({"error": _error(script, model), "user_id": "user_emulator"})


def _error(script: Script, model: str) -> Fields:
    status = script.status if script.status != 200 else 502
    usual = MODERATED if _is_moderated(script) else WORDS.get(status)
    message = script.error_message or usual or error_of(script, model)["message"]
    error: Fields = {"message": message, "code": script.error_code or status}
    metadata = _metadata(script, status, model)
    return {**error, "metadata": metadata} if metadata else error


def _is_moderated(script: Script) -> bool:
    return script.status == 403 and script.error_code is not None


def _metadata(script: Script, status: int, model: str) -> Fields:
    if _is_moderated(script):
        flagged = {"reasons": ["violence"], "flagged_input": "..."}
        return {**flagged, "provider_name": PROVIDER, "model_slug": model}
    if status not in (429, 502):
        return {}
    metadata: Fields = {"raw": error_of(script, model)["message"], "provider_name": PROVIDER}
    if script.retry_after is not None:
        metadata["headers"] = {"Retry-After": f"{script.retry_after:g}"}
    return metadata
