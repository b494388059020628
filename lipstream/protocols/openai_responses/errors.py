"""How errors are told: to a client as OpenAI's error object, by an upstream inside its stream."""

from __future__ import annotations

from typing import Any

from lipstream.canonical.problem import MAX_CAUSES, Problem, ProblemKind
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import fault_in_stream
from lipstream.framing.sse import encode_json
from lipstream.protocols.openai_responses.wire import Fields, WireEvent

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
    """The body of an error response."""
    kind, _ = _PROBLEMS[problem.kind]
    error: Fields = {
        "message": problem.message,
        "type": kind,
        "param": problem.param,
        "code": code_of(problem),
        **causes_of(problem),
    }
    return encode_json({"error": error})


def code_of(problem: Problem) -> str | None:
    """The word that stands for the problem."""
    return problem.code or _PROBLEMS[problem.kind][1]


def causes_of(problem: Problem) -> Fields:
    """What was tried, as a field of an error; nothing where nothing was."""
    if not problem.causes:
        return {}
    causes = [
        {"candidate": cause.candidate, "phase": cause.phase, "kind": cause.kind}
        for cause in problem.causes[:MAX_CAUSES]
    ]
    return {"causes": causes}


def fault_of_event(event: WireEvent) -> UpstreamFault:
    """What an ``error`` event means: its fields stand in it, or in an object of their own."""
    if event.error:
        return fault_in_stream(event.error)
    return fault_in_stream({"code": event.code, "message": event.message})


def fault_of_response(response: Any) -> UpstreamFault:
    """Why a response that failed or was cancelled has no answer."""
    fields = response if isinstance(response, dict) else {}
    if fields.get("error"):
        return fault_in_stream(fields["error"])
    if fields.get("status") == "cancelled":
        message = "the upstream cancelled the answer"
        return UpstreamFault(FaultKind.TRANSIENT, message, code="cancelled")
    return UpstreamFault(FaultKind.SERVER, "the upstream reported a failure without a reason")
