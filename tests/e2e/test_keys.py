"""Several keys for one backend: which ones a provider gets to see, and in which order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import trio

from lipstream.emulators.dialect import Ask
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, proxying
from tests.e2e.wire import PATIENCE, Reply, chat

GOOD = Script(text="from a good key")
BAD = Script(status=401, error_code="invalid_api_key", error_message="Incorrect API key.")
LIMITED = Script(status=429, retry_after=60)
BY_KEY = {"key-bad": BAD, "key-limited": LIMITED, "key-good": GOOD, "key-better": GOOD}


def by_key(scripts: Mapping[str, Script] = BY_KEY) -> Emulator:
    """A provider that knows some keys."""

    def choose(ask: Ask) -> Script | None:
        return scripts[ask.credential or ""]

    return Emulator(choose=choose)


def keys(*names: str, **more: Any) -> dict[str, Any]:
    """A backend's entry with these keys."""
    return {"api_key": names[0], "api_keys": names[1:], **more}


def asked_with(proxy: Proxy, name: str = "a") -> list[str]:
    """The keys that a provider saw, in order."""
    return [entry.headers["authorization"].removeprefix("Bearer ") for entry in proxy.ledger(name)]


@pytest.mark.parametrize("stream", [True, False])
async def test_refused_keys_are_gone_through_in_order(stream: bool) -> None:
    """One attempt, each key once; the next request goes straight to the one that works."""
    entries = {"a": keys("key-bad", "key-limited", "key-good", "key-better")}
    async with proxying({"a": by_key()}, entries=entries) as proxy:
        for _ in range(2):
            reply = await proxy.post(chat("a:m", stream=stream))
            assert (reply.status, reply.text) == (200, GOOD.text)
        assert asked_with(proxy) == ["key-bad", "key-limited", "key-good", "key-good"]
        record = await proxy.record()
        assert [(a.reason, a.credential) for a in record.attempts] == [("complete", "c2")]


async def test_leg_of_a_race_goes_through_its_keys() -> None:
    """The race hears of the leg that answers, and of no key."""
    slow = Script(text="slow", content_after=PATIENCE)
    entries = {"a": keys("key-bad", "key-limited", "key-good")}
    async with proxying({"a": by_key(), "b": slow}, entries=entries) as proxy:
        reply = await proxy.post(chat("a:m!b:m", stream=True))
        assert reply.text == GOOD.text
        assert asked_with(proxy) == ["key-bad", "key-limited", "key-good"]
        record = await proxy.record()
        reasons = {a.candidate.backend: a.reason for a in record.attempts}
        assert reasons == {"a": "complete", "b": "lost_race"}


async def test_many_requests_at_once_do_not_run_into_the_dead_key() -> None:
    """One of two hundred finds out what a key is worth; the others wait for its word."""
    late = {
        name: Script(status=s.status, text=s.text, headers_after=0.05) for name, s in BY_KEY.items()
    }
    entries = {"a": keys("key-bad", "key-limited", "key-good")}
    replies: list[Reply] = []

    async def ask(proxy: Proxy) -> None:
        replies.append(await proxy.post(chat("a:m", stream=True)))

    async with proxying({"a": by_key(late)}, entries=entries) as proxy:
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(ask, proxy)
        seen = Counter(asked_with(proxy))
    assert [(reply.status, reply.text) for reply in replies] == [(200, GOOD.text)] * 200
    assert seen == {"key-bad": 1, "key-limited": 1, "key-good": 200}


@pytest.mark.parametrize(
    ("names", "status", "code", "retry_after"),
    [
        (("key-bad", "key-limited"), 429, "rate_limit_exceeded", "60"),
        (("key-limited", "key-bad"), 429, "rate_limit_exceeded", "60"),
        (("key-bad",), 502, "upstream_credentials_exhausted", None),
    ],
)
async def test_without_a_key_left_the_client_is_told_why(
    names: tuple[str, ...], status: int, code: str, retry_after: str | None
) -> None:
    """And nobody is asked again in vain: the second request finds no key to ask with."""
    async with proxying({"a": by_key()}, entries={"a": keys(*names)}) as proxy:
        replies = [await proxy.post(chat("a:m")) for _ in range(2)]
        for reply in replies:
            assert (reply.status, reply.error["code"]) == (status, code)
            assert reply.headers.get("retry-after") == retry_after
        assert asked_with(proxy) == list(names)
        told = json.dumps([reply.json for reply in replies]) + str(proxy.records)
        assert not any(name in told for name in names)


async def test_exhausted_backend_is_left_for_the_next_candidate() -> None:
    """Its keys are its own matter."""
    entries = {"a": keys("key-bad", "key-limited")}
    async with proxying({"a": by_key(), "b": GOOD}, entries=entries) as proxy:
        reply = await proxy.post(chat("a:m|b:m"))
        assert reply.text == GOOD.text
        record = await proxy.record()
        found = [(a.candidate.backend, a.reason, a.credential) for a in record.attempts]
        assert found == [("a", "rate_limit", "c1"), ("b", "complete", "c0")]


@pytest.mark.parametrize("status", [400, 500])
async def test_other_failures_cost_no_key(status: int) -> None:
    """What is wrong with the request or the server is wrong with every key."""
    failing = by_key({"one": Script(status=status), "two": GOOD})
    async with proxying({"a": failing}, entries={"a": keys("one", "two")}) as proxy:
        reply = await proxy.post(chat("a:m"))
        record = await proxy.record()
        assert reply.status in (400, 502)
        assert set(asked_with(proxy)) == {"one"}
        assert {attempt.credential for attempt in record.attempts} == {"c0"}


async def test_key_that_is_refused_inside_a_good_response_is_replaced() -> None:
    """As long as nothing of the answer was there."""
    late = Script(error_after=0, error_code="invalid_api_key")
    provider = by_key({"late": late, "key-good": GOOD})
    async with proxying({"a": provider}, entries={"a": keys("late", "key-good")}) as proxy:
        reply = await proxy.post(chat("a:m", stream=True))
        assert reply.text == GOOD.text
        assert asked_with(proxy) == ["late", "key-good"]
        record = await proxy.record()
        assert [(a.reason, a.credential) for a in record.attempts] == [("complete", "c1")]


async def test_named_credentials_come_first_and_are_told_by_name() -> None:
    """The secret stands nowhere."""
    credentials = [{"id": "team-a", "api_key": "key-bad"}, {"id": "team-b", "api_key": "key-good"}]
    entries = {"a": {"api_key": "key-limited", "credentials": credentials}}
    async with proxying({"a": by_key()}, entries=entries) as proxy:
        await proxy.post(chat("a:m"))
        assert asked_with(proxy) == ["key-bad", "key-good"]
        record = await proxy.record()
        assert [a.credential for a in record.attempts] == ["team-b"]


async def test_limit_of_a_key_holds() -> None:
    """With one request at a time, the second key takes what is more."""
    slow = by_key({"one": Script(words=2, pace=0.2), "two": GOOD})
    one = {"id": "one", "api_key": "one", "max_concurrent": 1}
    credentials = [one, {"id": "two", "api_key": "two"}]
    async with proxying({"a": slow}, entries={"a": {"credentials": credentials}}) as proxy:
        await proxy.post(chat("a:m"))
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(partial(proxy.post, chat("a:m")))
        assert Counter(asked_with(proxy)) == {"one": 2, "two": 2}


async def test_embeddings_go_through_the_keys_as_well() -> None:
    """They are requests like any other."""
    async with proxying({"a": by_key()}, entries={"a": keys("key-bad", "key-good")}) as proxy:
        body = {"model": "a:m", "input": "hi"}
        reply = await proxy.post(body, path="/v1/embeddings")
        assert reply.status == 200
        assert asked_with(proxy) == ["key-bad", "key-good"]
