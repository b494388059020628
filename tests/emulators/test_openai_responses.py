"""The Responses dialect: what OpenAI's own client and a raw socket see."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import trio

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script, ToolCall
from tests.emulators.asks import RESPONSES, answer, events_of

PIXEL = "data:image/png;base64,iVBORw0KGgo="
CALLS = (ToolCall("alpha", '{"value": "red"}'), ToolCall("beta"))
ENCRYPTED: Any = ["reasoning.encrypted_content"]


async def with_client(script: Script, use: Any) -> Any:
    """What ``use`` returns for the official client, in a thread, against ``script``."""
    async with Emulator({"m": script}, expect_key="k") as emulator:
        url = emulator.base_url

        def run() -> Any:
            with openai.OpenAI(base_url=url, api_key="k", max_retries=0, timeout=10) as client:
                return use(client)

        found = await trio.to_thread.run_sync(run)
        assert emulator.failures == []
        return found


async def test_official_client_assembles_a_stream() -> None:
    """Its own accumulator comes to what the last event says."""
    script = Script(reasoning="Let me think.", text="Here you are.", tool_calls=CALLS)

    def use(client: openai.OpenAI) -> Any:
        with client.responses.stream(model="m", input="Hi", include=ENCRYPTED) as stream:
            return list(stream), stream.get_final_response()

    events, final = await with_client(script, use)
    kinds = ["reasoning", "message", "function_call", "function_call"]
    assert [item.type for item in final.output] == kinds
    assert final.output_text == "Here you are."
    assert final.output[0].summary[0].text == "Let me think."
    assert [(c.name, c.arguments) for c in final.output[2:]] == [
        ("alpha", '{"value": "red"}'),
        ("beta", "{}"),
    ]
    assert [event.sequence_number for event in events if hasattr(event, "sequence_number")] == list(
        range(len(events))
    )


async def test_official_client_reads_one_piece() -> None:
    """The same items, usage with its details."""
    script = Script(
        text="ok", input_tokens=30, output_tokens=7, cache_read_tokens=10, cache_write_tokens=5
    )
    response = await with_client(script, lambda c: c.responses.create(model="m", input="Hi"))
    assert (response.status, response.output_text) == ("completed", "ok")
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (30, 7, 37)
    assert usage.input_tokens_details.cached_tokens == 10


async def test_official_client_carries_a_tool_loop_to_its_end() -> None:
    """Everything that came out goes back in as it is, reasoning included."""
    script = Script(reasoning="Hm.", tool_calls=CALLS, tool_rounds=1)

    def use(client: openai.OpenAI) -> str:
        first = client.responses.create(model="m", input="Hi", include=ENCRYPTED)
        history: list[Any] = [{"role": "user", "content": "Hi"}]
        history += [item.model_dump(exclude_none=True) for item in first.output]
        for item in first.output:
            if item.type == "function_call":
                output = {"type": "function_call_output", "call_id": item.call_id, "output": "5"}
                history.append(output)
        return client.responses.create(model="m", input=history).output_text

    assert (await with_client(script, use)).count('"text":"5"') == 2


async def test_official_client_raises_an_in_band_error() -> None:
    """The ``error`` event is an error to it, in the middle of a stream."""

    def use(client: openai.OpenAI) -> str:
        with pytest.raises(openai.APIError) as caught:
            list(client.responses.create(model="m", input="Hi", stream=True))
        return str(caught.value)

    assert await with_client(Script(words=3, error_after=2, error_message="oops"), use) == "oops"


async def test_stream_has_the_recorded_order() -> None:
    """Each item opens, grows and closes before the next one; no ``[DONE]``."""
    events = await events_of(RESPONSES, Script(text="Hi", tool_calls=CALLS[:1]))
    kinds = [event["type"].removeprefix("response.") for event in events]
    arguments = ["function_call_arguments.delta"] * 2
    message = ["output_item.added", "content_part.added", "output_text.delta"]
    message += ["output_text.done", "content_part.done", "output_item.done"]
    call = ["output_item.added", *arguments, "function_call_arguments.done", "output_item.done"]
    assert kinds == ["created", "in_progress", *message, *call, "completed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"]["output"] == [
        event["item"] for event in events if event["type"] == "response.output_item.done"
    ]


async def test_event_names_are_the_types() -> None:
    """Every event has both lines."""
    raw = await answer(RESPONSES, Script(text="Hi"))
    lines = b"".join(raw.chunks).decode().split("\n")
    named = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert named == [event["type"] for event in raw.events]


async def test_encrypted_reasoning_comes_only_when_asked_for() -> None:
    """What comes with the start of the item is not what has to come back."""
    script = Script(reasoning="Hm.", text="ok")
    items = [e["item"] for e in await events_of(RESPONSES, script) if "item" in e]
    assert "encrypted_content" not in items[0]
    asked = await events_of(RESPONSES, script, include=list(ENCRYPTED))
    first, last = [e["item"] for e in asked if e.get("item", {}).get("type") == "reasoning"]
    assert first["encrypted_content"] != last["encrypted_content"]
    assert (first["summary"], last["summary"][0]["text"]) == ([], "Hm.")


async def test_redacted_reasoning_has_no_summary() -> None:
    """One item each, its content encrypted."""
    raw = await answer(
        RESPONSES, Script(redacted=2, text="ok"), stream=False, include=list(ENCRYPTED)
    )
    reasoning = [item for item in raw.json["output"] if item["type"] == "reasoning"]
    assert [item["summary"] for item in reasoning] == [[], []]


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        (Script(finish_reason="length"), "incomplete", "max_output_tokens"),
        (Script(finish_reason="content_filter"), "incomplete", "content_filter"),
        (Script(block_reason="SAFETY"), "incomplete", "content_filter"),
        (Script(finish_reason="error"), "failed", None),
        (Script(), "completed", None),
    ],
)
async def test_end_says_why(script: Script, status: str, reason: str | None) -> None:
    """In the last event's name and in the response, streamed or not."""
    last = (await events_of(RESPONSES, script))[-1]
    for response in (last["response"], (await answer(RESPONSES, script, stream=False)).json):
        assert response["status"] == status
        assert (response["incomplete_details"] or {}).get("reason") == reason
    assert last["type"] == f"response.{status}"


async def test_refusal_is_a_part_of_its_own() -> None:
    """Streamed by words, whole in the item."""
    events = await events_of(RESPONSES, Script(refusal="I cannot."))
    deltas = [e["delta"] for e in events if e["type"] == "response.refusal.delta"]
    assert deltas == ["I", " cannot."]
    content = events[-1]["response"]["output"][0]["content"]
    assert content == [{"type": "refusal", "refusal": "I cannot."}]


async def test_image_is_a_generation_call() -> None:
    """Its result is the bare base64."""
    events = await events_of(RESPONSES, Script(image=PIXEL))
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["result"]) == ("image_generation_call", "iVBORw0KGgo=")


async def test_failure_is_an_error_and_a_failed_response() -> None:
    """Both, numbered on, in the middle of the item that was open."""
    script = Script(words=3, error_after=1, error_code="rate_limit_exceeded")
    *_, error, failed = await events_of(RESPONSES, script)
    assert (error["type"], error["error"]["code"]) == ("error", "rate_limit_exceeded")
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["sequence_number"] == error["sequence_number"] + 1


async def test_response_echoes_the_request() -> None:
    """As clients that insist on the fields have it."""
    response = (
        await answer(RESPONSES, Script(), stream=False, temperature=0.5, metadata={"a": "b"})
    ).json
    assert (response["temperature"], response["metadata"]) == (0.5, {"a": "b"})
    assert (response["tool_choice"], response["parallel_tool_calls"]) == ("auto", True)
