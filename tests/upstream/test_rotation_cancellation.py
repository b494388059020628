"""A cancellation may come at every step of a request that goes through its keys. None of them may
keep a key lent, or a response open.

An instrument cancels the request after the n-th step that any task of the run took; n grows until
the request gets through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.parts import Text
from lipstream.canonical.secret import Secret
from lipstream.protocols.openai_chat import CLIENT
from lipstream.upstream.client import Origin, Request
from lipstream.upstream.credentials import Credential, CredentialPool
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.http_exchange import HttpAnswer
from tests.upstream.stepwise import MOST_STEPS, cancelled_after

CALL = Call(
    dialect="openai_chat",
    model="m",
    messages=(Message(Role.USER, (Text("hi"),)),),
    is_streaming=True,
)
LATE = b'data: {"error": {"message": "no", "code": "invalid_api_key"}}\n\n'
GOOD = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n',
    b"data: [DONE]\n\n",
)
BY_KEY: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "dead": (401, (b"{}",)),
    "limited": (429, (b"{}",)),
    "late": (200, (b": comment\n\n", LATE)),
    "good": (200, GOOD),
}


class SlowResponse:
    """Takes a few steps for each piece of its body."""

    reused = False
    headers: list[tuple[bytes, bytes]]

    def __init__(self, provider: Provider, status: int, pieces: tuple[bytes, ...]) -> None:
        self.status = status
        self.headers = []
        self._provider = provider
        self._pieces = list(pieces)
        self._is_open = True

    async def receive(self) -> bytes:
        """The next piece."""
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        return self._pieces.pop(0) if self._pieces else b""

    def close(self, finished: bool = False) -> None:
        """Counts, once."""
        self._provider.open_responses -= self._is_open
        self._is_open = False

    async def aclose(self) -> None:
        """The same."""
        self.close()


class Provider:
    """A client whose server knows some keys, and takes its time."""

    open_connections = 0

    def __init__(self) -> None:
        self.open_responses = 0
        self.asked: list[str] = []

    async def send(self, origin: Origin, request: Request) -> SlowResponse:
        """The answer for a key."""
        key = dict(request.headers)[b"authorization"].decode().removeprefix("Bearer ")
        self.asked.append(key)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        self.open_responses += 1
        return SlowResponse(self, *BY_KEY[key])

    async def aclose(self) -> None:
        """Nothing of its own is open."""


def backend_with(provider: Provider) -> tuple[HttpBackend, CredentialPool]:
    """A backend that has all keys, and its pool."""
    pool = CredentialPool([Credential(id=name, secret=Secret(name)) for name in BY_KEY])
    url = "http://127.0.0.1:9/v1"
    return HttpBackend(id="b", base_url=url, dialect=CLIENT, client=provider, pool=pool), pool


async def ask(backend: HttpBackend) -> None:
    """A whole answer."""
    answer = await backend.open(CALL, Candidate("b", "m"))
    try:
        batch: e.Batch = []
        while not (batch and isinstance(batch[-1], e.Finished)):
            batch = await answer.receive()
    finally:
        await answer.aclose()


async def embed(backend: HttpBackend) -> None:
    """A request that is no exchange of messages."""
    await backend.forward("/embeddings", b"{}")


@pytest.mark.parametrize(("operation", "last"), [(ask, "good"), (embed, "late")])
async def test_a_cancellation_at_any_step_keeps_no_key_and_no_response(
    operation: Callable[[HttpBackend], Awaitable[None]], last: str
) -> None:
    """Each lease is ended, whoever was being asked at the moment."""
    steps, provider = 0, Provider()
    for steps in range(1, MOST_STEPS):
        provider = Provider()
        backend, pool = backend_with(provider)
        was_cancelled = await cancelled_after(steps, lambda b=backend: operation(b))  # type: ignore[misc]
        assert [report.running for report in pool.reports()] == [0, 0, 0, 0]
        assert provider.open_responses == 0
        if not was_cancelled:
            break
    assert provider.asked == [*BY_KEY][: [*BY_KEY].index(last) + 1]
    assert steps > 15


async def test_a_cancelled_receive_goes_on_where_it_was() -> None:
    """Whatever step of the change of keys it was cancelled in, no event is lost."""
    for steps in range(1, 40):
        provider = Provider()
        backend, pool = backend_with(provider)
        answer = await backend.open(CALL, Candidate("b", "m"))
        events: e.Batch = []

        async def read(answer: HttpAnswer = answer, into: e.Batch = events) -> None:
            while not (into and type(into[-1]) in e.TERMINAL):
                into += await answer.receive()

        await cancelled_after(steps, read)
        await read()
        await answer.aclose()
        assert "hello" in [event.text for event in events if isinstance(event, e.TextDelta)]
        assert [report.running for report in pool.reports()] == [0, 0, 0, 0]
        assert provider.open_responses == 0


async def test_a_closed_answer_asks_nobody_any_more() -> None:
    """Also when it was in the middle of a change of keys."""
    provider = Provider()
    backend, _ = backend_with(provider)
    answer = await backend.open(CALL, Candidate("b", "m"))
    await answer.aclose()
    with pytest.raises(AssertionError):
        await answer.receive()
    assert provider.asked == ["dead", "limited", "late"]
