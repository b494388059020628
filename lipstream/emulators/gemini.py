"""The Gemini dialect: every chunk is a whole response that holds what is new.

Shapes and order are those of recorded streams; see also
https://ai.google.dev/api/generate-content. One content event is one word, one whole function call
or one image. The terminal marker is the last chunk, which has the finish reason; usage comes with
every chunk and counts from the start. Without ``alt=sse`` a stream is a JSON array.

Not here: several candidates, grounding, code execution, files, cached content.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import attrs
import msgspec

from lipstream.emulators.counts import Counts, count_prompt
from lipstream.emulators.dialect import Ask, Purpose, attempt, credential, is_googles, parse, query
from lipstream.emulators.gemini_errors import NO_KEY, error_of
from lipstream.emulators.gemini_fields import BATCH, EMBED, normalise
from lipstream.emulators.gemini_request import (
    as_text,
    check_signatures,
    see_count,
    see_generate,
    wants_signatures,
)
from lipstream.emulators.http import Request
from lipstream.emulators.openai_embeddings import DIMENSIONS, vector
from lipstream.emulators.playback import Body, Stream
from lipstream.emulators.proofs import prove
from lipstream.emulators.script import Script, tokens
from lipstream.emulators.seen import Seen, parsed

FINISH_REASONS = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "error": "MALFORMED_FUNCTION_CALL",
}
CALLED = "Model generated function call(s)."

PURPOSES: dict[str, Purpose] = {
    "generateContent": "answer",
    "streamGenerateContent": "answer",
    "countTokens": "count",
    "embedContent": "embed",
    "batchEmbedContents": "embed",
}

_WHERE = re.compile(r"/models/([^/]+):([A-Za-z]+)$")

Part = dict[str, Any]

_encode = msgspec.json.encode


@attrs.frozen
class _Reply:
    """One response and the chunks that it is streamed in."""

    ask: Ask
    script: Script
    counts: Counts
    id: str

    @classmethod
    def make(cls, ask: Ask, script: Script) -> _Reply:
        counts = Counts.of(ask.request, script)
        return cls(ask, script, counts, uuid.uuid4().hex[:22])

    @property
    def signs(self) -> bool:
        """Whether the model gives signatures and ids."""
        return wants_signatures(self.ask.model)

    def chunk(
        self, parts: list[Part], so_far: int, extra: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A response with these parts, counted up to here."""
        content = {"parts": parts, "role": "model"} if parts else None
        candidate = {"content": content} if content else {}
        return self.whole({"candidates": [{**candidate, **(extra or {}), "index": 0}]}, so_far)

    def whole(self, answer: dict[str, Any], so_far: int) -> dict[str, Any]:
        """A response object."""
        usage = {"usageMetadata": self._usage(so_far)} if self.script.usage else {}
        model = self.script.model or self.ask.model
        return {**answer, **usage, "modelVersion": model, "responseId": self.id}

    def _usage(self, so_far: int) -> dict[str, Any]:
        counts = self.counts
        thoughts = min(counts.reasoning, so_far)
        said = max(0, so_far - thoughts)
        usage: dict[str, Any] = {"promptTokenCount": counts.prompt}
        if said:
            usage["candidatesTokenCount"] = said
        usage["totalTokenCount"] = counts.prompt + said + thoughts
        usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": counts.prompt}]
        if counts.cache_read:
            usage["cachedContentTokenCount"] = counts.cache_read
            usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": counts.cache_read}]
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        return usage

    # ---- what it says

    def parts(self) -> Iterator[Part]:
        """The parts, one per content event."""
        script = self.script
        yield from ({"text": piece, "thought": True} for piece in tokens(script.reasoning))
        yield from ({"text": piece} for piece in script.deltas())
        if script.image is not None:
            yield _image(script.image)
        for index, call in enumerate(script.tool_calls):
            arguments = parsed(call.arguments)
            given = arguments if isinstance(arguments, dict) else {"value": arguments}
            made: dict[str, Any] = {"name": call.name, "args": given}
            if self.signs or call.id is not None:
                made["id"] = call.id or uuid.uuid4().hex[:8]
            part: Part = {"functionCall": made}
            if index == 0 and (self.signs or script.reasoning):
                part["thoughtSignature"] = prove(self.ask.model, call.name)
            yield part

    @property
    def last(self) -> Part:
        """What the last chunk holds beside the finish reason: a signature, where there is none."""
        part: Part = {"text": ""}
        if (self.signs or self.script.reasoning) and not self.script.tool_calls:
            part["thoughtSignature"] = prove(self.ask.model, "")
        return part

    @property
    def finish(self) -> dict[str, Any]:
        """The candidate's end."""
        script = self.script
        if script.no_finish_reason:
            return {}
        fitting = "content_filter" if script.refusal is not None else "stop"
        reason = script.finish_reason or fitting
        found = {"finishReason": FINISH_REASONS.get(reason, reason)}
        if script.refusal:
            found["finishMessage"] = script.refusal
        elif script.tool_calls and found["finishReason"] == "STOP":
            found["finishMessage"] = CALLED
        return found

    def blocked(self) -> dict[str, Any]:
        """The answer to a prompt that is refused."""
        reason = self.script.block_reason
        return self.whole({"promptFeedback": {"blockReason": reason}}, 0)

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The chunks with content."""
        if self.script.block_reason is not None:
            return
        for number, part in enumerate(self.parts(), 1):
            yield self.chunk([part], min(number, self.counts.output))

    def end(self) -> dict[str, Any]:
        """The last chunk."""
        if self.script.block_reason is not None:
            return self.blocked()
        is_filtered = self.finish.get("finishReason") not in (None, "STOP", "MAX_TOKENS")
        return self.chunk([] if is_filtered else [self.last], self.counts.output, self.finish)

    def all(self) -> dict[str, Any]:
        """The response in one piece."""
        if self.script.block_reason is not None:
            return self.blocked()
        parts: list[Part] = []
        for part in self.parts():
            if parts and "text" in part and parts[-1].keys() == part.keys():
                parts[-1]["text"] += part["text"]
            else:
                parts.append(part)
        proof = self.last.get("thoughtSignature")
        if proof and parts:
            parts[-1]["thoughtSignature"] = proof
        return self.chunk(parts, self.counts.output, self.finish)


class Gemini:
    """Answers ``POST .../models/{model}:{method}`` and ``GET .../models``."""

    def serves(self, request: Request) -> bool:
        """Whether this is one of the methods of a model, under whatever prefix."""
        found = _WHERE.search(request.path)
        return request.method == "POST" and found is not None and found[2] in PURPOSES

    def lists_models(self, request: Request) -> bool:
        """Whether this is Gemini's model list."""
        is_list = request.method == "GET" and request.path.endswith("/models")
        return is_list and is_googles(request)

    def read(self, request: Request) -> Ask:
        """Model and mode from the path, the key; what the provider refuses becomes a refusal."""
        found = _WHERE.search(request.path)
        model, method = (unquote(found[1]), found[2]) if found else ("", "")
        purpose = PURPOSES.get(method, "answer")
        body = parse(request)

        def look() -> Seen:
            if purpose == "embed":
                normalise(body, BATCH if method == "batchEmbedContents" else EMBED)
                return Seen()
            if purpose == "count":
                return see_count(body)
            seen = see_generate(body)
            check_signatures(body, model)
            return seen

        seen, refusal = attempt(look) if request.method == "POST" else (None, None)
        return Ask(
            request=request,
            model=model,
            is_streaming=method == "streamGenerateContent",
            body=body,
            credential=credential(request),
            refusal=refusal,
            purpose=purpose,
            seen=seen,
        )

    def denial(self, ask: Ask) -> Script:
        """400 for a key that is wrong, 403 for none."""
        if ask.credential:
            return Script(status=400, error_code="API_KEY_INVALID")
        return Script(status=403, error_message=NO_KEY.message)

    def stream(self, ask: Ask, script: Script) -> Stream:
        """Chunks with content, then the one with the finish reason."""
        reply = _Reply.make(ask, script)
        closing = () if script.no_done else (reply.end() for _ in range(1))
        error = [error_of(script, ask.model)]
        if query(ask.request, "alt") == "sse":
            return Stream(
                opening=(),
                content=map(_sse, reply.chunks()),
                closing=map(_sse, closing),
                error=map(_sse, error),
                broken=b'data: {"candidates": [{"content": {"par\n\n',
                content_type="text/event-stream",
                is_crlf=True,
                headers=_HEADERS,
            )
        array = _Array()
        return Stream(
            opening=(),
            content=map(array.item, reply.chunks()),
            closing=array.rest(closing),
            error=array.rest(error),
            broken=b',{"candidates": [{"content": {"par\n',
            content_type="application/json; charset=UTF-8",
            is_sse=False,
            headers=_HEADERS,
        )

    def body(self, ask: Ask, script: Script) -> Body:
        """One response, a count, or embeddings; a list with one where a stream was asked for."""
        reply = _Reply.make(ask, script)
        error: Any = error_of(script, ask.model)
        if ask.purpose == "count":
            answer: Any = _count(count_prompt(ask.request, script))
        elif ask.purpose == "embed":
            answer = _embeddings(ask)
        else:
            answer = reply.all()
        if _is_array(ask):
            answer, error = [answer], [error]
        events = sum(1 for _ in reply.parts())
        return Body(_encode(answer), _encode(error), max(1, events), _JSON, headers=_HEADERS)

    def error(self, ask: Ask, script: Script) -> Body:
        """An error object with the usual words for the script's status and code."""
        if script.error_body is not None:
            data = script.error_body
        else:
            error = error_of(script, ask.model)
            data = _encode([error] if _is_array(ask) else error)
        return Body(data, content_type=_JSON, headers=_HEADERS, says_retry=False)

    def models(self, names: Sequence[str]) -> Body:
        """A list of models and what they can do."""
        rows = [
            {
                "name": f"models/{name}",
                "version": "001",
                "displayName": name,
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }
            for name in names
        ]
        return Body(_encode({"models": rows}), content_type=_JSON, headers=_HEADERS)


_JSON = "application/json; charset=UTF-8"
_HEADERS = (("server-timing", "gfet4t7; dur=42"),)


def _sse(chunk: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % _encode(chunk)


class _Array:
    """A JSON array whose items are sent one by one."""

    def __init__(self) -> None:
        self._is_open = False

    def item(self, chunk: dict[str, Any]) -> bytes:
        """The next item, with what comes before it."""
        before, self._is_open = b"," if self._is_open else b"[", True
        return b"%b%b\r\n" % (before, _encode(chunk))

    def rest(self, chunks: Iterable[dict[str, Any]]) -> Iterator[bytes]:
        """The last items and the end."""
        for chunk in chunks:
            yield self.item(chunk)
        yield b"]" if self._is_open else b"[]"


def _is_array(ask: Ask) -> bool:
    return ask.is_streaming and query(ask.request, "alt") != "sse"


def _image(url: str) -> Part:
    if not url.startswith("data:"):
        return {"fileData": {"mimeType": "image/png", "fileUri": url}}
    head, _, data = url[5:].partition(",")
    return {"inlineData": {"mimeType": head.partition(";")[0], "data": data}}


def _count(tokens: int) -> dict[str, Any]:
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return {"totalTokens": tokens, "promptTokensDetails": details}


def _embeddings(ask: Ask) -> dict[str, Any]:
    if ask.request.path.endswith(":embedContent"):
        return {"embedding": _vector(normalise(ask.body, EMBED))}
    requests = normalise(ask.body, BATCH).get("requests", [])
    return {"embeddings": [_vector(request) for request in requests]}


def _vector(fields: dict[str, Any]) -> dict[str, Any]:
    parts = fields.get("content", {}).get("parts", [])
    text = "".join(as_text(part.get("text", "")) for part in parts)
    return {"values": vector(text, fields.get("outputDimensionality") or DIMENSIONS)}
