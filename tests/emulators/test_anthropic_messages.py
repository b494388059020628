"""The Messages dialect: what Anthropic's own client and a raw socket see."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
import trio

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script, ToolCall
from tests.emulators.asks import MESSAGES, answer, events_of
from tests.emulators.raw_client import exchange, request

CALLS = (ToolCall("alpha", '{"value": "red"}'), ToolCall("beta"))
HELLO: Any = {"role": "user", "content": "Hi"}


async def with_client(script: Script, use: Any) -> Any:
    """What ``use`` returns for the official client, in a thread, against ``script``."""
    async with Emulator({"m": script}, expect_key="k") as emulator:
        url = emulator.origin

        def run() -> Any:
            with anthropic.Anthropic(
                base_url=url, api_key="k", max_retries=0, timeout=10
            ) as client:
                return use(client)

        found = await trio.to_thread.run_sync(run)
        assert emulator.failures == []
        return found


async def test_official_client_assembles_a_stream() -> None:
    """Thinking with its signature, text, tool uses, usage and stop reason."""
    script = Script(reasoning="Let me think.", text="Here.", tool_calls=CALLS, redacted=1)

    def use(client: anthropic.Anthropic) -> Any:
        with client.messages.stream(model="m", max_tokens=100, messages=[HELLO]) as stream:
            return stream.get_final_message()

    message = await with_client(script, use)
    kinds = ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"]
    assert [block.type for block in message.content] == kinds
    assert message.content[0].thinking == "Let me think."
    assert message.content[2].text == "Here."
    assert [(b.name, b.input) for b in message.content[3:]] == [
        ("alpha", {"value": "red"}),
        ("beta", {}),
    ]
    assert message.stop_reason == "tool_use"


async def test_official_client_carries_a_tool_loop_to_its_end() -> None:
    """Everything that came out goes back in as it is, signatures included."""
    script = Script(reasoning="Hm.", redacted=1, tool_calls=CALLS, tool_rounds=1)

    def use(client: anthropic.Anthropic) -> Any:
        first: Any = client.messages.create(model="m", max_tokens=100, messages=[HELLO])
        content: Any = [block.model_dump(exclude_none=True) for block in first.content]
        results: Any = [
            {"type": "tool_result", "tool_use_id": b.id, "content": "5", "is_error": True}
            for b in first.content
            if b.type == "tool_use"
        ]
        said: Any = {"role": "assistant", "content": content}
        turns = [HELLO, said, {"role": "user", "content": results}]
        return client.messages.create(model="m", max_tokens=100, messages=turns)

    message = await with_client(script, use)
    assert message.content[-1].text.count('"text":"5","is_error":true') == 2


async def test_official_client_counts_tokens_and_lists_models() -> None:
    """The count is that of the script; the list has Anthropic's shape."""

    def use(client: anthropic.Anthropic) -> Any:
        count = client.messages.count_tokens(model="m", messages=[HELLO])
        return count.input_tokens, [model.id for model in client.models.list()]

    assert await with_client(Script(input_tokens=42), use) == (42, ["m"])


async def test_counting_takes_no_turn_of_the_scripts() -> None:
    """The answers stay in their order."""
    scripts = [Script(text="one"), Script(text="two")]
    async with Emulator({"m": scripts}) as emulator:
        body = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
        path = "/v1/messages/count_tokens"
        headers = (*MESSAGES.headers, "connection: close")
        raw = await exchange(emulator.port, request(body, path=path, headers=headers))
        assert raw.json["input_tokens"] > 0
        raw = await exchange(emulator.port, MESSAGES.ask(stream=False))
        assert raw.json["content"][0]["text"] == "one"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (413, anthropic.APIStatusError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
async def test_official_client_raises_the_error_of_the_status(
    status: int, error: type[anthropic.APIStatusError]
) -> None:
    """Each body is one that the client can read, with its request id."""

    def use(client: anthropic.Anthropic) -> anthropic.APIStatusError:
        with pytest.raises(error) as caught:
            client.messages.create(model="m", max_tokens=1, messages=[HELLO])
        return caught.value

    raised = await with_client(Script(status=status), use)
    assert raised.status_code == status
    assert raised.request_id == raised.body["request_id"]


async def test_official_client_raises_an_in_band_error() -> None:
    """An overload inside of a 200, where the script does not say what."""

    def use(client: anthropic.Anthropic) -> Any:
        with pytest.raises(anthropic.APIStatusError) as caught:
            list(client.messages.create(model="m", max_tokens=1, messages=[HELLO], stream=True))
        return caught.value.body

    body = await with_client(Script(words=3, error_after=2), use)
    assert body["error"] == {"type": "overloaded_error", "message": "Overloaded"}


async def test_stream_has_the_recorded_order() -> None:
    """A block stops before the next one starts; one ping after the first start."""
    script = Script(reasoning="Hm.", text="Hi", tool_calls=CALLS[1:])
    events = await events_of(MESSAGES, script)
    kinds = [(e["type"].removeprefix("content_"), e.get("index")) for e in events]
    assert kinds == [
        ("message_start", None),
        ("block_start", 0),
        ("ping", None),
        ("block_delta", 0),
        ("block_delta", 0),
        ("block_stop", 0),
        ("block_start", 1),
        ("block_delta", 1),
        ("block_stop", 1),
        ("block_start", 2),
        ("block_delta", 2),
        ("block_stop", 2),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert events[1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    assert events[4]["delta"]["type"] == "signature_delta"
    assert events[10]["delta"] == {"type": "input_json_delta", "partial_json": ""}


async def test_usage_leaves_the_cache_out_of_the_input() -> None:
    """At the start what went in, at the end all of it; in one piece both."""
    script = Script(
        text="ok",
        reasoning="a b",
        input_tokens=100,
        output_tokens=9,
        cache_read_tokens=60,
        cache_write_tokens=30,
    )
    events = await events_of(MESSAGES, script)
    first, last = events[0]["message"]["usage"], events[-2]["usage"]
    for usage in (first, last):
        assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (10, 60)
        assert usage["cache_creation_input_tokens"] == 30
    assert (first["output_tokens"], last["output_tokens"]) == (1, 9)
    assert last["output_tokens_details"] == {"thinking_tokens": 2}
    assert (await answer(MESSAGES, script, stream=False)).json["usage"] == {**first, **last}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(), "end_turn"),
        (Script(finish_reason="length"), "max_tokens"),
        (Script(tool_calls=CALLS), "tool_use"),
        (Script(stop_sequence="END"), "stop_sequence"),
        (Script(refusal="No."), "refusal"),
        (Script(finish_reason="content_filter"), "refusal"),
        (Script(block_reason="SAFETY"), "refusal"),
        (Script(finish_reason="pause"), "pause_turn"),
        (Script(finish_reason="model_context_window_exceeded"), "model_context_window_exceeded"),
    ],
)
async def test_stop_reason_says_why(script: Script, reason: str) -> None:
    """Streamed or not; the sequence beside it, a refusal's words in the details."""
    delta = (await events_of(MESSAGES, script))[-2]["delta"]
    message = (await answer(MESSAGES, script, stream=False)).json
    for found in (delta, message):
        assert (found["stop_reason"], found["stop_sequence"]) == (reason, script.stop_sequence)
        details = found["stop_details"] or {}
        assert details.get("explanation") == script.refusal


async def test_pings_come_before_each_content_event() -> None:
    """And the usual one besides."""
    events = await events_of(MESSAGES, Script(words=3, pings=True))
    assert [event["type"] for event in events].count("ping") == 4


async def test_wrong_signature_of_another_model_is_refused() -> None:
    """A signature is good for the model that gave it alone."""
    script = Script(reasoning="Hm.", text="ok")
    block = (await answer(MESSAGES, script, stream=False)).json["content"][0]
    turns = [HELLO, {"role": "assistant", "content": [block]}, HELLO]
    statuses = [
        (await answer(MESSAGES, script, stream=False, model=model, messages=turns)).status
        for model in ("m", "n")
    ]
    assert statuses == [200, 400]
