"""A fake HTTP client with an agent behind it, which answers by method and notes what it got."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.parts import Text
from lipstream.upstream.client import Origin, Request

CALL = Call(dialect="openai_chat", model="m", messages=(Message(Role.USER, (Text("hi"),)),))


def line(**fields: Any) -> bytes:
    """One message."""
    return json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n"


def say(text: str) -> bytes:
    """A piece of text."""
    content = {"type": "text", "text": text}
    update = {"sessionUpdate": "agent_message_chunk", "content": content}
    return line(method="session/update", params={"update": update})


def end(number: int) -> bytes:
    """The end of the answer to a prompt."""
    return line(id=number, result={"stopReason": "end_turn"})


@attrs.define(eq=False)
class FakeResponse:
    """Plays pieces of a body: an exception is raised, None is silence for ever."""

    status: int = 200
    pieces: list[bytes | Exception | None] = attrs.field(factory=list)
    closed: list[bool] = attrs.field(factory=list)
    headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    reused: bool = False

    async def receive(self) -> bytes:
        """The next piece."""
        await trio.lowlevel.checkpoint()
        piece = self.pieces.pop(0) if self.pieces else b""
        if piece is None:
            await trio.sleep_forever()
        if isinstance(piece, Exception):
            raise piece
        return piece or b""

    def close(self, finished: bool = False) -> None:
        """Notes how."""
        self.closed.append(finished)

    async def aclose(self) -> None:
        """Not used."""
        self.close()


def response(*pieces: bytes | Exception | None, status: int = 200) -> FakeResponse:
    """A response of these pieces."""
    return FakeResponse(status, list(pieces))


Given = FakeResponse | Exception | None
"""What a message is answered with: a response (a copy), an exception, or (None) nothing for
ever."""

STEPS: dict[str, Any] = {
    "initialize": {"protocolVersion": 1},
    "authenticate": {},
    "session/new": {"sessionId": "s-1"},
}


class FakeClient:
    """Answers by method, in turn; what is not given goes well, and a prompt says ``ok``.

    Attributes:
        sent: The messages, as they were read.
        responses: Those that were handed out, in order.
    """

    open_connections = 0

    def __init__(self, given: Mapping[str, Given | list[Given]] | None = None) -> None:
        self._given: dict[str, deque[Given]] = {}
        for method, answers in (given or {}).items():
            self.give(method, *(answers if isinstance(answers, list) else [answers]))
        self.sent: list[dict[str, Any]] = []
        self.requests: list[tuple[Origin, Request]] = []
        self.responses: list[FakeResponse] = []

    def give(self, method: str, *answers: Given) -> None:
        """Answers the next messages of a method with these."""
        self._given.setdefault(method, deque()).extend(answers)

    @property
    def methods(self) -> list[str]:
        """What was sent, by name; answers to the agent are called ``response``."""
        return [message.get("method", "response") for message in self.sent]

    def of(self, method: str) -> dict[str, Any]:
        """The only message of a method."""
        (message,) = [sent for sent in self.sent if sent.get("method") == method]
        return message

    async def send(self, origin: Origin, request: Request) -> FakeResponse:
        """Answers."""
        message = json.loads(request.body)
        self.sent.append(message)
        self.requests.append((origin, request))
        await trio.lowlevel.checkpoint()
        method = message.get("method", "response")
        given = self._given.get(method)
        answer = given.popleft() if given else self._usual(method, message.get("id"))
        if answer is None:
            await trio.sleep_forever()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        answer = FakeResponse(answer.status, list(answer.pieces))
        self.responses.append(answer)
        return answer

    def _usual(self, method: str, number: int | None) -> FakeResponse:
        if method in STEPS:
            return response(line(id=number, result=STEPS[method]))
        if method == "session/prompt":
            assert number is not None
            return response(say("ok"), end(number))
        return response(status=204)

    async def aclose(self) -> None:
        """Nothing to close."""
