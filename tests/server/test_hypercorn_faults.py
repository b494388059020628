"""What stock Hypercorn 0.18 (Trio) does wrong for us, fault by fault, and that we do not.

Each docstring says what the stock server does. When a later Hypercorn mends one of them, the part
of ``lipstream/server/tcp.py`` or ``protocol.py`` that stands against it can go.
"""

from __future__ import annotations

import math
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trio
import trio.lowlevel
import trustme
from hypercorn.trio.tcp_server import TCPServer
from quart import Response, websocket
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

from lipstream.errors import ClientGone
from lipstream.server import tcp
from lipstream.server.downstream import Downstream
from lipstream.server.serve import Serving
from tests.server.wire import (
    ASK,
    CHAT,
    JSON_LINES,
    POST_CHAT,
    SSE_LINES,
    Client,
    Watched,
    app_for,
    chunked,
    connect,
    conversation,
    echo,
    serving,
    until,
)

SMALL_BUFFER = 4096
PIECE = b"data: " + b"x" * 65_536 + b"\n\n"

# ---------------------------------------------------------------- closing


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n",
        b"POST /v1/chat/completions HTTP/1.0\r\n",
        b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n",
        b"GET /livez HTTP/1.0\r\n",
        b"GET /nowhere HTTP/1.0\r\n",
    ],
)
async def test_response_that_is_the_last_closes_the_connection(request_head: bytes) -> None:
    """Stock: closing is awaited in the application's task, which Quart-Trio cancels at that very
    moment; the client of ``Connection: close`` or HTTP/1.0 waits for ever for the end."""
    async with conversation(echo) as client:
        await client.send(request_head + b"\r\n")
        response = await client.rest()
        assert response.startswith(b"HTTP/1.1 ")
        assert b"connection: close\r\n" in response.lower()


async def test_drain_ends_with_the_last_stream() -> None:
    """Stock: for the same reason a drain always takes the whole graceful timeout."""
    app, is_over = app_for(echo), trio.Event()

    @app.get("/stream")
    async def stream() -> Response:
        async def pieces() -> AsyncIterator[bytes]:  # noqa: ASYNC900 - what Quart takes
            yield b"data: 1\n\n"
            await is_over.wait()
            yield b"data: 2\n\n"

        return Response(pieces())

    async with serving(app, grace=math.inf) as server:
        idle, client = await connect(server), await connect(server)
        await client.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.until(b"data: 1\n\n")
        server.drain()
        assert await idle.rest() == b""  # nobody waits for an idle connection
        is_over.set()
        assert b"data: 2\n\n" in await client.rest()
        await until(lambda: server.open_connections == 0)


async def test_response_to_an_unread_upload_closes_without_a_reset() -> None:
    """Stock: the application answers, the reader is still stuck with the body in a full queue, and
    both wait for ever. Then a close with unread data would be a reset, which may destroy the
    response on its way: we say that we are done, and read on for a moment."""

    async def handler(downstream: Downstream) -> None:
        await downstream.respond(413, JSON_LINES, b"{}")

    async with serving(app_for(handler)) as server:
        client = await connect(server)
        await client.send(POST_CHAT + b"Content-Length: 40000000\r\n\r\n")
        with trio.move_on_after(0.3):  # it sends much more than the server would buffer
            while True:
                await client.send(bytes(2**16))
        reply = await client.reply()
        assert (reply.status, await client.is_reset()) == (413, False)
        await client.stream.aclose()
        await until(lambda: server.open_connections == 0)


async def test_client_that_never_ends_its_upload_is_not_read_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other side of reading on: it ends."""
    monkeypatch.setattr(tcp, "LINGER_SECONDS", 0.1)

    async def handler(downstream: Downstream) -> None:
        await downstream.respond(413, JSON_LINES, b"{}")

    async with serving(app_for(handler)) as server:
        client = await connect(server)
        await client.send(POST_CHAT + b"Content-Length: 40000000\r\n\r\nx")
        assert (await client.reply()).status == 413
        await until(lambda: server.open_connections == 0)


async def test_upload_that_stops_is_given_up() -> None:
    """Stock: has no limit of time on a request's body."""
    async with serving(app_for(echo), read_timeout=0.1) as server:
        client = await connect(server)
        await client.send(POST_CHAT + b"Content-Length: 10\r\n\r\nhalf")
        assert await client.rest() == b""
        await until(lambda: server.open_connections == 0)


# ---------------------------------------------------------------- writing


async def test_client_that_does_not_read_is_cut_and_told_as_stalled() -> None:
    """Stock: writing is shielded from cancellation and has no deadline, so a client that stops
    reading holds its request, and the whole process at its end, for as long as it likes."""
    handler = Watched(PIECE, pause=0)
    async with serving(app_for(handler), write_timeout=0.2) as server:
        client = await connect(server, receive_buffer=SMALL_BUFFER)
        await client.send(ASK)
        assert await handler.told() == ["client_stalled"]
        assert await client.is_reset()


async def test_drain_is_not_held_up_by_a_client_that_does_not_read() -> None:
    """Stock: SIGTERM did not end the process until such clients hung up."""
    handler = Watched(PIECE, pause=0)
    async with serving(
        app_for(handler), write_timeout=math.inf, grace=0.1, last_words=0.1
    ) as server:
        client = await connect(server, receive_buffer=SMALL_BUFFER)
        await client.send(ASK)
        await handler.started()
        server.drain()
        await until(lambda: server.open_connections == 0)


async def test_writing_can_be_cancelled_and_loses_nothing() -> None:
    """Stock: a deadline around ``send`` has no effect. Ours leaves what the kernel did not take to
    the next piece, so that an error can still be told in the stream."""
    pieces = [b"a" * 3_000_000, b"b" * 1000]
    is_cancelled = trio.Event()

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        with trio.move_on_after(0.05) as scope:
            await downstream.send(pieces[0] * 4)
        assert scope.cancelled_caught
        is_cancelled.set()
        await downstream.send(pieces[1])
        await downstream.finish()

    async with serving(app_for(handler)) as server:
        client = await connect(server, receive_buffer=SMALL_BUFFER)
        await client.send(ASK)
        await is_cancelled.wait()
        reply = await client.reply()
        assert reply.is_complete
        assert reply.body == pieces[0] * 4 + pieces[1]


async def test_writer_that_never_has_to_wait_lets_others_run() -> None:
    """The price of trying the socket first, which is not a checkpoint, is to make one at times."""
    turns = 0

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        before = turns
        for _ in range(10 * tcp.WRITES_PER_CHECKPOINT):
            await downstream.send(b"x")
        await downstream.send(b"%d" % (turns - before))
        await downstream.finish()

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery, conversation(handler) as client:
        nursery.start_soon(count_turns)
        assert int((await client.ask(ASK)).body.strip(b"x")) >= 9
        nursery.cancel_scope.cancel()


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is written to sockets, write by write."""
    made: list[bytes] = []
    write_now = tcp.EdgeServer._write_now

    async def record(self: tcp.EdgeServer, data: bytes) -> None:
        made.append(data)
        await write_now(self, data)

    monkeypatch.setattr(tcp.EdgeServer, "_write_now", record)
    return made


async def test_response_is_one_write(writes: list[bytes]) -> None:
    """Stock: three, each under a lock and in a shielded scope: a third of its time per request."""
    async with conversation(echo) as client:
        await client.ask(ASK)
        await client.ask(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
    assert [write[-2:] for write in writes] == [b"{}", b"ok"]


async def test_streamed_head_goes_out_with_the_first_piece(writes: list[bytes]) -> None:
    """Stock: as a write, and usually a segment, of its own."""

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"one")
        await downstream.send(b"two")
        await downstream.finish()

    async with conversation(handler) as client:
        assert (await client.ask(ASK)).body == b"onetwo"
    assert [write.rpartition(b"\r\n\r\n")[2] for write in writes[:2]] == [
        b"3\r\none\r\n",
        b"3\r\ntwo\r\n",
    ]
    assert writes[2:] == [b"0\r\n\r\n"]


# ---------------------------------------------------------------- framing


@pytest.mark.parametrize(
    "head",
    [
        POST_CHAT + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        POST_CHAT + b"Content-Length: 3\r\nContent-Length: 4\r\n",
        POST_CHAT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"POST /v1/chat/completions HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
    ],
)
async def test_request_of_ambiguous_length_is_refused(head: bytes) -> None:
    """Stock: takes Content-Length together with Transfer-Encoding. A proxy in front that reads the
    other one of the two would let a request of its client's choice through (smuggling)."""
    async with conversation(echo) as client:
        await client.send(head + b"\r\n" + chunked(b"abc") + ASK)
        reply = await client.reply()
        assert reply.status in {400, 501}
        assert reply.error["type"] == "invalid_request_error"
        assert await client.rest() == b""  # and what follows is not taken for a request


@pytest.mark.parametrize(("size", "status"), [(2000, 200), (2001, 431)])
async def test_limit_on_the_head_is_exact(size: int, status: int) -> None:
    """Stock: what comes in one segment may be larger."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\n"
    start = head + b"host: h\r\nx: "
    padding = b"a" * (size - len(start + b"\r\n\r\n"))
    async with conversation(echo, max_head_bytes=2000) as client:
        reply = await client.ask(start + padding + b"\r\n\r\n")
        assert reply.status == status


async def test_requests_may_be_cut_anywhere() -> None:
    """Two requests, the first with a body, in two segments: every cut gives the same responses."""
    requests = ASK + POST_CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"[1", b"]")
    async with serving(app_for(echo)) as server:
        for cut in range(1, len(requests)):
            client = await connect(server)
            await client.send(requests[:cut])
            await trio.lowlevel.checkpoint()
            await client.send(requests[cut:])
            assert [(await client.reply()).body for _ in range(2)] == [b"{}", b"[1]"]
            client.leave()


async def test_endless_head_is_refused() -> None:
    """A head that never ends is not collected for ever."""
    async with conversation(echo, max_head_bytes=2000) as client:
        await client.send(POST_CHAT + b"x: " + b"a" * 100_000)
        reply = await client.reply()
        assert (reply.status, await client.rest()) == (431, b"")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 9]
)
async def test_garbage_is_refused(garbage: bytes) -> None:
    """TLS on a plain port, a request without a host, anything: 400 and the end."""
    async with conversation(echo) as client:
        await client.send(garbage + b"\r\n\r\n")
        assert (await client.reply()).status == 400
        assert await client.rest() == b""


async def test_body_that_breaks_its_framing_ends_the_request() -> None:
    """The handler is told that there is no more to come."""
    handler = Watched()
    async with conversation(handler) as client:
        await client.send(POST_CHAT + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        assert b"HTTP/1.1 400 " in await client.rest()
        await until(lambda: not handler.running)


async def test_bytes_after_the_last_request_do_not_cut_the_response() -> None:
    """Stock: a stray line end after ``Connection: close``, which old clients send, ends the
    connection in the middle of the response."""
    handler = Watched()
    async with conversation(handler) as client:
        await client.send(POST_CHAT + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}\r\n")
        for _ in range(3):
            await client.until(b"data: x\n\n")
            await client.send(b"\r\n")
        assert handler.running == 1


# ---------------------------------------------------------------- connections


async def test_connection_serves_more_than_a_thousand_requests() -> None:
    """Stock: says ``Connection: close`` at the thousandth."""
    async with conversation(echo) as client:
        for _ in range(1100):
            reply = await client.ask(ASK)
            assert (reply.status, reply.headers.get("connection")) == (200, None)


async def test_idle_connection_is_closed_after_its_time() -> None:
    """Stock: after 5 s by default, by a task that every request stops and starts again."""
    async with conversation(echo, keep_alive_timeout=0.2) as client:
        assert (await client.ask(ASK)).status == 200
        assert await client.rest() == b""


async def test_connection_that_says_nothing_or_half_a_head_is_closed() -> None:
    """A trickle of header bytes does not make a connection busy."""
    async with conversation(echo, keep_alive_timeout=0.2) as client:
        await client.send(POST_CHAT)
        assert await client.rest() == b""


async def test_long_response_is_not_idleness() -> None:
    """The clock of idleness runs between requests."""
    handler = Watched(pause=0.1)
    async with conversation(handler, keep_alive_timeout=0.15) as client:
        await client.send(ASK)
        for _ in range(5):
            assert await client.until(b"data: x\n\n")


async def test_client_that_pipelined_and_left_is_noticed() -> None:
    """Stock: the second request stops the reader, so the client can leave unseen."""
    handler = Watched(pause=math.inf)
    async with conversation(handler) as client:
        await client.send(ASK + ASK)
        await handler.started()
        await trio.sleep(0.05)
        client.leave()
        assert await handler.told() == ["client_gone"]


@pytest.mark.parametrize("size", [10, 200_000])
async def test_pipelined_request_waits_for_its_turn(size: int) -> None:
    """However much of it is here already."""
    async with conversation(echo) as client:
        body = b"b" * size
        second = POST_CHAT + b"Content-Length: %d\r\n\r\n" % size + body
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, ASK + second)
            assert (await client.reply()).body == b"{}"
            assert (await client.reply()).body == body


@pytest.mark.parametrize(("length", "statuses"), [(2, [100, 200]), (10**8, [413])])
async def test_continue_is_sent_when_the_body_is_wanted(length: int, statuses: list[int]) -> None:
    """Stock: asks for every body, also for one that will be refused by its length."""
    async with conversation(echo) as client:
        await client.send(
            POST_CHAT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length
        )
        seen = [(await client.reply()).status]
        if seen == [100]:
            seen.append((await client.ask(b"{}")).status)
        assert seen == statuses


# ---------------------------------------------------------------- HTTP/1.0


async def test_aborted_response_of_http_10_is_reset() -> None:
    """Where the end of the connection is the end of the response, only a reset tells that
    something is missing."""

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"data: x\n\n")
        await trio.sleep(0.05)
        downstream.abort()

    async with conversation(handler) as client:
        await client.send(b"POST /v1/chat/completions HTTP/1.0\r\n\r\n")
        assert await client.is_reset()


# ---------------------------------------------------------------- HTTP/2, WebSocket, TLS


class H2Client:
    """A client that speaks HTTP/2 from the first byte."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []

    async def post(self, *, is_complete: bool = True) -> int:
        """Sends a request and returns its stream's number."""
        number = self.h2.get_next_available_stream_id()
        head = {":method": "POST", ":path": CHAT, ":scheme": "http", ":authority": "h"}
        self.h2.send_headers(number, list(head.items()), end_stream=is_complete)
        await self.flush()
        return number

    async def flush(self) -> None:
        """Sends what is due."""
        await self.client.send(self.h2.data_to_send())

    async def until(self, kind: type[Any]) -> Any:
        """The next event of a kind."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if isinstance(event, kind):
                    return event
            assert await self.client.more(), "the connection ended"
            self.events = self.h2.receive_data(self.client.seen)
            self.client.seen = b""
            await self.flush()


async def test_http_2_is_served_and_its_cancelled_stream_is_told() -> None:
    """Without TLS by prior knowledge; other streams of the connection go on."""
    handler = Watched()
    async with conversation(handler) as client:
        session = H2Client(client)
        first, second = await session.post(), await session.post()
        assert (await session.until(h2.events.DataReceived)).data == b"data: x\n\n"
        await handler.started(2)
        session.h2.reset_stream(first)
        await session.flush()
        await until(lambda: handler.reasons == ["client_gone"])
        assert (await session.until(h2.events.DataReceived)).stream_id == second


async def test_http_2_by_upgrade_is_served() -> None:
    """The connection changes its protocol under way."""
    async with conversation(echo) as client:
        session = H2Client(client)
        session.h2 = h2.connection.H2Connection()
        settings = session.h2.initiate_upgrade_connection()
        assert settings is not None
        await client.send(
            b"OPTIONS /livez HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: " + settings + b"\r\n\r\n"
        )
        assert (await client.reply()).status == 101
        await session.flush()
        assert (await session.until(h2.events.StreamEnded)).stream_id == 1
        number = await session.post()
        assert (await session.until(h2.events.StreamEnded)).stream_id == number


async def test_http_2_connection_drains_with_its_last_stream() -> None:
    """Nothing new is begun on it; what runs goes on to its end."""
    is_over = trio.Event()

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"data: 1\n\n")
        await is_over.wait()
        await downstream.send(b"data: 2\n\n")
        await downstream.finish()

    async with serving(app_for(handler), grace=math.inf) as server:
        session = H2Client(await connect(server))
        running = await session.post()
        await session.until(h2.events.DataReceived)
        server.drain()
        await trio.sleep(0.05)
        refused = await session.post()
        assert (await session.until(h2.events.StreamReset)).stream_id == refused
        is_over.set()
        assert (await session.until(h2.events.DataReceived)).data == b"data: 2\n\n"
        assert (await session.until(h2.events.StreamEnded)).stream_id == running
        await until(lambda: server.open_connections == 0)


async def test_http_2_stream_that_breaks_off_is_reset() -> None:
    """Stock: says nothing, and the client waits for ever."""

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"data: x\n\n")
        downstream.abort()

    async with conversation(handler) as client:
        session = H2Client(client)
        number = await session.post()
        reset = await session.until(h2.events.StreamReset)
        assert (reset.stream_id, reset.error_code) == (number, 2)  # INTERNAL_ERROR


async def test_http_2_client_that_keeps_its_window_shut_is_given_up() -> None:
    """Stock: waits for the window without end."""
    handler = Watched(PIECE, pause=0)
    async with conversation(handler, write_timeout=0.2) as client:
        session = H2Client(client)
        await session.post()
        await session.until(h2.events.StreamReset)
        assert len(await handler.told()) == 1


async def test_http_2_client_that_leaves_frees_a_writer_that_waits_for_its_window() -> None:
    """Stock: nobody wakes it."""
    outcomes: list[str] = []

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        try:
            while True:
                await downstream.send(PIECE)
        except ClientGone as error:
            outcomes.append(str(error))

    async with conversation(handler, write_timeout=math.inf) as client:
        session = H2Client(client)
        await session.post()
        await session.until(h2.events.DataReceived)
        await trio.sleep(0.05)
        client.leave()
        await until(lambda: outcomes == ["client_gone"])


async def test_http_2_upload_answered_early_does_not_end_the_connection() -> None:
    """Stock: data for a stream that is answered already is a KeyError, which takes the connection
    and every other stream with it."""

    async def handler(downstream: Downstream) -> None:
        await downstream.respond(413, JSON_LINES, b"{}")

    async with conversation(handler) as client:
        session = H2Client(client)
        number = await session.post(is_complete=False)
        await session.until(h2.events.StreamEnded)
        session.h2.send_data(number, b"late")
        await session.flush()
        await session.post()
        await session.until(h2.events.StreamEnded)


async def test_websocket_is_served() -> None:
    """By stock code, on our connection."""
    app = app_for(echo)

    @app.websocket("/ws")
    async def ws() -> None:
        await websocket.send(await websocket.receive())

    async with serving(app) as server:
        client = await connect(server)
        ws_client = WSConnection(ConnectionType.CLIENT)
        await client.send(ws_client.send(Request(host="h", target="/ws")))
        seen: list[type[Any]] = []
        while TextMessage not in seen and await client.more():
            ws_client.receive_data(client.seen)
            client.seen = b""
            for event in ws_client.events():
                seen.append(type(event))
                if isinstance(event, AcceptConnection):
                    await client.send(ws_client.send(TextMessage(data="hello")))
        assert seen[:2] == [AcceptConnection, TextMessage]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs the certificates of this file."""
    return trustme.CA()


@pytest.fixture
def tls_files(authority: trustme.CA, tmp_path: Any) -> dict[str, str]:
    """A server's certificate and key."""
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return {"certfile": str(tmp_path / "cert.pem"), "keyfile": str(tmp_path / "key.pem")}


async def connect_tls(server: Serving, authority: trustme.CA, protocol: str) -> Client:
    """Connects with TLS, offering one protocol."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols([protocol])
    plain = (await connect(server)).stream
    stream = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
    await stream.do_handshake()
    return Client(stream)


async def test_tls_is_served(authority: trustme.CA, tls_files: dict[str, str]) -> None:
    """HTTP/1.1 with the same rules, HTTP/2 where both sides name it."""
    async with serving(app_for(echo), **tls_files) as server:
        assert server.addresses[0].startswith("https://")
        client = await connect_tls(server, authority, "http/1.1")
        assert (await client.ask(ASK)).body == b"{}"
        await client.send(b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert (await client.rest()).endswith(b"ok")
        session = H2Client(await connect_tls(server, authority, "h2"))
        await session.post()
        await session.until(h2.events.StreamEnded)


@pytest.mark.parametrize("opening", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
async def test_tls_handshake_that_comes_to_nothing_is_given_up(
    opening: bytes, tls_files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Silence, half a hello, plain HTTP: the end, and nothing for the log."""
    async with serving(app_for(echo), read_timeout=0.1, **tls_files) as server:
        client = await connect(server)
        await client.send(opening)
        await client.rest()
        await until(lambda: server.open_connections == 0)
    assert "failed" not in caplog.text


async def test_tls_client_that_leaves_or_stalls_is_told(
    authority: trustme.CA, tls_files: dict[str, str]
) -> None:
    """As without TLS."""
    handler = Watched(PIECE, pause=0.01)
    async with serving(app_for(handler), write_timeout=0.3, **tls_files) as server:
        client = await connect_tls(server, authority, "http/1.1")
        await client.send(ASK)
        await client.until(b"data: x")
        await trio.aclose_forcefully(client.stream)
        assert await handler.told() == ["client_gone"]
        client = await connect_tls(server, authority, "http/1.1")
        await client.send(ASK)
        assert await handler.told(2) == ["client_gone", "client_stalled"]


# ---------------------------------------------------------------- another Hypercorn


def test_installed_hypercorn_fits() -> None:
    """What we build on is there; else every test above would run on stock code."""
    assert tcp.misfit() == ""


async def test_hypercorn_without_what_we_import_serves_with_its_own_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A later one may have moved it."""
    monkeypatch.delattr("lipstream.server.tcp")
    monkeypatch.setitem(sys.modules, "lipstream.server.tcp", None)
    async with conversation(echo) as client:
        assert (await client.ask(ASK)).body == b"{}"
    assert "does not fit" in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SUPPORTED_VERSION", "99.", "not 99.x"),
        ("SEAM", {TCPServer: {"gone": ()}}, "TCPServer.gone takes None"),
        ("SEAM", {TCPServer: {"run": ("more",)}}, "TCPServer.run takes ()"),
    ],
)
async def test_hypercorn_that_does_not_fit_serves_with_its_own_connections(
    name: str,
    value: object,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a warning that says why, and what is lost."""
    monkeypatch.setattr(tcp, name, value)
    async with conversation(echo) as client:
        assert (await client.ask(ASK)).body == b"{}"
    assert words in caplog.text
    assert "does not fit" in caplog.text


def test_sockets_are_small_enough_for_these_tests() -> None:
    """A client that does not read is only one where its kernel does not read for it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 4 * SMALL_BUFFER
