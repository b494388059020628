"""The client chooses where its request goes, and is told where it went."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, proxying
from tests.e2e.wire import Reply, chat

UPSTREAMS = {"a": Script(text="from a"), "b": Script(text="from b", content_after=0.05)}
ALIASES = [
    {"pattern": "^smart$", "replacement": "b:big"},
    {"pattern": "^gpt-(.*)$", "replacement": "a:open-$1|b:open-$1"},
]


@attrs.frozen
class Row:
    """What a client writes, and where it leads.

    Attributes:
        asked: The models that were asked of each backend.
    """

    name: str
    model: str
    asked: dict[str, list[str]]
    header: str = ""


ROWS = [
    Row("alias", "smart", {"a": [], "b": ["big"]}),
    Row("alias with a group", "gpt-9", {"a": ["open-9"], "b": []}),
    Row("backend and model", "b:m", {"a": [], "b": ["m"]}),
    Row("backend and model with a slash", "b/m", {"a": [], "b": ["m"]}),
    Row("model with slashes", "b/vendor/m", {"a": [], "b": ["vendor/m"]}),
    Row("model with a tag", "b:m:free", {"a": [], "b": ["m:free"]}),
    Row("vendor that is no backend", "vendor/m", {"a": ["vendor/m"], "b": []}),
    Row("race", "a:m!b:n", {"a": ["m"], "b": ["n"]}),
    Row("list", "a:m|b:n", {"a": ["m"], "b": []}),
    Row("weights", "[weight=1]b:m", {"a": [], "b": ["m"]}),
    Row("declared", "known-b", {"a": [], "b": ["known-b"]}),
    Row("any", "whatever", {"a": ["whatever"], "b": []}),
    Row("header", "a:m", {"a": [], "b": ["x"]}, header="b:x"),
    Row("header over an alias", "smart", {"a": ["m"], "b": []}, header="a:m"),
    Row("alias in the header", "a:m", {"a": [], "b": ["big"]}, header="smart"),
    Row("any in the header", "mine", {"a": [], "b": ["mine"]}, header="b:*"),
    Row("blank header", "b:m", {"a": [], "b": ["m"]}, header=" "),
]


async def ask(proxy: Proxy, row: Row) -> Reply:
    """The request of a row."""
    headers = [f"X-LIP-Route: {row.header}"] if row.header else []
    return await proxy.post(chat(row.model), *headers)


def asked(proxy: Proxy) -> dict[str, list[str]]:
    """The models that each backend was asked for."""
    return {name: [e.model for e in proxy.ledger(name)] for name in proxy.emulators}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
async def test_request_goes_where_the_client_wants_it(row: Row) -> None:
    """The header first, else the model: alias, backend and model, selector, or any name at all."""
    entries = {"b": {"models": ["known-b"]}}
    async with proxying(UPSTREAMS, aliases=ALIASES, entries=entries) as proxy:
        reply = await ask(proxy, row)
        await proxy.record()
        assert asked(proxy) == row.asked
    assert (reply.status, reply.is_done) == (200, True)


async def test_parameters_of_a_leaf_fill_what_the_client_left_open() -> None:
    """What the client says itself counts more."""
    async with proxying(UPSTREAMS) as proxy:
        await proxy.post(chat("a:m?temperature=0.5&max_tokens=7"))
        await proxy.post(chat("a:m?temperature=0.5", temperature=1.5))
        bodies = [entry.body for entry in proxy.ledger("a")]
    assert (bodies[0]["temperature"], bodies[0]["max_tokens"]) == (0.5, 7)
    assert bodies[1]["temperature"] == 1.5


# ---------------------------------------------------------------- what the client is told


def models(reply: Reply) -> set[Any]:
    """The models that an answer names."""
    if reply.events:
        return {event.json["model"] for event in reply.events[:-1]}
    return {reply.json["model"]}


@pytest.mark.parametrize("is_streaming", [False, True])
@pytest.mark.parametrize(
    ("echoes", "expected"), [(False, "big-2026-01"), (True, "smart")], ids=["upstream", "echo"]
)
async def test_answer_names_its_model(echoes: bool, expected: str, is_streaming: bool) -> None:
    """The upstream's own word, unless the operator wants the client's to be repeated."""
    upstreams = {"a": Script(), "b": Script(words=4, model="big-2026-01")}
    routing = {"echo_alias": echoes}
    async with proxying(upstreams, aliases=ALIASES, routing=routing) as proxy:
        reply = await proxy.post(chat("smart", stream=is_streaming))
    assert models(reply) == {expected}
    assert reply.text == "word1 word2 word3 word4"


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_request_id_is_that_of_the_record(is_streaming: bool) -> None:
    """Answers and errors carry the id under which everything is noted."""
    async with proxying({"a": Script(), "b": Script(status=404)}) as proxy:
        good = await proxy.post(chat("a:m", stream=is_streaming))
        bad = await proxy.post(chat("b:m", stream=is_streaming))
        records = [await proxy.record(1), await proxy.record(2)]
    assert [good.headers["x-request-id"], bad.headers["x-request-id"]] == [r.id for r in records]
    assert len({record.id for record in records}) == 2


async def test_header_tells_the_tree_of_attempts() -> None:
    """What failed, in order, and who answered, each with its time."""
    upstreams = {"a": Script(status=500), "b": Script(status=404), "c": Script()}
    async with proxying(upstreams) as proxy:
        reply = await proxy.post(chat("a:m|b:m|c:m"))
    tree = [part.split("@") for part in reply.headers["x-lip-attempts"].split(", ")]
    assert [name for name, _ in tree] == ["a:m=server", "b:m=not_found", "c:m=won"]
    assert all(0 <= float(seconds) < 5 for _, seconds in tree)


async def test_header_cannot_be_forged_by_a_model_name() -> None:
    """A name with line ends or other characters stays one value in one header."""
    async with proxying({"a": Script(status=404)}) as proxy:
        reply = await proxy.post(chat("a:m\r\nX-Evil: 1, b:k=won@0\u2028é"))
        await proxy.record()
    assert "x-evil" not in reply.headers
    assert reply.headers["x-lip-attempts"].isascii()
    assert reply.headers["x-lip-attempts"].count(",") == 0


@pytest.mark.parametrize("name", ["x" * 20_000, "é" * 5_000], ids=["ascii", "quoted"])
async def test_header_fits_into_what_clients_accept(name: str) -> None:
    """A line of 8 KiB is refused by many; the records have the whole of it."""
    async with proxying({"a": Script(status=404), "b": Script()}) as proxy:
        reply = await proxy.post(chat(f"a:{name}|b:m"))
        record = await proxy.record()
    assert reply.is_done
    assert len(reply.headers["x-lip-attempts"]) <= 4096
    assert record.attempts[0].candidate.model == name


async def test_unknown_backend_excludes_only_its_own_arm() -> None:
    """Where others are left, a name that is not configured is passed over."""
    async with proxying(UPSTREAMS) as proxy:
        reply = await proxy.post(chat("nobody:m|b:m"))
        race = await proxy.post(chat("nobody:m!b:m"))
    assert [reply.text, race.text] == ["from b", "from b"]


async def test_number_of_attempts_is_limited() -> None:
    """Three by default; the rest of the plan is not tried."""
    bad = Script(status=500)
    async with proxying({"a": bad, "b": bad, "c": bad, "d": Script()}) as proxy:
        reply = await proxy.post(chat("a:m|b:m|c:m|d:m"))
        record = await proxy.record()
    assert reply.status == 502
    assert [attempt.candidate.backend for attempt in record.attempts] == ["a", "b", "c"]


async def test_key_of_the_client_stays_here() -> None:
    """Each upstream gets its own key, and never the client's."""
    async with proxying(UPSTREAMS) as proxy:
        await proxy.post(chat("a:m!b:m"), "Authorization: Bearer sk-client", "X-Api-Key: sk-two")
        await proxy.record()
        heads = {name: proxy.ledger(name)[0].headers for name in "ab"}
    assert [heads[name]["authorization"] for name in "ab"] == ["Bearer sk-a", "Bearer sk-b"]
    assert "sk-client" not in str(heads)
    assert "sk-two" not in str(heads)
