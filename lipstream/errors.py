"""The exception tree: each class says whose fault it is.

What goes wrong is one of three families. A :class:`ClientFault` is the client's doing, a
:class:`RoutingFault` lies between the request and the configuration, an :class:`UpstreamFault` is
what a backend did. :class:`Exhausted`, :class:`TimedOut` and :class:`Overloaded` say how an
exchange ended; :class:`ConfigError` stops the start. :class:`IllegalTransition` is a bug of ours
and is caught nowhere.

Not here: how a fault is classified (``routing.classify``) and how it is told to a client
(``server.errors``, which turns any of these into a ``canonical.problem.Problem`` that every dialect
can encode).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs


class LipstreamError(Exception):
    """Everything that lipstream raises on purpose, bugs excepted."""


class IllegalTransition(AssertionError):
    """A state machine was sent an input that its state does not know: a bug, never caught."""


class ConfigError(LipstreamError):
    """The configuration cannot be used; the text says where and what to write instead."""


# ---------------------------------------------------------------- the client's fault


class ClientFault(LipstreamError):
    """The request itself is at fault.

    Attributes:
        param: The field at fault as a path in the client's own JSON (``messages[2].content``), or
            None.
        code: A stable machine-readable word for the client, or None for the dialect's default.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class BadRequest(ClientFault):
    """Malformed, of the wrong type, or not allowed by the dialect: 400."""


class TooLarge(ClientFault):
    """A body or a field is over its limit: 413."""


class Unauthenticated(ClientFault):
    """No credential, or a wrong one: 401."""


class Denied(ClientFault):
    """The principal may not do this: 403."""


class ClientGone(LipstreamError):
    """The client hung up or stopped reading; there is nobody to tell."""


# ---------------------------------------------------------------- between request and configuration


class RoutingFault(LipstreamError):
    """The request is well formed but cannot be routed."""


class BadSelector(RoutingFault):
    """The route selector does not parse: 400.

    Attributes:
        selector: The text as given.
        position: Offset in characters of the offending place in ``selector``.
    """

    def __init__(self, message: str, *, selector: str = "", position: int = 0) -> None:
        super().__init__(message)
        self.selector = selector
        self.position = position


class NoCandidate(RoutingFault):
    """Nothing in the plan may be tried: 503, or 400 when only unknown backends were named."""

    def __init__(self, message: str, *, unknown_backends: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.unknown_backends = tuple(unknown_backends)


class CapabilityMissing(RoutingFault):
    """No candidate can do what the call needs: 400."""


class TransportRejected(RoutingFault):
    """No candidate offers the delivery mode that the policy demands: 400."""


class ContextTooLong(RoutingFault):
    """The call is larger than the context of every candidate: 413."""


# ---------------------------------------------------------------- upstream


class FaultKind(enum.Enum):
    """What a backend did, in the terms that ``routing.classify`` decides by."""

    CONNECT = "connect"  # refused, reset, TLS or DNS failure before the request was away
    READ = "read"  # the connection broke afterwards
    TTFT = "ttft"  # no content within the leaf's time to first token
    IDLE = "idle"  # silent for longer than the idle limit
    DEADLINE = "deadline"  # the exchange's time ended in the middle of the answer
    TRUNCATED = "truncated"  # the stream ended without its terminal marker
    PROTOCOL = "protocol"  # not JSON, not the protocol, over a limit
    BAD_REQUEST = "bad_request"  # 400, 413, 422 for the request's own sake
    CONTEXT_LENGTH = "context_length"  # the prompt is longer than the model takes
    CONTENT_FILTER = "content_filter"  # refused by policy
    CREDENTIALS = "credentials"  # 401, 402, 403
    NOT_FOUND = "not_found"  # 404: no such model there
    TRANSIENT = "transient"  # 408, 409, 425
    RATE_LIMIT = "rate_limit"  # 429
    SERVER = "server"  # 5xx
    OVERLOADED = "overloaded"  # 503, 529, or an error that says so
    UNSUPPORTED = "unsupported"  # the call cannot be written in the backend's protocol
    INTERNAL = "internal"  # our own code failed inside an attempt


class UpstreamFault(LipstreamError):
    """One upstream try failed.

    Attributes:
        kind: The class of the fault.
        status: The HTTP status that the upstream answered with, or None when it did not come to
            that.
        code: The provider's own error code, or None.
        retry_after: Seconds that the upstream asked to be left alone, or None.
        detail: The upstream's own words, redacted. For logs and records; shown to a client only by
            configuration.
        credential: The id of the key that was used, set by whoever used it.
    """

    def __init__(
        self,
        kind: FaultKind,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.detail = detail
        self.credential: str | None = None


@attrs.frozen
class Cause:
    """Why one attempt did not answer: what a client may know of it (no upstream text, no key, no
    path)."""

    candidate: str
    phase: str
    kind: str


class Exhausted(LipstreamError):
    """Every candidate that could be tried failed.

    Attributes:
        fault: The fault that decides what the client is told.
        causes: One entry per failed attempt, in the order in which they failed.
    """

    def __init__(self, fault: UpstreamFault, causes: Sequence[Cause] = ()) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.causes = tuple(causes)


class TimedOut(LipstreamError):
    """The time that the whole exchange had is over: 504.

    Attributes:
        causes: The attempts that had failed by then.
    """

    def __init__(self, message: str, causes: Sequence[Cause] = ()) -> None:
        super().__init__(message)
        self.causes = tuple(causes)


class Overloaded(LipstreamError):
    """lipstream itself takes no more: 429, or 503 while it drains.

    Attributes:
        draining: True when the process is about to end.
        retry_after: Seconds after which it is worth asking again.
    """

    def __init__(self, message: str, *, draining: bool = False, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.draining = draining
        self.retry_after = retry_after
