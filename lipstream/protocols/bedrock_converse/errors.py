"""What Bedrock's errors mean: an exception by name, in a header or a body, and words.

https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html. The same
exceptions come as responses and as messages inside a stream. A ``ValidationException`` is the
service's answer to most of what is wrong, so its words decide: that a model has no tools or takes
no images says nothing against the request, and another model is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import Complaint, redacted, retry_after
from lipstream.protocols.bedrock_converse.json_value import NotAnObject, read_fields

_KINDS: dict[str, FaultKind] = {
    "validation": FaultKind.BAD_REQUEST,
    "badrequest": FaultKind.BAD_REQUEST,
    "serialization": FaultKind.BAD_REQUEST,
    "accessdenied": FaultKind.CREDENTIALS,
    "unrecognizedclient": FaultKind.CREDENTIALS,
    "invalidsignature": FaultKind.CREDENTIALS,
    "incompletesignature": FaultKind.CREDENTIALS,
    "signaturedoesnotmatch": FaultKind.CREDENTIALS,
    "missingauthenticationtoken": FaultKind.CREDENTIALS,
    "expiredtoken": FaultKind.CREDENTIALS,
    "invalidclienttokenid": FaultKind.CREDENTIALS,
    "optinrequired": FaultKind.CREDENTIALS,
    "resourcenotfound": FaultKind.NOT_FOUND,
    "unknownoperation": FaultKind.NOT_FOUND,
    "throttling": FaultKind.RATE_LIMIT,
    "toomanyrequests": FaultKind.RATE_LIMIT,
    "servicequotaexceeded": FaultKind.RATE_LIMIT,
    "modelnotready": FaultKind.OVERLOADED,
    "serviceunavailable": FaultKind.OVERLOADED,
    "modeltimeout": FaultKind.TRANSIENT,
    "requesttimeout": FaultKind.TRANSIENT,
    "modelerror": FaultKind.SERVER,
    "modelstreamerror": FaultKind.SERVER,
    "internalserver": FaultKind.SERVER,
    "internalfailure": FaultKind.SERVER,
}
_SUFFIX = re.compile(r"(exception|(?<=server)error)$")
_WORDY = frozenset({FaultKind.BAD_REQUEST, FaultKind.CREDENTIALS, FaultKind.SERVER})
_WORDS: tuple[tuple[FaultKind, re.Pattern[str]], ...] = (
    (
        FaultKind.CONTEXT_LENGTH,
        re.compile(
            r"(input|prompt) tokens? (count )?(limit )?exceed|expected maxLength|too many tokens",
            re.IGNORECASE,
        ),
    ),
    (
        FaultKind.NOT_FOUND,
        re.compile(
            r"model identifier is invalid|on-demand throughput isn.t supported"
            r"|(access to|use) the model|model access is denied|end of its life"
            r"|model use case details",
            re.IGNORECASE,
        ),
    ),
    (
        FaultKind.UNSUPPORTED,
        re.compile(r"model (doesn.t|does not|isn.t|is not) support", re.IGNORECASE),
    ),
)


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """What an error response means. Header names are lower-case; any body will do, also none."""
    try:
        fields, _ = read_fields(body)
    except NotAnObject:
        fields = {"message": body.decode(errors="replace")}
    name = headers.get("x-amzn-errortype") or _text(fields.get("__type")) or ""
    return _fault(name, fields, status, headers)


def fault_in_stream(headers: Mapping[str, str], payload: bytes) -> UpstreamFault:
    """What an exception or an error inside a stream means."""
    try:
        fields, _ = read_fields(payload)
    except NotAnObject:
        fields = {"message": headers.get(":error-message") or payload.decode(errors="replace")}
    name = headers.get(":exception-type") or headers.get(":error-code") or ""
    return _fault(name, fields, None, {})


def _fault(
    name: str, fields: Mapping[str, Any], status: int | None, headers: Mapping[str, str]
) -> UpstreamFault:
    name = name.partition(":")[0].rpartition("#")[2]
    text = _message(fields)
    message = "the upstream reported an error in its answer"
    if status is not None:
        message = f"the upstream answered {status}"
    return UpstreamFault(
        _kind(name, text, status),
        message,
        status=status,
        code=name or None,
        retry_after=retry_after(headers),
        detail=redacted(text),
    )


def _kind(name: str, text: str, status: int | None) -> FaultKind:
    known = _KINDS.get(_SUFFIX.sub("", name.lower()))
    if known is None or known is FaultKind.BAD_REQUEST:
        told = 400 if known is FaultKind.BAD_REQUEST else status
        known = Complaint({"message": text}).kind(told)
    if known not in _WORDY:
        return known
    return next((kind for kind, words in _WORDS if words.search(text)), known)


def _message(fields: Mapping[str, Any]) -> str:
    """The words, whose field is spelt in either way, and those of the model behind."""
    found = (_text(fields.get(name)) for name in ("message", "Message", "originalMessage"))
    return " ".join(text for text in found if text)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
