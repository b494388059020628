"""OpenAI's own client raises what it would raise for OpenAI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from lipstream.emulators.script import Script
from tests.e2e.harness import proxying
from tests.e2e.sdk import with_async_sdk, with_sdk
from tests.e2e.upstreams import refusing

USER = {"role": "user", "content": "Hi"}

FAULTS = [
    (Script(status=400), openai.BadRequestError, 400, None),
    (
        Script(status=400, error_code="context_length_exceeded"),
        openai.BadRequestError,
        400,
        "context_length_exceeded",
    ),
    (
        Script(status=400, error_code="content_filter"),
        openai.BadRequestError,
        400,
        "content_filter",
    ),
    (Script(status=413), openai.APIStatusError, 413, None),
    (Script(status=422), openai.UnprocessableEntityError, 422, None),
    (Script(status=401), openai.InternalServerError, 502, "upstream_credentials_exhausted"),
    (Script(status=403), openai.InternalServerError, 502, "upstream_credentials_exhausted"),
    (Script(status=404), openai.NotFoundError, 404, "model_not_found"),
    (Script(status=409), openai.InternalServerError, 502, "upstream_error"),
    (Script(status=429, retry_after=40), openai.RateLimitError, 429, "rate_limit_exceeded"),
    (Script(status=500), openai.InternalServerError, 502, "upstream_error"),
    (Script(status=503, retry_after=40), openai.InternalServerError, 503, "upstream_overloaded"),
    (Script(status=529, retry_after=40), openai.InternalServerError, 503, "upstream_overloaded"),
    (Script(reset_after=0), openai.InternalServerError, 502, "upstream_error"),
    (Script(cut_after=0), openai.InternalServerError, 502, "upstream_truncated"),
]

Asking = Callable[[openai.OpenAI], object]


def ask(model: str = "a:m", **fields: Any) -> Asking:
    """A function that asks with a client and reads the whole answer."""

    def use(client: openai.OpenAI) -> object:
        asked = {"model": model, "messages": [USER], **fields}
        answer = client.chat.completions.create(**asked)
        return list(answer) if fields.get("stream") else answer

    return use


@pytest.mark.parametrize("is_streaming", [False, True])
@pytest.mark.parametrize(
    ("script", "error", "status", "code"), FAULTS, ids=lambda value: getattr(value, "status", None)
)
async def test_fault_of_the_upstream_is_a_typed_exception(
    script: Script, error: type[Exception], status: int, code: str | None, is_streaming: bool
) -> None:
    """Before the first word a failure is a plain HTTP error, streaming or not."""
    async with proxying({"a": script}, routing={"max_attempts": 1}) as proxy:
        with pytest.raises(openai.APIStatusError) as caught:
            await with_sdk(proxy, ask(stream=is_streaming))
        record = await proxy.record()
    assert type(caught.value) is error
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.request_id == record.id
    assert record.status == status


async def test_rate_limit_says_when_to_come_back() -> None:
    """The header that the client's own repeats go by is there."""
    async with proxying({"a": Script(status=429, retry_after=40)}) as proxy:
        with pytest.raises(openai.RateLimitError) as caught:
            await with_sdk(proxy, ask())
    assert caught.value.response.headers["retry-after"] == "40"
    assert caught.value.type == "requests"


async def test_async_client_raises_the_same() -> None:
    """The asynchronous client reads the same errors."""

    async def use(client: openai.AsyncOpenAI) -> object:
        return await client.chat.completions.create(
            model="a:m", messages=[{"role": "user", "content": "Hi"}], stream=True
        )

    async with proxying({"a": Script(status=404)}) as proxy:
        with pytest.raises(openai.NotFoundError) as caught:
            await with_async_sdk(proxy, use)
    assert caught.value.code == "model_not_found"


async def test_unreachable_upstream_is_no_connection_error_of_the_client() -> None:
    """It is the proxy that could not connect; the client is connected well."""
    async with proxying({"a": refusing()}) as proxy:
        with pytest.raises(openai.InternalServerError) as caught:
            await with_sdk(proxy, ask())
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_unreachable")


async def test_time_that_is_over_is_no_timeout_of_the_client() -> None:
    """The proxy says 504 when the time is over, long before the client's own patience ends."""
    async with proxying({"a": Script(hang_before_headers=True)}) as proxy:
        with pytest.raises(openai.InternalServerError) as caught:
            await with_sdk(proxy, ask(extra_headers={"X-LIP-Timeout": "0.2"}))
    assert (caught.value.status_code, caught.value.code) == (504, "timeout")


async def test_bad_request_names_the_field() -> None:
    """What the proxy itself refuses is told with the path of the field."""
    async with proxying({"a": Script()}) as proxy:
        with pytest.raises(openai.BadRequestError) as caught:
            await with_sdk(proxy, ask(extra_body={"messages": [{"role": "clown"}]}))
    assert caught.value.param == "messages[0].role"
    assert "system" in str(caught.value)


async def test_cut_in_the_middle_raises_in_the_iteration() -> None:
    """A client that has part of an answer learns that it is not the whole."""
    words: list[str] = []

    def use(client: openai.OpenAI) -> None:
        asked: dict[str, Any] = {"model": "a:m", "messages": [USER], "stream": True}
        chunks = client.chat.completions.create(**asked)
        words.extend(chunk.choices[0].delta.content or "" for chunk in chunks)

    async with proxying({"a": Script(words=5, cut_after=2)}) as proxy:
        with pytest.raises(openai.APIError) as caught:
            await with_sdk(proxy, use)
    assert "".join(words) == "word1 word2"
    assert caught.value.code == "upstream_truncated"


async def test_draining_proxy_refuses_with_503() -> None:
    """A request that comes on an open connection while the proxy drains is told to go elsewhere."""
    async with proxying({"a": Script()}) as proxy:
        proxy.runtime.gateway.is_draining = True
        with pytest.raises(openai.InternalServerError) as caught:
            await with_sdk(proxy, ask())
    assert (caught.value.status_code, caught.value.code) == (503, "shutting_down")
    assert int(caught.value.response.headers["retry-after"]) >= 1
