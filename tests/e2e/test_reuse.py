"""Connections are used again, and nothing of one answer gets into the next."""

from __future__ import annotations

import json

import pytest
import trio

from lipstream.emulators.script import Script
from tests.e2e.harness import proxying
from tests.e2e.upstreams import KEPT_HEAD, chunk, encode_sse, raw_upstream
from tests.e2e.wire import Reply, chat, encode_post

GOOD = Script(words=3)


async def test_client_and_upstream_keep_their_connections() -> None:
    """One connection on each side serves one request after the other."""
    async with proxying({"a": GOOD}) as proxy, proxy.client() as client:
        for is_streaming in (True, False, True):
            await client.ask(chat("a:m", stream=is_streaming))
            assert (await client.reply()).text == "word1 word2 word3"
        connections = {entry.connection for entry in proxy.ledger()}
    assert len(connections) == 1


async def test_error_keeps_the_connection() -> None:
    """A client that is told an error may go on asking."""
    async with proxying({"a": Script(status=404), "b": GOOD}) as proxy, proxy.client() as client:
        statuses = []
        for body in (chat("a:m"), b"{", chat("b:m")):
            await client.ask(body)
            statuses.append((await client.reply()).status)
    assert statuses == [404, 400, 200]


async def test_connection_that_died_in_between_costs_no_attempt() -> None:
    """A kept connection that the upstream has closed meanwhile says nothing about the upstream."""
    async with proxying({"a": Script(words=3, close_unannounced=True)}) as proxy:
        for number in range(1, 6):
            reply = await proxy.post(chat("a:m"))
            record = await proxy.record(number)
            assert reply.is_done
            assert [attempt.reason for attempt in record.attempts] == ["complete"]


async def test_end_of_the_body_is_not_waited_for() -> None:
    """The answer is over with its end marker; a connection whose body is not is not used again."""
    async with proxying({"a": Script(words=3, close_delay=1.0)}) as proxy:
        replies = [await proxy.post(chat(f"a:m{number}")) for number in range(3)]
        connections = {entry.connection for entry in proxy.ledger()}
    assert [reply.text for reply in replies] == ["word1 word2 word3"] * 3
    assert max(reply.seconds for reply in replies) < 0.9
    assert len(connections) == 3


@pytest.mark.parametrize(
    "junk",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"data: evil\n\n"],
    ids=["response", "event"],
)
async def test_bytes_after_the_answer_reach_nobody(junk: bytes) -> None:
    """An upstream that says more than it was asked for loses its connection."""
    answer = encode_sse(
        chunk(0, role="assistant", content="good"), chunk(0, "stop"), head=KEPT_HEAD
    )

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(answer + junk)
        await trio.sleep(0.02)
        await stream.send_all(junk)
        while await stream.receive_some():
            await stream.send_all(answer)

    async with raw_upstream(talk) as raw, proxying({"a": raw.base_url}) as proxy:
        replies: list[Reply] = []
        for pause in (0.0, 0.01, 0.05, 0.0):
            replies.append(await proxy.post(chat("a:m")))
            await trio.sleep(pause)
    assert [(reply.text, reply.is_done) for reply in replies] == [("good", True)] * 4
    assert raw.opened == 4


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Few clients do that; those get their answers one after the other."""
    first, second = (json.dumps(chat(f"a:{name}")).encode() for name in ("m", "n"))
    async with proxying({"a": Script(words=3, pace=0.02)}) as proxy, proxy.client() as client:
        await client.send(encode_post(first) + encode_post(second, "Connection: close"))
        received = b""
        with trio.fail_after(5):
            while data := await client.stream.receive_some():
                received += data
    heads = received.split(b"HTTP/1.1 200")[1:]
    assert [head.count(b"[DONE]") for head in heads] == [1, 1]
    assert [entry.model for entry in proxy.ledger()] == ["m", "n"]


async def test_client_that_wants_the_connection_closed_gets_it_closed() -> None:
    """The end of the stream is then also the end of the connection."""
    async with proxying({"a": GOOD}) as proxy, proxy.client() as client:
        await client.ask(chat("a:m"), "Connection: close")
        reply = await client.reply()
        with trio.fail_after(2):
            rest = await client.stream.receive_some()
    assert reply.is_done
    assert rest == b""
