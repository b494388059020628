"""What differs from protocol to protocol in what a client is told, as data."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tests.conformance.outcome import Counted
from tests.conformance.stage import Stage

# ---------------------------------------------------------------- endings

FILTERED: Mapping[str, frozenset[str]] = {
    "openai_chat": frozenset(("content_filter",)),
    "openai_responses": frozenset(("content_filter",)),
    "anthropic_messages": frozenset(("refusal",)),
    "gemini": frozenset(("content_filter",)),
}
"""How a client learns that a filter ended the answer."""

REFUSED: Mapping[str, frozenset[str]] = {
    "openai_chat": frozenset(("stop", "content_filter")),
    "openai_responses": frozenset(("stop", "content_filter")),
    "anthropic_messages": frozenset(("refusal",)),
    "gemini": frozenset(("stop", "content_filter")),
}
"""How a client learns that the model refused; Gemini's has its words alone."""

# ---------------------------------------------------------------- counts

COUNTED_BY: Mapping[str, frozenset[str]] = {
    "openai_chat": frozenset(("input", "output", "cached", "reasoning")),
    "openai_responses": frozenset(("input", "output", "cached", "cache_write", "reasoning")),
    "anthropic_messages": frozenset(("input", "output", "cached", "cache_write", "reasoning")),
    "gemini": frozenset(("input", "output", "cached", "reasoning")),
    "bedrock_converse": frozenset(("input", "output", "cached", "cache_write")),
}
"""What each provider counts."""

SHOWN_BY: Mapping[str, frozenset[str]] = {
    "openai_chat": frozenset(("input", "output", "cached", "cache_write", "reasoning")),
    "openai_responses": frozenset(("input", "output", "cached", "cache_write", "reasoning")),
    "anthropic_messages": frozenset(("input", "output", "cached", "cache_write", "reasoning")),
    "gemini": frozenset(("input", "output", "cached", "reasoning")),
}
"""What each client has a place for."""


def is_counted(stage: Stage, name: str) -> bool:
    """Whether a count can reach the client."""
    return name in COUNTED_BY[stage.backend] and name in SHOWN_BY[stage.frontend]


NEVER_NULL: Mapping[str, frozenset[str]] = {
    "openai_responses": frozenset(("cached", "cache_write", "reasoning")),
}
"""What a protocol wants as a number, and so has a 0 where the provider does not count."""


def counts(stage: Stage, told: Counted) -> Counted:
    """What the client is told of what the model counts."""
    zeros = () if stage.is_own else NEVER_NULL.get(stage.frontend, ())
    return Counted(
        **{
            name: value if is_counted(stage, name) else 0 if name in zeros else None
            for name, value in attrs.asdict(told).items()
        }
    )


# ---------------------------------------------------------------- errors


@attrs.frozen
class Error:
    """What an SDK raises."""

    error: str
    status: int
    words: tuple[str, ...] = ()


PASSED_ON = {400: 400, 401: 502, 403: 502, 404: 404, 429: 429, 500: 502, 529: 503}
"""The client's status by the provider's: a provider's key is no business of the client's."""

_OPENAI = {
    400: Error("BadRequestError", 400, ("invalid_request_error",)),
    404: Error("NotFoundError", 404, ("model_not_found",)),
    429: Error("RateLimitError", 429, ("rate_limit_exceeded",)),
    502: Error("InternalServerError", 502, ("server_error",)),
    503: Error("InternalServerError", 503, ("upstream_overloaded",)),
}
ERRORS: Mapping[str, Mapping[int, Error]] = {
    "openai_chat": _OPENAI,
    "openai_responses": _OPENAI,
    "anthropic_messages": {
        400: Error("BadRequestError", 400, ("invalid_request_error",)),
        404: Error("NotFoundError", 404, ("not_found_error",)),
        429: Error("RateLimitError", 429, ("rate_limit_error",)),
        502: Error("InternalServerError", 502, ("api_error",)),
        503: Error("ServiceUnavailableError", 503, ("overloaded_error",)),
    },
    "gemini": {
        400: Error("ClientError", 400, ("INVALID_ARGUMENT",)),
        404: Error("ClientError", 404, ("NOT_FOUND",)),
        429: Error("ClientError", 429, ("RESOURCE_EXHAUSTED",)),
        502: Error("ServerError", 502, ("INTERNAL",)),
        503: Error("ServerError", 503, ("UNAVAILABLE",)),
    },
}


OTHERWISE = {
    ("bedrock_converse", 403): 404,  # no access to this model: another one may do
    ("bedrock_converse", 529): 502,  # a status that it does not know
}
"""What differs by the provider's protocol."""


def error_of(frontend: str, backend: str, status: int) -> Error:
    """What a client's SDK raises for a provider's status."""
    return ERRORS[frontend][OTHERWISE.get((backend, status), PASSED_ON[status])]
