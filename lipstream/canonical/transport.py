"""Transport negotiation: may this backend be asked this way, and which way is it then.

A client wants its answer in a stream or in one piece; a backend can give it one way, the other, or
both. Since everything runs through one event stream, either can be made of the other: that is a
bridge. Whether bridges are allowed, and whether a backend that says nothing of itself may be asked
at all, is the policy's.

========== ======== ============ ============ ================================================
operation  delivery policy       declared     verdict
========== ======== ============ ============ ================================================
none       any      any          any          accepted, nothing selected
any        none     any          any          accepted, nothing selected
any        any      exact        no           refused
any        any      exact        yes          accepted where the mode itself is there
any        any      compatible   no           accepted
any        any      compatible   yes          accepted where the mode is there, or a bridge to it
========== ======== ============ ============ ================================================
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping

import attrs

from lipstream.canonical.call import Call


class Mode(enum.Enum):
    """How an answer travels."""

    STREAMING = "streaming"
    NON_STREAMING = "non_streaming"


class Fallback(enum.Enum):
    """What is allowed where a backend does not declare exactly what is asked."""

    EXACT = "exact"
    COMPATIBILITY = "compatibility"


OPERATIONS: Mapping[str, str] = {
    # by the dialect of the client
    "openai_chat": "openai.chat_completions",
    "openai_responses": "openai.responses",
    "anthropic_messages": "anthropic.messages",
    "gemini": "gemini.generate_content",
}


@attrs.frozen
class Invocation:
    """What a client asked for, beside what stands in the call: never on any wire.

    Attributes:
        operation: One of :data:`OPERATIONS`, or empty.
        delivery: How the client wants its answer; None when nothing is known.
    """

    operation: str = ""
    delivery: Mode | None = None


def invocation_of(call: Call) -> Invocation:
    """The invocation that a frontend's call stands for."""
    delivery = Mode.STREAMING if call.is_streaming else Mode.NON_STREAMING
    return Invocation(OPERATIONS.get(call.dialect, ""), delivery)


@attrs.frozen
class Offer:
    """What a backend does for one operation.

    Attributes:
        native: The modes in which it is really asked.
        bridged: The modes that it makes of the others.
    """

    native: frozenset[Mode]
    bridged: frozenset[Mode] = frozenset()

    def covers(self, mode: Mode, fallback: Fallback) -> bool:
        """Whether the mode is there."""
        return mode in self.native or (
            fallback is Fallback.COMPATIBILITY and mode in self.bridged and bool(self.native)
        )


Declaration = Mapping[str, Offer]
"""What a backend offers, by operation. An operation that is missing is undeclared."""

BOTH = frozenset(Mode)


def declared(native: Collection[Mode] = BOTH, *, is_bridged: bool = True) -> Declaration:
    """The same offer for every operation; with bridges to the modes that are missing."""
    modes = frozenset(native)
    offer = Offer(modes, BOTH - modes if is_bridged else frozenset())
    return dict.fromkeys(OPERATIONS.values(), offer)


@attrs.frozen
class Verdict:
    """What came of a negotiation.

    Attributes:
        operation: Empty when the invocation said nothing.
        mode: What was negotiated for; None when the invocation said nothing.
    """

    is_accepted: bool
    operation: str = ""
    mode: Mode | None = None


def negotiate(invocation: Invocation, declaration: Declaration, fallback: Fallback) -> Verdict:
    """Whether a backend with this declaration may be asked; see the module's table."""
    operation, mode = invocation.operation, invocation.delivery
    if not operation or mode is None:
        return Verdict(True)
    offer = declaration.get(operation)
    if offer is None:
        return Verdict(fallback is Fallback.COMPATIBILITY, operation, mode)
    return Verdict(offer.covers(mode, fallback), operation, mode)


def upstream_mode(
    invocation: Invocation, declaration: Declaration, fallback: Fallback
) -> Mode | None:
    """How the backend is asked once it is accepted; None leaves it to the backend.

    Under ``exact`` as the client asked. Otherwise in a stream wherever the backend has one, also
    for a client that does not stream: only so can a silent backend be told from a slow one.
    """
    offer = declaration.get(invocation.operation)
    if offer is None or not offer.native:
        return None
    if fallback is Fallback.EXACT:
        return invocation.delivery
    return Mode.STREAMING if Mode.STREAMING in offer.native else Mode.NON_STREAMING
