"""OpenAI's error bodies: the usual words for a status or a code, as data.

A code, where the script gives one, says more than the status and is looked up first.
"""

from __future__ import annotations

import attrs
import msgspec

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
    row = _row(script.status, script.error_code)
    error = {
        "message": script.error_message or row.message.format(model=model),
        "type": row.type,
        "param": row.param,
        "code": row.code if script.error_code is None else script.error_code,
    }
    return msgspec.json.encode({"error": error})


def _row(status: int, code: str | int | None) -> ErrorRow:
    if isinstance(code, str) and code in BY_CODE:
        return BY_CODE[code]
    usual = _CLIENT_ERROR if 400 <= status < 500 else SERVER_ERROR
    return BY_STATUS.get(code if isinstance(code, int) else status, usual)
