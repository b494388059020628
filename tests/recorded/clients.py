"""What the official clients make of bytes: each reads a response as if it had asked for it.

The readers are those of the conformance drivers. Nothing listens anywhere here: the response is
handed to the HTTP library under the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anthropic
import attrs
import httpx
import httpx2
import openai
from google import genai
from google.genai import types

from tests.conformance.drivers import anthropic_messages, gemini, openai_chat, openai_responses
from tests.conformance.outcome import Outcome
from tests.recorded.meaning import COUNTS, Meaning, Said, arguments

_URL = "http://nowhere.invalid"
_KEY = "sk-none"


class Clients:
    """One of each; all get the same response next."""

    def __init__(self) -> None:
        self._body = b""
        self._type = ""
        newer = httpx2.Client(transport=httpx2.MockTransport(self._answer_newer))
        older = httpx.Client(transport=httpx.MockTransport(self._answer))
        key: dict[str, Any] = {"base_url": _URL, "api_key": _KEY, "max_retries": 0}
        self._openai = openai.OpenAI(**key, http_client=newer)
        self._anthropic = anthropic.Anthropic(**key, http_client=newer)
        options = types.HttpOptions(base_url=_URL, httpx_client=older)
        self._genai = genai.Client(api_key=_KEY, http_options=options)
        self._closing: tuple[Callable[[], None], ...] = (newer.close, older.close)

    def close(self) -> None:
        """Closes all of them."""
        for close in self._closing:
            close()

    def read(self, dialect: str, body: bytes, *, is_stream: bool) -> Outcome:
        """What the client of a protocol got."""
        self._body = body
        self._type = "text/event-stream" if is_stream else "application/json"
        return _READERS[dialect](self, is_stream)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": self._type}, content=self._body)

    def _answer_newer(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": self._type}, content=self._body)

    def _chat(self, is_stream: bool) -> Outcome:
        create: Any = self._openai.chat.completions.create
        answer = create(model="m", messages=[], stream=is_stream)
        if is_stream:
            return _built(openai_chat.ChatBuilder(), answer)
        return openai_chat.read(answer)

    def _responses(self, is_stream: bool) -> Outcome:
        create: Any = self._openai.responses.create
        answer = create(model="m", input="", stream=is_stream)
        if is_stream:
            return _built(openai_responses.ResponsesBuilder(), answer)
        return openai_responses.read(answer)

    def _messages(self, is_stream: bool) -> Outcome:
        create: Any = self._anthropic.messages.create
        answer = create(model="m", messages=[], max_tokens=9, stream=is_stream)
        if is_stream:
            return _built(anthropic_messages.AnthropicBuilder(), answer)
        return anthropic_messages.read(answer.to_dict(mode="python"))

    def _generate(self, is_stream: bool) -> Outcome:
        models: Any = self._genai.models
        builder = gemini.GeminiBuilder()
        if is_stream:
            return _built(builder, models.generate_content_stream(model="m", contents="x"))
        builder.add(models.generate_content(model="m", contents="x"))
        return builder.outcome(is_whole=True)


def _built(builder: Any, events: Iterator[Any]) -> Outcome:
    for event in events:
        builder.add(event)
    outcome: Outcome = builder.outcome()
    return outcome


_READERS: Mapping[str, Callable[[Clients, bool], Outcome]] = {
    "openai_chat": Clients._chat,
    "openai_responses": Clients._responses,
    "anthropic_messages": Clients._messages,
    "gemini": Clients._generate,
}


# ---------------------------------------------------------------- in the words of no protocol


def meant(outcome: Outcome) -> Meaning:
    """What a client got; the drivers know neither free-text tools nor audio."""
    counts = zip(COUNTS, attrs.astuple(outcome.usage), strict=True)
    said = Said(
        text=outcome.text,
        refusal=outcome.refusal,
        reasoning=outcome.reasoning,
        calls=tuple((call.name, arguments(call.arguments), "function") for call in outcome.calls),
        images=outcome.images,
        finish=outcome.finish or "",
    )
    return Meaning((said,), {name: count for name, count in counts if count is not None})


def readable(told: Meaning, dialect: str) -> Meaning:
    """What :func:`meant` should be of an answer for the clients of a protocol."""
    (said,) = told.first.choices
    calls = tuple(call for call in said.calls if call[2] == "function")
    changes: dict[str, Any] = {"calls": calls, "audio": ("", ""), "own_parts": ()}
    if said.finish == "refusal":  # Anthropic's client has no other place for it
        changes["refusal"] = said.refusal or said.text
    return Meaning((attrs.evolve(said, **changes),), told.usage)
