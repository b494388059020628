"""The emulated agent: its steps, its lines, its faults, and how it is stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from lipstream.emulators.acp import Acp
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script, ToolCall
from lipstream.emulators.seen import SeenMedia, SeenText
from tests.emulators.raw_client import Raw, connect, exchange, read_to_end, request

Json = dict[str, Any]
PATH = "/v1/acp"
SESSION = "sess_ref_1"
HI = [{"type": "text", "text": "hi"}]
STEPS: dict[str, Json] = {
    "initialize": {"protocolVersion": 1},
    "authenticate": {},
    "session/new": {"cwd": "/", "mcpServers": []},
}


def message(method: str, number: Any = 1, **params: Any) -> bytes:
    """A request; without a number a notification."""
    numbered = {} if number is None else {"id": number}
    body = {"jsonrpc": "2.0", **numbered, "method": method, "params": params}
    return request(json.dumps(body).encode(), path=PATH)


def prompt(session: str = SESSION, blocks: Any = HI) -> bytes:
    """A prompt."""
    return message("session/prompt", 7, sessionId=session, prompt=blocks)


async def send(emulator: Emulator, data: bytes) -> Raw:
    """One message and its answer."""
    return await exchange(emulator.port, data)


async def make_ready(emulator: Emulator) -> None:
    """The steps before a prompt."""
    for method, params in STEPS.items():
        assert (await send(emulator, message(method, **params))).status == 200


async def talk(script: Script, blocks: Any = HI) -> Raw:
    """The answer to a prompt by a script."""
    async with Emulator(default=script) as emulator:
        await make_ready(emulator)
        return await send(emulator, prompt(blocks=blocks))


def lines(raw: Raw) -> list[Any]:
    """The messages of an answer; a line that is none as it is."""
    found: list[Any] = []
    for line in b"".join(raw.chunks).replace(b"\r\n", b"\n").split(b"\n"):
        try:
            found += [json.loads(line)] if line else []
        except ValueError:
            found.append(line)
    return found


def updates(raw: Raw) -> list[Json]:
    """The updates of an answer."""
    messages = (found for found in lines(raw) if isinstance(found, dict))
    told = [found for found in messages if found.get("method") == "session/update"]
    assert all(found["params"]["sessionId"] == SESSION for found in told)
    return [found["params"]["update"] for found in told]


def texts(raw: Raw, kind: str = "agent_message_chunk") -> list[str]:
    """The texts of one kind."""
    return [u["content"]["text"] for u in updates(raw) if u["sessionUpdate"] == kind]


# ---------------------------------------------------------------- steps


async def test_agent_is_made_ready_in_steps() -> None:
    """Each session has a name of its own; the ledger knows each step by its method."""
    async with Emulator() as emulator:
        await make_ready(emulator)
        await make_ready(emulator)
        last = await send(emulator, message("session/new", "x", cwd="/srv", mcpServers=[]))
        assert last.json == {"jsonrpc": "2.0", "id": "x", "result": {"sessionId": "sess_ref_3"}}
        assert [entry.model for entry in emulator.ledger] == [*STEPS, *STEPS, "session/new"]
        ready = (await send(emulator, message("initialize", protocolVersion=1))).json["result"]
    assert ready["protocolVersion"] == 1
    assert ready["agentCapabilities"]["loadSession"] is False
    assert ready["authMethods"] == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (request(b"{", path=PATH), -32700),
        (request(b"[]", path=PATH), -32600),
        (request(b'{"method":"x","id":1}', path=PATH), -32600),
        (request(b'{"jsonrpc":"2.0","method":1,"id":1}', path=PATH), -32600),
        (message("session/load"), -32601),
        (message("what"), -32601),
        (message("session/new", cwd="/", mcpServers=[]), -32002),
        (message("initialize"), -32602),
        (message("initialize", protocolVersion="1"), -32602),
        (message("authenticate", methodId=1), -32602),
        (prompt(), -32602),
    ],
)
async def test_bad_message_is_refused(data: bytes, code: int) -> None:
    """With an error of JSON-RPC inside a 200."""
    async with Emulator() as emulator:
        raw = await send(emulator, data)
        assert (raw.status, raw.json["error"]["code"]) == (200, code)
        assert emulator.failures == []


@pytest.mark.parametrize(
    "data",
    [
        message("session/new", mcpServers=[]),
        message("session/new", cwd="here", mcpServers=[]),
        message("session/new", cwd="/", mcpServers=[{}]),
        prompt("sess_ref_9"),
        prompt(blocks=[]),
        prompt(blocks=[{"type": "image"}]),
        prompt(blocks=[{"type": "resource", "resource": {}}]),
    ],
)
async def test_bad_parameters_are_refused(data: bytes) -> None:
    """An agent that is ready still looks."""
    async with Emulator() as emulator:
        await make_ready(emulator)
        assert (await send(emulator, data)).json["error"]["code"] == -32602


async def test_steps_have_scripts_of_their_own() -> None:
    """What is said of everything else is said of prompts alone."""
    scripts = {
        "initialize": [Script(status=503), Script()],
        "authenticate": [Script(status=401)],
    }
    async with Emulator(scripts, default=Script(hang_before_headers=True)) as emulator:
        first = await send(emulator, message("initialize", protocolVersion=1))
        second = await send(emulator, message("initialize", protocolVersion=1))
        assert (first.status, second.status) == (503, 200)
        assert first.json["error"] == {"code": -32603, "message": "internal error"}
        denied = await send(emulator, message("authenticate"))
        assert (denied.status, denied.json["error"]["code"]) == (401, -32000)


async def test_missing_credential_is_a_401_where_one_is_wanted() -> None:
    """The protocol has none, but what stands before an agent may."""
    async with Emulator(require_auth=True) as emulator:
        assert (await send(emulator, message("initialize", protocolVersion=1))).status == 401


async def test_other_paths_are_not_the_agents() -> None:
    """Nor other methods."""
    async with Emulator() as emulator:
        assert (await send(emulator, request(method="GET", path=PATH))).status == 404
        assert (await send(emulator, request(b"{}", path="/v1/acp/x"))).status == 404
    assert Acp().models(["m"]).data == b"[]"


# ---------------------------------------------------------------- answers


async def test_answer_is_a_plan_and_words_and_a_result() -> None:
    """In lines, each a message."""
    raw = await talk(Script(text="Hello there", reasoning="let me see"))
    assert raw.headers["content-type"] == "application/x-ndjson"
    assert updates(raw)[0] == {"sessionUpdate": "plan", "entries": []}
    assert texts(raw, "agent_thought_chunk") == ["let", " me", " see"]
    assert texts(raw) == ["Hello", " there"]
    assert lines(raw)[-1] == {"jsonrpc": "2.0", "id": 7, "result": {"stopReason": "end_turn"}}


async def test_resources_are_named() -> None:
    """Where the script says nothing, so that a test sees what came."""
    image = {"uri": "data:image/png;base64,AAAA", "mimeType": "image/png"}
    paper = {"uri": "https://x/a.pdf", "mimeType": "application/pdf", "text": "a.pdf"}
    blocks = [*HI, *({"type": "resource", "resource": found} for found in (image, paper))]
    assert "".join(texts(await talk(Script(), blocks))) == (
        "saw resource: data:image/png;https://x/a.pdf"
    )
    assert texts(await talk(Script(text="ok"), blocks)) == ["ok"]
    async with Emulator() as emulator:
        await make_ready(emulator)
        await send(emulator, prompt(blocks=blocks))
        seen = emulator.ledger[-1].seen
    assert seen is not None
    assert list(seen.turns[0].parts) == [
        SeenText("hi"),
        SeenMedia("image", "image/png", 3),
        SeenMedia("document", "application/pdf", source="https://x/a.pdf", name="a.pdf"),
    ]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(finish_reason="length"), "max_tokens"),
        (Script(finish_reason="pause"), "max_turn_requests"),
        (Script(finish_reason="cancelled"), "cancelled"),
        (Script(refusal="no"), "refusal"),
        (Script(block_reason="x"), "refusal"),
        (Script(no_finish_reason=True), None),
    ],
)
async def test_reasons_are_in_the_protocols_words(script: Script, reason: str | None) -> None:
    """Or as the script says them."""
    assert lines(await talk(script))[-1]["result"].get("stopReason") == reason


async def test_refusals_and_images_are_content() -> None:
    """As an agent would say them."""
    assert texts(await talk(Script(refusal="No way"))) == ["No", " way"]
    inline = updates(await talk(Script(image="data:image/gif;base64,AAAA")))[-1]["content"]
    assert inline == {"type": "image", "data": "AAAA", "mimeType": "image/gif"}
    linked = updates(await talk(Script(image="https://x/a.png")))[-1]["content"]
    assert linked["uri"] == "https://x/a.png"


async def test_tools_are_the_agents_own_and_need_a_permission() -> None:
    """A request goes out with each call; the answer to it is in the ledger."""
    calls = (ToolCall("ls"), ToolCall("rm", id="t"))
    async with Emulator(default=Script(tool_calls=calls)) as emulator:
        await make_ready(emulator)
        raw = await send(emulator, prompt())
        asked = [found for found in lines(raw) if "id" in found and "method" in found]
        answer = json.dumps({"jsonrpc": "2.0", "id": asked[0]["id"], "result": {}}).encode()
        assert (await send(emulator, request(answer, path=PATH))).status == 204
        (entry,) = emulator.ledger.of_model("response")
        assert entry.body["result"] == {}
    assert [found["method"] for found in asked] == ["session/request_permission"] * 2
    kinds = [update["sessionUpdate"] for update in updates(raw)]
    assert kinds == ["plan", *["tool_call", "tool_call_update"] * 2]


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("fault", "ended", "is_terminated"),
    [({"cut_after": 2}, "fin", False), ({"reset_after": 2}, "reset", False)],
)
async def test_stream_breaks_where_it_is_told_to(
    fault: Json, ended: str, is_terminated: bool
) -> None:
    """After so many words."""
    raw = await talk(Script(words=5, **fault))
    assert (texts(raw), raw.ended, raw.is_terminated) == (
        ["word1", " word2"],
        ended,
        is_terminated,
    )


async def test_error_inside_an_answer_is_for_its_prompt() -> None:
    """In the place of a result."""
    raw = await talk(Script(words=5, error_after=2, error_code=-32603, error_message="oops"))
    assert texts(raw) == ["word1", " word2"]
    error = {"code": -32603, "message": "oops"}
    assert lines(raw)[-1] == {"jsonrpc": "2.0", "id": 7, "error": error}
    given = await talk(Script(words=5, error_after=2, error_body=b'{"x":1}\n'))
    assert lines(given)[-1] == {"x": 1}


@pytest.mark.parametrize(("status", "code"), [(400, -32602), (429, -32603), (500, -32603)])
async def test_http_error_has_an_error_of_json_rpc(status: int, code: int) -> None:
    """With the number of the prompt."""
    raw = await talk(Script(status=status, retry_after=3))
    assert (raw.status, raw.json["error"]["code"], raw.json["id"]) == (status, code, 7)


async def test_lines_may_be_garbage_or_missing() -> None:
    """What does not parse stands between what does."""
    raw = await talk(Script(words=2, garbage="event", garbage_count=2))
    assert sum(isinstance(found, bytes) for found in lines(raw)) == 2
    assert texts(raw) == ["word1", " word2"]
    endless = await talk(Script(words=2, no_done=True, crlf=True))
    assert "result" not in lines(endless)[-1]
    whole = await talk(Script(words=2, stream_ignored=True))
    assert whole.json["result"] == {"stopReason": "end_turn"}


# ---------------------------------------------------------------- stopping


@pytest.mark.parametrize("method", ["session/cancel", "session/stop", "session/end"])
async def test_agent_stops_when_it_is_told_to(method: str) -> None:
    """It says so and names the reason; the message itself gets an empty answer."""
    async with Emulator(default=Script(words=500, pace=0.02)) as emulator:
        await make_ready(emulator)
        stream = await connect(emulator.port, prompt())
        await emulator.ledger.wait_for(lambda ledger: ledger[-1].chunks_sent > 1)
        told = await send(emulator, message(method, None, sessionId=SESSION))
        assert (told.status, told.body) == (204, b"")
        with trio.fail_after(5):
            raw = await read_to_end(stream)
        assert len(emulator.ledger.of_model(method)) == 1
    assert texts(raw)[-1] == "stopped"
    assert lines(raw)[-1]["result"] == {"stopReason": "cancelled"}


async def test_other_notifications_change_nothing() -> None:
    """Of another session, of another kind, or refused by a script."""
    scripts = {"agent": Script(words=30, pace=0.01), "session/cancel": Script(status=404)}
    async with Emulator(scripts) as emulator:
        await make_ready(emulator)
        stream = await connect(emulator.port, prompt())
        await emulator.ledger.wait_for(lambda ledger: ledger[-1].chunks_sent > 1)
        for method, params in (
            ("session/cancel", {"sessionId": SESSION}),
            ("session/stop", {"sessionId": "sess_ref_9"}),
            ("session/end", {"sessionId": []}),
            ("other", {"sessionId": SESSION}),
        ):
            status = (await send(emulator, message(method, None, **params))).status
            assert status == (404 if method == "session/cancel" else 204)
        raw = await read_to_end(stream)
    assert lines(raw)[-1]["result"] == {"stopReason": "end_turn"}
    assert len(texts(raw)) == 30
