"""The HTTP backend: what foreign exceptions become, and whose connection is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import httpx
import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.canonical.losses import Fate
from lipstream.canonical.options import Options
from lipstream.canonical.parts import Reasoning, Text, ToolCall
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Seal, Sealer
from lipstream.canonical.secret import Secret
from lipstream.errors import BadRequest, FaultKind, UpstreamFault
from lipstream.protocols.openai_chat import CLIENT
from lipstream.protocols.openai_chat import ChatClient as Dialect
from lipstream.upstream.client import Origin, Request, StaleConnection
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.http_exchange import HttpAnswer
from lipstream.upstream.seals import SealMemory

CALL = Call(
    dialect="openai_chat",
    model="m",
    messages=(Message(Role.USER, (Text("hi"),)),),
    is_streaming=True,
)
GOOD = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n',
    b": comment\n\n",
    b"data: [DONE]\n\n",
)


class FakeResponse:
    """Plays pieces of a body; an exception among them is raised."""

    reused = False

    def __init__(self, status: int = 200, *pieces: bytes | Exception) -> None:
        self.status = status
        self.headers = [(b"content-type", b"text/event-stream")]
        self.pieces = list(pieces)
        self.closed: list[bool] = []

    async def receive(self) -> bytes:
        """The next piece."""
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self, finished: bool = False) -> None:
        """Notes how."""
        self.closed.append(finished)

    async def aclose(self) -> None:
        """Not used."""
        self.close()


class FakeClient:
    """Answers with what it was given, in turn."""

    open_connections = 0

    def __init__(self, *answers: FakeResponse | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[Origin, Request]] = []

    async def send(self, origin: Origin, request: Request) -> FakeResponse:
        """The next answer."""
        self.sent.append((origin, request))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        """Nothing to close."""


async def opened(client: FakeClient, dialect: Dialect = CLIENT) -> HttpAnswer:
    """One call, opened."""
    backend = HttpBackend(
        id="b",
        base_url="http://127.0.0.1:9/v1/",
        dialect=dialect,
        client=client,
        api_key=Secret("sk-key"),
        headers={"X-Extra": "1"},
    )
    return await backend.open(CALL, Candidate("b", "m"))


async def test_whole_answer_keeps_the_connection() -> None:
    """The end is known by the content; reads without events are handed on as empty."""
    response = FakeResponse(200, *GOOD)
    client = FakeClient(response)
    answer = await opened(client)
    batches = [await answer.receive() for _ in GOOD]
    assert batches[1] == []
    assert isinstance(batches[2][-1], e.Finished)
    await answer.aclose()
    assert response.closed == [True]
    origin, request = client.sent[0]
    assert (origin, request.target) == (
        Origin("http", "127.0.0.1", 9),
        b"/v1/chat/completions",
    )
    assert (b"authorization", b"Bearer sk-key") in request.headers
    assert (b"x-extra", b"1") in request.headers


async def test_abandoned_answer_is_cut() -> None:
    """A loser's connection is closed, not kept."""
    response = FakeResponse(200, *GOOD)
    answer = await opened(FakeClient(response))
    await answer.receive()
    await answer.aclose()
    assert response.closed == [False]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("x"), FaultKind.CONNECT),
        (httpx.ConnectTimeout("x"), FaultKind.CONNECT),
        (httpx.ReadError("x"), FaultKind.READ),
        (httpx.WriteError("x"), FaultKind.READ),
        (httpx.RemoteProtocolError("x"), FaultKind.PROTOCOL),
        (httpx.PoolTimeout("x"), FaultKind.READ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_transport_error_becomes_a_fault(error: Exception, kind: FaultKind) -> None:
    """Every exception of httpx has its class."""
    with pytest.raises(UpstreamFault) as caught:
        await opened(FakeClient(error))
    assert kind is caught.value.kind


async def test_dead_kept_connection_is_replaced_once() -> None:
    """It is no failure of the backend; a second one is."""
    answer = await opened(FakeClient(StaleConnection("x"), FakeResponse(200, *GOOD)))
    assert await answer.receive()
    assert answer.is_resent
    with pytest.raises(UpstreamFault) as caught:
        await opened(FakeClient(StaleConnection("x"), httpx.ConnectError("x")))
    assert caught.value.kind is FaultKind.CONNECT


async def test_error_response_is_read_and_closed() -> None:
    """As much of its body as is needed; a body that breaks does not hide the status."""
    response = FakeResponse(429, b'{"error": ', httpx.ReadError("x"))
    with pytest.raises(UpstreamFault) as caught:
        await opened(FakeClient(response))
    assert caught.value.kind is FaultKind.RATE_LIMIT
    assert response.closed


async def test_endless_error_body_is_not_read_to_its_end() -> None:
    """The limit holds."""
    response = FakeResponse(500, *[b"x" * STREAM_LIMITS.error_body] * 3)
    with pytest.raises(UpstreamFault):
        await opened(FakeClient(response))
    assert len(response.pieces) == 2


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([GOOD[0], httpx.ReadError("x")], FaultKind.READ),
        ([GOOD[0], httpx.RemoteProtocolError("cut")], FaultKind.TRUNCATED),
    ],
)
async def test_broken_body_becomes_a_fault(
    pieces: list[bytes | Exception], kind: FaultKind
) -> None:
    """A reset is a reset, a body cut short is a truncated answer."""
    answer = await opened(FakeClient(FakeResponse(200, *pieces)))
    await answer.receive()
    with pytest.raises(UpstreamFault) as caught:
        await answer.receive()
    assert kind is caught.value.kind


class BuggyDecoder:
    """A decoder with a bug."""

    dropped_events = 0

    def feed(self, data: bytes) -> e.Batch:
        """Fails."""
        raise ZeroDivisionError

    def end(self) -> e.Batch:
        """Says nothing."""
        return []


class BuggyDialect(Dialect):
    """Fails where it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def encode_request(self, call: Call, model: str, *, is_streaming: bool) -> bytes:
        """Fails, or not."""
        if self.where == "refuse":
            raise BadRequest("no")
        if self.where == "encode":
            raise ZeroDivisionError
        return super().encode_request(call, model, is_streaming=is_streaming)

    def stream_decoder(self, sealer: Sealer = UNKNOWN_ORIGIN) -> BuggyDecoder:  # type: ignore[override]
        """One with a bug."""
        return BuggyDecoder()

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        """Fails."""
        raise ZeroDivisionError


async def test_bug_in_a_codec_costs_one_attempt() -> None:
    """The exchange can go on elsewhere, and the log has the traceback."""
    for where, status in (("encode", 200), ("error", 500)):
        with pytest.raises(UpstreamFault) as caught:
            await opened(FakeClient(FakeResponse(status)), BuggyDialect(where))
        assert caught.value.kind is FaultKind.INTERNAL
    answer = await opened(FakeClient(FakeResponse(200, b"x")), BuggyDialect("decode"))
    with pytest.raises(UpstreamFault) as caught:
        await answer.receive()
    assert caught.value.kind is FaultKind.INTERNAL
    with pytest.raises(UpstreamFault) as caught:
        await answer.receive()
    assert caught.value.kind is FaultKind.TRUNCATED


async def test_call_that_cannot_be_written_stays_the_clients_fault() -> None:
    """The executor decides what to make of it."""
    with pytest.raises(BadRequest):
        await opened(FakeClient(), BuggyDialect("refuse"))


# ---------------------------------------------------------------- headers


class SpeakingDialect(Dialect):
    """Has headers of its own."""

    def headers(self, call: Call | None) -> Sequence[tuple[str, str]]:
        """A version, which the client may have asked for, and one that is configured."""
        asked = dict(call.headers if call is not None else ())
        return (("x-version", asked.get("x-version", "1")), ("x-extra", "mine"))


async def head_of(call: Call = CALL, **fields: Any) -> dict[str, str]:
    """The headers of the request that a backend sends."""
    client = FakeClient(FakeResponse(200, *GOOD))
    given = {"id": "b", "base_url": "http://127.0.0.1:9", "dialect": CLIENT, "client": client}
    backend = HttpBackend(**{**given, **fields})
    await (await backend.open(call, Candidate("b", "m"))).aclose()
    ((_, request),) = client.sent
    names = [name for name, _ in request.headers]
    assert len(names) == len(set(names))
    return {name.decode(): value.decode() for name, value in request.headers}


async def test_key_is_a_bearer_token_unless_it_has_a_header_of_its_own() -> None:
    """Anthropic and Google have one; without a key there is none."""
    assert (await head_of(api_key=Secret("k")))["authorization"] == "Bearer k"
    head = await head_of(api_key=Secret("k"), key_header="x-api-key")
    assert head["x-api-key"] == "k"
    assert "authorization" not in head
    assert (await head_of()).keys() == {"accept", "content-type"}


async def test_dialects_headers_are_sent_but_never_over_configured_ones() -> None:
    """Those of one call do not stay for the next."""
    fields = {"dialect": SpeakingDialect(), "headers": {"X-Extra": "set"}}
    for call, version in ((CALL.changed(headers=(("x-version", "2"),)), "2"), (CALL, "1")):
        head = await head_of(call, **fields)
        assert (head["x-version"], head["x-extra"]) == (version, "set")


# ---------------------------------------------------------------- requests without messages


async def test_other_request_is_handed_on_as_it_is() -> None:
    """To a path below the base URL; the whole answer comes back."""
    response = FakeResponse(200, b"[1,", b"2]")
    backend = backend_of(response, dialect=SpeakingDialect())
    assert await backend.forward("/embeddings", b"{}") == b"[1,2]"
    assert isinstance(backend.client, FakeClient)
    ((_, request),) = backend.client.sent
    assert (request.target, request.body) == (b"/embeddings", b"{}")
    assert (b"x-version", b"1") in request.headers
    assert response.closed


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (FakeResponse(429, b"{}"), FaultKind.RATE_LIMIT),
        (FakeResponse(200, b"[1,", httpx.ReadError("x")), FaultKind.READ),
        (FakeResponse(200, b"x" * STREAM_LIMITS.answer_bytes, b"x"), FaultKind.PROTOCOL),
    ],
    ids=["refused", "broken", "endless"],
)
async def test_other_request_fails_as_any_other(response: FakeResponse, kind: FaultKind) -> None:
    """And its connection is closed."""
    with pytest.raises(UpstreamFault) as caught:
        await backend_of(response).forward("/embeddings", b"{}")
    assert kind is caught.value.kind
    assert response.closed


# ---------------------------------------------------------------- losses and seals


def backend_of(*answers: FakeResponse, dialect: Dialect = CLIENT) -> HttpBackend:
    """A backend with a memory of its own."""
    client = FakeClient(*answers)
    return HttpBackend(id="b", base_url="http://127.0.0.1:9", dialect=dialect, client=client)


def test_losses_are_those_of_the_backends_protocol() -> None:
    """None for a call that speaks it."""
    call = CALL.changed(options=Options(top_k=3, seed=1), extra={"z": 1})
    assert CLIENT.support["top_k"] is Fate.DROPPED
    assert backend_of().dropped(call) == []
    assert backend_of().dropped(call.changed(dialect="other")) == ["top_k", "z"]


async def sent_history(backend: HttpBackend, model: str, *parts: Reasoning | ToolCall) -> Any:
    """What of an earlier answer is sent to a model."""
    messages = (*CALL.messages, Message(Role.ASSISTANT, (*parts, Text("a"))))
    call = CALL.changed(dialect="other", messages=messages)
    await backend.open(call, Candidate("b", model))
    assert isinstance(backend.client, FakeClient)
    return json.loads(backend.client.sent[-1][1].body)["messages"][1]


async def test_seals_carry_their_backend_and_model_and_go_back_to_nobody_else() -> None:
    """Reasoning of another model is left out."""
    thought = b'data: {"choices":[{"index":0,"delta":{"reasoning":"hm"}}]}\n\n'
    backend = backend_of(FakeResponse(200, thought, GOOD[2]), *[FakeResponse(200, *GOOD)] * 2)
    answer = await backend.open(CALL, Candidate("b", "m:1"))
    events = [*await answer.receive(), *await answer.receive()]
    (seal,) = [event.seal for event in events if isinstance(event, e.PartFinished)]
    assert seal == Seal("openai_chat", "", "b:m:1")
    reasoning = Reasoning("hm", seal)
    assert (await sent_history(backend, "m:1", reasoning))["reasoning_content"] == "hm"
    assert "reasoning_content" not in await sent_history(backend, "m:2", reasoning)


async def test_seal_of_a_call_is_put_back_for_clients_that_have_no_place_for_it() -> None:
    """Backends share what they remember, as far as they were given the same memory."""
    backend = backend_of(*[FakeResponse(200, *GOOD)] * 2)
    backend.seals.sealer("b:m").seal("openai_chat", "sig", call_id="c")
    call = ToolCall("c", "f", "{}")
    content = {"google": {"thought_signature": "sig"}}
    sent = await sent_history(backend, "m", call)
    assert sent["tool_calls"][0]["extra_content"] == content
    sent = await sent_history(attrs.evolve(backend, seals=SealMemory()), "m", call)
    assert "extra_content" not in sent["tool_calls"][0]
