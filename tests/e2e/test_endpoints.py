"""What is served beside answers: token counts, embeddings, lists of models, cancelling; and whose
words an error comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, proxying, until
from tests.e2e.wire import Reply, chat

KINDS = {
    "chat": {"kind": "openai-compatible", "models": ["small", "big"]},
    "anth": {"kind": "anthropic-compatible", "models": ["claude"]},
    "gem": {"kind": "gemini"},
}
COUNT, COUNT_RESPONSES = "/v1/messages/count_tokens", "/v1/responses/input_tokens"
COUNT_GEMINI, EMBED_GEMINI = "countTokens", "embedContent"
ANTHROPIC, GOOGLE = "anthropic-version: 2023-06-01", "x-goog-api-key: k"
MESSAGES = [{"role": "user", "content": "How many are these?"}]
CONTENTS = [{"role": "user", "parts": [{"text": "How many are these?"}]}]


@asynccontextmanager
async def all_kinds(**scripts: Script) -> AsyncIterator[Proxy]:
    """A proxy with a backend of each kind."""
    upstreams = {name: scripts.get(name, Script()) for name in KINDS}
    async with proxying(upstreams, entries=KINDS) as proxy:
        yield proxy


async def post(proxy: Proxy, path: str, *headers: str, **body: Any) -> Reply:
    """One request to any path."""
    return await proxy.post(body, *headers, path=path)


def gemini(model: str, action: str) -> str:
    """The path of an action."""
    return f"/v1beta/models/{model}:{action}"


# ---------------------------------------------------------------- counting and embedding


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (COUNT, {"model": "anth:m", "messages": MESSAGES}, "input_tokens"),
        (gemini("gem:m", COUNT_GEMINI), {"contents": CONTENTS}, "totalTokens"),
        (
            gemini("gem:m", COUNT_GEMINI),
            {"generateContentRequest": {"model": "models/x", "contents": CONTENTS}},
            "totalTokens",
        ),
    ],
)
async def test_tokens_are_counted_by_the_backend_where_it_can(
    path: str, body: dict[str, Any], field: str
) -> None:
    """The body goes on as it is, with the backend's name of the model."""
    async with all_kinds() as proxy:
        reply = await post(proxy, path, **body)
        (entry,) = proxy.ledger()
    assert (200, None) == (reply.status, reply.headers.get("x-lip-estimated"))
    assert reply.json[field] > 1
    assert "m" == entry.model


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (COUNT, {"model": "chat:m", "messages": MESSAGES}, "input_tokens"),
        (COUNT_RESPONSES, {"model": "chat:m", "input": "How many?"}, "input_tokens"),
        (gemini("chat:m", COUNT_GEMINI), {"contents": CONTENTS}, "totalTokens"),
    ],
)
async def test_tokens_are_estimated_where_no_backend_counts(
    path: str, body: dict[str, Any], field: str
) -> None:
    """A header says so, and nobody is asked."""
    async with all_kinds() as proxy:
        reply = await post(proxy, path, **body)
        assert [] == proxy.ledger()
    assert (200, "true") == (reply.status, reply.headers.get("x-lip-estimated"))
    assert reply.json[field] >= 1


async def test_embeddings_come_from_the_first_backend_that_has_them() -> None:
    """Others of the route are passed over; the answer goes on as it is."""
    async with all_kinds() as proxy:
        reply = await post(proxy, "/v1/embeddings", model="anth:x|chat:small", input="Hi")
        assert ["small"] == [entry.model for entry in proxy.ledger()]
        vectors = await post(
            proxy, gemini("gem:e", EMBED_GEMINI), content={"parts": [{"text": "Hi"}]}
        )
    assert (200, "list") == (reply.status, reply.json["object"])
    assert (200, ["embedding"]) == (vectors.status, list(vectors.json))


async def test_embeddings_fail_over_and_tell_what_was_tried() -> None:
    """The next candidate is asked; without one the client hears the class of the fault."""
    scripts = {"a": Script(status=500), "b": Script()}
    async with proxying(scripts) as proxy:
        good = await post(proxy, "/v1/embeddings", model="a:e|b:e", input="Hi")
        bad = await post(proxy, "/v1/embeddings", model="a:e", input="Hi")
        proxy.emulators["a"].set("limited", Script(status=429, retry_after=7))
        limited = await post(proxy, "/v1/embeddings", model="a:limited", input="Hi")
    assert (200, 502) == (good.status, bad.status)
    assert [{"candidate": "a:e", "phase": "opening", "kind": "server"}] == bad.error["causes"]
    assert (429, "7") == (limited.status, limited.headers["retry-after"])


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"[]", None), (b'{"model": 1}', "model"), (b"{", None), (b'{"model": "a!!"}', None)],
)
async def test_bad_request_is_refused_before_anybody_is_asked(
    body: bytes, param: str | None
) -> None:
    """With the field where there is one."""
    async with proxying({"a": Script()}) as proxy:
        reply = await proxy.post(body, path="/v1/embeddings")
        assert [] == proxy.ledger()
    assert (400, param) == (reply.status, reply.error["param"])


async def test_nobody_has_embeddings() -> None:
    """That is said, and what was looked at."""
    async with all_kinds() as proxy:
        reply = await post(proxy, "/v1/embeddings", model="anth:x", input="Hi")
    assert 400 == reply.status
    assert "no backend of anth:x has embeddings" in reply.error["message"]


# ---------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("path", "headers", "ids"),
    [
        ("/v1/models", (), lambda body: [m["id"] for m in body["data"]]),
        ("/v1/models", (ANTHROPIC,), lambda body: [m["id"] for m in body["data"]]),
        ("/v1/models", (GOOGLE,), lambda body: [m["name"][7:] for m in body["models"]]),
        ("/v1/models?key=k", (), lambda body: [m["name"][7:] for m in body["models"]]),
        ("/v1beta/models", (), lambda body: [m["name"][7:] for m in body["models"]]),
    ],
)
async def test_models_are_listed_in_the_shape_of_the_client(
    path: str, headers: tuple[str, ...], ids: Any
) -> None:
    """The path tells, else the headers that each SDK sends."""
    async with all_kinds() as proxy:
        reply = await proxy.get(path, *headers)
        assert 200 == reply.status
        names = ids(reply.json)
        assert ["big", "claude", "small"] == names
        whole = await proxy.get(path.replace("/models", "/models/claude"), *headers)
        missing = await proxy.get(path.replace("/models", "/models/nope"), *headers)
    assert "claude" in (whole.json.get("id") or whole.json["name"])
    assert 404 == missing.status
    assert "nope" in missing.json["error"]["message"]


async def test_page_of_models_that_is_no_number_is_refused() -> None:
    """In Gemini's words, since only its clients ask for pages."""
    async with all_kinds() as proxy:
        first = await proxy.get("/v1beta/models?pageSize=2")
        rest = await proxy.get(f"/v1beta/models?pageToken={first.json['nextPageToken']}")
        bad = await proxy.get("/v1beta/models?pageSize=many")
    assert [2, 1] == [len(page.json["models"]) for page in (first, rest)]
    assert (400, "INVALID_ARGUMENT") == (bad.status, bad.json["error"]["status"])


@pytest.mark.parametrize(
    ("path", "header", "word"),
    [
        ("/v1/nothing", "x: y", lambda error: error["code"] == "unknown_url"),
        ("/v1/nothing", ANTHROPIC, lambda error: error["type"] == "not_found_error"),
        ("/v1beta/nothing", "x: y", lambda error: error["status"] == "NOT_FOUND"),
    ],
)
async def test_unknown_path_is_told_in_the_words_of_the_client(
    path: str, header: str, word: Any
) -> None:
    """Also what no handler answers."""
    async with all_kinds() as proxy:
        reply = await proxy.get(path, header)
    assert 404 == reply.status
    assert word(reply.json["error"])


# ---------------------------------------------------------------- cancelling, losses


async def test_running_response_is_cancelled_by_its_id() -> None:
    """It ends with an error, its upstream closes at once, and another stream is unharmed."""
    slow = Script(words=1000, pace=0.02)
    async with proxying({"a": slow, "b": Script(words=20, pace=0.02)}) as proxy:
        async with proxy.client() as client, proxy.client() as other:
            await client.ask({"model": "a:m", "input": "Hi", "stream": True}, path="/v1/responses")
            await other.ask(chat("b:m"))
            first = await client.event()
            assert first is not None
            name = first.json["response"]["id"]
            cancelled = await post(proxy, f"/v1/responses/{name}/cancel")
            again = await post(proxy, "/v1/responses/resp_nobody/cancel")
            reply = await client.reply()
            assert (await other.reply()).is_done
        await proxy.upstream_closed("a")
        await until(lambda: len(proxy.records.exchanges) == 2)
    assert (200, "cancelled") == (cancelled.status, cancelled.json["status"])
    assert 404 == again.status
    assert "response_cancelled" in reply.events[-1].data


async def test_client_is_told_what_the_protocol_had_no_place_for() -> None:
    """And nothing where both speak the same one."""
    async with all_kinds() as proxy:
        foreign = await proxy.post(chat("anth:m", seed=1, logit_bias={"1": 1}))
        own = await proxy.post(chat("chat:m", seed=1, logit_bias={"1": 1}))
    assert {"seed", "logit_bias"} <= set(foreign.headers["x-lip-dropped"].split(", "))
    assert "x-lip-dropped" not in own.headers
