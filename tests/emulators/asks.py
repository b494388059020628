"""The same question in every dialect, and what an answer says, whatever it looks like."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from tests.emulators.raw_client import Raw, exchange, request

Json = dict[str, Any]


@attrs.frozen
class Tongue:
    """How one dialect is asked, and where its streams say text and end.

    Attributes:
        texts: The text that one event of a stream adds, or None.
        is_last: Whether this event is the terminal marker.
    """

    name: str
    path: str
    stream_path: str
    headers: tuple[str, ...]
    question: Json
    texts: Callable[[Any], str | None]
    is_last: Callable[[Any], bool]

    def ask(self, *, stream: bool = True, **fields: Any) -> bytes:
        """The whole request, on a connection of its own."""
        body = {**self.question, **fields}
        if self.name != "gemini" and stream:
            body["stream"] = True
        path = self.stream_path if stream else self.path
        headers = (*self.headers, "connection: close")
        return request(json.dumps(body).encode(), path=path, headers=headers)


def _chat_text(event: Any) -> str | None:
    choices = event.get("choices") if isinstance(event, dict) else None
    return choices[0]["delta"].get("content") or None if choices else None


def _typed(kind: str, *path: str) -> Callable[[Any], str | None]:
    def find(event: Any) -> str | None:
        if not isinstance(event, dict) or event.get("type") != kind:
            return None
        found: str | None = None
        for name in path:
            event = found = event.get(name) if isinstance(event, dict) else None
        return found

    return find


def _gemini_text(event: Any) -> str | None:
    candidates = event.get("candidates") if isinstance(event, dict) else None
    parts = candidates[0].get("content", {}).get("parts", []) if candidates else []
    return "".join(part.get("text", "") for part in parts if not part.get("thought")) or None


def _finished(event: Any) -> bool:
    return isinstance(event, dict) and "finishReason" in event.get("candidates", [{}])[0]


CHAT = Tongue(
    "chat",
    "/v1/chat/completions",
    "/v1/chat/completions",
    (),
    {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    _chat_text,
    lambda event: bool(event == "[DONE]"),
)
RESPONSES = Tongue(
    "responses",
    "/v1/responses",
    "/v1/responses",
    (),
    {"model": "m", "input": "Hi"},
    _typed("response.output_text.delta", "delta"),
    lambda event: isinstance(event, dict) and event.get("type") == "response.completed",
)
MESSAGES = Tongue(
    "messages",
    "/v1/messages",
    "/v1/messages",
    ("anthropic-version: 2023-06-01",),
    {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]},
    _typed("content_block_delta", "delta", "text"),
    lambda event: isinstance(event, dict) and event.get("type") == "message_stop",
)
GEMINI = Tongue(
    "gemini",
    "/v1beta/models/m:generateContent",
    "/v1beta/models/m:streamGenerateContent?alt=sse",
    (),
    {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    _gemini_text,
    _finished,
)

TONGUES = (CHAT, RESPONSES, MESSAGES, GEMINI)


def texts(tongue: Tongue, events: list[Any]) -> list[str]:
    """The pieces of text that the events add."""
    return [text for event in events if (text := tongue.texts(event)) is not None]


async def answer(tongue: Tongue, script: Script, *, stream: bool = True, **fields: Any) -> Raw:
    """What one emulator with this script answers."""
    async with Emulator(default=script) as emulator:
        raw = await exchange(emulator.port, tongue.ask(stream=stream, **fields))
        assert emulator.failures == []
        return raw


async def events_of(tongue: Tongue, script: Script, **fields: Any) -> list[Any]:
    """The events of a streamed answer."""
    return (await answer(tongue, script, **fields)).events
