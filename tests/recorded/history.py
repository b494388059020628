"""What a client that goes on brings back of an answer: the proofs that the provider put on it.

A client sends the message that it got as a part of its next request. So it is done here: the whole
answer, as a body of the client's protocol, is put into a request, and that is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lipstream.canonical.ask import Ask
from lipstream.canonical.parts import Part, Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal
from lipstream.server.ways import SERVERS

Fields = dict[str, Any]

_ASK = Ask("m", "generateContent")
_HELLO: Fields = {"role": "user", "content": "hello"}


def _chat(body: Any) -> Fields:
    return {"messages": [_HELLO, body["choices"][0]["message"]]}


def _responses(body: Any) -> Fields:
    return {"input": [_HELLO, *body["output"]]}


def _messages(body: Any) -> Fields:
    turn = {"role": "assistant", "content": body["content"]}
    return {"max_tokens": 9, "messages": [_HELLO, turn]}


def _generate(body: Any) -> Fields:
    hello = {"role": "user", "parts": [{"text": "hello"}]}
    return {"contents": [hello, body["candidates"][0]["content"]]}


_REQUESTS: Mapping[str, Callable[[Any], Fields]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic_messages": _messages,
    "gemini": _generate,
}


def brought_back(dialect: str, body: bytes) -> list[Part]:
    """The parts of all messages of a client's next request."""
    request = {"model": "m", **_REQUESTS[dialect](json.loads(body))}
    call = SERVERS[dialect].decode_request(json.dumps(request).encode(), _ASK)
    return [part for message in call.messages for part in message.parts]


def foreign_seals(parts: Iterable[Part], dialect: str, *, on_texts: bool) -> list[tuple[str, ...]]:
    """What another protocol's upstream sealed: its dialect, value and origin, in no order."""
    kinds = (Reasoning, ToolCall, Text) if on_texts else (Reasoning, ToolCall)
    found: list[Seal | None] = [part.seal for part in parts if isinstance(part, kinds)]
    named = [seal for seal in found if seal is not None and seal.dialect not in ("", dialect)]
    return sorted((seal.dialect, seal.value, seal.origin) for seal in named)
