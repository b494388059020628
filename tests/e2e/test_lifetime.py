"""Time, silence and the end of the process, as a client sees them."""

from __future__ import annotations

import time

import openai
import pytest
import trio

from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, bound, proxying, until
from tests.e2e.sdk import with_sdk
from tests.e2e.wire import DONE, Client, chat

ENDLESS = Script(words=100_000, pace=0.01)
SILENT = Script(hang_before_headers=True)


# ---------------------------------------------------------------- keep-alive


QUIET = Script(words=2, pace=0.6)
KEEPALIVE = {"keepalive": 0.1}


@pytest.fixture
def quick_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy looks for silent streams more often than once a second."""
    monkeypatch.setattr("lipstream.server.endpoint.BEAT_INTERVAL", 0.02)


async def test_silent_stream_is_kept_alive(quick_beat: None) -> None:
    """Comments fill the silence between two words, and are no part of the answer."""
    async with proxying({"a": QUIET}, server=KEEPALIVE) as proxy:
        reply = await proxy.post(chat("a:m"))
    texts = [event for event in reply.events if event.text]
    comments = [event for event in reply.events if event.is_comment]
    assert [event.data for event in comments] == ["keepalive"] * len(comments)
    assert 2 <= len(comments) <= 6
    assert all(texts[0].at < comment.at < texts[1].at for comment in comments)
    assert (reply.text, reply.is_done) == ("word1 word2", True)


async def test_official_client_does_not_see_the_comments(quick_beat: None) -> None:
    """Comments are for whatever counts the seconds between client and proxy."""

    def use(client: openai.OpenAI) -> list[str | None]:
        answer = client.chat.completions.create(
            model="a:m", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        return [choice.delta.content for chunk in answer for choice in chunk.choices]

    async with proxying({"a": QUIET}, server=KEEPALIVE) as proxy:
        contents = await with_sdk(proxy, use)
    assert [content for content in contents if content] == ["word1", " word2"]


async def test_nothing_is_sent_before_the_first_word(quick_beat: None) -> None:
    """Without early headers the status is held back, however long it takes."""
    late = Script(role_chunk=True, content_after=0.5, words=2)
    async with proxying({"a": late}, server=KEEPALIVE) as proxy:
        reply = await proxy.post(chat("a:m"))
        failed = await proxy.post(chat("a:m"), "X-LIP-Timeout: 0.3")
    assert not any(event.is_comment for event in reply.events)
    assert (failed.status, failed.error["code"]) == (504, "timeout")


async def test_early_headers_keep_a_waiting_client(quick_beat: None) -> None:
    """Where the route allows it, head and comments come before the first word."""
    late = Script(role_chunk=True, content_after=0.5, words=2)
    routing = {"early_headers": True}
    async with proxying({"a": late}, server=KEEPALIVE, routing=routing) as proxy:
        asked_at = trio.current_time()
        async with proxy.client() as client:
            await client.ask(chat("a:m"))
            status = await client.head()
            seconds = trio.current_time() - asked_at
            reply = await client.reply()
    assert status == 200
    assert 0.1 <= seconds < 0.5
    assert reply.events[0].is_comment
    assert (reply.text, reply.is_done) == ("word1 word2", True)


async def test_failure_after_early_headers_is_an_error_frame(quick_beat: None) -> None:
    """The status is gone by then, so the stream itself has to say it."""
    late = Script(status=400, headers_after=0.4)
    routing = {"early_headers": True}
    async with proxying({"a": late}, server=KEEPALIVE, routing=routing) as proxy:
        reply = await proxy.post(chat("a:m"))
        record = await proxy.record()
    assert (reply.status, reply.ended) == (200, "complete")
    assert reply.error["message"] == "The backend refused the request as invalid."
    assert [event.is_comment for event in reply.events[:-1]] == [True] * (len(reply.events) - 1)
    assert record.ending.reason == "bad_request"


async def test_failover_after_early_headers_is_silent(quick_beat: None) -> None:
    """Comments commit to nothing."""
    late, routing = Script(status=500, headers_after=0.4), {"early_headers": True}
    upstreams = {"a": late, "b": Script(words=3)}
    async with proxying(upstreams, server=KEEPALIVE, routing=routing) as proxy:
        reply = await proxy.post(chat("a:m|b:m"))
    assert (reply.text, reply.is_done) == ("word1 word2 word3", True)
    assert reply.events[0].is_comment


async def test_failure_in_the_moment_of_a_keepalive_is_told_in_one_way(
    quick_beat: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A keep-alive and an error may be due at once: one response, in order, and no crash."""
    routing = {"early_headers": True, "deadline": 0.12}
    async with proxying({"a": SILENT}, server=KEEPALIVE, routing=routing) as proxy:
        for number in range(1, 6):
            async with proxy.client() as client:
                await client.ask(chat("a:m"))
                await until(lambda: len(proxy.runtime.executor.live))
                await trio.sleep(0.08)
                time.sleep(0.06)  # noqa: ASYNC251 - the loop stands still until both are due
                reply = await client.reply()
                assert reply.error["code"] == "timeout"
                await proxy.record(number)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


# ---------------------------------------------------------------- the client's own limit


async def test_client_may_shorten_the_deadline() -> None:
    """The header counts for the whole exchange, the failed attempts included."""
    async with proxying({"a": SILENT, "b": SILENT}) as proxy:
        reply = await proxy.post(chat("a:m|b:m"), "X-LIP-Timeout: 0.4")
        await proxy.upstream_closed()
    assert (reply.status, reply.error["code"]) == (504, "timeout")
    assert 0.4 <= reply.seconds < bound(0.5, 2.0)


async def test_client_may_not_lengthen_the_deadline() -> None:
    """The operator's deadline holds for everybody."""
    async with proxying({"a": SILENT}, routing={"deadline": 0.3}) as proxy:
        reply = await proxy.post(chat("a:m"), "X-LIP-Timeout: 1000")
    assert reply.status == 504
    assert reply.seconds < bound(0.4, 2.0)


async def test_time_that_ends_in_mid_stream_is_told_in_the_stream() -> None:
    """The deadline is for the last byte, not only for the first."""
    async with proxying({"a": ENDLESS}) as proxy:
        reply = await proxy.post(chat("a:m"), "X-LIP-Timeout: 0.3")
        await proxy.upstream_closed()
    assert reply.text.startswith("word1 word2 word3")
    assert reply.error["code"] == "timeout"


# ---------------------------------------------------------------- draining


async def is_refused(proxy: Proxy) -> bool:
    """Whether nobody listens any more."""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.port)
    except OSError:
        return True
    await stream.aclose()
    return False


async def start(client: Client) -> None:
    """Asks for a stream and waits for its first word."""
    await client.ask(chat("a:m"))
    await client.word()


async def test_running_stream_ends_in_order_while_the_proxy_drains() -> None:
    """Nobody new is let in; the server ends when who is there is served."""
    script = Script(words=40, pace=0.01)
    async with proxying({"a": script}) as proxy, proxy.client() as client:
        await start(client)
        async with proxy.client() as idle:
            proxy.serving.drain()
            assert proxy.runtime.gateway.is_draining
            await until(lambda: not proxy.serving.open_connections > 1)
            assert await idle.head() == 0
        assert await is_refused(proxy)
        assert not proxy.ended.is_set()
        reply = await client.reply()
        with trio.fail_after(2):
            await proxy.ended.wait()
    assert reply.is_done
    assert reply.text.endswith("word39 word40")


async def test_stream_that_outlives_the_grace_is_told_so() -> None:
    """It gets an error frame and no normal end; its upstream is closed."""
    async with proxying({"a": ENDLESS}, server={"grace": 0.3}) as proxy, proxy.client() as client:
        await start(client)
        drained_at = trio.current_time()
        proxy.serving.drain()
        reply = await client.reply()
        seconds = trio.current_time() - drained_at
        with trio.fail_after(2):
            await proxy.ended.wait()
        record = await proxy.record()
    assert reply.ended == "complete"
    assert reply.error["code"] == "shutting_down"
    assert DONE not in [event.data for event in reply.events]
    assert 0.3 <= seconds < bound(0.5, 3.0)
    assert record.ending.reason == "interrupted"
    assert proxy.ledger()[0].outcome == "aborted_by_client"


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_waiting_client_that_outlives_the_grace_gets_a_503(is_streaming: bool) -> None:
    """Nothing was sent yet, so it can be told by a status and go elsewhere."""
    async with proxying({"a": SILENT}, server={"grace": 0.2}) as proxy, proxy.client() as client:
        await client.ask(chat("a:m", stream=is_streaming))
        await until(lambda: len(proxy.ledger()) == 1)
        proxy.serving.drain()
        reply = await client.reply()
        with trio.fail_after(2):
            await proxy.ended.wait()
    assert (reply.status, reply.error["code"]) == (503, "shutting_down")
    assert int(reply.headers["retry-after"]) >= 1


async def test_new_requests_are_refused_while_the_proxy_drains() -> None:
    """As long as it still listens, it says what it is doing, and starts nothing."""
    upstreams, server = {"a": Script(words=40, pace=0.01)}, {"drain_delay": 30}
    async with proxying(upstreams, server=server) as proxy, proxy.client() as client:
        before = await proxy.get("/readyz")
        await start(client)
        proxy.serving.drain()
        refused = await proxy.post(chat("a:m"))
        ready, live = await proxy.get("/readyz"), await proxy.get("/livez")
        reply = await client.reply()
    assert (before.status, before.json["status"]) == (200, "ready")
    assert (refused.status, refused.error["code"]) == (503, "shutting_down")
    assert int(refused.headers["retry-after"]) >= 1
    assert (ready.status, ready.json["status"]) == (503, "draining")
    assert (live.status, live.body) == (200, b"ok")
    assert reply.is_done
    assert len(proxy.ledger()) == 1


async def test_end_cuts_at_once() -> None:
    """A second signal waits for nobody, and leaves nothing behind."""
    async with proxying({"a": ENDLESS}) as proxy, proxy.client() as client:
        await start(client)
        proxy.serving.end()
        with trio.fail_after(3):
            await proxy.ended.wait()
        rest = await client.rest()
        await proxy.upstream_closed()
        record = await proxy.record()
    assert client.ended in ("cut", "reset")
    assert DONE not in [event.data for event in rest]
    assert record.ending.reason in ("client_gone", "cancelled")
