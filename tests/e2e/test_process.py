"""The command as it is really run: a process of its own, ended by signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from tests.e2e.wire import DONE, Client, chat, connect

COMMAND = ("-c", "from lipstream.cli import main; main()", "serve", "--port", "0", "--upstream")


@asynccontextmanager
async def serving(upstream: str) -> AsyncIterator[tuple[trio.Process, Client]]:
    """A proxy in a process of its own, and a client that is connected to it."""
    command = [sys.executable, *COMMAND, upstream]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, command, check=False, **pipes)
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        said = b""
        with trio.fail_after(20):
            while b"listening" not in said or not said.endswith(b"\n"):
                said += await process.stdout.receive_some()
        address = said.split(b"listening")[1].split()[0]
        client = await connect(int(address.split(b":")[2].split(b"/")[0]))
        try:
            yield process, client
        finally:
            await trio.aclose_forcefully(client.stream)
            process.terminate()


async def is_listening(client: Client) -> bool:
    """Whether the proxy of this client still lets others in."""
    _, port = client.stream.socket.getpeername()
    try:
        other = await connect(port)
    except OSError:
        return False
    other.leave()
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_lets_a_running_stream_end(number: signal.Signals) -> None:
    """The process ends by itself, and well, as soon as the last stream has."""
    async with (
        Emulator(default=Script(words=30, pace=0.02)) as emulator,
        serving(emulator.base_url) as (process, client),
    ):
        await client.ask(chat("m"))
        await client.word()
        process.send_signal(number)
        reply = await client.reply()
        with trio.fail_after(5):
            code = await process.wait()
    assert reply.is_done
    assert reply.text.endswith("word29 word30")
    assert code == 0


async def test_second_signal_ends_at_once() -> None:
    """Nobody waits for a stream that goes on for ever; its upstream is closed."""
    async with (
        Emulator(default=Script(words=100_000, pace=0.01)) as emulator,
        serving(emulator.base_url) as (process, client),
    ):
        await client.ask(chat("m"))
        await client.word()
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(5):
            while await is_listening(client):  # noqa: ASYNC110 - it is another process
                await trio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            rest = await client.rest()
            code = await process.wait()
            await emulator.ledger.wait_closed(emulator.ledger[0])
    assert client.ended in ("cut", "reset")
    assert DONE not in [event.data for event in rest]
    assert code == 0


async def test_killed_process_is_no_normal_end() -> None:
    """Whoever was reading sees a broken stream, and the upstream a closed connection."""
    async with (
        Emulator(default=Script(words=100_000, pace=0.01)) as emulator,
        serving(emulator.base_url) as (process, client),
    ):
        await client.ask(chat("m"))
        await client.word()
        process.kill()
        with trio.fail_after(5):
            rest = await client.rest()
            await emulator.ledger.wait_closed(emulator.ledger[0])
    assert client.ended in ("cut", "reset")
    assert DONE not in [event.data for event in rest]
