"""The OpenAI Chat Completions dialect, as a provider speaks it.

Shapes follow https://platform.openai.com/docs/api-reference/chat; ``reasoning_content`` is that of
DeepSeek and its followers, ``images`` that of OpenRouter, since OpenAI has neither. One content
event is one word, one fragment of a tool call, or one image.

Embeddings are served beside it: they have no dialect of their own.

Not here: ``n``, logprobs, audio, and whether the answer fits the question.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from lipstream.emulators.counts import Counts, fragments
from lipstream.emulators.dialect import Ask, attempt, credential, names_other_provider, parse
from lipstream.emulators.http import Request
from lipstream.emulators.openai_chat_request import see_chat
from lipstream.emulators.openai_embeddings import check_embeddings, embeddings
from lipstream.emulators.openai_errors import encode_error, openai_headers
from lipstream.emulators.playback import Body, Stream
from lipstream.emulators.script import Script, ToolCall, tokens

FINGERPRINT = "fp_emulator"

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
        call_ids = [call.id or f"call_{uuid.uuid4().hex[:24]}" for call in script.tool_calls]
        return cls(ask, script, list(_deltas(script, call_ids)), call_ids, identity)

    @property
    def finish_reason(self) -> str | None:
        if self.script.no_finish_reason:
            return None
        fitting = "tool_calls" if self.script.tool_calls else "stop"
        if self.script.block_reason is not None:
            fitting = "content_filter"
        return self.script.finish_reason or fitting

    @property
    def usage(self) -> dict[str, Any]:
        counts = Counts.of(self.ask.request, self.script)
        return {
            "prompt_tokens": counts.prompt,
            "completion_tokens": counts.output,
            "total_tokens": counts.total,
            "prompt_tokens_details": {"cached_tokens": counts.cache_read, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": counts.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


class OpenAIChat:
    """Answers ``POST .../chat/completions``, ``POST .../embeddings`` and ``GET .../models``."""

    def serves(self, request: Request) -> bool:
        """Whether this is a chat completion or asks for embeddings, under whatever prefix."""
        return request.method == "POST" and request.path.endswith(
            ("/chat/completions", "/embeddings")
        )

    def lists_models(self, request: Request) -> bool:
        """Whether this is the model list, under whatever prefix."""
        is_list = request.method == "GET" and request.path.endswith("/models")
        return is_list and not names_other_provider(request)

    def read(self, request: Request) -> Ask:
        """Model, mode and bearer token; what the provider refuses becomes a refusal."""
        body = parse(request)
        fields = body if isinstance(body, dict) else {}
        is_embedding = request.path.endswith("/embeddings")
        seen, refusal = None, None
        if request.method == "POST":
            look = check_embeddings if is_embedding else see_chat
            seen, refusal = attempt(lambda: look(body))
        return Ask(
            request=request,
            model=str(fields.get("model") or ""),
            is_streaming=fields.get("stream") is True and not is_embedding,
            body=body,
            credential=credential(request),
            refusal=refusal,
            purpose="embed" if is_embedding else "answer",
            seen=seen,
        )

    def denial(self, ask: Ask) -> Script:
        """401 with OpenAI's code."""
        return Script(status=401, error_code="invalid_api_key")

    def stream(self, ask: Ask, script: Script) -> Stream:
        """Role, content, finish, usage if it was asked for, ``[DONE]``."""
        reply = _Reply.make(ask, script, is_streamed=True)
        is_counted = script.usage and _wants_usage(ask.fields)
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
            error=[b"data: %b\n\n" % encode_error(script, ask.model)],
            broken=b'data: {"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"conte\n\n',
            headers=openai_headers(script),
        )

    def body(self, ask: Ask, script: Script) -> Body:
        """One ``chat.completion``, or the embeddings that were asked for."""
        if ask.purpose == "embed":
            return embeddings(ask, script)
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
        events = max(1, len(reply.deltas))
        return Body(_encode(answer), error, events, headers=openai_headers(script))

    def error(self, ask: Ask, script: Script) -> Body:
        """An error object with the usual words for the script's status and code."""
        return Body(encode_error(script, ask.model), headers=openai_headers(script))

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


def _wants_usage(fields: Mapping[str, Any]) -> bool:
    options = fields.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


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
    for piece in fragments(call):
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
