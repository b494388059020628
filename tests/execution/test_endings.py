"""How exchanges end from outside: the client leaves, an operator interrupts, the task is cancelled,
we have a bug."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lipstream.canonical import events as e
from lipstream.canonical.policy import Policy
from lipstream.errors import ClientGone, FaultKind, Overloaded
from lipstream.execution.body import Body
from lipstream.execution.executor import Executor
from lipstream.lifecycle.exchange import ExchangeState
from lipstream.lifecycle.records import AttemptRecord
from tests.fakes import (
    END,
    START,
    FakeBackend,
    FakeDelivery,
    Script,
    Step,
    Witness,
    fault,
    make_call,
    make_route,
    run_exchange,
    says,
)

SILENT = Script((Step(0, START), Step(0, None)))


@pytest.mark.parametrize(
    "script",
    [Script(headers_after=None), SILENT, Script(says(*"abcdefgh", pace=1))],
    ids=["before the head", "before content", "in mid-stream"],
)
async def test_client_that_leaves_ends_every_attempt(
    autojump_clock: MockClock, script: Script
) -> None:
    """Disconnect is one cancellation, wherever the exchange is."""
    run = await run_exchange("a:m!b:m", {"a": script, "b": script}, leaves_after=2.5)
    assert run.record.ending.state is ExchangeState.ABORTED
    assert {a.reason for a in run.record.attempts} <= {"client_gone", "lost_race"}
    assert run.record.duration == pytest.approx(2.5)
    assert run.delivery.error is None


async def interrupted(script: Script, after: float) -> tuple[FakeDelivery, Witness]:
    """Runs an exchange and interrupts it."""
    witness, delivery = Witness(), FakeDelivery()
    executor = Executor({"a": FakeBackend("a", script)}, [witness])
    live = executor.begin(make_call(), make_route("a:m"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.run, live, delivery)
        await trio.sleep(after)
        assert list(executor.live) == [live]
        live.interrupt(Overloaded("ending", draining=True))
        live.interrupt(Overloaded("once more", draining=True))
    assert len(executor.live) == 0
    return delivery, witness


@pytest.mark.parametrize(
    ("script", "state"),
    [(SILENT, ExchangeState.FAILED), (Script(says(*"abc", pace=1)), ExchangeState.TRUNCATED)],
    ids=["before the commit", "after it"],
)
async def test_interrupted_client_is_told(
    autojump_clock: MockClock, script: Script, state: ExchangeState
) -> None:
    """A shutdown ends streams with an error, not with silence."""
    delivery, witness = await interrupted(script, 1.5)
    assert str(delivery.error) == "ending"
    assert witness.exchanges[0].ending.state is state
    assert witness.exchanges[0].ending.reason == "interrupted"


async def test_interrupt_in_the_tick_of_the_commit_reaches_the_delivery(
    autojump_clock: MockClock,
) -> None:
    """Between two scopes nothing is lost."""
    backend = FakeBackend("a", Script(says(*"abc", pace=1)))
    executor, delivery = Executor({"a": backend}), FakeDelivery()
    live = executor.begin(make_call(), make_route("a:m"))
    commit = live.state.try_commit

    class Interrupting(type(live.state)):  # type: ignore[misc]
        __slots__ = ()

        def try_commit(self, attempt: int) -> bool:
            won = super().try_commit(attempt)
            live.interrupt(Overloaded("ending", draining=True))
            return bool(won)

    assert commit is not None
    live.state = Interrupting()
    await executor.run(live, delivery)
    assert str(delivery.error) == "ending"
    assert backend.ledger[0].closes == 1


async def test_cancelled_task_ends_the_exchange(autojump_clock: MockClock) -> None:
    """Whoever runs an exchange may be cancelled; the record is still made."""
    witness = Witness()
    executor = Executor({"a": FakeBackend("a", SILENT)}, [witness])
    live = executor.begin(make_call(), make_route("a:m"))
    with trio.move_on_after(1):
        await executor.run(live, FakeDelivery())
    assert witness.exchanges[0].ending.reason == "cancelled"
    assert witness.attempts[0].reason == "cancelled"


class GoneDelivery(FakeDelivery):
    """A client that is found gone when it is written to."""

    async def answer(self, body: Body) -> None:
        await body.receive()
        raise ClientGone("client_stalled")


async def test_client_found_gone_in_a_write_is_an_abort(autojump_clock: MockClock) -> None:
    """The reason is the one that the server gave."""
    witness = Witness()
    executor = Executor({"a": FakeBackend("a", Script(says(*"abc", pace=1)))}, [witness])
    await executor.run(executor.begin(make_call(), make_route("a:m")), GoneDelivery())
    assert witness.exchanges[0].ending.reason == "client_stalled"
    assert witness.attempts[0].reason == "client_stalled"


class StuckDelivery(FakeDelivery):
    """A client that takes the first batch and then no more."""

    async def answer(self, body: Body) -> None:
        await body.receive()
        await trio.sleep_forever()

    async def fail(self, error: Exception) -> None:
        raise AssertionError("nobody is there to be told")


async def test_idle_limit_while_writing_is_the_clients_fault(autojump_clock: MockClock) -> None:
    """A limit on the upstream's silence does not blame the upstream for a client that does not
    read."""
    witness = Witness()
    executor = Executor({"a": FakeBackend("a", Script(says("a", "b", pace=1)))}, [witness])
    live = executor.begin(make_call(), make_route("a:m", Policy(idle=5, deadline=50)))
    await executor.run(live, StuckDelivery())
    assert witness.exchanges[0].ending.reason == "client_stalled"


class BuggyDelivery(FakeDelivery):
    """A bug of ours."""

    async def answer(self, body: Body) -> None:
        raise ZeroDivisionError


async def test_bug_leaves_and_everything_is_closed(autojump_clock: MockClock) -> None:
    """Bugs are not hidden, and they leak nothing."""
    witness, backend = Witness(), FakeBackend("a", Script(says("a")))
    executor = Executor({"a": backend}, [witness])
    live = executor.begin(make_call(), make_route("a:m"))
    with pytest.RaisesGroup(ZeroDivisionError):
        await executor.run(live, BuggyDelivery())
    assert witness.exchanges[0].ending.reason == "internal"
    assert [backend.ledger[0].closes, len(executor.live)] == [1, 0]


async def test_usage_is_recorded_for_winner_and_losers(autojump_clock: MockClock) -> None:
    """What was reported before the end counts, also for a leg that lost."""
    from lipstream.canonical.usage import Usage

    used = e.UsageReported(Usage(input_tokens=5))
    more = e.UsageReported(Usage(output_tokens=2))
    loser = Script((Step(0, [*START, used]), Step(0, None)))
    winner = Script((Step(0, [*START, used]), Step(1, [e.TextDelta("b")]), Step(0, [more, *END])))
    run = await run_exchange("a:m!b:m", {"a": loser, "b": winner})
    assert run.record.attempts[0].usage == Usage(input_tokens=5)
    assert run.record.usage == Usage(input_tokens=5, output_tokens=2)


async def test_failed_close_of_one_attempt_is_recorded_once(autojump_clock: MockClock) -> None:
    """Each attempt has one record, with its own end, whatever order things happen in."""
    scripts = {
        "a": Script(refusal=fault(FaultKind.CONNECT)),
        "b": Script((Step(0, START), Step(0, fault(FaultKind.READ))), close_takes=5),
        "c": Script(says("c"), 1),
    }
    run = await run_exchange("a:m!b:m|c:m", scripts)
    assert [a.reason for a in run.record.attempts] == ["connect", "read", "complete"]


class DeafDelivery(FakeDelivery):
    """A client that is gone when it is to be told of the failure."""

    async def fail(self, error: Exception) -> None:
        raise ClientGone("client_gone")


async def test_client_gone_before_it_is_told_keeps_the_first_ending(
    autojump_clock: MockClock,
) -> None:
    """The failure came first; that nobody heard of it changes nothing."""
    witness = Witness()
    backend = FakeBackend("a", Script(refusal=fault(FaultKind.CONNECT)))
    executor = Executor({"a": backend}, [witness])
    live = executor.begin(make_call(), make_route("a:m"))
    await executor.run(live, DeafDelivery())
    live.leave("client_gone")
    assert witness.exchanges[0].ending.reason == "exhausted"


async def test_client_gone_before_the_start_launches_nothing(autojump_clock: MockClock) -> None:
    """It may leave between its last byte and the first attempt."""
    witness, backend = Witness(), FakeBackend("a", SILENT)
    executor = Executor({"a": backend}, [witness])
    live = executor.begin(make_call(), make_route("a:m"))
    live.leave("client_gone")
    await executor.run(live, FakeDelivery())
    assert witness.exchanges[0].ending.reason == "client_gone"
    assert (backend.ledger, witness.attempts) == ([], [])


async def test_client_that_leaves_as_an_attempt_fails_sees_no_other_started(
    autojump_clock: MockClock,
) -> None:
    """Both in one tick: the race is on its way to the next candidate when it is told."""
    failing = FakeBackend("a", Script(refusal=fault(FaultKind.CONNECT)))
    other = FakeBackend("b", SILENT)
    witness = Witness()

    class Leaving(Witness):
        def on_attempt(self, exchange_id: str, record: AttemptRecord) -> None:
            live.leave("client_gone")

    executor = Executor({"a": failing, "b": other}, [witness, Leaving()])
    live = executor.begin(make_call(), make_route("a:m|b:m"))
    await executor.run(live, FakeDelivery())
    assert witness.exchanges[0].ending.reason == "client_gone"
    assert other.ledger == []
