"""The backend of an agent: its steps, its answer, and how it is told to stop."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from lipstream.canonical import events as e
from lipstream.canonical.call import Tool
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.options import Options
from lipstream.canonical.parts import Json
from lipstream.canonical.secret import Secret
from lipstream.errors import BadRequest, FaultKind, UpstreamFault
from lipstream.protocols import acp
from lipstream.upstream.acp import CANCEL_LIMIT, AgentAnswer, AgentBackend
from lipstream.upstream.client import StaleConnection
from tests.upstream.agents import (
    CALL,
    FakeClient,
    FakeResponse,
    Given,
    end,
    line,
    response,
    say,
)

Refused = httpx.ConnectError("refused")
PROMPT_NUMBER = 13  # with three steps before it
STEPS = ["initialize", "authenticate", "session/new"]


def backend(client: FakeClient, **fields: Any) -> AgentBackend:
    """An agent whose requests are numbered from 10."""
    given = {"id": "a", "base_url": "http://127.0.0.1:9/x/", "numbers": itertools.count(10)}
    return AgentBackend(client=client, **{**given, **fields})


async def opened(client: FakeClient, params: Mapping[str, str] | None = None, **fields: Any) -> Any:
    """One call, opened."""
    candidate = Candidate("a", "agent", tuple((params or {}).items()))
    return await backend(client, **fields).open(CALL, candidate)


async def events_of(answer: AgentAnswer) -> e.Batch:
    """All events, to the terminal one."""
    events: e.Batch = []
    while not events or type(events[-1]) not in e.TERMINAL:
        events += await answer.receive()
    return events


# ---------------------------------------------------------------- steps


async def test_agent_is_made_ready_before_it_is_asked() -> None:
    """One message after the other, each with a number of its own, to one path."""
    client = FakeClient()
    answer = await opened(client, api_key=Secret("k"), headers={"X-Extra": "1", "Accept": "any"})
    assert client.methods == STEPS
    assert [type(event) for event in await events_of(answer)] == [
        e.Started,
        e.MessageStarted,
        e.TextDelta,
        e.MessageFinished,
        e.Finished,
    ]
    prompt = client.of("session/prompt")
    assert [message["id"] for message in client.sent] == [10, 11, 12, 13]
    assert prompt["params"]["sessionId"] == "s-1"
    assert prompt["params"]["prompt"] == [{"type": "text", "text": "hi"}]
    assert prompt["params"]["messageId"].startswith("msg_")
    origin, request = client.requests[-1]
    assert (origin.port, request.method, request.target) == (9, b"POST", b"/x/v1/acp")
    head = dict(request.headers)
    assert (head[b"authorization"], head[b"x-extra"], head[b"accept"]) == (
        b"Bearer k",
        b"1",
        b"any",
    )
    assert head[b"content-type"] == b"application/json"


async def test_query_of_the_base_url_is_dropped() -> None:
    """So is a fragment."""
    client = FakeClient()
    await opened(client, base_url="http://127.0.0.1:9?a=1#b")
    assert {request.target for _, request in client.requests} == {b"/v1/acp"}
    assert b"authorization" not in dict(client.requests[0][1].headers)


async def test_steps_that_are_not_wanted_are_left_out() -> None:
    """A session that exists needs no new one; the route may say which, where it is allowed to."""
    client = FakeClient()
    options = acp.SessionOptions(session_id="s-0", skips_authentication=True, message_id="m-0")
    params = {"acp.sessionId": "s-9", "temperature": "1"}
    answer = await opened(client, params, options=options, route_options={"acp.sessionId"})
    await events_of(answer)
    assert client.methods == ["initialize", "session/prompt"]
    said = client.of("session/prompt")["params"]
    assert (said["sessionId"], said["messageId"]) == ("s-9", "m-0")


async def test_call_that_cannot_be_told_costs_nothing() -> None:
    """It is refused before anything is sent, and so is a route that says too much."""
    client = FakeClient()
    agent = backend(client)
    with pytest.raises(BadRequest, match="tools"):
        await agent.open(CALL.changed(tools=(Tool("f"),)), Candidate("a", "agent"))
    with pytest.raises(BadRequest, match=r"acp\.cwd"):
        await opened(client, {"acp.cwd": "/etc"})
    assert client.sent == []
    assert agent.dropped(CALL.changed(options=Options(seed=1))) == ["seed"]
    assert agent.abilities.leaves_traces


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (response(status=503), FaultKind.OVERLOADED),
        (response(status=204), FaultKind.PROTOCOL),
        (response(line(error={"code": -32000})), FaultKind.CREDENTIALS),
        (response(b"<html>"), FaultKind.PROTOCOL),
        (response(b"x" * 5_000_000, b"x" * 5_000_000), FaultKind.PROTOCOL),
        (response(httpx.ReadError("reset")), FaultKind.READ),
        (response(httpx.RemoteProtocolError("cut")), FaultKind.TRUNCATED),
        (Refused, FaultKind.CONNECT),
    ],
)
async def test_step_that_fails_fails_the_opening(step: str, given: Given, kind: FaultKind) -> None:
    """Nothing follows it, and its response is closed."""
    client = FakeClient({step: given})
    with pytest.raises(UpstreamFault) as caught:
        await opened(client)
    assert caught.value.kind is kind
    assert client.methods == STEPS[: STEPS.index(step) + 1]
    assert all(answer.closed for answer in client.responses)


async def test_step_on_a_dead_connection_is_repeated() -> None:
    """It costs nothing: the agent never saw it."""
    client = FakeClient({"initialize": [StaleConnection("dead")]})
    await opened(client)
    assert client.methods == ["initialize", *STEPS]


# ---------------------------------------------------------------- the answer


async def test_whole_answer_keeps_the_connection() -> None:
    """There is nothing to cancel."""
    client = FakeClient()
    answer = await opened(client)
    await events_of(answer)
    await answer.aclose()
    assert client.methods == [*STEPS, "session/prompt"]
    assert client.responses[-1].closed == [True]
    assert (answer.is_resent, answer.credential, answer.dropped_events) == (False, None, 0)


@pytest.mark.parametrize(
    ("given", "kind", "is_cancelled"),
    [
        (response(line(error={"code": -32602}), status=400), FaultKind.BAD_REQUEST, False),
        (response(status=429), FaultKind.RATE_LIMIT, False),
        (Refused, FaultKind.CONNECT, False),
        (StaleConnection("dead"), FaultKind.READ, True),
        (httpx.ReadError("reset"), FaultKind.READ, True),
        (response(say("a"), httpx.ReadError("reset")), FaultKind.READ, True),
        (response(say("a"), httpx.RemoteProtocolError("cut")), FaultKind.TRUNCATED, True),
        (response(say("a")), FaultKind.TRUNCATED, True),
        (response(b"<html>\n" * 3), FaultKind.PROTOCOL, True),
        (response(line(id=PROMPT_NUMBER, error={"code": -32603})), FaultKind.SERVER, False),
    ],
)
async def test_prompt_that_fails_is_sent_once(
    given: Given, kind: FaultKind, is_cancelled: bool
) -> None:
    """Where the agent may be at work still it is told to stop."""
    client = FakeClient({"session/prompt": given})
    answer = await opened(client)
    with pytest.raises(UpstreamFault) as caught:
        raise (await events_of(answer))[-1].fault  # type: ignore[attr-defined]
    assert caught.value.kind is kind
    await answer.aclose()
    assert client.methods.count("session/prompt") == 1
    assert ("session/cancel" in client.methods) is is_cancelled
    assert all(answer.closed for answer in client.responses)


async def test_prompt_that_was_given_up_is_not_sent() -> None:
    """Neither after the close nor after a receive that was cancelled; unsent, nothing runs."""
    client = FakeClient({"session/prompt": [None]})
    unsent, given_up = await opened(client), await opened(client)
    await unsent.aclose()
    assert client.methods == STEPS * 2
    with trio.move_on_after(0.01):
        await given_up.receive()
    for answer in (unsent, given_up):
        with pytest.raises(UpstreamFault, match="given up"):
            await answer.receive()
    assert client.methods.count("session/prompt") == 1


# ---------------------------------------------------------------- requests of the agent

ASK = line(id="q-1", method="session/request_permission", params={"options": []})


def asking(*pieces: bytes) -> FakeClient:
    """An agent that asks with its first words."""
    return FakeClient({"session/prompt": response(say("a") + ASK, *pieces, end(PROMPT_NUMBER))})


async def test_request_of_the_agent_is_answered() -> None:
    """After the words that came with it, before more is read."""
    client = asking()
    answer = await opened(client)
    assert (await answer.receive())[-1] == e.TextDelta("a")
    assert client.methods[-1] == "session/prompt"
    assert (await answer.receive())[-1] == e.Finished()
    assert client.sent[-1] == {"jsonrpc": "2.0", "id": "q-1", "result": {}}


async def test_handler_has_a_say() -> None:
    """It is told what the agent wants."""
    seen: list[acp.AgentRequest] = []

    async def refuse(request: acp.AgentRequest) -> Json:
        await trio.lowlevel.checkpoint()
        seen.append(request)
        return {"error": {"code": -32601, "message": "no"}}

    client = asking()
    await events_of(await opened(client, handler=refuse))
    assert [request.method for request in seen] == ["session/request_permission"]
    assert client.sent[-1]["error"]["code"] == -32601


async def test_request_outlives_a_cancelled_receive() -> None:
    """No event is lost, and the agent still gets its answer."""
    client = asking()
    client.give("response", None)
    answer = await opened(client)
    await answer.receive()
    with trio.move_on_after(0.01):
        await answer.receive()
    assert (await answer.receive())[-1] == e.Finished()
    assert client.methods[-2:] == ["response", "response"]


@pytest.mark.parametrize("given", [response(status=500), response(line(error={"code": 1}))])
async def test_answer_that_is_not_taken_ends_it(given: Given) -> None:
    """The agent would wait for ever."""
    client = asking()
    client.give("response", given)
    answer = await opened(client)
    await answer.receive()
    with pytest.raises(UpstreamFault, match="did not take"):
        await answer.receive()
    await answer.aclose()
    assert client.methods[-1] == "session/cancel"


async def test_answer_on_a_dead_connection_is_repeated() -> None:
    """The agent never saw it."""
    client = asking()
    client.give("response", StaleConnection("dead"))
    await events_of(await opened(client))
    assert client.methods[-2:] == ["response", "response"]


# ---------------------------------------------------------------- cancelling

NO_METHOD = response(line(error={"code": -32601}))


async def abandoned(given: Mapping[str, Given | list[Given]]) -> FakeClient:
    """An answer that was given up after its first words."""
    client = FakeClient({"session/prompt": response(say("a"), None), **given})
    answer = await opened(client)
    await answer.receive()
    await answer.aclose()
    await answer.aclose()
    return client


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["session/cancel"]),
        ({"session/cancel": response(status=200)}, ["session/cancel"]),
        ({"session/cancel": response(b"{}", status=200)}, ["session/cancel"]),
        ({"session/cancel": response(status=404)}, ["session/cancel", "session/stop"]),
        ({"session/cancel": NO_METHOD}, ["session/cancel", "session/stop"]),
        ({"session/cancel": StaleConnection("dead")}, ["session/cancel", "session/cancel"]),
        (
            {"session/cancel": httpx.ReadError(""), "session/stop": Refused},
            ["session/cancel", "session/stop", "session/end"],
        ),
        (
            {"session/cancel": Refused, "session/stop": Refused, "session/end": Refused},
            ["session/cancel", "session/stop", "session/end"],
        ),
    ],
)
async def test_agent_is_told_to_stop_until_it_listens(
    given: dict[str, Given], expected: list[str]
) -> None:
    """In one way after the other; once is enough, and a second close says nothing."""
    client = await abandoned(given)
    assert client.methods == [*STEPS, "session/prompt", *expected]
    prompt, cancel = client.of("session/prompt"), client.sent[-1]
    assert "id" not in cancel
    assert cancel["params"] == {
        "sessionId": "s-1",
        "requestId": prompt["id"],
        "messageId": prompt["params"]["messageId"],
    }


async def test_connection_is_closed_before_the_agent_is_told() -> None:
    """Whatever the agent says to that."""

    class Watching(FakeClient):
        async def send(self, *args: Any) -> FakeResponse:
            was_closed.append([answer.closed for answer in self.responses[3:]])
            return await super().send(*args)

    was_closed: list[list[list[bool]]] = []
    client = Watching({"session/prompt": response(say("a"), None)})
    answer = await opened(client)
    await answer.receive()
    await answer.aclose()
    assert was_closed == [[], [], [], [], [[False]]]


@pytest.mark.parametrize("given", [None, response(None)], ids=["no head", "no end"])
async def test_telling_takes_two_seconds_at_most(
    given: Given, autojump_clock: trio.testing.MockClock
) -> None:
    """Whoever else is in a hurry: it is shielded, and its shield has a deadline."""
    client = FakeClient({"session/prompt": response(say("a"), None), "session/cancel": given})
    answer = await opened(client)
    await answer.receive()
    started = trio.current_time()
    with trio.move_on_after(0.5) as hurry:
        await answer.aclose()
        await trio.lowlevel.checkpoint()
    assert trio.current_time() - started == pytest.approx(CANCEL_LIMIT)
    assert hurry.cancelled_caught
    assert client.methods[-1] == "session/cancel"
