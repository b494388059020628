"""What an agent's errors mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.errors import UpstreamFault
from lipstream.framing import faults
from lipstream.protocols.acp.wire import SNIPPET_BYTES

_STATUSES: dict[int, int] = {
    # the HTTP status that says the same as a code of JSON-RPC or of the protocol
    -32700: 500,  # parse error: whatever it read, it was not what was sent
    -32600: 500,  # invalid request
    -32601: 500,  # method not found: another version of the protocol
    -32602: 400,  # invalid params
    -32603: 500,  # internal error
    -32000: 401,  # authentication required
    -32002: 500,  # no such resource; also: not initialized
}


def decode_fault(error: Any, method: str) -> UpstreamFault:
    """What the error object of a response to ``method`` means; anything will do."""
    complaint = faults.Complaint(error)
    code = error.get("code") if isinstance(error, dict) else None
    number = code if isinstance(code, int) else None
    return UpstreamFault(
        complaint.kind(None if number is None else _STATUSES.get(number)),
        f"the agent refused {method}",
        status=complaint.status,
        code=complaint.code if number is None else str(number),
        detail=faults.redacted(" ".join(complaint.texts) or "unknown error"),
    )


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """What an HTTP error means. Header names are lower-case; any body will do."""
    return faults.decode_error(status, headers, body[:SNIPPET_BYTES])
