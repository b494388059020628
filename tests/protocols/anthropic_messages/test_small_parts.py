"""Errors, counts, the list of models, the count of tokens."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from anthropic.types import MessageTokensCount, ModelInfo
from anthropic.types.beta_error_response import BetaErrorResponse

from lipstream.canonical.problem import MAX_CAUSES, Problem, ProblemKind
from lipstream.canonical.usage import Usage
from lipstream.errors import Cause, FaultKind
from lipstream.protocols.anthropic_messages import (
    CLIENT,
    SERVER,
    encode_error,
    encode_model,
    encode_models,
    encode_token_count,
    error_type,
)
from lipstream.protocols.anthropic_messages.errors import STATUS_TYPES
from lipstream.protocols.anthropic_messages.usage import decode_usage, encode_usage
from tests.protocols.anthropic_messages.building import NAME, datas, message, own_call
from tests.recordings import exchanges

# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (ProblemKind.INVALID_REQUEST, "invalid_request_error"),
        (ProblemKind.AUTHENTICATION, "authentication_error"),
        (ProblemKind.PERMISSION, "permission_error"),
        (ProblemKind.NOT_FOUND, "not_found_error"),
        (ProblemKind.TOO_LARGE, "request_too_large"),
        (ProblemKind.RATE_LIMIT, "rate_limit_error"),
        (ProblemKind.OVERLOADED, "overloaded_error"),
        (ProblemKind.TIMEOUT, "timeout_error"),
        (ProblemKind.UPSTREAM, "api_error"),
        (ProblemKind.INTERNAL, "api_error"),
    ],
)
def test_problems_are_told_in_anthropic_words(kind: ProblemKind, word: str) -> None:
    """A table over all of them."""
    body = SERVER.encode_problem(Problem(400, kind, "no"))
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": word, "message": "no"},
        "request_id": None,
    }
    if word != "request_too_large":  # which the client's own types have forgotten
        assert BetaErrorResponse.model_validate_json(body).error.message == "no"


def test_code_field_and_causes_stand_beside_the_message() -> None:
    """Bounded."""
    causes = tuple(Cause("a:b", "open", "connect") for _ in range(MAX_CAUSES + 1))
    problem = Problem(
        400, ProblemKind.INVALID_REQUEST, "no", "invalid_value", "messages[0]", causes=causes
    )
    error = json.loads(SERVER.encode_problem(problem))["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "messages[0]")
    cause = {"candidate": "a:b", "phase": "open", "kind": "connect"}
    assert error["causes"] == [cause] * MAX_CAUSES


def test_every_status_has_a_type() -> None:
    """Also one that nobody has heard of."""
    assert {status: error_type(status) for status in STATUS_TYPES} == STATUS_TYPES
    assert (error_type(418), error_type(599)) == ("invalid_request_error", "api_error")
    body = json.loads(encode_error(error_type(405), "no", allowed=["POST"]))
    assert body["error"] == {
        "type": "invalid_request_error",
        "message": "no",
        "allowed": ["POST"],
    }


@pytest.mark.parametrize(
    ("status", "kind", "word", "message"),
    [
        (400, FaultKind.BAD_REQUEST, "invalid_request_error", "max_tokens: Field required"),
        (400, FaultKind.CONTEXT_LENGTH, "invalid_request_error",
         "prompt is too long: 213462 tokens > 200000 maximum"),
        (400, FaultKind.CONTEXT_LENGTH, "invalid_request_error",
         "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
        (400, FaultKind.CONTENT_FILTER, "invalid_request_error",
         "Output blocked by content filtering policy"),
        (400, FaultKind.CREDENTIALS, "invalid_request_error",
         "Your credit balance is too low to access the Anthropic API."),
        (401, FaultKind.CREDENTIALS, "authentication_error", "invalid x-api-key"),
        (402, FaultKind.CREDENTIALS, "billing_error", "x"),
        (403, FaultKind.CREDENTIALS, "permission_error", "x"),
        (404, FaultKind.NOT_FOUND, "not_found_error", "model: x"),
        (413, FaultKind.BAD_REQUEST, "request_too_large", "Request exceeds the maximum size"),
        (429, FaultKind.RATE_LIMIT, "rate_limit_error", "x"),
        (500, FaultKind.SERVER, "api_error", "Internal server error"),
        (504, FaultKind.TRANSIENT, "timeout_error", "x"),
        (529, FaultKind.OVERLOADED, "overloaded_error", "Overloaded"),
    ],
)  # fmt: skip
def test_errors_of_upstreams_are_classified(
    status: int, kind: FaultKind, word: str, message: str
) -> None:
    """By type and words."""
    body = {"type": "error", "error": {"type": word, "message": message}, "request_id": "r"}
    fault = CLIENT.decode_error(status, {"retry-after": "7"}, json.dumps(body).encode())
    assert (fault.kind, fault.code, fault.status) == (kind, word, status)
    assert (fault.detail, fault.retry_after) == (message, 7)


def test_recorded_errors_are_classified() -> None:
    """What the provider itself said."""
    kinds = {400: FaultKind.BAD_REQUEST, 401: FaultKind.CREDENTIALS, 404: FaultKind.NOT_FOUND}
    for exchange in exchanges("messages"):
        if exchange.status != 200:
            fault = CLIENT.decode_error(exchange.status, exchange.headers, exchange.body)
            assert fault.kind is kinds[exchange.status], exchange.name
            assert fault.code != "error"
            assert fault.detail


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Usage()),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(input_tokens=3, output_tokens=4)),
        ({"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": None},
         Usage(input_tokens=8, cache_read_tokens=5)),
        ({"cache_read_input_tokens": 5}, Usage(cache_read_tokens=5)),
        ({"output_tokens_details": {"thinking_tokens": 2}}, Usage(reasoning_tokens=2)),
        ({"input_tokens": True, "output_tokens": "4", "output_tokens_details": []}, Usage()),
        ({"input_tokens": -1, "output_tokens": 1 << 64}, Usage()),
    ],
)  # fmt: skip
def test_counts_are_read(fields: dict[str, Any], expected: Usage) -> None:
    """The input with what came from the cache and went there."""
    assert decode_usage(fields) == attrs.evolve(expected, dialect=NAME, fields=fields)


def test_counts_are_written() -> None:
    """The input without what the cache had; what is not known is left out."""
    usage = Usage(input_tokens=10, cache_read_tokens=4, reasoning_tokens=1, dialect="openai_chat")
    assert encode_usage(usage) == {
        "input_tokens": 6,
        "output_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens_details": {"thinking_tokens": 1},
    }
    assert encode_usage(Usage(cache_write_tokens=4))["input_tokens"] == 0
    assert encode_usage(None) == {"input_tokens": 0, "output_tokens": 0}


# ---------------------------------------------------------------- other endpoints


def test_both_roles_hand_out_what_they_are_made_of() -> None:
    """The objects that the server and the backends use."""
    assert (SERVER.name, CLIENT.name) == (NAME, NAME)
    events = CLIENT.decode_answer(json.dumps(message({"type": "text", "text": "hi"})).encode())
    body = SERVER.stream_encoder(own_call(), model="alias").encode(events)
    assert [x["type"] for x in datas(body)][-1] == "message_stop"
    assert b'"alias"' in body


@attrs.frozen
class Entry:
    """A model."""

    id: str
    owned_by: str = "anthropic"
    created: int = 0


def test_models_are_listed_as_one_page() -> None:
    """In the order in which they are given."""
    page = json.loads(encode_models([Entry("b", created=1_700_000_000), Entry("a")]))
    assert page["data"] == [
        {
            "type": "model",
            "id": "b",
            "display_name": "b",
            "created_at": "2023-11-14T22:13:20Z",
            "owned_by": "anthropic",
        },
        {
            "type": "model",
            "id": "a",
            "display_name": "a",
            "created_at": "1970-01-01T00:00:00Z",
            "owned_by": "anthropic",
        },
    ]
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("b", "a", False)
    assert json.loads(encode_models([])) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


@pytest.mark.parametrize(("created", "year"), [(-5, 1970), (1 << 62, 9999), (0, 1970)])
def test_one_model_is_told_whenever_it_was_made(created: int, year: int) -> None:
    """The official client reads it."""
    found = ModelInfo.construct(**json.loads(encode_model(Entry("m", created=created))))
    assert (found.id, found.created_at.year) == ("m", year)


def test_count_of_tokens_is_told() -> None:
    """The official client reads it."""
    assert MessageTokensCount.model_validate_json(encode_token_count(12)).input_tokens == 12
