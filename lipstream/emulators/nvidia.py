"""NVIDIA's hosted models: OpenAI's two dialects, problem details for errors, and answers that are
fetched later.

Whatever script has the status 202 promises an answer instead of giving one: the script of the next
turn is what the client finds when it asks for it, or another promise. See
https://docs.nvidia.com/cloud-functions/user-guide/latest/cloud-function/api.html. Which fields are
refused differs between the models there; these are the ones that some of them were seen to refuse.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import attrs
import msgspec

from lipstream.emulators.dialect import Ask, credential
from lipstream.emulators.http import Request
from lipstream.emulators.openai_errors import error_of
from lipstream.emulators.playback import Body, Stream
from lipstream.emulators.script import Script
from lipstream.emulators.variants import Variant, is_responses

PREFIX = "/nvidia/v1"
STATUS_PATH = "/v2/nvcf/pexec/status/"
PROBLEM = "urn:inference-service:problem-details"
CREATED = 735790403  # of every model in NVIDIA's own list

_OF_OTHERS = frozenset(
    {"provider", "models", "route", "plugins", "debug", "session_id", "trace", "transforms"}
    | {"stop_server_tools_when"}
)
REFUSED = {
    False: _OF_OTHERS
    | {"max_completion_tokens", "prompt_cache_key", "safety_identifier", "reasoning", "usage"},
    True: _OF_OTHERS | {"max_completion_tokens", "max_tokens", "stream_options"},
}
"""Fields that are not permitted, in chat and (True) in Responses."""

_encode = msgspec.json.encode


class Nvidia(Variant):
    """Answers below ``/nvidia/v1``, and ``GET /v2/nvcf/pexec/status/...``."""

    prefix = PREFIX

    def __init__(self) -> None:
        super().__init__()
        self._promised: dict[str, Ask] = {}

    def serves(self, request: Request) -> bool:
        """Also whether it asks for an answer that was promised."""
        return _is_poll(request) or super().serves(request)

    def read(self, request: Request) -> Ask:
        """What was asked, perhaps a while ago."""
        if _is_poll(request):
            return self._promise(request)
        ask = super().read(request)
        if ask.refusal is not None:
            words = ask.refusal.error_message
            return _refused(ask, words or "", ask.refusal.status)
        found = [name for name in ask.fields if name in REFUSED[is_responses(request)]]
        return _refused(ask, _forbidden(ask, found[0])) if found else ask

    def _promise(self, request: Request) -> Ask:
        request_id = request.path.removeprefix(STATUS_PATH)
        ask = self._promised.get(request_id)
        if ask is None:
            nothing = Ask(request, "", is_streaming=False, credential=credential(request))
            return _refused(nothing, f"Not found: Request id '{request_id}'", 404)
        # The model is looked up in the scripts; where the answer goes, the request before says.
        return attrs.evolve(ask, credential=credential(request))

    def denial(self, ask: Ask) -> Script:
        """401 in NVIDIA's words."""
        return Script(status=401, error_message="Authentication failed")

    def stream(self, ask: Ask, script: Script) -> Stream:
        """OpenAI's, with problem details for an error in it."""
        stream = super().stream(ask, script)
        error = [b"data: %b\n\n" % _problem(script, ask.model)]
        return attrs.evolve(stream, error=error, headers=_headers())

    def body(self, ask: Ask, script: Script) -> Body:
        """OpenAI's, the same."""
        error = _problem(script, ask.model)
        return attrs.evolve(super().body(ask, script), error=error, headers=_headers())

    def error(self, ask: Ask, script: Script) -> Body:
        """Problem details, or a promise."""
        if script.status == 202:
            return self._put_off(ask)
        kind = "application/problem+json"
        return Body(_problem(script, ask.model), content_type=kind, headers=_headers())

    def _put_off(self, ask: Ask) -> Body:
        known = [key for key, found in self._promised.items() if found.request is ask.request]
        request_id = known[0] if known else str(uuid.uuid4())
        self._promised[request_id] = ask
        state = ("nvcf-status", "pending-evaluation")
        return Body(b"", headers=[*_headers(request_id), state])

    def models(self, names: Sequence[str]) -> Body:
        """A list of ``model`` objects."""
        rows = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "nvidia"}
            for name in names
        ]
        return Body(_encode({"object": "list", "data": rows}))


def _is_poll(request: Request) -> bool:
    return request.method == "GET" and request.path.startswith(STATUS_PATH)


def _headers(request_id: str = "") -> list[tuple[str, str]]:
    return [("nvcf-reqid", request_id or str(uuid.uuid4()))]


# ---------------------------------------------------------------- problems


def _refused(ask: Ask, words: str, status: int = 400) -> Ask:
    return attrs.evolve(ask, refusal=Script(status=status, error_message=words))


def _forbidden(ask: Ask, name: str) -> str:
    fault: dict[str, Any] = {
        "type": "extra_forbidden",
        "loc": ("body", name),
        "msg": "Extra inputs are not permitted",
        "input": ask.fields[name],
    }
    return str([fault])


def _problem(script: Script, model: str) -> bytes:
    if script.error_body is not None:
        return script.error_body
    status = script.status if script.status != 200 else 500
    title = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Server Error"
    problem = {
        "type": f"{PROBLEM}:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": error_of(script, model)["message"],
        "instance": "/v2/nvcf/pexec/functions/emulator",
        "requestId": str(uuid.uuid4()),
    }
    return _encode(problem)
