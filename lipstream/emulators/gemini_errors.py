"""Gemini's errors: the usual words for a status or a code, as data.

https://ai.google.dev/gemini-api/docs/troubleshooting. A code is one of Google's status words or one
of OpenAI's codes for what Google has no word of its own for; it is looked up before the status.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from lipstream.emulators.reading import Refused
from lipstream.emulators.script import Script


@attrs.frozen
class ErrorRow:
    """One kind of error; ``{model}`` in the message stands for the requested model."""

    code: int
    status: str
    message: str


OVERLOADED = ErrorRow(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
EXHAUSTED = ErrorRow(
    429,
    "RESOURCE_EXHAUSTED",
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
)
UNKNOWN_KEY = ErrorRow(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
NO_KEY = ErrorRow(
    403,
    "PERMISSION_DENIED",
    "Method doesn't allow unregistered callers (callers without established identity). Please use "
    "API Key or other form of API consumer identity to call this API.",
)
NO_MODEL = ErrorRow(
    404,
    "NOT_FOUND",
    "models/{model} is not found for API version v1beta, or is not supported for generateContent. "
    "Call ModelService.ListModels to see the list of available models and their supported methods.",
)
SERVER_ERROR = ErrorRow(
    500,
    "INTERNAL",
    "An internal error has occurred. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting",
)
BAD = ErrorRow(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")

BY_CODE = {
    "INVALID_ARGUMENT": BAD,
    "API_KEY_INVALID": UNKNOWN_KEY,
    "invalid_api_key": UNKNOWN_KEY,
    "PERMISSION_DENIED": NO_KEY,
    "RESOURCE_EXHAUSTED": EXHAUSTED,
    "rate_limit_exceeded": EXHAUSTED,
    "insufficient_quota": EXHAUSTED,
    "NOT_FOUND": NO_MODEL,
    "model_not_found": NO_MODEL,
    "INTERNAL": SERVER_ERROR,
    "UNAVAILABLE": OVERLOADED,
    "context_length_exceeded": ErrorRow(
        400,
        "INVALID_ARGUMENT",
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "FAILED_PRECONDITION": ErrorRow(
        400, "FAILED_PRECONDITION", "User location is not supported for the API use."
    ),
}

BY_STATUS = {
    400: BAD,
    401: ErrorRow(
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
        "cookie or other valid authentication credential.",
    ),
    403: ErrorRow(403, "PERMISSION_DENIED", "The caller does not have permission"),
    404: NO_MODEL,
    429: EXHAUSTED,
    500: SERVER_ERROR,
    503: OVERLOADED,
    504: ErrorRow(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}

_KEY_DETAILS: list[dict[str, Any]] = [
    {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    },
    {
        "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
        "locale": "en-US",
        "message": UNKNOWN_KEY.message,
    },
]

_QUOTA_DETAILS: list[dict[str, Any]] = [
    {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [
            {
                "quotaMetric": (
                    "generativelanguage.googleapis.com/generate_content_free_tier_requests"
                ),
                "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
            }
        ],
    },
    {
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [
            {
                "description": "Learn more about Gemini API quotas",
                "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
            }
        ],
    },
]


def error_of(script: Script, model: str) -> dict[str, Any]:
    """The error object for the script's status, code and message.

    Inside a 200 it is an overload where the script does not say what. When to retry is told among
    the details, not in a header.
    """
    row = _row(script)
    error: dict[str, Any] = {
        "code": row.code if script.status == 200 else script.status,
        "message": script.error_message or row.message.format(model=model),
        "status": row.status,
    }
    details: list[dict[str, Any]] = []
    if row is UNKNOWN_KEY:
        details += _KEY_DETAILS
    if row is EXHAUSTED:
        details += _QUOTA_DETAILS
    if script.retry_after is not None:
        delay = f"{script.retry_after:g}s"
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": delay})
    return {"error": error | ({"details": details} if details else {})}


def _row(script: Script) -> ErrorRow:
    code: Any = script.error_code
    if code in BY_CODE:
        return BY_CODE[code]
    status = code if isinstance(code, int) else script.status
    if status == 200:
        return OVERLOADED
    usual = BAD if 400 <= status < 500 else SERVER_ERROR
    return BY_STATUS.get(status, usual)


# ---------------------------------------------------------------- refusing requests


def fault(message: str, details: list[dict[str, Any]] | None = None) -> Script:
    """The script of an ``INVALID_ARGUMENT``."""
    if details is None:
        return Script(status=400, error_message=message)
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": details}
    body = msgspec.json.encode({"error": error})
    return Script(status=400, error_body=body, error_message=message)


def refuse(message: str) -> Refused:
    """The same, to be raised."""
    return Refused(fault(message))


class GeminiWords:
    """Paths like ``contents[1].parts[0]`` and the words of the usual faults."""

    def field(self, path: str, name: str) -> str:
        """The path of a field."""
        return f"{path}.{name}" if path else name

    def item(self, path: str, index: int) -> str:
        """The path of a list's item."""
        return f"{path}[{index}]"

    def missing(self, path: str) -> Script:
        """Nothing where something is required."""
        return fault(f"* GenerateContentRequest.{path}: required field is not specified\n")

    def mistyped(self, path: str, expected: str, value: Any) -> Script:
        """Not the JSON type that is expected."""
        kinds = {"string": "TYPE_STRING", "integer": "TYPE_INT32", "number": "TYPE_FLOAT"}
        return fault(f"Invalid value at '{path}' ({kinds.get(expected, expected)}), {value!r}")
