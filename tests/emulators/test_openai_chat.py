"""The chat dialect: the shapes that OpenAI's own client and a raw socket see."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
import trio

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script, ToolCall
from tests.emulators.raw_client import chat, exchange, request, texts

PIXEL = "data:image/png;base64,iVBORw0KGgo="
CALLS = (ToolCall("alpha", '{"value": "red"}'), ToolCall("beta", '{"value": "blue"}'))
MESSAGES: Any = [{"role": "user", "content": "Hi"}]


async def with_client(script: Script, use: Callable[[openai.OpenAI], Any]) -> Any:
    """What ``use`` returns for the official client, in a thread, against ``script``."""
    async with Emulator({"m": script}, expect_key="k") as emulator:
        url = emulator.base_url

        def run() -> Any:
            with openai.OpenAI(base_url=url, api_key="k", max_retries=0, timeout=10) as client:
                return use(client)

        return await trio.to_thread.run_sync(run)


async def observe(script: Script, **fields: Any) -> Any:
    """The events of a stream, or the body of an answer in one piece."""
    async with Emulator({"m": script}) as emulator:
        raw = await exchange(emulator.port, request(chat(**fields)))
        return raw.json if raw.headers["content-type"] == "application/json" else raw.events


def deltas(events: list[Any]) -> list[dict[str, Any]]:
    return [event["choices"][0]["delta"] for event in events[:-1] if event["choices"]]


async def test_official_client_reads_a_stream() -> None:
    """Role, words, finish and usage come out of the client's own parser."""

    def use(client: openai.OpenAI) -> Any:
        options: Any = {"include_usage": True}
        return list(
            client.chat.completions.create(
                model="m", messages=MESSAGES, stream=True, stream_options=options
            )
        )

    chunks = await with_client(Script(words=3), use)
    assert chunks[0].choices[0].delta.role == "assistant"
    said = [c.choices[0].delta.content for c in chunks if c.choices]
    assert said == ["", "word1", " word2", " word3", None]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 3)
    assert chunks[0].system_fingerprint


async def test_official_client_reads_an_answer_in_one_piece() -> None:
    """Content, tool calls, finish reason and usage."""
    script = Script(text="Calling.", tool_calls=CALLS)
    answer = await with_client(
        script, lambda client: client.chat.completions.create(model="m", messages=MESSAGES)
    )
    message = answer.choices[0].message
    assert message.content == "Calling."
    assert [(c.function.name, c.function.arguments) for c in message.tool_calls] == [
        (call.name, call.arguments) for call in CALLS
    ]
    assert answer.choices[0].finish_reason == "tool_calls"
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_official_client_reads_the_model_list() -> None:
    """As its own type."""
    models = await with_client(Script(), lambda client: [m.id for m in client.models.list()])
    assert models == ["m"]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "context_length_exceeded", openai.BadRequestError),
        (401, None, openai.AuthenticationError),
        (403, None, openai.PermissionDeniedError),
        (404, None, openai.NotFoundError),
        (429, None, openai.RateLimitError),
        (429, "insufficient_quota", openai.RateLimitError),
        (500, None, openai.InternalServerError),
        (503, None, openai.InternalServerError),
        (529, None, openai.InternalServerError),
    ],
)
async def test_official_client_raises_the_error_of_the_status(
    status: int, code: str | None, error: type[openai.APIStatusError]
) -> None:
    """Each error body is one that the client can read."""

    def use(client: openai.OpenAI) -> openai.APIStatusError:
        with pytest.raises(error) as caught:
            client.chat.completions.create(model="m", messages=MESSAGES)
        return caught.value

    raised = await with_client(Script(status=status, error_code=code, retry_after=1.5), use)
    assert raised.status_code == status
    assert raised.response.headers["retry-after"] == "1.5"
    assert isinstance(raised.body["message"], str)
    assert code is None or raised.code == code


async def test_official_client_raises_an_in_band_error() -> None:
    """A top-level error chunk inside a 200 is an error to the client."""

    def use(client: openai.OpenAI) -> str:
        with pytest.raises(openai.APIError) as caught:
            list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        return str(caught.value)

    assert await with_client(Script(words=3, error_after=2, error_message="oops"), use) == "oops"


async def test_parallel_tool_calls_stream_as_start_and_fragments() -> None:
    """Id and name once per index, then the arguments in pieces; the role's content is null."""
    events = await observe(Script(tool_calls=CALLS))
    first, *rest = deltas(events)
    assert first == {"role": "assistant", "content": None, "refusal": None}
    parts = [part for delta in rest for part in delta.get("tool_calls", [])]
    starts = [part for part in parts if "id" in part]
    assert [(s["index"], s["function"]["name"]) for s in starts] == [(0, "alpha"), (1, "beta")]
    assert len({s["id"] for s in starts}) == 2
    for index, call in enumerate(CALLS):
        pieces = [p["function"]["arguments"] for p in parts if p["index"] == index]
        assert (len(pieces) > 2, "".join(pieces)) == (True, call.arguments)
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_reasoning_streams_before_the_text() -> None:
    """In ``reasoning_content``, and counted as reasoning in the usage."""
    options = {"include_usage": True}
    events = await observe(Script(reasoning="Let me think.", text="42"), stream_options=options)
    found = deltas(events)
    assert [d["reasoning_content"] for d in found if "reasoning_content" in d] == [
        "Let",
        " me",
        " think.",
    ]
    assert texts(events) == ["42"]
    assert events[-2]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 3


async def test_refusal_streams_in_its_own_field() -> None:
    """There is no text, and the finish reason is stop."""
    events = await observe(Script(refusal="I cannot."))
    assert [d["refusal"] for d in deltas(events)[1:-1]] == ["I", " cannot."]
    message = (await observe(Script(refusal="I cannot."), stream=False))["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I cannot.")


async def test_image_is_the_only_content() -> None:
    """One event, no text."""
    events = await observe(Script(image=PIXEL))
    (image,) = [d["images"][0] for d in deltas(events) if "images" in d]
    assert image["image_url"] == {"url": PIXEL}
    assert texts(events) == []
    answer = await observe(Script(image=PIXEL), stream=False)
    assert answer["choices"][0]["message"]["images"][0]["image_url"] == {"url": PIXEL}


async def test_usage_is_sent_only_when_asked_for() -> None:
    """With the option every chunk has the key and the last one the figures; else none has it."""
    options = {"include_usage": True}
    with_usage = await observe(Script(words=1), stream_options=options)
    assert [event["usage"] is None for event in with_usage[:-1]] == [True, True, True, False]
    assert not any("usage" in event for event in (await observe(Script(words=1)))[:-1])
    silent = await observe(Script(words=1, usage=False), stream_options=options)
    assert not any("usage" in event for event in silent[:-1])


async def test_model_and_finish_reason_can_be_chosen() -> None:
    """An answer may name another model than was asked for."""
    answer = await observe(Script(model="m-2026", finish_reason="length"), stream=False)
    assert answer["model"] == "m-2026"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["object"] == "chat.completion"


async def test_empty_answer_has_role_and_finish_alone() -> None:
    """Nothing is said, and it is still complete."""
    events = await observe(Script(text=""))
    assert deltas(events) == [{"role": "assistant", "content": "", "refusal": None}, {}]


async def test_error_body_can_be_chosen() -> None:
    """A proxy in between may answer anything."""
    async with Emulator({"m": Script(status=502, error_body=b"<html>")}) as emulator:
        raw = await exchange(emulator.port, request(chat()))
        assert (raw.status, raw.body) == (502, b"<html>")


async def test_official_client_reads_embeddings() -> None:
    """One vector per text, the same for the same text, packed or not; tokens are counted."""

    def use(client: openai.OpenAI) -> Any:
        packed = client.embeddings.create(model="m", input=["a", "a", "b"], dimensions=4)
        plain = client.embeddings.create(model="m", input="a", encoding_format="float")
        return packed, plain

    packed, plain = await with_client(Script(input_tokens=9), use)
    first, again, other = (row.embedding for row in packed.data)
    assert (first, len(first), first == other) == (again, 4, False)
    assert plain.data[0].embedding[:4] == first
    assert packed.usage.prompt_tokens == 9


@pytest.mark.parametrize("fields", [{}, {"input": []}, {"input": "a", "encoding_format": "x"}])
async def test_unsound_embedding_requests_are_refused(fields: dict[str, Any]) -> None:
    """Nothing to embed, or in no known form."""
    async with Emulator() as emulator:
        body = json.dumps({"model": "m", **fields}).encode()
        raw = await exchange(emulator.port, request(body, path="/v1/embeddings"))
        assert raw.status == 400


async def test_usage_has_the_figures_of_the_script() -> None:
    """Input with the cache in it, output with the reasoning."""
    script = Script(
        text="ok", reasoning="a b", input_tokens=30, output_tokens=7, cache_read_tokens=10
    )
    usage = (await observe(script, stream=False))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (
        30,
        7,
        37,
    )
    assert usage["prompt_tokens_details"]["cached_tokens"] == 10
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 2


async def test_call_ids_can_be_chosen_and_prompts_blocked() -> None:
    """The id is sent as it is; a blocked prompt ends by the filter, without a word."""
    answer = await observe(Script(tool_calls=(ToolCall("f", id="my:id"),)), stream=False)
    assert answer["choices"][0]["message"]["tool_calls"][0]["id"] == "my:id"
    choice = (await observe(Script(block_reason="SAFETY"), stream=False))["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", "")
