"""How long a connect may take."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import httpx
import pytest
import trio
import trio.testing

from lipstream.upstream.client import CONNECT_TIMEOUT, Client, Origin
from lipstream.upstream.httpx_client import HttpxClient
from lipstream.upstream.transport import Transport
from tests.upstream.http_server import GET, HELLO, Peer, answering, serving


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port that neither accepts nor refuses: connects to it hang."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("make", [Transport, HttpxClient])
async def test_a_connect_that_hangs_times_out(
    make: type[Transport | HttpxClient], autojump_clock: trio.testing.MockClock
) -> None:
    """Ten seconds unless told otherwise, and nothing is left behind."""
    client: Client = make()
    start = trio.current_time()
    with full_backlog() as port, pytest.raises(httpx.ConnectTimeout):
        await client.send(Origin("http", "127.0.0.1", port), GET)
    assert trio.current_time() - start == CONNECT_TIMEOUT
    assert client.open_connections == 0
    await client.aclose()


async def test_a_handshake_that_hangs_times_out(autojump_clock: trio.testing.MockClock) -> None:
    """The limit is one for TCP and TLS together."""

    async def deaf(peer: Peer) -> None:
        await trio.sleep_forever()

    async with serving(deaf) as server, Transport(connect_timeout=5.0) as client:
        start = trio.current_time()
        with pytest.raises(httpx.ConnectTimeout):
            await client.send(server.origin._replace(scheme="https"), GET)
        assert trio.current_time() - start == 5.0
        assert client.open_connections == 0


async def test_nothing_is_sent_for_a_caller_that_is_already_cancelled() -> None:
    """Not even over a connection that is there."""
    async with serving(answering(HELLO)) as server, Transport() as client:
        response = await client.send(server.origin, GET)
        await response.receive()
        response.close()
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.send(server.origin, GET)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (len(server.peers), len(server.peers[0].requests)) == (1, 1)
        assert client.open_connections == 1
