"""Transport negotiation: the table, row by row."""

import itertools

import pytest

from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.parts import Text
from lipstream.canonical.transport import (
    OPERATIONS,
    Declaration,
    Fallback,
    Invocation,
    Mode,
    Offer,
    Verdict,
    declared,
    invocation_of,
    negotiate,
    upstream_mode,
)

CHAT, RESPONSES = "openai.chat_completions", "openai.responses"
STREAM, WHOLE = Mode.STREAMING, Mode.NON_STREAMING
EXACT, COMPATIBLE = Fallback.EXACT, Fallback.COMPATIBILITY
MODES, FALLBACKS = (STREAM, WHOLE), (EXACT, COMPATIBLE)


def only(*modes: Mode) -> Declaration:
    """A backend that really does these, and makes nothing of them."""
    return {CHAT: Offer(frozenset(modes))}


@pytest.mark.parametrize("fallback", FALLBACKS)
@pytest.mark.parametrize("declaration", [{}, only(), only(STREAM)])
@pytest.mark.parametrize("invocation", [Invocation("", STREAM), Invocation(CHAT, None)])
def test_unknown_invocation_is_accepted_with_no_selection(
    invocation: Invocation, declaration: Declaration, fallback: Fallback
) -> None:
    """Also under exact: there is nothing to compare."""
    assert Verdict(True) == negotiate(invocation, declaration, fallback)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("declaration", [{}, {RESPONSES: Offer(frozenset(MODES))}])
def test_undeclared_operation_is_a_matter_of_policy(mode: Mode, declaration: Declaration) -> None:
    """Exact refuses it, compatibility lets it pass; both remember what it was about."""
    asked = Invocation(CHAT, mode)
    assert Verdict(False, CHAT, mode) == negotiate(asked, declaration, EXACT)
    assert Verdict(True, CHAT, mode) == negotiate(asked, declaration, COMPATIBLE)


@pytest.mark.parametrize("fallback", FALLBACKS)
@pytest.mark.parametrize(
    ("modes", "asked", "is_accepted"),
    [
        ((STREAM, WHOLE), STREAM, True),
        ((STREAM, WHOLE), WHOLE, True),
        ((STREAM,), STREAM, True),
        ((STREAM,), WHOLE, False),
        ((WHOLE,), STREAM, False),
        ((), STREAM, False),
    ],
)
def test_declared_operation_needs_the_mode(
    modes: tuple[Mode, ...], asked: Mode, is_accepted: bool, fallback: Fallback
) -> None:
    """A declaration counts under every policy, also one without any mode."""
    verdict = negotiate(Invocation(CHAT, asked), only(*modes), fallback)
    assert Verdict(is_accepted, CHAT, asked) == verdict


@pytest.mark.parametrize(("native", "asked"), list(itertools.permutations(MODES)))
def test_bridge_counts_where_the_policy_allows(native: Mode, asked: Mode) -> None:
    """A backend that makes one mode of the other has it, but not exactly."""
    declaration = declared([native])
    invocation = Invocation(RESPONSES, asked)
    assert negotiate(invocation, declaration, COMPATIBLE).is_accepted
    assert not negotiate(invocation, declaration, EXACT).is_accepted
    assert native is upstream_mode(invocation, declaration, COMPATIBLE)
    assert not negotiate(invocation, declared([native], is_bridged=False), COMPATIBLE).is_accepted


@pytest.mark.parametrize("asked", MODES)
def test_backend_that_has_both_is_asked_in_a_stream_unless_exact(asked: Mode) -> None:
    """Streaming upstream serves both kinds of client; exact means exact."""
    invocation = Invocation(CHAT, asked)
    assert STREAM is upstream_mode(invocation, declared(), COMPATIBLE)
    assert asked is upstream_mode(invocation, declared(), EXACT)
    assert None is upstream_mode(invocation, {}, COMPATIBLE)
    assert None is upstream_mode(invocation, only(), COMPATIBLE)


def test_invocation_is_what_the_frontend_was_asked() -> None:
    """The operation is the dialect's, the delivery the client's word on streaming."""
    call = Call(dialect="openai_chat", model="m", messages=(Message(Role.USER, (Text("hi"),)),))
    assert Invocation(CHAT, WHOLE) == invocation_of(call)
    assert Invocation(CHAT, STREAM) == invocation_of(call.changed(is_streaming=True))
    assert Invocation("", WHOLE) == invocation_of(call.changed(dialect="x"))
    assert set(OPERATIONS.values()) == set(declared())
