"""The whole proxy in the test's own event loop, with emulators beside it, on real sockets.

``async with proxying({"a": Script(...), "b": Script(...)}) as proxy:`` starts a server on a free
port with one backend for each name. When the block ends well, the rules that hold for every
exchange are checked: each has one ending, each attempt one record, and no upstream answer runs on.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from lipstream.compose import Runtime, build
from lipstream.config.load import load_config
from lipstream.config.schema import Config
from lipstream.emulators import nvidia, openrouter
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.ledger import Entry
from lipstream.emulators.script import Script
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord
from lipstream.server.serve import Serving
from lipstream.upstream.providers import KINDS
from tests.e2e.wire import PATIENCE, Client, Reply, connect

IS_TIGHT = bool(os.environ.get("LIPSTREAM_E2E_TIGHT"))
"""Whether the bounds of the design are asserted; by default those of a busy machine are."""

Upstream = Emulator | Script | str


def bound(tight: float, loose: float) -> float:
    """Seconds that something may take: ``tight`` on a machine of one's own."""
    return tight if IS_TIGHT else loose


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits for something that happens on the other side of a socket."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - it has no event for us
            await trio.sleep(0.002)


@attrs.define
class Records:
    """An observer that keeps everything."""

    attempts: list[tuple[str, AttemptRecord]] = attrs.field(factory=list)
    exchanges: list[ExchangeRecord] = attrs.field(factory=list)

    def on_attempt(self, exchange_id: str, record: AttemptRecord) -> None:
        """Keeps it."""
        self.attempts.append((exchange_id, record))

    def on_exchange(self, record: ExchangeRecord) -> None:
        """Keeps it."""
        self.exchanges.append(record)


@attrs.define(eq=False)
class Proxy:
    """A running proxy.

    Attributes:
        emulators: By backend; those of backends that were given as a URL are not here.
        ended: Set when the server has returned.
    """

    runtime: Runtime
    serving: Serving
    records: Records
    emulators: Mapping[str, Emulator]
    ended: trio.Event

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.serving.addresses[0]

    @property
    def base_url(self) -> str:
        """What a client of the API is configured with."""
        return f"{self.url}/v1"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    # ---- clients

    @asynccontextmanager
    async def client(self, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """A connection, closed in the end."""
        client = await connect(self.port, receive_buffer=receive_buffer)
        try:
            yield client
        finally:
            await trio.aclose_forcefully(client.stream)

    async def post(self, body: Any, *headers: str, **where: str) -> Reply:
        """One request on a connection of its own, and its whole response."""
        async with self.client() as client:
            await client.ask(body, *headers, **where)
            return await client.reply()

    async def get(self, path: str, *headers: str) -> Reply:
        """One GET on a connection of its own, and its whole response."""
        async with self.client() as client:
            lines = [f"GET {path} HTTP/1.1", "Host: proxy", *headers]
            await client.send("\r\n".join([*lines, "", ""]).encode())
            return await client.reply()

    # ---- what happened

    async def record(self, number: int = 1) -> ExchangeRecord:
        """The record of the exchange that ended as the n-th."""
        await until(lambda: len(self.records.exchanges) >= number)
        return self.records.exchanges[number - 1]

    def ledger(self, *names: str) -> list[Entry]:
        """What the emulators of these backends saw, of all by default."""
        return [entry for name in names or self.emulators for entry in self.emulators[name].ledger]

    async def upstream_closed(self, *names: str) -> float:
        """Waits until no answer runs any more; returns when the last connection was closed."""
        await until(lambda: not any(entry.is_open for entry in self.ledger(*names)))
        return max(entry.closed_at or 0.0 for entry in self.ledger(*names))

    async def check(self) -> None:
        """What holds for every exchange once all are over."""
        await until(lambda: not len(self.runtime.executor.live))
        exchanges, attempts = self.records.exchanges, self.records.attempts
        assert len({record.id for record in exchanges}) == len(exchanges)
        expected = [(record.id, attempt) for record in exchanges for attempt in record.attempts]
        assert by_number(expected) == by_number(attempts)
        for record in exchanges:
            assert [a.number for a in record.attempts] == list(range(1, len(record.attempts) + 1))
            owners = [a.number for a in record.attempts if a.committed_at is not None]
            assert owners[-1:] == ([] if record.winner is None else [record.winner])
            assert len(owners) <= record.rescues + 1
        for name, emulator in self.emulators.items():
            assert emulator.failures == [], name
        await until(lambda: not any(entry.is_open for entry in self.ledger()))


def by_number(attempts: Iterable[tuple[str, AttemptRecord]]) -> list[tuple[str, AttemptRecord]]:
    """Attempts in a fixed order."""
    return sorted(attempts, key=lambda attempt: (attempt[0], attempt[1].number))


@asynccontextmanager
async def proxying(
    upstreams: Mapping[str, Upstream],
    *,
    entries: Mapping[str, Any] | None = None,
    **sections: Any,
) -> AsyncIterator[Proxy]:
    """Runs emulators and a proxy in front of them.

    Args:
        upstreams: By backend: an emulator, the script of one that takes any model, or a base URL.
        entries: By backend: more keys for its entry in the configuration; by ``*`` for all.
        sections: The sections of the configuration: ``routing={"max_attempts": 5}``.
    """
    emulators = {
        name: given if isinstance(given, Emulator) else Emulator(default=given)
        for name, given in upstreams.items()
        if not isinstance(given, str)
    }
    async with trio.open_nursery() as nursery:
        for emulator in emulators.values():
            await nursery.start(emulator.serve)
        urls = {
            name: given if isinstance(given, str) else _base_url(emulators[name], entries, name)
            for name, given in upstreams.items()
        }
        records, ended = Records(), trio.Event()
        runtime = build(configured(urls, entries or {}, sections), {}, [records])
        ready, started = trio.open_memory_channel[Serving](1)
        nursery.start_soon(_serve, runtime, ready.send_nowait, ended)
        serving = await started.receive()
        proxy = Proxy(runtime, serving, records, emulators, ended)
        yield proxy
        await proxy.check()
        serving.end()
        nursery.cancel_scope.cancel()


BASE_PATHS = {"anthropic-compatible": "", "gemini": "/v1beta", "acp": ""}  # by kind; else /v1
BASE_PATHS |= {"nvidia": nvidia.PREFIX, "openrouter": openrouter.PREFIX}


def _base_url(emulator: Emulator, entries: Mapping[str, Any] | None, name: str) -> str:
    kind = ((entries or {}).get(name) or {}).get("kind", "")
    return emulator.origin + BASE_PATHS.get(kind, "/v1")


async def _serve(runtime: Runtime, on_ready: Callable[[Serving], None], ended: trio.Event) -> None:
    await runtime.serve(runtime.listen(), on_ready=on_ready)
    ended.set()


def configured(
    urls: Mapping[str, str], entries: Mapping[str, Any], sections: Mapping[str, Any]
) -> Config:
    """The configuration, by the way of its text, as an operator's."""
    backends = {
        name: {
            "kind": "openai-compatible",
            "base_url": url,
            "api_key": f"sk-{name}",
            "discover": False,  # upstreams see what the test asks, and nothing else
            **entries.get("*", {}),
            **entries.get(name, {}),
        }
        for name, url in urls.items()
    }
    server = {"port": 0, **sections.get("server", {})}
    tree = {**sections, "server": server, "backends": backends}
    return load_config(json.dumps(tree), kinds=KINDS, environment={})
