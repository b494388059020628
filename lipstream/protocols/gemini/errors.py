"""Errors both ways: Google's error object, ``{"error": {code, message, status, details}}``.

``status`` is a word of google.rpc.Code, ``details`` are typed objects (google/rpc/error_details):
``RetryInfo`` says when to come back, ``ErrorInfo`` gives a reason for machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lipstream.canonical.problem import MAX_CAUSES, Problem, ProblemKind
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing import faults
from lipstream.framing.sse import encode_json
from lipstream.protocols.gemini.wire import Fields

_TYPES = "type.googleapis.com/google.rpc."

# ---------------------------------------------------------------- from upstreams

_REASONS: dict[str, FaultKind] = {
    "CANCELLED": FaultKind.TRANSIENT,  # 499: not by us
    # of ErrorInfo; they come with 400 and 403
    "API_KEY_INVALID": FaultKind.CREDENTIALS,
    "API_KEY_SERVICE_BLOCKED": FaultKind.CREDENTIALS,
    "API_KEY_IP_ADDRESS_BLOCKED": FaultKind.CREDENTIALS,
    "API_KEY_HTTP_REFERRER_BLOCKED": FaultKind.CREDENTIALS,
    "ACCESS_TOKEN_EXPIRED": FaultKind.CREDENTIALS,
    "BILLING_DISABLED": FaultKind.CREDENTIALS,
    "SERVICE_DISABLED": FaultKind.CREDENTIALS,
    "CONSUMER_INVALID": FaultKind.CREDENTIALS,
    "USER_PROJECT_DENIED": FaultKind.CREDENTIALS,
    "RATE_LIMIT_EXCEEDED": FaultKind.RATE_LIMIT,
    "MODEL_CAPACITY_EXHAUSTED": FaultKind.OVERLOADED,
}


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """What an error response means; see ``interfaces.ClientDialect.decode_error``."""
    fault = faults.decode_error(status, headers, body)
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return fault
    return _refined(fault, value)


def fault_in_stream(value: Any) -> UpstreamFault:
    """What an error object inside a 200 response means."""
    return _refined(faults.fault_in_stream(value), value)


def _refined(fault: UpstreamFault, value: Any) -> UpstreamFault:
    """The fault with what the details say beyond the code."""
    details = _details(value)
    reasons = [*_texts(details, "reason"), fault.code or ""]
    kinds = (_REASONS.get(reason) for reason in reasons)
    kind = next((kind for kind in kinds if kind is not None), fault.kind)
    delays = (_seconds(text) for text in _texts(details, "retryDelay"))
    delay = next((delay for delay in delays if delay is not None), None)
    if kind is fault.kind and delay is None:
        return fault
    return UpstreamFault(
        kind,
        str(fault),
        status=fault.status,
        code=fault.code,
        retry_after=fault.retry_after if delay is None else delay,
        detail=fault.detail,
    )


def _details(value: Any) -> list[Fields]:
    """The typed details of an error object, also of one in a list."""
    if isinstance(value, list):
        value = value[0] if value else None
    error = value.get("error", value) if isinstance(value, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    entries = details if isinstance(details, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _texts(details: list[Fields], name: str) -> list[str]:
    return [text for entry in details if isinstance(text := entry.get(name), str)]


def _seconds(text: str) -> float | None:
    """A duration as JSON has it: ``34.074824224s``."""
    number = text.removesuffix("s")
    whole, _, rest = number.partition(".")
    digits = whole + rest
    if number == text or not whole or not (digits.isascii() and digits.isdigit()):
        return None
    return float(number) if len(digits) < 25 else None


# ---------------------------------------------------------------- to clients

_WORDS: dict[ProblemKind, str] = {
    ProblemKind.INVALID_REQUEST: "INVALID_ARGUMENT",
    ProblemKind.AUTHENTICATION: "UNAUTHENTICATED",
    ProblemKind.PERMISSION: "PERMISSION_DENIED",
    ProblemKind.NOT_FOUND: "NOT_FOUND",
    ProblemKind.TOO_LARGE: "INVALID_ARGUMENT",
    ProblemKind.RATE_LIMIT: "RESOURCE_EXHAUSTED",
    ProblemKind.OVERLOADED: "UNAVAILABLE",
    ProblemKind.TIMEOUT: "DEADLINE_EXCEEDED",
    ProblemKind.UPSTREAM: "INTERNAL",
    ProblemKind.INTERNAL: "INTERNAL",
}


def encode_problem(problem: Problem) -> bytes:
    """The body of an error response, which is also the data of an error frame."""
    error: Fields = {
        "code": problem.status,
        "message": problem.message,
        "status": _WORDS[problem.kind],
    }
    if details := list(_encoded_details(problem)):
        error["details"] = details
    return encode_json({"error": error})


def _encoded_details(problem: Problem) -> list[Fields]:
    details: list[Fields] = []
    if problem.code:
        details.append(_detail("ErrorInfo", reason=problem.code.upper(), domain="lipstream"))
    if problem.param:
        violation = {"field": problem.param, "description": problem.message}
        details.append(_detail("BadRequest", fieldViolations=[violation]))
    if problem.retry_after is not None:
        details.append(_detail("RetryInfo", retryDelay=f"{problem.retry_after}s"))
    if problem.causes:
        tried = [
            f"{cause.candidate}: {cause.kind} ({cause.phase})"
            for cause in problem.causes[:MAX_CAUSES]
        ]
        details.append(_detail("DebugInfo", stackEntries=tried))
    return details


def _detail(kind: str, **fields: Any) -> Fields:
    return {"@type": _TYPES + kind, **fields}
