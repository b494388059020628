"""Errors in a stream that come as problem details, as NVIDIA has them."""

from __future__ import annotations

import json

import pytest

from lipstream.canonical import events as e
from lipstream.errors import FaultKind
from lipstream.protocols.openai_chat import CLIENT

CHUNK = {"choices": [{"index": 0, "delta": {"content": "hi"}}]}
PROBLEM = {
    "type": "urn:inference-service:problem-details:bad-request",
    "title": "Bad Request",
    "status": 400,
    "detail": "[{'type': 'string_too_short', 'loc': ('body', 'messages', 2, 'content')}]",
    "instance": "/v2/nvcf/pexec/functions/9b96341b",
    "requestId": "2176a5ed",
}


def decode(*values: object) -> list[e.Event]:
    """The events of a stream."""
    decoder = CLIENT.stream_decoder()
    frames = b"".join(b"data: %b\n\n" % json.dumps(value).encode() for value in values)
    return [*decoder.feed(frames + b"data: [DONE]\n\n"), *decoder.end()]


@pytest.mark.parametrize("before", [[], [CHUNK]])
def test_problem_ends_the_stream_as_what_it_is(before: list[object]) -> None:
    """First thing or in the middle, whatever comes after it."""
    last = decode(*before, PROBLEM)[-1]
    assert isinstance(last, e.StreamFailed)
    fault = last.fault
    assert (fault.kind, fault.status, fault.code) == (FaultKind.BAD_REQUEST, 400, "bad-request")
    assert "string_too_short" in (fault.detail or "")


def test_problem_in_the_place_of_an_answer_is_a_failure() -> None:
    """Under a status that says that all is well."""
    (only,) = CLIENT.decode_answer(json.dumps(PROBLEM).encode())
    assert isinstance(only, e.StreamFailed)
    assert only.fault.kind is FaultKind.BAD_REQUEST
