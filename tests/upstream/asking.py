"""A backend of the configuration, asked as the executor asks it, with an emulator at its other end.

Requests are read as clients write them, so that what a client says is what a test says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import trio

from lipstream.canonical import events as e
from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.compose import build
from lipstream.config.load import load_config
from lipstream.interfaces import ServerDialect
from lipstream.protocols import anthropic_messages, openai_chat, openai_responses
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.providers import KINDS

PATIENCE = 10.0  # seconds
TEXT = "Say hi in JSON."

SERVERS: Mapping[str, ServerDialect] = {
    "openai_chat": openai_chat.SERVER,
    "openai_responses": openai_responses.SERVER,
    "anthropic_messages": anthropic_messages.SERVER,
}


def chat(*headers: tuple[str, str], **fields: Any) -> Call:
    """The call of a chat client, by default a stream."""
    body = {"model": "m", "messages": [{"role": "user", "content": TEXT}], "stream": True, **fields}
    return read("openai_chat", body, dict(headers))


def responses(*headers: tuple[str, str], **fields: Any) -> Call:
    """The call of a Responses client, by default a stream."""
    body = {"model": "m", "input": TEXT, "stream": True, **fields}
    return read("openai_responses", body, dict(headers))


def messages(**fields: Any) -> Call:
    """The call of an Anthropic client, by default a stream."""
    turn = {"role": "user", "content": TEXT}
    body = {"model": "m", "max_tokens": 4000, "messages": [turn], "stream": True, **fields}
    return read("anthropic_messages", body, {})


def read(dialect: str, body: Any, headers: dict[str, str]) -> Call:
    """The call that a request comes to."""
    return SERVERS[dialect].decode_request(json.dumps(body).encode(), Ask(headers=headers))


def backend(kind: str, base_url: str, **settings: Any) -> HttpBackend:
    """The backend that a configuration comes to."""
    entry = {"kind": kind, "base_url": base_url, "api_key": "k1", "discover": False, **settings}
    text = json.dumps({"backends": {"b": entry}})
    made = build(load_config(text, kinds=KINDS, environment={}), {}).backends["b"]
    assert isinstance(made, HttpBackend)
    return made


async def asked(upstream: HttpBackend, call: Call, model: str = "m") -> list[e.Event]:
    """All events of one answer.

    Raises:
        UpstreamFault: there is none.
    """
    events: list[e.Event] = []
    try:
        with trio.fail_after(PATIENCE):
            answer = await upstream.open(call, Candidate("b", model))
            while not (events and type(events[-1]) in e.TERMINAL):
                events += await answer.receive()
            await answer.aclose()
    finally:
        await upstream.client.aclose()
    return events


def text_of(events: list[e.Event]) -> str:
    """What was said."""
    return "".join(event.text for event in events if isinstance(event, e.TextDelta))
