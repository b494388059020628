"""From a configuration to a running proxy: the only file that knows every concrete class.

Two steps. :func:`resolve` decides what a configuration comes to, with the environment's keys and
the defaults in, and complains about what does not fit together; the result is plain data that the
command line can show. :func:`build` makes the objects; nothing is opened before
:meth:`Runtime.listen`.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Mapping, Sequence

import attrs
import trio
from hypercorn.config import Sockets

from lipstream.canonical.limits import CallLimits
from lipstream.canonical.policy import Policy
from lipstream.config.acp import AcpEntry
from lipstream.config.env import Environment
from lipstream.config.schema import (
    BackendEntry,
    BedrockEntry,
    Config,
    HttpEntry,
    Path,
    Retry,
    RoutingSection,
    StubEntry,
    TransportKind,
)
from lipstream.config.values import nearest
from lipstream.errors import BadSelector, ConfigError, Overloaded
from lipstream.execution.executor import Executor
from lipstream.interfaces import Backend, ClientDialect, Observer
from lipstream.observe.metrics import Declared, Metrics
from lipstream.protocols import (
    anthropic_messages,
    bedrock_converse,
    gemini,
    openai_chat,
    openai_responses,
)
from lipstream.routing.aliases import Alias, Aliases, compile_aliases
from lipstream.routing.choice import ANY_MODEL, RouteRules, route_names
from lipstream.routing.names import ModelNames
from lipstream.routing.selector import caret, leaves, parse_selector
from lipstream.server.app import LipstreamApp, Readiness, create_app
from lipstream.server.endpoint import Gateway
from lipstream.server.intake import Router
from lipstream.server.models import listed
from lipstream.server.serve import Hooks, ServeConfig, Serving, listen, serve
from lipstream.server.ways import actions_for, handlers_for
from lipstream.upstream.acp import acp_backend
from lipstream.upstream.bedrock import bedrock_backend, filled_bedrock
from lipstream.upstream.client import Client
from lipstream.upstream.clients import Clients
from lipstream.upstream.discovery import Discovery, discovery_of
from lipstream.upstream.entries import (
    dialects_of,
    found_keys,
    http_backend,
    key_count,
    with_keys,
)
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.providers import KINDS, PROVIDERS, STUB, tariff_of
from lipstream.upstream.seals import SealMemory
from lipstream.upstream.stub import Manner, StubBackend

# The dialects that providers speak, by the name in their row.
DIALECTS: Mapping[str, ClientDialect] = {
    dialect.name: dialect
    for dialect in (
        openai_chat.CLIENT,
        openai_responses.CLIENT,
        anthropic_messages.CLIENT,
        gemini.CLIENT,
        bedrock_converse.CLIENT,
    )
}

# Without any word on backends there are these, so that everything can be tried without a key.
STUBS: Mapping[str, StubEntry] = {
    "stub-fast": StubEntry(kind=STUB, models=("demo",), first_after=0.15, jitter=0.2),
    "stub-slow": StubEntry(kind=STUB, models=("demo",), first_after=1.5, pace=0.05, jitter=0.2),
    "stub-flaky": StubEntry(
        kind=STUB, models=("demo",), first_after=0.1, pace=0.04, jitter=0.9, fail_share=0.5
    ),
}
CLOSE_LIMIT = 1.0  # seconds for closing the connections to upstreams at the end
STUB_RACE = "!".join(f"{name}:demo" for name in STUBS)


# ---------------------------------------------------------------- what is to be built


@attrs.frozen
class Setup:
    """What a configuration comes to.

    Attributes:
        backends: By id, with base URLs and keys filled in.
        default_route: Selector text.
        warnings: What will not work, though nothing is wrong with the configuration.
    """

    config: Config
    backends: Mapping[str, BackendEntry]
    aliases: Aliases
    default_route: str
    rules: RouteRules
    policy: Policy
    warnings: tuple[str, ...] = ()


def resolve(config: Config, environment: Environment) -> Setup:
    """Decides what a configuration comes to.

    Args:
        environment: For the keys of providers.

    Raises:
        ConfigError: something does not fit together.
    """
    entries = config.backends
    if entries is None:
        entries = _found_backends(environment)
    if not entries:
        raise config.fault(("backends",), "there is none: name one, or leave the section out")
    backends = {name: _filled(config, name, entries[name], environment) for name in entries}
    aliases = _compile_aliases(config)
    route, default_backend = _default_route(config, backends, aliases)
    declared: dict[str, str] = {}
    for name, entry in backends.items():
        for model in entry.models:
            declared.setdefault(model, name)
    return Setup(
        config=config,
        backends=backends,
        aliases=aliases,
        default_route=route,
        rules=RouteRules(aliases, route, default_backend, backends.keys(), declared),
        policy=attrs.evolve(
            policy_of(config.routing, keepalive=config.server.keepalive),
            recovery=config.stream_recovery.policy,
            tariffs={name: tariff_of(entry) for name, entry in backends.items()},
        ),
        warnings=tuple(_warnings(backends)),
    )


def policy_of(routing: RoutingSection, *, keepalive: float) -> Policy:
    """The policy that a routing section describes."""
    return Policy(
        max_attempts=routing.max_attempts,
        deadline=routing.deadline,
        idle=routing.idle,
        patience=routing.patience,
        commit=routing.commit,
        same_first=routing.retry is Retry.SAME_FIRST,
        max_wait=routing.max_wait,
        hedge_ratio=routing.hedge_ratio,
        race_side_effects=routing.race_side_effects,
        echo_alias=routing.echo_alias,
        early_headers=routing.early_headers,
        resume=routing.resume,
        fallback=routing.transport.fallback_policy,
        keepalive=keepalive,
    )


def _found_backends(environment: Environment) -> dict[str, BackendEntry]:
    """Every provider whose key is in the environment, and the stubs."""
    found: dict[str, BackendEntry] = {}
    variables: set[str] = set()  # a key makes one backend, of the first kind that takes it
    for kind, provider in PROVIDERS.items():
        is_taken = provider.key_variable in variables or not provider.base_url
        if not is_taken and found_keys(provider, environment):
            variables.add(provider.key_variable)
            found[kind] = KINDS[kind](kind=kind, models=(provider.default_model,))
    return found | dict(STUBS)


def _filled(
    config: Config, name: str, entry: BackendEntry, environment: Environment
) -> BackendEntry:
    """The entry with what its provider has fixed."""
    if not isinstance(entry, HttpEntry):
        return entry
    provider = PROVIDERS[entry.kind]

    def complain(field: str, why: str) -> ConfigError:
        return config.fault(("backends", name, field), why)

    if isinstance(entry, BedrockEntry):
        entry = filled_bedrock(entry, environment, complain)
    base_url = entry.base_url or provider.base_url
    if not base_url:
        form = f", it looks like {provider.base_url_form}" if provider.base_url_form else ""
        raise complain("base_url", f"is missing: kind {entry.kind} has no default{form}")
    if (entry.proxy or entry.http2) and entry.transport is not TransportKind.HTTPX:
        raise complain("transport", "a proxy and HTTP/2 need transport: httpx")
    dialects_of(entry, provider, complain)
    entry = with_keys(entry, provider, environment, complain)
    prefill = provider.prefill if entry.prefill is None else entry.prefill
    return attrs.evolve(entry, base_url=base_url, prefill=prefill)


def _warnings(backends: Mapping[str, BackendEntry]) -> list[str]:
    return [
        f"{name} has no key: set api_key, or {variable} in the environment"
        for name, entry in backends.items()
        if isinstance(entry, HttpEntry) and not key_count(entry)
        if not isinstance(entry, BedrockEntry)  # which has other ways to be let in
        if (variable := PROVIDERS[entry.kind].key_variable)
    ]


def _compile_aliases(config: Config) -> Aliases:
    pairs: list[Alias] = []
    for index, alias in enumerate(config.aliases):
        try:
            pairs += compile_aliases([(alias.pattern, alias.replacement)]).pairs
        except ConfigError as error:
            raise config.fault(("aliases", index), str(error)) from error
    return Aliases(tuple(pairs))


def _default_route(
    config: Config, backends: Mapping[str, BackendEntry], aliases: Aliases
) -> tuple[str, str]:
    """The default route and the backend that its first leaf names, the default backend."""
    path: Path = ("routing", "default_route")
    first = next(iter(backends))
    if not config.routing.default_route.strip():
        return STUB_RACE if config.backends is None else f"{first}:{ANY_MODEL}", first
    try:
        route = aliases.resolve(config.routing.default_route)
        selector = parse_selector(route, default_backend=first)
    except BadSelector as fault:
        raise config.fault(path, caret(fault)) from fault
    named = [leaf.candidate.backend for leaf in leaves(selector)]
    for name in named:
        if name not in backends:
            raise config.fault(path, f"there is no backend {name}; {nearest(name, backends)}")
    return route, named[0]


# ---------------------------------------------------------------- the objects


@attrs.define(eq=False)
class Runtime:
    """A proxy that is ready to run.

    Attributes:
        clients: The HTTP clients of all backends; closed at the end of :meth:`serve`.
    """

    setup: Setup
    backends: Mapping[str, Backend]
    clients: Sequence[Client]
    executor: Executor
    gateway: Gateway
    app: LipstreamApp
    metrics: Metrics
    discovery: Discovery

    def listen(self) -> Sockets:
        """Opens the listening sockets; for :meth:`serve`.

        Raises:
            ConfigError: the address is taken, not ours, or not an address.
        """
        return listen(self.serve_config)

    async def serve(
        self,
        sockets: Sockets,
        *,
        signals: Sequence[signal.Signals] = (),
        on_ready: Callable[[Serving], None] = lambda _: None,
        task_status: trio.TaskStatus[Serving] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves until drained, with what has to run beside it; closes every connection in the
        end.

        Args:
            signals: The first of these drains, the second ends.
        """
        hooks = Hooks(on_ready, self._drain, self._end_all)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.gateway.keep_alive)
                nursery.start_soon(self.discovery.run)
                await serve(
                    self.app,
                    self.serve_config,
                    hooks,
                    signals=signals,
                    sockets=sockets,
                    task_status=task_status,
                )
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_LIMIT):
                for client in self.clients:
                    await client.aclose()

    @property
    def serve_config(self) -> ServeConfig:
        """What the server is told."""
        server = self.setup.config.server
        return ServeConfig(
            binds=(str(server.listen),),
            drain_delay=server.drain_delay,
            grace=server.grace,
            write_timeout=server.write_timeout,
        )

    def _drain(self) -> None:
        self.gateway.is_draining = True

    def _end_all(self) -> None:
        self.gateway.end_all(Overloaded("The proxy is shutting down: try again.", draining=True))


def build(config: Config, environment: Environment, observers: Sequence[Observer] = ()) -> Runtime:
    """Makes everything that a configuration asks for; opens nothing.

    Raises:
        ConfigError: something does not fit together.
    """
    setup = resolve(config, environment)
    clients = Clients()
    backends: dict[str, Backend] = {}
    seals = SealMemory()
    for name, entry in setup.backends.items():
        backends[name] = _make_backend(name, entry, clients, seals)
    metrics = Metrics(declared_in(setup), lambda: executor.live.open_upstreams)
    executor = Executor(backends, (*observers, metrics))
    names = names_of(setup)
    router = Router(names.rules, setup.policy)
    discovery = discovery_of(setup.backends, backends, names.update, lambda _: router.forget())
    limits = CallLimits(body=config.server.body_limit)
    gateway = Gateway(executor, router, limits, config.errors.expose_upstream)
    forwarders = {n: b for n, b in backends.items() if isinstance(b, HttpBackend)}
    app = create_app(
        handlers=handlers_for(gateway, forwarders),
        actions=actions_for(gateway, forwarders),
        cancel=gateway.cancel,
        readiness=lambda: Readiness(is_draining=gateway.is_draining),
        models=lambda: listed(names),
        learn=discovery.ready,
        metrics=metrics.render if config.serves_metrics else None,
    )
    return Runtime(setup, backends, clients.all, executor, gateway, app, metrics, discovery)


def declared_in(setup: Setup) -> Declared:
    """What of models and routes the configuration spells out."""
    models = {f"{name}:{model}" for name, entry in setup.backends.items() for model in entry.models}
    texts = {setup.default_route, *(a.replacement for a in setup.config.aliases), *models}
    names = route_names(texts, setup.rules.default_backend)
    return Declared(frozenset(models), frozenset(names))


def names_of(setup: Setup) -> ModelNames:
    """The names under which models are reached."""
    declared = {name: entry.models for name, entry in setup.backends.items()}
    patterns = [alias.pattern for alias in setup.config.aliases]
    may_route = not setup.config.routing.default_route.strip()
    return ModelNames(setup.rules, declared, patterns, may_route)


def _make_backend(name: str, entry: BackendEntry, clients: Clients, seals: SealMemory) -> Backend:
    if isinstance(entry, StubEntry):
        manner = Manner(
            text=entry.text,
            words=entry.words,
            first_after=entry.first_after,
            pace=entry.pace,
            jitter=entry.jitter,
            fail_share=entry.fail_share,
        )
        return StubBackend(name, manner, entry.models, random.Random(entry.seed))
    assert isinstance(entry, HttpEntry)
    provider = PROVIDERS[entry.kind]
    if isinstance(entry, AcpEntry):
        return acp_backend(name, entry, provider, clients.of(entry))
    if isinstance(entry, BedrockEntry):
        return bedrock_backend(name, entry, provider, DIALECTS, clients.of(entry), seals)
    return http_backend(name, entry, provider, DIALECTS, clients.of(entry), seals)
