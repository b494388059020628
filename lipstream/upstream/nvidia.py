"""NVIDIA's hosted NIMs: OpenAI's two protocols, of which they take less, and fields of their own.

* The limit of a chat answer is ``max_tokens``.
* Usage in a stream is asked for where the client wants it, and else not. NVIDIA's own client for
  LangChain asks for it with all models but two old families, and without it vLLM, which most of the
  servers are, does not tell; but they differ, and a field that is not there is refused by none.
* Fields that no protocol knows (``nvext``, ``chat_template_kwargs``, ``guided_json`` ...) go over,
  from clients of either protocol, within limits. Others' are left out: many of the servers answer
  a field that they do not know with a 400.
* An answer that is not ready in time is fetched, see
  https://docs.nvidia.com/cloud-functions/user-guide/latest/cloud-function/api.html.

Errors are problem details, which ``framing.faults`` reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lipstream.canonical.call import Call
from lipstream.canonical.reasoning import effort_of
from lipstream.framing.sse import encode_json
from lipstream.upstream.client import Request
from lipstream.upstream.extra_fields import FRAME, OPENROUTER, beyond
from lipstream.upstream.provider import CHAT, RESPONSES
from lipstream.upstream.quirks import Fields, Quirks

MAX_FIELDS = 32
MAX_VALUE = 16 * 1024  # bytes of JSON
POLL_SECONDS = 30  # that the server may hold a request for an answer that is not ready

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,128}")
_STATUS_PATH = "/v2/nvcf/pexec/status/"

# Hints that change nothing of an answer, and that the chat servers refuse.
_HINTS = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier"})


def extra_body(call: Call) -> Fields:
    """The fields of a call that are for NVIDIA's servers: the first ones that may go over."""
    allowed = [(name, value) for name, value in beyond(call).items() if _is_for_nvidia(name, value)]
    return dict(allowed[:MAX_FIELDS])


def _is_for_nvidia(name: str, value: Any) -> bool:
    if name in OPENROUTER or name in FRAME or not _NAME.fullmatch(name):
        return False
    return value not in (None, "", [], {}) and len(encode_json(value)) <= MAX_VALUE


def patch_body(fields: Fields, call: Call, model: str) -> Fields:
    """A request as NVIDIA takes it."""
    is_chat = "messages" in fields
    if call.dialect == (CHAT if is_chat else RESPONSES):
        fields = _without(fields, *beyond(call))
    fields |= extra_body(call)
    return _chat(fields, call) if is_chat else _without(fields, "stream_options")


def _chat(fields: Fields, call: Call) -> Fields:
    limit = fields.get("max_completion_tokens")
    fields = _without(fields, "max_completion_tokens", *_HINTS)
    if limit is not None:
        fields["max_tokens"] = call.options.max_output_tokens or limit
    effort = effort_of(call.options)
    if call.dialect == CHAT and effort is not None:  # perhaps said in OpenRouter's way
        fields["reasoning_effort"] = effort
    options = fields.pop("stream_options", None)
    if options is not None and call.wants_usage:
        fields["stream_options"] = {"include_usage": True}
    return fields


def _without(fields: Fields, *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


def poll(request: Request, status: int, headers: Mapping[str, str]) -> Request | None:
    """The request for an answer that was promised with a 202, at the origin that promised it."""
    request_id = headers.get("nvcf-reqid", "").strip()
    if status != 202 or not _REQUEST_ID.fullmatch(request_id):
        return None
    kept = [(name, value) for name, value in request.headers if name != b"content-type"]
    seconds = (b"nvcf-poll-seconds", str(POLL_SECONDS).encode())
    return Request(b"GET", (_STATUS_PATH + request_id).encode("ascii"), [*kept, seconds], b"")


QUIRKS = Quirks(patch_body=patch_body, carried=extra_body, poll=poll)
