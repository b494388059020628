"""Handlers on ASGI, on our own connections and on stock ones: the same, unless a test says why."""

from __future__ import annotations

import logging
import math

import pytest
import trio
import trio.testing

from lipstream.errors import BadRequest, ClientGone, TooLarge
from lipstream.server.connection import INBOX_MESSAGES, Inbox
from lipstream.server.downstream import Downstream
from tests.server.wire import (
    ASK,
    JSON_LINES,
    POST_CHAT,
    SSE_LINES,
    Watched,
    chunked,
    conversation,
    echo,
    until,
)


@pytest.fixture(autouse=True, params=["ours", "stock"])
def connections(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs every test of this file on both kinds of connection."""
    kind = str(request.param)
    if kind == "stock":
        monkeypatch.setattr("lipstream.server.tcp.misfit", lambda: "the test asks for it")
    return kind


# ---------------------------------------------------------------- request


async def test_request_head_reaches_the_handler() -> None:
    """Names in lower case, of a repeated header the last value, the query as it was."""
    seen = []

    async def handler(downstream: Downstream) -> None:
        seen.append(downstream.head)
        await downstream.respond(204, [], b"")

    async with conversation(handler) as client:
        line = b"POST /v1/chat/completions?a=%20b HTTP/1.1\r\nHost: h\r\n"
        await client.send(line + b"X-Lip-Route: a\r\nx-lip-route: b:c\r\n\r\n")
        assert b"content-length" not in (await client.until(b"\r\n\r\n")).lower()
    head = seen[0]
    assert ("POST", "/v1/chat/completions", "a=%20b") == (head.method, head.path, head.query)
    assert head.headers["x-lip-route"] == "b:c"
    assert head.client.startswith("127.0.0.1:")


async def test_body_in_many_segments_is_joined() -> None:
    """The handler gets one piece, however it travelled."""
    async with conversation(echo) as client:
        body = bytes(range(256)) * 1000
        await client.send(POST_CHAT + b"Content-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 50_000):
            await client.send(body[start : start + 50_000])
            await trio.sleep(0.001)
        assert (await client.reply()).body == body


async def test_chunked_body_is_joined() -> None:
    """A body without Content-Length is as good."""
    async with conversation(echo) as client:
        reply = await client.ask(
            POST_CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"ab", b"c", b"def")
        )
        assert reply.body == b"abcdef"


async def read_little(downstream: Downstream) -> None:
    """Takes bodies of up to 1000 bytes."""
    try:
        await downstream.read_body(1000)
    except TooLarge as error:
        await downstream.respond(418, JSON_LINES, str(error).encode())
    else:
        await downstream.respond(200, [], b"fits")


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 418)])
async def test_body_over_the_limit_is_refused_whichever_way_it_comes(
    size: int, status: int
) -> None:
    """The limit is on the body's bytes, declared or counted, and exact."""
    body = b"x" * size
    async with conversation(read_little) as client:
        reply = await client.ask(POST_CHAT + b"Content-Length: %d\r\n\r\n" % size + body)
        assert reply.status == status
    async with conversation(read_little) as client:
        reply = await client.ask(
            POST_CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body[:600], body[600:])
        )
        assert reply.status == status


async def test_body_that_is_too_large_by_its_length_is_refused_unread() -> None:
    """Nobody has to send 40 MB to learn that they are too many; unhandled, it is a 413."""

    async def handler(downstream: Downstream) -> None:
        await downstream.read_body(1000)

    async with conversation(handler) as client:
        reply = await client.ask(POST_CHAT + b"Content-Length: 40000000\r\n\r\n")
        assert reply.status == 413
        assert reply.error["code"] == "request_too_large"
        assert "40000000" in reply.error["message"]


# ---------------------------------------------------------------- response


async def test_responses_keep_the_connection() -> None:
    """One connection serves one request after the other."""
    async with conversation(echo) as client:
        for text in (b"{}", b"[]", b""):
            request = POST_CHAT + b"Content-Length: %d\r\n\r\n" % len(text) + text
            reply = await client.ask(request)
            assert (reply.status, reply.body) == (200, text)
            assert reply.headers["content-length"] == str(len(text))
            assert "server" not in reply.headers


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Three requests in one segment."""
    async with conversation(echo) as client:
        texts = [b"one", b"two", b"three"]
        await client.send(
            b"".join(POST_CHAT + b"Content-Length: %d\r\n\r\n" % len(t) + t for t in texts)
        )
        assert [(await client.reply()).body for _ in texts] == texts


async def test_streamed_pieces_arrive_as_they_are_sent() -> None:
    """Nothing is held back once the first piece is sent."""
    go_on = trio.Event()

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"data: 1\n\n")
        await go_on.wait()
        await downstream.send(b"")
        await downstream.send(b"data: 2\n\n")
        await downstream.finish()

    async with conversation(handler) as client:
        await client.send(ASK)
        await client.until(b"data: 1\n\n\r\n")
        go_on.set()
        assert await client.until(b"0\r\n\r\n") == b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"


async def test_stream_without_a_piece_is_an_empty_response() -> None:
    """The head is held back for the first piece, but not for ever."""

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        await downstream.finish()

    async with conversation(handler) as client:
        reply = await client.ask(ASK)
        assert (reply.status, reply.body, reply.is_complete) == (200, b"", True)


# ---------------------------------------------------------------- the client leaves


@pytest.mark.parametrize("way", ["leave", "reset"])
async def test_client_leaving_before_the_response_is_told(way: str) -> None:
    """While the handler waits for a first token, nothing is written that could fail."""
    handler = Watched(pause=math.inf)
    async with conversation(handler) as client:
        await client.send(ASK)
        await handler.started()
        getattr(client, way)()
        assert await handler.told() == ["client_gone"]


@pytest.mark.parametrize("way", ["leave", "reset"])
async def test_client_leaving_in_mid_stream_is_told_once(way: str) -> None:
    """By a FIN or by a reset."""
    handler = Watched()
    async with conversation(handler) as client:
        await client.send(ASK)
        await client.until(b"data: x")
        getattr(client, way)()
        assert await handler.told() == ["client_gone"]
        await trio.sleep(0.05)
        assert handler.reasons == ["client_gone"]


async def test_half_close_counts_as_leaving() -> None:
    """A client that will not send any more is taken for gone."""
    handler = Watched()
    async with conversation(handler) as client:
        await client.send(ASK)
        await client.until(b"data: x")
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        assert await handler.told() == ["client_gone"]


async def test_registering_after_the_client_left_tells_at_once() -> None:
    """There is no moment at which leaving goes unseen."""
    reasons: list[str] = []
    is_told = trio.Event()

    async def handler(downstream: Downstream) -> None:
        await downstream.read_body(1000)
        await trio.sleep(0.05)
        with pytest.raises(ClientGone):
            await downstream.send_head(200, SSE_LINES)
        downstream.on_disconnect(reasons.append)
        is_told.set()

    async with conversation(handler) as client:
        await client.send(ASK)
        client.leave()
        with trio.fail_after(5):
            await is_told.wait()
        assert reasons == ["client_gone"]


async def test_sending_to_a_client_that_left_raises() -> None:
    """Also for a handler that registered nobody: it does not stream to the end for nobody."""
    outcome: list[str] = []

    async def handler(downstream: Downstream) -> None:
        await downstream.read_body(1000)
        await downstream.send_head(200, SSE_LINES)
        try:
            while True:
                await downstream.send(b"data: x\n\n")
                await trio.sleep(0.005)
        except ClientGone as error:
            outcome.append(str(error))
            raise

    async with conversation(handler) as client:
        await client.send(ASK)
        await client.until(b"data: x")
        client.leave()
        await until(lambda: bool(outcome))
    assert outcome == ["client_gone"]


async def test_client_leaving_within_its_request_raises() -> None:
    """Half a body is no body."""
    outcome: list[type[Exception]] = []

    async def handler(downstream: Downstream) -> None:
        try:
            await downstream.read_body(1000)
        except ClientGone as error:
            outcome.append(type(error))

    async with conversation(handler) as client:
        await client.send(POST_CHAT + b"Content-Length: 100\r\n\r\nhalf")
        await trio.sleep(0.05)
        client.leave()
        await until(lambda: bool(outcome))
    assert outcome == [ClientGone]


async def test_client_leaving_after_the_response_is_not_told() -> None:
    """It got what it came for."""
    reasons: list[str] = []

    async def handler(downstream: Downstream) -> None:
        downstream.on_disconnect(reasons.append)
        await echo(downstream)
        await trio.sleep(0.05)

    async with conversation(handler) as client:
        await client.ask(ASK)
        client.leave()
        await trio.sleep(0.1)
    assert reasons == []


# ---------------------------------------------------------------- handlers that fail


async def test_handler_that_raises_before_the_response_is_a_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client gets OpenAI's shape and no traceback, the log gets the traceback."""

    async def handler(downstream: Downstream) -> None:
        await downstream.read_body(1000)
        await downstream.send_head(200, SSE_LINES)  # held back, so there is still time
        raise ZeroDivisionError("the bug")

    async with conversation(handler) as client:
        with caplog.at_level(logging.ERROR, "lipstream.server"):
            reply = await client.ask(ASK)
        assert reply.status == 500
        assert (reply.error["type"], reply.error["code"]) == ("server_error", "internal_error")
        assert b"bug" not in reply.body
        assert "ZeroDivisionError: the bug" in caplog.text
        assert (await client.ask(ASK)).status == 500


async def test_handler_that_raises_in_mid_stream_cuts_the_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is not complete must not look complete."""

    async def handler(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"data: x\n\n")
        raise BadRequest("too late")

    async with conversation(handler) as client:
        reply = await client.ask(ASK)
        assert (reply.status, reply.body, reply.is_complete) == (200, b"data: x\n\n", False)
        assert "BadRequest: too late" in caplog.text


async def test_handler_that_does_not_answer_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """Returning is not answering."""

    async def handler(downstream: Downstream) -> None:
        await downstream.read_body(1000)

    async with conversation(handler) as client:
        assert (await client.ask(ASK)).status == 500
        assert "left unanswered" in caplog.text


async def test_response_that_is_longer_than_it_says_is_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The rest would be taken for the next response."""

    async def handler(downstream: Downstream) -> None:
        await downstream.read_body(1000)
        await downstream.send_head(200, [(b"content-length", b"3")])
        await downstream.send(b"abc")
        await downstream.send(b"def")

    async with conversation(handler) as client:
        await client.send(ASK)
        assert (await client.rest()).endswith(b"\r\n\r\nabc")
        assert "Too much data" in caplog.text


async def test_second_head_is_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    """And a response without one is another."""

    async def handler(downstream: Downstream) -> None:
        with pytest.raises(AssertionError, match="starts with its head"):
            await downstream.send(b"x")
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"data: x\n\n")
        await downstream.respond(200, [], b"again")

    async with conversation(handler) as client:
        reply = await client.ask(ASK)
        assert (reply.body, reply.is_complete) == (b"data: x\n\n", False)
        assert "a response has one head" in caplog.text


async def test_aborted_stream_is_cut() -> None:
    """No terminating chunk, and everything sent before it arrives."""

    async def handler(downstream: Downstream) -> None:
        await downstream.read_body(1000)
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"event: error\n\n")
        downstream.abort()

    async with conversation(handler) as client:
        reply = await client.ask(ASK)
        assert (reply.body, reply.is_complete) == (b"event: error\n\n", False)


# ---------------------------------------------------------------- the inbox


async def test_inbox_holds_the_reader_back_until_the_application_reads(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An upload that nobody reads stays in the kernel and at the client."""
    inbox = Inbox()
    part = {"type": "http.request", "body": b"x", "more_body": True}
    taken = 0

    async def put_all() -> None:
        nonlocal taken
        for _ in range(INBOX_MESSAGES + 2):
            await inbox.put(part)  # type: ignore[arg-type]
            taken += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_all)
        await trio.sleep(1)
        assert taken == INBOX_MESSAGES
        await inbox.receive()
        await trio.sleep(1)
        assert taken == INBOX_MESSAGES + 1
        inbox.end()
    assert taken == INBOX_MESSAGES + 2
