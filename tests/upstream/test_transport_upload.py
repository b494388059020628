"""Requests that are larger than what the kernel takes at once."""

from __future__ import annotations

import socket

import httpx
import pytest
import trio

from lipstream.upstream.client import Request
from lipstream.upstream.transport import Transport
from tests.upstream.http_server import HELLO, OK, Peer, Script, answering, serving

LARGE = Request(b"POST", b"/", (), b"x" * 16_000_000)
REFUSAL = b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"


async def head_of(peer: Peer) -> None:
    await peer.stream.receive_some(1000)


async def answer_and_hold(peer: Peer) -> None:
    """Answers without reading on, and keeps the connection."""
    await head_of(peer)
    await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n", REFUSAL)
    await trio.sleep_forever()


async def answer_and_reset(peer: Peer) -> None:
    """Answers and closes with data unread, which resets the connection."""
    await head_of(peer)
    await peer.send(REFUSAL)


async def answer_and_half_close(peer: Peer) -> None:
    """Answers and says that nothing more will come, but keeps the other direction."""
    await head_of(peer)
    await peer.send(REFUSAL.replace(b"Content-Length: 5\r\n", b""))
    assert isinstance(peer.stream, trio.SocketStream)
    await peer.stream.send_eof()
    await trio.sleep_forever()


async def test_a_large_body_arrives_whole() -> None:
    """What the kernel does not take at once is sent when it does."""
    async with serving(answering(HELLO)) as server, Transport() as client:
        response = await client.send(server.origin, LARGE)
        assert await response.receive() == b"hello"
        response.close()
        assert server.peers[0].requests[0].endswith(b"\r\n\r\n" + LARGE.body)
        assert client.open_connections == 1


@pytest.mark.parametrize("script", [answer_and_hold, answer_and_reset, answer_and_half_close])
async def test_a_refusal_in_the_middle_of_an_upload_is_the_answer(script: Script) -> None:
    """The server need not read what it will not use; its connection is not used again."""
    async with serving(script) as server, Transport() as client:
        response = await client.send(server.origin, LARGE)
        assert (response.status, await response.receive()) == (413, b"large")
        assert await response.receive() == b""
        response.close()
        assert client.open_connections == 0


async def test_a_success_in_the_middle_of_an_upload_does_not_stop_it() -> None:
    """Some servers send their head before they have read the request, and then want it all."""

    async def eager(peer: Peer) -> None:
        await head_of(peer)
        await peer.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        left = len(LARGE.body) - 1000
        while left > 0:
            left -= len(await peer.stream.receive_some(1_000_000))
        await peer.send(b"5\r\nhello\r\n0\r\n\r\n")
        await trio.sleep_forever()

    async with serving(eager) as server, Transport() as client:
        response = await client.send(server.origin, LARGE)
        assert (response.status, await response.receive()) == (200, b"hello")
        response.close()
        assert client.open_connections == 1


async def test_a_server_that_goes_away_during_an_upload_is_an_error() -> None:
    """Which one depends on whether reading or writing notices first."""
    async with serving(head_of) as server, Transport() as client:
        with pytest.raises((httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError)):
            await client.send(server.origin, LARGE)
        assert client.open_connections == 0


async def test_a_write_that_fails_with_no_answer_is_a_write_error() -> None:
    """The reading that follows finds nothing, and the first error is the one that counts."""
    async with serving(head_of) as server, Transport() as client:
        connection = await client._connect(server.origin)
        connection._sock.shutdown(socket.SHUT_WR)
        assert not await connection.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(httpx.WriteError):
            await connection.read_head()
        connection.close()


async def test_a_cancelled_upload_closes_its_connection() -> None:
    """The server does not read; the caller loses patience."""

    async def deaf(peer: Peer) -> None:
        await trio.sleep_forever()

    async with serving(deaf) as server, Transport() as client:
        with trio.move_on_after(0.05) as scope:
            await client.send(server.origin, LARGE)
        assert scope.cancelled_caught
        assert client.open_connections == 0
