"""The models that backends have: found, listed in every client's shape, and asked for by name."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, bound, proxying, until
from tests.e2e.wire import chat

ANTHROPIC, GOOGLE = "anthropic-version: 2023-06-01", "x-goog-api-key: k"
FOUND = {"discover": True}
ENTRIES = {
    "*": FOUND,
    "anth": {"kind": "anthropic-compatible", "models": ["claude", "old"]},
    "gem": {"kind": "gemini"},
}


def upstreams() -> dict[str, Emulator]:
    """A backend of each kind of list, with models of its own."""
    return {
        "chat": Emulator({"small": Script(text="chat says")}),
        "anth": Emulator({"claude": Script(text="anth says"), "opus": Script(text="opus says")}),
        "gem": Emulator({"gemini-x": Script(text="gem says"), "small": Script(text="gem says")}),
    }


async def ids(proxy: Proxy, path: str = "/v1/models", *headers: str) -> list[str]:
    """What is listed."""
    reply = await proxy.get(path, *headers)
    assert reply.status == 200
    shown = reply.json.get("data") or reply.json.get("models", [])
    return [model["id"] if "id" in model else model["name"][7:] for model in shown]


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/v1/models", ()), ("/v1/models", (ANTHROPIC,)), ("/v1beta/models", (GOOGLE,))],
)
async def test_models_of_all_backends_are_listed(path: str, headers: tuple[str, ...]) -> None:
    """At the first time of asking, aliases and declared models among them."""
    aliases = [
        {"pattern": "^smart$", "replacement": "anth:claude"},
        {"pattern": "^x-.*$", "replacement": "anth:claude"},
    ]
    async with proxying(upstreams(), entries=ENTRIES, aliases=aliases) as proxy:
        shown = await ids(proxy, path, *headers)
    assert shown == sorted(["smart", "small", "gem:small", "claude", "old", "opus", "gemini-x"])


async def test_listed_models_say_whose_they_are() -> None:
    """By the backend's id."""
    async with proxying(upstreams(), entries=ENTRIES) as proxy:
        reply = await proxy.get("/v1/models")
        one = await proxy.get("/v1/models/gem:small")
    owners = {model["id"]: model["owned_by"] for model in reply.json["data"]}
    assert owners["opus"] == "anth"
    assert owners["gem:small"] == "gem"
    assert one.json["owned_by"] == "gem"


async def test_every_listed_name_leads_to_an_answer() -> None:
    """Also one that came to be known after it had been asked for in vain."""
    ups: dict[str, Any] = upstreams()
    async with proxying(ups, entries=ENTRIES) as proxy:
        before = await proxy.post(chat("opus"))
        assert proxy.runtime.discovery.lists == {}
        assert [entry.model for entry in proxy.ledger("chat")] == ["opus"]
        for name in await ids(proxy):
            reply = await proxy.post(chat(name))
            assert reply.status == 200, name
        after = await proxy.post(chat("opus"))
    assert before.text != "opus says"
    assert after.text == "opus says"


async def test_backend_that_is_down_does_not_hide_the_others() -> None:
    """Nor does one that takes connections and says nothing; the list is there in good time."""
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.socket() as down:
        down.bind(("127.0.0.1", 0))  # and does not listen
        ups: dict[str, Any] = {
            "chat": Emulator({"small": Script()}),
            "down": f"http://127.0.0.1:{down.getsockname()[1]}/v1",
            "mute": f"http://127.0.0.1:{mute.getsockname()[1]}/v1",
        }
        async with proxying(ups, entries={"*": FOUND, "down": {"models": ["d"]}}) as proxy:
            began = trio.current_time()
            assert await ids(proxy) == ["d", "small"]
            assert trio.current_time() - began < bound(2.5, 10.0)


async def test_lists_are_fetched_beside_the_server() -> None:
    """A moment after the start, without anybody asking; keys are sent, and no server waits."""
    ups: dict[str, Any] = {"a": Emulator({"m": Script()}, expect_key="sk-a")}
    async with proxying(ups, entries={"*": FOUND}) as proxy:
        assert proxy.ledger() == []
        await until(lambda: proxy.runtime.discovery.lists == {"a": ("m",)})
        (entry,) = proxy.ledger()
    assert (entry.method, entry.path) == ("GET", "/v1/models")


async def test_nobody_is_asked_where_that_is_switched_off() -> None:
    """What the configuration names is shown all the same."""
    ups: dict[str, Any] = {"a": Emulator({"m": Script()})}
    async with proxying(ups, entries={"a": {"discover": False, "models": ["n"]}}) as proxy:
        assert await ids(proxy) == ["n"]
        assert proxy.ledger() == []
