"""Recorded error responses: what each kind means, as a person would read it."""

from __future__ import annotations

import re

import pytest

from lipstream.compose import DIALECTS
from lipstream.errors import FaultKind, UpstreamFault
from tests.recorded.material import Kind, Sample, samples

_K = FaultKind

MEANINGS: tuple[tuple[str, FaultKind], ...] = (
    # words of the body and what they mean; the first row that fits counts
    (r"tool_use_failed", _K.SERVER),  # Groq's 400: the model's failure, not the client's
    (r"max context length", _K.CONTEXT_LENGTH),
    # the model
    (r"model_not_found|invalid_model|not_found_error|is not a valid model ID", _K.NOT_FOUND),
    (r"\"NOT_FOUND\"|model not found|names are|model identifier is invalid", _K.NOT_FOUND),
    (r"end of its life", _K.NOT_FOUND),
    (r"model doesn't support", _K.UNSUPPORTED),
    # the key
    (r"authentication_error|invalid_api_key|API_KEY_INVALID|API [Kk]ey", _K.CREDENTIALS),
    (r"Unauthorized|Missing Authentication header", _K.CREDENTIALS),
    # load
    (r"rate-limited", _K.RATE_LIMIT),
    # the server cannot do what it says it can
    (r"requires --jinja|image input is not supported|both json_schema and grammar", _K.SERVER),
    # the request
    (r"Schemas? (contains|is)|input_schema|properties|Circular reference", _K.BAD_REQUEST),
    (r"expected shape|Failed to deserialize|type must be number", _K.BAD_REQUEST),
    (r"No tool output found|Logprobs are not enabled|Unsupported value", _K.BAD_REQUEST),
    (r"Invalid 'messages|Invalid 'temperature'|temperature value", _K.BAD_REQUEST),
    (r"Please use a valid role|URL sources are not supported", _K.BAD_REQUEST),
    (r"invalid_image_url|Cannot fetch content|unsupported_file", _K.BAD_REQUEST),
    (r"document.source.type: Field required|Malformed input request", _K.BAD_REQUEST),
)

KEYS = re.compile(
    r"\b(sk|pk|gsk|xai|hf|nvapi)[-_]\w{4,}|AIza\w+|\*{3,}|Bearer \S{6,}"
    r"|key provided: (?!\[redacted\])|[?&]key=\w"
)
"""What no detail may contain."""


def errors() -> list[tuple[Sample, UpstreamFault]]:
    """All error responses and how they are understood."""
    found = []
    for sample in samples():
        if sample.kind is Kind.ERROR:
            exchange = sample.exchange
            decode = DIALECTS[sample.dialect].decode_error
            found.append((sample, decode(exchange.status, exchange.headers, sample.body)))
    return found


def expected_kind(sample: Sample) -> FaultKind | None:
    """What the table says."""
    body = sample.body.decode()
    return next((kind for words, kind in MEANINGS if re.search(words, body)), None)


def test_errors_mean_what_they_say() -> None:
    """Whatever status they come with."""
    wrong = [
        (sample.name, sample.exchange.status, fault.kind, expected_kind(sample), sample.body[:200])
        for sample, fault in errors()
        if fault.kind is not expected_kind(sample)
    ]
    assert wrong == []


def test_errors_keep_status_and_code() -> None:
    """For the records; where the body has a code, it is the fault's."""
    for sample, fault in errors():
        assert fault.status == sample.exchange.status, sample.name
        codes = re.findall(rb'"code": ?"(\w+)"', sample.body)
        assert not codes or fault.code is not None, sample.name


def test_errors_say_when_to_come_back_if_the_upstream_did() -> None:
    """In seconds; nothing is made up where it did not."""
    for sample, fault in errors():
        given = sample.exchange.headers.get("retry-after", "")
        expected = float(given) if given.isdigit() else None
        if fault.kind is not FaultKind.RATE_LIMIT or given:
            assert fault.retry_after == expected, sample.name


def test_details_have_no_keys_in_them() -> None:
    """Not even those that a provider has masked, or that were made up for a test."""
    found = [
        (sample.name, fault.detail) for sample, fault in errors() if KEYS.search(fault.detail or "")
    ]
    assert found == []


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_errors_without_sense_are_understood_by_their_status(dialect: str, body: bytes) -> None:
    """Whatever stands between us and the provider may answer."""
    fault = DIALECTS[dialect].decode_error(503, {"retry-after": "7"}, body)
    assert (fault.kind, fault.status, fault.retry_after) == (FaultKind.OVERLOADED, 503, 7.0)
