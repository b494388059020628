"""Which connections are used again, which are closed, and when the server sees it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
import trio
import trio.testing

from lipstream.upstream.client import Client, Response, StaleConnection
from lipstream.upstream.httpx_client import HttpxClient
from lipstream.upstream.transport import StreamedResponse, Transport
from tests.upstream.http_server import (
    CHUNKED,
    GET,
    HELLO,
    OK,
    STREAM,
    Peer,
    Server,
    answering,
    serving,
)

both = pytest.mark.parametrize("make", [Transport, HttpxClient])
Make = Callable[[], Client]


async def quiet() -> None:
    """Waits until the server has nothing more to do and all that it sent is here."""
    await trio.testing.wait_all_tasks_blocked(0.01)


async def fetch(client: Client, server: Server) -> Response:
    response = await client.send(server.origin, GET)
    while await response.receive():
        pass
    response.close()
    return response


@both
async def test_a_connection_is_used_again_after_each_whole_answer(make: Make) -> None:
    """One connection serves any number of requests, one after the other."""
    client = make()
    async with serving(answering(HELLO, STREAM, HELLO)) as server:
        reused = [(await fetch(client, server)).reused for _ in range(3)]
        assert reused == [False, True, True]
        assert (len(server.peers), client.open_connections) == (1, 1)
        await client.aclose()
        await server.all_gone()


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"\r\nhello",
        HELLO + b"HTTP/1.1 200 OK\r\n",
        HELLO + HELLO,
    ],
)
async def test_a_connection_that_cannot_be_trusted_is_closed(answer: bytes) -> None:
    """The server says close, cannot keep alive, or sent more than it was asked for."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        if b"\r\n\r\nhello" not in answer or b"Length" in answer:
            await peer.wait_gone()

    async with serving(script) as server, Transport() as client:
        await fetch(client, server)
        await server.all_gone()
        assert client.open_connections == 0


async def test_the_newest_idle_connection_is_used_first() -> None:
    """Last in, first out: what is not needed grows old undisturbed."""
    async with serving(answering(HELLO)) as server, Transport() as client:
        first, second = [await client.send(server.origin, GET) for _ in range(2)]
        for response in (first, second):
            while await response.receive():
                pass
        second.close()
        first.close()
        for _ in range(3):
            await fetch(client, server)
        assert [len(peer.requests) for peer in server.peers] == [4, 1]


async def test_a_connection_that_the_server_closed_is_not_used() -> None:
    """An idle connection is looked at before it gets a request."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)

    async with serving(once) as server, Transport() as client:
        await fetch(client, server)
        await server.all_gone()
        assert not (await fetch(client, server)).reused
        assert (len(server.peers), client.open_connections) == (2, 1)


async def test_a_connection_on_which_something_came_is_not_used() -> None:
    """Bytes that belong to no request would be taken for the next answer."""

    read = trio.Event()

    async def chatty(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        await read.wait()
        await peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await peer.wait_gone()

    async with serving(chatty) as server, Transport() as client:
        await fetch(client, server)
        read.set()
        await quiet()
        assert not (await fetch(client, server)).reused


async def test_an_abandoned_answer_closes_its_connection_at_once() -> None:
    """The loser of a race is cut, not read to its end: the server sees it."""
    closed = trio.Event()

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await peer.wait_gone()
        closed.set()

    async with serving(endless) as server, Transport() as client:
        response = await client.send(server.origin, GET)
        assert await response.receive() == b"hello"
        response.close()
        assert client.open_connections == 0
        with trio.fail_after(1):
            await closed.wait()


@both
async def test_closing_in_the_middle_reaches_the_server(make: Make) -> None:
    """With either client, and whether or not anything of the body was read."""
    client = make()

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await peer.wait_gone()

    async with serving(endless) as server:
        for reads in (0, 1):
            response = await client.send(server.origin, GET)
            for _ in range(reads):
                await response.receive()
            response.close()
            response.close()
            await server.all_gone()
            with pytest.raises(httpx.ReadError):
                await response.receive()
        assert client.open_connections == 0
        await client.aclose()


async def finish_early(client: Transport, server: Server) -> bool:
    """Reads the body but not its end, says that this was all, and whether it was a reuse."""
    response = await client.send(server.origin, GET)
    assert await response.receive() == b"hello"
    response.close(finished=True)
    return response.reused


@pytest.mark.parametrize("answer", [None, b""])
async def test_a_kept_connection_that_dies_under_a_request_is_told_apart(
    answer: bytes | None,
) -> None:
    """The server closed it (or reset it) just as the request went out: nothing was answered."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        if answer is None:
            await peer.stream.receive_some(1)  # to close with the rest unread resets
        else:
            await peer.request()

    async with serving(script) as server, Transport() as client:
        await fetch(client, server)
        with pytest.raises(StaleConnection):
            await client.send(server.origin, GET)
        assert client.open_connections == 0


@pytest.mark.parametrize("start", [b"H", OK, b"garbage\r\n"])
async def test_a_kept_connection_that_dies_inside_an_answer_is_an_error_like_any_other(
    start: bytes,
) -> None:
    """The server has begun to answer: it did get the request."""
    async with serving(answering(HELLO, start)) as server, Transport() as client:
        await fetch(client, server)

        async def hang_up() -> None:
            await trio.testing.wait_all_tasks_blocked(0.01)
            await trio.aclose_forcefully(server.peers[0].stream)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang_up)
            with pytest.raises(httpx.RemoteProtocolError):
                await client.send(server.origin, GET)


class LateEnd:
    """Every answer stops before its end, which comes when the test says ``go``."""

    def __init__(self, *rest: bytes) -> None:
        self._rest = rest
        self._turns = trio.Semaphore(0)

    async def __call__(self, peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(CHUNKED + b"5\r\nhello\r\n")
            await self._turns.acquire()
            await peer.send(*self._rest)

    async def go(self) -> None:
        """Sends the end; it has arrived when this returns."""
        self._turns.release()
        await quiet()


async def test_an_answer_whose_end_is_already_here_is_finished_on_close() -> None:
    """The reader saw the last event in one read, the end of the body was in the next."""
    script = LateEnd(b"0\r\n\r\n")
    async with serving(script) as server, Transport() as client:
        response = await client.send(server.origin, GET)
        await response.receive()
        await script.go()
        response.close(finished=True)
        assert await finish_early(client, server)


async def test_an_answer_whose_end_comes_later_is_finished_before_the_next_request() -> None:
    """A reader who knows that the answer is over need not wait for the end of its framing."""
    script = LateEnd(b"0\r\n", b"\r\n")
    async with serving(script) as server, Transport() as client:
        reused = []
        for _ in range(3):
            reused.append(await finish_early(client, server))
            await script.go()
        assert reused == [False, True, True]
        assert (len(server.peers), client.open_connections) == (1, 1)


@pytest.mark.parametrize(
    "rest",
    [
        b"",  # never ends
        b"5\r\nworld\r\n",  # was not over
        b"0\r\n\r\nmore",
        b"rubbish\r\n",
        b"100000\r\n" + b"x" * 0x100000 + b"\r\n0\r\n\r\n",  # too long to read for nothing
    ],
)
async def test_an_answer_that_was_not_over_after_all_costs_its_connection(rest: bytes) -> None:
    """Only a clean end with nothing behind it makes the connection fit for another request."""
    script = LateEnd(rest)
    async with serving(script) as server, Transport() as client:
        await finish_early(client, server)
        await script.go()
        assert not await finish_early(client, server)
        assert client.open_connections == 1


async def test_an_answer_that_is_not_over_is_closed_at_once_without_the_readers_word() -> None:
    """An abandoned live stream does not linger in the pool, it may go on for long."""
    async with serving(LateEnd()) as server, Transport() as client:
        response = await client.send(server.origin, GET)
        await response.receive()
        response.close()
        assert client.open_connections == 0


async def test_a_finished_answer_whose_server_hangs_up_costs_its_connection() -> None:
    """End of the body and end of the connection came together, before or after the reader left."""
    closed = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await closed.wait()
        await peer.send(b"0\r\n\r\n")

    async with serving(script) as server, Transport() as client:
        await finish_early(client, server)
        closed.set()
        await server.all_gone()
        response = await client.send(server.origin, GET)
        assert not response.reused
        assert await response.receive()
        await server.all_gone()
        response.close(finished=True)
        assert client.open_connections == 0


async def test_idle_connections_beyond_the_limit_are_closed() -> None:
    """The oldest makes room."""
    async with serving(answering(HELLO)) as server, Transport(max_idle=2) as client:
        responses = [await client.send(server.origin, GET) for _ in range(4)]
        for response in responses:
            while await response.receive():
                pass
            response.close()
        assert client.open_connections == 2
        for peer in server.peers[:2]:
            await peer.gone.wait()


async def test_a_connection_that_idled_too_long_is_not_used(
    mock_clock: trio.testing.MockClock,
) -> None:
    """Servers and everything between forget about idle connections, not always aloud."""
    async with serving(answering(HELLO)) as server, Transport(max_idle_age=1.0) as client:
        await fetch(client, server)
        mock_clock.jump(0.9)
        responses = [await client.send(server.origin, GET) for _ in range(2)]
        assert [response.reused for response in responses] == [True, False]
        for response in responses:
            while await response.receive():
                pass
            response.close()
        mock_clock.jump(1.1)
        assert not (await fetch(client, server)).reused
        assert client.open_connections == 1


async def test_closing_the_client_closes_what_is_idle_and_what_is_in_use() -> None:
    """A reader that waits is told, and what comes back later is not kept."""
    errors = []

    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await peer.wait_gone()

    async def wait(response: StreamedResponse) -> None:
        try:
            await response.receive()
        except httpx.ReadError as error:
            errors.append(error)

    async with serving(silent) as server, trio.open_nursery() as nursery:
        client = Transport()
        response = await client.send(server.origin, GET)
        nursery.start_soon(wait, response)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()
        response.close(finished=True)
        assert client.open_connections == 0
        await server.all_gone()
    assert len(errors) == 1


async def test_an_answer_read_after_the_client_closed_is_not_kept() -> None:
    """The pool of a closed client takes nothing back."""
    async with serving(answering(HELLO)) as server:
        client = Transport()
        await client.aclose()
        await fetch(client, server)
        assert client.open_connections == 0


@both
async def test_a_finished_answer_gives_its_connection_back(make: Make) -> None:
    """With either client, as long as the end comes soon."""
    client = make()
    script = LateEnd(b"0\r\n\r\n")
    async with serving(script) as server:
        reused = []
        for _ in range(2):
            response = await client.send(server.origin, GET)
            await response.receive()
            response.close(finished=True)
            await script.go()
            reused.append(response.reused)
        assert reused == [False, True]
        await client.aclose()
