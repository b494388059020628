"""Bedrock's errors and headers: the usual words for a status or a code, as data.

https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html. A code is
the name of one of AWS's exceptions or one of OpenAI's codes for what AWS has no name of its own
for; it is looked up before the status.
"""

from __future__ import annotations

import uuid
from typing import Any

import attrs
import msgspec

from lipstream.emulators.reading import Refused
from lipstream.emulators.script import Script

_NAMESPACE = "http://internal.amazon.com/coral/com.amazon.bedrock/"


@attrs.frozen
class ErrorRow:
    """One kind of error."""

    type: str
    message: str


INVALID = ErrorRow("ValidationException", "The request is malformed. Try again.")
NO_MODEL = ErrorRow("ResourceNotFoundException", "Could not resolve the foundation model.")
BAD_MODEL = ErrorRow("ValidationException", "The provided model identifier is invalid.")
DENIED = ErrorRow(
    "AccessDeniedException", "You don't have access to the model with the specified model ID."
)
UNKNOWN_KEY = ErrorRow(
    "UnrecognizedClientException", "The security token included in the request is invalid."
)
NO_KEY = ErrorRow("MissingAuthenticationTokenException", "Missing Authentication Token")
BAD_SIGNATURE = ErrorRow("InvalidSignatureException", "The request signature does not match.")
THROTTLED = ErrorRow("ThrottlingException", "Too many requests, please wait before trying again.")
UNAVAILABLE = ErrorRow("ServiceUnavailableException", "Bedrock is unable to process your request.")
SERVER_ERROR = ErrorRow(
    "InternalServerException",
    "The system encountered an unexpected error during processing. Try your request again.",
)
STREAM_ERROR = ErrorRow(
    "ModelStreamErrorException",
    "The system encountered an unexpected error during processing. Try your request again.",
)
TOO_LONG = ErrorRow("ValidationException", "Input is too long for requested model.")

BY_CODE = {
    **{
        row.type: row
        for row in (
            INVALID,
            NO_MODEL,
            DENIED,
            UNKNOWN_KEY,
            NO_KEY,
            BAD_SIGNATURE,
            THROTTLED,
            UNAVAILABLE,
            SERVER_ERROR,
            STREAM_ERROR,
        )
    },
    "ModelTimeoutException": ErrorRow(
        "ModelTimeoutException", "Model has timed out in processing the request."
    ),
    "ModelErrorException": ErrorRow(
        "ModelErrorException", "The request failed due to an error while processing the model."
    ),
    "ModelNotReadyException": ErrorRow(
        "ModelNotReadyException",
        "Model is not ready for inference. Wait and try your request again",
    ),
    "ServiceQuotaExceededException": ErrorRow(
        "ServiceQuotaExceededException", "Your request exceeds the service quota for your account."
    ),
    "model_not_found": BAD_MODEL,
    "invalid_api_key": UNKNOWN_KEY,
    "insufficient_quota": ErrorRow(
        "ThrottlingException", "Too many tokens per day, please wait before trying again."
    ),
    "rate_limit_exceeded": THROTTLED,
    "context_length_exceeded": TOO_LONG,
    "overloaded_error": UNAVAILABLE,
}

BY_STATUS = {
    400: INVALID,
    401: UNKNOWN_KEY,
    403: DENIED,
    404: NO_MODEL,
    408: BY_CODE["ModelTimeoutException"],
    424: BY_CODE["ModelErrorException"],
    429: THROTTLED,
    500: SERVER_ERROR,
    503: UNAVAILABLE,
}


def row_of(script: Script) -> ErrorRow:
    """The error of a script; inside of a 200 an unavailable service where it does not say what."""
    code: Any = script.error_code
    if code in BY_CODE:
        row = BY_CODE[code]
    else:
        status = code if isinstance(code, int) else script.status
        usual = INVALID if 400 <= status < 500 else SERVER_ERROR
        row = UNAVAILABLE if status == 200 else BY_STATUS.get(status, usual)
    return attrs.evolve(row, message=script.error_message) if script.error_message else row


def encode_error(script: Script) -> bytes:
    """The body; the script's ``error_body`` goes first."""
    if script.error_body is not None:
        return script.error_body
    return msgspec.json.encode({"message": row_of(script).message})


def bedrock_headers(script: Script) -> list[tuple[str, str]]:
    """The request's id and, of an error, its name."""
    headers = [("x-amzn-requestid", str(uuid.uuid4()))]
    if script.status != 200:
        headers.append(("x-amzn-errortype", f"{row_of(script).type}:{_NAMESPACE}"))
    return headers


# ---------------------------------------------------------------- refusing requests

_NAMES = {"array": "list", "object": "structure", "number": "float", "integer": "integer"}


def fault(message: str) -> Script:
    """The script of a ``ValidationException``."""
    return Script(status=400, error_code="ValidationException", error_message=message)


def refuse(message: str) -> Refused:
    """The same, to be raised."""
    return Refused(fault(message))


def unmet(path: str, value: Any, what: str) -> Refused:
    """A constraint of the service's model that a value does not meet."""
    return refuse(
        f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: "
        f"Member must {what}"
    )


class BedrockWords:
    """Paths like ``messages.1.content.0`` and the words of the usual faults."""

    def field(self, path: str, name: str) -> str:
        """The path of a field."""
        return f"{path}.{name}" if path else name

    def item(self, path: str, index: int) -> str:
        """The path of a list's item."""
        return f"{path}.{index}"

    def missing(self, path: str) -> Script:
        """Nothing where something is required."""
        refused = unmet(path, "null", "not be null")
        return refused.script

    def mistyped(self, path: str, expected: str, value: Any) -> Script:
        """Not the JSON type that is expected."""
        message = f"Unexpected field type: {path} is no {_NAMES.get(expected, expected)}"
        return Script(status=400, error_code="SerializationException", error_message=message)
