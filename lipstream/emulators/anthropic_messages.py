"""The Anthropic Messages dialect: content blocks that start, grow and stop, one at a time.

Shapes and order are those of recorded streams; see also
https://docs.claude.com/en/docs/build-with-claude/streaming. One content event is one word, the
start or one fragment of a tool use, or one redacted block. A refusal's words are the
``explanation`` in ``stop_details``. Images are never answered.

Not here: server tools, citations, batches, files.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import msgspec

from lipstream.emulators.anthropic_errors import (
    anthropic_headers,
    encode_error,
    fault,
    new_request_id,
)
from lipstream.emulators.anthropic_request import check_signatures, see_messages
from lipstream.emulators.counts import Counts, count_prompt, fragments
from lipstream.emulators.dialect import Ask, attempt, credential, parse
from lipstream.emulators.http import Request
from lipstream.emulators.playback import Body, Lead, Stream, Tail
from lipstream.emulators.proofs import prove
from lipstream.emulators.reading import Refused
from lipstream.emulators.script import Script, ToolCall, tokens
from lipstream.emulators.seen import Seen, parsed

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
}

PING = b'event: ping\ndata: {"type": "ping"}\n\n'

Block = dict[str, Any]

_encode = msgspec.json.encode


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))


@attrs.frozen
class _Reply:
    """One message: its blocks and what frames them."""

    ask: Ask
    script: Script
    counts: Counts
    request_id: str
    id: str

    @classmethod
    def make(cls, ask: Ask, script: Script) -> _Reply:
        counts = Counts.of(ask.request, script)
        return cls(ask, script, counts, new_request_id(), f"msg_01{uuid.uuid4().hex[:22]}")

    def message(self, content: list[Block], stop: dict[str, Any], usage: Block) -> Block:
        """The message object."""
        return {
            "model": self.script.model or self.ask.model,
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "content": content,
            **stop,
            "usage": usage,
        }

    @property
    def stop(self) -> dict[str, Any]:
        """How it ended."""
        script = self.script
        reason = script.finish_reason or self._fitting()
        details = None
        if STOP_REASONS.get(reason, reason) == "refusal":
            words = script.refusal or None
            details = {"type": "refusal", "category": None, "explanation": words}
        return {
            "stop_reason": STOP_REASONS.get(reason, reason),
            "stop_sequence": script.stop_sequence,
            "stop_details": details,
        }

    def _fitting(self) -> str:
        script = self.script
        if script.refusal is not None or script.block_reason is not None:
            return "refusal"
        if script.stop_sequence is not None:
            return "stop_sequence"
        return "tool_calls" if script.tool_calls else "stop"

    @property
    def first_usage(self) -> Block:
        """What is known at the start."""
        if not self.script.usage:
            return {"input_tokens": 0, "output_tokens": 0}
        written = self.script.cache_write_tokens
        return {
            **self._input(),
            "cache_creation": {
                "ephemeral_5m_input_tokens": written,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": min(1, self.counts.output),
            "service_tier": "standard",
        }

    @property
    def last_usage(self) -> Block:
        """What is known at the end: all of it, not what is new."""
        if not self.script.usage:
            return {"output_tokens": 0}
        usage: Block = {**self._input(), "output_tokens": self.counts.output}
        if self.counts.reasoning:
            usage["output_tokens_details"] = {"thinking_tokens": self.counts.reasoning}
        return usage

    def _input(self) -> Block:
        return {
            "input_tokens": self.counts.uncached,
            "cache_creation_input_tokens": self.counts.cache_write,
            "cache_read_input_tokens": self.counts.cache_read,
        }

    # ---- content

    def blocks(self) -> Iterator[Block]:
        """Its content, whole."""
        script, model = self.script, self.ask.model
        if script.reasoning:
            signature = prove(model, script.reasoning)
            yield {"type": "thinking", "thinking": script.reasoning, "signature": signature}
        for _ in range(script.redacted):
            yield {"type": "redacted_thinking", "data": prove(model, "redacted")}
        if deltas := script.deltas():
            yield {"type": "text", "text": "".join(deltas)}
        for call in script.tool_calls:
            yield _tool_use(call, parsed(call.arguments))

    def events(self) -> Iterator[bytes]:
        """Its content as it streams, each block started, filled and stopped."""
        calls = iter(self.script.tool_calls)
        blocks = list(self.blocks()) or [{"type": "text", "text": ""}]
        for index, block in enumerate(blocks):
            call = next(calls) if block["type"] == "tool_use" else None
            for event in self._block(index, block, call):
                is_content = not isinstance(event, Lead | Tail)
                if self.script.pings and is_content:
                    yield Lead(PING)
                yield event

    def _block(self, index: int, block: Block, call: ToolCall | None) -> Iterator[bytes]:
        deltas = list(_deltas(block, call, self.script))
        start = _event("content_block_start", index=index, content_block=_empty(block))
        counts = call is not None or block["type"] == "redacted_thinking"
        yield start if counts else Lead(start)
        if index == 0:
            yield Tail(PING) if counts else Lead(PING)
        for delta in deltas:
            event = _event("content_block_delta", index=index, delta=delta)
            is_last_word = delta["type"] == "signature_delta"
            is_first_word = delta.get("partial_json") == ""
            yield Tail(event) if is_last_word or is_first_word else event
        stop = _event("content_block_stop", index=index)
        yield Tail(stop)


class AnthropicMessages:
    """Answers ``POST .../messages``, ``POST .../messages/count_tokens`` and ``GET .../models``."""

    def serves(self, request: Request) -> bool:
        """Whether this asks for a message or a count, under whatever prefix."""
        return request.method == "POST" and request.path.endswith(
            ("/messages", "/messages/count_tokens")
        )

    def lists_models(self, request: Request) -> bool:
        """Whether this is the model list: the version header tells it from OpenAI's."""
        is_list = request.method == "GET" and request.path.endswith("/models")
        return is_list and "anthropic-version" in request.headers

    def read(self, request: Request) -> Ask:
        """Model, mode and key; what the provider refuses becomes a refusal."""
        body = parse(request)
        fields = body if isinstance(body, dict) else {}
        model, is_count = str(fields.get("model") or ""), request.path.endswith("/count_tokens")

        def look() -> Seen:
            if "anthropic-version" not in request.headers:
                raise Refused(fault("anthropic-version: header is required"))
            if request.method == "GET":
                return Seen()
            seen = see_messages(body, is_count=is_count)
            check_signatures(seen, model)
            return seen

        seen, refusal = attempt(look)
        return Ask(
            request=request,
            model=model,
            is_streaming=fields.get("stream") is True and not is_count,
            body=body,
            credential=credential(request),
            refusal=refusal,
            purpose="count" if is_count else "answer",
            seen=seen,
        )

    def denial(self, ask: Ask) -> Script:
        """401, in other words where no key came at all."""
        message = "invalid x-api-key" if ask.credential else "x-api-key header is required"
        return Script(status=401, error_message=message)

    def stream(self, ask: Ask, script: Script) -> Stream:
        """Message start, the blocks one after the other, message delta, message stop."""
        reply = _Reply.make(ask, script)
        unknown = dict.fromkeys(("stop_reason", "stop_sequence", "stop_details"))
        message = reply.message([], unknown, reply.first_usage)
        closing = []
        if not script.no_finish_reason:
            delta = _event("message_delta", delta=reply.stop, usage=reply.last_usage)
            closing.append(delta)
        if not script.no_done:
            closing.append(_event("message_stop"))
        error = encode_error(script, ask.model, reply.request_id)
        return Stream(
            opening=[_event("message_start", message=message)],
            content=reply.events(),
            closing=closing,
            error=[b"event: error\ndata: %b\n\n" % error],
            broken=b'event: content_block_delta\ndata: {"type":"content_block_del\n\n',
            headers=anthropic_headers(script, reply.request_id),
        )

    def body(self, ask: Ask, script: Script) -> Body:
        """One message, or the count that was asked for."""
        reply = _Reply.make(ask, script)
        headers = anthropic_headers(script, reply.request_id)
        if ask.purpose == "count":
            count = {"input_tokens": count_prompt(ask.request, script)}
            return Body(_encode(count), events=1, headers=headers)
        stop = reply.stop
        if script.no_finish_reason:
            stop["stop_reason"] = None
        usage = {**reply.first_usage, **reply.last_usage}
        message = reply.message(list(reply.blocks()), stop, usage)
        events = sum(1 for event in reply.events() if not isinstance(event, Lead | Tail))
        error = encode_error(script, ask.model, reply.request_id)
        return Body(_encode(message), error, max(1, events), headers=headers)

    def error(self, ask: Ask, script: Script) -> Body:
        """An error object with the usual words for the script's status and code."""
        request_id = new_request_id()
        body = encode_error(script, ask.model, request_id)
        return Body(body, headers=anthropic_headers(script, request_id))

    def models(self, names: Sequence[str]) -> Body:
        """One page of ``model`` objects."""
        rows = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2026-01-01T00:00:00Z",
            }
            for name in names
        ]
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        headers = anthropic_headers(Script(), new_request_id())
        return Body(_encode({"data": rows, "has_more": False, **ends}), headers=headers)


# ---------------------------------------------------------------- blocks


def _tool_use(call: ToolCall, given: Any) -> Block:
    return {
        "type": "tool_use",
        "id": call.id or f"toolu_01{uuid.uuid4().hex[:22]}",
        "name": call.name,
        "input": given if isinstance(given, dict) else {},
    }


def _empty(block: Block) -> Block:
    """The block as it starts."""
    texts: Block = dict.fromkeys(("text", "thinking", "signature"), "")
    return {**block, **{name: texts[name] for name in block if name in texts}} | (
        {"input": {}} if "input" in block else {}
    )


def _deltas(block: Block, call: ToolCall | None, script: Script) -> Iterator[Block]:
    if call is not None:
        yield {"type": "input_json_delta", "partial_json": ""}
        # A tool without parameters gets no more than that.
        for piece in fragments(call) if call.arguments != "{}" else ():
            yield {"type": "input_json_delta", "partial_json": piece}
    elif block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in script.deltas())
    elif block["type"] == "thinking":
        for piece in tokens(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
