"""A proxy behind a proxy: what one of them says is what the other one understands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, bound, proxying, until
from tests.e2e.wire import DONE, chat


@asynccontextmanager
async def chained(script: Script) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """The one that clients speak to, and the one behind it."""
    routing = {"max_attempts": 1, "idle": 0.5}
    async with (
        proxying({"a": script}, routing=routing) as back,
        proxying({"back": back.base_url}, routing=routing) as front,
    ):
        yield front, back


async def test_answer_passes_unchanged() -> None:
    """Reasoning, text, usage and the model's name are those of the provider."""
    script = Script(reasoning="let me think", words=5, model="big")
    async with chained(script) as (front, back):
        through = await front.post(chat("back:a:m", stream=False))
        direct = await back.post(chat("a:m", stream=False))
        stream = await front.post(chat("back:a:m", stream_options={"include_usage": True}))
    assert through.json["choices"] == direct.json["choices"]
    assert through.json["model"] == "big"
    assert (stream.text, stream.is_done) == ("word1 word2 word3 word4 word5", True)
    assert stream.events[-2].json["usage"]["completion_tokens"] == 8


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (Script(status=400), 400, None),
        (Script(status=400, error_code="content_filter"), 400, "content_filter"),
        (Script(status=400, error_code="context_length_exceeded"), 400, "context_length_exceeded"),
        (Script(status=404), 404, "model_not_found"),
        (Script(status=429, retry_after=40), 429, "rate_limit_exceeded"),
        (Script(status=503, retry_after=40), 503, "upstream_overloaded"),
        (Script(status=500), 502, "upstream_error"),
        (Script(reset_after=0), 502, "upstream_error"),
    ],
    ids=["400", "filter", "too-long", "404", "429", "503", "500", "reset"],
)
async def test_error_keeps_its_class(script: Script, status: int, code: str | None) -> None:
    """However many proxies lie between, a client learns whose fault it was."""
    async with chained(script) as (front, _):
        reply = await front.post(chat("back:a:m"))
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.headers.get("retry-after") == ("40" if script.retry_after else None)


@pytest.mark.parametrize(
    "script",
    [
        Script(words=6, cut_after=2),
        Script(words=6, reset_after=2),
        Script(words=6, error_after=2),
        Script(words=6, hang_after=2),
    ],
    ids=["cut", "reset", "error", "stall"],
)
async def test_break_in_the_middle_is_told_through_both(script: Script) -> None:
    """The error frame of one is an in-band error for the other, and no normal end."""
    async with chained(script) as (front, back):
        reply = await front.post(chat("back:a:m"))
        states = [(await proxy.record()).ending.state.value for proxy in (front, back)]
    assert "".join(event.text for event in reply.events[:-1]) == "word1 word2"
    assert reply.error["code"]
    assert DONE not in [event.data for event in reply.events]
    assert states == ["truncated", "truncated"]


async def test_hang_up_passes_through_both() -> None:
    """The provider sees at once that the client of the client has gone."""
    script = Script(words=5000, pace=0.005)
    async with chained(script) as (front, back), front.client() as client:
        await client.ask(chat("back:a:m"))
        await client.word()
        left_at = trio.current_time()
        client.leave()
        await until(lambda: not back.ledger()[0].is_open)
        seconds = (back.ledger()[0].closed_at or 0.0) - left_at
    assert seconds < bound(0.1, 1.0)


async def test_draining_proxy_is_one_that_others_go_around() -> None:
    """Its 503 is a reason to ask somebody else."""
    async with (
        proxying({"a": Script(text="from the first")}) as first,
        proxying({"a": Script(text="from the second")}) as second,
        proxying({"one": first.base_url, "two": second.base_url}) as front,
    ):
        first.runtime.gateway.is_draining = True
        reply = await front.post(chat("one:a:m|two:a:m"))
    assert (reply.text, reply.is_done) == ("from the second", True)
