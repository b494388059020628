"""The Gemini dialect: what Google's own client and a raw socket see."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from google import genai
from google.genai import errors, types

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script, ToolCall
from tests.emulators.asks import GEMINI, answer, events_of
from tests.emulators.raw_client import exchange, request

PIXEL = "data:image/png;base64,iVBORw0KGgo="
CALLS = (ToolCall("alpha", '{"value": "red"}'), ToolCall("beta"))
BODY = json.dumps(GEMINI.question).encode()


async def with_client(script: Script, use: Any) -> Any:
    """What ``use`` returns for the official client, in a thread, against ``script``."""
    async with Emulator(default=script, expect_key="k") as emulator:
        options = types.HttpOptions(base_url=emulator.origin, timeout=10_000)

        def run() -> Any:
            client = genai.Client(api_key="k", http_options=options)
            try:
                return use(client)
            finally:
                client.close()

        found = await trio.to_thread.run_sync(run)
        assert emulator.failures == []
        return found


def parts(events: list[Any]) -> list[dict[str, Any]]:
    """The parts of all chunks."""
    contents = [event["candidates"][0].get("content", {}) for event in events]
    return [part for content in contents for part in content.get("parts", [])]


@pytest.mark.parametrize("model", ["gemini-3-pro", "gemini-2.5-flash"])
async def test_official_client_carries_a_tool_loop_to_its_end(model: str) -> None:
    """Every streamed part goes back in as it is, signatures included."""
    script = Script(reasoning="Let me think.", tool_calls=CALLS, tool_rounds=1)

    def use(client: Any) -> str:
        said: list[types.Part] = []
        asked = types.Content(role="user", parts=[types.Part(text="Hi")])
        for chunk in client.models.generate_content_stream(model=model, contents=[asked]):
            said += chunk.candidates[0].content.parts
        calls = [part.function_call for part in said if part.function_call]
        results = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call.id, name=call.name, response={"error": "5"}
                )
            )
            for call in calls
        ]
        turns: Any = [
            asked,
            types.Content(role="model", parts=said),
            types.Content(role="user", parts=results),
        ]
        return str(client.models.generate_content(model=model, contents=turns).text)

    assert (await with_client(script, use)).count('"text":"5","is_error":true') == 2


async def test_official_client_counts_embeds_and_lists() -> None:
    """The other methods of a model, and the models."""

    def use(client: Any) -> Any:
        count = client.models.count_tokens(model="m", contents="Hi").total_tokens
        embedded = client.models.embed_content(model="m", contents=["a", "a"]).embeddings
        vectors = [embedding.values for embedding in embedded]
        return count, vectors, list(client.models.list())

    count, vectors, listed = await with_client(Script(input_tokens=42), use)
    assert (count, listed) == (42, [])
    assert vectors[0]


@pytest.mark.parametrize("method", ["embedContent", "batchEmbedContents"])
async def test_same_text_gets_the_same_vector(method: str) -> None:
    """Of the size that was asked for."""
    one = {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3}
    body = one if method == "embedContent" else {"requests": [one, one]}
    async with Emulator() as emulator:
        ask = request(json.dumps(body).encode(), path=f"/v1beta/models/m:{method}")
        found = (await exchange(emulator.port, ask)).json
    vectors = [found["embedding"]] if method == "embedContent" else found["embeddings"]
    assert {len(vector["values"]) for vector in vectors} == {3}
    assert len({str(vector) for vector in vectors}) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_official_client_raises_the_error_of_the_status(status: int) -> None:
    """With the code and the status word of the body."""

    def use(client: genai.Client) -> Any:
        with pytest.raises(errors.APIError) as caught:
            client.models.generate_content(model="m", contents="Hi")
        return caught.value

    raised = await with_client(Script(status=status), use)
    assert (raised.code, bool(raised.status), bool(raised.message)) == (status, True, True)


async def test_usage_grows_with_every_chunk() -> None:
    """From the start, thoughts apart; the last one has it all."""
    script = Script(reasoning="a b", words=2, input_tokens=10, cache_read_tokens=4)
    usages = [event["usageMetadata"] for event in await events_of(GEMINI, script)]
    totals = [usage["totalTokenCount"] for usage in usages]
    assert totals == [11, 12, 13, 14, 14]
    last = usages[-1]
    assert (last["promptTokenCount"], last["cachedContentTokenCount"]) == (10, 4)
    assert (last["candidatesTokenCount"], last["thoughtsTokenCount"]) == (2, 2)
    assert (await answer(GEMINI, script, stream=False)).json["usageMetadata"] == last


async def test_function_calls_come_whole_one_per_chunk() -> None:
    """Ids and the signature on the first one are those of the third generation."""
    async with Emulator(default=Script(tool_calls=CALLS)) as emulator:
        found = []
        for model in ("gemini-3-pro", "gemini-2.5-pro"):
            path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
            events = (await exchange(emulator.port, request(BODY, path=path))).events
            found.append([part for part in parts(events) if "functionCall" in part])
    new, old = found
    assert [part["functionCall"]["args"] for part in new] == [{"value": "red"}, {}]
    assert ["thoughtSignature" in part for part in new + old] == [True, False, False, False]
    assert ["id" in part["functionCall"] for part in new + old] == [True, True, False, False]


async def test_thoughts_are_marked_and_the_text_is_signed_at_its_end() -> None:
    """In a part without words; in one piece on the text itself."""
    script = Script(reasoning="a b", text="c d")
    *said, last = parts(await events_of(GEMINI, script))
    assert [part.get("thought", False) for part in said] == [True, True, False, False]
    assert (last["text"], bool(last["thoughtSignature"])) == ("", True)
    whole = parts([(await answer(GEMINI, script, stream=False)).json])
    assert [part["text"] for part in whole] == ["a b", "c d"]
    assert ["thoughtSignature" in part for part in whole] == [False, True]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(), "STOP"),
        (Script(tool_calls=CALLS), "STOP"),
        (Script(finish_reason="length"), "MAX_TOKENS"),
        (Script(finish_reason="content_filter"), "SAFETY"),
        (Script(refusal="No."), "SAFETY"),
        (Script(finish_reason="error"), "MALFORMED_FUNCTION_CALL"),
        (Script(finish_reason="RECITATION"), "RECITATION"),
    ],
)
async def test_finish_reason_says_why(script: Script, reason: str) -> None:
    """In the last chunk alone, streamed or not."""
    events = await events_of(GEMINI, script)
    assert ["finishReason" in e["candidates"][0] for e in events].count(True) == 1
    whole = (await answer(GEMINI, script, stream=False)).json
    for response in (events[-1], whole):
        assert response["candidates"][0]["finishReason"] == reason


async def test_blocked_prompt_has_no_candidates() -> None:
    """Only the reason, in a single chunk."""
    events = await events_of(GEMINI, Script(block_reason="PROHIBITED_CONTENT"))
    assert [event["promptFeedback"] for event in events] == [{"blockReason": "PROHIBITED_CONTENT"}]
    assert "candidates" not in events[0]


async def test_image_is_inline_data() -> None:
    """With its type and without a prefix."""
    (image,) = [p for p in parts(await events_of(GEMINI, Script(image=PIXEL))) if "text" not in p]
    assert image == {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}


async def test_stream_without_sse_is_one_array() -> None:
    """Which parses as a whole; errors stand in an array, too."""
    path = "/v1beta/models/m:streamGenerateContent"
    scripts = [
        Script(words=3),
        Script(words=3, error_after=2),
        Script(no_done=True, text=""),
        Script(status=503),
    ]
    found = []
    async with Emulator({"m": scripts}) as emulator:
        for _ in scripts:
            raw = await exchange(emulator.port, request(BODY, path=path))
            body = b"".join(raw.chunks) if "transfer-encoding" in raw.headers else raw.body
            found.append(json.loads(body))
    assert [len(items) for items in found] == [4, 3, 0, 1]
    assert [items[-1]["error"]["status"] for items in (found[1], found[3])] == ["UNAVAILABLE"] * 2


async def test_events_end_in_cr_lf() -> None:
    """As the real ones do."""
    body = b"".join((await answer(GEMINI, Script(words=2))).chunks)
    assert body.count(b"\r\n\r\n") == 3
    assert body.count(b"\n") == body.count(b"\r\n")


@pytest.mark.parametrize("path", ["/v1/projects/p/locations/l/publishers/google", "/v1beta"])
async def test_any_prefix_is_served(path: str) -> None:
    """Model and method are what the path ends with."""
    async with Emulator() as emulator:
        ask = request(BODY, path=f"{path}/models/gemini-2.0:generateContent")
        raw = await exchange(emulator.port, ask)
        assert (raw.status, raw.json["modelVersion"]) == (200, "gemini-2.0")
