"""An agent behind the HTTP subset of the agent client protocol (https://agentclientprotocol.com).

Every message of JSON-RPC is a POST of its own; a prompt is answered in NDJSON lines. Sessions are
remembered, so every emulator has an agent of its own. One content event is a word of text or
thought, or what is told of a tool.

The answer to a prompt goes by the script of the model ``agent``. Any other message is taken for a
request for a model that is called like its method (``session/new``, ``session/cancel``;
``response`` for an answer to the agent) and goes well unless there is a script of that name. So the
ledger has each of them, too: ``ledger.of_model("session/cancel")``.

Each tool call of a script asks for a permission; nobody waits for it.

Not here: ``session/load``, and whether an agent waits for anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from lipstream.emulators.dialect import Ask, attempt, credential, parse
from lipstream.emulators.http import Request
from lipstream.emulators.playback import Body, Stream, Tail
from lipstream.emulators.reading import Node, Refused
from lipstream.emulators.script import Script, ToolCall, tokens
from lipstream.emulators.seen import Seen, SeenMedia, SeenPart, SeenText, from_url, turns_of

MODEL = "agent"
PROMPT = "session/prompt"
CANCELS = ("session/cancel", "session/stop", "session/end")
RESPONSE = "response"

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
)
NOT_AUTHENTICATED, NOT_INITIALIZED = -32000, -32002

_MESSAGES = {
    PARSE_ERROR: "parse error",
    INVALID_REQUEST: "invalid request",
    NO_METHOD: "method not found",
    INVALID_PARAMS: "invalid params",
    INTERNAL: "internal error",
    NOT_AUTHENTICATED: "authentication required",
    NOT_INITIALIZED: "not initialized",
}
_CODES = {400: INVALID_PARAMS, 401: NOT_AUTHENTICATED, 404: NO_METHOD, 422: INVALID_PARAMS}
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "pause": "max_turn_requests",
}

_encode = msgspec.json.encode


@attrs.define(eq=False)
class _Session:
    """A conversation; ``is_cancelled`` is for the prompt that is running."""

    id: str
    is_cancelled: bool = False


class Acp:
    """Answers ``POST .../v1/acp``."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._is_initialized = False
        self._requests = itertools.count(1)

    def serves(self, request: Request) -> bool:
        """Whether this is a message, under whatever prefix."""
        return request.method == "POST" and request.path.endswith("/v1/acp")

    def lists_models(self, request: Request) -> bool:
        """Agents have no models."""
        return False

    def read(self, request: Request) -> Ask:
        """The message; what is wrong with it becomes an error of JSON-RPC."""
        body = parse(request)
        fields = body if isinstance(body, dict) else {}
        method = fields.get("method", RESPONSE)
        seen, refusal = attempt(lambda: self._see(body, fields))
        is_prompt = method == PROMPT
        return Ask(
            request=request,
            model=MODEL if is_prompt else str(method),
            is_streaming=is_prompt,
            body=body,
            credential=credential(request),
            refusal=refusal,
            seen=seen if is_prompt else None,
            usual=None if is_prompt else Script(status=200 if _wants_answer(fields) else 204),
        )

    def denial(self, ask: Ask) -> Script:
        """401."""
        return Script(status=401)

    def stream(self, ask: Ask, script: Script) -> Stream:
        """A plan, thoughts, text, tools, and the result."""
        session = self._sessions[ask.fields["params"]["sessionId"]]
        session.is_cancelled = False
        talk = _Talk(session, ask, script, self._requests)
        return Stream(
            opening=[talk.update("plan", entries=[])],
            content=talk.content(),
            closing=talk.closing(),
            error=[_error(ask, script)],
            broken=b'{"jsonrpc":"2.0","method":"session/upd\n',
            content_type="application/x-ndjson",
            is_sse=False,
        )

    def body(self, ask: Ask, script: Script) -> Body:
        """The result of a step, or of a prompt that nothing is told about."""
        if script.error_body is not None:
            return Body(script.error_body)
        step = _STEPS.get(ask.model)
        result = step(self) if step else {"stopReason": "end_turn"}
        return Body(_line({"id": ask.fields["id"], "result": result}), _error(ask, script))

    def error(self, ask: Ask, script: Script) -> Body:
        """An error; nothing for a message that wants no answer, which takes effect now."""
        if script.status == 204:
            self._hear(ask.fields)
            return Body(b"")
        return Body(_error(ask, script))

    def models(self, names: Sequence[str]) -> Body:
        """Nothing: nobody asks."""
        return Body(b"[]")

    # ---- what is asked

    def _see(self, body: Any, fields: Mapping[str, Any]) -> Seen:
        if body is None:
            raise _refused(None, PARSE_ERROR)
        number = fields.get("id")
        if fields.get("jsonrpc") != "2.0" or not isinstance(fields.get("method", ""), str):
            raise _refused(number, INVALID_REQUEST)
        if not _wants_answer(fields):
            return Seen()
        root = Node(fields, "", _Words(number))
        check = _CHECKS.get(fields["method"])
        if check is None:
            raise _refused(number, NO_METHOD)
        return check(self, root.table_at("params"), number)

    def _see_initialize(self, params: Node, number: Any) -> Seen:
        params.need("protocolVersion").whole()
        params.table_at("clientCapabilities")
        return Seen()

    def _see_authenticate(self, params: Node, number: Any) -> Seen:
        params.text_at("methodId")
        return Seen()

    def _see_new(self, params: Node, number: Any) -> Seen:
        if not self._is_initialized:
            raise _refused(number, NOT_INITIALIZED)
        if not params.need("cwd").text().startswith("/"):
            raise _refused(number, INVALID_PARAMS, "cwd is not absolute")
        for server in params.need("mcpServers").items():
            server.need("name").text()
        return Seen()

    def _see_prompt(self, params: Node, number: Any) -> Seen:
        if params.need("sessionId").text() not in self._sessions:
            raise _refused(number, INVALID_PARAMS, "unknown session")
        blocks = params.need("prompt").items()
        if not blocks:
            raise _refused(number, INVALID_PARAMS, "the prompt is empty")
        return Seen(turns=turns_of([("user", _block(block, number)) for block in blocks]))

    # ---- steps

    def _initialize(self) -> dict[str, Any]:
        self._is_initialized = True
        capabilities = {"loadSession": False, "promptCapabilities": {"embeddedContext": True}}
        return {
            "protocolVersion": 1,
            "agentCapabilities": capabilities,
            "agentInfo": {"name": "emulator", "version": "1"},
            "authMethods": [],
        }

    def _authenticate(self) -> dict[str, Any]:
        return {}

    def _new_session(self) -> dict[str, Any]:
        session = _Session(f"sess_ref_{len(self._sessions) + 1}")
        self._sessions[session.id] = session
        return {"sessionId": session.id}

    def _hear(self, fields: Mapping[str, Any]) -> None:
        params = fields.get("params")
        session_id = params.get("sessionId") if isinstance(params, dict) else None
        session = self._sessions.get(session_id) if isinstance(session_id, str) else None
        if session is not None and fields.get("method") in CANCELS:
            session.is_cancelled = True


_CHECKS = {
    "initialize": Acp._see_initialize,
    "authenticate": Acp._see_authenticate,
    "session/new": Acp._see_new,
    PROMPT: Acp._see_prompt,
}
_STEPS = {
    "initialize": Acp._initialize,
    "authenticate": Acp._authenticate,
    "session/new": Acp._new_session,
}


def _wants_answer(fields: Mapping[str, Any]) -> bool:
    return "method" in fields and fields.get("id") is not None


@attrs.frozen
class _Words:
    """How an agent words the usual faults."""

    number: Any

    def field(self, path: str, name: str) -> str:
        """The path of a field."""
        return f"{path}.{name}" if path else name

    def item(self, path: str, index: int) -> str:
        """The path of a list's item."""
        return f"{path}[{index}]"

    def missing(self, path: str) -> Script:
        """Nothing where something is required."""
        return _refused(self.number, INVALID_PARAMS, f"{path} is missing").script

    def mistyped(self, path: str, expected: str, value: Any) -> Script:
        """Not the JSON type that is expected."""
        return _refused(self.number, INVALID_PARAMS, f"{path} is no {expected}").script


def _refused(number: Any, code: int, message: str = "") -> Refused:
    """An error inside a 200, in one piece."""
    message = message or _MESSAGES[code]
    body = _line({"id": number, "error": {"code": code, "message": message}})
    return Refused(Script(error_body=body, error_message=message, stream_ignored=True))


def _block(block: Node, number: Any) -> SeenPart:
    kind = block.need("type").text()
    if kind == "text":
        return SeenText(block.need("text").text())
    if kind != "resource":
        raise _refused(number, INVALID_PARAMS, f"{block.path}.type")
    resource = block.need("resource")
    uri, name = resource.need("uri").text(), resource.text_at("text")
    media_type = resource.text_at("mimeType") or ""
    media = "image" if media_type.startswith("image/") else "document"
    seen = from_url(media, uri, name)
    return seen if uri.startswith("data:") else attrs.evolve(seen, media_type=media_type)


# ---------------------------------------------------------------- what is answered


@attrs.frozen
class _Talk:
    """The lines of one answer, made as they are due: a cancellation comes in between."""

    session: _Session
    ask: Ask
    script: Script
    requests: Iterator[int]

    def content(self) -> Iterator[bytes]:
        for line in self._lines():
            if self.session.is_cancelled:
                yield self.say("agent_message_chunk", "stopped")
                return
            yield line

    def closing(self) -> Iterator[bytes]:
        script = self.script
        if script.no_done:
            return
        result = {} if script.no_finish_reason else {"stopReason": self._stop_reason()}
        yield _line({"id": self.ask.fields["id"], "result": result})

    def _stop_reason(self) -> str:
        script = self.script
        if self.session.is_cancelled:
            return "cancelled"
        if script.refusal is not None or script.block_reason is not None:
            return script.finish_reason or "refusal"
        given = script.finish_reason or "stop"
        return _STOP_REASONS.get(given, given)

    def _lines(self) -> Iterator[bytes]:
        for piece in tokens(self.script.reasoning):
            yield self.say("agent_thought_chunk", piece)
        for piece in self._deltas():
            yield self.say("agent_message_chunk", piece)
        for piece in tokens(self.script.refusal or ""):
            yield self.say("agent_message_chunk", piece)
        if self.script.image is not None:
            yield self.update("agent_message_chunk", content=_image(self.script.image))
        for index, call in enumerate(self.script.tool_calls):
            yield from self._tool(call.id or f"tool_{index + 1}", call)

    def _deltas(self) -> list[str]:
        """What the script says; where it says nothing of it, what was sent along."""
        media = self.ask.seen.media if self.ask.seen else []
        if not media or self.script.text is not None or self.script.words is not None:
            return self.script.deltas()
        names = ";".join(_uri(found) for found in media)
        return attrs.evolve(self.script, text=f"saw resource: {names}").deltas()

    def _tool(self, call_id: str, call: ToolCall) -> Iterator[bytes]:
        told = {"toolCallId": call_id, "title": call.name, "status": "pending"}
        yield self.update("tool_call", **told, rawInput=call.arguments)
        params = {"sessionId": self.session.id, "toolCall": told, "options": []}
        number, method = next(self.requests), "session/request_permission"
        yield Tail(_line({"id": number, "method": method, "params": params}))
        yield self.update("tool_call_update", toolCallId=call_id, status="completed")

    def say(self, kind: str, text: str) -> bytes:
        """A piece of text."""
        return self.update(kind, content={"type": "text", "text": text})

    def update(self, kind: str, **fields: Any) -> bytes:
        """One notification."""
        params = {"sessionId": self.session.id, "update": {"sessionUpdate": kind, **fields}}
        return _line({"method": "session/update", "params": params})


def _image(url: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"type": "resource_link", "uri": url, "name": "image"}
    head, _, data = url[5:].partition(",")
    return {"type": "image", "data": data, "mimeType": head.partition(";")[0]}


def _uri(media: SeenMedia) -> str:
    return media.source or f"data:{media.media_type}"


def _error(ask: Ask, script: Script) -> bytes:
    """The error object for the script's status, code and message; its ``error_body`` goes first."""
    if script.error_body is not None:
        return script.error_body
    given = script.error_code
    code = given if isinstance(given, int) else _CODES.get(script.status, INTERNAL)
    message = script.error_message or _MESSAGES.get(code, "error")
    return _line({"id": ask.fields.get("id"), "error": {"code": code, "message": message}})


def _line(message: Mapping[str, Any]) -> bytes:
    return _encode({"jsonrpc": "2.0", **message}) + b"\n"
