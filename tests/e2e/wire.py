"""A client on a bare socket: it says exactly what it is told to, reads when it is told to, and
leaves as it is told to. What comes back is read strictly, by h11."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Literal

import attrs
import h11
import trio

PATIENCE = 15.0  # seconds: what is not here by then is not coming
CHAT = "/v1/chat/completions"
DONE = "[DONE]"
LINGER_NOT = struct.pack("ii", 1, 0)  # close with a reset

Ending = Literal["complete", "cut", "reset"]


def chat(model: str, text: str = "Hi", **fields: Any) -> dict[str, Any]:
    """A chat completion request; it streams unless told otherwise."""
    messages = [{"role": "user", "content": text}]
    return {"model": model, "stream": True, "messages": messages, **fields}


def encode_post(body: bytes, *headers: str, path: str = CHAT) -> bytes:
    """The bytes of a POST with a Content-Length."""
    lines = [f"POST {path} HTTP/1.1", "Host: proxy", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@attrs.frozen
class Event:
    """One block of an event stream.

    Attributes:
        at: ``trio.current_time()`` of the read that completed it.
        data: Of a comment its text.
    """

    at: float
    data: str
    is_comment: bool = False

    @property
    def json(self) -> Any:
        """The data, decoded."""
        return json.loads(self.data)

    @property
    def text(self) -> str:
        """The text that a chunk carries, of all choices; empty for anything else."""
        if self.is_comment or self.data == DONE:
            return ""
        deltas = [choice["delta"] for choice in self.json.get("choices", ())]
        return "".join(delta.get("content") or "" for delta in deltas)


@attrs.frozen
class Reply:
    """A whole response.

    Attributes:
        ended: How the body did: as HTTP says, or with the connection.
        seconds: From the request to the end.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    events: list[Event]
    ended: Ending
    seconds: float

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's shape, whether it is the body or the last frame of a stream."""
        holder = self.events[-1].json if self.events else self.json
        assert set(holder) == {"error"}
        error: dict[str, Any] = holder["error"]
        assert set(error) - {"causes"} == {"message", "type", "param", "code"}
        assert isinstance(error["message"], str)
        return error

    @property
    def text(self) -> str:
        """What was said, streamed or not."""
        if self.events:
            return "".join(event.text for event in self.events)
        return str(self.json["choices"][0]["message"]["content"])

    @property
    def is_done(self) -> bool:
        """Whether a stream has its normal end."""
        return self.ended == "complete" and self.events[-1].data == DONE


class Client:
    """One connection to the proxy.

    Attributes:
        status: Of the response that is being read; 0 before its head is here.
        headers: Names in lower case.
        ended: How the response ended; None before.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended: Ending | None = None
        self.body = b""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
        self._rest = b""
        self._events: list[Event] = []
        self._asked_at = 0.0

    # ---- asking

    async def send(self, data: bytes) -> None:
        """Sends bytes as they are; starts a request of its own kind."""
        self._asked_at = trio.current_time()
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
        self._http.send(h11.Request(method="POST", target="/", headers=[("host", "proxy")]))
        self._http.send(h11.EndOfMessage())
        self.status, self.headers, self.ended, self.body = 0, {}, None, b""
        self._rest, self._events = b"", []
        await self.stream.send_all(data)

    async def ask(self, body: Any, *headers: str, path: str = CHAT) -> None:
        """Posts a body; anything but bytes is written as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.send(encode_post(data, "Content-Type: application/json", *headers, path=path))

    # ---- reading

    async def _next(self) -> object:
        """What h11 makes of what comes; None once the response is over."""
        while self.ended is None:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                self.ended = "cut"
                break
            if event is not h11.NEED_DATA:
                return event
            try:
                self._http.receive_data(await self.stream.receive_some(2**16))
            except trio.BrokenResourceError:
                self.ended = "reset"
        return None

    async def head(self) -> int:
        """Reads the head; returns the status, 0 if the connection ended before it."""
        while not self.status and (event := await self._next()) is not None:
            if isinstance(event, h11.Response):
                self.status = event.status_code
                self.headers = {k.decode(): v.decode("latin-1") for k, v in event.headers}
            elif isinstance(event, h11.ConnectionClosed):
                self.ended = "cut"
        return self.status

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end, which ``ended`` explains."""
        await self.head()
        event = await self._next()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            self.ended = "complete"
        return b""

    async def event(self) -> Event | None:
        """The next block of an event stream, comments included; None at its end."""
        with trio.fail_after(PATIENCE):
            while not self._events:
                if not (data := await self.read()):
                    return None
                *blocks, self._rest = (self._rest + data).split(b"\n\n")
                self._events += [_event(block) for block in blocks]
        return self._events.pop(0)

    async def word(self) -> Event:
        """The next event that carries text."""
        while (event := await self.event()) is not None:
            if event.text:
                return event
        raise AssertionError("the stream ended without a word")

    async def rest(self) -> list[Event]:
        """All events up to the end."""
        events = []
        while (event := await self.event()) is not None:
            events.append(event)
        return events

    async def reply(self) -> Reply:
        """Everything up to the end of the response."""
        events: list[Event] = []
        with trio.fail_after(PATIENCE):
            await self.head()
            assert self.status, "the connection ended without a response"
            if self.headers.get("content-type", "").startswith("text/event-stream"):
                events = await self.rest()
            else:
                while data := await self.read():
                    self.body += data
        assert self.ended is not None
        seconds = trio.current_time() - self._asked_at
        return Reply(self.status, self.headers, self.body, events, self.ended, seconds)

    # ---- leaving

    def leave(self) -> None:
        """Closes as clients do: a FIN, if nothing is unread."""
        self.stream.socket.close()

    def reset(self) -> None:
        """Closes with a reset."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.stream.socket.close()


def _event(block: bytes) -> Event:
    """A block whose lines are all comments, or all data, as we write them."""
    text, now = block.decode(), trio.current_time()
    if text.startswith(":"):
        return Event(now, text[1:].strip(), is_comment=True)
    if text.startswith("event: "):
        text = text.partition("\n")[2]
    assert text.startswith("data: "), text
    return Event(now, text.removeprefix("data: "))


async def connect(port: int, *, receive_buffer: int | None = None) -> Client:
    """A connection; a small receive buffer makes the proxy feel sooner that nobody reads."""
    sock = trio.socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return Client(trio.SocketStream(sock))
