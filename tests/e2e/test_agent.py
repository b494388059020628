"""A client of OpenAI's API asks an agent, which is told to stop when the client goes."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import trio
from openai.types.chat import ChatCompletionChunk

from lipstream.emulators.script import Script, ToolCall
from lipstream.lifecycle.exchange import ExchangeState
from tests.e2e.harness import Proxy, bound, proxying, until
from tests.e2e.sdk import with_sdk
from tests.e2e.wire import chat

AGENT = {"a": {"kind": "acp"}}
USER = {"role": "user", "content": "Hi"}
TIGHT, LOOSE = 0.1, 2.0  # seconds until the agent has been told


def stream(client: openai.OpenAI) -> list[ChatCompletionChunk]:
    """Asks the agent for a stream and reads all of it."""
    messages: Any = [USER]
    return list(client.chat.completions.create(model="a:agent", messages=messages, stream=True))


def said(chunks: list[ChatCompletionChunk], field: str) -> str:
    """One field of all deltas."""
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    return "".join(getattr(delta, field, None) or "" for delta in deltas)


async def test_openai_client_streams_from_an_agent() -> None:
    """Words, thoughts and the end; what the agent asks in between is answered."""
    script = Script(words=20, reasoning="hm", tool_calls=(ToolCall("ls"),) * 5, pace=0.01)
    async with proxying({"a": script}, entries=AGENT) as proxy:
        chunks = await with_sdk(proxy, stream)
        answers = proxy.emulators["a"].ledger.of_model("response")
        assert [answer.body["result"] for answer in answers[:1]] == [{}]
    assert said(chunks, "content") == " ".join(f"word{n}" for n in range(1, 21))
    assert said(chunks, "reasoning_content") == "[plan]\nhm"
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "stop"
    assert {chunk.model for chunk in chunks} == {"agent"}


async def test_client_that_does_not_stream_gets_a_whole_answer() -> None:
    """The agent streams all the same; what it is not told is named."""
    async with proxying({"a": Script(text="ok")}, entries=AGENT) as proxy:
        reply = await proxy.post(chat("a:agent", stream=False, seed=1))
    assert (reply.status, reply.text) == (200, "ok")
    assert reply.headers["x-lip-dropped"] == "seed"


async def test_call_with_tools_is_a_bad_request() -> None:
    """The agent hears nothing of it."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    async with proxying({"a": Script()}, entries=AGENT) as proxy:
        reply = await proxy.post(chat("a:agent", tools=[tool]))
        assert proxy.ledger() == []
    assert reply.status == 400
    assert "tools" in reply.error["message"]


async def cancelled(proxy: Proxy) -> list[Any]:
    """The sessions that the agent was told to stop."""
    await until(lambda: proxy.emulators["a"].ledger.of_model("session/cancel"))
    entries = proxy.emulators["a"].ledger.of_model("session/cancel")
    return [entry.body["params"]["sessionId"] for entry in entries]


@pytest.mark.parametrize(
    "script",
    [
        Script(words=5000, pace=0.005),
        Script(words=9, hang_after=3),
        Script(hang_before_headers=True),
    ],
    ids=["in mid-stream", "in a silence", "before headers"],
)
async def test_hanging_up_cancels_the_session(script: Script) -> None:
    """At once, and once."""
    async with proxying({"a": script}, entries=AGENT) as proxy, proxy.client() as client:
        await client.ask(chat("a:agent"))
        if script.words:
            for _ in range(3):
                await client.word()
        prompts = proxy.emulators["a"].ledger
        await until(lambda: prompts.of_model("agent"))
        left_at = trio.current_time()
        client.leave()
        assert await cancelled(proxy) == ["sess_ref_1"]
        assert trio.current_time() - left_at < bound(TIGHT, LOOSE)
        (prompt,) = prompts.of_model("agent")
        await until(lambda: prompt.closed_at)
        record = await proxy.record()
    assert record.ending is not None
    assert record.ending.state is ExchangeState.ABORTED
    assert prompt.outcome in ("aborted_by_client", "hung")


async def test_agent_is_asked_after_another_has_failed() -> None:
    """And it is not raced: who comes first is asked first."""
    failing = Script(status=500)
    async with proxying({"a": Script(text="ok"), "b": failing}, entries=AGENT) as proxy:
        reply = await proxy.post(chat("b:m!a:agent"))
        record = await proxy.record()
    assert reply.text == "ok"
    assert [attempt.candidate.backend for attempt in record.attempts] == ["b", "a"]
