"""What clients are told: every error has its row, and nothing of an upstream leaks."""

from __future__ import annotations

import pytest

from lipstream import errors as err
from lipstream.canonical.problem import MAX_CAUSES, ProblemKind
from lipstream.errors import Cause, FaultKind, UpstreamFault
from lipstream.routing.classify import http_status
from lipstream.server.errors import problem_for

SECRET = "sk-upstream says: /etc/path"


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_has_words_of_our_own(kind: FaultKind) -> None:
    """The status is the classification's; the upstream's text stays here."""
    problem = problem_for(UpstreamFault(kind, "", detail=SECRET))
    assert problem.status == http_status(UpstreamFault(kind, ""))
    assert SECRET not in problem.message


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (err.BadRequest("x", param="p"), 400, ProblemKind.INVALID_REQUEST, None),
        (err.BadRequest("x", code="c"), 400, ProblemKind.INVALID_REQUEST, "c"),
        (err.TooLarge("x"), 413, ProblemKind.TOO_LARGE, "request_too_large"),
        (err.Unauthenticated("x"), 401, ProblemKind.AUTHENTICATION, "invalid_api_key"),
        (err.Denied("x"), 403, ProblemKind.PERMISSION, "permission_denied"),
        (err.BadSelector("x"), 400, ProblemKind.INVALID_REQUEST, "invalid_selector"),
        (err.NoCandidate("x"), 503, ProblemKind.OVERLOADED, "no_candidate"),
        (
            err.NoCandidate("x", unknown_backends=["b"]),
            400,
            ProblemKind.INVALID_REQUEST,
            "unknown_backend",
        ),
        (err.ContextTooLong("x"), 413, ProblemKind.TOO_LARGE, "context_length_exceeded"),
        (err.TimedOut("x"), 504, ProblemKind.TIMEOUT, "timeout"),
        (err.Overloaded("x"), 429, ProblemKind.RATE_LIMIT, "overloaded"),
        (err.Overloaded("x", draining=True), 503, ProblemKind.OVERLOADED, "shutting_down"),
        (ZeroDivisionError(SECRET), 500, ProblemKind.INTERNAL, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_own_error_becomes_its_problem(
    error: Exception, status: int, kind: ProblemKind, code: str | None
) -> None:
    """One row per class."""
    problem = problem_for(error)
    assert (problem.status, problem.kind, problem.code) == (status, kind, code)
    assert SECRET not in problem.message


def test_bad_selector_shows_the_place() -> None:
    """The text comes with a caret under what is wrong."""
    problem = problem_for(err.BadSelector("no leaf", selector="a:m||b:m", position=4))
    assert "a:m||b:m" in problem.message
    assert "^" in problem.message


def test_exhausted_tells_bounded_causes() -> None:
    """What was tried is told, but not without end."""
    causes = [Cause(f"b{i}:m", "open", "connect") for i in range(MAX_CAUSES + 5)]
    problem = problem_for(err.Exhausted(UpstreamFault(FaultKind.CONNECT, ""), causes))
    assert tuple(causes[:MAX_CAUSES]) == problem.causes


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (FaultKind.RATE_LIMIT, 6.2, 7),
        (FaultKind.RATE_LIMIT, None, 60),
        (FaultKind.OVERLOADED, None, 5),
        (FaultKind.SERVER, None, None),
    ],
)
def test_retry_after_is_whole_seconds(
    kind: FaultKind, given: float | None, expected: int | None
) -> None:
    """Rounded up; pushback always says when to come back."""
    assert expected == problem_for(UpstreamFault(kind, "", retry_after=given)).retry_after


def test_upstream_text_is_shown_only_on_demand() -> None:
    """An operator may switch it on for debugging."""
    fault = UpstreamFault(FaultKind.BAD_REQUEST, "", detail="no such field")
    assert "no such field" not in problem_for(fault).message
    assert "no such field" in problem_for(fault, expose_upstream=True).message


def test_unsupported_call_is_explained() -> None:
    """The words are ours and about the client's own request."""
    fault = UpstreamFault(FaultKind.UNSUPPORTED, "this backend takes no audio")
    assert problem_for(fault).message == "this backend takes no audio"
