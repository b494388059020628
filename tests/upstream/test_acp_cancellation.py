"""An agent on real sockets, given up at every step; and what that costs everybody else."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from lipstream.canonical import events as e
from lipstream.canonical.abilities import Abilities
from lipstream.canonical.candidate import Candidate
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.ledger import Entry
from lipstream.emulators.script import Script, ToolCall
from lipstream.execution.executor import Executor
from lipstream.upstream.acp import AgentBackend
from lipstream.upstream.transport import Transport
from tests.fakes import FakeBackend, FakeDelivery, make_call, make_route, says
from tests.fakes import Script as Plan
from tests.upstream.agents import CALL, FakeClient, response, say

AGENT = Candidate("a", "agent")
ASKS = Script(words=3, tool_calls=(ToolCall("ls"),) * 2, pace=0.004)
MOST_STEPS = 500


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope when its task has made a number of steps."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self._steps = steps
        self._scope = scope
        self._task = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Counts."""
        self._steps -= task is self._task
        if self._steps == 0:
            self._scope.cancel()


async def exchange(agent: AgentBackend) -> None:
    """One call, from its opening to its close."""
    answer = await agent.open(CALL, AGENT)
    try:
        batch: e.Batch = []
        while not batch or type(batch[-1]) not in e.TERMINAL:
            batch = await answer.receive()
    finally:
        await answer.aclose()  # noqa: ASYNC102 - shields itself, for a bounded time


async def is_cancelled(agent: AgentBackend, steps: int) -> bool:
    """One call, cancelled after so many steps; whether it took that many."""
    with trio.CancelScope() as scope:
        instrument = CancelAfter(steps, scope)
        trio.lowlevel.add_instrument(instrument)
        try:
            await exchange(agent)
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return scope.cancel_called


def session_of(entry: Entry) -> str:
    return str(entry.body["params"]["sessionId"])


async def test_every_prompt_is_ended_wherever_it_is_given_up() -> None:
    """Each that reached the agent came to its end, or its session was cancelled, once; and every
    connection is closed or at rest."""
    client = Transport(max_idle=1)
    async with Emulator(default=ASKS) as emulator:
        agent = AgentBackend(id="a", base_url=emulator.origin, client=client)
        steps = 1
        while await is_cancelled(agent, steps):
            assert client.open_connections <= 1
            steps += 1
            assert steps < MOST_STEPS
        await emulator.ledger.wait_for(lambda ledger: not ledger.open_requests)
        prompts = {session_of(entry): entry for entry in emulator.ledger.of_model("agent")}
        cancelled = [session_of(entry) for entry in emulator.ledger.of_model("session/cancel")]
        given_up = {name for name, entry in prompts.items() if entry.outcome != "complete"}
        assert given_up <= set(cancelled)
        assert len(cancelled) == len(set(cancelled)) > 0
        assert emulator.ledger.of_model("response")
        assert emulator.failures == []
        await client.aclose()
    assert steps > 8  # two for each message, at least


async def test_slow_goodbye_of_a_loser_costs_the_winner_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The agent is told to stop beside the winner's answer, not before it."""
    client = FakeClient({"session/prompt": response(None), "session/cancel": None})
    agent = AgentBackend(id="a", base_url="http://127.0.0.1:9", client=client)
    other = FakeBackend("b", Plan(says("one", "two", first_after=1.0, pace=0.5)))
    executor = Executor({"a": agent, "b": other}, rng=random.Random(1))
    delivery = FakeDelivery()
    live = executor.begin(make_call(), make_route("{race=always}a:agent!b:m"))
    record = await executor.run(live, delivery)
    assert (delivery.text, sorted(set(delivery.arrivals))) == ("onetwo", [1.0, 1.5])
    assert record.winner == 2
    assert client.methods[-1] == "session/cancel"
    assert trio.current_time() == pytest.approx(3.0)


async def test_slow_goodbye_costs_the_next_candidate_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A failure is told at once; the agent is told to stop meanwhile."""
    client = FakeClient({"session/prompt": response(say(" "), None), "session/cancel": None})
    agent = AgentBackend(id="a", base_url="http://127.0.0.1:9", client=client)
    other = FakeBackend("b", Plan(says("one")), abilities=Abilities(leaves_traces=True))
    executor = Executor({"a": agent, "b": other}, rng=random.Random(1))
    delivery = FakeDelivery()
    route = make_route("[ttft_timeout=5]a:agent|b:m")
    record = await executor.run(executor.begin(make_call(), route), delivery)
    assert (delivery.text, set(delivery.arrivals)) == ("one", {5.0})
    assert [attempt.reason for attempt in record.attempts] == ["ttft", "complete"]
    assert client.methods[-1] == "session/cancel"
