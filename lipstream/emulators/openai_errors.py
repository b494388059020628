"""OpenAI's errors and headers: the usual words for a status or a code, as data.

A code, where the script gives one, says more than the status and is looked up first.
"""

from __future__ import annotations

import uuid
from typing import Any

import attrs
import msgspec

from lipstream.emulators.reading import Refused, json_type
from lipstream.emulators.script import Script


@attrs.frozen
class ErrorRow:
    """One kind of error; ``{model}`` in the message stands for the requested model."""

    type: str
    code: str | int | None
    message: str
    param: str | None = None


BY_CODE = {
    "invalid_api_key": ErrorRow(
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided: sk-****. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
    ),
    "insufficient_quota": ErrorRow(
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "rate_limit_exceeded": ErrorRow(
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, Requested 1. "
        "Please try again in 20s.",
    ),
    "model_not_found": ErrorRow(
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    "context_length_exceeded": ErrorRow(
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in "
        "9001 tokens. Please reduce the length of the messages.",
        "messages",
    ),
    "content_filter": ErrorRow(
        "invalid_request_error",
        "content_filter",
        "The response was filtered due to the prompt triggering the content management policy. "
        "Please modify your prompt and retry.",
        "prompt",
    ),
    "content_policy_violation": ErrorRow(
        "invalid_request_error",
        "content_policy_violation",
        "Your request was rejected as a result of our safety system.",
    ),
    "missing_required_parameter": ErrorRow(
        "invalid_request_error",
        "missing_required_parameter",
        "Missing required parameter: 'messages'.",
        "messages",
    ),
}

SERVER_ERROR = ErrorRow(
    "server_error",
    None,
    "The server had an error while processing your request. Sorry about that!",
)

BY_STATUS = {
    400: ErrorRow("invalid_request_error", None, "Invalid request."),
    401: BY_CODE["invalid_api_key"],
    402: ErrorRow("insufficient_quota", "insufficient_quota", "Insufficient balance."),
    403: ErrorRow(
        "request_forbidden",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: BY_CODE["model_not_found"],
    408: ErrorRow("invalid_request_error", "request_timeout", "Request timed out."),
    409: ErrorRow("invalid_request_error", "conflict", "The resource was updated by another."),
    413: ErrorRow("invalid_request_error", "request_too_large", "The request is too large."),
    422: ErrorRow("invalid_request_error", "unprocessable_entity", "Unprocessable request."),
    429: BY_CODE["rate_limit_exceeded"],
    500: SERVER_ERROR,
    502: ErrorRow("cf_bad_gateway", 502, "Bad gateway."),
    503: ErrorRow(
        "server_error",
        None,
        "The server is currently overloaded with other requests. Sorry about that! You can retry "
        "your request.",
    ),
    504: ErrorRow("cf_gateway_timeout", 504, "Gateway timeout."),
    529: ErrorRow("overloaded_error", None, "Overloaded"),
}

_CLIENT_ERROR = BY_STATUS[400]


def encode_error(script: Script, model: str) -> bytes:
    """The error object for the script's status, code and message; its ``error_body`` goes first."""
    if script.error_body is not None:
        return script.error_body
    return msgspec.json.encode({"error": error_of(script, model)})


def error_of(script: Script, model: str) -> dict[str, Any]:
    """The fields of the error that the script's status, code and message stand for."""
    row = _row(script.status, script.error_code)
    return {
        "message": script.error_message or row.message.format(model=model),
        "type": row.type,
        "param": row.param,
        "code": row.code if script.error_code is None else script.error_code,
    }


def _row(status: int, code: str | int | None) -> ErrorRow:
    if isinstance(code, str) and code in BY_CODE:
        return BY_CODE[code]
    usual = _CLIENT_ERROR if 400 <= status < 500 else SERVER_ERROR
    return BY_STATUS.get(code if isinstance(code, int) else status, usual)


# ---------------------------------------------------------------- headers


def openai_headers(script: Script) -> list[tuple[str, str]]:
    """Identity, timing and rate limits, as they come with every answer and error.

    A 429 names the time at which the limit is reset where the script says when to retry.
    """
    headers = [
        ("openai-version", "2020-10-01"),
        ("openai-processing-ms", "42"),
        ("x-request-id", f"req_{uuid.uuid4().hex}"),
    ]
    if script.status == 200:
        headers += _limits("9999", "6ms")
    elif script.status == 429 and script.retry_after is not None:
        headers += _limits("0", f"{script.retry_after:g}s")
    return headers


def _limits(requests_left: str, reset: str) -> list[tuple[str, str]]:
    return [
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", requests_left),
        ("x-ratelimit-reset-requests", reset),
        ("x-ratelimit-limit-tokens", "30000000"),
        ("x-ratelimit-remaining-tokens", "29999595"),
        ("x-ratelimit-reset-tokens", "0s"),
    ]


# ---------------------------------------------------------------- refusing requests


def fault(
    message: str, param: str | None = None, code: str | None = None, status: int = 400
) -> Script:
    """The script of an ``invalid_request_error``."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    body = msgspec.json.encode({"error": error})
    return Script(status=status, error_body=body, error_message=message)


def refuse(
    message: str, param: str | None = None, code: str | None = None, status: int = 400
) -> Refused:
    """The same, to be raised."""
    return Refused(fault(message, param, code, status))


class OpenAIWords:
    """Paths like ``input[1].content[0].type`` and the words of the usual faults."""

    def field(self, path: str, name: str) -> str:
        """The path of a field."""
        return f"{path}.{name}" if path else name

    def item(self, path: str, index: int) -> str:
        """The path of a list's item."""
        return f"{path}[{index}]"

    def missing(self, path: str) -> Script:
        """Nothing where something is required."""
        return fault(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")

    def mistyped(self, path: str, expected: str, value: Any) -> Script:
        """Not the JSON type that is expected."""
        got = _with_article(json_type(value))
        message = f"Invalid type for '{path}': expected {_with_article(expected)}, but got {got} "
        return fault(f"{message}instead.", path, "invalid_type")


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else kind if kind == "null" else f"a {kind}"
