"""The ledger: when a client left, and how, whatever the emulator was doing."""

from __future__ import annotations

import json
import socket
import struct
import time

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from tests.emulators.raw_client import chat, connect, exchange, read_until, request, texts

SILENT = {  # what the emulator is doing when the client leaves
    "before_headers": Script(headers_after=3600),
    "hung_before_headers": Script(hang_before_headers=True),
    "before_content": Script(role_chunk=True, content_after=3600),
    "mid_stream": Script(words=9, pace=3600),
    "hung_mid_stream": Script(words=9, hang_after=3),
    "endless": Script(words=5_000, delta_size=5_000),
}


def abort(stream: trio.SocketStream) -> None:
    """Close with an RST."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("phase", SILENT)
async def test_close_is_noticed_at_once(phase: str, how: str) -> None:
    """Sleeping, hanging or blocked on a full socket: the close is seen while it happens."""
    async with Emulator(default=SILENT[phase]) as emulator:
        ledger = emulator.ledger
        stream = await connect(emulator.port, request(chat()))
        await ledger.wait_for(lambda ledger: len(ledger) == 1)
        await wait_all_tasks_blocked(0.01)
        entry, before = ledger[0], trio.current_time()
        assert (entry.is_open, entry.closed_at, ledger.connections_open) == (True, None, 1)
        abort(stream) if how == "reset" else stream.socket.close()
        with trio.fail_after(5):
            await ledger.wait_closed(entry)
        assert entry.closed_at is not None
        assert before <= entry.closed_at == entry.finished_at
        assert entry.outcome == ("hung" if phase.startswith("hung") else "aborted_by_client")
        assert (ledger.connections_open, ledger.open_requests) == (0, [])


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_ledger_tells_fin_from_reset(how: str) -> None:
    """A proxy that aborts and one that closes politely look different."""
    async with Emulator(default=Script(hang_before_headers=True)) as emulator:
        stream = await connect(emulator.port, request(chat()))
        await emulator.ledger.wait_for(lambda ledger: len(ledger) == 1)
        abort(stream) if how == "reset" else stream.socket.close()
        await emulator.ledger.wait_closed(emulator.ledger[0])
        assert emulator.ledger[0].closed_by == how


async def test_connection_that_asks_nothing_is_counted() -> None:
    """A pool that opens and leaves a connection is seen."""
    async with Emulator() as emulator:
        async with await connect(emulator.port):
            await emulator.ledger.wait_for(lambda ledger: ledger.connections_open == 1)
        await emulator.ledger.wait_for(lambda ledger: ledger.connections_open == 0)
        assert len(emulator.ledger) == 0


async def test_kept_alive_entries_close_together() -> None:
    """An entry's connection may outlive its answer; its close is noted for all of them."""
    async with Emulator() as emulator:
        async with await connect(emulator.port) as stream:
            for _ in range(2):
                await stream.send_all(request(chat(), headers=()))
                await read_until(stream, b"\r\n0\r\n\r\n")
            first, second = emulator.ledger
            assert (first.outcome, first.is_open, first.closed_at) == ("complete", False, None)
        await emulator.ledger.wait_closed(second)
        assert first.closed_at == second.closed_at


async def test_times_are_those_of_the_script(mock_clock: MockClock) -> None:
    """Head, first content and end come when the script says, counted from the request."""
    mock_clock.autojump_threshold = 0.05
    script = Script(words=3, headers_after=1.0, content_after=3.0, pace=0.5, close_delay=2.0)
    async with Emulator(default=script) as emulator:
        raw = await exchange(emulator.port, request(chat()))
        entry = emulator.ledger[0]
        times = (entry.headers_sent_at, entry.first_content_at, entry.finished_at)
        assert [(at or 0) - entry.received_at for at in times] == pytest.approx([1.0, 3.0, 6.0])
        assert len(texts(raw.events)) == entry.chunks_sent == 3


async def test_json_has_monotonic_times() -> None:
    """Another process compares them with its own ``time.monotonic()``."""
    async with Emulator({"m": Script(text="ok")}) as emulator:
        before = time.monotonic()
        await exchange(emulator.port, request(chat()))
        raw = await exchange(emulator.port, request(method="GET", path="/__ledger"))
        report = json.loads(raw.body)
        (entry,) = report["entries"]
        assert before < entry["received_at"] < entry["finished_at"] < time.monotonic()
        assert (entry["model"], entry["outcome"], entry["chunks_sent"]) == ("m", "complete", 1)
        assert (report["open_requests"], report["connections_open"]) == (0, 1)


async def test_reset_forgets_entries_but_not_connections() -> None:
    """A benchmark clears the ledger between two runs without losing what is open."""
    async with Emulator(default=Script(hang_before_headers=True)) as emulator:
        async with await connect(emulator.port, request(chat())):
            await emulator.ledger.wait_for(lambda ledger: len(ledger) == 1)
            await exchange(emulator.port, request(method="POST", path="/__reset"))
            assert len(emulator.ledger) == 0
            assert emulator.ledger.connections_open >= 1
        await emulator.ledger.wait_for(lambda ledger: ledger.connections_open == 0)
