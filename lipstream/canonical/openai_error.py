"""OpenAI's error object, in which more than one protocol tells a client what is wrong.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from typing import Any

from lipstream.canonical.problem import Problem, ProblemKind, causes_of

_WORDS: dict[ProblemKind, tuple[str, str | None]] = {
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


def error_body(problem: Problem) -> dict[str, Any]:
    """The body of an error response."""
    error = {
        "message": problem.message,
        "type": _WORDS[problem.kind][0],
        "param": problem.param,
        "code": code_of(problem),
        **causes_of(problem),
    }
    return {"error": error}


def code_of(problem: Problem) -> str | None:
    """The word that stands for the problem."""
    return problem.code or _WORDS[problem.kind][1]
