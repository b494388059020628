"""Anthropic's errors and headers: the usual words for a status or a code, as data.

https://docs.claude.com/en/api/errors. A code is one of Anthropic's error types or one of OpenAI's
codes for what Anthropic has no code of its own for; it is looked up before the status.
"""

from __future__ import annotations

import uuid
from typing import Any

import attrs
import msgspec

from lipstream.emulators.reading import Refused
from lipstream.emulators.script import Script


@attrs.frozen
class ErrorRow:
    """One kind of error; ``{model}`` in the message stands for the requested model."""

    type: str
    message: str


OVERLOADED = ErrorRow("overloaded_error", "Overloaded")
RATE_LIMITED = ErrorRow(
    "rate_limit_error",
    "This request would exceed your organization's rate limit of 50 requests per minute. For "
    "details, refer to: https://docs.claude.com/en/api/rate-limits.",
)
UNKNOWN_KEY = ErrorRow("authentication_error", "invalid x-api-key")
NO_CREDIT = ErrorRow(
    "invalid_request_error",
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
    "upgrade or purchase credits.",
)
NO_MODEL = ErrorRow("not_found_error", "model: {model}")
FILTERED = ErrorRow("invalid_request_error", "Output blocked by content filtering policy")
SERVER_ERROR = ErrorRow("api_error", "Internal server error")

BY_CODE = {
    "overloaded_error": OVERLOADED,
    "rate_limit_error": RATE_LIMITED,
    "rate_limit_exceeded": RATE_LIMITED,
    "authentication_error": UNKNOWN_KEY,
    "invalid_api_key": UNKNOWN_KEY,
    "not_found_error": NO_MODEL,
    "model_not_found": NO_MODEL,
    "insufficient_quota": NO_CREDIT,
    "context_length_exceeded": ErrorRow(
        "invalid_request_error", "prompt is too long: 200001 tokens > 200000 maximum"
    ),
    "content_filter": ErrorRow(
        "invalid_request_error", "Output blocked by content filtering policy"
    ),
    "content_policy_violation": ErrorRow(
        "invalid_request_error", "Output blocked by content filtering policy"
    ),
    "api_error": SERVER_ERROR,
    "timeout_error": ErrorRow("timeout_error", "Request timed out"),
}

BY_STATUS = {
    400: ErrorRow("invalid_request_error", "Invalid request."),
    401: UNKNOWN_KEY,
    402: ErrorRow("billing_error", "Your account has an outstanding balance."),
    403: ErrorRow(
        "permission_error", "Your API key does not have permission to use the specified resource."
    ),
    404: NO_MODEL,
    413: ErrorRow("request_too_large", "Request exceeds the maximum size"),
    429: RATE_LIMITED,
    500: SERVER_ERROR,
    503: ErrorRow("api_error", "Service temporarily unavailable"),
    504: ErrorRow("timeout_error", "Request timed out"),
    529: OVERLOADED,
}


def new_request_id() -> str:
    """In the provider's form."""
    return f"req_011C{uuid.uuid4().hex[:20]}"


def encode_error(script: Script, model: str, request_id: str) -> bytes:
    """The error object for the script's status, code and message; its ``error_body`` goes first.

    Inside a 200 it is an overload where the script does not say what.
    """
    if script.error_body is not None:
        return script.error_body
    row = _row(script)
    message = script.error_message or row.message.format(model=model)
    return encode(row.type, message, request_id)


def encode(kind: str, message: str, request_id: str) -> bytes:
    """One error object."""
    error = {"type": kind, "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def _row(script: Script) -> ErrorRow:
    code: Any = script.error_code
    if code in BY_CODE:
        return BY_CODE[code]
    status = code if isinstance(code, int) else script.status
    if status == 200:
        return OVERLOADED
    usual = BY_STATUS[400] if 400 <= status < 500 else SERVER_ERROR
    return BY_STATUS.get(status, usual)


def anthropic_headers(script: Script, request_id: str) -> list[tuple[str, str]]:
    """Identity and rate limits, as they come with every answer and error."""
    headers = [("request-id", request_id)]
    if script.status == 200:
        for what, limit in (("requests", 4000), ("tokens", 2_400_000)):
            headers += [
                (f"anthropic-ratelimit-{what}-limit", str(limit)),
                (f"anthropic-ratelimit-{what}-remaining", str(limit - 1)),
                (f"anthropic-ratelimit-{what}-reset", "2026-01-01T00:00:00Z"),
            ]
    if script.status in (400, 401, 403, 404):
        headers.append(("x-should-retry", "false"))
    return headers


# ---------------------------------------------------------------- refusing requests

_NAMES = {
    "array": "list",
    "object": "dictionary",
    "string": "string",
    "number": "number",
    "integer": "integer",
}


def fault(message: str) -> Script:
    """The script of an ``invalid_request_error``."""
    return Script(status=400, error_message=message)


def refuse(message: str) -> Refused:
    """The same, to be raised."""
    return Refused(fault(message))


class AnthropicWords:
    """Paths like ``messages.1.content.0`` and the words of the usual faults."""

    def field(self, path: str, name: str) -> str:
        """The path of a field."""
        return f"{path}.{name}" if path else name

    def item(self, path: str, index: int) -> str:
        """The path of a list's item."""
        return f"{path}.{index}"

    def missing(self, path: str) -> Script:
        """Nothing where something is required."""
        return fault(f"{path}: Field required")

    def mistyped(self, path: str, expected: str, value: Any) -> Script:
        """Not the JSON type that is expected."""
        return fault(f"{path}: Input should be a valid {_NAMES[expected]}")
