"""No orphans: what the proxy says is open is what the upstreams see at their sockets."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, proxying, until
from tests.e2e.wire import chat

MUTE = Script(role_chunk=True, content_after=60.0)
SWIFT = Script(words=3, content_after=0.05, pace=0.01)
FOREVER = Script(words=5000, content_after=0.05, pace=0.01)


async def scrape(proxy: Proxy, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by its labels' values."""
    page = await proxy.get("/metrics")
    assert page.status == 200
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page.body.decode())
        for sample in family.samples
        if sample.name == name
    }


async def open_upstreams(proxy: Proxy) -> float:
    """What the proxy says."""
    return sum((await scrape(proxy, "lipstream_upstream_open")).values())


def open_sockets(proxy: Proxy) -> int:
    """What the upstreams see: connections on which a request is being answered, or hangs."""
    busy = [
        {entry.connection for entry in emulator.ledger.open_requests}
        for emulator in proxy.emulators.values()
    ]
    return sum(map(len, busy))


async def check_nothing_is_left(proxy: Proxy) -> None:
    """When all exchanges are over, neither side knows of anything open."""
    await until(lambda: not len(proxy.runtime.executor.live))
    await until(lambda: not open_sockets(proxy))
    assert await open_upstreams(proxy) == 0
    assert set(proxy.runtime.executor.live.open_upstreams.values()) <= {0}


async def test_gauge_is_the_open_sockets_at_every_stage_of_a_race() -> None:
    """All legs while nobody has said a word, the winner alone from its first one, then none."""
    upstreams = {"a": MUTE, "b": FOREVER, "c": Script(hang_before_headers=True)}
    async with proxying(upstreams, routing={"patience": "off"}) as proxy:
        async with proxy.client() as client:
            await client.ask(chat("[ttft_timeout=9]a:m!c:m"))
            await until(lambda: open_sockets(proxy) == 2)
            assert await open_upstreams(proxy) == 2
            async with proxy.client() as other:
                await other.ask(chat("a:m!b:m!c:m"))
                await other.word()
                await until(lambda: open_sockets(proxy) == 3)
                assert await scrape(proxy, "lipstream_upstream_open") == {
                    ("a",): 1.0,
                    ("b",): 1.0,
                    ("c",): 1.0,
                }
            await until(lambda: open_sockets(proxy) == 2)
            await proxy.record()
            assert await open_upstreams(proxy) == 2
        await check_nothing_is_left(proxy)


async def test_losers_are_seen_to_close_and_are_timed() -> None:
    """One time for each loser, and its upstream saw the connection end by our hand."""
    async with proxying({"a": MUTE, "b": SWIFT, "c": MUTE}) as proxy:
        for _ in range(3):
            await proxy.post(chat("a:m!b:m!c:m"))
        await check_nothing_is_left(proxy)
        counts = await scrape(proxy, "lipstream_cancel_to_upstream_abort_seconds_count")
        slow = await scrape(proxy, "lipstream_cancel_to_upstream_abort_seconds_sum")
        lost = await scrape(proxy, "lipstream_attempts_total")
        waste = await scrape(proxy, "lipstream_race_waste_tokens_total")
    assert counts == {("a",): 3.0, ("c",): 3.0}
    assert sum(slow.values()) < 3.0
    assert lost[("a", "other", "lost_race")] == 3.0
    assert {entry.closed_by for entry in proxy.ledger("a", "c")} <= {"fin", "reset"}
    assert sum(emulator.ledger.connections_open for emulator in proxy.emulators.values()) <= 1
    assert waste == {("other",): 0.0}  # "Hi" is less than a token


@pytest.mark.parametrize(
    ("model", "bad"),
    [
        ("a:m|b:m", Script(status=503)),
        ("a:m|b:m", Script(reset_after=0)),
        ("a:m|b:m", Script(words=3, error_after=0)),
        ("a:m|b:m", Script(garbage="body")),
        ("[ttft_timeout=1]a:m|b:m", Script(hang_before_headers=True)),
        ("a:m!b:m", Script(words=9, cut_after=0)),
    ],
)
async def test_nothing_is_open_after_a_failover(model: str, bad: Script) -> None:
    """However the first one failed."""
    async with proxying({"a": bad, "b": SWIFT}) as proxy:
        assert (await proxy.post(chat(model))).is_done
        await check_nothing_is_left(proxy)
        assert sum((await scrape(proxy, "lipstream_exchanges_total")).values()) == 1


@pytest.mark.parametrize("script", [MUTE, FOREVER, Script(hang_before_headers=True)])
@pytest.mark.parametrize("model", ["a:m", "a:m!b:m"])
async def test_nothing_is_open_after_a_client_hung_up(model: str, script: Script) -> None:
    """Whatever was running for it."""
    async with proxying({"a": script, "b": script}) as proxy:
        async with proxy.client() as client:
            await client.ask(chat(model))
            await until(lambda: open_sockets(proxy))
            client.leave()
            await proxy.record()
        await check_nothing_is_left(proxy)
        exchanges = await scrape(proxy, "lipstream_exchanges_total")
    assert exchanges == {("openai_chat", "aborted", "client_gone"): 1.0}


@pytest.mark.parametrize(("prefix", "requests"), [("", 1), ("{race=always}", 2)])
async def test_route_may_race_calls_that_leave_traces(prefix: str, requests: int) -> None:
    """Two upstreams get the call only where the route says so, and the record tells."""
    async with proxying({"a": MUTE, "b": SWIFT}, routing={"patience": "off"}) as proxy:
        async with proxy.client() as client:
            await client.ask(chat(f"{prefix}b:m!a:m", store=True))
            await client.word()
            await client.reply()
        record = await proxy.record()
        assert len(proxy.ledger()) == requests
    assert record.may_race is (requests == 2)
