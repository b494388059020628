"""Races: who wins, when the others go, and what delays nobody. Virtual time, exact."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from lipstream.canonical import events as e
from lipstream.canonical.abilities import ANYTHING
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.policy import Policy
from lipstream.errors import FaultKind
from lipstream.execution.executor import Executor
from lipstream.lifecycle.attempt import AttemptState
from tests.fakes import (
    END,
    START,
    FakeDelivery,
    Script,
    Step,
    fault,
    make_call,
    make_route,
    run_exchange,
    says,
)

ROLE_THEN_SILENCE = Script((Step(0, START), Step(3.0, [e.TextDelta("a")]), Step(0, END)))


async def test_headers_and_a_role_chunk_do_not_win(autojump_clock: MockClock) -> None:
    """The finish line is content: a leg that talks early and says nothing loses."""
    run = await run_exchange("a:m!b:m", {"a": ROLE_THEN_SILENCE, "b": Script(says("b"), 0.6)})
    assert run.delivery.text == "b"
    assert run.delivery.arrivals[0] - run.openings()[0].opened_at == pytest.approx(0.6)
    assert run.backends["a"].ledger[0].closed_at == run.delivery.arrivals[0]


@pytest.mark.parametrize(
    "event",
    [
        e.ReasoningDelta("hm"),
        e.ToolCallStarted(0, "c", "f"),
        e.Media("image", "http://x/i.png"),
        e.RefusalDelta("no"),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_any_content_wins(autojump_clock: MockClock, event: e.Event) -> None:
    """An answer of a tool call or an image alone is an answer."""
    quick = Script((Step(0, START), Step(0.5, [event]), Step(0, END)))
    run = await run_exchange("a:m!b:m", {"a": quick, "b": Script(says("b"), 0.6)})
    assert run.record.winner == 1
    assert event in run.delivery.events


async def test_blank_text_does_not_win_but_is_replayed(autojump_clock: MockClock) -> None:
    """White space is held back and comes first when its leg wins."""
    blank = Script(
        (Step(0, START), Step(0, [e.TextDelta(" \n")]), Step(1, [e.TextDelta("a")]), Step(0, END))
    )
    run = await run_exchange("a:m!b:m", {"a": blank, "b": Script(says("b"), 2)})
    assert run.delivery.text == " \na"


async def test_empty_answer_wins_at_its_end(autojump_clock: MockClock) -> None:
    """A complete answer without content is an answer too."""
    run = await run_exchange(
        "a:m!b:m", {"a": Script((Step(0, START), Step(1, END))), "b": Script(says("b"), 2)}
    )
    assert run.record.winner == 1
    assert run.delivery.events == START + END


async def test_loser_that_hangs_in_connect_delays_nothing(autojump_clock: MockClock) -> None:
    """A leg that never opens is cancelled where it stands."""
    run = await run_exchange(
        "a:m!b:m", {"a": Script(headers_after=None), "b": Script(says("b"), 1)}
    )
    assert run.record.duration == pytest.approx(1.0)
    assert run.backends["a"].ledger[0].was_cancelled_opening
    assert run.record.attempts[0].reason == "lost_race"


async def test_loser_whose_close_hangs_delays_no_byte(autojump_clock: MockClock) -> None:
    """Closing is bounded and happens beside the answer."""
    slow = Script((Step(0, START), Step(0, None)), close_takes=2.0)
    run = await run_exchange("a:m!b:m", {"a": slow, "b": Script(says("b"), 0.5)})
    assert run.delivery.arrivals[-1] - run.openings()[0].opened_at == pytest.approx(0.5)
    assert run.record.duration == pytest.approx(1.5)  # 1 s is what a close may take
    assert run.backends["a"].ledger[0].closes == 1


async def test_largest_handicap_opens_first(autojump_clock: MockClock) -> None:
    """A handicap is a head start over the others."""
    scripts = {name: Script(says(name), 100) for name in "abc"}
    run = await run_exchange("[handicap=10]a:m![handicap=4]b:m!c:m", scripts)
    assert [o.opened_at for o in run.openings()] == pytest.approx([0, 6, 10])


async def test_failing_leg_wakes_all_that_wait(autojump_clock: MockClock) -> None:
    """Nobody sits out a head start that has come to nothing."""
    broken = Script(headers_after=1, refusal=fault(FaultKind.CONNECT))
    scripts = {"a": broken, "b": Script(says("b"), 5), "c": Script(says("c"), 9)}
    run = await run_exchange("[handicap=10]a:m![handicap=4]b:m!c:m", scripts)
    assert [o.opened_at for o in run.openings()] == pytest.approx([0, 1, 1])


async def test_leg_that_answers_in_its_head_start_runs_alone(autojump_clock: MockClock) -> None:
    """The others are never opened, and leave no record."""
    run = await run_exchange(
        "[handicap=10]a:m!b:m", {"a": Script(says("a"), 1), "b": Script(says("b"))}
    )
    assert len(run.record.attempts) == 1
    assert run.backends["b"].ledger == []


async def test_budget_of_one_opens_one_leg(autojump_clock: MockClock) -> None:
    """A race does not get past max_attempts."""
    scripts = {"a": Script(says("a"), 3), "b": Script(says("b"), 1)}
    run = await run_exchange("a:m!b:m", scripts, Policy(max_attempts=1))
    assert run.delivery.text == "a"
    assert run.backends["b"].ledger == []


async def test_fatal_fault_of_one_leg_ends_the_race(autojump_clock: MockClock) -> None:
    """A content filter is not routed around, however many legs are left."""
    refused = Script(headers_after=1, refusal=fault(FaultKind.CONTENT_FILTER, 400))
    run = await run_exchange(
        "a:m!b:m|c:m", {"a": refused, "b": Script(says("b"), 5), "c": Script(says("c"))}
    )
    assert run.record.ending.reason == "content_filter"
    assert run.record.attempts[1].reason == "given_up"
    assert run.backends["c"].ledger == []


async def test_same_candidate_twice_in_one_race_is_two_legs(autojump_clock: MockClock) -> None:
    """Legs are told apart by their place, not by their name."""
    scripts = {"a": (Script(says("slow"), 3), Script(says("quick"), 1))}
    run = await run_exchange("a:m!a:m", scripts)
    assert run.delivery.text == "quick"
    assert len(run.record.attempts) == 2


async def test_call_that_must_not_race_is_tried_leg_by_leg(autojump_clock: MockClock) -> None:
    """Where a second run would leave something behind, a race is a failover and nothing hedges."""
    broken = Script(headers_after=1, refusal=fault(FaultKind.CONNECT))
    scripts = {"a": broken, "b": Script(says("b"), 20), "c": Script(says("c"))}
    call = make_call(may_race=False)
    run = await run_exchange("[handicap=4]a:m!b:m|c:m", scripts, Policy(patience=5), call=call)
    assert [o.opened_at for o in run.openings()] == pytest.approx([0, 1])
    assert (run.delivery.text, run.record.may_race) == ("b", False)


@pytest.mark.parametrize(
    ("selector", "policy", "may_race"),
    [
        ("{race=always}a:m!b:m", Policy(), True),
        ("a:m!b:m", Policy(race_side_effects=True), True),
        ("{race=safe}a:m!b:m", Policy(race_side_effects=True), False),
        ("a:m!b:m", Policy(), False),
    ],
)
async def test_route_says_whether_calls_that_leave_traces_race(
    selector: str, policy: Policy, may_race: bool, autojump_clock: MockClock
) -> None:
    """The selector's word counts more than the configuration's, and the record tells."""
    scripts = {"a": Script(says("a"), 3), "b": Script(says("b"), 1)}
    run = await run_exchange(selector, scripts, policy, call=make_call(may_race=False))
    assert (run.delivery.text, run.record.may_race) == ("b" if may_race else "a", may_race)


async def test_route_may_hedge_calls_that_leave_traces(autojump_clock: MockClock) -> None:
    """A hedge is a race, and goes by the same word."""
    scripts = {"a": Script(says("a"), 30), "b": Script(says("b"))}
    policy, call = Policy(patience=2), make_call(may_race=False)
    run = await run_exchange("{race=always}a:m|b:m", scripts, policy, call=call)
    assert [o.opened_at for o in run.openings()] == pytest.approx([0, 2])
    assert run.delivery.text == "b"


async def test_word_on_races_does_not_stop_calls_without_traces(autojump_clock: MockClock) -> None:
    """``safe`` is about calls that leave something behind, and about no others."""
    scripts = {"a": Script(says("a"), 3), "b": Script(says("b"), 1)}
    run = await run_exchange("{race=safe}a:m!b:m", scripts)
    assert (run.delivery.text, run.record.may_race) == ("b", True)


class GatedUpstream:
    """An upstream whose batches a test sends, so that several legs have theirs in one tick."""

    dropped_events = 0
    is_resent = False
    credential: str | None = None

    def __init__(self, channel: trio.MemoryReceiveChannel[e.Batch]) -> None:
        self.channel = channel
        self.closes = 0

    async def receive(self) -> e.Batch:
        """What the test sent."""
        return await self.channel.receive()

    async def aclose(self) -> None:
        """Counts."""
        self.closes += 1


class GatedBackend:
    """Opens one gated upstream."""

    models = ()

    def __init__(self, id: str) -> None:
        self.id = id
        self.prefills = False
        self.abilities = ANYTHING
        self.send, receive = trio.open_memory_channel[e.Batch](10)
        self.upstream = GatedUpstream(receive)

    def dropped(self, call: Call) -> Sequence[str]:
        return ()

    async def open(self, call: Call, candidate: Candidate) -> GatedUpstream:
        """Opens at once."""
        await trio.lowlevel.checkpoint()
        return self.upstream


async def test_content_of_all_legs_in_one_tick_has_one_winner(autojump_clock: MockClock) -> None:
    """Lateness is a normal answer: exactly one commits, all are closed once, no answer is mixed."""
    backends = {name: GatedBackend(name) for name in "abc"}
    executor, delivery = Executor(backends), FakeDelivery()
    live = executor.begin(make_call(), make_route("a:m!b:m!c:m"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.run, live, delivery)
        await trio.testing.wait_all_tasks_blocked()
        for backend in backends.values():
            backend.send.send_nowait([*START, e.TextDelta(backend.id)])
            backend.send.send_nowait(END)
    assert delivery.text in backends
    assert [b.upstream.closes for b in backends.values()] == [1, 1, 1]
    states = sorted(r.state.value for r in live.records)
    assert states == ["cancelled", "cancelled", "complete"]


async def test_content_in_the_tick_of_the_client_leaving_closes_the_winner(
    autojump_clock: MockClock,
) -> None:
    """An attempt that committed but was not taken over yet belongs to nobody else: it is closed all
    the same."""
    backend = GatedBackend("a")
    executor, delivery = Executor({"a": backend}), FakeDelivery()
    live = executor.begin(make_call(), make_route("a:m"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.run, live, delivery)
        await trio.testing.wait_all_tasks_blocked()
        backend.send.send_nowait([*START, e.TextDelta("a")])
        original = live.state.try_commit

        def commit_and_leave(number: int) -> bool:
            won = original(number)
            live.leave("client_gone")
            return won

        object.__setattr__(live, "state", _Wrapped(live.state, commit_and_leave))
    assert backend.upstream.closes == 1
    assert [r.state for r in live.records] == [AttemptState.CANCELLED]
    assert delivery.events == []


class _Wrapped:
    """An exchange's state with another try_commit."""

    def __init__(self, state: object, try_commit: object) -> None:
        self._state = state
        self.try_commit = try_commit

    def __getattr__(self, name: str) -> object:
        return getattr(self._state, name)
