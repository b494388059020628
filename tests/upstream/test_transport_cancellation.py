"""A cancellation may come at every step of an exchange. None of them may cost a socket.

The exchange runs alone against its server, and an instrument cancels it after the n-th step that
any task of the run took; n grows until the exchange gets through.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial

import httpx
import pytest
import trio
import trio.testing
import trustme

from lipstream.upstream.client import Client, Response
from lipstream.upstream.transport import Transport
from tests.upstream.http_server import (
    CHUNKED,
    POST,
    Peer,
    Script,
    Server,
    open_files,
    serving,
)
from tests.upstream.stepwise import MOST_STEPS, cancelled_after

LARGE = POST._replace(body=b"x" * 6_000_000)
SLOW = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    CHUNKED[:30],
    CHUNKED[30:],
    b"5\r\nhel",
    b"lo\r\n0\r\n\r\n",
)
AUTHORITY = trustme.CA()

Operation = Callable[[Transport, Server], Awaitable[None]]


async def slowly(peer: Peer) -> None:
    """Answers piece by piece, so that there is much to wait for."""
    while True:
        await peer.request()
        for piece in SLOW:
            await peer.send(piece)
            for _ in range(3):
                await trio.lowlevel.checkpoint()


async def exchange(client: Client, server: Server) -> None:
    response = await client.send(server.origin, POST)
    try:
        while await response.receive():
            pass
    finally:
        response.close()


async def exchange_over_httpx(client: Transport, server: Server) -> None:
    """Leaves the closing to httpx."""
    request = httpx.Request("POST", server.url, content=b"x", extensions={"timeout": {"read": 60}})
    response = await client.handle_async_request(request)
    try:
        await response.aread()
    finally:
        await response.aclose()


async def refusing(peer: Peer) -> None:
    """Reads some of the request, and answers before it has read the rest."""
    for _ in range(5):
        await peer.stream.receive_some(100_000)
    await peer.send(b"HTTP/1.1 413 Too Large\r\n", b"Content-Length: 0\r\n\r\n")
    await peer.wait_gone()


async def upload(client: Transport, server: Server) -> None:
    (await client.send(server.origin, LARGE)).close()


def tls_server() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


def tls_client() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def sweep(operation: Operation, script: Script, is_secure: bool) -> list[int]:
    """Cancels after every step in turn; the connections that each cancellation left open."""
    left = []
    client_context = tls_client() if is_secure else None
    async with serving(script, tls_server() if is_secure else None) as server:
        files = open_files()
        for steps in range(1, MOST_STEPS):
            client = Transport(ssl_context=client_context)
            was_cancelled = await cancelled_after(steps, partial(operation, client, server))
            left.append(client.open_connections)
            await client.aclose()
            await trio.testing.wait_all_tasks_blocked(0.001)
            await server.all_gone()
            assert open_files() == files
            if not was_cancelled:
                break
    return left


@pytest.mark.parametrize("is_secure", [False, True])
@pytest.mark.parametrize("operation", [exchange, exchange_over_httpx])
async def test_a_cancellation_at_any_step_leaves_no_socket(
    operation: Operation, is_secure: bool
) -> None:
    """The connection is closed on the spot; it is at rest in the pool when all went well."""
    left = await sweep(operation, slowly, is_secure)
    assert left == [0] * (len(left) - 1) + [1]
    assert len(left) > 30


@pytest.mark.parametrize("is_secure", [False, True])
async def test_a_cancellation_at_any_step_of_a_large_upload_leaves_no_socket(
    is_secure: bool,
) -> None:
    """Two tasks are at work then, one that writes and one that looks for an early answer."""
    left = await sweep(upload, refusing, is_secure)
    assert set(left) == {0}
    assert len(left) > 10


async def test_a_cancellation_at_any_step_of_a_receive_loses_nothing() -> None:
    """A later receive goes on where the cancelled one stopped."""
    async with serving(slowly) as server:
        for steps in range(1, 60):
            client = Transport()
            response = await client.send(server.origin, POST)
            received: list[bytes] = []

            async def read(response: Response = response, into: list[bytes] = received) -> None:
                while piece := await response.receive():
                    into.append(piece)

            await cancelled_after(steps, read)
            await read()
            response.close()
            assert (b"".join(received), client.open_connections) == (b"hello", 1)
            await client.aclose()
