"""What Bedrock's errors mean."""

from __future__ import annotations

import json

import pytest

from lipstream.canonical import events as e
from lipstream.errors import FaultKind
from lipstream.framing.eventstream import encode_message
from lipstream.protocols.bedrock_converse import CLIENT
from tests.protocols.bedrock_converse.building import START, decode, message

K = FaultKind
SPACE = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


def kind(status: int, name: str, text: str) -> FaultKind:
    """The class of an error response."""
    headers = {"x-amzn-errortype": name + SPACE} if name else {}
    return CLIENT.decode_error(status, headers, json.dumps({"message": text}).encode()).kind


@pytest.mark.parametrize(
    ("status", "name", "text", "expected"),
    [
        (400, "ValidationException", "1 validation error detected", K.BAD_REQUEST),
        (400, "ValidationException", "Input is too long for requested model.", K.CONTEXT_LENGTH),
        (400, "ValidationException", "prompt is too long: 9 tokens > 8 maximum", K.CONTEXT_LENGTH),
        (400, "ValidationException", "Input Tokens Exceeded: Number of input", K.CONTEXT_LENGTH),
        (400, "ValidationException", "expected maxLength: 9, actual: 10", K.CONTEXT_LENGTH),
        (400, "", "The provided model identifier is invalid.", K.NOT_FOUND),
        (400, "", "Invocation of model ID x with on-demand throughput isn\u2019t supported.",
         K.NOT_FOUND),
        (400, "ValidationException", "This model doesn't support tool use.", K.UNSUPPORTED),
        (400, "", "Output blocked by content filtering policy", K.CONTENT_FILTER),
        (403, "AccessDeniedException", "You don't have access to the model with", K.NOT_FOUND),
        (403, "AccessDeniedException", "User: x is not authorized to perform", K.CREDENTIALS),
        (403, "UnrecognizedClientException", "The security token is invalid.", K.CREDENTIALS),
        (403, "ExpiredTokenException", "The security token is expired", K.CREDENTIALS),
        (403, "InvalidSignatureException", "The request signature", K.CREDENTIALS),
        (404, "ResourceNotFoundException", "end of its life", K.NOT_FOUND),
        (408, "ModelTimeoutException", "Model has timed out", K.TRANSIENT),
        (424, "ModelErrorException", "The request failed", K.SERVER),
        (424, "ModelErrorException", "prompt tokens exceed", K.CONTEXT_LENGTH),
        (429, "ThrottlingException", "Too many tokens, please wait", K.RATE_LIMIT),
        (429, "ModelNotReadyException", "Model is not ready", K.OVERLOADED),
        (400, "ServiceQuotaExceededException", "over", K.RATE_LIMIT),
        (500, "InternalServerException", "oops", K.SERVER),
        (500, "InternalServerError", "oops", K.SERVER),
        (503, "ServiceUnavailableException", "Bedrock is unable", K.OVERLOADED),
        (429, "", "slow down", K.RATE_LIMIT),
        (502, "", "Bad gateway", K.SERVER),
        (418, "TeapotException", "short", K.BAD_REQUEST),
    ],
)  # fmt: skip
def test_error_is_classified(status: int, name: str, text: str, expected: FaultKind) -> None:
    """By its name, then by its words, then by its status."""
    assert kind(status, name, text) is expected


def test_error_is_read_in_every_shape() -> None:
    """Its name in the body, its words in either spelling, no JSON, nothing."""
    fault = CLIENT.decode_error(400, {}, b'{"__type": "com.amazon#ThrottlingException"}')
    assert (fault.kind, fault.code, fault.detail) == (K.RATE_LIMIT, "ThrottlingException", None)
    fault = CLIENT.decode_error(403, {}, b'{"Message": "Authentication failed: AKIAABCDEFGHIJ"}')
    assert fault.kind is K.CREDENTIALS
    assert fault.detail == "Authentication failed: [redacted]"
    fault = CLIENT.decode_error(503, {"retry-after": "7"}, b"<html>")
    assert (fault.kind, fault.status, fault.retry_after) == (K.OVERLOADED, 503, 7)
    assert CLIENT.decode_error(500, {}, b"").kind is K.SERVER
    assert CLIENT.decode_error(500, {}, b'{"__type": 5, "message": [1]}').detail is None


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("internalServerException", {"message": "x"}, K.SERVER),
        ("modelStreamErrorException", {"message": "x", "originalStatusCode": 500}, K.SERVER),
        ("modelStreamErrorException", {"originalMessage": "Input is too long"}, K.SERVER),
        ("validationException", {"message": "Input is too long"}, K.CONTEXT_LENGTH),
        ("validationException", {"message": "bad"}, K.BAD_REQUEST),
        ("throttlingException", {"message": "x"}, K.RATE_LIMIT),
        ("serviceUnavailableException", {"message": "x"}, K.OVERLOADED),
        ("newException", {"message": "x"}, K.SERVER),
        ("newException", b"plain", K.SERVER),
    ],
)
def test_exception_in_a_stream_is_classified(
    name: str, fields: object, expected: FaultKind
) -> None:
    """The same names, without a status."""
    last = decode(START + message(name, fields, "exception"))[-1]
    assert isinstance(last, e.StreamFailed)
    assert (last.fault.kind, last.fault.code, last.fault.status) == (expected, name, None)


def test_error_without_a_payload_says_it_in_its_headers() -> None:
    """An unmodelled error of the stream."""
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Oh"}
    (last,) = decode(encode_message(headers, b""))
    assert isinstance(last, e.StreamFailed)
    assert (last.fault.kind, last.fault.detail) == (K.SERVER, "Oh")
