"""How an agent is made ready for a prompt: what is said in each step, and what may be said of it.

Every prompt is led by the same steps: ``initialize``, ``authenticate`` unless it is to be left out,
``session/new`` unless a session is given. What they say is configured, and a route may say it for
one candidate by parameters: ``agent:agent?acp.cwd=/srv/app``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import attrs
import msgspec

from lipstream.canonical.candidate import Params
from lipstream.canonical.parts import Json
from lipstream.errors import BadRequest, FaultKind, UpstreamFault
from lipstream.framing.json_fields import shown
from lipstream.protocols.acp.errors import decode_fault
from lipstream.protocols.acp.messages import NotAMessage, decode_message
from lipstream.protocols.acp.wire import VERSION, Fields

_PREFIX = "acp."
_CLIENT: Json = {"name": "lipstream", "version": "1"}


@attrs.frozen(kw_only=True)
class SessionOptions:
    """What is said to an agent before the prompt.

    Attributes:
        session_id: Of a session that exists; empty for one of the prompt's own.
        cwd: Where the agent works, on its own machine.
        mcp_servers: What the agent is to connect to, or to run, as ``session/new`` takes them.
        skips_authentication: ``authenticate`` is left out.
        method_id: One of the agent's ways to authenticate.
        authenticate_params: Said to ``authenticate`` in the place of ``method_id``.
        message_id: Of the prompt; empty for one that is made up.
    """

    session_id: str = ""
    cwd: str = "/"
    mcp_servers: tuple[Json, ...] = ()
    client_capabilities: Json = attrs.field(factory=dict)
    client_info: Json = _CLIENT
    skips_authentication: bool = False
    method_id: str = ""
    authenticate_params: Json | None = None
    message_id: str = ""

    @property
    def initialize(self) -> Fields:
        """The parameters of the first step."""
        return {
            "protocolVersion": VERSION,
            "clientCapabilities": self.client_capabilities,
            "clientInfo": self.client_info,
        }

    @property
    def authenticate(self) -> Json:
        """The parameters of the second step."""
        if self.authenticate_params is not None:
            return self.authenticate_params
        return {"methodId": self.method_id} if self.method_id else {}

    @property
    def new_session(self) -> Fields:
        """The parameters of the third step."""
        return {"cwd": self.cwd, "mcpServers": self.mcp_servers}

    def routed(self, params: Params, allowed: Collection[str]) -> SessionOptions:
        """The options with what a route says; of a repeated parameter the first value counts.

        Args:
            allowed: Names out of :data:`ROUTE_OPTIONS`. Whoever writes a route can make an agent do
                what these say, so it is for the operator to allow them.

        Raises:
            BadRequest: a parameter is not allowed, or malformed.
        """
        changes: dict[str, Any] = {}
        for name, text in params:
            if name.startswith(_PREFIX) and text.strip():
                row = _row(name, allowed)
                changes.setdefault(row.field, _value(row, name, text.strip()))
        return attrs.evolve(self, **changes) if changes else self


# ---------------------------------------------------------------- what a route may say


def _flag(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    return words[text.lower()]


def _object(text: str) -> Json:
    value: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    return value


def _objects(text: str) -> tuple[Json, ...]:
    return tuple(msgspec.json.decode(text, type=list[dict[str, Any]]))


@attrs.frozen
class _Row:
    """A parameter: the field that it fills, and how it is read (ValueError, KeyError: not)."""

    field: str
    read: Callable[[str], object] = str
    expected: str = "a text"


_ROWS = {
    "acp.sessionId": _Row("session_id"),
    "acp.cwd": _Row("cwd"),
    "acp.mcpServers": _Row("mcp_servers", _objects, "a JSON list of objects"),
    "acp.messageId": _Row("message_id"),
    "acp.initialize.clientCapabilities": _Row("client_capabilities", _object, "a JSON object"),
    "acp.initialize.clientInfo": _Row("client_info", _object, "a JSON object"),
    "acp.authenticate.skip": _Row("skips_authentication", _flag, "true or false"),
    "acp.authenticate.methodId": _Row("method_id"),
    "acp.authenticate.params": _Row("authenticate_params", _object, "a JSON object"),
}
_OTHER_NAMES = {"acp.workspace": "acp.cwd"}

ROUTE_OPTIONS = frozenset(_ROWS)
"""What a route may be allowed to say."""


def _row(name: str, allowed: Collection[str]) -> _Row:
    known = _OTHER_NAMES.get(name, name)
    if known not in _ROWS:
        raise BadRequest(f"parameter {name}: there is no such option", code="invalid_route_option")
    if known not in allowed:
        message = f"parameter {name}: routes may not say this"
        raise BadRequest(message, code="route_option_not_allowed")
    return _ROWS[known]


def _value(row: _Row, name: str, text: str) -> object:
    try:
        return row.read(text)
    except (ValueError, KeyError, RecursionError):
        message = f"parameter {name}: expected {row.expected}, got {shown(text)}"
        raise BadRequest(message, code="invalid_route_option") from None


# ---------------------------------------------------------------- what an agent replies


def decode_reply(body: bytes, method: str, number: int) -> Fields:
    """The result of a step.

    Raises:
        UpstreamFault: the agent refused it, or did not answer it.
    """
    try:
        message = decode_message(body)
    except NotAMessage:
        raise _no_reply(method, "is no message of JSON-RPC") from None
    if message.error is not None:
        raise decode_fault(message.error, method)
    if not message.answers(number):
        raise _no_reply(method, "belongs to another request")
    if not isinstance(message.result, dict):
        raise _no_reply(method, "has no result")
    return message.result


def decode_session_id(result: Json) -> str:
    """The session that ``session/new`` made.

    Raises:
        UpstreamFault: it does not say which.
    """
    session_id = result.get("sessionId")
    if not isinstance(session_id, str) or not session_id.strip():
        raise UpstreamFault(FaultKind.PROTOCOL, "the agent opened a session without an id")
    return session_id


def _no_reply(method: str, why: str) -> UpstreamFault:
    return UpstreamFault(FaultKind.PROTOCOL, f"the agent's answer to {method} {why}")
