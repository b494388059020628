"""The bytes of the server itself: framing, keep-alive, pieces, closes."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.http import encode_head
from lipstream.emulators.script import Script
from tests.emulators.raw_client import (
    chat,
    connect,
    exchange,
    read_to_end,
    read_until,
    request,
    texts,
)

KEPT: tuple[str, ...] = ()
LAST_CHUNK = b"\r\n0\r\n\r\n"


async def test_connection_serves_request_after_request() -> None:
    """Keep-alive: three answers over one connection, whole and in order."""
    async with Emulator({"m": [Script(words=n) for n in (1, 2, 3)]}) as emulator:
        async with await connect(emulator.port) as stream:
            for n in (1, 2, 3):
                await stream.send_all(request(chat(), headers=KEPT))
                answer = await read_until(stream, LAST_CHUNK)
                assert f"word{n}".encode() in answer
        entries = list(emulator.ledger)
        assert [entry.connection for entry in entries] == [1, 1, 1]
        assert [entry.outcome for entry in entries] == ["complete"] * 3


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Two requests in one segment get two answers."""
    async with Emulator({"m": [Script(words=1), Script(words=2)]}) as emulator:
        two = request(chat(), headers=KEPT) + request(chat())
        answer = await exchange(emulator.port, two)
        assert answer.data.count(b"HTTP/1.1 200 OK") == 2
        assert answer.data.index(b"word1") < answer.data.index(b"word2")


async def test_request_in_single_bytes_is_read_whole() -> None:
    """The reader does not mind how the bytes are cut."""
    async with Emulator() as emulator, await connect(emulator.port) as stream:
        for byte in request(chat(text="x")):
            await stream.send_all(bytes([byte]))
        answer = await read_to_end(stream)
        assert answer.is_terminated


async def test_connection_close_ends_with_a_fin() -> None:
    """What the head says about the connection is what happens."""
    async with Emulator() as emulator:
        answer = await exchange(emulator.port, request(chat()))
        assert answer.headers["connection"] == "close"
        assert answer.is_terminated
        assert answer.ended == "fin"


async def test_http_1_0_gets_no_chunks() -> None:
    """An old client reads to the end of the connection."""
    async with Emulator(default=Script(words=2)) as emulator:
        answer = await exchange(emulator.port, request(chat(), version="1.0", headers=()))
        assert "transfer-encoding" not in answer.headers
        assert answer.body.startswith(b"data: {")
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert answer.ended == "fin"


@pytest.mark.parametrize("data", [b"\x16\x03\x01 hello\r\n\r\n", b"GET\r\n\r\n"])
async def test_what_is_not_http_gets_a_400_and_a_fin(data: bytes) -> None:
    """No entry is made for it."""
    async with Emulator() as emulator:
        answer = await exchange(emulator.port, data)
        assert answer.status == 400
        assert len(emulator.ledger) == 0


async def test_one_byte_pieces_make_the_same_answer() -> None:
    """Trickling changes when bytes come, not which."""
    async with Emulator(default=Script(text="ok", trickle=1)) as emulator:
        answer = await exchange(emulator.port, request(chat()))
        assert texts(answer.events) == ["ok"]
        assert answer.is_terminated


async def test_trickled_bytes_arrive_in_pieces() -> None:
    """A reader of the same loop gets its turn between two pieces."""
    pieces = 0
    async with (
        Emulator(default=Script(text="ok", trickle=16)) as emulator,
        await connect(emulator.port, request(chat())) as stream,
    ):
        with trio.fail_after(10):
            while await stream.receive_some():
                pieces += 1
    assert pieces > 10


async def test_slow_reader_gets_every_byte() -> None:
    """A full socket buffer makes the emulator wait, nothing is lost."""
    script = Script(words=40, delta_size=200_000)
    async with Emulator(default=script) as emulator:
        stream = await connect(emulator.port, request(chat()))
        await emulator.ledger.wait_for(lambda ledger: len(ledger) == 1)
        await wait_all_tasks_blocked(0.01)
        assert emulator.ledger[0].is_open
        answer = await read_to_end(stream)
        assert texts(answer.events) == script.deltas()


def test_unassigned_status_has_no_phrase() -> None:
    """529 is nobody's, but providers send it."""
    assert encode_head(529, []) == b"HTTP/1.1 529 \r\n\r\n"
