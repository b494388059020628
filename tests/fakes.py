"""Fakes with a ledger: scripted backends and a client, for tests that run the executor without a
network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import trio

from lipstream.canonical import events as e
from lipstream.canonical.abilities import ANYTHING, Abilities
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.options import Options
from lipstream.canonical.parts import Text
from lipstream.canonical.policy import Policy
from lipstream.errors import FaultKind, LipstreamError, UpstreamFault
from lipstream.execution.body import Body
from lipstream.execution.executor import Executor
from lipstream.execution.live import LiveExchange, Route
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord
from lipstream.routing.selector import format_selector, parse_selector


def make_call(
    *, is_streaming: bool = True, options: Options | None = None, may_race: bool = True
) -> Call:
    """A small call."""
    return Call(
        dialect="test",
        model="m",
        messages=(Message(Role.USER, (Text("hi"),)),),
        is_streaming=is_streaming,
        options=options or Options(),
        may_race=may_race,
    )


def make_route(text: str, policy: Policy | None = None) -> Route:
    """A route from a selector."""
    selector = parse_selector(text)
    return Route(selector, format_selector(selector), policy or Policy())


def fault(
    kind: FaultKind, status: int | None = None, retry_after: float | None = None
) -> UpstreamFault:
    """A fault without words."""
    return UpstreamFault(kind, kind.value, status=status, retry_after=retry_after)


START: e.Batch = [e.Started(id="a", model="m"), e.MessageStarted()]
END: e.Batch = [e.MessageFinished(e.FinishReason.STOP), e.Finished()]


@attrs.frozen
class Step:
    """After ``delay`` seconds: a batch, a fault, or (None) silence for ever."""

    delay: float
    what: Sequence[e.Event] | UpstreamFault | None


def says(*words: str, first_after: float = 0.0, pace: float = 0.0) -> tuple[Step, ...]:
    """A good answer: start at once, each word in a batch of its own, then the end."""
    delays = [first_after] + [pace] * (len(words) - 1)
    steps = [Step(d, [e.TextDelta(w)]) for d, w in zip(delays, words, strict=True)]
    return (Step(0.0, START), *steps, Step(0.0, END))


@attrs.frozen
class Script:
    """What one try of a fake backend does.

    Attributes:
        headers_after: Seconds until ``open`` returns; None hangs for ever.
        refusal: Raised by ``open`` then instead.
        close_takes: Seconds that closing takes.
    """

    steps: tuple[Step, ...] = ()
    headers_after: float | None = 0.0
    refusal: Exception | None = None
    close_takes: float = 0.0


@attrs.define(eq=False)
class Opening:
    """One entry of the ledger. Times are ``trio.current_time()``."""

    candidate: Candidate
    call: Call
    opened_at: float
    closes: int = 0
    closed_at: float | None = None
    was_cancelled_opening: bool = False
    has_answered: bool = False


class FakeUpstream:
    """Plays a script."""

    dropped_events = 0
    is_resent = False
    credential: str | None = None

    def __init__(self, script: Script, opening: Opening) -> None:
        self._steps = list(script.steps)
        self._script = script
        self._opening = opening

    async def receive(self) -> e.Batch:
        """The next step."""
        assert not self._opening.closes, "received after the close"
        step = self._steps[0]
        await trio.sleep(math.inf if step.what is None else step.delay)
        self._steps.pop(0)
        if isinstance(step.what, UpstreamFault):
            raise step.what
        assert step.what is not None
        return list(step.what)

    async def aclose(self) -> None:
        """Counts."""
        self._opening.closes += 1
        await trio.sleep(self._script.close_takes)
        self._opening.closed_at = trio.current_time()


class FakeBackend:
    """Plays one script after another; the last one repeats."""

    models: Sequence[str] = ()

    def __init__(
        self,
        id: str,
        *scripts: Script,
        prefills: bool = False,
        abilities: Abilities = ANYTHING,
    ) -> None:
        self.id = id
        self.abilities = abilities
        self.prefills = prefills
        self.scripts = list(scripts)
        self.ledger: list[Opening] = []

    def dropped(self, call: Call) -> Sequence[str]:
        return ()

    async def open(self, call: Call, candidate: Candidate) -> FakeUpstream:
        """Opens the next script."""
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        opening = Opening(candidate, call, trio.current_time())
        self.ledger.append(opening)
        try:
            if script.headers_after is None:
                await trio.sleep_forever()
            await trio.sleep(script.headers_after or 0.0)
        except trio.Cancelled:
            opening.was_cancelled_opening = True
            raise
        if script.refusal is not None:
            raise script.refusal
        opening.has_answered = True
        return FakeUpstream(script, opening)


Given = Script | tuple[Script, ...] | FakeBackend  # what a backend is made of


class FakeDelivery:
    """A client that notes what it gets and when."""

    def __init__(self, leaves_after: float | None = None) -> None:
        self.status: int | None = None
        self.first_byte_at: float | None = None
        self.events_sent = 0
        self.bytes_sent = 0
        self.events: list[e.Event] = []
        self.arrivals: list[float] = []
        self.error: LipstreamError | None = None
        self.failed_at: float | None = None
        self.leaves_after = leaves_after

    async def answer(self, body: Body) -> None:
        """Takes everything."""
        while not body.is_over:
            batch = await body.receive()
            self.events += batch
            self.arrivals += [trio.current_time()] * len(batch)
            self.events_sent += len(batch)
            await trio.lowlevel.checkpoint()  # as every write is

    async def fail(self, error: LipstreamError) -> None:
        """Notes the error."""
        self.error = error
        self.failed_at = trio.current_time()

    @property
    def text(self) -> str:
        """All text deltas."""
        return "".join(event.text for event in self.events if isinstance(event, e.TextDelta))


@attrs.define
class Witness:
    """An observer that keeps every record."""

    attempts: list[AttemptRecord] = attrs.field(factory=list)
    exchanges: list[ExchangeRecord] = attrs.field(factory=list)

    def on_attempt(self, exchange_id: str, record: AttemptRecord) -> None:
        """Keeps it."""
        self.attempts.append(record)

    def on_exchange(self, record: ExchangeRecord) -> None:
        """Keeps it."""
        self.exchanges.append(record)


@attrs.define
class Run:
    """One exchange that was run."""

    record: ExchangeRecord
    delivery: FakeDelivery
    backends: dict[str, FakeBackend]
    witness: Witness

    def openings(self) -> list[Opening]:
        """Every opening of every backend."""
        return [opening for backend in self.backends.values() for opening in backend.ledger]


async def run_exchange(
    selector: str,
    scripts: Mapping[str, Given],
    policy: Policy | None = None,
    *,
    leaves_after: float | None = None,
    time_limit: float | None = None,
    call: Call | None = None,
) -> Run:
    """Runs one exchange against fake backends, and checks what must hold for every exchange."""
    backends = {name: _backend(name, given) for name, given in scripts.items()}
    witness, delivery = Witness(), FakeDelivery()
    executor = Executor(backends, [witness])
    live = executor.begin(call or make_call(), make_route(selector, policy), time_limit=time_limit)
    async with trio.open_nursery() as nursery:
        if leaves_after is not None:
            nursery.start_soon(_leave, live, leaves_after)
        record = await executor.run(live, delivery)
        nursery.cancel_scope.cancel()
    assert not any(executor.live.open_upstreams.values())
    run = Run(record, delivery, backends, witness)
    check_invariants(run)
    return run


def _backend(name: str, given: Given) -> FakeBackend:
    if isinstance(given, FakeBackend):
        return given
    return FakeBackend(name, *(given if isinstance(given, tuple) else (given,)))


async def _leave(live: LiveExchange, after: float) -> None:
    await trio.sleep(after)
    live.leave("client_gone")


def check_invariants(run: Run) -> None:
    """What the design promises of every exchange."""
    record, attempts = run.record, run.record.attempts
    assert record.ending is not None
    assert sorted(run.witness.attempts, key=lambda a: a.number) == list(attempts)
    assert [a.number for a in attempts] == list(range(1, len(attempts) + 1))
    assert len(attempts) == len(run.openings())
    owners = sorted(
        (a for a in attempts if a.committed_at is not None), key=lambda a: a.committed_at or 0.0
    )
    assert [a.number for a in owners[-1:]] == ([] if record.winner is None else [record.winner])
    assert all(a.rescue for a in owners[1:])
    assert len(owners) <= 3
    for opening in run.openings():
        assert opening.closes == int(opening.has_answered)
