"""A client that costs little: plain sockets and one loop, no task or thread per request.

It shares a core with the emulators, so whatever it used would be missing there. A request has its
time and is sent then, however slow the answers to earlier ones are (open loop); a closed loop is
the same with a limit on how many run at once. Connections are kept alive and used again.

Not here: TLS, anything but chat completions, and what an answer says.
"""

from __future__ import annotations

import json
import math
import re
import selectors
import socket
import time
from collections.abc import Iterable
from typing import Any

import attrs
import httptools

HOST = "127.0.0.1"
PATH = "/v1/chat/completions"
PROMPT = "You are a careful assistant who answers in short sentences. " * 12
CONNECT_LIMIT = 5.0  # seconds
READ_SIZE = 262_144

CONTENT = re.compile(rb'"content":\s*"[^"]')
"""The beginning of text that is not empty: each content event has one."""
DONE = b"data: [DONE]"
CARRIED = 15
"""Bytes kept from one read to the next, for a mark that is cut in two."""


@attrs.frozen
class Ask:
    """One request.

    Attributes:
        body: JSON, see `chat`.
        at: When to send it, in terms of ``time.monotonic()``; what has passed is now.
        is_streaming: The answer has to be a stream, with its terminal marker.
    """

    port: int
    body: bytes
    at: float = 0.0
    is_streaming: bool = True


@attrs.define(eq=False)
class Answer:
    """What came back. Times are those of ``time.monotonic()``, None where it did not come to that.

    Attributes:
        status: Of the response's head.
        arrivals: When each content event was read; an answer in one piece has one.
        ended_at: The last byte was read, or the failure noticed.
        is_done: The stream's terminal marker was there.
        failure: Why there is no whole response; empty when all is well.
    """

    ask: Ask
    sent_at: float
    status: int | None = None
    headers_at: float | None = None
    arrivals: list[float] = attrs.field(factory=list)
    ended_at: float | None = None
    is_done: bool = False
    failure: str = ""

    @property
    def content_at(self) -> float | None:
        """The first content event was read."""
        return self.arrivals[0] if self.arrivals else None

    @property
    def is_good(self) -> bool:
        """A whole answer with content in it."""
        is_whole = self.is_over and not self.failure and (self.is_done or not self.ask.is_streaming)
        return is_whole and self.status == 200 and bool(self.arrivals)

    @property
    def is_over(self) -> bool:
        """Nothing more will come."""
        return self.ended_at is not None


def chat(model: str, name: str, *, is_streaming: bool = True) -> bytes:
    """A request's body. The name is its last message, by which the emulator's ledger shows it."""
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": name}]
    fields: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0.7}
    return json.dumps({**fields, "stream": True} if is_streaming else fields).encode()


class _Connection:
    """One socket with at most one request on it; the ``on_`` methods are httptools' callbacks."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answer: Answer | None = None
        self.socket = socket.create_connection((HOST, port), CONNECT_LIMIT)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)
        self._carry = b""
        self._now = 0.0
        self._head = (
            f"POST {PATH} HTTP/1.1\r\nhost: {HOST}:{port}\r\nauthorization: Bearer none\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()

    def send(self, ask: Ask) -> Answer:
        """Send a request, which is small enough for the kernel to take it at once."""
        self.answer, self._carry = Answer(ask, time.monotonic()), b""
        data = b"%b%d\r\n\r\n%b" % (self._head, len(ask.body), ask.body)
        try:
            if self.socket.send(data) < len(data):
                self.answer.failure = "sent in part"
        except OSError as problem:
            self.answer.failure = type(problem).__name__
        return self.answer

    def receive(self) -> bool:
        """Take in what has arrived; False when the connection is over."""
        try:
            data = self.socket.recv(READ_SIZE)
        except BlockingIOError:
            return True
        except OSError as problem:
            return self._fail(type(problem).__name__)
        if not data:
            return self._fail("closed early")
        self._now = time.monotonic()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            return self._fail("not HTTP")
        return self.answer is None or not self.answer.is_over or self._parser.should_keep_alive()

    def _fail(self, why: str) -> bool:
        if self.answer is not None and not self.answer.is_over:
            self.answer.failure, self.answer.ended_at = why, time.monotonic()
        return False

    def on_headers_complete(self) -> None:
        if self.answer is not None:
            self.answer.status, self.answer.headers_at = self._parser.get_status_code(), self._now

    def on_body(self, body: bytes) -> None:
        if self.answer is None:
            return
        data, end = self._carry + body, 0
        for match in CONTENT.finditer(data):
            self.answer.arrivals.append(self._now)
            end = match.end()
        self.answer.is_done = self.answer.is_done or DONE in data
        self._carry = data[max(end, len(data) - CARRIED) :]

    def on_message_complete(self) -> None:
        if self.answer is not None:
            self.answer.ended_at = self._now


class Client:
    """Sends requests and keeps the answers. Use it as a context manager.

    Attributes:
        answers: In the order in which the requests were sent.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self._selector = selectors.DefaultSelector()
        self._busy: set[_Connection] = set()
        self._idle: dict[int, list[_Connection]] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        asks: Iterable[Ask] = (),
        *,
        at_most: int | None = None,
        until: float = math.inf,
    ) -> None:
        """Send the requests, each at its time, and read until all answers are over.

        Args:
            asks: In the order of their times.
            at_most: So many run at once; the others wait, whatever their time.
            until: Return at this time in any case. What was sent stays open, and the next call goes
                on with it; what was not sent yet is dropped.
        """
        waiting = iter(asks)
        ask = next(waiting, None)
        while ask is not None or self._busy:
            now = time.monotonic()
            if now >= until:
                return
            is_free = at_most is None or len(self._busy) < at_most
            if ask is not None and is_free and ask.at <= now:
                self._send(ask)
                ask = next(waiting, None)
                continue
            wake_at = min(until, ask.at) if ask is not None and is_free else until
            self._read(None if wake_at == math.inf else wake_at - now)

    def close(self) -> None:
        """Close every connection; running answers stay as they are, without an end."""
        idle = [connection for several in self._idle.values() for connection in several]
        for connection in (*self._busy, *idle):
            connection.socket.close()
        self._busy.clear()
        self._idle.clear()
        self._selector.close()

    def _send(self, ask: Ask) -> None:
        idle = self._idle.get(ask.port)
        try:
            connection = idle.pop() if idle else self._connect(ask.port)
        except OSError as problem:
            now = time.monotonic()
            self.answers.append(Answer(ask, now, ended_at=now, failure=type(problem).__name__))
            return
        self._busy.add(connection)
        self.answers.append(connection.send(ask))

    def _connect(self, port: int) -> _Connection:
        connection = _Connection(port)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _read(self, seconds: float | None) -> None:
        for key, _ in self._selector.select(seconds):
            connection: _Connection = key.data
            is_alive = connection.receive()
            if not is_alive:
                self._drop(connection)
            elif connection.answer is not None and connection.answer.is_over:
                connection.answer = None
                self._busy.discard(connection)
                self._idle.setdefault(connection.port, []).append(connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._busy.discard(connection)
        idle = self._idle.get(connection.port, [])
        if connection in idle:
            idle.remove(connection)
