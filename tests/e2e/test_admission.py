"""What a backend cannot take it is not asked, and how it is asked is negotiated before it is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from tests.e2e.harness import proxying
from tests.e2e.wire import chat

GOOD = Script(text="one two")
PIXEL = "data:image/png;base64,iVBORw0KGgo="
LOOK = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": PIXEL}}]
BLIND = {"capabilities": {"*": {"remove": ["vision"]}}}
EXACT = {"transport": {"fallback_policy": "exact"}}


def look(model: str, **fields: Any) -> dict[str, Any]:
    """A call with an image."""
    return {**chat(model, **fields), "messages": [{"role": "user", "content": LOOK}]}


@pytest.mark.parametrize("selector", ["a:m|b:m", "a:m!b:m", "[weight=9]a:m^b:m"])
async def test_candidate_that_lacks_something_takes_no_attempt(selector: str) -> None:
    """It has no record, and its provider sees nothing."""
    async with proxying({"a": GOOD, "b": GOOD}, entries={"a": BLIND}) as proxy:
        reply = await proxy.post(look(selector))
        assert (reply.status, reply.text) == (200, GOOD.text)
        record = await proxy.record()
        assert [attempt.candidate.backend for attempt in record.attempts] == ["b"]
        assert [(r.candidate.backend, r.transport) for r in record.rejects] == [("a", None)]
        assert proxy.ledger("a") == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("selector", ["a:m", "a:m!b:m", "a:m|b:m"])
async def test_call_that_nobody_can_take_is_the_clients_to_change(
    selector: str, stream: bool
) -> None:
    """A 400 that names what is missing, also out of a race."""
    async with proxying({"a": GOOD, "b": GOOD}, entries={"*": BLIND}) as proxy:
        reply = await proxy.post(look(selector, stream=stream))
        record = await proxy.record()
        assert reply.status == 400
        assert reply.error["message"] == "missing required capabilities: vision"
        assert record.attempts == ()
        assert proxy.ledger() == []


@pytest.mark.parametrize("selector", ["a:m", "a:m!b:m"])
async def test_rejected_transport_is_told_before_a_missing_capability(selector: str) -> None:
    """Both are the client's to change; one of them is told."""
    entries = {"a": {**BLIND, "modes": {"*": ["streaming"]}}, "b": BLIND}
    async with proxying({"a": GOOD, "b": GOOD}, entries=entries, routing=EXACT) as proxy:
        reply = await proxy.post(look(selector, stream=False))
        assert (reply.status, reply.error["code"]) == (400, "unsupported_transport")
        assert "openai.chat_completions" in reply.error["message"]


async def test_soft_shortfall_is_taken_out_for_one_candidate_alone() -> None:
    """The next one gets the call as the client wrote it."""
    entries = {"a": {"capabilities": {"m*": {"remove": ["reasoning"]}}}}
    async with proxying({"a": Script(status=500), "b": GOOD}, entries=entries) as proxy:
        reply = await proxy.post(chat("a:m|b:m", reasoning_effort="high"))
        assert reply.status == 200
        efforts = [entry.body.get("reasoning_effort") for entry in proxy.ledger("a", "b")]
        assert efforts == [None, "high"]


async def test_operator_may_give_a_model_what_its_provider_denies() -> None:
    """The configuration has the last word, by name."""
    emulator = Emulator(default=GOOD)
    entry = {"kind": "deepseek", "capabilities": {"seeing-*": {"add": ["vision"]}}}
    async with proxying({"a": emulator}, entries={"a": entry}) as proxy:
        replies = [await proxy.post(look(f"a:{model}")) for model in ("blind", "seeing-1")]
        assert [reply.status for reply in replies] == [400, 200]


# ---------------------------------------------------------------- the way there


@pytest.mark.parametrize(
    ("section", "modes", "stream", "asked"),
    [
        ({}, ["streaming", "non_streaming"], False, True),  # what can stream is asked to
        ({}, ["streaming", "non_streaming"], True, True),
        ({}, ["non_streaming"], True, False),
        ({}, ["non_streaming"], False, False),
        (EXACT, ["streaming", "non_streaming"], False, False),
        (EXACT, ["streaming", "non_streaming"], True, True),
    ],
)
async def test_mode_is_what_policy_and_backend_make_of_the_wish(
    section: dict[str, Any], modes: list[str], stream: bool, asked: bool
) -> None:
    """The client gets its answer as it wants it, and the record says how it travelled."""
    entries = {"a": {"modes": {"m": modes}}}
    async with proxying({"a": GOOD}, entries=entries, routing=section) as proxy:
        reply = await proxy.post(chat("a:m", stream=stream))
        assert (reply.status, reply.text) == (200, GOOD.text)
        (entry,) = proxy.ledger()
        assert entry.body.get("stream", False) is asked
        assert ("stream_options" in entry.body) is asked
        (attempt,) = (await proxy.record()).attempts
        assert attempt.operation == "openai.chat_completions"
        assert attempt.is_bridged is (asked is not stream)
        assert attempt.usage is not None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(status=503), "overloaded"),
        (Script(cut_after=0), "truncated"),
        (Script(garbage="body"), "protocol"),
        (Script(hang_before_headers=True), "lost_race"),
    ],
)
async def test_whole_answer_that_fails_is_failed_over(script: Script, reason: str) -> None:
    """Being asked for in one piece, it fails like any other."""
    entries = {"a": {"modes": {"*": ["non_streaming"]}}}
    routing = {"patience": 0.2, "hedge_ratio": 1}
    async with proxying({"a": script, "b": GOOD}, entries=entries, routing=routing) as proxy:
        reply = await proxy.post(chat("a:m|b:m", stream=True))
        assert (reply.status, reply.text) == (200, GOOD.text)
        record = await proxy.record()
        assert [attempt.reason for attempt in record.attempts] == [reason, "complete"]


async def test_negotiations_are_counted() -> None:
    """Accepts with every attempt, rejects once for each candidate that had none."""
    entries = {"a": {"modes": {"*": ["streaming"]}}}
    async with proxying({"a": GOOD, "b": GOOD}, entries=entries, routing=EXACT) as proxy:
        for stream in (False, True):
            await proxy.post(chat("a:m|b:m", stream=stream))
        await proxy.record(2)
        page = (await proxy.get("/metrics")).body.decode()
    name = "lip_executor_transport_negotiations_total"
    counted = re.findall(rf'^{name}\{{mode="(\w+)".*outcome="(\w+)".*\}} (.*)$', page, re.MULTILINE)
    assert sorted(counted) == [
        ("non_streaming", "accept", "1.0"),
        ("non_streaming", "reject", "1.0"),
        ("streaming", "accept", "1.0"),
    ]


# ---------------------------------------------------------------- protocols


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({}, "/v1/responses"),
        ({"flavour": "chat"}, "/v1/chat/completions"),
        ({"flavour": "responses"}, "/v1/responses"),
    ],
)
async def test_client_reaches_a_backend_that_speaks_its_protocol_in_it(
    entry: dict[str, Any], path: str
) -> None:
    """Unless the operator keeps the backend to another one."""
    async with proxying({"a": GOOD}, entries={"a": {"kind": "openai", **entry}}) as proxy:
        reply = await proxy.post({"model": "a:m", "input": "hi"}, path="/v1/responses")
        assert reply.status == 200
        assert [entry.path for entry in proxy.ledger()] == [path]


@pytest.mark.parametrize(
    ("entry", "path"), [({}, "/v1/chat/completions"), ({"flavour": "responses"}, "/v1/responses")]
)
async def test_client_of_another_protocol_is_answered_in_the_first(
    entry: dict[str, Any], path: str
) -> None:
    """That is the one that most servers understand."""
    body = {"model": "a:m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    async with proxying({"a": GOOD}, entries={"a": {"kind": "openai", **entry}}) as proxy:
        reply = await proxy.post(body, path="/v1/messages")
        assert reply.status == 200
        assert [entry.path for entry in proxy.ledger()] == [path]
