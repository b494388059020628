"""Whole configurations: what they come to, and how mistakes are answered."""

import pytest

from lipstream.canonical.policy import CommitPoint, Recovery
from lipstream.canonical.secret import Secret
from lipstream.config.env import Setting
from lipstream.config.load import load_config
from lipstream.config.schema import (
    AliasEntry,
    Config,
    HttpEntry,
    PriceEntry,
    Retry,
    StubEntry,
    TransportKind,
)
from lipstream.config.sections import LogFormat, LogLevel
from lipstream.config.structure import redacted
from lipstream.config.values import Address
from lipstream.errors import ConfigError

KINDS = {"openai": HttpEntry, "openai-compatible": HttpEntry, "stub": StubEntry}


def load(text: str, *settings: Setting, **environment: str) -> Config:
    """A configuration from text."""
    return load_config(
        text, kinds=KINDS, environment=environment, source="x.yaml", settings=settings
    )


def complaints(text: str, *settings: Setting) -> list[str]:
    """What is said about a bad one."""
    with pytest.raises(ConfigError) as caught:
        load(text, *settings)
    return str(caught.value).split("\n")


def test_empty_text_is_the_defaults() -> None:
    """Everything is optional."""
    config = load("")
    assert config == Config()
    assert config.backends is None
    assert config.server.listen == Address("127.0.0.1", 8080)


@pytest.mark.parametrize(
    "text", ["server:\nrouting:\naliases:\nbackends:", "server: {}\nrouting: {}\naliases: []"]
)
def test_empty_sections_are_the_defaults(text: str) -> None:
    """A heading without a text under it says nothing."""
    assert load(text) == Config()


FULL = """
server: {address: "0.0.0.0:80", body_limit: 1MiB, write_timeout: 5, grace: 1m, keepalive: 500ms}
backends:
  openai: {api_key: "${KEY}", headers: {X-Title: t}, models: [gpt-4o]}
  fast:
    kind: openai-compatible
    base_url: http://127.0.0.1:8001/v1/
    transport: httpx
    proxy: http://u:p@proxy:3128
    http2: true
    connect_timeout: 2
  slow: {kind: stub, words: 3, first_after: 1, pace: 0, jitter: 0.5, fail_share: 1, seed: 7}
routing:
  default_route: "{ttft_timeout=5}fast:m|openai:x"
  max_attempts: 5
  patience: off
  commit: finish
  retry: same_first
  echo_alias: true
aliases:
  - {pattern: "^smart$", replacement: "openai:gpt-4o"}
errors: {expose_upstream: true}
logging: {level: debug, format: json}
"""


def test_full_file_is_read() -> None:
    """Every section arrives in its type."""
    config = load(FULL, KEY="12345")
    assert config.server.listen == Address("0.0.0.0", 80)
    assert (config.server.body_limit, config.server.keepalive) == (1024 * 1024, 0.5)
    assert config.backends == {
        "openai": HttpEntry(
            kind="openai",
            api_key=Secret("12345"),
            headers={"X-Title": Secret("t")},
            models=("gpt-4o",),
        ),
        "fast": HttpEntry(
            kind="openai-compatible",
            base_url="http://127.0.0.1:8001/v1",
            transport=TransportKind.HTTPX,
            proxy=Secret("http://u:p@proxy:3128"),
            http2=True,
            connect_timeout=2.0,
        ),
        "slow": StubEntry(
            kind="stub", words=3, first_after=1, pace=0, jitter=0.5, fail_share=1, seed=7
        ),
    }
    assert list(config.backends) == ["openai", "fast", "slow"]
    assert config.aliases == (AliasEntry(pattern="^smart$", replacement="openai:gpt-4o"),)
    assert config.errors.expose_upstream
    assert (config.logging.level, config.logging.format) == (LogLevel.DEBUG, LogFormat.JSON)


def test_routing_is_read() -> None:
    """Words become what they stand for."""
    routing = load(FULL, KEY="k").routing
    assert routing.default_route == "{ttft_timeout=5}fast:m|openai:x"
    assert (routing.max_attempts, routing.patience) == (5, None)
    assert (routing.commit, routing.retry) == (CommitPoint.FINISH, Retry.SAME_FIRST)


def test_prices_are_read() -> None:
    """In the order of the file; what is not said is None."""
    openai = (
        "  openai:\n    cancel_stops_billing: false\n    prices:\n"
        "      gpt-4o*: {input: 2.5, output: 10, cache_read: 1.25}\n"
        "      '*': {input: 0, output: 1}\n"
    )
    backends = load("backends:\n  stub:\n" + openai).backends
    assert backends is not None
    assert (backends["stub"].prices, backends["stub"].cancel_stops_billing) == ({}, None)
    assert backends["openai"].cancel_stops_billing is False
    assert list(backends["openai"].prices.items()) == [
        ("gpt-4o*", PriceEntry(input=2.5, output=10, cache_read=1.25)),
        ("*", PriceEntry(input=0, output=1)),
    ]


@pytest.mark.parametrize(
    ("text", "recovery"),
    [
        ("", None),
        ("{enabled: true}", Recovery(idle=48.0)),
        ("{enabled: true, post_output_policy: fail}", None),
        (
            "{enabled: true, emit_warning: false, idle_timeout: 1m}",
            Recovery(idle=63.0, warns=False),
        ),
        ("{enabled: true, grace_period: 0}", Recovery(idle=45.0)),
    ],
)
def test_recovery_is_off_unless_told_otherwise(text: str, recovery: Recovery | None) -> None:
    """An answer counts as stalled after both its times."""
    config = load(f"stream_recovery: {{auto_resume: {text or '{}'}}}")
    assert config.stream_recovery.policy == recovery


def test_rescues_are_off_unless_told_otherwise() -> None:
    """And who takes a prefill is what is known of the provider, unless told otherwise."""
    assert load("").routing.resume == 0
    config = load("routing: {resume: twice}\nbackends: {openai: {prefill: true}, stub: }")
    assert config.routing.resume == 2
    assert config.backends == {
        "openai": HttpEntry(kind="openai", prefill=True),
        "stub": StubEntry(kind="stub"),
    }


@pytest.mark.parametrize(
    ("server", "enabled", "is_served"),
    [
        ("127.0.0.1:1", None, True),
        ("localhost:1", None, True),
        ("[::1]:1", None, True),
        ("0.0.0.0:1", None, False),
        ("[::]:1", None, False),
        ("0.0.0.0:1", "true", True),
        ("127.0.0.1:1", "false", False),
    ],
)
def test_metrics_are_for_this_machine_unless_told_otherwise(
    server: str, enabled: str | None, is_served: bool
) -> None:
    """They are for everybody who can reach the port."""
    said = f"observability: {{metrics: {{enabled: {enabled}}}}}" if enabled else ""
    assert load(f"server: {{address: '{server}'}}\n{said}").serves_metrics is is_served


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rooting: {}", "x.yaml:1: rooting: unknown key; did you mean routing?"),
        (
            "routing:\n  max_atempts: 3",
            "x.yaml:2: routing.max_atempts: unknown key; did you mean max_attempts?",
        ),
        (
            "routing:\n  max_attempts: many",
            'x.yaml:2: routing.max_attempts: expected a whole number from 1 on, got "many"',
        ),
        (
            "routing:\n  resume: 3",
            "x.yaml:2: routing.resume: expected off, once or twice, got the number 3",
        ),
        ("server: 3", "x.yaml:1: server: expected a map, got the number 3"),
        ("aliases: {a: b}", "x.yaml:1: aliases: expected a list, got a map"),
        ("aliases:\n - pattern: a", "x.yaml:2: aliases.0.replacement: is missing"),
        ("aliases: [x]", 'x.yaml:1: aliases.0: expected a map, got "x"'),
        (
            "routing: {commit: first}",
            "x.yaml:1: routing.commit: expected one of content, text, tool_call, finish, "
            'got "first"',
        ),
        ("backends: [a]", "x.yaml:1: backends: expected a map, got a list"),
        ("backends:\n  a: b", 'x.yaml:2: backends.a: expected a map, got "b"'),
        (
            "backends:\n  a: {}",
            "x.yaml:2: backends.a.kind: is missing: one of openai, openai-compatible, stub",
        ),
        (
            "backends:\n  a: {kind: opnai}",
            'x.yaml:2: backends.a.kind: unknown kind "opnai"; did you mean openai?',
        ),
        (
            "backends:\n  stub: {api_key: x}",
            "x.yaml:2: backends.stub.api_key: unknown key; known here: cancel_stops_billing, "
            "fail_share, first_after, jitter, kind, models, pace, prices, seed, text, words",
        ),
        (
            "backends: {openai: {models: gpt-4o}}",
            'x.yaml:1: backends.openai.models: expected a list, got "gpt-4o"',
        ),
        (
            "backends: {'a:b': {kind: stub}}",
            'x.yaml:1: backends.a:b: expected an id of letters, digits, - and _, got "a:b"',
        ),
        (
            "routing: {transport: {fallback_policy: strict}}",
            "x.yaml:1: routing.transport.fallback_policy: expected one of exact, compatibility, "
            'got "strict"',
        ),
        (
            "routing:\n  transport: {fallback: exact}",
            "x.yaml:2: routing.transport.fallback: unknown key; did you mean fallback_policy?",
        ),
        (
            "backends: {openai: {credentials: [{api_key: x, org: y}]}}",
            "x.yaml:1: backends.openai.credentials.0.org: unknown key; "
            "known here: api_key, id, max_concurrent, max_per_minute, remote_account_id, "
            "remote_org_id, remote_project_id, remote_region, remote_workspace_id",
        ),
        (
            "backends: {openai: {prices: {'*': {input: 1}}}}",
            "x.yaml:1: backends.openai.prices.*.output: is missing",
        ),
        (
            "backends: {openai: {prices: {m: {input: 1, output: -1}}}}",
            "x.yaml:1: backends.openai.prices.m.output: expected a number from 0 on, "
            "got the number -1",
        ),
    ],
)
def test_mistake_is_answered_with_place_path_and_remedy(text: str, message: str) -> None:
    """One line is enough to mend it."""
    assert complaints(text) == [message]


def test_all_mistakes_are_told_at_once() -> None:
    """Nobody has to start five times."""
    text = "server: {adress: x}\nrouting:\n  idle: 0\nbackends:\n  a: {kind: b}\n"
    assert [line.split(": ")[1] for line in complaints(text)] == [
        "server.adress",
        "routing.idle",
        "backends.a.kind",
    ]


def test_mistake_never_repeats_a_secret() -> None:
    """A key in the wrong place, or a URL with a password, is not printed."""
    text = "backends: {openai: {api_key: 1234567, base_url: 'http://u:1234567@h'}}"
    told = "\n".join(complaints(text))
    assert "1234567" not in told
    assert "backends.openai.api_key" in told


def test_kind_is_the_id_where_that_is_one() -> None:
    """The usual backend needs no more than its name."""
    assert load("backends: {openai: }").backends == {"openai": HttpEntry(kind="openai")}


def test_settings_take_the_type_that_is_expected() -> None:
    """Flags are texts; what they set is not."""
    config = load(
        "",
        Setting("routing.max_attempts", "7", "--set"),
        Setting("routing.default_route", "12", "--set"),
        Setting("backends", "{s: {kind: stub, models: [a]}}", "--set"),
        Setting("backends.t", "{kind: stub}", "--set"),
        Setting("backends.t.models", "[b]", "--set"),
        Setting("server.port", "0", "--port"),
        Setting("errors.expose_upstream", "true", "--set"),
    )
    assert (config.routing.max_attempts, config.routing.default_route) == (7, "12")
    assert config.backends == {
        "s": StubEntry(kind="stub", models=("a",)),
        "t": StubEntry(kind="stub", models=("b",)),
    }
    assert config.server.listen == Address("127.0.0.1", 0)
    assert config.errors.expose_upstream


def test_bad_setting_names_the_flag() -> None:
    """The file is not to blame."""
    told = complaints("routing: {idle: 3}", Setting("routing.idle", "x", "--set"))
    assert told[0].startswith("--set: routing.idle: expected a time above 0")


def test_host_and_port_stand_over_the_address() -> None:
    """Either may come from elsewhere."""
    config = load("server: {address: '127.0.0.1:80', host: '::1', port: 81}")
    assert str(config.server.listen) == "[::1]:81"


def test_later_complaint_knows_the_line() -> None:
    """What fits no schema but does not fit together is found later, and has its place, too."""
    config = load("routing:\n  default_route: x:y")
    fault = config.fault(("routing", "default_route"), "no such backend")
    assert str(fault) == "x.yaml:2: routing.default_route: no such backend"


def test_redacted_configuration_reads_back() -> None:
    """What is printed is a configuration, but for its secrets."""
    import yaml

    config = load(FULL, KEY="12345")
    text = yaml.safe_dump(redacted(config))
    assert "12345" not in text
    assert "u:p@" not in text
    again = load(text)
    assert redacted(again) == redacted(config)
    assert (again.server, again.routing) == (config.server, config.routing)
