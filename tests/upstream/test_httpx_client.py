"""What the client over httpx's own transport adds: proxies, and closing from outside."""

from __future__ import annotations

import ssl

import httpx
import pytest
import trio
import trio.testing
import trustme

from lipstream.upstream.client import Origin
from lipstream.upstream.httpx_client import HttpxClient
from tests.upstream.http_server import CHUNKED, GET, HELLO, POST, Peer, answering, serving


async def stalling(peer: Peer) -> None:
    await peer.request()
    await peer.send(CHUNKED + b"5\r\nhello\r\n")
    await peer.wait_gone()


async def test_a_proxy_is_asked_for_the_whole_url() -> None:
    """The connection goes to the proxy, the request names the origin."""
    async with serving(answering(HELLO)) as proxy:
        client = HttpxClient(proxy=proxy.url)
        response = await client.send(Origin("http", "upstream.test", 8000), POST)
        assert await response.receive() == b"hello"
        await response.aclose()
        assert (
            proxy.peers[0]
            .requests[0]
            .startswith(b"POST http://upstream.test:8000/v1/x?y=z HTTP/1.1\r\n")
        )
        await client.aclose()


async def test_a_server_that_does_not_speak_http_2_is_spoken_to_in_http_1() -> None:
    """Which one is settled by ALPN."""
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    async with serving(answering(HELLO), server_context) as server:
        client = HttpxClient(ssl_context=client_context, http2=True)
        response = await client.send(server.origin, GET)
        assert (response.status, await response.receive()) == (200, b"hello")
        response.close()
        await client.aclose()


async def test_closing_under_a_reader_ends_its_wait() -> None:
    """The reader gets an error and the server sees the end."""
    errors: list[httpx.ReadError] = []
    async with serving(stalling) as server, trio.open_nursery() as nursery:
        client = HttpxClient()
        response = await client.send(server.origin, GET)
        assert await response.receive() == b"hello"

        async def wait() -> None:
            with pytest.raises(httpx.ReadError) as caught:
                await response.receive()
            errors.append(caught.value)

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        response.close(finished=True)
        await server.all_gone()
        await client.aclose()
    assert len(errors) == 1


async def test_a_cancelled_receive_closes_the_connection() -> None:
    """httpx cannot go on after a cancellation; it must not look like the end of the body."""
    async with serving(stalling) as server:
        client = HttpxClient()
        response = await client.send(server.origin, GET)
        await response.receive()
        with trio.move_on_after(0.01):
            await response.receive()
        with pytest.raises(httpx.ReadError):
            await response.receive()
        await server.all_gone()
        assert client.open_connections == 0
        await client.aclose()


async def test_a_finished_answer_that_goes_on_is_cut(
    mock_clock: trio.testing.MockClock,
) -> None:
    """Its last bytes are waited for, but not for long."""
    async with serving(stalling) as server:
        client = HttpxClient()
        response = await client.send(server.origin, GET)
        await response.receive()
        response.close(finished=True)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert client.open_connections == 1
        mock_clock.jump(1.5)
        await server.all_gone()
        assert client.open_connections == 0
        await client.aclose()
