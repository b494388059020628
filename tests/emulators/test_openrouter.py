"""The emulator's OpenRouter: comments, costs, details of reasoning, and errors with metadata."""

from __future__ import annotations

import json
from typing import Any

import attrs
import httpx
import pytest

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.openrouter import COST, PREFIX
from lipstream.emulators.script import Script, ToolCall

HI = [{"role": "user", "content": "hi"}]
CHAT = {"model": "m", "messages": HI}
PATHS: dict[str, dict[str, Any]] = {
    "/chat/completions": CHAT,
    "/responses": {"model": "m", "input": "hi", "models": ["m"]},
}


async def post(emulator: Emulator, path: str = "/chat/completions", **body: Any) -> httpx.Response:
    """A request below OpenRouter's path."""
    fields = {**PATHS.get(path, {}), **body}
    async with httpx.AsyncClient(trust_env=False, headers={"authorization": "Bearer k"}) as client:
        return await client.post(emulator.origin + PREFIX + path, json=fields)


def chunks(response: httpx.Response) -> list[Any]:
    """The JSON of a stream's events."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n")]
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
async def test_answer_tells_its_cost(path: str, stream: bool) -> None:
    """Always; a stream begins with a comment."""
    async with Emulator(default=Script(text="or-ok", input_tokens=3)) as emulator:
        response = await post(emulator, path, stream=stream)
        assert emulator.ledger[0].dialect == "OpenRouter"
    assert "or-ok" in response.text
    assert response.text.startswith(": OPENROUTER PROCESSING\n\n") is stream
    last = chunks(response)[-1] if stream else response.json()
    usage = last.get("response", last)["usage"]
    assert (usage["cost"], usage["is_byok"]) == (COST, False)


async def test_whole_answer_names_provider_and_reason() -> None:
    """Those of the provider behind."""
    async with Emulator(default=Script(text="a", reasoning="Hm. So.")) as emulator:
        answer = (await post(emulator)).json()
    (choice,) = answer["choices"]
    assert (answer["provider"], choice["native_finish_reason"]) == ("Emulator", "stop")
    (detail,) = choice["message"]["reasoning_details"]
    assert (choice["message"]["reasoning"], detail["text"]) == ("Hm. So.", "Hm. So.")
    assert detail["signature"]
    assert "reasoning_content" not in choice["message"]


@pytest.mark.parametrize("script", [Script(text="a b"), Script(tool_calls=(ToolCall("f"),))])
async def test_streamed_reasoning_is_signed_at_its_end(script: Script) -> None:
    """Before what comes next."""
    async with Emulator(default=attrs.evolve(script, reasoning="Hm. So.")) as emulator:
        deltas = [
            c["choices"][0]["delta"]
            for c in chunks(await post(emulator, stream=True))
            if c["choices"]
        ]
    details = [d for delta in deltas for d in delta.get("reasoning_details") or ()]
    assert "".join(d.get("text", "") for d in details) == "Hm. So."
    assert ["signature" in d for d in details] == [False, False, True]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "low"}, '"reasoning_effort" may be'),
        ({"reasoning": {"effort": "low", "max_tokens": 9}}, '"reasoning.max_tokens" can be'),
        ({"messages": []}, "empty array"),
    ],
)
async def test_request_at_fault_is_refused(fields: Any, words: str) -> None:
    """Reasoning is asked for in one way."""
    async with Emulator() as emulator:
        response = await post(emulator, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == 400
    assert words in response.json()["error"]["message"]


async def test_reasoning_is_seen_in_either_way() -> None:
    """A word, or a number of tokens."""
    async with Emulator() as emulator:
        await post(emulator, reasoning={"effort": "low"})
        await post(emulator, reasoning={"max_tokens": 9})
        await post(emulator, "/responses", reasoning={"effort": "low"})
        seen = [entry.seen.options for entry in emulator.ledger if entry.seen]
    assert [options.get("reasoning_effort") for options in seen] == ["low", None, "low"]
    assert [options.get("reasoning_budget") for options in seen] == [None, 9, None]


@pytest.mark.parametrize(
    ("script", "metadata"),
    [
        (Script(status=402), set()),
        (Script(status=403), set()),
        (Script(status=403, error_code="moderation"),
         {"reasons", "flagged_input", "provider_name", "model_slug"}),
        (Script(status=429, retry_after=2), {"raw", "provider_name", "headers"}),
        (Script(status=502), {"raw", "provider_name"}),
        (Script(status=503), set()),
    ],
)  # fmt: skip
async def test_errors_have_metadata(script: Script, metadata: set[str]) -> None:
    """Of the provider behind, or of the moderation."""
    async with Emulator(default=script) as emulator:
        response = await post(emulator)
    error = response.json()["error"]
    assert response.status_code == script.status
    assert error["code"] == (script.error_code or script.status)
    assert set(error.get("metadata", {})) == metadata


async def test_denial_and_given_bodies() -> None:
    """In OpenRouter's words, or in the script's."""
    async with Emulator(expect_key="other") as emulator:
        denied = await post(emulator)
    assert denied.json()["error"] == {"message": "No auth credentials found", "code": 401}
    async with Emulator(default=Script(status=500, error_body=b"{}")) as emulator:
        assert (await post(emulator)).content == b"{}"


async def test_stream_ends_with_its_error() -> None:
    """One chunk that names it and finishes the choice."""
    async with Emulator(default=Script(words=5, error_after=1)) as emulator:
        response = await post(emulator, stream=True)
    last = chunks(response)[-1]
    assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (502, "error")
    assert "[DONE]" not in response.text


async def test_models_and_embeddings() -> None:
    """With prices, and with a cost."""
    async with Emulator({"a/b": Script()}) as emulator:
        async with httpx.AsyncClient(trust_env=False) as client:
            listed = (await client.get(emulator.origin + PREFIX + "/models")).json()
        vectors = (await post(emulator, "/embeddings", model="e", input="hi")).json()
    assert [row["id"] for row in listed["data"]] == ["a/b"]
    assert (len(vectors["data"]), vectors["usage"]["cost"]) == (1, COST)
