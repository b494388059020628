"""Answers that are not ready yet: how often they are asked for, and what becomes of connections."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.faults import decode_error
from lipstream.upstream import http_exchange
from lipstream.upstream.client import Origin, Request
from lipstream.upstream.http_exchange import MAX_POLLS, MAX_SKIPPED, POLL_PAUSE, send

ORIGIN = Origin("http", "127.0.0.1", 9)
POST = Request(b"POST", b"/v1/chat", [], b"{}")
GET = Request(b"GET", b"/later", [], b"")


@attrs.define(eq=False)
class FakeResponse:
    """A response whose body may go on for ever, break or be slow."""

    status: int
    piece: bytes | Exception = b""
    slow: float = 0.0
    headers: list[tuple[bytes, bytes]] = attrs.field(factory=lambda: [(b"x-id", b"7")])
    reused: bool = False
    received: int = 0
    is_closed: bool = False

    async def receive(self) -> bytes:
        """The same piece again and again."""
        self.received += 1
        await trio.sleep(self.slow)
        if isinstance(self.piece, Exception):
            raise self.piece
        return self.piece

    def close(self, finished: bool = False) -> None:
        """Notes it."""
        self.is_closed = True

    async def aclose(self) -> None:
        """The same."""
        self.close()


@attrs.define(eq=False)
class FakeClient:
    """Gives responses in turn, the last one again and again, and notes when it was asked."""

    responses: list[FakeResponse]
    takes: float = 0.0
    open_connections: int = 0
    asked: list[tuple[float, bytes]] = attrs.field(factory=list)
    given: list[FakeResponse] = attrs.field(factory=list)

    async def send(self, origin: Origin, request: Request) -> FakeResponse:
        """The next one."""
        self.asked.append((trio.current_time(), request.method))
        await trio.sleep(self.takes)
        is_last = len(self.responses) == 1
        response = attrs.evolve(self.responses[0]) if is_last else self.responses.pop(0)
        self.given.append(response)
        return response

    async def aclose(self) -> None:
        """Nothing to close."""


def poll(request: Request, status: int, headers: Mapping[str, str]) -> Request | None:
    """Whatever has the status 202 is not ready."""
    assert headers["x-id"] == "7"
    assert request == POST
    return GET if status == 202 else None


async def sent(client: FakeClient) -> FakeResponse:
    """The response that counts."""
    response, is_resent = await send(client, ORIGIN, POST, decode_error, poll)
    assert not is_resent
    assert isinstance(response, FakeResponse)
    return response


async def test_answer_that_is_ready_is_not_asked_for_again(autojump_clock: MockClock) -> None:
    """Nothing is read of it, and it stays open."""
    client = FakeClient([FakeResponse(200)])
    response = await sent(client)
    assert (len(client.asked), response.received, response.is_closed) == (1, 0, False)


@pytest.mark.parametrize("takes", [0.0, 0.4, 3.0])
async def test_poll_is_not_repeated_within_a_second(
    takes: float, autojump_clock: MockClock
) -> None:
    """The first goes out at once; what the server held for longer needs no pause."""
    client = FakeClient([FakeResponse(202), FakeResponse(202), FakeResponse(202)], takes)
    client.responses.append(FakeResponse(200))
    assert (await sent(client)).status == 200
    times = [at - client.asked[0][0] for at, _ in client.asked]
    gap = max(takes, POLL_PAUSE)
    assert times == pytest.approx([0, takes, takes + gap, takes + 2 * gap])
    assert [response.is_closed for response in client.given] == [True, True, True, False]


async def test_polls_end(autojump_clock: MockClock) -> None:
    """The last response is then taken for what it is: no answer."""
    client = FakeClient([FakeResponse(202)])
    with pytest.raises(UpstreamFault) as caught:
        await sent(client)
    assert (caught.value.kind, caught.value.status) == (FaultKind.PROTOCOL, 202)
    assert len(client.asked) == 1 + MAX_POLLS
    assert all(response.is_closed for response in client.given)


@pytest.mark.parametrize("piece", [httpx.ReadError("broken"), b"x"])
async def test_body_of_a_promise_does_not_matter(
    piece: bytes | Exception, autojump_clock: MockClock
) -> None:
    """It may break, and is not read for ever."""
    promise = FakeResponse(202, piece)
    client = FakeClient([promise, FakeResponse(200)])
    assert (await sent(client)).status == 200
    assert promise.received <= MAX_SKIPPED
    assert promise.is_closed


async def test_cancelled_poll_leaves_nothing_open(autojump_clock: MockClock) -> None:
    """Wherever it is: reading the promise, pausing, or asking."""
    for limit in (0.1, 0.3, 0.7, 1.3, 1.7, 2.3):
        client = FakeClient([FakeResponse(202, slow=0.2)], takes=0.5)
        with trio.move_on_after(limit) as scope:
            await sent(client)
        assert scope.cancelled_caught
        assert all(response.is_closed for response in client.given), limit


async def test_poll_that_fails_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """As any request that fails."""

    async def fail(*_: object) -> tuple[FakeResponse, bool]:
        calls.append(1)
        if len(calls) == 2:
            raise UpstreamFault(FaultKind.CONNECT, "no connection")
        return promise, False

    calls: list[int] = []
    promise = FakeResponse(202)
    monkeypatch.setattr(http_exchange, "_send", fail)
    with pytest.raises(UpstreamFault, match="no connection"):
        await sent(FakeClient([]))
    assert promise.is_closed
