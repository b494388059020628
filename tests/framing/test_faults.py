"""Errors of upstreams, in whatever shape and words they come."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import decode_error, fault_in_stream, is_problem, redacted


def fault(status: int, body: Any, **headers: str) -> UpstreamFault:
    """What a response means; header names with underscores."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return decode_error(status, named, data)


def said(message: str, **fields: Any) -> Any:
    """OpenAI's error object."""
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FaultKind.BAD_REQUEST),
        (401, FaultKind.CREDENTIALS),
        (402, FaultKind.CREDENTIALS),
        (403, FaultKind.CREDENTIALS),
        (404, FaultKind.NOT_FOUND),
        (405, FaultKind.NOT_FOUND),
        (408, FaultKind.TRANSIENT),
        (409, FaultKind.TRANSIENT),
        (413, FaultKind.BAD_REQUEST),
        (422, FaultKind.BAD_REQUEST),
        (425, FaultKind.TRANSIENT),
        (429, FaultKind.RATE_LIMIT),
        (500, FaultKind.SERVER),
        (502, FaultKind.SERVER),
        (503, FaultKind.OVERLOADED),
        (529, FaultKind.OVERLOADED),
        (302, FaultKind.PROTOCOL),
    ],
)
def test_status_decides_where_nothing_else_is_said(status: int, kind: FaultKind) -> None:
    """An empty body, HTML, or a word that says nothing."""
    for body in (b"", b"<html>no</html>", said("no", type="x", code=None), {"message": "no"}):
        assert fault(status, body).kind is kind
    assert (fault(status, b"").status, fault(status, b"").detail) == (status, None)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # too long, in the words of many servers
        (400, said("x", code="context_length_exceeded"), FaultKind.CONTEXT_LENGTH),
        (400, said("This model's maximum context length is 4096."), FaultKind.CONTEXT_LENGTH),
        (400, said("x", type="exceed_context_size_error"), FaultKind.CONTEXT_LENGTH),
        (500, said("the request exceeds the available context size"), FaultKind.CONTEXT_LENGTH),
        (413, said("Request too large for model `x`", code="rate_limit_exceeded"),
         FaultKind.CONTEXT_LENGTH),
        (400, said("Please reduce the length of the messages."), FaultKind.CONTEXT_LENGTH),
        (422, {"detail": [{"loc": [1], "msg": "Prompt is too long"}]}, FaultKind.CONTEXT_LENGTH),
        (400, {"object": "error", "message": "Prompt contains 9 tokens, too many tokens"},
         FaultKind.CONTEXT_LENGTH),
        # policy
        (400, said("x", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}),
         FaultKind.CONTENT_FILTER),
        (400, said("x", innererror={"code": "ResponsibleAIPolicyViolation"}),
         FaultKind.CONTENT_FILTER),
        (400, said("x", code="content_policy_violation"), FaultKind.CONTENT_FILTER),
        (400, said("Your request was rejected by our safety system."), FaultKind.CONTENT_FILTER),
        (403, said("requires moderation; it was flagged", code=403), FaultKind.CONTENT_FILTER),
        # the key
        (429, said("You exceeded your quota", code="insufficient_quota"), FaultKind.CREDENTIALS),
        (400, said("API key not valid. Please pass a valid API key."), FaultKind.CREDENTIALS),
        # the model
        (400, said("x is not a valid model ID", code=400), FaultKind.NOT_FOUND),
        (400, {"message": "The provided model identifier is invalid."}, FaultKind.NOT_FOUND),
        (400, {"type": "invalid_model", "message": "x"}, FaultKind.NOT_FOUND),
        (400, said("The model `x` does not exist"), FaultKind.NOT_FOUND),
        # load
        (500, said("x", type="overloaded_error"), FaultKind.OVERLOADED),
        (429, said("x", type="requests", code="rate_limit_exceeded"), FaultKind.RATE_LIMIT),
        # the model's own failure
        (400, said("x", type="invalid_request_error", code="tool_use_failed"), FaultKind.SERVER),
        # shapes
        (404, {"error": "model not found"}, FaultKind.NOT_FOUND),
        (400, [said("x", code="context_length_exceeded")], FaultKind.CONTEXT_LENGTH),
        (400, {"title": "content_filter", "detail": "x", "status": 400}, FaultKind.CONTENT_FILTER),
        # NVIDIA's problem details, OpenRouter's metadata
        (400, {"type": "about:blank", "title": "Bad Request", "status": 400,
               "detail": "Function id 'x': DEGRADED function cannot be invoked"},
         FaultKind.OVERLOADED),
        (404, {"type": "urn:inference-service:problem-details:not-found", "detail": "x"},
         FaultKind.NOT_FOUND),
        (402, {"error": {"metadata": {"error_type": "payment_required"}}}, FaultKind.CREDENTIALS),
        (502, {"error": {"metadata": {"error_type": "provider_overloaded"}}},
         FaultKind.OVERLOADED),
        (400, [[[[[[said("x", code="context_length_exceeded")]]]]]], FaultKind.BAD_REQUEST),
        (400, b"[" * 5000 + b"]" * 5000, FaultKind.BAD_REQUEST),
    ],
)  # fmt: skip
def test_codes_and_words_say_more_than_the_status(status: int, body: Any, kind: FaultKind) -> None:
    """In whatever shape they come."""
    assert fault(status, body).kind is kind


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("urn:inference-service:problem-details:gone", "gone"), ("about:blank", None), ("x:y", "x:y")],
)
def test_code_is_the_last_word_of_a_urn(kind: str, expected: str | None) -> None:
    """And none where the type says nothing."""
    assert fault(410, {"type": kind}).code == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "urn:inference-service:problem-details:bad-request"}, True),
        ({"type": "about:blank"}, True),
        ({"title": "Bad Request", "status": 400}, True),
        ({"title": "Bad Request", "status": "400"}, False),
        ({"title": "All is well", "status": 200}, False),
        ({"status": 400}, False),
        ({"type": "response.created"}, False),
        ({}, False),
    ],
)
def test_problem_details_are_recognised(fields: Any, expected: bool) -> None:
    """By their type, or by the fields that they always have."""
    assert is_problem(fields) is expected


def test_fault_keeps_code_and_words() -> None:
    """For records; the message itself shows nothing of the upstream."""
    found = fault(429, said("slow down", type="requests", code="rate_limit_exceeded"))
    assert (str(found), found.code, found.detail) == (
        "the upstream answered 429",
        "rate_limit_exceeded",
        "slow down",
    )


@pytest.mark.parametrize(
    ("value", "kind", "status"),
    [
        ("the server is busy", FaultKind.OVERLOADED, None),
        ({"message": "no", "code": 429}, FaultKind.RATE_LIMIT, 429),
        ({"message": "no", "code": "server_error", "status": 503}, FaultKind.OVERLOADED, 503),
        ({"message": "no", "code": 200, "status": 600}, FaultKind.SERVER, None),
        ({"message": "no", "type": "invalid_request_error"}, FaultKind.BAD_REQUEST, None),
        ({"message": "prompt is too long", "type": "invalid_request_error"},
         FaultKind.CONTEXT_LENGTH, None),
        ({"message": "no", "type": "not_found_error"}, FaultKind.NOT_FOUND, None),
        (None, FaultKind.SERVER, None),
        ([], FaultKind.SERVER, None),
        (3, FaultKind.SERVER, None),
    ],
)  # fmt: skip
def test_error_in_a_stream_is_classified_without_a_status(
    value: Any, kind: FaultKind, status: int | None
) -> None:
    """By its code, the status that it names, or the words that mean less than a status."""
    found = fault_in_stream(value)
    assert (found.kind, found.status, found.retry_after) == (kind, status, None)
    assert str(found) == "the upstream reported an error in its answer"


# ---------------------------------------------------------------- how long to wait

NOON = "Wed, 21 Oct 2015 12:00:00 GMT"
LATER = "Wed, 21 Oct 2015 12:01:30 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": " 2.5 "}, 2.5),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": LATER, "date": NOON}, 90.0),
        ({"retry_after": NOON, "date": LATER}, 0.0),
        ({"retry_after": LATER}, None),
        ({"retry_after": LATER.replace("GMT", "-0000"), "date": NOON}, 90.0),
        ({"retry_after": f"01 Jan {10**20} 00:00:00 GMT", "date": NOON}, None),
        ({"retry_after": LATER, "date": f"01 Jan {10**20} 00:00:00 GMT"}, None),
        ({"x_ratelimit_reset_requests": "1s"}, 1.0),
        ({"x_ratelimit_reset_requests": "20ms", "x_ratelimit_reset_tokens": "6m0s"}, 360.0),
        ({"x_ratelimit_reset_requests": "1h2m3.5s", "x_ratelimit_remaining_requests": "0",
          "x_ratelimit_reset_tokens": "2d", "x_ratelimit_remaining_tokens": "7"}, 3723.5),
        ({"x_ratelimit_reset": "30"}, 30.0),
        ({"x_ratelimit_reset": "1445428890", "date": NOON}, 90.0),
        ({"x_ratelimit_reset": "1445428890000", "date": NOON}, 90.0),
        ({"x_ratelimit_reset": "1445428890000"}, None),
        ({"x_ratelimit_reset_requests": "never"}, None),
    ],
)  # fmt: skip
def test_wait_is_read_from_the_headers(headers: dict[str, str], expected: float | None) -> None:
    """Dates against the response's own; limits by OpenAI's spans."""
    assert fault(429, b"", **headers).retry_after == expected


def test_limits_count_only_where_one_was_hit() -> None:
    """Successful providers name them in every response."""
    assert fault(500, b"", x_ratelimit_reset_requests="1s").retry_after is None
    assert fault(500, b"", retry_after="3").retry_after == 3.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Please try again in 1.5s.", 1.5),
        ("Please try again in 7m12s.", 432.0),
        ("Please retry in 250ms", 0.25),
        ("Try later.", None),
    ],
)
def test_wait_is_read_from_the_words_at_last(text: str, expected: float | None) -> None:
    """Where no header says it."""
    assert fault(429, said(text)).retry_after == expected


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF123456",
        "sk-ant-api03-abc_DEF-123",
        "gsk_abcdef123456",
        "AIzaSyA1234567890",
        "hf_abcdefghij",
        "nvapi-abc-123456",
        "eyJhbGciOiJIUzI1NiJ9.e30.x-_",
        "abc1****************wxyz",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_keys_are_taken_out(secret: str) -> None:
    """Wherever they stand; ordinary words stay."""
    text = f"Incorrect key '{secret}' for skipping sessions, see https://x.test/?key={secret}&a=1"
    found = redacted(text)
    assert found is not None
    assert secret not in found
    assert found.startswith("Incorrect key '[redacted]' for skipping sessions, see https://x.test")


def test_detail_is_bounded() -> None:
    """Whatever an upstream sends; tokens after Bearer go too."""
    assert redacted("Bearer abc.def, x") == "Bearer [redacted], x"
    assert redacted("API key provided: my.own. Go") == "API key provided: [redacted]. Go"
    assert redacted("x" * 512) == "x" * 512
    long = redacted("y " * 10_000)
    assert long is not None
    assert len(long) == 512
    assert redacted(" \n") is None


# ---------------------------------------------------------------- whatever comes

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "status", "message", "detail"]), inner
        )
    ),
    max_leaves=6,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["date", "retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-tokens"]
    ),
    st.text(max_size=6)
    | st.sampled_from([NOON, LATER, "1s", "1e9", "9" * 30, NOON.replace("2", "9")]),
)


@given(
    st.integers(100, 999),
    HEADERS,
    st.binary(max_size=8) | VALUES.map(lambda value: json.dumps(value).encode()),
)
def test_any_response_is_a_fault(status: int, headers: dict[str, str], body: bytes) -> None:
    """With a wait that can be waited for, and words that can be written."""
    found = decode_error(status, headers, body)
    assert found.retry_after is None or 0 <= found.retry_after < math.inf
    assert len(found.detail or "") <= 512


@given(VALUES)
def test_any_report_in_a_stream_is_a_fault(value: Any) -> None:
    """Whatever stands in the place of an error."""
    assert fault_in_stream(value).retry_after is None
