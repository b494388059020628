"""What a client is told about an error: one table per family, no dialect.

Never an upstream's text, a key or a path, unless the operator asked for it (``expose_upstream``).
The message says what to do where there is something that the client can do.
"""

from __future__ import annotations

import math

import attrs

from lipstream import errors as err
from lipstream.canonical.problem import MAX_CAUSES, Problem, ProblemKind
from lipstream.errors import FaultKind
from lipstream.routing.classify import http_status
from lipstream.routing.selector import caret

_P = ProblemKind


@attrs.frozen
class _Row:
    kind: ProblemKind
    code: str | None
    message: str


# What an upstream's fault means to a client. The status is routing.classify's.
_FAULTS = {
    FaultKind.CONNECT: _Row(
        _P.UPSTREAM, "upstream_unreachable", "The backend could not be reached."
    ),
    FaultKind.READ: _Row(_P.UPSTREAM, "upstream_error", "The connection to the backend broke."),
    FaultKind.TTFT: _Row(_P.TIMEOUT, "upstream_timeout", "The backend did not begin in time."),
    FaultKind.IDLE: _Row(_P.TIMEOUT, "upstream_timeout", "The backend was silent for too long."),
    FaultKind.DEADLINE: _Row(_P.TIMEOUT, "timeout", "The time for this request is over."),
    FaultKind.TRUNCATED: _Row(_P.UPSTREAM, "upstream_truncated", "The backend's answer broke off."),
    FaultKind.PROTOCOL: _Row(
        _P.UPSTREAM, "upstream_error", "The backend's answer was not legible."
    ),
    FaultKind.BAD_REQUEST: _Row(
        _P.INVALID_REQUEST, None, "The backend refused the request as invalid."
    ),
    FaultKind.UNSUPPORTED: _Row(
        _P.INVALID_REQUEST, "unsupported", "No backend can take this request."
    ),
    FaultKind.CONTEXT_LENGTH: _Row(
        _P.INVALID_REQUEST,
        "context_length_exceeded",
        "The prompt is too long for the model: shorten it.",
    ),
    FaultKind.CONTENT_FILTER: _Row(
        _P.INVALID_REQUEST, "content_filter", "The provider's content policy refused the request."
    ),
    FaultKind.CREDENTIALS: _Row(
        _P.UPSTREAM, "upstream_credentials_exhausted", "No credential of the backend is accepted."
    ),
    FaultKind.NOT_FOUND: _Row(
        _P.NOT_FOUND, "model_not_found", "The backend does not know this model."
    ),
    FaultKind.TRANSIENT: _Row(
        _P.UPSTREAM, "upstream_error", "The backend could not take the request."
    ),
    FaultKind.RATE_LIMIT: _Row(
        _P.RATE_LIMIT,
        "rate_limit_exceeded",
        "The backend's rate limit is reached: try again later.",
    ),
    FaultKind.SERVER: _Row(_P.UPSTREAM, "upstream_error", "The backend failed."),
    FaultKind.OVERLOADED: _Row(
        _P.OVERLOADED, "upstream_overloaded", "The backend is overloaded: try again later."
    ),
    FaultKind.INTERNAL: _Row(
        _P.INTERNAL, "internal_error", "The proxy could not read the backend's answer."
    ),
}

# Told when an upstream pushed back without saying for how long, in seconds.
_DEFAULT_RETRY_AFTER = {FaultKind.RATE_LIMIT: 60, FaultKind.OVERLOADED: 5}

_OWN: dict[type[err.LipstreamError], tuple[int, ProblemKind, str | None]] = {
    err.BadRequest: (400, _P.INVALID_REQUEST, None),
    err.TooLarge: (413, _P.TOO_LARGE, "request_too_large"),
    err.Unauthenticated: (401, _P.AUTHENTICATION, "invalid_api_key"),
    err.Denied: (403, _P.PERMISSION, "permission_denied"),
    err.BadSelector: (400, _P.INVALID_REQUEST, "invalid_selector"),
    err.CapabilityMissing: (400, _P.INVALID_REQUEST, "unsupported_parameter"),
    err.TransportRejected: (400, _P.INVALID_REQUEST, "unsupported_transport"),
    err.ContextTooLong: (413, _P.TOO_LARGE, "context_length_exceeded"),
    err.TimedOut: (504, _P.TIMEOUT, "timeout"),
}


def problem_for(error: BaseException, *, expose_upstream: bool = False) -> Problem:
    """What to tell the client; anything that is not ours is an internal error without details."""
    if isinstance(error, err.Exhausted):
        return _of_fault(error.fault, error.causes, expose_upstream)
    if isinstance(error, err.UpstreamFault):
        return _of_fault(error, (), expose_upstream)
    if isinstance(error, err.Overloaded):
        status, kind = (503, _P.OVERLOADED) if error.draining else (429, _P.RATE_LIMIT)
        code = "shutting_down" if error.draining else "overloaded"
        return Problem(status, kind, str(error), code, retry_after=math.ceil(error.retry_after))
    if isinstance(error, err.NoCandidate):
        if error.unknown_backends:
            return Problem(400, _P.INVALID_REQUEST, str(error), "unknown_backend", "model")
        return Problem(503, _P.OVERLOADED, str(error), "no_candidate", retry_after=5)
    for family, row in _OWN.items():
        if isinstance(error, family):
            return _of_own(error, *row)
    return Problem(500, _P.INTERNAL, "The proxy failed; the error is in its log.", "internal_error")


def _of_own(error: BaseException, status: int, kind: ProblemKind, code: str | None) -> Problem:
    message = caret(error) if isinstance(error, err.BadSelector) else str(error)
    causes = error.causes[:MAX_CAUSES] if isinstance(error, err.TimedOut) else ()
    if isinstance(error, err.ClientFault):
        return Problem(status, kind, message, error.code or code, error.param)
    return Problem(status, kind, message, code, causes=causes)


def _of_fault(
    fault: err.UpstreamFault, causes: tuple[err.Cause, ...], expose_upstream: bool
) -> Problem:
    row = _FAULTS[fault.kind]
    message = row.message
    if fault.kind is FaultKind.UNSUPPORTED:
        message = str(fault)  # our own words about the client's request
    if expose_upstream and fault.detail:
        message = f"{message} The backend said: {fault.detail}"
    seconds = fault.retry_after
    if seconds is None:
        seconds = _DEFAULT_RETRY_AFTER.get(fault.kind)
    return Problem(
        http_status(fault),
        row.kind,
        message,
        row.code,
        retry_after=None if seconds is None else math.ceil(seconds),
        causes=causes[:MAX_CAUSES],
    )
