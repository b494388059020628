"""Hundreds of raced streams at once, with clients that leave and upstreams that fail: nothing is
mixed, nothing is left over."""

from __future__ import annotations

import os
import random
import resource
from collections import Counter
from collections.abc import Iterator, Mapping

import attrs
import pytest
import trio

from lipstream.emulators.dialect import Ask
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from lipstream.emulators.timing import Lognormal
from lipstream.lifecycle.exchange import ExchangeState
from lipstream.lifecycle.records import ExchangeRecord
from tests.e2e.harness import Proxy, proxying, until
from tests.e2e.wire import DONE, Client, chat, connect

STREAMS = 150 if os.environ.get("HYPOTHESIS_PROFILE") == "dev" else 500
SEED = int(os.environ.get("LIPSTREAM_E2E_SEED", "7"))
LEAVING = 1 / 3  # share of the clients that hang up
FAULTY = 0.1  # share of the answers that fail
WORDS = 12
SECONDS = 20.0
NAMES = ("a", "b", "c")
FILES = 16 * STREAMS

FAULTS = (
    Script(status=500),
    Script(
        status=429, retry_after=0
    ),  # longer, and the backend's only key would rest for everybody
    Script(reset_after=0),
    Script(cut_in_head=20),
    Script(garbage="body"),
    Script(error_after=0),
    Script(cut_after=3),
    Script(reset_after=3),
    Script(error_after=3),
    Script(hang_after=3),
)

# What an exchange may have come to, by what its client saw; an HTTP status is any other word.
STATES: Mapping[str, set[ExchangeState]] = {
    "done": {ExchangeState.COMPLETE},
    "error": {ExchangeState.TRUNCATED},
    "left": set(ExchangeState),
}
REFUSED = {ExchangeState.FAILED, ExchangeState.TRUNCATED}


def text_by(backend: str, request: str) -> str:
    """What a backend answers to a request: each word says whose it is."""
    return " ".join(f"{request}-{backend}-{n}" for n in range(WORDS))


def loaded(backend: str) -> Emulator:
    """An emulator that answers every request differently and some of them badly."""

    def choose(ask: Ask) -> Script:
        request = ask.body["messages"][0]["content"]
        rng = random.Random(f"{SEED} {backend} {request}")
        script = rng.choice(FAULTS) if rng.random() < FAULTY else Script()
        return attrs.evolve(
            script,
            text=text_by(backend, request),
            role_chunk=rng.random() < 0.5,
            content_after=Lognormal(0.2, 0.5),
            pace=rng.uniform(0.005, 0.03),
        )

    return Emulator(choose=choose, seed=SEED)


# ---------------------------------------------------------------- clients


@attrs.define
class Visit:
    """One client, what it wants and what it saw.

    Attributes:
        leaves_after: Seconds after which it is gone, whatever happens.
        id: Of the exchange; empty if it left before it could know.
        ending: ``left``, ``done``, ``error`` (in the stream) or the HTTP status.
    """

    request: str
    is_streaming: bool
    leaves_after: float
    resets: bool
    id: str = ""
    ending: str = "left"
    text: str = ""

    async def run(self, port: int) -> None:
        """From the connect to the close."""
        client = await connect(port)
        try:
            with trio.move_on_after(self.leaves_after):
                await client.ask(chat("a:m!b:m|c:m", self.request, stream=self.is_streaming))
                await client.head()
                self.id = client.headers.get("x-request-id", "")
                await self._read(client)
        finally:
            client.reset() if self.resets else client.leave()

    async def _read(self, client: Client) -> None:
        if not client.headers["content-type"].startswith("text/event-stream"):
            reply = await client.reply()
            self.text = reply.text if reply.status == 200 else ""
            self.ending = "done" if reply.status == 200 else str(reply.status)
            return
        while (event := await client.event()) is not None:
            self.text += event.text
            if event.data == DONE:
                self.ending = "done"
            elif "error" in event.json:
                self.ending = "error"


def visits() -> list[Visit]:
    """All clients."""
    rng = random.Random(SEED)
    return [
        Visit(
            f"r{number}",
            is_streaming=rng.random() < 0.8,
            leaves_after=rng.uniform(0, 1) if rng.random() < LEAVING else SECONDS,
            resets=rng.random() < 0.5,
        )
        for number in range(STREAMS)
    ]


# ---------------------------------------------------------------- the rules


def held() -> dict[str, int]:
    """What must not grow: open files and tasks."""
    files = len(os.listdir("/dev/fd"))
    return {"files": files, "tasks": trio.lowlevel.current_statistics().tasks_living}


def check_answer(visit: Visit, records: Mapping[str, ExchangeRecord]) -> None:
    """Nobody has got a word of somebody else's answer, nor of a losing leg's."""
    whole = [text_by(name, visit.request) for name in NAMES]
    assert any(text.startswith(visit.text) for text in whole), visit
    if visit.ending == "done":
        assert visit.text in whole, visit
    record = records.get(visit.id)
    if record is None:
        assert visit.ending == "left", visit
        return
    assert record.ending.state in STATES.get(visit.ending, REFUSED), (visit, record)
    if visit.text:
        assert record.winner is not None
        winner = record.attempts[record.winner - 1].candidate.backend
        assert visit.text.startswith(f"{visit.request}-{winner}-"), (visit, record)


async def until_quiet(proxy: Proxy) -> None:
    """Waits until nothing is left but idle connections to the upstreams, which both ends know."""
    await until(lambda: not len(proxy.runtime.executor.live))
    await until(lambda: proxy.serving.open_connections == 0)
    await proxy.upstream_closed()
    ledgers = [emulator.ledger for emulator in proxy.emulators.values()]
    client = proxy.runtime.clients[0]
    await until(
        lambda: client.open_connections == sum(ledger.connections_open for ledger in ledgers)
    )


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as the test needs; the usual limit is 1024."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_nothing_is_mixed_and_nothing_is_left_over(many_files: None) -> None:
    """No orphan upstream, no open file, no task; one ending for each exchange, one record for each
    attempt, and each client has its own answer."""
    clients, before = visits(), held()
    emulators = {name: loaded(name) for name in NAMES}
    with trio.fail_after(SECONDS):
        async with proxying(emulators, routing={"idle": 1.0}) as proxy:
            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(client.run, proxy.port)
            await until_quiet(proxy)
            asked = len(proxy.ledger())
        await until(lambda: held() == before)
    records = {record.id: record for record in proxy.records.exchanges}
    for client in clients:
        check_answer(client, records)
    endings = Counter(client.ending for client in clients)
    assert endings["done"] > STREAMS / 3
    assert endings["left"] > STREAMS / 8
    assert asked <= len(proxy.records.attempts)
