"""OpenAI's own client sees what it expects of OpenAI."""

from __future__ import annotations

import json
from collections.abc import Iterable

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from lipstream.emulators.script import Script, ToolCall
from tests.e2e.harness import proxying
from tests.e2e.sdk import with_async_sdk, with_sdk
from tests.e2e.upstreams import chunk, encode_sse, raw_upstream, says

USER = {"role": "user", "content": "Hi"}
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": WEATHER}]
TWO_CALLS = (ToolCall("weather", '{"city": "Köln"}'), ToolCall("weather", '{"city": "Bonn"}'))


def complete(client: openai.OpenAI, **fields: object) -> ChatCompletion:
    """Asks for a whole answer."""
    answer = client.chat.completions.create(**{"model": "a:m", "messages": [USER], **fields})  # type: ignore[call-overload]
    assert isinstance(answer, ChatCompletion)
    return answer


def stream(client: openai.OpenAI, **fields: object) -> list[ChatCompletionChunk]:
    """Asks for a stream and reads all of it."""
    asked = {"model": "a:m", "messages": [USER], "stream": True, **fields}
    return list(client.chat.completions.create(**asked))  # type: ignore[call-overload]


def text_of(chunks: Iterable[ChatCompletionChunk], choice: int = 0) -> str:
    """The text of one choice."""
    choices = [c for chunk in chunks for c in chunk.choices if c.index == choice]
    return "".join(c.delta.content or "" for c in choices)


# ---------------------------------------------------------------- answers


async def test_whole_answer_has_text_and_usage() -> None:
    """A client that does not stream gets a completion object."""
    async with proxying({"a": Script(text="Hello there")}) as proxy:
        answer = await with_sdk(proxy, complete)
    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


async def test_stream_has_every_word_and_ends_with_a_finish_reason() -> None:
    """A streaming client gets the words as chunks of one answer."""
    async with proxying({"a": Script(words=20, pace=0.001)}) as proxy:
        chunks = await with_sdk(proxy, stream)
    assert text_of(chunks) == " ".join(f"word{n}" for n in range(1, 21))
    assert len({chunk.id for chunk in chunks}) == 1
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "stop"


async def test_text_survives_every_odd_character() -> None:
    """Line ends of all kinds, quotes, control characters, and what is cut in its middle."""
    text = 'a\u2028b\u2029c\u0085d \U0001f600 \r\n\t"\\ \x00 \ufdfd é'
    async with proxying({"a": Script(text=text, delta_size=1, trickle=3)}) as proxy:
        chunks = await with_sdk(proxy, stream)
        answer = await with_sdk(proxy, complete)
    assert text_of(chunks) == text
    assert answer.choices[0].message.content == text


async def test_stream_counts_usage_only_on_request() -> None:
    """The proxy always asks the upstream to count; the client sees it only if it asked itself."""
    async with proxying({"a": Script(words=3)}) as proxy:
        silent = await with_sdk(proxy, stream)
        counted = await with_sdk(
            proxy, lambda client: stream(client, stream_options={"include_usage": True})
        )
        asked = [entry.body["stream_options"] for entry in proxy.ledger()]
    assert [chunk.usage for chunk in silent] == [None] * len(silent)
    assert all(chunk.choices for chunk in silent)
    assert counted[-1].choices == []
    assert counted[-1].usage is not None
    assert counted[-1].usage.completion_tokens == 3
    assert asked == [{"include_usage": True}] * 2


async def test_async_client_streams() -> None:
    """The asynchronous client is another HTTP client with the same expectations."""

    async def use(client: openai.AsyncOpenAI) -> list[ChatCompletionChunk]:
        answer = await client.chat.completions.create(
            model="a:m", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        return [chunk async for chunk in answer]

    async with proxying({"a": Script(words=5, pace=0.005)}) as proxy:
        chunks = await with_async_sdk(proxy, use)
    assert text_of(chunks) == "word1 word2 word3 word4 word5"


async def test_async_client_gets_many_answers_at_once() -> None:
    """Concurrent answers on the connections of one client do not mix."""

    async def use(client: openai.AsyncOpenAI) -> list[str | None]:
        import asyncio  # noqa: TID251 - the asynchronous client runs on nothing else

        async def ask(number: int) -> str | None:
            answer = await client.chat.completions.create(
                model=f"a:m{number}", messages=[{"role": "user", "content": "Hi"}]
            )
            return answer.model

        return await asyncio.gather(*map(ask, range(20)))

    async with proxying({"a": Script(words=3, pace=0.005)}) as proxy:
        models = await with_async_sdk(proxy, use)
    assert models == [f"m{number}" for number in range(20)]


# ---------------------------------------------------------------- tools and structure


async def test_parallel_tool_calls_arrive_whole() -> None:
    """Two calls of one turn keep their names, arguments and ids."""
    async with proxying({"a": Script(tool_calls=TWO_CALLS)}) as proxy:
        answer = await with_sdk(proxy, lambda client: complete(client, tools=TOOLS))
        sent = proxy.ledger()[0].body["tools"]
    calls = answer.choices[0].message.tool_calls or []
    functions = [call.function for call in calls if call.type == "function"]
    assert [f.name for f in functions] == ["weather", "weather"]
    assert [json.loads(f.arguments)["city"] for f in functions] == ["Köln", "Bonn"]
    assert len({call.id for call in calls}) == 2
    assert answer.choices[0].finish_reason == "tool_calls"
    assert sent == TOOLS


async def test_parallel_tool_calls_stream_in_fragments() -> None:
    """The client's own accumulator can put the fragments together again."""

    def use(client: openai.OpenAI) -> list[tuple[str, str]]:
        asked = {"model": "a:m", "messages": [USER], "tools": TOOLS}
        with client.chat.completions.stream(**asked) as events:  # type: ignore[arg-type]
            message = events.get_final_completion().choices[0].message
        calls = message.tool_calls or []
        return [(call.function.name, call.function.arguments) for call in calls]

    async with proxying({"a": Script(tool_calls=TWO_CALLS, pace=0.001)}) as proxy:
        calls = await with_sdk(proxy, use)
    assert calls == [("weather", '{"city": "Köln"}'), ("weather", '{"city": "Bonn"}')]


async def test_tool_result_goes_back_to_the_upstream() -> None:
    """The second turn of a tool loop reaches the upstream as the client wrote it."""
    called = {"id": "call_1", "type": "function", "function": {"name": "w", "arguments": "{}"}}
    turns = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
    ]
    async with proxying({"a": Script()}) as proxy:
        await with_sdk(proxy, lambda client: complete(client, messages=turns, tools=TOOLS))
        sent = proxy.ledger()[0].body["messages"]
    assert sent == turns


class City(BaseModel):
    """What the structured answer is parsed into."""

    name: str
    people: int


async def test_structured_output_is_parsed() -> None:
    """The schema reaches the upstream and the answer fits the client's model."""

    def use(client: openai.OpenAI) -> City | None:
        asked = {"model": "a:m", "messages": [USER], "response_format": City}
        answer = client.chat.completions.parse(**asked)  # type: ignore[arg-type]
        return answer.choices[0].message.parsed

    async with proxying({"a": Script(text='{"name": "Köln", "people": 1}')}) as proxy:
        city = await with_sdk(proxy, use)
        sent = proxy.ledger()[0].body["response_format"]
    assert city == City(name="Köln", people=1)
    assert sent["json_schema"]["strict"] is True
    assert set(sent["json_schema"]["schema"]["required"]) == {"name", "people"}


# ---------------------------------------------------------------- reasoning, refusal, choices


async def test_reasoning_is_visible_both_ways() -> None:
    """Reasoning is no part of OpenAI's API; the field of the others comes through."""
    async with proxying({"a": Script(reasoning="let me think", text="Done")}) as proxy:
        answer = await with_sdk(proxy, complete)
        chunks = await with_sdk(proxy, stream)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert getattr(answer.choices[0].message, "reasoning_content", None) == "let me think"
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in deltas) == "let me think"
    assert text_of(chunks) == "Done"


async def test_refusal_is_told_as_one() -> None:
    """A model's refusal is an answer, and not its text."""
    async with proxying({"a": Script(refusal="I cannot do that")}) as proxy:
        answer = await with_sdk(proxy, complete)
        chunks = await with_sdk(proxy, stream)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert answer.choices[0].message.refusal == "I cannot do that"
    assert answer.choices[0].message.content is None
    assert "".join(delta.refusal or "" for delta in deltas) == "I cannot do that"


async def test_two_choices_stay_apart() -> None:
    """With ``n=2`` the pieces of both answers come in turn and are not mixed."""
    pieces = [
        *(chunk(n, role="assistant", content="") for n in (0, 1)),
        *(chunk(n, content=word) for word in ("one ", "two") for n in (0, 1)),
        *(chunk(n, "stop") for n in (0, 1)),
    ]
    said = says(encode_sse(*pieces))
    async with raw_upstream(said) as raw, proxying({"a": raw.base_url}) as proxy:
        answer = await with_sdk(proxy, lambda client: complete(client, n=2))
        chunks = await with_sdk(proxy, lambda client: stream(client, n=2))
    assert [choice.message.content for choice in answer.choices] == ["one two", "one two"]
    assert [text_of(chunks, n) for n in (0, 1)] == ["one two", "one two"]


# ---------------------------------------------------------------- images


@pytest.mark.parametrize("size", [100_000, 4_000_000])
async def test_image_reaches_the_upstream_unharmed(size: int) -> None:
    """Images are sent inline, so requests of megabytes are ordinary."""
    image = {"url": "data:image/png;base64," + "iVBORw0KGgo=" * (size // 12), "detail": "low"}
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": image}]
    asked = [{"role": "user", "content": content}]
    async with proxying({"a": Script(text="A cat")}) as proxy:
        answer = await with_sdk(proxy, lambda client: complete(client, messages=asked))
        sent = proxy.ledger()[0].body["messages"]
    assert answer.choices[0].message.content == "A cat"
    assert sent == asked


# ---------------------------------------------------------------- models


async def test_models_are_listed_and_found() -> None:
    """What the configuration declares can be looked up with the client's own methods."""
    entries = {"a": {"models": ["vendor/m-1", "m-2"]}}
    async with proxying({"a": Script()}, entries=entries) as proxy:
        listed = await with_sdk(proxy, lambda client: [m.id for m in client.models.list()])
        found = await with_sdk(proxy, lambda client: client.models.retrieve("vendor/m-1"))
        with pytest.raises(openai.NotFoundError) as missing:
            await with_sdk(proxy, lambda client: client.models.retrieve("nobody"))
    assert listed == ["m-2", "vendor/m-1"]
    assert (found.id, found.owned_by) == ("vendor/m-1", "a")
    assert missing.value.code == "model_not_found"


async def test_listed_model_can_be_asked_for() -> None:
    """The id in the list is a name that the same server accepts."""
    entries = {"*": {"models": ["m"]}}
    async with proxying({"a": Script(), "b": Script()}, entries=entries) as proxy:
        listed = await with_sdk(proxy, lambda client: [m.id for m in client.models.list()])
        for name in listed:
            await with_sdk(proxy, lambda client, model=name: complete(client, model=model))  # type: ignore[misc]
        asked = [len(emulator.ledger) for emulator in proxy.emulators.values()]
    assert listed == ["b:m", "m"]
    assert asked == [1, 1]
