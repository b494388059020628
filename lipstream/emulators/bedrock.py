"""The dialect of Bedrock's Converse: blocks like Anthropic's in binary frames.

Shapes and order are those of recorded streams; the frames are those of
https://smithy.io/2.0/aws/amazon-eventstream.html. One content event is one word, the start or one
fragment of a tool use, one redacted block, or an image. A refusal is text that a guardrail put in
the place of the model's.

Not here: guardrails' traces, citations, tools that the service runs.
"""

from __future__ import annotations

import random
import re
import struct
import uuid
import zlib
from collections.abc import Iterator, Sequence
from string import ascii_letters, digits
from typing import Any
from urllib.parse import unquote

import attrs
import msgspec

from lipstream.emulators.aws_signature import fault_of, is_signed, signature_of
from lipstream.emulators.bedrock_errors import (
    bedrock_headers,
    encode_error,
    row_of,
)
from lipstream.emulators.bedrock_request import see_converse
from lipstream.emulators.counts import Counts, fragments
from lipstream.emulators.dialect import Ask, attempt, credential, parse
from lipstream.emulators.http import Request
from lipstream.emulators.playback import Body, Lead, Stream, Tail
from lipstream.emulators.proofs import prove
from lipstream.emulators.reading import Refused
from lipstream.emulators.script import Script, ToolCall, tokens
from lipstream.emulators.seen import Seen, parsed

CONTENT_TYPE = "application/vnd.amazon.eventstream"
STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "refusal": "guardrail_intervened",
    "error": "malformed_model_output",
}

_PATH = re.compile(r".*/model/([^/]+)/(converse|converse-stream)")
_PADDING = ascii_letters + digits

Block = dict[str, Any]

_encode = msgspec.json.encode


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of the binary stream."""
    block = b""
    for name, value in headers.items():
        text = value.encode()
        block += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _event(kind: str, **fields: Any) -> bytes:
    """An event with its padding, as the service hides the sizes of tokens."""
    fields["p"] = _PADDING[: random.randint(2, len(_PADDING))]
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, _encode(fields))


def _exception(script: Script) -> bytes:
    name = row_of(script).type
    headers = {
        ":exception-type": name[0].lower() + name[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, encode_error(script))


@attrs.frozen
class _Reply:
    """One answer: its blocks and what frames them."""

    ask: Ask
    script: Script
    counts: Counts

    @classmethod
    def make(cls, ask: Ask, script: Script) -> _Reply:
        return cls(ask, script, Counts.of(ask.request, script))

    @property
    def stop(self) -> Block:
        """How it ended."""
        if self.script.no_finish_reason:
            return {}
        reason = self.script.finish_reason or self._fitting()
        return {"stopReason": STOP_REASONS.get(reason, reason)}

    def _fitting(self) -> str:
        script = self.script
        if script.refusal is not None or script.block_reason is not None:
            return "refusal"
        if script.stop_sequence is not None:
            return "stop_sequence"
        return "tool_calls" if script.tool_calls else "stop"

    @property
    def report(self) -> Block:
        """The counts and the time that it took."""
        fields: Block = {"metrics": {"latencyMs": 500}}
        if self.script.usage:
            counts = self.counts
            fields["usage"] = {
                "inputTokens": counts.uncached,
                "outputTokens": counts.output,
                "totalTokens": counts.total,
                "cacheReadInputTokens": counts.cache_read,
                "cacheWriteInputTokens": counts.cache_write,
                "serverToolUsage": {},
            }
        return fields

    # ---- content

    def blocks(self) -> Iterator[Block]:
        """Its content, whole."""
        script, model = self.script, self.ask.model
        if script.reasoning:
            told = {"text": script.reasoning, "signature": prove(model, script.reasoning)}
            yield {"reasoningContent": {"reasoningText": told}}
        for _ in range(script.redacted):
            yield {"reasoningContent": {"redactedContent": prove(model, "redacted")}}
        if text := "".join(self._texts()):
            yield {"text": text}
        if script.image is not None:
            head, _, data = script.image.partition(",")
            form = head.partition("image/")[2].partition(";")[0]
            yield {"image": {"format": form or "png", "source": {"bytes": data}}}
        for call in script.tool_calls:
            yield {"toolUse": _tool_use(call)}

    def _texts(self) -> list[str]:
        refusal = self.script.refusal
        return self.script.deltas() if refusal is None else tokens(refusal)

    def events(self) -> Iterator[bytes]:
        """Its content as it streams, each block filled and stopped; few are started."""
        calls = iter(self.script.tool_calls)
        for index, block in enumerate(self.blocks()):
            call = next(calls) if "toolUse" in block else None
            if call is not None:
                start = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
                yield _event("contentBlockStart", contentBlockIndex=index, start={"toolUse": start})
            elif "image" in block:
                start = {"image": {"format": block["image"]["format"]}}
                yield Lead(_event("contentBlockStart", contentBlockIndex=index, start=start))
            for delta in self._deltas(block, call):
                event = _event("contentBlockDelta", contentBlockIndex=index, delta=delta)
                is_proof = "signature" in delta.get("reasoningContent", {})
                yield Tail(event) if is_proof else event
            yield Tail(_event("contentBlockStop", contentBlockIndex=index))

    def _deltas(self, block: Block, call: ToolCall | None) -> Iterator[Block]:
        if call is not None:
            yield from ({"toolUse": {"input": piece}} for piece in fragments(call))
        elif "text" in block:
            yield from ({"text": piece} for piece in self._texts())
        elif "image" in block:
            yield {"image": {"source": block["image"]["source"]}}
        elif "reasoningText" in block["reasoningContent"]:
            told = block["reasoningContent"]["reasoningText"]
            for piece in tokens(told["text"]):
                yield {"reasoningContent": {"text": piece}}
            yield {"reasoningContent": {"signature": told["signature"]}}
        else:
            yield block


class Bedrock:
    """Answers ``POST .../model/ID/converse`` and ``converse-stream``."""

    def serves(self, request: Request) -> bool:
        """Whether this asks for an answer, under whatever prefix."""
        return request.method == "POST" and _PATH.fullmatch(request.path) is not None

    def lists_models(self, request: Request) -> bool:
        """Whether this is the model list, which the real service has on another host."""
        return request.method == "GET" and request.path.endswith("/foundation-models")

    def read(self, request: Request) -> Ask:
        """Model, mode and key; what the service refuses becomes a refusal."""
        found = _PATH.fullmatch(request.path)
        model = unquote(found[1]) if found else ""
        body = parse(request)

        def look() -> Seen:
            _check_signature(request)
            return see_converse(body, model) if found else Seen()

        seen, refusal = attempt(look)
        signature = signature_of(request)
        return Ask(
            request=request,
            model=model,
            is_streaming=found is not None and found[2] == "converse-stream",
            body=body,
            credential=signature.key_id if signature else credential(request),
            refusal=refusal,
            seen=seen,
        )

    def denial(self, ask: Ask) -> Script:
        """403, under another name where no key came at all."""
        is_unknown = "UnrecognizedClientException", "MissingAuthenticationTokenException"
        return Script(status=403, error_code=is_unknown[ask.credential is None])

    def stream(self, ask: Ask, script: Script) -> Stream:
        """Message start, the blocks one after the other, message stop, metadata."""
        reply = _Reply.make(ask, script)
        closing = [_event("messageStop", **reply.stop), _event("metadata", **reply.report)]
        return Stream(
            opening=[_event("messageStart", role="assistant")],
            content=reply.events(),
            closing=[] if script.no_done else closing,
            error=[_exception(script)],
            broken=frame(
                {":event-type": "contentBlockDelta", ":message-type": "event"}, b'{"contentBlo'
            ),
            content_type=CONTENT_TYPE,
            is_sse=False,
            is_binary=True,
            headers=bedrock_headers(script),
        )

    def body(self, ask: Ask, script: Script) -> Body:
        """The answer in one piece."""
        reply = _Reply.make(ask, script)
        message = {"role": "assistant", "content": list(reply.blocks())}
        answer = {"output": {"message": message}, **reply.stop, **reply.report}
        events = sum(1 for event in reply.events() if not isinstance(event, Lead | Tail))
        headers = bedrock_headers(script)
        return Body(_encode(answer), encode_error(script), max(1, events), headers=headers)

    def error(self, ask: Ask, script: Script) -> Body:
        """A message with the usual words; the error's name is in a header."""
        return Body(encode_error(script), headers=bedrock_headers(script))

    def models(self, names: Sequence[str]) -> Body:
        """Summaries of models."""
        rows = [
            {
                "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{name}",
                "modelId": name,
                "modelName": name,
                "responseStreamingSupported": True,
            }
            for name in names
        ]
        return Body(_encode({"modelSummaries": rows}), headers=bedrock_headers(Script()))


def _check_signature(request: Request) -> None:
    why = fault_of(request, "bedrock") if is_signed(request) else None
    if why is not None:
        code = "InvalidSignatureException"
        raise Refused(Script(status=403, error_code=code, error_message=why))


def _tool_use(call: ToolCall) -> Block:
    given = parsed(call.arguments)
    return {
        "toolUseId": call.id or f"tooluse_{uuid.uuid4().hex[:22]}",
        "name": call.name,
        "input": given if isinstance(given, dict) else {},
    }
