"""How a client is told an error: OpenAI's error object."""

from __future__ import annotations

from typing import Any

from lipstream.canonical.problem import MAX_CAUSES, Problem, ProblemKind
from lipstream.framing.sse import encode_json

_PROBLEMS: dict[ProblemKind, tuple[str, str | None]] = {
    # type and default code, as OpenAI's API uses them
    ProblemKind.INVALID_REQUEST: ("invalid_request_error", None),
    ProblemKind.AUTHENTICATION: ("invalid_request_error", "invalid_api_key"),
    ProblemKind.PERMISSION: ("invalid_request_error", "insufficient_permissions"),
    ProblemKind.NOT_FOUND: ("invalid_request_error", "model_not_found"),
    ProblemKind.TOO_LARGE: ("invalid_request_error", "request_too_large"),
    ProblemKind.RATE_LIMIT: ("requests", "rate_limit_exceeded"),
    ProblemKind.OVERLOADED: ("server_error", "overloaded"),
    ProblemKind.TIMEOUT: ("server_error", "timeout"),
    ProblemKind.UPSTREAM: ("server_error", "upstream_error"),
    ProblemKind.INTERNAL: ("server_error", "internal_error"),
}


def encode_problem(problem: Problem) -> bytes:
    """The body of an error response, which is also the data of an error frame."""
    kind, code = _PROBLEMS[problem.kind]
    error: dict[str, Any] = {
        "message": problem.message,
        "type": kind,
        "param": problem.param,
        "code": problem.code or code,
    }
    if problem.causes:
        error["causes"] = [
            {"candidate": cause.candidate, "phase": cause.phase, "kind": cause.kind}
            for cause in problem.causes[:MAX_CAUSES]
        ]
    return encode_json({"error": error})
