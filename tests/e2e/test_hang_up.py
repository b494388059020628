"""When the client goes, everything that was done for it ends at once."""

from __future__ import annotations

from typing import Literal

import attrs
import pytest
import trio

from lipstream.emulators.script import Script
from lipstream.lifecycle.exchange import ExchangeState
from tests.e2e.harness import Proxy, bound, proxying, until
from tests.e2e.upstreams import unaccepting
from tests.e2e.wire import Client, chat, encode_post

Way = Literal["fin", "reset"]

TIGHT, LOOSE = 0.1, 1.0  # seconds until every upstream is closed


@attrs.frozen
class Moment:
    """When the client leaves.

    Attributes:
        script: Of both upstreams.
        words: How many words the client has read by then; None: it waits until the upstreams have
            got so far.
    """

    name: str
    script: Script
    words: int | None = None
    is_streaming: bool = True


MOMENTS = [
    Moment("before headers", Script(hang_before_headers=True)),
    Moment("after headers", Script(role_chunk=True, content_after=60)),
    Moment("in mid-stream", Script(words=5000, pace=0.005), words=3),
    Moment("in a silence", Script(words=9, hang_after=2), words=2),
    Moment("whole, before headers", Script(hang_before_headers=True), is_streaming=False),
    Moment("whole, in the middle", Script(words=5000, pace=0.005), is_streaming=False),
]


async def wait_for(moment: Moment, proxy: Proxy, client: Client, legs: int) -> None:
    """Until the moment has come."""
    if moment.words is not None:
        for _ in range(moment.words):
            await client.word()
        return
    await until(lambda: len(proxy.ledger()) == legs)
    if moment.script.role_chunk:
        await until(lambda: all(entry.headers_sent_at for entry in proxy.ledger()))
    if moment.script.words:
        await until(lambda: any(entry.chunks_sent > 3 for entry in proxy.ledger()))


def leave(client: Client, way: Way) -> None:
    """Goes."""
    if way == "reset":
        client.reset()
    else:
        client.leave()


@pytest.mark.parametrize("model", ["a:m", "a:m!b:m"], ids=["single", "race"])
@pytest.mark.parametrize("way", ["fin", "reset"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name.replace(" ", "-"))
async def test_every_upstream_is_closed(moment: Moment, way: Way, model: str) -> None:
    """The upstreams see their connections end, and the record says why."""
    upstreams = dict.fromkeys("ab", moment.script)
    async with proxying(upstreams) as proxy, proxy.client() as client:
        await client.ask(chat(model, stream=moment.is_streaming))
        await wait_for(moment, proxy, client, legs=1 + model.count("!"))
        left_at = trio.current_time()
        leave(client, way)
        closed_at = await proxy.upstream_closed()
        record = await proxy.record()
    assert closed_at - left_at < bound(TIGHT, LOOSE)
    assert {entry.outcome for entry in proxy.ledger()} <= {"aborted_by_client", "hung"}
    assert {entry.closed_by for entry in proxy.ledger()} <= {"fin", "reset"}
    assert record.ending.state is ExchangeState.ABORTED
    assert record.ending.reason == "client_gone"
    assert len(record.attempts) == len(proxy.ledger())


async def test_client_that_leaves_during_a_connect_frees_the_socket() -> None:
    """A connect that hangs ends with its exchange."""
    with unaccepting() as url:
        async with proxying({"a": url}) as proxy, proxy.client() as client:
            await client.ask(chat("a:m"))
            await until(lambda: len(proxy.runtime.executor.live))
            left_at = trio.current_time()
            client.leave()
            record = await proxy.record()
            seconds = trio.current_time() - left_at
            assert proxy.runtime.clients[0].open_connections == 0
    assert seconds < bound(TIGHT, LOOSE)
    assert record.ending.reason == "client_gone"


async def test_client_that_leaves_during_a_pause_asks_nobody_again() -> None:
    """Waiting for a Retry-After ends with the client, too."""
    limited = Script(status=429, retry_after=20)
    async with proxying({"a": limited}) as proxy, proxy.client() as client:
        await client.ask(chat("a:m"))
        await until(lambda: proxy.records.attempts)
        client.leave()
        record = await proxy.record()
    assert record.ending.reason == "client_gone"
    assert len(record.attempts) == 1


@pytest.mark.parametrize("way", ["fin", "reset"])
async def test_client_that_leaves_while_it_uploads_starts_nothing(way: Way) -> None:
    """Half a request is no request; the server lives on."""
    half = encode_post(b"x" * 100_000)[:50_000]
    async with proxying({"a": Script(words=3)}) as proxy:
        async with proxy.client() as client:
            await client.send(half)
            await trio.sleep(0.02)
            leave(client, way)
        reply = await proxy.post(chat("a:m"))
        await proxy.record()
    assert reply.is_done
    assert len(proxy.ledger()) == 1
    assert len(proxy.records.exchanges) == 1


async def test_pipelined_request_does_not_hide_that_the_client_has_left() -> None:
    """What waits behind the running request is read, or the end behind it would not be seen."""
    mute = Script(role_chunk=True, content_after=60)
    async with proxying({"a": mute}) as proxy, proxy.client() as client:
        await client.ask(chat("a:m"))
        await client.stream.send_all(encode_post(b"{}"))
        await until(lambda: len(proxy.ledger()) == 1)
        left_at = trio.current_time()
        client.leave()
        closed_at = await proxy.upstream_closed()
    assert closed_at - left_at < bound(TIGHT, LOOSE)


async def test_client_that_leaves_at_the_very_end_harms_nobody() -> None:
    """Whether the last bytes or the end of the connection come first, there is one ending."""
    async with proxying({"a": Script(words=5, pace=0.002)}) as proxy:
        for number in range(40):
            async with proxy.client() as client:
                await client.ask(chat("a:m"))
                with trio.move_on_after(0.0005 * number):
                    await client.reply()
        await until(lambda: not len(proxy.runtime.executor.live))
        endings = [record.ending.reason for record in proxy.records.exchanges]
    assert "client_gone" in endings
    assert set(endings) <= {"client_gone", "complete"}
