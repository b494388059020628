"""From configurations to running proxies."""

from functools import partial

import httpx
import pytest
import trio

from lipstream.canonical.policy import CommitPoint, Policy, Recovery
from lipstream.canonical.price import Price, Tariff
from lipstream.canonical.secret import Secret
from lipstream.canonical.transport import Fallback
from lipstream.compose import Runtime, Setup, build, declared_in, names_of, resolve
from lipstream.config.load import load_config
from lipstream.config.schema import Config, HttpEntry
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from lipstream.errors import ConfigError
from lipstream.server.models import listed
from lipstream.server.serve import Serving
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.httpx_client import HttpxClient
from lipstream.upstream.providers import KINDS
from lipstream.upstream.stub import StubBackend
from lipstream.upstream.transport import Transport


def load(text: str) -> Config:
    """A configuration from YAML, without an environment."""
    return load_config(text, kinds=KINDS, environment={}, source="x.yaml")


def setup(text: str, **environment: str) -> Setup:
    """What a configuration comes to."""
    return resolve(load(text), environment)


def http_entry(made: Setup, name: str) -> HttpEntry:
    """A backend's entry, that is asked over HTTP."""
    entry = made.backends[name]
    assert isinstance(entry, HttpEntry)
    return entry


# ---------------------------------------------------------------- what is resolved


def test_no_configuration_races_the_stubs() -> None:
    """Everything can be tried without a key."""
    made = setup("")
    assert list(made.backends) == ["stub-fast", "stub-slow", "stub-flaky"]
    assert made.default_route == "stub-fast:demo!stub-slow:demo!stub-flaky:demo"


def test_no_configuration_finds_providers_by_their_keys() -> None:
    """A key in the environment makes a backend; the default route is the stubs' all the same."""
    made = setup("", OPENAI_API_KEY="k1", NVIDIA_API_KEY=" k2\n", OPENROUTER_API_KEY="")
    assert list(made.backends)[:2] == ["openai", "nvidia"]
    assert http_entry(made, "openai").base_url == "https://api.openai.com/v1"
    assert http_entry(made, "nvidia").api_key == Secret("k2")
    assert made.default_route.startswith("stub-fast:demo!")


def test_file_without_backends_finds_the_same() -> None:
    """A file that sets a port says nothing of backends."""
    assert list(setup("server: {port: 1}").backends) == ["stub-fast", "stub-slow", "stub-flaky"]


def test_file_with_backends_has_these_alone() -> None:
    """What is declared is what there is; the first one takes every model."""
    made = setup("backends: {nvidia: , s: {kind: stub}}", OPENAI_API_KEY="k", NVIDIA_API_KEY="n")
    assert list(made.backends) == ["nvidia", "s"]
    assert made.default_route == "nvidia:*"
    assert made.rules.default_backend == "nvidia"


def test_key_of_the_configuration_wins() -> None:
    """The environment fills in only what is missing."""
    made = setup("backends: {openai: {api_key: mine}}", OPENAI_API_KEY="theirs")
    assert http_entry(made, "openai").api_key == Secret("mine")


def test_further_keys_of_the_environment_are_taken_as_well() -> None:
    """Numbered as the provider's row says; a provider without a place of its own is not made."""
    made = setup("", NVIDIA_API_KEY_1="a", NVIDIA_API_KEY_2="b", AZURE_OPENAI_API_KEY="c")
    assert list(made.backends) == ["nvidia", "stub-fast", "stub-slow", "stub-flaky"]
    nvidia = http_entry(made, "nvidia")
    assert (nvidia.api_key, nvidia.api_keys) == (Secret("a"), (Secret("b"),))


def test_compatible_backend_gets_no_key_from_the_environment() -> None:
    """Somebody's server does not get somebody else's key."""
    text = "backends: {a: {kind: openai-compatible, base_url: http://h/v1}}"
    made = setup(text, OPENAI_API_KEY="k")
    assert http_entry(made, "a").api_key is None
    assert made.warnings == ()


def test_provider_without_a_key_is_warned_about() -> None:
    """It starts, because a route may do without it."""
    (warning,) = setup("backends: {openai: }").warnings
    assert warning == "openai has no key: set api_key, or OPENAI_API_KEY in the environment"


ROUTE = "routing: {default_route: '%s'}\nbackends: {s: {kind: stub}, t: {kind: stub}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backends: {}", "x.yaml:1: backends: there is none"),
        (ROUTE % "s:m!u:m", "x.yaml:1: routing.default_route: there is no backend u; known here"),
        (ROUTE % "s:m!", "x.yaml:1: routing.default_route: a branch is missing here"),
        ("aliases:\n- {pattern: a, replacement: b}\n- {pattern: '(', replacement: b}", "x.yaml:3:"),
        (
            "backends: {a: {kind: openai-compatible}}",
            "x.yaml:1: backends.a.base_url: is missing: kind openai-compatible has no default",
        ),
        ("backends: {openai: {proxy: 'http://p'}}", "x.yaml:1: backends.openai.transport: a proxy"),
        ("backends: {openai: {http2: true}}", "x.yaml:1: backends.openai.transport: a proxy"),
    ],
)
def test_what_does_not_fit_together_is_refused(text: str, message: str) -> None:
    """Before anything is opened, with its place."""
    with pytest.raises(ConfigError) as caught:
        setup(text)
    assert str(caught.value).startswith(message)


def test_default_route_may_be_an_alias() -> None:
    """And may leave out the backend, where there is a first one."""
    text = ROUTE % "smart" + "aliases: [{pattern: '^smart$', replacement: 't:m|n'}]"
    made = setup(text)
    assert (made.default_route, made.rules.default_backend) == ("t:m|n", "t")


def test_policy_is_the_routing_section() -> None:
    """With the keep-alive that the server section sets."""
    made = setup(
        "routing: {max_attempts: 5, deadline: 60, idle: 5, patience: off, hedge_ratio: 0.5,"
        " commit: text, retry: same_first, max_wait: 1, echo_alias: true, early_headers: true,"
        " race_side_effects: true, resume: twice, transport: {fallback_policy: exact}}\n"
        "stream_recovery: {auto_resume: {enabled: true, idle_timeout: 2, grace_period: 1s,"
        " emit_warning: false}}\n"
        "server: {keepalive: 3}"
    )
    assert made.policy == Policy(
        max_attempts=5,
        deadline=60.0,
        idle=5.0,
        patience=None,
        hedge_ratio=0.5,
        race_side_effects=True,
        commit=CommitPoint.TEXT,
        same_first=True,
        max_wait=1.0,
        echo_alias=True,
        early_headers=True,
        keepalive=3.0,
        resume=2,
        recovery=Recovery(idle=3.0, warns=False),
        fallback=Fallback.EXACT,
    )


def test_policy_knows_what_backends_charge() -> None:
    """For the records: the prices of the file, and what is known of the provider."""
    made = setup("backends: {openai: {api_key: k, prices: {m: {input: 1, output: 2}}}, stub: }")
    assert made.policy.tariffs == {
        "openai": Tariff(prices={"m": Price(input=1, output=2)}, cancel_stops_billing=True),
        "stub": Tariff(cancel_stops_billing=True),
    }


def test_labels_show_what_the_configuration_spells_out() -> None:
    """Declared models, and the routes of aliases, of the default and of each of these models."""
    made = setup(
        "backends: {s: {kind: stub, models: [a, 'x|']}, t: {kind: stub}}\n"
        "routing: {default_route: 's:m | t:m'}\n"
        "aliases: [{pattern: '^q$', replacement: 's:m ! t:m'}]"
    )
    declared = declared_in(made)
    assert declared.models == {"s:a", "s:x|"}
    assert declared.routes == {"s:a", "s:m|t:m", "s:m!t:m"}


def test_models_are_listed_by_the_name_that_reaches_them() -> None:
    """The first backend to declare a model has it under its bare name."""
    made = setup("backends: {s: {kind: stub, models: [a, b]}, t: {kind: stub, models: [a]}}")
    assert [(m.id, m.owned_by) for m in listed(names_of(made))] == [
        ("a", "s"),
        ("b", "s"),
        ("t:a", "t"),
    ]


# ---------------------------------------------------------------- what is built


def test_backends_are_built_by_their_kind() -> None:
    """Those that connect alike share a client; a transport of its own makes another."""
    runtime = build(
        load(
            "backends:\n"
            "  stub: {seed: 1}\n"
            "  openai: {api_key: k, headers: {X-Title: t}, models: [m]}\n"
            "  nvidia: {api_key: k}\n"
            "  slow: {kind: openai, api_key: k, connect_timeout: 60}\n"
            "  h2: {kind: openai, api_key: k, transport: httpx, http2: true}\n"
        ),
        {},
    )
    assert isinstance(runtime.backends["stub"], StubBackend)
    openai = runtime.backends["openai"]
    assert isinstance(openai, HttpBackend)
    assert (openai.headers, openai.models) == ({"X-Title": "t"}, ("m",))
    assert [type(client) for client in runtime.clients] == [Transport, Transport, HttpxClient]


def test_serve_config_is_the_server_section() -> None:
    """Where to listen, and the times that the server keeps."""
    runtime = build(load("server: {host: '::1', port: 0, grace: 5, write_timeout: 6}"), {})
    config = runtime.serve_config
    assert (config.binds, config.grace, config.write_timeout) == (("[::1]:0",), 5.0, 6.0)


async def start(nursery: trio.Nursery, text: str) -> tuple[Runtime, Serving]:
    """A running proxy."""
    runtime = build(load("server: {port: 0, grace: 0.1}\n" + text), {})
    serving: Serving = await nursery.start(partial(runtime.serve, runtime.listen()))
    return runtime, serving


async def ask(serving: Serving, model: str) -> httpx.Response:
    """One request over a real socket."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    async with httpx.AsyncClient(transport=Transport(), base_url=serving.addresses[0]) as client:
        return await client.post("/v1/chat/completions", json=body)


STUBS = "backends: {a: {kind: stub, text: from a, pace: 0}, b: {kind: stub, fail_share: 1}}\n"


@pytest.mark.parametrize("model", ["anything", "b:x|a:y", "a/z"])
async def test_built_proxy_answers(model: str, nursery: trio.Nursery) -> None:
    """From a configuration to an answer over a socket, by default route, selector and name."""
    _, serving = await start(nursery, STUBS)
    answer = await ask(serving, model)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "from a"


async def test_proxy_reaches_an_upstream_with_key_and_headers(nursery: trio.Nursery) -> None:
    """What is configured is what is sent."""
    async with Emulator(default=Script(text="hello"), expect_key="k1") as emulator:
        text = (
            f"backends: {{up: {{kind: openai-compatible, base_url: '{emulator.base_url}',"
            " api_key: k1, headers: {X-Title: t}}}"
        )
        _, serving = await start(nursery, text)
        answer = await ask(serving, "gpt-9")
        assert answer.json()["choices"][0]["message"]["content"] == "hello"
        assert emulator.ledger[0].model == "gpt-9"
        assert emulator.ledger[0].headers["x-title"] == "t"


@pytest.mark.parametrize(("is_exposed", "is_told"), [("false", False), ("true", True)])
async def test_upstream_words_are_told_only_if_allowed(
    is_exposed: str, is_told: bool, nursery: trio.Nursery
) -> None:
    """They may hold what is not the client's business."""
    failing = Script(status=400, error_message="sorry, said the upstream")
    async with Emulator(default=failing) as emulator:
        backend = f"{{kind: openai-compatible, base_url: '{emulator.base_url}'}}"
        text = f"backends: {{up: {backend}}}\nerrors: {{expose_upstream: {is_exposed}}}"
        _, serving = await start(nursery, text)
        answer = await ask(serving, "m")
        assert ("said the upstream" in answer.text) is is_told


@pytest.mark.parametrize(("enabled", "status"), [("", 200), ("true", 200), ("false", 404)])
async def test_metrics_are_served_unless_switched_off(
    enabled: str, status: int, nursery: trio.Nursery
) -> None:
    """On a loopback address, in the text format that Prometheus reads."""
    _, serving = await start(nursery, f"{STUBS}observability: {{metrics: {{enabled: {enabled}}}}}")
    await ask(serving, "a:m")
    async with httpx.AsyncClient(transport=Transport(), base_url=serving.addresses[0]) as client:
        page = await client.get("/metrics")
    assert page.status_code == status
    if status == 200:
        assert page.headers["content-type"].startswith("text/plain; version=")
        assert 'lipstream_upstream_open{backend="a"} 0.0' in page.text


async def test_models_and_readiness_are_served(nursery: trio.Nursery) -> None:
    """The list is that of the backends; draining is not ready."""
    runtime, serving = await start(nursery, "backends: {s: {kind: stub, models: [m1]}}")
    async with httpx.AsyncClient(transport=Transport(), base_url=serving.addresses[0]) as client:
        listed = (await client.get("/v1/models")).json()["data"]
        assert [model["id"] for model in listed] == ["m1"]
        assert (await client.get("/readyz")).status_code == 200
        runtime.gateway.is_draining = True
        assert (await client.get("/readyz")).status_code == 503


async def test_drain_ends_the_server_and_closes_its_clients() -> None:
    """A stream that outlives the grace is ended with an error, and nothing stays open."""
    async with Emulator(default=Script(text="one two", pace=60.0)) as emulator:
        text = f"backends: {{up: {{kind: openai-compatible, base_url: '{emulator.base_url}'}}}}"
        async with trio.open_nursery() as running:
            runtime, serving = await start(running, text)
            running.start_soon(ask, serving, "m")
            await emulator.ledger.wait_for(lambda ledger: bool(ledger.open_requests))
            serving.drain()
            assert runtime.gateway.is_draining
        with trio.fail_after(10):
            await emulator.ledger.wait_for(lambda ledger: not ledger.open_requests)
        assert len(runtime.executor.live) == 0
    assert [client.open_connections for client in runtime.clients] == [0]


# Hypercorn leaves the socket that it could not bind to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_taken_port_is_a_config_error(nursery: trio.Nursery) -> None:
    """Told before anything runs."""
    _, serving = await start(nursery, STUBS)
    port = serving.addresses[0].rpartition(":")[2]
    with pytest.raises(ConfigError, match="cannot listen on"):
        build(load(f"server: {{port: {port}}}"), {}).listen()
