"""What a backend is asked in, and with: protocols, modes, quirks, keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.canonical.options import Options
from lipstream.canonical.parts import Text
from lipstream.canonical.secret import Secret
from lipstream.errors import BadRequest, FaultKind, UpstreamFault
from lipstream.protocols import openai_chat, openai_responses
from lipstream.upstream.client import Origin, Request
from lipstream.upstream.credentials import Credential, CredentialPool, KeyState
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.http_exchange import HttpAnswer
from lipstream.upstream.quirks import Headers, Quirks

CALL = Call(
    dialect="openai_chat",
    model="m",
    messages=(Message(Role.USER, (Text("hi"),)),),
    is_streaming=True,
)
GOOD = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n',
    b"data: [DONE]\n\n",
)
MESSAGE = {"role": "assistant", "content": "whole"}
WHOLE = json.dumps(
    {"id": "x", "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
).encode()


class FakeResponse:
    """Plays pieces of a body."""

    reused = False

    def __init__(self, status: int, *pieces: bytes) -> None:
        self.status = status
        self.headers = [(b"x-reason", b"because")]
        self.pieces = list(pieces)
        self.closed: list[bool] = []

    async def receive(self) -> bytes:
        """The next piece."""
        return self.pieces.pop(0) if self.pieces else b""

    def close(self, finished: bool = False) -> None:
        """Notes how."""
        self.closed.append(finished)

    async def aclose(self) -> None:
        """Not used."""


class FakeClient:
    """Answers with what it was given, in turn."""

    open_connections = 0

    def __init__(self, *answers: FakeResponse) -> None:
        self.answers = list(answers)
        self.sent: list[Request] = []

    async def send(self, origin: Origin, request: Request) -> FakeResponse:
        """The next answer."""
        self.sent.append(request)
        return self.answers.pop(0)

    async def aclose(self) -> None:
        """Nothing to close."""


def backend_of(*answers: FakeResponse, **fields: Any) -> tuple[HttpBackend, FakeClient]:
    """A backend with OpenAI's two protocols, and its client."""
    client = FakeClient(*(answers or (FakeResponse(200, *GOOD),)))
    given = {
        "id": "b",
        "base_url": "http://127.0.0.1:9",
        "dialect": openai_chat.CLIENT,
        "other_dialects": (openai_responses.CLIENT,),
        "client": client,
        **fields,
    }
    return HttpBackend(**given), client


async def sent(call: Call = CALL, model: str = "m", **fields: Any) -> Request:
    """The request that a backend sends for a call."""
    backend, client = backend_of(**fields)
    await (await backend.open(call, Candidate("b", model))).aclose()
    return client.sent[0]


async def drain(answer: HttpAnswer) -> e.Batch:
    """Everything that an answer has to say."""
    events: e.Batch = []
    while not (events and type(events[-1]) in e.TERMINAL):
        events += await answer.receive()
    await answer.aclose()
    return events


# ---------------------------------------------------------------- protocols


@pytest.mark.parametrize(
    ("dialect", "others", "chosen", "target"),
    [
        ("openai_chat", True, None, b"/chat/completions"),
        ("openai_responses", True, None, b"/responses"),
        ("gemini", True, None, b"/chat/completions"),
        ("openai_responses", False, None, b"/chat/completions"),
        ("openai_chat", True, "openai_responses", b"/responses"),
        ("openai_responses", True, "unheard_of", b"/responses"),
        ("gemini", True, "openai_responses", b"/responses"),
    ],
)
async def test_protocol_is_the_calls_own_where_it_is_spoken(
    dialect: str, others: bool, chosen: str | None, target: bytes
) -> None:
    """A provider's own choice counts more, where it is one."""
    quirks = Quirks(resolve_dialect=lambda call: chosen)
    fields: dict[str, Any] = {"quirks": quirks} if others else {"other_dialects": ()}
    request = await sent(CALL.changed(dialect=dialect), **fields)
    assert request.target == target


def test_losses_are_those_of_the_protocol_that_is_chosen() -> None:
    """In its own protocol a call loses nothing."""
    backend, _ = backend_of()
    call = CALL.changed(options=Options(top_k=3))
    assert backend.dropped(call.changed(dialect="openai_responses")) == []
    assert backend.dropped(call.changed(dialect="gemini")) == ["top_k"]


# ---------------------------------------------------------------- modes


async def test_whole_answer_is_asked_for_and_comes_in_one_batch() -> None:
    """Its pieces are put together; its connection is kept."""
    response = FakeResponse(200, WHOLE[:9], WHOLE[9:])
    backend, client = backend_of(response)
    answer = await backend.open(CALL.changed(is_streaming=False), Candidate("b", "m"))
    batches = [await answer.receive() for _ in range(3)]
    await answer.aclose()
    assert batches[:2] == [[], []]
    assert [event.text for event in batches[2] if isinstance(event, e.TextDelta)] == ["whole"]
    assert isinstance(batches[2][-1], e.Finished)
    assert "stream" not in json.loads(client.sent[0].body)
    assert (response.closed, answer.dropped_events) == ([True], 0)


async def test_whole_answer_has_a_limit() -> None:
    """No backend fills the memory."""
    endless = FakeResponse(200, b" " * STREAM_LIMITS.answer_bytes, b" ")
    backend, _ = backend_of(endless)
    answer = await backend.open(CALL.changed(is_streaming=False), Candidate("b", "m"))
    with pytest.raises(UpstreamFault) as caught:
        await drain(answer)
    assert caught.value.kind is FaultKind.PROTOCOL


# ---------------------------------------------------------------- quirks


async def test_quirks_change_body_headers_and_model() -> None:
    """Headers of a quirk count more than configured ones, but never more than the key's."""

    def patch(fields: dict[str, Any], call: Call, model: str) -> dict[str, Any]:
        return {**fields, "told": [call.model, model]}

    def headers(call: Call) -> Headers:
        return [("X-Title", "theirs"), ("Authorization", "mine")]

    request = await sent(
        model="ns/m",
        quirks=Quirks(patch_body=patch, headers=headers, model=lambda name: name.split("/")[1]),
        headers={"X-Title": "ours", "X-Other": "kept"},
        api_key=Secret("sk"),
    )
    body, head = json.loads(request.body), dict(request.headers)
    assert (body["model"], body["told"]) == ("m", ["m", "m"])
    assert (head[b"x-title"], head[b"x-other"]) == (b"theirs", b"kept")
    assert head[b"authorization"] == b"Bearer sk"


async def test_patch_may_refuse_a_call_and_a_bug_in_it_costs_one_attempt() -> None:
    """No request goes out in either case."""

    def refuse(fields: dict[str, Any], call: Call, model: str) -> dict[str, Any]:
        raise BadRequest("no")

    def fail(fields: dict[str, Any], call: Call, model: str) -> dict[str, Any]:
        raise ZeroDivisionError

    for patch, expected in ((refuse, BadRequest), (fail, UpstreamFault)):
        backend, client = backend_of(quirks=Quirks(patch_body=patch), api_key=Secret("sk"))
        with pytest.raises(expected):
            await backend.open(CALL, Candidate("b", "m"))
        assert client.sent == []


@pytest.mark.parametrize(("code", "kind"), [("busy", "overloaded"), ("other", "rate_limit")])
async def test_quirk_reads_errors_before_the_protocol_does(code: str, kind: str) -> None:
    """What it does not know it leaves."""

    def read(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault | None:
        assert (status, headers["x-reason"]) == (429, "because")
        is_mine = json.loads(body)["code"] == "busy"
        return UpstreamFault(FaultKind.OVERLOADED, "busy") if is_mine else None

    response = FakeResponse(429, json.dumps({"code": code}).encode())
    backend, _ = backend_of(response, quirks=Quirks(read_error=read))
    with pytest.raises(UpstreamFault) as caught:
        await backend.open(CALL, Candidate("b", "m"))
    assert caught.value.kind.value == kind


async def test_passed_request_is_of_the_protocol_that_is_named() -> None:
    """And its model is called what the provider calls it."""
    backend, client = backend_of(
        FakeResponse(200, b"{}"), quirks=Quirks(model=str.upper), api_key=Secret("sk")
    )
    assert await backend.forward("/responses/input_tokens", b"{}", "openai_responses") == b"{}"
    assert client.sent[0].target == b"/responses/input_tokens"
    assert backend.wire_model("m") == "M"
    assert list(backend.dialects) == ["openai_chat", "openai_responses"]


# ---------------------------------------------------------------- keys inside a stream


def pool_of(*names: str) -> CredentialPool:
    """Keys by name."""
    return CredentialPool([Credential(id=name, secret=Secret(name)) for name in names])


def error(code: str) -> bytes:
    """An error inside a stream."""
    return b"data: " + json.dumps({"error": {"message": "no", "code": code}}).encode() + b"\n\n"


async def test_limit_that_strikes_in_the_middle_cools_the_key() -> None:
    """The answer is over, with what it had; the next request takes another key."""
    pool = pool_of("a", "b")
    backend, client = backend_of(
        FakeResponse(200, GOOD[0], error("rate_limit_exceeded")), pool=pool
    )
    answer = await backend.open(CALL, Candidate("b", "m"))
    events = await drain(answer)
    assert isinstance(events[-1], e.StreamFailed)
    assert [report.state for report in pool.reports()] == [KeyState.COOLING, KeyState.UNPROVEN]
    assert (len(client.sent), answer.credential) == (1, "a")


@pytest.mark.parametrize(
    ("pieces", "names"),
    [
        ((GOOD[0] + error("rate_limit_exceeded"),), ("a", "b")),  # something was said
        ((error("overloaded"),), ("a", "b")),  # not the key's fault
        ((error("rate_limit_exceeded"),), ()),  # no key
    ],
)
async def test_failed_stream_is_handed_on_where_another_key_would_not_do(
    pieces: tuple[bytes, ...], names: tuple[str, ...]
) -> None:
    """It is the race's to decide what to do."""
    backend, client = backend_of(
        FakeResponse(200, *pieces), pool=pool_of(*names) if names else None
    )
    events = await drain(await backend.open(CALL, Candidate("b", "m")))
    assert isinstance(events[-1], e.StreamFailed)
    assert len(client.sent) == 1


async def test_events_after_a_change_of_keys_are_those_of_the_other_answer_alone() -> None:
    """The same as if there had been no change."""
    plain, _ = backend_of()
    expected = await drain(await plain.open(CALL, Candidate("b", "m")))
    late = FakeResponse(200, error("invalid_api_key"))
    backend, client = backend_of(late, FakeResponse(200, *GOOD), pool=pool_of("a", "b"))
    answer = await backend.open(CALL, Candidate("b", "m"))
    assert await drain(answer) == expected
    assert (len(client.sent), answer.credential, late.closed) == (2, "b", [True])
