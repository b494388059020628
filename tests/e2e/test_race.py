"""A race is won by the first word, and the losers cost nothing more."""

from __future__ import annotations

import pytest
import trio

from lipstream.emulators.script import Script
from tests.e2e.harness import bound, proxying, until
from tests.e2e.upstreams import raw_upstream, unaccepting
from tests.e2e.wire import Client, Event, chat

EAGER_HEAD = Script(role_chunk=True, content_after=3.0, text="late")
FIRST_WORD = Script(role_chunk=True, content_after=0.6, words=4, pace=0.01)
SWIFT = Script(words=3, content_after=0.1, pace=0.01)


async def race(client: Client, model: str) -> tuple[float, Event]:
    """Asks, and waits for the first word; returns how long it took, and it."""
    asked_at = trio.current_time()
    await client.ask(chat(model))
    word = await client.word()
    return word.at - asked_at, word


async def test_first_word_wins_over_first_headers() -> None:
    """Neither headers nor a role-only delta win: the client waits for the first word alone."""
    async with proxying({"a": EAGER_HEAD, "b": FIRST_WORD}) as proxy, proxy.client() as client:
        seconds, word = await race(client, "a:m!b:m")
        said_at = proxy.ledger("b")[0].first_content_at or 0.0
        assert word.text == "word1"
        assert 0.6 <= seconds < bound(0.63, 1.5)
        assert word.at - said_at < bound(0.03, 1.0)
        closed_at = await proxy.upstream_closed("a")
        assert closed_at - word.at < bound(0.05, 1.0)
        reply = await client.reply()
    assert reply.is_done
    assert word.text + reply.text == "word1 word2 word3 word4"
    assert proxy.ledger("a")[0].closed_by in ("fin", "reset")


async def test_records_tell_who_won_and_who_lost() -> None:
    """The header and the records name both legs and what became of them."""
    async with proxying({"a": EAGER_HEAD, "b": SWIFT}) as proxy:
        reply = await proxy.post(chat("a:m!b:m"))
        record = await proxy.record()
    reasons = {attempt.candidate.backend: attempt.reason for attempt in record.attempts}
    assert reasons == {"a": "lost_race", "b": "complete"}
    assert record.ending.reason == "complete"
    assert record.winner == 2
    assert "b:m=won@" in reply.headers["x-lip-attempts"]


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_both_kinds_of_client_get_the_winner_alone(is_streaming: bool) -> None:
    """Streamed or not, the answer is one leg's, from its beginning to its end."""
    slow = Script(text="slow slower slowest", content_after=0.15, pace=0.01)
    async with proxying({"a": slow, "b": SWIFT, "c": EAGER_HEAD}) as proxy:
        reply = await proxy.post(chat("a:m!b:m!c:m", stream=is_streaming))
        await proxy.upstream_closed()
        outcomes = [entry.outcome for entry in proxy.ledger("a", "c")]
    assert reply.text == "word1 word2 word3"
    assert outcomes == ["aborted_by_client"] * 2


async def test_loser_that_cannot_connect_delays_nothing() -> None:
    """A connect that hangs is given up the moment another leg has won."""
    with unaccepting() as url:
        async with proxying({"a": url, "b": SWIFT}) as proxy, proxy.client() as client:
            seconds, _ = await race(client, "a:m!b:m")
            reply = await client.reply()
            record = await proxy.record()
            await until(lambda: proxy.runtime.clients[0].open_connections <= 1)
    assert seconds < bound(0.13, 1.0)
    assert reply.is_done
    assert record.duration < bound(0.2, 1.0)
    assert [a.reason for a in record.attempts] == ["lost_race", "complete"]


async def test_loser_that_never_reads_delays_nothing() -> None:
    """A request too large for the socket's buffers is let go of while it is still being sent."""

    async def ignore(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    text = "x" * 12_000_000
    async with raw_upstream(ignore) as raw, proxying({"a": raw.base_url, "b": SWIFT}) as proxy:
        reply = await proxy.post(chat("a:m!b:m", text))
        record = await proxy.record()
        await until(lambda: proxy.runtime.clients[0].open_connections <= 1)
    assert reply.text == "word1 word2 word3"
    assert record.duration < bound(0.5, 3.0)
    assert [a.reason for a in record.attempts] == ["lost_race", "complete"]


async def test_head_start_lets_the_favourite_win() -> None:
    """The other leg starts only when the head start is over, so it is never asked here."""
    async with proxying({"a": SWIFT, "b": Script(text="swifter")}) as proxy:
        reply = await proxy.post(chat("[handicap=2]a:m!b:m"))
    assert reply.text == "word1 word2 word3"
    assert proxy.ledger("b") == []


async def test_head_start_ends_when_the_favourite_fails() -> None:
    """A favourite that fails wakes the others at once."""
    favourite = Script(status=503, retry_after=60)
    async with proxying({"a": favourite, "b": SWIFT}) as proxy:
        reply = await proxy.post(chat("[handicap=10]a:m!b:m"))
    assert reply.text == "word1 word2 word3"
    assert reply.seconds < bound(0.2, 2.0)


async def test_leg_that_fails_is_no_winner() -> None:
    """The fastest thing of all is an error; the race goes on without it."""
    async with proxying({"a": Script(status=500), "b": Script(reset_after=0), "c": SWIFT}) as proxy:
        reply = await proxy.post(chat("a:m!b:m!c:m"))
        record = await proxy.record()
    assert reply.text == "word1 word2 word3"
    assert [a.reason for a in record.attempts] == ["server", "read", "complete"]


async def test_refusal_of_the_request_ends_the_race() -> None:
    """What one provider's policy refuses is not handed to the others that still run."""
    refusal = Script(status=400, error_code="content_filter", headers_after=0.05)
    late = Script(role_chunk=True, content_after=5)
    async with proxying({"a": late, "b": refusal, "c": SWIFT}) as proxy:
        reply = await proxy.post(chat("a:m!b:m|c:m"))
        await proxy.upstream_closed("a")
        record = await proxy.record()
    assert (reply.status, reply.error["code"]) == (400, "content_filter")
    assert [a.reason for a in record.attempts] == ["given_up", "content_filter"]
    assert proxy.ledger("c") == []


async def test_ties_are_never_mixed() -> None:
    """Two legs whose words come together: each client has all of one and nothing of the other."""
    one = Script(text="one " * 20, content_after=0.05)
    two = Script(text="two " * 20, content_after=0.05)
    texts: list[str] = []
    async with proxying({"a": one, "b": two}) as proxy, trio.open_nursery() as nursery:

        async def ask() -> None:
            texts.append((await proxy.post(chat("a:m!b:m"))).text)

        for _ in range(30):
            nursery.start_soon(ask)
    assert len(texts) == 30
    assert set(texts) <= {"one " * 20, "two " * 20}


async def test_finish_line_of_the_whole_answer_survives_a_cut() -> None:
    """With ``commit=finish`` a leg that breaks off in its middle has not won."""
    cut = Script(words=9, cut_after=5)
    routing = {"commit": "finish"}
    async with proxying({"a": cut, "b": SWIFT}, routing=routing) as proxy:
        reply = await proxy.post(chat("a:m!b:m"))
    assert reply.is_done
    assert reply.text == "word1 word2 word3"
