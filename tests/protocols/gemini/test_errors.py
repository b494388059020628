"""Errors both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.errors import Cause, FaultKind
from lipstream.protocols.gemini import CLIENT, SERVER
from lipstream.protocols.gemini.errors import fault_in_stream


def error(code: int, status: str, message: str = "no", *details: Any) -> dict[str, Any]:
    """Google's error object."""
    inner = {"code": code, "message": message, "status": status}
    return {"error": inner | {"details": list(details)} if details else inner}


def delay(text: Any) -> dict[str, Any]:
    """The detail that says when to come back."""
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text}


def reason(text: str) -> dict[str, Any]:
    """The detail that has a reason for machines."""
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": text}


TOO_LONG = "The input token count (2) exceeds the maximum number of tokens allowed (1)."
ERRORS: list[tuple[dict[str, Any], FaultKind]] = [
    (error(400, "INVALID_ARGUMENT"), FaultKind.BAD_REQUEST),
    (error(400, "INVALID_ARGUMENT", TOO_LONG), FaultKind.CONTEXT_LENGTH),
    (error(400, "INVALID_ARGUMENT", "API key not valid."), FaultKind.CREDENTIALS),
    (error(400, "INVALID_ARGUMENT", "no", reason("API_KEY_INVALID")), FaultKind.CREDENTIALS),
    (error(400, "FAILED_PRECONDITION"), FaultKind.BAD_REQUEST),
    (
        error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        FaultKind.CREDENTIALS,
    ),
    (error(400, "OUT_OF_RANGE"), FaultKind.BAD_REQUEST),
    (error(401, "UNAUTHENTICATED"), FaultKind.CREDENTIALS),
    (error(403, "PERMISSION_DENIED"), FaultKind.CREDENTIALS),
    (error(404, "NOT_FOUND"), FaultKind.NOT_FOUND),
    (error(409, "ABORTED"), FaultKind.TRANSIENT),
    (error(409, "ALREADY_EXISTS"), FaultKind.TRANSIENT),
    (error(429, "RESOURCE_EXHAUSTED"), FaultKind.RATE_LIMIT),
    (error(499, "CANCELLED"), FaultKind.TRANSIENT),
    (error(500, "INTERNAL"), FaultKind.SERVER),
    (error(500, "UNKNOWN"), FaultKind.SERVER),
    (error(500, "DATA_LOSS"), FaultKind.SERVER),
    (error(501, "UNIMPLEMENTED"), FaultKind.SERVER),
    (error(503, "UNAVAILABLE"), FaultKind.OVERLOADED),
    (error(504, "DEADLINE_EXCEEDED"), FaultKind.SERVER),
]


@pytest.mark.parametrize(("value", "kind"), ERRORS)
def test_errors_are_classified_wherever_they_come(value: dict[str, Any], kind: FaultKind) -> None:
    """As a response, in a list, in a stream, and without a code."""
    status = value["error"]["code"]
    for body in (value, [value]):
        fault = CLIENT.decode_error(status, {}, json.dumps(body).encode())
        assert (fault.kind, fault.status) == (kind, status)
        assert fault.code == value["error"]["status"]
    assert fault_in_stream(value).kind is kind
    bare = {name: field for name, field in value["error"].items() if name != "code"}
    assert fault_in_stream({"error": bare}).kind is kind


@pytest.mark.parametrize(
    ("details", "headers", "expected"),
    [
        ([delay("34.074824224s")], {}, 34.074824224),
        ([delay("2s")], {"retry-after": "9"}, 2),
        ([{}, delay("2s")], {}, 2),
        ([delay("2"), delay("s"), delay("-1s"), delay("1" * 40 + "s"), delay(5)], {}, None),
        ([], {"retry-after": "9"}, 9),
        ([5], {}, None),
    ],
)
def test_time_to_wait_is_read_from_the_details(
    details: list[Any], headers: dict[str, str], expected: float | None
) -> None:
    """They know better than the header."""
    value = error(429, "RESOURCE_EXHAUSTED", "slow down", *details)
    fault = CLIENT.decode_error(429, headers, json.dumps(value).encode())
    assert (fault.retry_after, fault.detail) == (expected, "slow down")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[5]", b"5", b'{"error": "x"}', b"{}"])
def test_any_body_will_do(body: bytes) -> None:
    """The status says enough."""
    assert CLIENT.decode_error(503, {}, body).kind is FaultKind.OVERLOADED


def test_body_that_is_nested_too_deeply_is_read_by_its_status() -> None:
    """No crash."""
    assert CLIENT.decode_error(500, {}, b"[" * 100_000).kind is FaultKind.SERVER


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_every_problem_has_a_word(kind: ProblemKind) -> None:
    """Of google.rpc.Code."""
    body = json.loads(SERVER.encode_problem(Problem(418, kind, "no")))
    assert body == {"error": {"code": 418, "message": "no", "status": body["error"]["status"]}}
    assert body["error"]["status"].isupper()


def test_problem_tells_its_details() -> None:
    """Reason, field, time to wait and what was tried, each in its type."""
    problem = Problem(
        429,
        ProblemKind.RATE_LIMIT,
        "slow down",
        code="rate_limit_exceeded",
        param="contents",
        retry_after=7,
        causes=(Cause("a:m", "open", "rate_limit"),),
    )
    details = json.loads(SERVER.encode_problem(problem))["error"]["details"]
    kinds = [detail.pop("@type").rpartition(".")[2] for detail in details]
    assert kinds == ["ErrorInfo", "BadRequest", "RetryInfo", "DebugInfo"]
    assert details == [
        {"reason": "RATE_LIMIT_EXCEEDED", "domain": "lipstream"},
        {"fieldViolations": [{"field": "contents", "description": "slow down"}]},
        {"retryDelay": "7s"},
        {"stackEntries": ["a:m: rate_limit (open)"]},
    ]


def test_problem_reads_back_as_what_it_was() -> None:
    """One proxy behind another."""
    problem = Problem(429, ProblemKind.RATE_LIMIT, "slow down", retry_after=7)
    fault = CLIENT.decode_error(429, {}, SERVER.encode_problem(problem))
    assert (fault.kind, fault.retry_after) == (FaultKind.RATE_LIMIT, 7)
