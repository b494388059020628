"""OpenAI's error object."""

from __future__ import annotations

import pytest

from lipstream.canonical.openai_error import code_of, error_body
from lipstream.canonical.problem import MAX_CAUSES, Problem, ProblemKind, causes_of
from lipstream.errors import Cause

CAUSE = Cause("o:m", "connect", "transient")


@pytest.mark.parametrize("kind", ProblemKind)
def test_every_kind_of_problem_has_words(kind: ProblemKind) -> None:
    """Only a bad request may have no code."""
    error = error_body(Problem(400, kind, "m"))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] or kind is ProblemKind.INVALID_REQUEST


def test_code_of_the_problem_wins() -> None:
    """It says more than its kind."""
    assert code_of(Problem(429, ProblemKind.RATE_LIMIT, "m", code="x")) == "x"
    assert code_of(Problem(429, ProblemKind.RATE_LIMIT, "m")) == "rate_limit_exceeded"


def test_causes_are_told_up_to_a_limit() -> None:
    """Without any there is no field."""
    many = Problem(502, ProblemKind.UPSTREAM, "m", causes=(CAUSE,) * (MAX_CAUSES + 1))
    told = {"candidate": "o:m", "phase": "connect", "kind": "transient"}
    assert causes_of(many) == {"causes": [told] * MAX_CAUSES}
    assert error_body(many)["error"]["causes"] == [told] * MAX_CAUSES
    assert causes_of(Problem(502, ProblemKind.UPSTREAM, "m")) == {}
