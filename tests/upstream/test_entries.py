"""From entries of the configuration to keys, protocols and abilities."""

from __future__ import annotations

import pytest

from lipstream.canonical.capabilities import EVERYTHING, Capability
from lipstream.canonical.secret import Secret
from lipstream.canonical.transport import Fallback, Invocation, Mode, negotiate, upstream_mode
from lipstream.compose import build, resolve
from lipstream.config.load import load_config
from lipstream.config.schema import Config, HttpEntry
from lipstream.errors import ConfigError
from lipstream.upstream.credentials import Credential, CredentialPool, Order
from lipstream.upstream.entries import abilities_of, key_count, pool_of
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.providers import KINDS, PROVIDERS

ENVIRONMENTS = [
    # variable, what is set after it, the keys that come of it
    ("OPENAI_API_KEY", {"": "a", "_3": "c"}, ["a"]),
    ("OPENAI_API_KEY", {"_2": "x"}, ["x"]),
    ("OPENAI_API_KEY", {"": "a", "_1": "b", "_2": "c"}, ["a", "c"]),
    ("ANTHROPIC_API_KEY", {"": " a ", "_2": "b", "_3": "a"}, ["a", "b"]),
    ("GEMINI_API_KEY", {"": "", "_2": "b"}, ["b"]),
    ("NVIDIA_API_KEY", {"_1": "a", "_2": "b", "_3": "c"}, ["a", "b", "c"]),
    ("NVIDIA_API_KEY", {"": "a", "_1": "a"}, ["a"]),
    ("NVIDIA_API_KEY", {"": "a", "_2": "b"}, ["a", "b"]),
    ("OPENROUTER_API_KEY", {"_1": "a", "_2": "", "_3": "c"}, ["a"]),
    ("GROQ_API_KEY", {"": "a", "_2": "b"}, ["a", "b"]),
]


def config_of(text: str) -> Config:
    """A configuration with one backend."""
    return load_config(f"backends: {{b: {{{text}}}}}", kinds=KINDS, environment={}, source="x")


def entry_of(text: str, **environment: str) -> HttpEntry:
    """The entry that a text comes to."""
    entry = resolve(config_of(text), environment).backends["b"]
    assert isinstance(entry, HttpEntry)
    return entry


def revealed(entry: HttpEntry) -> list[tuple[str, str]]:
    """The ids and keys of the pool that an entry comes to, in order."""
    pool = pool_of(entry)
    return [] if pool is None else [(c.id, c.secret.reveal()) for c in credentials_in(pool)]


def credentials_in(pool: CredentialPool) -> list[Credential]:
    """Its credentials."""
    return [key.credential for key in pool._keys]


@pytest.mark.parametrize(("variable", "ends", "keys"), ENVIRONMENTS)
def test_environment_is_read_as_the_providers_row_says(
    variable: str, ends: dict[str, str], keys: list[str]
) -> None:
    """Numbers run on until one is missing; a key that is there twice counts once."""
    kind = next(row.kind for row in PROVIDERS.values() if row.key_variable == variable)
    environment = {variable + end: key for end, key in ends.items()}
    entry = entry_of(f"kind: {kind}", **environment)
    assert [key for _, key in revealed(entry)] == keys
    assert [name for name, _ in revealed(entry)] == [f"c{n}" for n in range(len(keys))]
    assert key_count(entry) == len(keys)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("api_key: a", [("c0", "a")]),
        ("api_keys: [a, b, a]", [("c0", "a"), ("c1", "b")]),
        ("api_key: b, api_keys: [a, b, '']", [("c0", "b"), ("c1", "a")]),
        ("api_key: '', api_keys: [' ']", [("c0", "env")]),
        ("credentials: [{api_key: a}, {id: x, api_key: b}]", [("c0", "a"), ("x", "b")]),
        ("api_key: k, credentials: [{api_key: a}, {api_key: a}]", [("c0", "a")]),
        ("api_key: k, credentials: [{api_key: ''}]", [("c0", "k")]),
    ],
)
def test_keys_of_the_configuration_come_before_the_environments(
    text: str, keys: list[tuple[str, str]]
) -> None:
    """Named ones before the others; empty ones do not count, and none of them is mixed."""
    entry = entry_of(f"kind: openai, {text}", OPENAI_API_KEY="env")
    assert revealed(entry) == keys


@pytest.mark.parametrize(("kind", "key"), [("ollama", "ollama"), ("lmstudio", "lmstudio")])
def test_server_that_wants_any_key_gets_one(kind: str, key: str) -> None:
    """Unless there is a real one."""
    assert revealed(entry_of(f"kind: {kind}")) == [("c0", key)]
    assert revealed(entry_of(f"kind: {kind}, api_key: real")) == [("c0", "real")]
    assert revealed(entry_of("kind: vllm")) == []


def test_credential_keeps_what_is_said_of_it() -> None:
    """Whose it is, and what it may be used for."""
    text = (
        "kind: openai, credential_order: least_recently_used, credentials: [{id: x, api_key: a,"
        " remote_org_id: o, remote_region: eu, max_concurrent: 3, max_per_minute: 60}]"
    )
    pool = pool_of(entry_of(text))
    assert pool is not None
    assert pool._order is Order.LEAST_RECENTLY_USED
    (key,) = pool._keys
    credential = key.credential
    assert credential.remote == {"org_id": "o", "region": "eu"}
    assert (credential.max_concurrent, credential.max_per_minute) == (3, 60)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "kind: openai, credentials: [{id: c1, api_key: a}, {api_key: b}]",
            "backends.b.credentials: the id c1 is there twice",
        ),
        (
            "kind: groq, flavour: responses",
            "backends.b.flavour: kind groq does not speak responses",
        ),
        (
            "kind: azure-openai",
            "kind azure-openai has no default, it looks like https://RESOURCE.openai.azure.com",
        ),
        ("kind: openai, credentials: [{id: x}]", "backends.b.credentials.0.api_key: is missing"),
        ("kind: openai, credential_order: any", "expected one of priority, least_recently_used"),
        ("kind: openai, modes: {m: [fast]}", "expected one of streaming, non_streaming"),
        ("kind: openai, capabilities: {m: {add: [x]}}", "expected one of streaming, tools,"),
        ("kind: openai, capabilities: {m: {adds: []}}", "unknown key; did you mean add?"),
    ],
)
def test_entry_that_does_not_fit_is_refused_with_its_place(text: str, complaint: str) -> None:
    """Before anything is opened, and without the keys."""
    with pytest.raises(ConfigError) as caught:
        entry_of(text)
    assert complaint in str(caught.value)


def test_flavour_keeps_a_backend_to_one_protocol() -> None:
    """By default it speaks all that its provider does."""
    for flavour, spoken in (
        ("auto", ["openai_chat", "openai_responses"]),
        ("chat", ["openai_chat"]),
        ("responses", ["openai_responses"]),
    ):
        backend = build(config_of(f"kind: openai, flavour: {flavour}"), {}).backends["b"]
        assert isinstance(backend, HttpBackend)
        assert list(backend.dialects) == spoken


def test_capabilities_of_the_configuration_come_after_the_rows() -> None:
    """One pattern after the other; a removal counts more than an addition."""
    text = "{'*': {remove: [audio]}, gpt-3.5*: {add: [vision, audio], remove: [tools, audio]}}"
    abilities = abilities_of(entry_of(f"kind: openai, capabilities: {text}"), PROVIDERS["openai"])
    assert EVERYTHING - abilities.capabilities("gpt-4o") == {Capability.AUDIO}
    lost = {Capability.AUDIO, Capability.TOOLS, Capability.DOCUMENTS}
    assert EVERYTHING - abilities.capabilities("gpt-3.5-turbo") == lost
    assert EVERYTHING - abilities.capabilities("my-gpt-3.5") == lost - {Capability.TOOLS} | {
        Capability.VISION
    }


def test_modes_of_the_configuration_replace_the_rows() -> None:
    """The first pattern that fits counts; what is not there can be bridged."""
    text = "{'m-*': [non_streaming], '*': [streaming, non_streaming]}"
    abilities = abilities_of(entry_of(f"kind: openai, modes: {text}"), PROVIDERS["openai"])
    asked = Invocation("openai.responses", Mode.STREAMING)
    for model, mode, is_exact in (
        ("m-1", Mode.NON_STREAMING, False),
        ("am-1", Mode.STREAMING, True),
    ):
        declaration = abilities.declaration(model)
        assert upstream_mode(asked, declaration, Fallback.COMPATIBILITY) is mode
        assert negotiate(asked, declaration, Fallback.COMPATIBILITY).is_accepted
        assert negotiate(asked, declaration, Fallback.EXACT).is_accepted is is_exact


def test_secrets_are_not_shown_by_complaints() -> None:
    """Nor by the entry itself."""
    entry = entry_of("kind: openai, credentials: [{id: x, api_key: sk-1}]")
    assert entry.credentials[0].api_key == Secret("sk-1")
    assert "sk-1" not in repr(entry)
