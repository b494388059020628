"""Errors, to clients and from upstreams."""

from __future__ import annotations

import json

import pytest

from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.errors import Cause, FaultKind
from lipstream.protocols.openai_responses import CLIENT, SERVER


@pytest.mark.parametrize("kind", ProblemKind)
def test_every_problem_has_a_body(kind: ProblemKind) -> None:
    """OpenAI's error object with a type."""
    error = json.loads(SERVER.encode_problem(Problem(400, kind, "why", param="input[0]")))["error"]
    assert (error["message"], error["param"]) == ("why", "input[0]")
    assert error["type"] in ("invalid_request_error", "requests", "server_error")
    assert "causes" not in error


def test_problem_keeps_its_own_code_and_causes() -> None:
    """At most as many as are told anywhere."""
    cause = Cause("b:m", "open", "connect")
    problem = Problem(400, ProblemKind.INVALID_REQUEST, "why", code="x", causes=(cause,) * 20)
    error = json.loads(SERVER.encode_problem(problem))["error"]
    assert error["code"] == "x"
    assert error["causes"] == [{"candidate": "b:m", "phase": "open", "kind": "connect"}] * 16


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"code": "model_not_found", "param": "model"}}, FaultKind.NOT_FOUND),
        (401, {"error": {"code": "invalid_api_key"}}, FaultKind.CREDENTIALS),
        (400, {"error": {"code": "context_length_exceeded"}}, FaultKind.CONTEXT_LENGTH),
        (400, {"error": {"code": "unsupported_file"}}, FaultKind.BAD_REQUEST),
        (400, {"code": "invalid-argument", "error": "Incorrect API key"}, FaultKind.CREDENTIALS),
        (429, {"error": {"code": "rate_limit_exceeded"}}, FaultKind.RATE_LIMIT),
        (500, None, FaultKind.SERVER),
    ],
)
def test_error_responses_are_what_they_name(status: int, body: object, kind: FaultKind) -> None:
    """Whatever their status."""
    assert CLIENT.decode_error(status, {}, json.dumps(body).encode()).kind is kind
