"""What an agent's entry in the configuration comes to."""

from __future__ import annotations

import pytest

from lipstream.canonical.abilities import Abilities
from lipstream.canonical.capabilities import Capability
from lipstream.canonical.secret import Secret
from lipstream.canonical.transport import Mode
from lipstream.compose import Runtime, build
from lipstream.config.acp import AcpEntry, RouteOption
from lipstream.config.load import load_config
from lipstream.config.structure import redacted
from lipstream.config.values import SecretMap, Untyped, reader_of
from lipstream.errors import ConfigError
from lipstream.protocols import acp
from lipstream.upstream.acp import AgentBackend
from lipstream.upstream.providers import KINDS, PROVIDERS

WHOLE = """
backends:
  agent:
    kind: acp
    base_url: http://127.0.0.1:9/x
    api_key: k
    headers: {X-Extra: "1"}
    models: [agent]
    session_id: s
    cwd: /srv
    mcp_servers: [{name: a, command: b, args: [], env: [{name: TOKEN, value: "${TOKEN:-t0ken}"}]}]
    client_capabilities: {fs: {readTextFile: false}}
    client_info: {name: me, version: "2"}
    authenticate: {skip: true, method_id: m, params: {a: 1}}
    show: {thoughts: false, plan: false, mode: false}
    route_options: [acp.cwd, acp.sessionId]
    prefill: true
    capabilities: {"*": {remove: [vision]}}
"""


def built(text: str) -> Runtime:
    """The proxy of a configuration."""
    return build(load_config(text, kinds=KINDS, environment={}, source="x.yaml"), {})


def agent(text: str) -> AgentBackend:
    """Its backend."""
    (made,) = built(text).backends.values()
    assert isinstance(made, AgentBackend)
    return made


def test_entry_is_taken_as_it_is_written() -> None:
    """Each key has its place."""
    made = agent(WHOLE)
    env = [{"name": "TOKEN", "value": "t0ken"}]
    assert made.options == acp.SessionOptions(
        session_id="s",
        cwd="/srv",
        mcp_servers=({"name": "a", "command": "b", "args": [], "env": env},),
        client_capabilities={"fs": {"readTextFile": False}},
        client_info={"name": "me", "version": "2"},
        skips_authentication=True,
        method_id="m",
        authenticate_params={"a": 1},
    )
    assert made.show == acp.Show(thoughts=False, plan=False, mode=False)
    assert made.route_options == {"acp.cwd", "acp.sessionId"}
    assert (made.base_url, made.headers) == ("http://127.0.0.1:9/x", {"X-Extra": "1"})
    assert (made.models, made.prefills) == (("agent",), True)
    assert made.api_key is not None
    assert made.api_key.reveal() == "k"
    assert Capability.VISION not in made.abilities.capabilities("agent")


def test_entry_needs_no_more_than_an_address() -> None:
    """The rest is as agents expect it; routes may say nothing."""
    made = agent("backends: {acp: {base_url: http://127.0.0.1:9}}")
    assert (made.options, made.show, made.route_options) == (
        acp.SessionOptions(),
        acp.Show(),
        frozenset(),
    )
    assert made.api_key is None


def test_agent_can_do_what_the_protocol_can_say() -> None:
    """It takes no tools, it streams, and it is never raced."""
    abilities = agent("backends: {acp: {base_url: http://127.0.0.1:9}}").abilities
    C = Capability
    assert abilities.capabilities("agent") == {C.STREAMING, C.VISION, C.DOCUMENTS, C.REASONING}
    offers = abilities.declaration("agent").values()
    assert all(offer.native == {Mode.STREAMING} for offer in offers)
    assert abilities.leaves_traces
    assert not Abilities().leaves_traces


def test_routes_may_be_allowed_whatever_there_is() -> None:
    """The configuration knows the protocol's names."""
    assert {option.value for option in RouteOption} == acp.ROUTE_OPTIONS


def test_what_an_agent_is_given_is_secret() -> None:
    """Servers take keys in their arguments."""
    loaded = load_config(WHOLE, kinds=KINDS, environment={})
    shown = redacted(loaded)["backends"]["agent"]
    assert (shown["mcp_servers"], shown["client_info"]) == (["[secret]"], "[secret]")
    assert "t0ken" not in repr(loaded)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("acp: {}", "base_url: is missing"),
        ("acp: {base_url: http://127.0.0.1:9, api_keys: [a, b]}", "agent takes one key"),
        ("acp: {base_url: http://127.0.0.1:9, credentials: [{api_key: a}]}", "takes one key"),
        ("acp: {base_url: http://127.0.0.1:9, cdw: /}", "did you mean cwd"),
        ("acp: {base_url: http://127.0.0.1:9, mcp_servers: [x]}", "expected a map of texts"),
        ("acp: {base_url: http://127.0.0.1:9, client_info: {a: .nan}}", "got a map"),
        ("acp: {base_url: http://127.0.0.1:9, route_options: [cwd]}", "acp.cwd"),
    ],
)
def test_entry_that_does_not_fit_is_refused(text: str, complaint: str) -> None:
    """Before anything is opened, and with the way out."""
    with pytest.raises(ConfigError, match=complaint):
        built(f"backends: {{{text}}}")


def test_map_may_be_one_text() -> None:
    """As flags and variables have it; what JSON cannot say is refused."""
    reader = reader_of(SecretMap)
    assert reader is not None
    assert reader.read(Untyped("{a: [1, b]}")) == Secret('{"a": [1, "b"]}')
    with pytest.raises(ValueError, match=r"^$"):
        reader.read(Untyped("{a: 2020-01-01}"))


def test_kind_has_a_row_and_an_entry() -> None:
    """As every kind that is asked over HTTP."""
    assert KINDS["acp"] is AcpEntry
    assert (PROVIDERS["acp"].dialect, PROVIDERS["acp"].default_model) == (acp.NAME, acp.MODEL)
