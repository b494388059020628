"""The emulator as a whole: which script answers, who may ask, many at once, and its end."""

from __future__ import annotations

import json

import pytest
import trio

from lipstream.emulators.dialect import Ask
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from tests.emulators.raw_client import chat, connect, exchange, read_to_end, request, texts


async def say(emulator: Emulator, model: str = "m") -> str:
    raw = await exchange(emulator.port, request(chat(model)))
    return "".join(texts(raw.events))


async def test_scripts_of_a_model_take_turns_and_the_last_repeats() -> None:
    """A list is used up one by one; a model without a script gets the default."""
    scripts = {"m": [Script(text="one"), Script(text="two")]}
    async with Emulator(scripts, default=Script(text="else")) as emulator:
        assert [await say(emulator) for _ in range(3)] == ["one", "two", "two"]
        assert await say(emulator, "other") == "else"


async def test_set_takes_effect_at_once() -> None:
    """A test changes its mind between two requests; no script means the default again."""
    async with Emulator({"m": Script(text="before")}, default=Script(text="else")) as emulator:
        assert await say(emulator) == "before"
        emulator.set("m", Script(text="after"))
        assert await say(emulator) == "after"
        emulator.set("m")
        assert await say(emulator) == "else"


async def test_choose_goes_first_and_may_pass() -> None:
    """A callable sees the request; None leaves the choice to the mapping."""

    def choose(ask: Ask) -> Script | None:
        return Script(text="chosen") if ask.body["messages"][0]["content"] == "pick" else None

    async with Emulator({"m": Script(text="mapped")}, choose=choose) as emulator:
        body = chat(messages=[{"role": "user", "content": "pick"}])
        raw = await exchange(emulator.port, request(body))
        assert texts(raw.events) == ["chosen"]
        assert await say(emulator) == "mapped"


async def test_failing_choose_costs_its_connection_alone() -> None:
    """The failure is kept for the test to see, and the server goes on."""

    def choose(ask: Ask) -> Script | None:
        if ask.model == "bad":
            raise RuntimeError("no such script")
        return None

    async with Emulator(choose=choose) as emulator:
        raw = await exchange(emulator.port, request(chat("bad")))
        assert raw.data == b""
        assert [str(failure) for failure in emulator.failures] == ["no such script"]
        assert await say(emulator)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 401),
        (("authorization: Bearer ",), 401),
        (("authorization: Bearer wrong",), 401),
        (("authorization: Basic right",), 401),
        (("authorization: Bearer right",), 200),
    ],
)
async def test_expected_key_is_asked_for(headers: tuple[str, ...], status: int) -> None:
    """Anything but the right bearer token is a 401 with OpenAI's code."""
    async with Emulator(expect_key="right") as emulator:
        raw = await exchange(
            emulator.port, request(chat(), headers=(*headers, "connection: close"))
        )
        assert raw.status == status
        if status == 401:
            assert raw.json["error"]["code"] == "invalid_api_key"


async def test_required_auth_takes_any_key() -> None:
    """A credential must be there; which one does not matter."""
    async with Emulator(require_auth=True) as emulator:
        named = ("authorization: Bearer any", "connection: close")
        assert (await exchange(emulator.port, request(chat()))).status == 401
        assert (await exchange(emulator.port, request(chat(), headers=named))).status == 200
        assert [entry.outcome for entry in emulator.ledger] == ["status", "complete"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v2/chat/completions?a=1"])
async def test_any_prefix_is_served(path: str) -> None:
    """Providers put the endpoint in many places."""
    async with Emulator() as emulator:
        assert (await exchange(emulator.port, request(chat(), path=path))).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/other"), ("GET", "/v1/chat/completions")]
)
async def test_unknown_path_or_method_is_a_404(method: str, path: str) -> None:
    """With an error body like any other."""
    async with Emulator() as emulator:
        raw = await exchange(emulator.port, request(chat(), method=method, path=path))
        assert (raw.status, raw.json["error"]["code"]) == (404, "unknown_url")


async def test_model_list_names_the_scripted_models() -> None:
    """In the provider's shape."""
    async with Emulator({"b": Script(), "a": Script()}) as emulator:
        raw = await exchange(emulator.port, request(method="GET", path="/v1/models"))
        assert raw.json["object"] == "list"
        assert [(row["id"], row["object"]) for row in raw.json["data"]] == [
            ("a", "model"),
            ("b", "model"),
        ]


@pytest.mark.parametrize(
    ("path", "header", "field"),
    [
        ("/v1/models", "x-a: b", "object"),
        ("/v1/models", "anthropic-version: 2023-06-01", "has_more"),
        ("/v1/models", "x-goog-api-key: k", "models"),
        ("/v1beta/models?key=k", "x-a: b", "models"),
    ],
)
async def test_model_list_has_the_shape_of_whoever_asks(path: str, header: str, field: str) -> None:
    """Three providers, one path: the headers tell."""
    async with Emulator({"a": Script()}) as emulator:
        headers = (header, "connection: close")
        raw = await exchange(emulator.port, request(method="GET", path=path, headers=headers))
        assert (raw.status, field in raw.json) == (200, True)


async def test_hundred_streams_at_once_are_all_whole() -> None:
    """Each client gets its own answer, complete, with an id of its own."""
    ids: set[str] = set()

    async def one(port: int, number: int) -> None:
        raw = await exchange(port, request(chat(f"m{number}")))
        assert raw.events[-1] == "[DONE]"
        assert len(texts(raw.events)) == 20
        assert raw.events[0]["model"] == f"m{number}"
        ids.add(raw.events[0]["id"])

    async with Emulator(default=Script(words=20, pace=0.005)) as emulator:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(one, emulator.port, number)
        assert len(ids) == 100
        assert {entry.outcome for entry in emulator.ledger} == {"complete"}


async def test_leaving_the_block_closes_every_socket() -> None:
    """Idle, hanging and streaming connections end, and the port is free."""
    async with Emulator({"h": Script(hang_after=1)}) as emulator:
        hanging = await connect(emulator.port, request(chat("h")))
        idle = await connect(emulator.port)
        await emulator.ledger.wait_for(lambda ledger: ledger.connections_open == 2)
        await emulator.ledger.wait_for(lambda ledger: ledger.of_model("h") != [])
        port = emulator.port
    await read_to_end(hanging)
    await read_to_end(idle)
    assert emulator.ledger.connections_open == 0
    assert emulator.ledger[0].closed_by == "emulator"
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_block_lets_its_own_exception_through_as_it_is() -> None:
    """No exception group around a test's failure."""
    with pytest.raises(LookupError):
        async with Emulator():
            raise LookupError


async def test_nursery_can_start_it_on_a_port() -> None:
    """``nursery.start`` returns the emulator when it listens."""
    async with trio.open_nursery() as nursery:
        emulator: Emulator = await nursery.start(Emulator().serve)
        assert emulator.base_url == f"http://127.0.0.1:{emulator.port}/v1"
        assert await say(emulator)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("body", [b"{", b"[]", json.dumps({"model": "m"}).encode(), chat("")])
async def test_malformed_request_is_a_400(body: bytes) -> None:
    """No JSON, no object, no messages, no model."""
    async with Emulator() as emulator:
        raw = await exchange(emulator.port, request(body))
        assert (raw.status, raw.json["error"]["type"]) == (400, "invalid_request_error")


def test_address_is_unknown_before_the_start() -> None:
    """Asking for it too early is a mistake of the caller."""
    with pytest.raises(RuntimeError):
        _ = Emulator().base_url
