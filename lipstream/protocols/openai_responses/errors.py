"""How errors are told: to a client as OpenAI's error object, by an upstream inside its stream."""

from __future__ import annotations

from typing import Any

from lipstream.canonical.openai_error import error_body
from lipstream.canonical.problem import Problem
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import fault_in_stream
from lipstream.framing.sse import encode_json
from lipstream.protocols.openai_responses.wire import WireEvent


def encode_problem(problem: Problem) -> bytes:
    """The body of an error response."""
    return encode_json(error_body(problem))


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
