"""Rescue of streams over real sockets: cut, reset, stalled or failed in mid-answer, and whole for
the client all the same."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.emulators.dialect import Ask
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from tests.e2e.harness import Upstream, proxying, until
from tests.e2e.wire import chat

WHOLE = "word1 word2 word3 word4 word5 word6"
ROUTING = {"idle": 0.3}
BREAKS: dict[str, dict[str, Any]] = {
    "cut": {"cut_after": 2},
    "reset": {"reset_after": 2},
    "error": {"error_after": 2},
    "stall": {"hang_after": 2},
    "garbage": {"garbage": "event", "garbage_at": 2, "garbage_count": 3},
}


def going_on() -> Emulator:
    """A provider that goes on from a prefill, as a server of its own kind does."""

    def choose(ask: Ask) -> Script:
        last = ask.fields["messages"][-1]
        given = last["content"] if last["role"] == "assistant" else ""
        return Script(text=WHOLE.removeprefix(given), model="second")

    return Emulator(choose=choose)


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("prefill", [False, True])
async def test_answer_goes_on_from_another_backend(how: str, prefill: bool) -> None:
    """The text is whole, the answer is one, and its model is the first one's."""
    first = Script(words=6, model="first", **BREAKS[how])
    backends: dict[str, Upstream] = {"a": first, "b": going_on()}
    entries = {"b": {"prefill": prefill}}
    async with proxying(backends, entries=entries, routing=ROUTING) as proxy:
        reply = await proxy.post(chat("{resume}a:m|b:m"))
        record = await proxy.record()
        asked = proxy.ledger("b")
    assert (reply.text, reply.is_done) == (WHOLE, True)
    chunks = [event.json for event in reply.events[:-1]]
    assert {chunk["model"] for chunk in chunks} == {"first"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert [c["delta"].get("role") for chunk in chunks for c in chunk["choices"]].count(
        "assistant"
    ) == 1
    assert record.attempts[1].rescue == ("prefill" if prefill else "splice")
    assert (record.ending.reason, record.winner, len(asked)) == ("complete", 2, 1)


@pytest.mark.parametrize("how", BREAKS)
async def test_whole_answer_is_rescued_likewise(how: str) -> None:
    """A client that does not stream has the same way."""
    first = Script(words=6, model="first", **BREAKS[how])
    routing = {**ROUTING, "resume": "once"}
    async with proxying({"a": first, "b": going_on()}, routing=routing) as proxy:
        reply = await proxy.post(chat("a:m|b:m", stream=False))
        record = await proxy.record()
    assert (reply.status, reply.text, reply.json["model"]) == (200, WHOLE, "first")
    assert record.rescues == 1
    tree = reply.headers["x-lip-attempts"]
    assert tree.startswith("a:m=")
    assert "b:m=won@" in tree


async def test_answer_that_does_not_go_on_is_an_error_in_the_stream() -> None:
    """The client has what it had, and learns that there is no more."""
    other = Script(text="something else")
    async with proxying({"a": Script(words=6, cut_after=2), "b": other}) as proxy:
        reply = await proxy.post(chat("{resume}a:m|b:m"))
        record = await proxy.record()
    assert "".join(event.text for event in reply.events[:-1]) == "word1 word2"
    assert reply.error["code"] == "upstream_truncated"
    assert [a.reason for a in record.attempts] == ["truncated", "protocol"]


async def test_client_gets_keep_alives_while_a_rescue_opens() -> None:
    """Its patience is not the rescue's."""
    backends = {"a": Script(words=6, cut_after=2), "b": Script(words=6, headers_after=2.5)}
    async with proxying(backends, server={"keepalive": 0.5}) as proxy:
        reply = await proxy.post(chat("{resume}a:m|b:m"))
    assert reply.text == WHOLE
    assert any(event.is_comment for event in reply.events)


async def test_client_that_hangs_up_during_a_rescue_ends_it() -> None:
    """No upstream is left open for nobody."""
    backends = {"a": Script(words=6, cut_after=2), "b": Script(hang_before_headers=True)}
    async with proxying(backends) as proxy:
        async with proxy.client() as client:
            await client.ask(chat("{resume}a:m|b:m"))
            assert [(await client.word()).text for _ in range(2)] == ["word1", " word2"]
            await until(lambda: len(proxy.ledger("b")) == 1)
        record = await proxy.record()
        await proxy.upstream_closed()
    assert record.ending.reason == "client_gone"
    assert [a.reason for a in record.attempts] == ["truncated", "client_gone"]


async def test_stalled_stream_is_closed_where_the_operator_wants_that() -> None:
    """The finish reason says that it is not the whole answer."""
    recovery = {"auto_resume": {"enabled": True, "idle_timeout": 0.2, "grace_period": 0.1}}
    stalls = Script(words=6, hang_after=2)
    async with proxying({"a": stalls}, stream_recovery=recovery) as proxy:
        reply = await proxy.post(chat("a:m"))
        whole = await proxy.post(chat("a:m", stream=False))
        records = [await proxy.record(number) for number in (1, 2)]
    assert (reply.text, reply.is_done) == ("word1 word2", True)
    reasons = [c["finish_reason"] for e in reply.events[:-1] for c in e.json["choices"]]
    assert reasons[-1] == whole.json["choices"][0]["finish_reason"] == "length"
    assert whole.text == "word1 word2"
    assert {record.ending.reason for record in records} == {"recovered"}
