"""The OpenAI Responses dialect: typed items that open, grow and close, each event numbered.

Shapes and order are those of recorded answers; see also
https://platform.openai.com/docs/api-reference/responses-streaming. One content event is one word,
the start or one fragment of a tool call, or one image. There is no ``[DONE]``; the terminal marker
is the last event, which carries the whole response.

Not here: stored responses, background mode and built-in tools other than image generation.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import msgspec

from lipstream.emulators.counts import Counts
from lipstream.emulators.dialect import Ask, attempt, credential, parse
from lipstream.emulators.http import Request
from lipstream.emulators.openai_errors import encode_error, error_of, openai_headers
from lipstream.emulators.openai_responses_output import Output
from lipstream.emulators.openai_responses_request import check_reasoning, see_responses
from lipstream.emulators.playback import Body, Stream
from lipstream.emulators.script import Script
from lipstream.emulators.seen import Seen

ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}
"""Fields of the request that the response repeats, with their defaults."""

UNFINISHED = {"length": "max_output_tokens", "content_filter": "content_filter"}

_encode = msgspec.json.encode


@attrs.frozen
class _Reply:
    """One response: what of it is known from the start, and its output as it grows."""

    ask: Ask
    script: Script
    output: Output
    identity: dict[str, Any]

    @classmethod
    def make(cls, ask: Ask, script: Script) -> _Reply:
        fields = ask.fields
        is_encrypted = "reasoning.encrypted_content" in (fields.get("include") or ())
        is_stored = fields.get("store") is not False
        reasoning, text = (fields.get(name) or {} for name in ("reasoning", "text"))
        identity = {
            "id": f"resp_{uuid.uuid4().hex}{uuid.uuid4().hex[:16]}",
            "object": "response",
            "created_at": int(time.time()),
            "background": False,
            "model": script.model or ask.model,
            "reasoning": {"effort": None, "summary": None, **reasoning},
            "service_tier": "default",
            "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
            **{name: _or(fields.get(name), default) for name, default in ECHOED.items()},
        }
        output = Output(ask.model, script, is_encrypted=is_encrypted, is_stored=is_stored)
        return cls(ask, script, output, identity)

    @property
    def reason(self) -> str | None:
        """Why it is not complete, or None."""
        if self.script.block_reason is not None:
            return "content_filter"
        return UNFINISHED.get(self.script.finish_reason or "")

    def snapshot(self, status: str, **fields: Any) -> dict[str, Any]:
        """The response object."""
        return {
            **self.identity,
            "status": status,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "usage": None,
            **fields,
        }

    def final(self) -> dict[str, Any]:
        """The response when its output is whole."""
        fields: dict[str, Any] = {"output": self.output.done}
        if self.script.usage:
            fields["usage"] = self._usage()
        if self.script.finish_reason == "error":
            return self.failed(fields)
        if self.reason is not None:
            fields["incomplete_details"] = {"reason": self.reason}
            return self.snapshot("incomplete", **fields)
        response = self.snapshot("completed", completed_at=int(time.time()), **fields)
        if self.script.no_finish_reason:
            del response["status"]
        return response

    def failed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The response that came to nothing."""
        error = error_of(self.script, self.ask.model)
        code = error["code"] or "server_error"
        return self.snapshot("failed", error={"code": code, "message": error["message"]}, **fields)

    def _usage(self) -> dict[str, Any]:
        counts = Counts.of(self.ask.request, self.script)
        return {
            "input_tokens": counts.prompt,
            "input_tokens_details": {
                "cached_tokens": counts.cache_read,
                "cache_write_tokens": counts.cache_write,
            },
            "output_tokens": counts.output,
            "output_tokens_details": {"reasoning_tokens": counts.reasoning},
            "total_tokens": counts.total,
        }


class OpenAIResponses:
    """Answers ``POST .../responses``."""

    def serves(self, request: Request) -> bool:
        """Whether this asks for a response, under whatever prefix."""
        return request.method == "POST" and request.path.endswith("/responses")

    def lists_models(self, request: Request) -> bool:
        """Never: the chat dialect lists OpenAI's models."""
        return False

    def read(self, request: Request) -> Ask:
        """Model, mode and bearer token; what the provider refuses becomes a refusal."""
        body = parse(request)
        fields = body if isinstance(body, dict) else {}
        model = str(fields.get("model") or "")

        def look() -> Seen:
            seen = see_responses(body)
            check_reasoning(body, model)
            return seen

        seen, refusal = attempt(look)
        return Ask(
            request=request,
            model=model,
            is_streaming=fields.get("stream") is True,
            body=body,
            credential=credential(request),
            refusal=refusal,
            seen=seen,
        )

    def denial(self, ask: Ask) -> Script:
        """401 with OpenAI's code."""
        return Script(status=401, error_code="invalid_api_key")

    def stream(self, ask: Ask, script: Script) -> Stream:
        """Created, in progress, the items one after the other, the whole response."""
        reply = _Reply.make(ask, script)
        write = reply.output.write
        start = reply.snapshot("in_progress")
        return Stream(
            opening=(
                write(f"response.{name}", response=start) for name in ("created", "in_progress")
            ),
            content=reply.output.events(),
            closing=_closing(reply),
            error=_failure(reply),
            broken=b'event: response.output_text.delta\ndata: {"type":"response.output_t\n\n',
            headers=openai_headers(script),
        )

    def body(self, ask: Ask, script: Script) -> Body:
        """One ``response``."""
        reply = _Reply.make(ask, script)
        events = sum(1 for _ in reply.output.events())
        error = encode_error(script, ask.model)
        data = _encode(reply.final())
        return Body(data, error, max(1, events), headers=openai_headers(script))

    def error(self, ask: Ask, script: Script) -> Body:
        """An error object with the usual words for the script's status and code."""
        return Body(encode_error(script, ask.model), headers=openai_headers(script))

    def models(self, names: Sequence[str]) -> Body:
        """Never asked for."""
        return Body(_encode({"object": "list", "data": []}))


def _closing(reply: _Reply) -> Iterator[bytes]:
    if reply.script.no_done:
        return
    response = reply.final()
    status = response.get("status", "completed")
    yield reply.output.write(f"response.{status}", response=response)


def _failure(reply: _Reply) -> Iterator[bytes]:
    """The ``error`` event, then the failed response."""
    error = error_of(reply.script, reply.ask.model)
    error["code"] = error["code"] or "server_error"
    yield reply.output.write("error", error=error)
    yield reply.output.write("response.failed", response=reply.failed({}))


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
