"""The emulator's NVIDIA: what it refuses, how it words errors, and answers that come later."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.nvidia import PREFIX
from lipstream.emulators.script import Script

HI = [{"role": "user", "content": "hi"}]
KEY = {"authorization": "Bearer nvapi-1"}


async def post(emulator: Emulator, path: str, body: Any) -> httpx.Response:
    """A request below NVIDIA's path."""
    async with httpx.AsyncClient(trust_env=False, headers=KEY) as client:
        return await client.post(emulator.origin + PREFIX + path, json=body)


async def get(emulator: Emulator, path: str) -> httpx.Response:
    """A request from the root."""
    async with httpx.AsyncClient(trust_env=False, headers=KEY) as client:
        return await client.get(emulator.origin + path)


async def test_both_protocols_are_answered() -> None:
    """Under one path; other paths are OpenAI's, or nobody's."""
    async with Emulator(default=Script(text="nvidia-ok")) as emulator:
        chat = await post(emulator, "/chat/completions", {"model": "m", "messages": HI})
        response = await post(emulator, "/responses", {"model": "m", "input": "hi", "nvext": {}})
        assert chat.json()["choices"][0]["message"]["content"] == "nvidia-ok"
        assert response.json()["output"][0]["content"][0]["text"] == "nvidia-ok"
        assert {entry.dialect for entry in emulator.ledger} == {"Nvidia"}
        assert (await post(emulator, "/nothing", {})).status_code == 404
        assert (await get(emulator, f"{PREFIX}/chat/completions")).status_code == 404
        assert chat.headers["nvcf-reqid"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/chat/completions", {"messages": HI, "max_completion_tokens": 5}),
        ("/chat/completions", {"messages": HI, "prompt_cache_key": "k"}),
        ("/chat/completions", {"messages": HI, "provider": {}}),
        ("/responses", {"input": "hi", "max_tokens": 5}),
        ("/responses", {"input": "hi", "stream_options": {}}),
    ],
)
async def test_field_that_is_not_permitted_is_named(path: str, fields: Any) -> None:
    """With a 400, as problem details."""
    async with Emulator() as emulator:
        response = await post(emulator, path, {"model": "m", **fields})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == "urn:inference-service:problem-details:bad-request"
    assert (problem["title"], problem["status"]) == ("Bad Request", 400)
    assert f"'{list(fields)[-1]}'" in problem["detail"]


async def test_what_openai_refuses_is_refused_in_nvidias_words() -> None:
    """And so is a request without a key, or without JSON."""
    async with Emulator(expect_key="nvapi-2") as emulator:
        body = {"model": "m", "messages": HI}
        denied = await post(emulator, "/chat/completions", body)
    assert denied.status_code == 401
    assert denied.json()["detail"] == "Authentication failed"
    async with Emulator(default=Script(status=529, error_message="x")) as emulator:
        bad = await post(emulator, "/chat/completions", {"model": "m", "messages": []})
        busy = await post(emulator, "/chat/completions", body)
    assert (bad.status_code, bad.json()["title"]) == (400, "Bad Request")
    assert (busy.status_code, busy.json()["title"]) == (529, "Server Error")


async def test_error_in_a_stream_is_a_problem() -> None:
    """Without an end; a body that was given goes first."""
    given = Script(error_after=0, error_body=b'{"x":1}')
    async with Emulator({"m": [Script(error_after=0), given]}) as emulator:
        body = {"model": "m", "messages": HI, "stream": True}
        problem = await post(emulator, "/chat/completions", body)
        other = await post(emulator, "/chat/completions", body)
    assert json.loads(problem.text.removeprefix("data: "))["status"] == 500
    assert other.text == 'data: {"x":1}\n\n'


async def test_answer_may_come_later() -> None:
    """The next turn's script is what is found; the same id all the time."""
    later = Script(status=202)
    async with Emulator({"m": [later, later, Script(text="at last")]}) as emulator:
        body = {"model": "m", "messages": HI}
        promise = await post(emulator, "/chat/completions", body)
        request_id = promise.headers["nvcf-reqid"]
        path = f"/v2/nvcf/pexec/status/{request_id}"
        again, answer = await get(emulator, path), await get(emulator, path)
        assert (await get(emulator, path + "0")).status_code == 404
        assert [entry.model for entry in emulator.ledger.of_model("m")] == ["m"] * 3
    assert (promise.status_code, promise.content) == (202, b"")
    assert (again.status_code, again.headers["nvcf-reqid"]) == (202, request_id)
    assert answer.json()["choices"][0]["message"]["content"] == "at last"


async def test_models_are_listed() -> None:
    """As NVIDIA lists them."""
    async with Emulator({"meta/llama": Script()}) as emulator:
        listed = (await get(emulator, f"{PREFIX}/models")).json()
    assert [(row["id"], row["owned_by"]) for row in listed["data"]] == [("meta/llama", "nvidia")]
