"""The short version of everything over the other ways to an upstream: TLS, and httpx's own
transport."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import trio
import trustme

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from lipstream.lifecycle.exchange import ExchangeState
from lipstream.upstream.tls import default_context
from tests.e2e.harness import Proxy, bound, proxying, until
from tests.e2e.sdk import with_sdk
from tests.e2e.upstreams import refusing, tls_relay
from tests.e2e.wire import DONE, chat

GOOD = Script(words=3)
WAYS = ("tls", "httpx", "httpx-tls")

pytestmark = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def server_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """TLS for an upstream, by a certificate that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    default_context.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    yield context
    default_context.cache_clear()


@asynccontextmanager
async def proxying_by(
    way: str, context: ssl.SSLContext, scripts: Mapping[str, Script], **sections: Any
) -> AsyncIterator[tuple[Proxy, Mapping[str, Emulator]]]:
    """A proxy whose upstreams are reached in this way."""
    entries = {"*": {"transport": "httpx" if "httpx" in way else "native"}}
    async with AsyncExitStack() as stack:
        emulators: dict[str, Emulator] = {}
        urls: dict[str, str] = {}
        for name, script in scripts.items():
            emulator = emulators[name] = Emulator(default=script)
            await stack.enter_async_context(emulator)
            urls[name] = emulator.base_url
            if "tls" in way:
                relay = tls_relay(context, emulator.port)
                urls[name] = await stack.enter_async_context(relay)
        proxy = await stack.enter_async_context(proxying(urls, entries=entries, **sections))
        yield proxy, emulators


async def closed(emulators: Mapping[str, Emulator]) -> float:
    """Waits until no answer runs any more; returns when the last connection was closed."""
    entries = [entry for emulator in emulators.values() for entry in emulator.ledger]
    await until(lambda: not any(entry.is_open for entry in entries))
    return max(entry.closed_at or 0.0 for entry in entries)


async def test_official_client_gets_its_answers(way: str, server_context: ssl.SSLContext) -> None:
    """Streamed and whole."""

    def use(client: openai.OpenAI) -> tuple[str, str | None]:
        asked: dict[str, Any] = {"model": "a:m", "messages": [{"role": "user", "content": "Hi"}]}
        chunks = client.chat.completions.create(**asked, stream=True)
        words = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        whole = client.chat.completions.create(**asked)
        return "".join(words), whole.choices[0].message.content

    script = Script(words=20, pace=0.002)
    async with proxying_by(way, server_context, {"a": script}) as (proxy, _):
        streamed, whole = await with_sdk(proxy, use)
    assert streamed == whole == " ".join(f"word{n}" for n in range(1, 21))


async def test_connection_is_used_again(way: str, server_context: ssl.SSLContext) -> None:
    """A second request does not pay for another connect and handshake."""
    async with proxying_by(way, server_context, {"a": GOOD}) as (proxy, emulators):
        for _ in range(3):
            assert (await proxy.post(chat("a:m"))).is_done
            await trio.sleep(0.01)
        connections = {entry.connection for entry in emulators["a"].ledger}
    assert len(connections) == 1


async def test_large_request_arrives_whole(way: str, server_context: ssl.SSLContext) -> None:
    """More than the buffers of a socket hold."""
    text = "x" * 8_000_000
    async with proxying_by(way, server_context, {"a": GOOD}) as (proxy, emulators):
        assert (await proxy.post(chat("a:m", text))).is_done
        sent = emulators["a"].ledger[0].body["messages"][0]["content"]
    assert len(sent) == len(text)


async def test_loser_of_a_race_is_closed(way: str, server_context: ssl.SSLContext) -> None:
    """The client has the winner's first word, and the loser's connection is gone."""
    scripts = {
        "a": Script(role_chunk=True, content_after=5),
        "b": Script(role_chunk=True, content_after=0.15, words=3, pace=0.05),
    }
    async with (
        proxying_by(way, server_context, scripts) as (proxy, emulators),
        proxy.client() as client,
    ):
        await client.ask(chat("a:m!b:m"))
        word = await client.word()
        closed_at = await closed({"a": emulators["a"]})
        reply = await client.reply()
    assert closed_at - word.at < bound(0.05, 1.0)
    assert word.text + reply.text == "word1 word2 word3"


def alike(code: str | None, way: str) -> set[str | None]:
    """The codes that may be told: behind TLS every sudden end is one kind, an end without a
    goodbye."""
    ends: set[str | None] = {"upstream_error", "upstream_truncated"}
    return ends if "tls" in way and code in ends else {code}


FAULTS = {
    "reset": (Script(reset_after=0), 502, "upstream_error"),
    "cut-in-head": (Script(cut_in_head=20), 502, "upstream_error"),
    "no-http": (Script(garbage="head"), 502, "upstream_error"),
    "html": (Script(garbage="body"), 502, "upstream_error"),
    "400": (Script(status=400), 400, None),
    "401": (Script(status=401), 502, "upstream_credentials_exhausted"),
    "404": (Script(status=404), 404, "model_not_found"),
    "429": (Script(status=429, retry_after=40), 429, "rate_limit_exceeded"),
    "500": (Script(status=500), 502, "upstream_error"),
    "cut": (Script(role_chunk=True, cut_after=0), 502, "upstream_truncated"),
    "deaf": (Script(hang_before_headers=True), 504, "upstream_timeout"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_fault_before_the_first_word(
    name: str, way: str, server_context: ssl.SSLContext
) -> None:
    """Another upstream answers; without one the client gets the status that fits."""
    script, status, code = FAULTS[name]
    routing = {"idle": 0.3, "max_attempts": 2}
    scripts = {"a": script, "b": GOOD}
    async with proxying_by(way, server_context, scripts, routing=routing) as (proxy, _):
        answered = await proxy.post(chat("a:m|b:m"))
        failed = await proxy.post(chat("a:m"))
    assert failed.status == status
    assert failed.error["code"] in alike(code, way)
    if status == 400:
        assert answered.status == 400
    else:
        assert (answered.text, answered.is_done) == ("word1 word2 word3", True)


BREAKS = {
    "cut": (Script(words=6, cut_after=2), "upstream_truncated"),
    "close": (
        Script(words=2, no_done=True, no_finish_reason=True, close_delimited=True),
        "upstream_truncated",
    ),
    "reset": (Script(words=6, reset_after=2), "upstream_error"),
    "stall": (Script(words=6, hang_after=2), "upstream_timeout"),
    "error": (Script(words=6, error_after=2), "upstream_error"),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_break_after_the_first_word(
    name: str, way: str, server_context: ssl.SSLContext
) -> None:
    """The stream says that it is not whole, and how it broke as far as the way can tell."""
    script, code = BREAKS[name]
    async with proxying_by(way, server_context, {"a": script}, routing={"idle": 0.3}) as (proxy, _):
        reply = await proxy.post(chat("a:m"))
    assert "".join(event.text for event in reply.events[:-1]) == "word1 word2"
    assert reply.error["code"] in alike(code, way)
    assert DONE not in [event.data for event in reply.events]


HANG_UPS = {
    "before-headers": Script(hang_before_headers=True),
    "after-headers": Script(role_chunk=True, content_after=60),
    "mid-stream": Script(words=5000, pace=0.005),
}


@pytest.mark.parametrize("model", ["a:m", "a:m!b:m"], ids=["single", "race"])
@pytest.mark.parametrize("name", HANG_UPS)
async def test_client_that_leaves_ends_every_upstream(
    name: str, model: str, way: str, server_context: ssl.SSLContext
) -> None:
    """Whatever lies between, the upstream sees its connection end."""
    scripts = dict.fromkeys("ab", HANG_UPS[name])
    async with (
        proxying_by(way, server_context, scripts) as (proxy, emulators),
        proxy.client() as client,
    ):
        await client.ask(chat(model))
        legs = [emulators[leaf[0]].ledger for leaf in model.split("!")]
        await until(lambda: all(len(ledger) == 1 for ledger in legs))
        if name == "after-headers":
            await until(lambda: all(ledger[0].headers_sent_at for ledger in legs))
        if name == "mid-stream":
            await client.word()
        left_at = trio.current_time()
        client.leave()
        closed_at = await closed(emulators)
        record = await proxy.record()
    assert closed_at - left_at < bound(0.1, 1.0)
    assert record.ending.state is ExchangeState.ABORTED


async def test_nobody_there_is_a_502(way: str, server_context: ssl.SSLContext) -> None:
    """Neither a refused connection nor a failed handshake is an answer."""
    scheme = "https" if "tls" in way else "http"
    entries = {"*": {"transport": "httpx" if "httpx" in way else "native"}}
    closed_port = refusing().replace("http:", f"{scheme}:")
    async with proxying({"a": closed_port}, entries=entries) as proxy:
        reply = await proxy.post(chat("a:m"))
    assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")


async def test_certificate_that_is_not_trusted_is_a_502(
    way: str, server_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key is sent to a server that cannot prove who it is."""
    if "tls" not in way:
        pytest.skip("no certificate there")
    monkeypatch.delenv("SSL_CERT_FILE")
    default_context.cache_clear()
    async with proxying_by(way, server_context, {"a": GOOD}) as (proxy, emulators):
        reply = await proxy.post(chat("a:m"))
        assert len(emulators["a"].ledger) == 0
    assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")


async def test_server_without_tls_is_a_502(way: str, server_context: ssl.SSLContext) -> None:
    """A URL that says https is never asked in the clear."""
    entries = {"*": {"transport": "httpx" if "httpx" in way else "native"}}
    async with Emulator(default=GOOD) as emulator:
        url = emulator.base_url.replace("http:", "https:")
        async with proxying({"a": url}, entries=entries) as proxy:
            reply = await proxy.post(chat("a:m"))
    assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
    assert len(emulator.ledger) == 0
