"""Candidates that cannot take a call, seen from a whole exchange."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from lipstream.canonical.abilities import Abilities
from lipstream.canonical.call import Call
from lipstream.canonical.capabilities import EVERYTHING, Capability
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.policy import Policy
from lipstream.canonical.transport import Fallback, Mode, Verdict, declared
from lipstream.errors import CapabilityMissing, Exhausted, FaultKind, TransportRejected
from tests.fakes import FakeBackend, Script, fault, make_call, run_exchange, says

C = Capability
BLIND = Abilities(everything=EVERYTHING - {C.TOOLS, C.STRUCTURED_OUTPUTS, C.REASONING})
STREAMS = Abilities(transport=declared([Mode.STREAMING]))
WHOLE = Abilities(transport=declared([Mode.NON_STREAMING]))
EXACT = Policy(fallback=Fallback.EXACT)
CHAT = "openai.chat_completions"
GOOD = Script(says("hello"))
TIRED = Script(refusal=fault(FaultKind.SERVER, 500))


def chat_call(*, is_streaming: bool = True, options: Options | None = None) -> Call:
    """A call of a protocol that is negotiated for."""
    return make_call(is_streaming=is_streaming, options=options).changed(dialect="openai_chat")


def formed() -> Call:
    """A call that needs structured output."""
    return chat_call(options=Options(output_format=OutputFormat()))


def blind(*scripts: Script) -> FakeBackend:
    """A backend whose models lack several things."""
    return FakeBackend("a", *(scripts or (GOOD,)), abilities=BLIND)


@pytest.mark.parametrize("selector", ["a:m|b:m", "a:m!b:m"])
async def test_inadmissible_candidate_costs_no_attempt(
    selector: str, autojump_clock: MockClock
) -> None:
    """Not even where only one may be made."""
    run = await run_exchange(
        selector, {"a": blind(), "b": GOOD}, Policy(max_attempts=1), call=formed()
    )
    assert run.delivery.text == "hello"
    assert [attempt.candidate.backend for attempt in run.record.attempts] == ["b"]
    (reject,) = run.record.rejects
    assert (reject.candidate.backend, reject.transport) == ("a", None)
    assert reject.message == "missing required capabilities: structured_outputs"


async def test_inadmissible_candidate_gets_no_share_of_the_time(autojump_clock: MockClock) -> None:
    """The deadline is divided among those that can be asked."""
    slow = Script(says("hello", first_after=90.0))
    run = await run_exchange(
        "b:m|a:m|a:n",
        {"a": blind(), "b": slow},
        Policy(deadline=100.0, patience=None),
        call=formed(),
    )
    assert run.delivery.text == "hello"


@pytest.mark.parametrize("selector", ["a:m", "a:m!a:n", "a:m|a:n"])
async def test_typed_refusal_survives_routes_and_races(
    selector: str, autojump_clock: MockClock
) -> None:
    """It is the client's to change its call."""
    run = await run_exchange(selector, {"a": blind()}, call=formed())
    assert isinstance(run.delivery.error, CapabilityMissing)
    assert run.record.attempts == ()


async def test_refused_transport_is_told_with_what_it_was_about(autojump_clock: MockClock) -> None:
    """Of two kinds of refusal it is the one that counts."""
    backends = {"a": blind(), "b": FakeBackend("b", GOOD, abilities=STREAMS)}
    call = formed().changed(is_streaming=False)
    run = await run_exchange("b:m!a:m", backends, EXACT, call=call)
    assert isinstance(run.delivery.error, TransportRejected)
    verdict = Verdict(False, CHAT, Mode.NON_STREAMING)
    assert [reject.transport for reject in run.record.rejects] == [verdict, None]


async def test_what_was_tried_and_failed_counts_more_than_what_was_not(
    autojump_clock: MockClock,
) -> None:
    """The same call may succeed later."""
    run = await run_exchange("a:m!b:m", {"a": blind(), "b": TIRED}, call=formed())
    assert isinstance(run.delivery.error, Exhausted)
    assert len(run.record.rejects) == 1


async def test_soft_shortfall_changes_the_call_of_one_attempt(autojump_clock: MockClock) -> None:
    """The exchange's own call stays what the client wrote."""
    call = chat_call(options=Options(reasoning_effort="high"))
    run = await run_exchange("a:m|b:m", {"a": blind(TIRED), "b": GOOD}, call=call)
    efforts = [opening.call.options.reasoning_effort for opening in run.openings()]
    assert efforts == [None, "high"]


@pytest.mark.parametrize("is_streaming", [True, False])
@pytest.mark.parametrize(
    ("abilities", "policy", "mode"),
    [
        (STREAMS, Policy(), Mode.STREAMING),
        (WHOLE, Policy(), Mode.NON_STREAMING),
        (Abilities(), EXACT, None),
    ],
)
async def test_attempt_is_asked_for_and_recorded_in_the_mode_that_was_negotiated(
    abilities: Abilities,
    policy: Policy,
    mode: Mode | None,
    is_streaming: bool,
    autojump_clock: MockClock,
) -> None:
    """Under exact in the client's own."""
    delivery = Mode.STREAMING if is_streaming else Mode.NON_STREAMING
    expected = mode or delivery
    backend = FakeBackend("a", GOOD, abilities=abilities)
    run = await run_exchange(
        "a:m", {"a": backend}, policy, call=chat_call(is_streaming=is_streaming)
    )
    assert [o.call.is_streaming for o in run.openings()] == [expected is Mode.STREAMING]
    (attempt,) = run.record.attempts
    assert (attempt.operation, attempt.delivery, attempt.mode) == (CHAT, delivery, expected)
    assert attempt.is_bridged is (expected is not delivery)


async def test_call_of_an_unknown_protocol_is_asked_for_in_a_stream(
    autojump_clock: MockClock,
) -> None:
    """There was nothing to negotiate."""
    run = await run_exchange("a:m", {"a": GOOD}, call=make_call(is_streaming=False))
    assert [opening.call.is_streaming for opening in run.openings()] == [True]
    (attempt,) = run.record.attempts
    assert (attempt.operation, attempt.mode, attempt.is_bridged) == ("", None, False)


async def test_key_of_a_failed_attempt_is_recorded(autojump_clock: MockClock) -> None:
    """By its id, as the fault tells it."""
    dead = fault(FaultKind.CREDENTIALS, 401)
    dead.credential = "team-a"
    run = await run_exchange("a:m|b:m", {"a": Script(refusal=dead), "b": GOOD})
    assert [attempt.credential for attempt in run.record.attempts] == ["team-a", None]
