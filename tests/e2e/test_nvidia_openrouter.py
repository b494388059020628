"""NVIDIA and OpenRouter behind the proxy: what each is told, and what is booked."""

from __future__ import annotations

import pytest

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.openrouter import COST
from lipstream.emulators.script import Script
from lipstream.upstream import http_exchange
from tests.e2e.harness import proxying
from tests.e2e.wire import chat

ENTRIES = {"nim": {"kind": "nvidia"}, "or": {"kind": "openrouter"}}
APPLICATION = ("HTTP-Referer: https://app.example", "X-OpenRouter-Title: An App")
SLOW = Script(text="slow", content_after=60.0)
FAST = Script(text="fast", content_after=0.05)


@pytest.mark.parametrize("winner", ["nim", "or"])
async def test_legs_of_a_race_are_each_told_what_they_take(winner: str) -> None:
    """One request, with what only one of them knows in it."""
    upstreams = {name: FAST if name == winner else SLOW for name in ENTRIES}
    body = chat("or:m!nim:m", provider={"order": ["a"]}, reasoning={"max_tokens": 500})
    async with proxying(upstreams, entries=ENTRIES) as proxy:
        reply = await proxy.post(
            {**body, "nvext": {"a": 1}, "max_completion_tokens": 9}, *APPLICATION
        )
        assert (reply.status, reply.text) == (200, "fast")
        (nim,), (router,) = proxy.ledger("nim"), proxy.ledger("or")
    assert {"http-referer", "x-title"} & set(nim.headers) == set()
    assert (router.headers["http-referer"], router.headers["x-title"]) == (
        "https://app.example",
        "An App",
    )
    common = {"model", "messages", "stream", "nvext"}
    assert set(nim.body) == common | {"max_tokens", "reasoning_effort"}
    assert set(router.body) == common | {
        *("max_completion_tokens", "provider", "reasoning", "stream_options"),
    }


@pytest.mark.parametrize("stream", [True, False])
async def test_dollars_of_openrouter_are_booked(stream: bool) -> None:
    """As it says them; a client that asks gets them, too."""
    async with proxying({"or": Script(text="hi")}, entries=ENTRIES) as proxy:
        reply = await proxy.post(chat("or:m", stream=stream, usage={"include": True}))
        (attempt,) = (await proxy.record()).attempts
    assert (attempt.bill.dollars, attempt.bill.has_reported_dollars) == (COST, True)
    told = reply.events[-2].json if stream else reply.json
    assert told["usage"]["cost"] == COST


async def test_tokens_of_nvidia_are_booked_where_the_client_asks_for_usage() -> None:
    """Else they are estimated."""
    async with proxying({"nim": Script(text="hi", input_tokens=70)}, entries=ENTRIES) as proxy:
        for more in ({}, {"stream_options": {"include_usage": True}}, {"stream": False}):
            await proxy.post(chat("nim:m", **more))
        bills = [(await proxy.record(number)).attempts[0].bill for number in (1, 2, 3)]
    assert [bill.has_reported_tokens for bill in bills] == [False, True, True]
    assert [bill.input_tokens for bill in bills][1:] == [70, 70]


async def test_client_that_leaves_ends_the_wait_for_a_promised_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deadline of the exchange does, too: nobody asks on."""
    monkeypatch.setattr(http_exchange, "POLL_PAUSE", 0.01)
    nim = Emulator(default=Script(status=202))
    async with proxying({"nim": nim}, entries=ENTRIES) as proxy:
        async with proxy.client() as client:
            await client.ask(chat("nim:m"))
            await nim.ledger.wait_for(lambda ledger: len(ledger) > 3)
        assert (await proxy.record()).attempts[0].reason == "client_gone"
        reply = await proxy.post(chat("nim:m"), "X-LIP-Timeout: 0.2")
        assert reply.status == 504
        asked = len(nim.ledger)
    assert len(nim.ledger) == asked


async def test_function_that_is_degraded_is_gone_around() -> None:
    """A 400 that is nobody's request's fault."""
    words = "Function id 'x': DEGRADED function cannot be invoked"
    upstreams = {"nim": Script(status=400, error_message=words), "or": Script(text="hi")}
    async with proxying(upstreams, entries=ENTRIES) as proxy:
        reply = await proxy.post(chat("nim:m|or:m"))
    assert (reply.status, reply.text) == (200, "hi")
