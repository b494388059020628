"""The doctor, over real sockets: what it finds wrong with backends, and what it prints."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trustme

from lipstream.compose import build
from lipstream.config.load import load_config
from lipstream.doctor import checks
from lipstream.doctor.checks import examine
from lipstream.doctor.findings import Finding, Report, Result
from lipstream.doctor.show import run_doctor
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.openai_chat import OpenAIChat
from lipstream.emulators.script import Script
from lipstream.upstream.providers import KINDS

KEY = "sk-do-not-show"
OK, WARNING, FAILED, SKIPPED = Result.OK, Result.WARNING, Result.FAILED, Result.SKIPPED


async def report(entry: Mapping[str, Any], *, is_probed: bool = True, **environment: str) -> Report:
    """What is found of one backend."""
    fields = {"kind": "openai-compatible", "api_key": KEY, **entry}
    config = load_config(json.dumps({"backends": {"x": fields}}), kinds=KINDS, environment={})
    runtime = build(config, environment)
    made, backend = runtime.setup.backends["x"], runtime.backends["x"]
    try:
        return await examine("x", made, backend, is_probed=is_probed)
    finally:
        for client in runtime.clients:
            await client.aclose()


def results(given: Report) -> dict[str, Result]:
    """By check."""
    return {finding.check: finding.result for finding in given.findings}


def finding(given: Report, check: str) -> Finding:
    """What one check found."""
    return next(finding for finding in given.findings if finding.check == check)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


# ---------------------------------------------------------------- what works


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("openai-compatible", "/v1"),
        ("openai-responses-compatible", "/v1"),
        ("anthropic-compatible", ""),
        ("gemini", "/v1beta"),
    ],
)
async def test_good_backend_passes_every_check(kind: str, path: str) -> None:
    """Its answer is a few tokens long, and its connection is closed."""
    async with Emulator({"m": Script()}, expect_key=KEY) as emulator:
        entry = {"kind": kind, "base_url": emulator.origin + path, "models": ["m"]}
        found = await report(entry)
        posted = [e for e in emulator.ledger if e.method == "POST"]
        sent = json.dumps([e.body for e in posted])
    assert results(found) == dict.fromkeys(("key", "name", "tcp", "models", "probe"), OK)
    assert finding(found, "models").detail == "1 model"
    assert finding(found, "probe").detail.startswith("m answers, first after 0.")
    assert len(posted) == 1
    assert '": 16' in sent if "responses" in kind else '": 1' in sent


async def test_probe_is_left_out_where_nothing_may_be_spent() -> None:
    """The list costs nothing."""
    async with Emulator({"m": Script()}) as emulator:
        found = await report({"base_url": emulator.base_url}, is_probed=False)
        assert [e.method for e in emulator.ledger] == ["GET"]
    assert (results(found)["models"], results(found)["probe"]) == (OK, SKIPPED)


async def test_first_model_of_the_list_is_asked_where_none_is_configured() -> None:
    """Without one nobody is asked."""
    async with Emulator({"m": Script()}) as emulator:
        asked = await report({"base_url": emulator.base_url})
        emulator._scripts.clear()
        nobody = await report({"base_url": emulator.base_url})
    assert finding(asked, "probe").detail.startswith("m answers")
    assert finding(nobody, "probe").result is SKIPPED
    assert finding(nobody, "probe").advice == "name one in backends.x.models"


async def test_agent_is_not_given_anything_to_do() -> None:
    """Its way is looked at."""
    async with Emulator() as emulator:
        found = await report({"kind": "acp", "base_url": emulator.origin})
        assert list(emulator.ledger) == []
    assert results(found) == {
        "key": OK, "name": OK, "tcp": OK, "models": SKIPPED, "probe": SKIPPED
    }  # fmt: skip


# ---------------------------------------------------------------- what does not


async def test_missing_key_is_told_with_its_variable() -> None:
    """And nobody is asked without."""
    base_url = f"http://127.0.0.1:{free_port()}"
    found = await report({"kind": "openai", "api_key": "", "base_url": base_url})
    key = finding(found, "key")
    assert (key.result, key.detail) == (FAILED, "there is none")
    assert key.advice == "set OPENAI_API_KEY or backends.x.api_key"
    assert (results(found)["models"], results(found)["probe"]) == (SKIPPED, SKIPPED)


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        (
            {"kind": "openai", "api_key": "", "headers": {"Authorization": "x"}},
            "configured headers",
        ),
        ({"api_key": ""}, "none is configured"),
        ({"api_keys": ["two"]}, "there are 2"),
    ],
)
async def test_key_may_be_elsewhere_or_none_at_all(entry: dict[str, Any], detail: str) -> None:
    """As it is configured."""
    found = await report({"base_url": f"http://127.0.0.1:{free_port()}/v1", **entry})
    assert finding(found, "key").result is OK
    assert detail in finding(found, "key").detail


async def test_refused_key_is_told_and_not_shown() -> None:
    """Once, by the list; nothing is asked with it again."""
    async with Emulator(expect_key="other") as emulator:
        found = await report({"base_url": emulator.base_url})
    models = finding(found, "models")
    assert (models.result, models.detail) == (FAILED, "the key is refused (status 401)")
    assert "backends.x.api_key" in models.advice
    assert results(found)["probe"] is SKIPPED
    assert KEY not in repr(found)


async def test_refused_connection_asks_whether_the_server_runs() -> None:
    """What depends on it is left out."""
    port = free_port()
    found = await report({"base_url": f"http://127.0.0.1:{port}/v1"})
    tcp = finding(found, "tcp")
    assert (tcp.result, tcp.detail) == (FAILED, f"connection refused at 127.0.0.1:{port}")
    assert tcp.advice == "is the server running?"
    assert (results(found)["models"], results(found)["probe"]) == (SKIPPED, SKIPPED)


async def test_name_without_an_address_is_told() -> None:
    """With the place where it is configured."""
    found = await report({"base_url": "http://no-such-host.invalid/v1"})
    name = finding(found, "name")
    assert name.result is FAILED
    assert name.detail.startswith("no-such-host.invalid has no address: ")
    assert "backends.x.base_url" in name.advice


async def test_way_through_a_proxy_is_the_proxys() -> None:
    """It is asked for the list, and its password is nobody's business."""
    proxy = f"http://u:secret-word@127.0.0.1:{free_port()}"
    entry = {"base_url": "http://x.invalid/v1", "transport": "httpx", "proxy": proxy}
    found = await report(entry)
    assert {results(found)[check] for check in ("name", "tcp", "tls")} == {SKIPPED}
    assert finding(found, "models").result is FAILED
    assert "secret-word" not in repr(found)


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (
            Script(status=500, error_message=f"no {KEY} today"),
            "m: the provider failed (status 500)",
        ),
        (Script(status=404), "m: it is not there (status 404)"),
        (Script(status=400), "m: the request is refused (status 400)"),
        (Script(status=429), "m: a limit is reached (status 429)"),
        (Script(error_after=0), "m: the provider failed"),
        (Script(garbage="body"), "m: the answer is not usable"),
        (Script(cut_after=1), "m: the answer is not usable"),
    ],
)
async def test_probe_that_fails_says_why_and_what_to_do(script: Script, detail: str) -> None:
    """In few words, and the provider's own without any key."""
    async with Emulator({"m": script}) as emulator:
        found = await report({"base_url": emulator.base_url, "models": ["m"]})
    probe = finding(found, "probe")
    assert probe.result is FAILED
    assert probe.detail.startswith(detail)
    assert probe.advice
    assert KEY not in probe.detail


async def test_probe_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is being loaded is the likely reason."""
    monkeypatch.setattr(checks, "PROBE_LIMIT", 0.2)
    async with Emulator({"m": Script(hang_after=0)}) as emulator:
        found = await report({"base_url": emulator.base_url})
        assert finding(found, "probe").detail == "m: no answer in 0.2 s"
        with trio.fail_after(5):
            while any(entry.is_open for entry in emulator.ledger):  # noqa: ASYNC110
                await trio.sleep(0.005)


async def test_list_that_is_missing_or_silent_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some providers have none; the probe tells."""
    monkeypatch.setattr(checks, "LIST_LIMIT", 0.2)
    async with Emulator({"m": Script()}) as emulator:
        monkeypatch.setattr(OpenAIChat, "lists_models", lambda *_: False)
        gone = await report({"base_url": emulator.base_url}, is_probed=False)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/v1"
        silent = await report({"base_url": url}, is_probed=False)
    assert finding(gone, "models").detail.startswith("it is not there (status 404)")
    assert finding(silent, "models").detail == "no list in 0.2 s"
    assert [finding(r, "models").result for r in (gone, silent)] == [WARNING, WARNING]


async def test_configured_model_that_is_not_listed_is_a_warning() -> None:
    """It may be there all the same."""
    async with Emulator({"m": Script()}) as emulator:
        found = await report({"base_url": emulator.base_url, "models": ["m", "n"]})
    models = finding(found, "models")
    assert (models.result, models.detail) == (WARNING, "1 model; not among them: n")
    assert found.is_good


# ---------------------------------------------------------------- TLS


@asynccontextmanager
async def tls_server(name: str) -> AsyncIterator[tuple[int, trustme.CA]]:
    """A port where a handshake is offered, and the authority of its certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)

    async def shake(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.do_handshake()
            await stream.receive_some(1)
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        listener = listeners[0].transport_listener
        assert isinstance(listener, trio.SocketListener)
        port: int = listener.socket.getsockname()[1]
        await nursery.start(trio.serve_listeners, shake, listeners)
        yield port, authority
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("is_trusted", "name", "result", "word"),
    [
        (True, "127.0.0.1", OK, "the certificate is good, TLSv1.3"),
        (False, "127.0.0.1", FAILED, "the certificate is not trusted: unable to get local issuer"),
        (True, "other.test", FAILED, "the certificate is not trusted: IP address mismatch"),
    ],
)
async def test_certificate_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, is_trusted: bool, name: str, result: Result, word: str
) -> None:
    """Who vouches for it, and for whom."""
    async with tls_server(name) as (port, authority):
        context = ssl.create_default_context()
        if is_trusted:
            authority.configure_trust(context)
        monkeypatch.setattr("lipstream.doctor.network.default_context", lambda: context)
        found = await report({"base_url": f"https://127.0.0.1:{port}/v1"}, is_probed=False)
    assert finding(found, "tls").result is result
    assert finding(found, "tls").detail.startswith(word)


async def test_port_without_tls_is_told() -> None:
    """The advice is the other scheme."""
    async with Emulator() as emulator:
        found = await report({"base_url": f"https://127.0.0.1:{emulator.port}/v1"})
    assert finding(found, "tls").result is FAILED
    assert "http://" in finding(found, "tls").advice


# ---------------------------------------------------------------- what is printed


def test_page_for_people_names_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """False, as soon as one backend has a fault."""
    url = f"http://127.0.0.1:{free_port()}"
    text = f"backends: {{s: {{kind: stub}}, a: {{kind: vllm, base_url: '{url}'}}}}"
    config = load_config(text, kinds=KINDS, environment={})
    assert not run_doctor(config, {}, is_probed=True, as_json=False)
    shown = capsys.readouterr().out
    assert "is the server running?" in shown
    assert "1 of 2 backends have no fault." in shown


def test_page_for_programs_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With every check, its time and its advice."""
    config = load_config("backends: {s: {kind: stub}}", kinds=KINDS, environment={})
    assert run_doctor(config, {}, is_probed=True, as_json=True)
    plain = json.loads(capsys.readouterr().out)
    (backend,) = plain["backends"]
    assert (plain["ok"], backend["id"], backend["kind"], backend["ok"]) == (True, "s", "stub", True)
    assert backend["checks"][0]["result"] == "ok"
    assert set(backend["checks"][0]) == {"check", "result", "detail", "advice", "seconds"}
