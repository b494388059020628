"""Errors: what chat upstreams say, and what chat clients are told."""

from __future__ import annotations

import json

import pytest

from lipstream.canonical.problem import MAX_CAUSES, Problem, ProblemKind
from lipstream.errors import Cause
from lipstream.protocols.openai_chat import CLIENT, SERVER
from tests.recordings import exchanges


def test_recorded_errors_are_classified() -> None:
    """One row for each kind of response that providers gave."""
    kinds: dict[tuple[str, int], set[str]] = {}
    for exchange in exchanges("chat-completions"):
        if exchange.status != 200:
            found = CLIENT.decode_error(exchange.status, exchange.headers, exchange.body)
            assert found.detail, exchange.name
            kinds.setdefault((exchange.provider, exchange.status), set()).add(found.kind.value)
    assert kinds == {
        ("deepseek", 400): {"bad_request", "not_found"},
        ("deepseek", 401): {"credentials"},
        ("groq", 400): {"server"},
        ("groq", 404): {"not_found"},
        ("llamacpp", 400): {"bad_request"},
        ("llamacpp", 500): {"server"},
        ("mistral", 400): {"bad_request", "not_found"},
        ("mistral", 401): {"credentials"},
        ("ollama", 400): {"context_length"},
        ("ollama", 401): {"credentials"},
        ("openai", 400): {"bad_request"},
        ("openai", 404): {"not_found"},
        ("openrouter", 400): {"not_found"},
        ("openrouter", 401): {"credentials"},
        ("openrouter", 429): {"rate_limit"},
        ("venice", 404): {"not_found"},
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ProblemKind.INVALID_REQUEST, ("invalid_request_error", None)),
        (ProblemKind.AUTHENTICATION, ("invalid_request_error", "invalid_api_key")),
        (ProblemKind.PERMISSION, ("invalid_request_error", "insufficient_permissions")),
        (ProblemKind.NOT_FOUND, ("invalid_request_error", "model_not_found")),
        (ProblemKind.TOO_LARGE, ("invalid_request_error", "request_too_large")),
        (ProblemKind.RATE_LIMIT, ("requests", "rate_limit_exceeded")),
        (ProblemKind.OVERLOADED, ("server_error", "overloaded")),
        (ProblemKind.TIMEOUT, ("server_error", "timeout")),
        (ProblemKind.UPSTREAM, ("server_error", "upstream_error")),
        (ProblemKind.INTERNAL, ("server_error", "internal_error")),
    ],
)
def test_problems_are_told_in_openai_words(
    kind: ProblemKind, expected: tuple[str, str | None]
) -> None:
    """Every kind has a type and a code; a code of the problem's own counts."""
    error = json.loads(SERVER.encode_problem(Problem(400, kind, "no")))["error"]
    assert error == {"message": "no", "type": expected[0], "param": None, "code": expected[1]}
    given = Problem(400, kind, "no", code="own", param="messages")
    error = json.loads(SERVER.encode_problem(given))["error"]
    assert (error["code"], error["param"]) == ("own", "messages")


def test_causes_are_told_and_bounded() -> None:
    """Who was tried, in which phase, and what kind of fault it was."""
    causes = tuple(Cause(f"b:{i}", "open", "connect") for i in range(MAX_CAUSES + 5))
    body = SERVER.encode_problem(Problem(502, ProblemKind.UPSTREAM, "no", causes=causes))
    told = json.loads(body)["error"]["causes"]
    assert len(told) == MAX_CAUSES
    assert told[0] == {"candidate": "b:0", "phase": "open", "kind": "connect"}
