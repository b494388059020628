"""The official OpenAI client, in a thread, against a running proxy."""

from __future__ import annotations

import asyncio  # noqa: TID251 - the asynchronous client runs on nothing else
from collections.abc import Awaitable, Callable
from typing import TypeVar

import openai
import trio

from tests.e2e.harness import Proxy

Result = TypeVar("Result")

CLIENT_TIMEOUT = 20.0


async def with_sdk(proxy: Proxy, use: Callable[[openai.OpenAI], Result]) -> Result:
    """Calls ``use`` with a client that repeats nothing."""

    def run() -> Result:
        with openai.OpenAI(
            base_url=proxy.base_url,
            api_key="sk-client",
            max_retries=0,
            timeout=CLIENT_TIMEOUT,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        ) as client:
            return use(client)

    return await trio.to_thread.run_sync(run)


async def with_async_sdk(
    proxy: Proxy, use: Callable[[openai.AsyncOpenAI], Awaitable[Result]]
) -> Result:
    """The same with the asynchronous client, which has an event loop of its own."""

    async def run() -> Result:
        async with openai.AsyncOpenAI(
            base_url=proxy.base_url,
            api_key="sk-client",
            max_retries=0,
            timeout=CLIENT_TIMEOUT,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
        ) as client:
            return await use(client)

    return await trio.to_thread.run_sync(lambda: asyncio.run(run()))
