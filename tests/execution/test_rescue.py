"""Rescue of a stream that is cut: whole and unaltered, or an error in the stream; never doubled,
never short in silence. Virtual time, exact."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Text
from lipstream.canonical.policy import CommitPoint, Policy, Recovery
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind, Overloaded, UpstreamFault
from lipstream.execution.body import Body
from lipstream.execution.executor import Executor
from lipstream.execution.rescue import may_be_rescued
from lipstream.lifecycle.exchange import ExchangeState
from lipstream.lifecycle.grammar import Grammar
from lipstream.routing.classify import Verdict, classify
from tests.execution.models import Model, cut, given_to, knows, says_always
from tests.execution.test_race import GatedBackend
from tests.fakes import (
    END,
    START,
    FakeBackend,
    FakeDelivery,
    Given,
    Run,
    Script,
    Step,
    Witness,
    fault,
    make_call,
    make_route,
    run_exchange,
)

TEXT = "one two three"
READ = fault(FaultKind.READ)
CUT = cut("one", " tw", by=READ)
ROUTE = "{resume}a:m|b:m|c:m"


def new_model(id: str, *, prefills: bool, text: str = TEXT) -> Model:
    return Model(id, knows(text), prefills=prefills)


def outcome(run: Run) -> tuple[str, str, list[str | None]]:
    """The text, how it ended, and how the attempts were to go on."""
    Grammar().check(run.delivery.events)
    reason = run.record.ending.reason
    return run.delivery.text, reason, [a.rescue for a in run.record.attempts]


# ---------------------------------------------------------------- every cut


def batches(text: Sequence[str]) -> list[list[e.Event]]:
    """A good answer as it comes, reasoning first."""
    said: list[list[e.Event]] = [[e.TextDelta(piece)] for piece in text]
    return [START, [e.ReasoningDelta("hm")], *said, [END[0]], [END[1]]]


WHOLE = batches(["one", " two", " th", "ree"])

FAULTS: list[UpstreamFault | None] = [
    *(fault(k) for k in FaultKind if classify(fault(k)) is not Verdict.GIVE_UP),
    None,
]
SECONDS = {
    "prefills": (new_model("b", prefills=True), True),
    "splices": (new_model("b", prefills=False), True),
    "diverges": (Model("b", says_always("on", "ce")), False),
    "is short": (Model("b", says_always("o")), False),
    "refuses": (FakeBackend("b", Script(refusal=fault(FaultKind.SERVER))), False),
    "echoes": (Model("b", says_always(*TEXT), prefills=True), False),
}


@pytest.mark.parametrize("second", SECONDS)
@pytest.mark.parametrize("is_in_band", [False, True])
@pytest.mark.parametrize("at", range(2, len(WHOLE)))
async def test_cut_at_every_event_is_whole_or_an_error(
    autojump_clock: MockClock, second: str, is_in_band: bool, at: int
) -> None:
    """The client's text is that of the whole answer, or what it had and an error."""
    backend, is_good = SECONDS[second]
    backend.ledger.clear()
    steps = [Step(0, batch) for batch in WHOLE[:at]]
    if is_in_band and at > 2:
        steps[-1] = Step(0, [*WHOLE[at - 1], e.StreamFailed(READ)])
    run = await run_exchange(
        "{resume}a:m|b:m", {"a": Script((*steps, Step(0, READ))), "b": backend}
    )
    had = "".join(x.text for b in WHOLE[:at] for x in b if isinstance(x, e.TextDelta))
    text, reason, _ = outcome(run)
    is_whole = at < len(WHOLE) - 1 and (is_good or (not had and second != "refuses"))
    if is_whole:
        assert reason == "complete"
        assert text.startswith(had)
        assert text == TEXT or not is_good
        assert run.delivery.error is None
    else:
        assert (text, reason) == (had, "read")
        assert run.delivery.error is READ


@pytest.mark.parametrize("given", FAULTS, ids=lambda given: given.kind.value if given else "silent")
@pytest.mark.parametrize("prefills", [False, True])
@pytest.mark.parametrize("is_streaming", [False, True])
async def test_any_fault_that_another_backend_does_not_share_is_mended(
    autojump_clock: MockClock, given: UpstreamFault | None, prefills: bool, is_streaming: bool
) -> None:
    """What it was that cut the stream only counts where nobody else would do better."""
    second = new_model("b", prefills=prefills)
    first = cut("one", " tw", by=given)
    call = make_call(is_streaming=is_streaming)
    run = await run_exchange(ROUTE, {"a": first, "b": second}, call=call)
    manner = "prefill" if prefills else "splice"
    assert outcome(run) == (TEXT, "complete", [None, manner])
    assert given_to(second.ledger[0].call) == ("one tw" if prefills else "")
    reasons = [a.reason for a in run.record.attempts]
    assert reasons == [given.kind.value if given else "idle", "complete"]
    assert (run.record.winner, run.record.rescues) == (2, 1)


@pytest.mark.parametrize("kind", [k for k in FaultKind if classify(fault(k)) is Verdict.GIVE_UP])
async def test_fatal_fault_is_not_routed_around(autojump_clock: MockClock, kind: FaultKind) -> None:
    """A filter that strikes late is a filter all the same."""
    run = await run_exchange(
        ROUTE, {"a": cut("one", by=fault(kind)), "b": new_model("b", prefills=True)}
    )
    assert outcome(run) == ("one", kind.value, [None])


async def test_rescue_is_off_unless_somebody_said_so(autojump_clock: MockClock) -> None:
    """By default nothing is retried after the first content."""
    run = await run_exchange("a:m|b:m", {"a": CUT, "b": new_model("b", prefills=True)})
    assert outcome(run) == ("one tw", "read", [None])


@pytest.mark.parametrize(
    ("selector", "policy", "is_mended"),
    [
        ("a:m|b:m", Policy(resume=1), True),
        ("{resume=off}a:m|b:m", Policy(resume=2), False),
        ("{resume=2}a:m|b:m", Policy(), True),
    ],
)
async def test_selector_has_the_last_word_on_rescues(
    autojump_clock: MockClock, selector: str, policy: Policy, is_mended: bool
) -> None:
    """The configuration is the default."""
    run = await run_exchange(selector, {"a": CUT, "b": new_model("b", prefills=True)}, policy)
    assert (run.delivery.text == TEXT) is is_mended


# ---------------------------------------------------------------- what the client gets


async def test_client_sees_one_answer_of_the_first_model(autojump_clock: MockClock) -> None:
    """One beginning, one message, the first one's reasoning, one end; a notice says what was
    done."""
    first = Script(
        (Step(0, [*START, e.ReasoningDelta("hm")]), Step(0, [e.TextDelta("one")]), Step(0, READ))
    )
    second = Model("b", knows(TEXT), thinks="well")
    run = await run_exchange(ROUTE, {"a": first, "b": second})
    kinds = [type(event) for event in run.delivery.events]
    for kind in (e.Started, e.MessageStarted, e.ReasoningDelta, e.MessageFinished, e.Finished):
        assert kinds.count(kind) == 1
    notices = [event.code for event in run.delivery.events if isinstance(event, e.Notice)]
    assert notices == ["proxy_stream_rescue"]


async def test_cut_in_the_reasoning_is_answered_by_another_model(autojump_clock: MockClock) -> None:
    """Nothing has been said yet, so anything may be said now."""
    thoughts = Script((Step(0, [*START, e.ReasoningDelta("hm")]), Step(0, READ)))
    run = await run_exchange(ROUTE, {"a": thoughts, "b": Model("b", says_always("any", "thing"))})
    assert outcome(run) == ("anything", "complete", [None, "splice"])


async def test_usage_is_that_of_the_last_attempt(autojump_clock: MockClock) -> None:
    """Counts of two answers do not add up to anything; the records have each."""

    def used(tokens: int) -> e.UsageReported:
        return e.UsageReported(Usage(output_tokens=tokens))

    first = Script((Step(0, [*START, used(1)]), Step(0, [e.TextDelta("a")]), Step(0, READ)))
    second = Script((Step(0, [*START, e.TextDelta("ab")]), Step(0, [END[0], used(5), END[1]])))
    run = await run_exchange(ROUTE, {"a": first, "b": second})
    assert run.record.usage == Usage(output_tokens=5)
    assert [a.usage for a in run.record.attempts] == [u.usage for u in (used(1), used(5))]


async def test_white_space_at_the_end_is_asked_for_again(autojump_clock: MockClock) -> None:
    """Providers refuse a prefill that ends in it, so its bytes are spliced."""
    second = new_model("b", prefills=True, text="one \n two")
    run = await run_exchange(ROUTE, {"a": cut("one \n", by=READ), "b": second})
    assert outcome(run) == ("one \n two", "complete", [None, "prefill"])
    assert given_to(second.ledger[0].call) == "one"


@pytest.mark.parametrize(
    "call",
    [
        make_call(options=Options(stop=("x",))),
        make_call(options=Options(reasoning_effort="low")),
        make_call().changed(
            messages=(
                Message(Role.USER, (Text("hi"),)),
                Message(Role.ASSISTANT, (Text("He said: "),)),
            )
        ),
    ],
    ids=["stop sequence", "reasoning", "begun by the client"],
)
async def test_prefill_is_not_used_where_it_could_change_the_answer(
    autojump_clock: MockClock, call: Call
) -> None:
    """The second model then answers the same call as the first one."""
    second = Model("b", says_always(*TEXT), prefills=True)
    run = await run_exchange(ROUTE, {"a": CUT, "b": second}, call=call)
    assert outcome(run) == (TEXT, "complete", [None, "splice"])
    assert second.ledger[0].call == call


@pytest.mark.parametrize(("limit", "left"), [(100, 98), (1, 1)])
async def test_prefilled_answer_gets_what_is_left_of_its_limit(
    autojump_clock: MockClock, limit: int, left: int
) -> None:
    """Two pieces are at least two tokens."""
    second = new_model("b", prefills=True)
    call = make_call(options=Options(max_output_tokens=limit))
    run = await run_exchange(ROUTE, {"a": CUT, "b": second}, call=call)
    assert run.delivery.text == TEXT
    assert second.ledger[0].call.options.max_output_tokens == left


async def test_rest_of_a_text_may_be_a_tool_call(autojump_clock: MockClock) -> None:
    """Nothing but text was sent; what comes after it is the second model's own."""
    call = [e.ToolCallStarted(0, "c", "f"), e.ToolCallDelta(0, "{}"), e.ToolCallFinished(0)]
    second = Script((Step(0, START), Step(0, [e.TextDelta("one tw"), *call]), Step(0, END)))
    run = await run_exchange(ROUTE, {"a": CUT, "b": second})
    assert outcome(run) == ("one tw", "complete", [None, "splice"])
    assert [event for event in run.delivery.events if event in call] == call


# ---------------------------------------------------------------- never


NEVER: dict[str, Call] = {
    "must not race": make_call(may_race=False),
    "any tool": make_call().changed(tools=(Tool("f"),), tool_choice=ToolChoice(ToolMode.ANY)),
    "this tool": make_call().changed(tool_choice=ToolChoice(ToolMode.NAMED, ("f",))),
    "structured": make_call(options=Options(output_format=OutputFormat())),
    "two choices": make_call(options=Options(choices=2)),
    "log probabilities": make_call(options=Options(logprobs=True)),
    "top log probabilities": make_call(options=Options(top_logprobs=3)),
}


@pytest.mark.parametrize("call", NEVER.values(), ids=NEVER)
async def test_call_for_a_form_is_never_rescued(autojump_clock: MockClock, call: Call) -> None:
    """A second model does not hit upon the middle of a form, or must not be asked at all."""
    run = await run_exchange(ROUTE, {"a": CUT, "b": new_model("b", prefills=True)}, call=call)
    assert outcome(run) == ("one tw", "read", [None])


def test_ordinary_call_may_be_rescued() -> None:
    """Also one with tools that need not be called."""
    call = make_call(options=Options(choices=1, logprobs=False))
    assert may_be_rescued(call)
    assert may_be_rescued(call.changed(tools=(Tool("f"),), tool_choice=ToolChoice(ToolMode.AUTO)))


SEAL = Seal("test", "proof")
UNFIT: dict[str, list[e.Event]] = {
    "tool call": [e.ToolCallStarted(0, "c", "f")],
    "media": [e.Media("image", "data:")],
    "refusal": [e.RefusalDelta("no")],
    "log probabilities": [e.TextDelta("x", logprobs=({"token": "x"},))],
    "sealed reasoning": [e.ReasoningDelta("hm"), e.PartFinished("reasoning", SEAL)],
    "sealed text": [e.PartFinished("text", SEAL)],
    "pieces of a dialect": [e.Extra("test", "delta", {"reasoning_details": []})],
    "part of a dialect": [e.Extra("test", "whole_part", {"type": "x"})],
    "second choice": [e.MessageStarted(1)],
}


@pytest.mark.parametrize("sent", UNFIT.values(), ids=UNFIT)
async def test_answer_that_is_more_than_text_is_never_rescued(
    autojump_clock: MockClock, sent: list[e.Event]
) -> None:
    """What nobody else can continue is not continued, whatever text comes after it."""
    more: list[e.Event] = [*sent, e.TextDelta(" tw")]
    first = Script((Step(0, [*START, e.TextDelta("one")]), Step(0, more), Step(0, READ)))
    run = await run_exchange(ROUTE, {"a": first, "b": new_model("b", prefills=True)})
    assert (run.record.ending.reason, len(run.record.attempts)) == ("read", 1)


@pytest.mark.parametrize(
    "sent",
    [
        [e.PartFinished("reasoning")],
        [e.Extra("test", "response", {"fingerprint": 1})],
        [e.Extra("test", "choice", {"x": 1})],
        [e.Notice("n", "n")],
    ],
    ids=["unsealed part", "of the response", "of the choice", "notice"],
)
async def test_what_says_nothing_about_the_text_does_not_stand_against_a_rescue(
    autojump_clock: MockClock, sent: list[e.Event]
) -> None:
    """Only what the text depends on does."""
    first = Script((Step(0, [*START, *sent, e.TextDelta("one tw")]), Step(0, READ)))
    run = await run_exchange(ROUTE, {"a": first, "b": new_model("b", prefills=False)})
    assert run.delivery.text == TEXT


async def test_very_long_text_is_not_kept_for_a_rescue(autojump_clock: MockClock) -> None:
    """Memory is bounded: nobody writes an answer of a million letters twice."""
    first = Script((Step(0, [*START, e.TextDelta("x" * 2**20 + "x")]), Step(0, READ)))
    run = await run_exchange(ROUTE, {"a": first, "b": Model("b", says_always("x" * (2**20 + 2)))})
    assert (run.record.ending.reason, len(run.record.attempts)) == ("read", 1)


# ---------------------------------------------------------------- who is asked


async def test_candidate_that_diverges_is_left_for_the_next(autojump_clock: MockClock) -> None:
    """The rescue is an opening like the first: it fails over, and a step is a step."""
    backends: dict[str, Given] = {
        "a": CUT,
        "b": Model("b", says_always("no")),
        "c": new_model("c", prefills=True),
    }
    run = await run_exchange(ROUTE, backends)
    assert outcome(run) == (TEXT, "complete", [None, "splice", "prefill"])
    assert [a.reason for a in run.record.attempts] == ["read", "protocol", "complete"]
    assert [a.step for a in run.record.attempts] == [0, 1, 2]


@pytest.mark.parametrize(("kind", "is_mended"), [("bad_request", True), ("content_filter", False)])
async def test_prefill_that_is_refused_as_a_bad_request_is_our_own_fault(
    autojump_clock: MockClock, kind: str, is_mended: bool
) -> None:
    """The client's call was good; but what a filter refuses is not brought to somebody else."""
    refuses = FakeBackend("b", Script(refusal=fault(FaultKind(kind), 400)), prefills=True)
    run = await run_exchange(ROUTE, {"a": CUT, "b": refuses, "c": new_model("c", prefills=False)})
    assert outcome(run)[:2] == ((TEXT, "complete") if is_mended else ("one tw", "read"))


async def test_attempts_of_a_rescue_count(autojump_clock: MockClock) -> None:
    """The limit is that of the exchange."""
    scripts: dict[str, Given] = {"a": CUT, "b": new_model("b", prefills=True)}
    run = await run_exchange(ROUTE, scripts, Policy(max_attempts=1))
    assert outcome(run) == ("one tw", "read", [None])


async def test_rescue_is_not_a_first_call(autojump_clock: MockClock) -> None:
    """An answer had begun, so `first` steers nobody any more."""
    backends: dict[str, Given] = {
        "a": CUT,
        "b": new_model("b", prefills=True),
        "c": new_model("c", prefills=True),
    }
    run = await run_exchange("{resume}a:m|[weight=1000000]b:m^[weight=1,first]c:m", backends)
    assert [a.candidate.backend for a in run.record.attempts] == ["a", "b"]


async def test_patience_begins_anew_with_a_rescue(autojump_clock: MockClock) -> None:
    """That the first attempt had its content late costs the rescue no hedge."""
    slow = cut("one", " tw", by=READ, pace=8)
    silent = Script((Step(0, START), Step(0, None)))
    last = new_model("d", prefills=True)
    backends: dict[str, Given] = {"a": slow, "b": silent, "c": silent, "d": last}
    policy = Policy(patience=10, hedge_ratio=0.01, max_attempts=4)  # a budget of two hedges
    run = await run_exchange(f"{ROUTE}|d:m", backends, policy)
    assert run.delivery.text == TEXT
    assert [a.opened_at for a in run.record.attempts] == pytest.approx([0, 16, 26, 36])


async def test_candidate_that_failed_before_is_not_asked_again(autojump_clock: MockClock) -> None:
    """What was excluded stays so."""
    refused = Script(refusal=fault(FaultKind.NOT_FOUND, 404))
    run = await run_exchange("{resume}b:m|a:m", {"a": CUT, "b": refused})
    assert outcome(run) == ("one tw", "read", [None, None])


async def test_leg_that_lost_may_go_on(autojump_clock: MockClock) -> None:
    """It did nothing wrong; its delay and its number begin anew."""
    late = Model("b", knows(TEXT), prefills=True, pace=1)
    run = await run_exchange("{resume}a:m![handicap=1]b:m", {"a": CUT, "b": late})
    assert run.delivery.text == TEXT


async def test_legs_of_a_rescue_race(autojump_clock: MockClock) -> None:
    """The first one to have something new wins; the other one is late."""
    backends: dict[str, Given] = {
        "a": CUT,
        "b": Model("b", knows(TEXT), pace=1),
        "c": Model("c", knows(TEXT), prefills=True, pace=1),
    }
    run = await run_exchange("{resume}a:m|b:m!c:m", backends)
    assert outcome(run) == (TEXT, "complete", [None, "splice", "prefill"])
    assert [a.reason for a in run.record.attempts] == ["read", "lost_race", "complete"]


async def test_rescuers_that_tie_have_one_winner(autojump_clock: MockClock) -> None:
    """Lateness is a normal answer here, too."""
    backends: dict[str, Given] = {
        "a": CUT,
        "b": Model("b", knows(TEXT), prefills=True, pace=1),
        "c": Model("c", knows(TEXT), prefills=True, pace=1),
    }
    run = await run_exchange("{resume}a:m|b:m!c:m", backends)
    assert outcome(run) == (TEXT, "complete", [None, "prefill", "prefill"])
    assert sorted(a.reason for a in run.record.attempts) == ["complete", "lost_race", "read"]


@pytest.mark.parametrize(("selector", "owners"), [("{resume=2}", [1, 2, 3]), ("{resume}", [1, 2])])
async def test_answer_is_handed_on_twice_at_most(
    autojump_clock: MockClock, selector: str, owners: list[int]
) -> None:
    """Each time all that was sent before counts."""
    second = Script((Step(0, START), Step(0, [e.TextDelta("one two")]), Step(0, READ)))
    backends: dict[str, Given] = {
        "a": CUT,
        "b": second,
        "c": new_model("c", prefills=True),
        "d": CUT,
    }
    policy = Policy(max_attempts=4)
    run = await run_exchange(f"{selector}a:m|b:m|c:m|d:m", backends, policy)
    text, _, _ = outcome(run)
    assert text == (TEXT if len(owners) == 3 else "one two")
    assert [a.number for a in run.record.attempts if a.committed_at is not None] == owners
    assert run.record.rescues == len(owners) - 1


async def test_rescue_whose_rest_breaks_the_rules_is_cut_as_well(autojump_clock: MockClock) -> None:
    """After the seam its events are watched on."""
    second = Script(
        (Step(0, [*START, e.TextDelta("one two")]), Step(0, [e.TextDelta("x", choice=1)]))
    )
    run = await run_exchange(ROUTE, {"a": CUT, "b": second})
    assert outcome(run)[:2] == ("one two", "protocol")


async def test_answer_that_was_held_to_its_end_needs_no_rescue(autojump_clock: MockClock) -> None:
    """`commit: finish` is the way that always holds."""
    policy = Policy(commit=CommitPoint.FINISH, resume=1)
    run = await run_exchange("a:m|b:m", {"a": CUT, "b": new_model("b", prefills=True)}, policy)
    assert outcome(run) == (TEXT, "complete", [None, None])


# ---------------------------------------------------------------- time


async def test_stalled_stream_is_rescued_at_its_idle_limit(autojump_clock: MockClock) -> None:
    """The limit counts from the last event, in a stream that is slow but alive as well."""
    slow = cut("o", "n", "e", by=None, pace=8)
    second = Model("b", knows(TEXT), prefills=True)
    run = await run_exchange(ROUTE, {"a": slow, "b": second}, Policy(idle=10, patience=None))
    assert outcome(run) == (TEXT, "complete", [None, "prefill"])
    assert second.ledger[0].opened_at == pytest.approx(34)


async def test_stall_is_rescued_when_both_limits_are_due_at_once(autojump_clock: MockClock) -> None:
    """The limit for clients that do not read is always the later one."""
    stalls = cut("o", "n", by=None, pace=1)  # its second piece comes when the slack is used up
    policy = Policy(idle=16, patience=None)
    run = await run_exchange(ROUTE, {"a": stalls, "b": new_model("b", prefills=True)}, policy)
    assert outcome(run) == (TEXT, "complete", [None, "prefill"])


async def test_rescue_may_take_longer_than_one_silence(autojump_clock: MockClock) -> None:
    """Each of its attempts has the idle limit to itself."""
    backends: dict[str, Given] = {
        "a": CUT,
        "b": Script(headers_after=8, refusal=fault(FaultKind.NOT_FOUND, 404)),
        "c": Model("c", knows(TEXT), prefills=True, pace=8),
    }
    run = await run_exchange(ROUTE, backends, Policy(idle=10, patience=None))
    assert outcome(run) == (TEXT, "complete", [None, "splice", "prefill"])


async def test_rescuer_that_stalls_is_a_fault_in_its_turn(autojump_clock: MockClock) -> None:
    """The idle limit is in force for everybody."""
    second = Script((Step(0, [*START, e.TextDelta("one two")]), Step(0, None)))
    run = await run_exchange(ROUTE, {"a": CUT, "b": second}, Policy(idle=10))
    assert outcome(run)[:2] == ("one two", "idle")
    assert run.record.duration == pytest.approx(10)


async def test_rescue_has_the_time_to_first_token_anew(autojump_clock: MockClock) -> None:
    """Nobody waits longer for the second beginning than for the first."""
    silent = Script((Step(0, START), Step(0, None)))
    run = await run_exchange("{resume,ttft_timeout=5}a:m|b:m", {"a": CUT, "b": silent})
    assert outcome(run)[:2] == ("one tw", "read")
    assert run.record.duration == pytest.approx(5)
    assert run.record.attempts[1].reason == "deadline"


async def test_rescuer_in_the_tick_of_the_last_moment_is_taken_or_late(
    autojump_clock: MockClock,
) -> None:
    """One of the two happens, and the other one does not happen as well."""
    found = set()
    for _ in range(20):
        second, delivery, witness = GatedBackend("b"), FakeDelivery(), Witness()
        executor = Executor({"a": FakeBackend("a", CUT), "b": second}, [witness])
        route = make_route("{resume,ttft_timeout=5}a:m|b:m", Policy(recovery=Recovery()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, executor.begin(make_call(), route), delivery)
            await trio.sleep(5)
            second.send.send_nowait([*START, e.TextDelta(TEXT)])
            second.send.send_nowait(END)
        found.add((delivery.text, witness.exchanges[0].ending.reason))
        assert second.upstream.closes == 1
        assert [a.number for a in witness.exchanges[0].attempts] == [1, 2]
    assert found <= {(TEXT, "complete"), ("one tw", "recovered")}


async def test_splice_that_is_still_catching_up_is_not_silent(autojump_clock: MockClock) -> None:
    """It shows content within its time, and takes longer to come to what is new."""
    second = Model("b", knows(TEXT), pace=1)
    selector = "{resume}a:m|[ttft_timeout=3]b:m|c:m"
    run = await run_exchange(selector, {"a": CUT, "b": second, "c": CUT}, Policy(patience=None))
    assert outcome(run) == (TEXT, "complete", [None, "splice"])


async def test_deadline_ends_a_rescue(autojump_clock: MockClock) -> None:
    """The time for the request is over, whoever was to answer it."""
    silent = Script((Step(0, START), Step(0, None)))
    run = await run_exchange("{resume}a:m|b:m", {"a": CUT, "b": silent}, Policy(deadline=20))
    assert outcome(run)[:2] == ("one tw", "deadline")
    assert run.record.ending.state is ExchangeState.TRUNCATED
    assert run.delivery.failed_at == pytest.approx(20)


async def test_client_that_leaves_ends_a_rescue(autojump_clock: MockClock) -> None:
    """Nobody is listening: the attempt that was to go on is cancelled."""
    silent = Script((Step(0, START), Step(0, None)))
    run = await run_exchange("{resume}a:m|b:m", {"a": CUT, "b": silent}, leaves_after=2)
    assert run.record.ending.reason == "client_gone"
    assert [a.reason for a in run.record.attempts] == ["read", "client_gone"]
    assert run.record.duration == pytest.approx(2)


async def test_client_that_leaves_after_a_rescue_ends_the_rescuer(
    autojump_clock: MockClock,
) -> None:
    """The exchange is its own now."""
    second = Model("b", knows(TEXT), prefills=True, pace=1)
    run = await run_exchange("{resume}a:m|b:m", {"a": CUT, "b": second}, leaves_after=2.5)
    assert run.record.ending.reason == "client_gone"
    assert [a.reason for a in run.record.attempts] == ["read", "client_gone"]


async def test_interrupted_rescue_is_told_to_the_client(autojump_clock: MockClock) -> None:
    """A shutdown ends what was to go on as well."""
    silent = Script((Step(0, START), Step(0, None)))
    witness, delivery = Witness(), FakeDelivery()
    backends = {"a": FakeBackend("a", CUT), "b": FakeBackend("b", silent)}
    executor = Executor(backends, [witness])
    live = executor.begin(make_call(), make_route(ROUTE))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.run, live, delivery)
        await trio.sleep(1)
        live.interrupt(Overloaded("ending", draining=True))
    assert str(delivery.error) == "ending"
    assert [a.reason for a in witness.attempts] == ["read", "interrupted"]
    assert witness.exchanges[0].duration == pytest.approx(1)
    assert backends["b"].ledger[0].closes == 1


async def test_broken_upstream_that_closes_slowly_delays_nobody(autojump_clock: MockClock) -> None:
    """It closes beside the rescue, within its limit."""
    first = attrs.evolve(CUT, close_takes=9)
    run = await run_exchange(ROUTE, {"a": first, "b": new_model("b", prefills=True)})
    assert run.delivery.arrivals[-1] == pytest.approx(0)
    assert run.record.attempts[0].closed_at == pytest.approx(1)


class StuckDelivery(FakeDelivery):
    """A client that takes so many batches and then no more."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self._batches = batches

    async def answer(self, body: Body) -> None:
        for _ in range(self._batches):
            self.events += await body.receive()
        await trio.sleep_forever()


@pytest.mark.parametrize("batches", [2, 3])
async def test_client_that_does_not_read_is_not_taken_for_a_silent_upstream(
    autojump_clock: MockClock, batches: int
) -> None:
    """Neither before a rescue, which would not help it, nor after one."""
    witness, delivery = Witness(), StuckDelivery(batches)
    backends = {"a": FakeBackend("a", CUT), "b": new_model("b", prefills=True)}
    executor = Executor(backends, [witness])
    live = executor.begin(make_call(), make_route(ROUTE, Policy(idle=5)))
    await executor.run(live, delivery)
    assert witness.exchanges[0].ending.reason == "client_stalled"
    assert witness.exchanges[0].duration == pytest.approx(5, abs=1)
    assert any(isinstance(event, e.Notice) for event in delivery.events) == (batches == 3)
