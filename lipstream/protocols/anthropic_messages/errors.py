"""How a client is told an error: Anthropic's error object.

https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

from typing import Any

from lipstream.canonical.problem import Problem, ProblemKind, causes_of
from lipstream.framing.sse import encode_json, encode_sse

ERROR_TYPES: dict[ProblemKind, str] = {
    ProblemKind.INVALID_REQUEST: "invalid_request_error",
    ProblemKind.AUTHENTICATION: "authentication_error",
    ProblemKind.PERMISSION: "permission_error",
    ProblemKind.NOT_FOUND: "not_found_error",
    ProblemKind.TOO_LARGE: "request_too_large",
    ProblemKind.RATE_LIMIT: "rate_limit_error",
    ProblemKind.OVERLOADED: "overloaded_error",
    ProblemKind.TIMEOUT: "timeout_error",
    ProblemKind.UPSTREAM: "api_error",
    ProblemKind.INTERNAL: "api_error",
}
"""The type of each kind of problem."""

STATUS_TYPES: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The type of each status, for errors that are no :class:`Problem`: a wrong path or method."""


UNTHREADED = "thread_unsupported_request"
"""The code by which clients learn that conversations are not kept here."""


def error_type(status: int) -> str:
    """The type of an error of which only the status is known."""
    return STATUS_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def encode_error(kind: str, message: str, **fields: Any) -> bytes:
    """The body of an error response; ``fields`` stand beside the message."""
    error = {"type": kind, "message": message, **fields}
    return encode_json({"type": "error", "error": error, "request_id": None})


def encode_problem(problem: Problem) -> bytes:
    """The body of an error response, which is also the data of an error frame.

    Code, field and causes have no place of their own in the dialect: its clients read over them.
    """
    fields: dict[str, Any] = {"code": problem.code, "param": problem.param, **causes_of(problem)}
    if problem.code == UNTHREADED:
        fields["details"] = {"error_code": UNTHREADED, "unsupported": ["thread"]}
    known = {name: value for name, value in fields.items() if value is not None}
    return encode_error(ERROR_TYPES[problem.kind], problem.message, **known)


def encode_problem_event(problem: Problem) -> bytes:
    """The frame that ends a stream."""
    return encode_sse(encode_problem(problem), b"error")
