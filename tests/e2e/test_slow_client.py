"""A client that stops reading costs little memory, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.emulators.script import Script
from tests.e2e.harness import bound, proxying, until
from tests.e2e.upstreams import Endless, raw_upstream
from tests.e2e.wire import Client, chat, connect

STREAMS = 20
RECEIVE_BUFFER = 4096
MEMORY_PER_STREAM = 2**20
WRITE_TIMEOUT = 1.0
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """The memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def stalled(port: int) -> Client:
    """A client that asks, reads one word and then nothing."""
    client = await connect(port, receive_buffer=RECEIVE_BUFFER)
    await client.ask(chat("a:m"))
    await client.word()
    return client


async def until_still(endless: Endless) -> int:
    """Waits until the upstream has come to a stand; returns what it has sent by then."""
    sent = -1
    with trio.fail_after(10):
        while sent != endless.sent:
            sent = endless.sent
            await trio.sleep(0.1)
    return sent


async def test_stalled_streams_cost_little_memory_and_end() -> None:
    """The proxy reads no further ahead than it can write, and after the write deadline it lets go
    of client and upstream."""
    server = {"write_timeout": WRITE_TIMEOUT}
    endless = Endless()
    async with raw_upstream(endless) as raw, proxying({"a": raw.base_url}, server=server) as proxy:
        await trio.aclose_forcefully((await stalled(proxy.port)).stream)
        await proxy.record()
        before, started = resident(), trio.current_time()
        clients = [await stalled(proxy.port) for _ in range(STREAMS)]
        await until_still(endless)
        grown = resident() - before
        await proxy.record(STREAMS + 1)
        seconds = trio.current_time() - started
        await until(lambda: len(raw.closed_at) == raw.opened)
        records = proxy.records.exchanges[1:]
        for client in clients:
            await trio.aclose_forcefully(client.stream)
    assert grown / STREAMS < MEMORY_PER_STREAM
    assert [record.ending.reason for record in records] == ["client_stalled"] * STREAMS
    assert {a.reason for record in records for a in record.attempts} == {"client_stalled"}
    assert WRITE_TIMEOUT <= seconds < bound(2.5, 10.0)


async def test_answer_without_end_is_not_collected_for_ever() -> None:
    """A client that does not stream makes the proxy keep the answer, up to a limit."""
    endless = Endless(word="word " * 20_000)
    async with raw_upstream(endless) as raw, proxying({"a": raw.base_url}) as proxy:
        reply = await proxy.post(chat("a:m", stream=False))
        record = await proxy.record()
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
    assert record.ending.reason == "protocol"
    assert endless.sent < 2 * STREAM_LIMITS.answer_bytes


async def test_stalled_client_is_cut_with_a_reset() -> None:
    """What it has not read must not look like a normal end."""
    server = {"write_timeout": 0.3}
    async with (
        raw_upstream(Endless()) as raw,
        proxying({"a": raw.base_url}, server=server) as proxy,
    ):
        client = await stalled(proxy.port)
        await proxy.record()
        while await client.event() is not None:
            pass
        await trio.aclose_forcefully(client.stream)
    assert client.ended in ("reset", "cut")


async def test_slow_client_is_not_a_stalled_one() -> None:
    """As long as it takes something now and then it gets everything."""
    script = Script(words=600, delta_size=2000)
    async with proxying({"a": script}, server={"write_timeout": 1.0}) as proxy:
        async with proxy.client(receive_buffer=RECEIVE_BUFFER) as client:
            await client.ask(chat("a:m"))
            words = 0
            while event := await client.event():
                words += bool(event.text)
                await trio.sleep(0.001)
        record = await proxy.record()
    assert words == 600
    assert record.ending.reason == "complete"


async def test_stalled_client_holds_nobody_up() -> None:
    """Its neighbours on the same proxy get their words in time."""
    other = Script(words=20, pace=0.01)
    async with (
        raw_upstream(Endless()) as raw,
        proxying({"a": raw.base_url, "b": other}) as proxy,
    ):
        clients = [await stalled(proxy.port) for _ in range(5)]
        reply = await proxy.post(chat("b:m"))
        for client in clients:
            client.reset()
    assert reply.is_done
    assert reply.seconds < bound(0.5, 3.0)
