"""An error as a client is told it, before a dialect gives it its shape."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from lipstream.errors import Cause

MAX_CAUSES = 16


class ProblemKind(enum.Enum):
    """The classes of error that every dialect has a word for."""

    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    UPSTREAM = "upstream"
    INTERNAL = "internal"


@attrs.frozen
class Problem:
    """What a client is told.

    Attributes:
        status: HTTP status, also where only a frame inside a stream can carry the problem.
        retry_after: Whole seconds for the ``Retry-After`` header, or None.
        causes: What was tried, at most :data:`MAX_CAUSES` entries.
    """

    status: int
    kind: ProblemKind
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None
    causes: tuple[Cause, ...] = ()


def causes_of(problem: Problem) -> dict[str, Any]:
    """What was tried, as the field of an error; nothing where nothing was.

    No protocol has a place for it, so that all that take other fields are told it alike.
    """
    if not problem.causes:
        return {}
    causes = [
        {"candidate": cause.candidate, "phase": cause.phase, "kind": cause.kind}
        for cause in problem.causes[:MAX_CAUSES]
    ]
    return {"causes": causes}
