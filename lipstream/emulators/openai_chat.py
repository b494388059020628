"""The OpenAI Chat Completions dialect, as a provider speaks it.

Shapes follow https://platform.openai.com/docs/api-reference/chat; ``reasoning_content`` is that of
DeepSeek and its followers, ``images`` that of OpenRouter, since OpenAI has neither. One content
event is one word, one fragment of a tool call, or one image.

Not here: ``n``, logprobs, audio, and whether the answer fits the question.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import msgspec

from lipstream.emulators.dialect import Ask
from lipstream.emulators.http import Request
from lipstream.emulators.openai_errors import encode_error
from lipstream.emulators.playback import Body, Stream
from lipstream.emulators.script import Script, ToolCall, cut, tokens

FINGERPRINT = "fp_emulator"
FRAGMENT = 8
"""Characters of one tool call argument fragment."""

Delta = dict[str, Any]

_encode = msgspec.json.encode


@attrs.frozen
class _Reply:
    """What streamed and unstreamed answers share: the content events and what follows from them."""

    ask: Ask
    script: Script
    deltas: list[Delta]
    call_ids: list[str]
    identity: dict[str, Any]

    @classmethod
    def make(cls, ask: Ask, script: Script, *, is_streamed: bool) -> _Reply:
        identity = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk" if is_streamed else "chat.completion",
            "created": int(time.time()),
            "model": script.model or ask.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }
        call_ids = [f"call_{uuid.uuid4().hex[:24]}" for _ in script.tool_calls]
        return cls(ask, script, list(_deltas(script, call_ids)), call_ids, identity)

    @property
    def finish_reason(self) -> str | None:
        if self.script.no_finish_reason:
            return None
        return self.script.finish_reason or ("tool_calls" if self.script.tool_calls else "stop")

    @property
    def usage(self) -> dict[str, Any]:
        """Tokens: a quarter of the request's bytes went in, one came out per content event."""
        prompt, completion = max(1, len(self.ask.request.body) // 4), len(self.deltas)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": len(tokens(self.script.reasoning)),
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


class OpenAIChat:
    """Answers ``POST .../chat/completions`` and ``GET .../models``."""

    def serves(self, request: Request) -> bool:
        """Whether this is a chat completion, under whatever prefix."""
        return request.method == "POST" and request.path.endswith("/chat/completions")

    def lists_models(self, request: Request) -> bool:
        """Whether this is the model list, under whatever prefix."""
        return request.method == "GET" and request.path.endswith("/models")

    def read(self, request: Request) -> Ask:
        """Model, mode and bearer token; a body without model or messages is refused."""
        try:
            body = msgspec.json.decode(request.body)
        except ValueError:
            body = None
        fields = body if isinstance(body, dict) else {}
        return Ask(
            request=request,
            model=str(fields.get("model") or ""),
            is_streaming=fields.get("stream") is True,
            body=body,
            credential=_bearer(request),
            refusal=_refusal(fields if isinstance(body, dict) else None),
        )

    def stream(self, ask: Ask, script: Script) -> Stream:
        """Role, content, finish, usage if it was asked for, ``[DONE]``."""
        reply = _Reply.make(ask, script, is_streamed=True)
        is_counted = script.usage and _wants_usage(ask.body)
        chunks = _ChunkWriter(reply.identity, has_usage=is_counted)
        closing = []
        if not script.no_finish_reason:
            closing.append(chunks.write({}, reply.finish_reason))
        if is_counted:
            closing.append(chunks.write_usage(reply.usage))
        if not script.no_done:
            closing.append(b"data: [DONE]\n\n")
        return Stream(
            opening=[chunks.write(_first_delta(reply), None)],
            content=(chunks.write_delta(delta) for delta in reply.deltas),
            closing=closing,
            error=b"data: %b\n\n" % encode_error(script, ask.model),
            broken=b'data: {"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"conte\n\n',
        )

    def body(self, ask: Ask, script: Script) -> Body:
        """One ``chat.completion``."""
        reply = _Reply.make(ask, script, is_streamed=False)
        choice = {
            "index": 0,
            "message": _message(script, reply.call_ids),
            "logprobs": None,
            "finish_reason": reply.finish_reason,
        }
        answer = {**reply.identity, "choices": [choice]}
        if script.usage:
            answer["usage"] = reply.usage
        error = encode_error(script, ask.model)
        return Body(_encode(answer), error, events=max(1, len(reply.deltas)))

    def error(self, ask: Ask, script: Script) -> Body:
        """An error object with the usual words for the script's status and code."""
        return Body(encode_error(script, ask.model))

    def models(self, names: Sequence[str]) -> Body:
        """A list of ``model`` objects."""
        created = int(time.time())
        rows = [
            {"id": name, "object": "model", "created": created, "owned_by": "emulator"}
            for name in names
        ]
        return Body(_encode({"object": "list", "data": rows}))


class _ChunkWriter:
    """Chunks of one stream: only what differs is encoded for each."""

    def __init__(self, identity: dict[str, Any], *, has_usage: bool) -> None:
        self._chunk = identity
        self._nulls: dict[str, Any] = {"usage": None} if has_usage else {}
        mark = _encode("\u0000delta")
        before, after = self.write("\u0000delta", None).split(mark)
        self._before, self._after = before, after

    def write(self, delta: Delta | str, finish_reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _sse({**self._chunk, "choices": [choice], **self._nulls})

    def write_delta(self, delta: Delta) -> bytes:
        return b"%b%b%b" % (self._before, _encode(delta), self._after)

    def write_usage(self, usage: dict[str, Any]) -> bytes:
        return _sse({**self._chunk, "choices": [], "usage": usage})


def _sse(chunk: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % _encode(chunk)


# ---------------------------------------------------------------- what is asked


def _bearer(request: Request) -> str | None:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def _wants_usage(body: Any) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _refusal(fields: dict[str, Any] | None) -> Script | None:
    if fields is None:
        message = "We could not parse the JSON body of your request."
        return Script(status=400, error_message=message)
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        return Script(status=400, error_message="you must provide a model parameter")
    if not isinstance(fields.get("messages"), list):
        return Script(status=400, error_code="missing_required_parameter")
    return None


# ---------------------------------------------------------------- what is answered


def _first_delta(reply: _Reply) -> Delta:
    """Its content is null where a tool call or a refusal follows instead of text."""
    says_text = not reply.deltas or any(delta.get("content") is not None for delta in reply.deltas)
    return {"role": "assistant", "content": "" if says_text else None, "refusal": None}


def _deltas(script: Script, call_ids: list[str]) -> Iterator[Delta]:
    """The content events, in the order in which a model produces them."""
    for piece in tokens(script.reasoning):
        yield {"content": None, "reasoning_content": piece}
    for piece in script.deltas():
        yield {"content": piece}
    for piece in tokens(script.refusal or ""):
        yield {"refusal": piece}
    if script.image is not None:
        yield {"content": "", "images": [_image(script.image)]}
    for index, call in enumerate(script.tool_calls):
        yield from _call_deltas(index, call_ids[index], call)


def _call_deltas(index: int, call_id: str, call: ToolCall) -> Iterator[Delta]:
    start = {"name": call.name, "arguments": ""}
    head = {"index": index, "id": call_id, "type": "function", "function": start}
    yield {"tool_calls": [head]}
    for piece in cut(call.arguments, FRAGMENT):
        yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "index": 0}


def _message(script: Script, call_ids: list[str]) -> dict[str, Any]:
    text = "".join(script.deltas())
    says_nothing = not text and (script.tool_calls or script.refusal is not None)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if says_nothing else text,
        "refusal": script.refusal,
        "annotations": [],
    }
    if script.reasoning:
        message["reasoning_content"] = script.reasoning
    if script.image is not None:
        message["images"] = [_image(script.image)]
    if script.tool_calls:
        message["tool_calls"] = [
            {
                "id": call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call_id, call in zip(call_ids, script.tool_calls, strict=True)
        ]
    return message
