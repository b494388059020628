"""How a client is told an error: OpenAI's error object."""

from __future__ import annotations

from lipstream.canonical.openai_error import error_body
from lipstream.canonical.problem import Problem
from lipstream.framing.sse import encode_json


def encode_problem(problem: Problem) -> bytes:
    """The body of an error response, which is also the data of an error frame."""
    return encode_json(error_body(problem))
