"""Recovery, by configuration: a cut or stalled stream is closed as not complete, with a warning."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from lipstream.canonical import events as e
from lipstream.canonical.policy import Policy, Recovery
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.execution.rescue import RECOVERABLE
from lipstream.lifecycle.attempt import AttemptState
from lipstream.lifecycle.exchange import ExchangeState
from lipstream.lifecycle.grammar import Grammar
from tests.execution.models import Model, cut, knows, says_always
from tests.fakes import START, Run, Script, Step, fault, make_call, run_exchange, says

POLICY = Policy(recovery=Recovery(idle=9))
READ = fault(FaultKind.READ)


def closing(run: Run) -> tuple[str, list[e.Event]]:
    """The text, and the events after it."""
    Grammar().check(run.delivery.events)
    return run.delivery.text, [
        event
        for event in run.delivery.events
        if isinstance(event, e.Notice | e.MessageFinished | e.Finished)
    ]


CLOSED = [
    e.Notice("proxy_stream_recovery", "The backend's answer broke off here; it is not complete."),
    e.MessageFinished(e.FinishReason.LENGTH, detail="proxy_stream_recovered"),
    e.Finished(),
]


@pytest.mark.parametrize("by", [*map(fault, RECOVERABLE), None])
@pytest.mark.parametrize("is_streaming", [True, False])
async def test_cut_stream_is_closed_as_not_complete(
    autojump_clock: MockClock, by: UpstreamFault | None, is_streaming: bool
) -> None:
    """The client gets an end, and the record says what end that was."""
    call = make_call(is_streaming=is_streaming)
    run = await run_exchange("a:m|b:m", {"a": cut("one", by=by), "b": says_b()}, POLICY, call=call)
    assert closing(run) == ("one", CLOSED)
    assert run.delivery.error is None
    record = run.record
    assert (record.ending.state, record.ending.reason) == (ExchangeState.COMPLETE, "recovered")
    assert [a.state for a in record.attempts] == [AttemptState.FAILED]
    assert record.attempts[0].reason == (by.kind.value if by else "idle")
    assert record.duration == pytest.approx(0 if by else 9)


def says_b() -> Script:
    """A backend that must not be asked."""
    return Script(says("b"))


@pytest.mark.parametrize("kind", [k for k in FaultKind if k not in RECOVERABLE])
async def test_error_that_the_upstream_named_is_told(
    autojump_clock: MockClock, kind: FaultKind
) -> None:
    """Only what broke off or fell silent is closed; an error has a meaning."""
    run = await run_exchange("a:m", {"a": cut("one", by=fault(kind))}, POLICY)
    assert run.record.ending.reason == kind.value
    assert closing(run) == ("one", [])


async def test_deadline_is_told(autojump_clock: MockClock) -> None:
    """The time for the request is not the upstream's silence."""
    slow = Script(says(*"abcdefgh", pace=4))
    run = await run_exchange("a:m", {"a": slow}, POLICY, time_limit=10)
    assert (run.delivery.text, run.record.ending.reason) == ("abc", "deadline")


async def test_failure_before_content_is_no_matter_of_recovery(autojump_clock: MockClock) -> None:
    """There is nothing to close, and somebody else to ask."""
    broken = Script((Step(0, START), Step(0, READ)))
    run = await run_exchange("a:m|b:m", {"a": broken, "b": says_b()}, POLICY)
    assert (run.delivery.text, run.record.ending.reason) == ("b", "complete")


async def test_warning_may_be_left_out(autojump_clock: MockClock) -> None:
    """The finish reason still says that there is not all."""
    policy = Policy(recovery=Recovery(warns=False))
    run = await run_exchange("a:m", {"a": cut("one", by=READ)}, policy)
    assert closing(run) == ("one", CLOSED[1:])


async def test_half_a_tool_call_is_never_closed(autojump_clock: MockClock) -> None:
    """A client would run it."""
    half = [e.ToolCallStarted(0, "c", "f"), e.ToolCallDelta(0, '{"a"')]
    run = await run_exchange(
        "a:m", {"a": Script((Step(0, [*START, *half]), Step(0, READ)))}, POLICY
    )
    assert (run.record.ending.reason, closing(run)[1]) == ("read", [])


async def test_whole_tool_call_may_be_closed(autojump_clock: MockClock) -> None:
    """It is all there."""
    call = [e.ToolCallStarted(0, "c", "f"), e.ToolCallDelta(0, "{}"), e.ToolCallFinished(0)]
    run = await run_exchange(
        "a:m", {"a": Script((Step(0, [*START, *call]), Step(0, READ)))}, POLICY
    )
    assert closing(run) == ("", CLOSED)


async def test_message_that_is_over_is_not_ended_twice(autojump_clock: MockClock) -> None:
    """Every message that is still open is ended, and only those."""
    first = [*START, e.MessageStarted(1), e.TextDelta("a"), e.TextDelta("b", choice=1)]
    end = e.MessageFinished(e.FinishReason.STOP)
    run = await run_exchange("a:m", {"a": Script((Step(0, [*first, end]), Step(0, READ)))}, POLICY)
    other = e.MessageFinished(e.FinishReason.LENGTH, 1, "proxy_stream_recovered")
    assert closing(run)[1] == [end, CLOSED[0], other, CLOSED[2]]


@pytest.mark.parametrize(("say", "text"), [(knows("one two"), "one two"), (says_always("x"), "on")])
async def test_rescue_comes_first(autojump_clock: MockClock, say: object, text: str) -> None:
    """A whole answer is better than one that is closed; one that is closed than an error."""
    policy = Policy(recovery=Recovery(), resume=1)
    second = Model("b", say)  # type: ignore[arg-type]
    run = await run_exchange("a:m|b:m", {"a": cut("on", by=READ), "b": second}, policy)
    assert run.delivery.text == text
    assert run.record.ending.reason == ("complete" if text == "one two" else "recovered")


async def test_rescued_answer_that_is_cut_again_is_closed(autojump_clock: MockClock) -> None:
    """What was sent is what was sent, by whomever."""
    policy = Policy(recovery=Recovery(idle=9), resume=1)
    second = Script((Step(0, [*START, e.TextDelta("one t")]), Step(0, None)))
    run = await run_exchange("a:m|b:m", {"a": cut("one", by=READ), "b": second}, policy)
    assert closing(run)[0] == "one t"
    assert (run.record.ending.reason, run.record.winner) == ("recovered", 2)
    assert run.record.duration == pytest.approx(9)
