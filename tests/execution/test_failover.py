"""Failover before the commit, repeats, patience, limits of time. Virtual time, exact."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from lipstream.canonical import events as e
from lipstream.canonical.options import Options
from lipstream.canonical.policy import CommitPoint, Policy
from lipstream.errors import BadRequest, Exhausted, FaultKind, NoCandidate, TimedOut
from lipstream.routing.classify import Verdict, classify
from tests.fakes import (
    END,
    START,
    Script,
    Step,
    fault,
    make_call,
    run_exchange,
    says,
)

SILENT = Script((Step(0, START), Step(0, None)))
GOOD = Script(says("good"), 1)


@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize("where", ["open", "stream", "in-band"])
async def test_fault_before_content_goes_elsewhere_unless_it_is_fatal(
    autojump_clock: MockClock, kind: FaultKind, where: str
) -> None:
    """One loop decides, wherever the fault came up; frames of the failed attempt are never seen."""
    broken = fault(kind)
    script = {
        "open": Script(refusal=broken),
        "stream": Script((Step(0, START), Step(0, broken))),
        "in-band": Script((Step(0, [*START, e.StreamFailed(broken)]),)),
    }[where]
    run = await run_exchange("a:m|b:m", {"a": script, "b": GOOD})
    if classify(broken) is Verdict.GIVE_UP:
        assert isinstance(run.delivery.error, Exhausted)
        assert run.backends["b"].ledger == []
    else:
        assert run.delivery.text == "good"
        assert run.delivery.events.count(START[0]) == 1


async def test_fault_after_content_ends_the_answer(autojump_clock: MockClock) -> None:
    """After the commit nothing is retried and nothing is hidden."""
    cut = Script((Step(0, START), Step(0, [e.TextDelta("a")]), Step(1, fault(FaultKind.READ))))
    run = await run_exchange("a:m|b:m", {"a": cut, "b": GOOD})
    assert (run.delivery.text, run.record.ending.reason) == ("a", "read")
    assert run.record.ending.state.value == "truncated"
    assert run.backends["b"].ledger == []


async def test_in_band_fault_after_content_delivers_what_came_before_it(
    autojump_clock: MockClock,
) -> None:
    """Content and the error may come in one read."""
    last = [e.TextDelta("b"), e.StreamFailed(fault(FaultKind.OVERLOADED))]
    run = await run_exchange(
        "a:m", {"a": Script((Step(0, START), Step(0, [e.TextDelta("a")]), Step(0, last)))}
    )
    assert run.delivery.text == "ab"
    assert run.record.ending.reason == "overloaded"


async def test_all_fail_tells_every_cause(autojump_clock: MockClock) -> None:
    """The client learns what was tried, in order."""
    scripts = {name: Script(refusal=fault(FaultKind.NOT_FOUND, 404)) for name in "ab"}
    run = await run_exchange("a:m|b:m", scripts)
    assert isinstance(run.delivery.error, Exhausted)
    causes = [(c.candidate, c.phase, c.kind) for c in run.delivery.error.causes]
    assert causes == [("a:m", "open", "not_found"), ("b:m", "open", "not_found")]
    assert run.record.ending.reason == "exhausted"


async def test_call_that_a_backend_cannot_take_goes_elsewhere(autojump_clock: MockClock) -> None:
    """What one protocol cannot say, another may."""
    run = await run_exchange("a:m|b:m", {"a": Script(refusal=BadRequest("no audio")), "b": GOOD})
    assert run.delivery.text == "good"
    assert run.record.attempts[0].fault is FaultKind.UNSUPPORTED


async def test_unknown_backend_is_skipped_when_there_are_others(autojump_clock: MockClock) -> None:
    """It excludes its arm; alone it is the client's mistake."""
    assert (await run_exchange("x:m|a:m", {"a": GOOD})).delivery.text == "good"
    run = await run_exchange("x:m", {"a": GOOD})
    assert isinstance(run.delivery.error, NoCandidate)
    assert run.delivery.error.unknown_backends == ("x",)


async def test_max_attempts_ends_the_failover(autojump_clock: MockClock) -> None:
    """The class of the causes decides, also when candidates are left."""
    scripts = {name: Script(refusal=fault(FaultKind.CONNECT)) for name in "abc"}
    run = await run_exchange("a:m|b:m|c:m", scripts, Policy(max_attempts=2))
    assert isinstance(run.delivery.error, Exhausted)
    assert len(run.record.attempts) == 2


async def test_query_options_fill_what_the_client_left_open(autojump_clock: MockClock) -> None:
    """The candidate's parameters reach its backend, and only its."""
    call = make_call(options=Options(top_p=0.5))
    broken = Script(refusal=fault(FaultKind.CONNECT))
    run = await run_exchange(
        "a:m?temperature=0.25&top_p=0.9|b:m", {"a": broken, "b": GOOD}, call=call
    )
    first, second = (o.call.options for o in run.openings())
    assert (first.temperature, first.top_p, second.temperature) == (0.25, 0.5, None)


# ---------------------------------------------------------------- time


async def test_leaf_limit_cuts_a_silent_attempt_when_there_is_another(
    autojump_clock: MockClock,
) -> None:
    """Headers at once do not help: the limit is on content."""
    run = await run_exchange("[ttft_timeout=2]a:m|b:m", {"a": SILENT, "b": GOOD})
    assert run.record.duration == pytest.approx(3)
    assert run.record.attempts[0].fault is FaultKind.TTFT


async def test_leaf_limit_does_not_cut_the_last_attempt(autojump_clock: MockClock) -> None:
    """Where nothing else is left, late is better than never."""
    late = Script((Step(0, START), Step(9, [e.TextDelta("late")]), Step(0, END)))
    run = await run_exchange(
        "a:m|[ttft_timeout=2]b:m", {"a": Script(refusal=fault(FaultKind.CONNECT)), "b": late}
    )
    assert run.delivery.text == "late"


async def test_leaf_limits_that_pass_together_leave_one_leg(
    autojump_clock: MockClock,
) -> None:
    """Of two silent legs with the same limit one is left to run: it may still come."""
    late = Script((Step(0, START), Step(9, [e.TextDelta("late")]), Step(0, END)))
    scripts = {"a": late, "b": late}
    run = await run_exchange("[ttft_timeout=2]a:m![ttft_timeout=2]b:m", scripts)
    assert run.delivery.text == "late"
    assert run.record.attempts[0].fault is FaultKind.TTFT


async def test_repeat_waits_out_its_time_whatever_the_others_do(
    autojump_clock: MockClock,
) -> None:
    """A failing leg hurries what waits for a head start, not what was told to come back later."""
    limited = Script(refusal=fault(FaultKind.RATE_LIMIT, 429, retry_after=5))
    broken = Script(headers_after=1, refusal=fault(FaultKind.CONNECT))
    policy = Policy(same_first=True)
    run = await run_exchange("a:m!b:m", {"a": (limited, GOOD), "b": broken}, policy)
    assert run.record.attempts[2].opened_at == pytest.approx(5)


async def test_global_limit_ends_the_exchange(autojump_clock: MockClock) -> None:
    """It covers all attempts together, and the client is told 504."""
    run = await run_exchange("{ttft_timeout=5}[ttft_timeout=2]a:m|b:m", {"a": SILENT, "b": SILENT})
    assert isinstance(run.delivery.error, TimedOut)
    assert run.record.duration == pytest.approx(5)
    assert [a.reason for a in run.record.attempts] == ["ttft", "deadline"]


async def test_limits_are_off_after_the_commit(autojump_clock: MockClock) -> None:
    """A slow answer that has begun is not cut by a limit on its beginning."""
    slow = Script(says("a", "b", pace=30))
    run = await run_exchange("{ttft_timeout=5}[ttft_timeout=2]a:m", {"a": slow})
    assert run.delivery.text == "ab"


async def test_deadline_is_shared_out_over_the_attempts(autojump_clock: MockClock) -> None:
    """The first silent one may not use up the time of the second; the last one gets the rest."""
    run = await run_exchange(
        "a:m|b:m", {"a": SILENT, "b": SILENT}, Policy(patience=None), time_limit=10
    )
    assert isinstance(run.delivery.error, TimedOut)
    assert [a.ended_at for a in run.record.attempts] == pytest.approx([5, 10])


async def test_deadline_in_the_middle_of_an_answer_cuts_it(autojump_clock: MockClock) -> None:
    """One deadline for everything, the stream included."""
    run = await run_exchange("a:m", {"a": Script(says("a", "b", "c", pace=4))}, time_limit=6)
    assert (run.delivery.text, run.record.ending.reason) == ("ab", "deadline")
    assert run.record.ending.state.value == "truncated"


async def test_silence_before_content_goes_elsewhere_after_the_idle_limit(
    autojump_clock: MockClock,
) -> None:
    """Every read pushes the limit."""
    talks = Step(40, [e.Notice("w", "still here")])
    silent = Script((Step(0, START), talks, talks, Step(0, None)))
    run = await run_exchange("a:m|b:m", {"a": silent, "b": GOOD}, Policy(patience=None, idle=50))
    assert run.delivery.text == "good"
    assert run.record.attempts[0].ended_at == pytest.approx(130)
    assert run.record.attempts[0].fault is FaultKind.IDLE


async def test_silence_in_the_middle_of_an_answer_cuts_it(autojump_clock: MockClock) -> None:
    """A stream that is known to be dead is ended with an error."""
    stalls = Script(
        (Step(0, START), Step(0, [e.TextDelta("a")]), Step(100, [e.TextDelta("b")]), Step(0, None))
    )
    run = await run_exchange("a:m", {"a": stalls}, Policy(idle=120))
    assert (run.delivery.text, run.record.ending.reason) == ("ab", "idle")
    assert 220 <= run.record.duration <= 221


# ---------------------------------------------------------------- patience


async def test_patience_starts_the_next_beside_the_running_one(autojump_clock: MockClock) -> None:
    """Race before kill: the slow one goes on, and may still win."""
    slow = Script(says("slow"), 11)
    run = await run_exchange(
        "a:m|b:m", {"a": slow, "b": Script(says("next"), 5)}, Policy(patience=10)
    )
    assert run.delivery.text == "slow"
    assert [a.opened_at for a in run.record.attempts] == pytest.approx([0, 10])


async def test_patience_is_threefold_for_hard_thinking(autojump_clock: MockClock) -> None:
    """High effort is slow by nature."""
    call = make_call(options=Options(reasoning_effort="high"))
    run = await run_exchange("a:m|b:m", {"a": SILENT, "b": GOOD}, Policy(patience=10), call=call)
    assert run.record.attempts[1].opened_at == pytest.approx(30)


async def test_patience_stays_inside_its_budget(autojump_clock: MockClock) -> None:
    """A ratio of nothing starts nothing."""
    policy = Policy(patience=10, hedge_ratio=0.0, deadline=40)
    run = await run_exchange("a:m|b:m", {"a": SILENT, "b": GOOD}, policy)
    assert run.record.attempts[1].opened_at == pytest.approx(20)  # its share of the deadline


# ---------------------------------------------------------------- the same candidate again


async def test_bare_server_error_is_repeated_once_when_nothing_else_is_left(
    autojump_clock: MockClock,
) -> None:
    """After a short random pause."""
    broken = Script(refusal=fault(FaultKind.SERVER, 500))
    run = await run_exchange("a:m", {"a": (broken, GOOD)})
    assert run.delivery.text == "good"
    assert 0.05 <= (run.record.attempts[1].opened_at or 0) <= 0.2
    run = await run_exchange("a:m", {"a": broken})
    assert len(run.record.attempts) == 2


async def test_other_candidates_come_before_a_repeat(autojump_clock: MockClock) -> None:
    """The same one again is the last resort."""
    broken = Script(refusal=fault(FaultKind.SERVER, 503))
    scripts: dict[str, Script | tuple[Script, ...]] = {"a": (broken, GOOD), "b": Script(says("b"))}
    assert (await run_exchange("a:m|b:m", scripts)).delivery.text == "b"


async def test_same_first_repeats_before_going_elsewhere(autojump_clock: MockClock) -> None:
    """A route may prefer its first candidate to a second opinion."""
    broken = Script(refusal=fault(FaultKind.SERVER, 503))
    scripts: dict[str, Script | tuple[Script, ...]] = {"a": (broken, GOOD), "b": Script(says("b"))}
    run = await run_exchange("a:m|b:m", scripts, Policy(same_first=True))
    assert run.delivery.text == "good"


async def test_short_retry_after_is_waited_out(autojump_clock: MockClock) -> None:
    """When nothing else is eligible, waiting beats failing."""
    limited = Script(refusal=fault(FaultKind.RATE_LIMIT, 429, retry_after=7))
    run = await run_exchange("a:m", {"a": (limited, GOOD)})
    assert run.record.attempts[1].opened_at == pytest.approx(7)


@pytest.mark.parametrize(
    "refusal",
    [
        fault(FaultKind.RATE_LIMIT, 429, retry_after=31),
        fault(FaultKind.RATE_LIMIT, 429),
        fault(FaultKind.CONNECT),
        fault(FaultKind.TTFT),
        fault(FaultKind.NOT_FOUND, 404),
    ],
    ids=["long wait", "unknown wait", "no connection", "silent", "unknown model"],
)
async def test_hopeless_repeat_is_not_made(autojump_clock: MockClock, refusal: Exception) -> None:
    """Too long a wait, or a fault that will not pass in 200 ms."""
    run = await run_exchange("a:m", {"a": Script(refusal=refusal)})
    assert len(run.record.attempts) == 1


async def test_repeat_that_would_come_after_the_deadline_is_not_made(
    autojump_clock: MockClock,
) -> None:
    """The client is told at once instead."""
    limited = Script(refusal=fault(FaultKind.RATE_LIMIT, 429, retry_after=7))
    run = await run_exchange("a:m", {"a": limited}, time_limit=5)
    assert run.record.duration == pytest.approx(0)


async def test_connection_that_breaks_before_the_head_is_repeated(
    autojump_clock: MockClock,
) -> None:
    """Not one byte of an answer came: the same again costs nothing."""
    reset = Script(refusal=fault(FaultKind.READ))
    assert (await run_exchange("a:m", {"a": (reset, GOOD)})).delivery.text == "good"


# ---------------------------------------------------------------- commit points


async def test_commit_at_the_finish_fails_over_in_the_middle_of_an_answer(
    autojump_clock: MockClock,
) -> None:
    """With the whole answer held back, a cut is invisible."""
    cut = Script((Step(0, START), Step(0, [e.TextDelta("ha")]), Step(1, fault(FaultKind.READ))))
    run = await run_exchange("{commit=finish}a:m|b:m", {"a": cut, "b": GOOD})
    assert run.delivery.text == "good"


async def test_commit_at_a_tool_call_wants_arguments_that_parse(autojump_clock: MockClock) -> None:
    """A tool call that was cut in two never reaches the client."""
    call = [e.ToolCallStarted(0, "c", "f"), e.ToolCallDelta(0, '{"a"'), e.ToolCallFinished(0)]
    broken = Script((Step(0, START), Step(0, call), Step(0, END)))
    run = await run_exchange(
        "a:m|b:m", {"a": broken, "b": GOOD}, Policy(commit=CommitPoint.TOOL_CALL)
    )
    assert run.delivery.text == "good"
    assert run.record.attempts[0].fault is FaultKind.PROTOCOL


@pytest.mark.parametrize(("commit", "reason"), [("content", "exhausted"), ("text", "complete")])
async def test_what_is_held_back_is_bounded(
    autojump_clock: MockClock, commit: str, reason: str
) -> None:
    """Endless frames without content are a fault; content that only does not count yet is let
    go."""
    flood = [e.ReasoningDelta("x" if commit == "text" else "")] * 20_000
    script = Script((Step(0, START), Step(0, flood), Step(0, END)))
    run = await run_exchange(f"{{commit={commit}}}a:m", {"a": script})
    assert run.record.ending.reason == reason
