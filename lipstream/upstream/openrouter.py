"""OpenRouter: fields and headers of its own, for clients of either of OpenAI's protocols.

Clients of chat write everything as OpenRouter takes it. What is done here is for the others: their
fields that only OpenRouter has go over, and what they say of reasoning becomes OpenRouter's object,
which takes a word or a number of tokens but not both, and no ``reasoning_effort`` beside it. Nobody
but OpenRouter gets to see who a client's application is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lipstream.canonical.attribution import CATEGORIES, METADATA, OLD_TITLE, REFERER, TITLE
from lipstream.canonical.call import Call
from lipstream.canonical.options import Options
from lipstream.canonical.reasoning import effort_of
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import decode_error
from lipstream.upstream.extra_fields import OPENAI, OPENROUTER
from lipstream.upstream.provider import RESPONSES
from lipstream.upstream.quirks import Fields, Headers, Quirks

# ---------------------------------------------------------------- what is sent


def own_fields(call: Call) -> Fields:
    """What a client of either protocol wrote for OpenRouter and no encoder knows of."""
    if call.dialect not in OPENAI:
        return {}
    tier = call.options.service_tier
    said = {} if tier is None else {"service_tier": tier}
    return {n: v for n, v in call.extra.items() if n in OPENROUTER and v is not None} | said


def carried(call: Call) -> set[str]:
    """What of a call in another protocol is not lost."""
    return {*own_fields(call), "reasoning_summary"}


def patch_body(fields: Fields, call: Call, model: str) -> Fields:
    """A call of another protocol with what OpenRouter understands beyond the one it is sent in."""
    is_chat = "messages" in fields
    fields = {**fields, **own_fields(call)}
    if is_chat and (reasoning := _reasoning(call)):
        fields.pop("reasoning_effort", None)
        fields["reasoning"] = reasoning
    return fields


def _reasoning(call: Call) -> Fields:
    """The object for a call of another protocol, with what a Responses client has in its own."""
    options, more = call.options, call.extra.get("reasoning")
    said: Fields = dict(more) if call.dialect == RESPONSES and isinstance(more, dict) else {}
    said |= _amount(options)
    if options.reasoning_summary == "none":
        said["exclude"] = True
    elif options.reasoning_summary is not None:
        said["summary"] = options.reasoning_summary
    return said


def _amount(options: Options) -> Fields:
    """A word that was said, else the number of tokens."""
    if options.reasoning_effort is not None:
        effort = effort_of(options)
        return {"effort": "xhigh" if effort == "max" else effort}
    if options.reasoning_budget is None:
        return {}
    if options.reasoning_budget <= 0:
        return {"enabled": options.reasoning_budget < 0}
    return {"max_tokens": options.reasoning_budget}


def headers(call: Call) -> Headers:
    """Whose application asks, as the client says; the title under its older name as well."""
    said = dict(call.headers)
    title = said.get(TITLE) or said.get(OLD_TITLE)
    named = {TITLE: title, OLD_TITLE: title}
    named |= {name: said.get(name) for name in (REFERER, CATEGORIES, METADATA)}
    return [(name, value) for name, value in named.items() if value]


# ---------------------------------------------------------------- what comes back


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """What an error response means, whose ``metadata`` say more than its status.

    They hold the headers of the provider behind, what a moderation objected to, and for a 402 the
    reason why waiting helps, where it does. See https://openrouter.ai/docs/errors.
    """
    metadata = _metadata(body)
    given = metadata.get("headers")
    theirs = given.items() if isinstance(given, dict) else ()
    more = {name.lower(): str(value) for name, value in theirs if isinstance(value, str | int)}
    fault = decode_error(status, {**more, **headers}, body)
    if fault.kind is FaultKind.CREDENTIALS and metadata.get("reasons"):
        fault.kind = FaultKind.CONTENT_FILTER
    if status == 402 and fault.retry_after is not None:
        fault.kind = FaultKind.RATE_LIMIT
    return fault


def _metadata(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=_Envelope).error.metadata or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


class _Error(msgspec.Struct):
    metadata: dict[str, Any] | None = None


class _Envelope(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


QUIRKS = Quirks(
    patch_body=patch_body,
    patches_own=False,
    headers=headers,
    read_error=read_error,
    carried=carried,
)
