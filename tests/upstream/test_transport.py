"""What both clients promise, and what ours says about answers that are not in order."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
import trio
import trio.testing

from lipstream.upstream import connection
from lipstream.upstream.client import Client, Origin, Request, Response, origin_of
from lipstream.upstream.httpx_client import HttpxClient
from lipstream.upstream.transport import Transport
from tests.upstream.http_server import (
    CHUNKED,
    GET,
    HELLO,
    OK,
    POST,
    STREAM,
    Names,
    Peer,
    answering,
    saying,
    serving,
)

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
both = pytest.mark.parametrize("make", [Transport, HttpxClient])
Make = Callable[[], Client]


async def read(response: Response) -> bytes:
    body = b""
    while piece := await response.receive():
        body += piece
    return body


@both
@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (HELLO, 200, b"hello"),
        (STREAM, 200, b"hello world"),
        (INTERIM + HELLO, 200, b"hello"),
        (OK + b"Connection: close\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", 200, b"old"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
        (b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n", 429, b""),
    ],
)
async def test_every_framing_is_read_to_its_end(
    make: Make, answer: bytes, status: int, body: bytes
) -> None:
    """The caller sees status and body, and never how they were framed."""
    client = make()
    async with serving(saying([answer])) as server:
        response = await client.send(server.origin, POST)
        assert (response.status, await read(response)) == (status, body)
        assert await response.receive() == b""
        response.close()
        await client.aclose()


@both
async def test_an_answer_to_head_has_no_body(make: Make) -> None:
    """Its Content-Length speaks of a body that does not come."""
    client = make()
    async with serving(answering(OK + b"Content-Length: 5\r\n\r\n")) as server:
        response = await client.send(server.origin, Request(b"HEAD", b"/", (), b""))
        assert (response.status, await read(response)) == (200, b"")
        response.close()
        await client.aclose()


async def test_an_answer_cut_at_every_byte_is_the_same() -> None:
    """Each byte in a read of its own, over a real socket."""
    async with serving(saying([bytes([byte]) for byte in STREAM])) as server, Transport() as client:
        response = await client.send(server.origin, POST)
        assert await read(response) == b"hello world"
        assert response.headers == [(b"transfer-encoding", b"chunked")]
        response.close()


@both
async def test_the_server_gets_the_request_as_it_was_given(make: Make) -> None:
    """Method, target, headers and body arrive; identity is the only coding asked for."""
    client = make()
    async with serving(answering(HELLO)) as server:
        response = await client.send(server.origin, POST)
        await read(response)
        response.close()
        head, _, body = server.peers[0].requests[0].partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        assert (line, body) == (b"POST /v1/x?y=z HTTP/1.1", POST.body)
        assert {field.lower() for field in fields} >= {
            b"host: " + server.origin.authority,
            b"x-test: yes",
            b"accept-encoding: identity",
            b"content-length: 8",
        }
        await client.aclose()


async def test_all_that_one_read_delivers_comes_at_once() -> None:
    """Chunks that arrived together are not handed out one by one."""
    chunks = b"".join(b"1\r\n%d\r\n" % digit for digit in range(10))
    async with serving(saying([CHUNKED + chunks + b"0\r\n\r\n"])) as server, Transport() as client:
        response = await client.send(server.origin, GET)
        assert await response.receive() == b"0123456789"
        assert await response.receive() == b""
        response.close()


@both
@pytest.mark.parametrize(
    "answer",
    [OK + b"Content-Length: 50\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n"],
)
async def test_a_body_that_is_cut_short_is_an_error(make: Make, answer: bytes) -> None:
    """What came is delivered first; then the cut is told, every time one asks."""
    client = make()
    async with serving(saying([answer])) as server:
        response = await client.send(server.origin, GET)
        assert await response.receive() == b"hello"
        for _ in range(2):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await response.receive()
        response.close()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert client.open_connections == 0
        await client.aclose()


@both
async def test_a_server_that_hangs_up_without_an_answer_is_an_error(make: Make) -> None:
    """Between request and answer as well."""
    client = make()
    async with serving(saying([])) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.send(server.origin, GET)
        assert client.open_connections == 0
        await client.aclose()


@both
async def test_a_compressed_answer_is_refused(make: Make) -> None:
    """Identity was asked for, and nothing here can decompress."""
    client = make()
    answer = OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
    async with serving(answering(answer)) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="gzip"):
            await client.send(server.origin, GET)
        await client.aclose()
        await server.all_gone()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"A: b\r\n" * 300 + b"\r\n",
        OK + b"A: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_in_order_closes_the_connection(answer: bytes) -> None:
    """Broken rules and limits are the server's fault, and its connection is not trusted again."""
    async with serving(answering(answer)) as server, Transport() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.send(server.origin, GET)
        assert client.open_connections == 0
        await server.all_gone()


@both
async def test_a_refused_connect_is_a_connect_error(make: Make) -> None:
    """Nothing listens on that port."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    client = make()
    reason = "refused" if make is Transport else None
    with pytest.raises(httpx.ConnectError, match=reason):
        await client.send(Origin("http", "127.0.0.1", port), GET)
    assert client.open_connections == 0
    await client.aclose()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".test"])
async def test_a_name_that_does_not_resolve_is_a_connect_error(host: str) -> None:
    """Neither what the resolver says nor what it refuses to be asked escapes as it is."""
    trio.socket.set_custom_hostname_resolver(Names({}))
    async with Transport() as client:
        with pytest.raises(httpx.ConnectError):
            await client.send(Origin("http", host, 80), GET)


async def test_a_reset_before_the_answer_is_a_read_error() -> None:
    """A connection that breaks is told apart from one that ends."""

    async def reset(peer: Peer) -> None:
        await peer.stream.receive_some(10)  # closing with the rest unread resets

    async with serving(reset) as server, Transport() as client:
        with pytest.raises(httpx.ReadError):
            await client.send(server.origin, POST._replace(body=b"x" * 1000))


async def test_a_request_that_is_not_http_opens_no_connection() -> None:
    """It is refused before anything is sent."""
    bad = Request(b"GET", b"/", ((b"A", b"b\r\nEvil: c"),), b"")
    async with serving(answering(HELLO)) as server, Transport() as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.send(server.origin, bad)
        assert server.peers == []


def test_an_origin_is_the_root_of_a_url() -> None:
    """Default ports are filled in; other schemes have no origin here."""
    assert origin_of(httpx.URL("https://a.test/x")) == Origin("https", "a.test", 443)
    assert origin_of(httpx.URL("http://[::1]:8000")) == Origin("http", "::1", 8000)
    with pytest.raises(httpx.UnsupportedProtocol):
        origin_of(httpx.URL("ftp://a.test/x"))


async def flood(peer: Peer) -> None:
    await peer.request()
    await peer.send(CHUNKED)
    while True:
        await peer.stream.send_all(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


async def test_a_server_that_is_always_ahead_does_not_starve_other_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reads that find data waiting are no checkpoints, but not many in a row."""
    monkeypatch.setattr(connection, "READ_SIZE", 1000)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with serving(flood) as server, Transport() as client, trio.open_nursery() as nursery:
        response = await client.send(server.origin, GET)
        await trio.testing.wait_all_tasks_blocked(0.01)  # as much is here as the kernel takes
        nursery.start_soon(count)
        for _ in range(80):
            await response.receive()
        assert turns >= 8
        response.close()
        nursery.cancel_scope.cancel()


async def test_a_server_that_is_always_ahead_does_not_outrun_a_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is noticed within a few reads."""
    monkeypatch.setattr(connection, "READ_SIZE", 1000)
    reads = 0
    async with serving(flood) as server, Transport() as client:
        response = await client.send(server.origin, GET)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.CancelScope() as scope:
            scope.cancel()
            while True:
                await response.receive()
                reads += 1
        assert reads <= 8
        response.close()
