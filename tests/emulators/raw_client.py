"""A client that sees every byte and every close: plain sockets, responses as they came."""

from __future__ import annotations

import json
from typing import Any, Literal

import attrs
import trio

PATH = "/v1/chat/completions"


@attrs.frozen
class Raw:
    """Everything that arrived, and how the connection ended."""

    data: bytes
    ended: Literal["fin", "reset"]

    @property
    def head(self) -> str:
        return self.data.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        return int(self.head.split(" ")[1])

    @property
    def headers(self) -> dict[str, str]:
        return dict(line.split(": ", 1) for line in self.head.split("\r\n")[1:])

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def chunks(self) -> list[bytes]:
        """The chunks of a chunked body; the last one is empty if the body was terminated."""
        rest, found = self.body, []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            found.append(rest[:length])
            assert rest[length : length + 2] == b"\r\n"
            rest = rest[length + 2 :]
        return found

    @property
    def is_terminated(self) -> bool:
        return self.chunks[-1:] == [b""]

    @property
    def events(self) -> list[Any]:
        """The JSON of each event that is one, ``[DONE]`` as that text, others left out."""
        return events_in(b"".join(self.chunks))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def events_in(stream: bytes) -> list[Any]:
    found: list[Any] = []
    for line in stream.replace(b"\r\n", b"\n").split(b"\n"):
        name, _, value = line.partition(b": ")
        if name != b"data":
            continue
        try:
            found.append(json.loads(value))
        except ValueError:
            found.append(value.decode())
    return found


def texts(events: list[Any]) -> list[str]:
    """The text deltas among chat completion chunks."""
    choices = [c for event in events if isinstance(event, dict) for c in event.get("choices", [])]
    return [c["delta"]["content"] for c in choices if c["delta"].get("content")]


def chat(model: str = "m", **fields: Any) -> bytes:
    """A chat completion request's body; it streams unless told otherwise."""
    messages = [{"role": "user", "content": "Hi"}]
    return json.dumps({"model": model, "stream": True, "messages": messages, **fields}).encode()


def request(
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = PATH,
    headers: tuple[str, ...] = ("connection: close",),
    version: str = "1.1",
) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "host: emulator", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


async def connect(port: int, data: bytes = b"") -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(data)
    return stream


async def read_to_end(stream: trio.SocketStream) -> Raw:
    """Everything up to the server's FIN or RST; our side is closed afterwards."""
    data = b""
    async with stream:
        with trio.fail_after(10):
            try:
                while piece := await stream.receive_some():
                    data += piece
            except trio.BrokenResourceError:
                return Raw(data, "reset")
    return Raw(data, "fin")


async def read_until(stream: trio.SocketStream, mark: bytes) -> bytes:
    """What has arrived when it ends with ``mark``."""
    data = b""
    with trio.fail_after(10):
        while not data.endswith(mark):
            piece = await stream.receive_some()
            assert piece, f"closed after {data!r}"
            data += piece
    return data


async def exchange(port: int, data: bytes) -> Raw:
    """One request on a connection of its own."""
    return await read_to_end(await connect(port, data))
