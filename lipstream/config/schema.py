"""What can be configured: one class per section, every field optional. Pure data.

The field names are the keys of the YAML file. The defaults here are those of the documentation;
times are in seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from lipstream.canonical.capabilities import Capability
from lipstream.canonical.limits import CALL_LIMITS
from lipstream.canonical.policy import CommitPoint, Policy
from lipstream.canonical.secret import Secret
from lipstream.canonical.transport import Fallback, Mode
from lipstream.config.sections import (
    ErrorsSection,
    LoggingSection,
    ObservabilitySection,
    RecoverySection,
)
from lipstream.config.values import (
    Address,
    BackendId,
    Bytes,
    Count,
    Dollars,
    HeaderName,
    Number,
    Patience,
    Pause,
    Port,
    Resumes,
    Seconds,
    Share,
    Url,
)
from lipstream.errors import ConfigError

LOOPBACK = Address("127.0.0.1", 8080)
_P = Policy()

Path = tuple[str | int, ...]


class Retry(enum.Enum):
    """Who is asked after a failure that may be repeated."""

    OTHER_FIRST = "other_first"
    SAME_FIRST = "same_first"


class TransportKind(enum.Enum):
    """Which HTTP client talks to a backend."""

    NATIVE = "native"  # ours: HTTP/1.1, fast
    HTTPX = "httpx"  # for HTTP proxies and HTTP/2


class CredentialOrder(enum.Enum):
    """Which of several usable keys goes first."""

    PRIORITY = "priority"
    LEAST_RECENTLY_USED = "least_recently_used"


class Flavour(enum.Enum):
    """In which of OpenAI's two protocols a backend that speaks both is asked."""

    AUTO = "auto"  # in the client's own, else in chat
    CHAT = "chat"
    RESPONSES = "responses"


@attrs.frozen(kw_only=True)
class ServerSection:
    """The listening side.

    Attributes:
        host: Instead of the one in ``address``.
        port: Instead of the one in ``address``; 0 takes a free one.
        body_limit: Largest request body.
        write_timeout: How long a client may take nothing.
        drain_delay: How long a drain still listens, so that load balancers see it on ``/readyz``.
        grace: What running streams get at a shutdown.
        keepalive: Silence towards a client after which a keep-alive is sent.
    """

    address: Address = LOOPBACK
    host: str | None = None
    port: Port | None = None
    body_limit: Bytes = CALL_LIMITS.body
    write_timeout: Seconds = 60.0
    drain_delay: Pause = 0.0
    grace: Seconds = 600.0
    keepalive: Seconds = _P.keepalive

    @property
    def listen(self) -> Address:
        """Where to listen, all told."""
        port = self.address.port if self.port is None else self.port
        return Address(self.host or self.address.host, port)


@attrs.frozen(kw_only=True)
class PriceEntry:
    """The price of one model, in US dollars per million tokens.

    Attributes:
        cache_read: Of the prompt's tokens that the provider had in its cache; else as ``input``.
        cache_write: Of those that it put there; else as ``input``.
    """

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None


@attrs.frozen(kw_only=True)
class CredentialEntry:
    """One key of a backend, and whose it is at the provider, for the records.

    Attributes:
        id: Stands for it in logs and records; by default ``c`` and its place, from ``c0``.
        max_concurrent: Requests that may run with it at once.
        max_per_minute: Requests that may start with it in any minute.
    """

    api_key: Secret
    id: BackendId | None = None
    remote_org_id: str | None = None
    remote_project_id: str | None = None
    remote_workspace_id: str | None = None
    remote_account_id: str | None = None
    remote_region: str | None = None
    max_concurrent: Count | None = None
    max_per_minute: Count | None = None


@attrs.frozen(kw_only=True)
class CapabilityEntry:
    """What is different with some models; ``remove`` counts more."""

    add: tuple[Capability, ...] = ()
    remove: tuple[Capability, ...] = ()


@attrs.frozen(kw_only=True)
class BackendEntry:
    """What backends of every kind have in common.

    Attributes:
        kind: By default the backend's id, where that is a known kind.
        models: Shown in the list of models; a client may ask for them by their bare name.
        prices: By model, ``*`` standing for anything (``gpt-4o*``); the first that fits counts.
        cancel_stops_billing: Whether an answer that is given up is charged only as far as it had
            come; by default what is known of the provider.
    """

    kind: str = ""
    models: tuple[str, ...] = ()
    prices: Mapping[str, PriceEntry] = attrs.field(factory=dict)
    cancel_stops_billing: bool | None = None


@attrs.frozen(kw_only=True)
class HttpEntry(BackendEntry):
    """A backend that is asked over HTTP.

    Attributes:
        base_url: By default the provider's.
        api_key: By default from the provider's variables in the environment.
        api_keys: More of them. A key is used until the provider refuses it.
        credentials: Instead of both.
        flavour: For kinds that speak both of OpenAI's protocols.
        capabilities: What models can do, by name, ``*`` standing for anything; one after the other.
        modes: In which modes models are asked, by name; the first that fits counts. By default in
            all that the provider has.
        headers: Sent with every request; as secret as the key.
        proxy: URL of an HTTP proxy, possibly with a password in it; for ``transport: httpx``.
        http2: Offer HTTP/2 to https servers; for ``transport: httpx``.
        connect_timeout: For name lookup, TCP and TLS together.
        discover: Ask for its models now and then, for the list of models; ``models`` are shown
            anyway. Kinds ``bedrock`` and ``acp`` have no list to ask for.
        prefill: Whether its models go on from an assistant message at the end of the messages, and
            say only what is new; by default as is known of the provider. For ``routing.resume``.
    """

    base_url: Url | None = None
    api_key: Secret | None = None
    api_keys: tuple[Secret, ...] = ()
    credentials: tuple[CredentialEntry, ...] = ()
    credential_order: CredentialOrder = CredentialOrder.PRIORITY
    flavour: Flavour = Flavour.AUTO
    capabilities: Mapping[str, CapabilityEntry] = attrs.field(factory=dict)
    modes: Mapping[str, tuple[Mode, ...]] = attrs.field(factory=dict)
    headers: Mapping[HeaderName, Secret] = attrs.field(factory=dict)
    transport: TransportKind = TransportKind.NATIVE
    proxy: Secret | None = None
    http2: bool = False
    connect_timeout: Seconds = 10.0
    discover: bool = True
    prefill: bool | None = None

    @property
    def all_headers(self) -> Mapping[HeaderName, Secret]:
        """``headers``, and under them what other settings come to."""
        return self.headers


@attrs.frozen(kw_only=True)
class BedrockEntry(HttpEntry):
    """Amazon Bedrock.

    Attributes:
        api_key: A Bedrock API key, sent as a bearer token instead of a signature; by default from
            ``AWS_BEARER_TOKEN_BEDROCK``.
        region: By default from ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, else us-east-1.
        access_key_id: With ``secret_access_key``. Without these and a key, whatever AWS's own tools
            would use: the environment, files, a role of the machine.
        base_endpoint: Instead of the region's; the same as ``base_url``.
        disable_https: For a ``base_endpoint`` on this machine.
        allow_insecure_non_loopback: Also for one elsewhere.
    """

    region: str | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    base_endpoint: Url | None = None
    disable_https: bool = False
    allow_insecure_non_loopback: bool = False


@attrs.frozen(kw_only=True)
class StubEntry(BackendEntry):
    """A backend without a network, for trying things out.

    Attributes:
        text: What it says; by default a sentence about itself.
        words: Instead of ``text``: so many numbered words.
        first_after: From the request to the first word.
        pace: From one word to the next.
        jitter: Both times vary by this share up and down.
        fail_share: Share of the requests that it refuses, after ``first_after``.
        seed: Makes what is random repeatable.
    """

    text: str | None = None
    words: Count | None = None
    first_after: Pause = 0.0
    pace: Pause = 0.02
    jitter: Share = 0.0
    fail_share: Share = 0.0
    seed: Number | None = None


@attrs.frozen(kw_only=True)
class TransportSection:
    """How strictly backends must offer what a client asks for.

    Attributes:
        fallback_policy: ``exact`` asks in the client's own mode, and no backend that does not
            declare it; ``compatibility`` makes a stream or a whole answer of what there is.
    """

    fallback_policy: Fallback = _P.fallback


@attrs.frozen(kw_only=True)
class RoutingSection:
    """Who is asked, and for how long; see ``canonical.policy.Policy``.

    Attributes:
        default_route: A selector for requests whose model says nothing else; by default the first
            backend with whatever model was asked for.
    """

    default_route: str = ""
    max_attempts: Count = _P.max_attempts
    deadline: Seconds = _P.deadline
    idle: Seconds = _P.idle
    patience: Patience = _P.patience
    hedge_ratio: Share = _P.hedge_ratio
    race_side_effects: bool = _P.race_side_effects
    commit: CommitPoint = _P.commit
    retry: Retry = Retry.OTHER_FIRST
    max_wait: Pause = _P.max_wait
    echo_alias: bool = _P.echo_alias
    early_headers: bool = _P.early_headers
    resume: Resumes = _P.resume
    transport: TransportSection = TransportSection()


@attrs.frozen(kw_only=True)
class AliasEntry:
    """A rewriting of what clients ask for.

    Attributes:
        pattern: A regular expression.
        replacement: A selector.
    """

    pattern: str
    replacement: str


@attrs.define
class Origins:
    """Where settings came from, for complaints that are found only later.

    Attributes:
        source: The file's name; empty when there is none.
        places: By path: a line of the file, or the flag or variable that set it.
    """

    source: str = ""
    places: dict[Path, int | str] = attrs.field(factory=dict)

    def fault(self, path: Path, message: str) -> ConfigError:
        """A complaint in one line, led by the nearest place that is known."""
        above = [self.places.get(path[:length]) for length in range(len(path), 0, -1)]
        below = [p for at, p in self.places.items() if path and at[: len(path)] == path]
        place = next((place for place in (*above, *below) if place is not None), None)
        where = f"{self.source}:{place}" if isinstance(place, int) else place or self.source
        parts = [part for part in (where, ".".join(map(str, path)), message) if part]
        return ConfigError(": ".join(parts))


@attrs.frozen(kw_only=True)
class Config:
    """The whole configuration.

    Attributes:
        backends: By id, in the file's order. None when nothing is said about backends at all.
    """

    server: ServerSection = ServerSection()
    backends: Mapping[BackendId, BackendEntry] | None = None
    routing: RoutingSection = RoutingSection()
    stream_recovery: RecoverySection = attrs.field(factory=RecoverySection)
    aliases: tuple[AliasEntry, ...] = ()
    errors: ErrorsSection = attrs.field(factory=ErrorsSection)
    logging: LoggingSection = attrs.field(factory=LoggingSection)
    observability: ObservabilitySection = attrs.field(factory=ObservabilitySection)
    origins: Origins = attrs.field(init=False, factory=Origins, eq=False, repr=False)

    def fault(self, path: Path, message: str) -> ConfigError:
        """A complaint about a setting that reads well but does not fit the others."""
        return self.origins.fault(path, message)

    @property
    def serves_metrics(self) -> bool:
        """Whether there is a ``/metrics``, all told."""
        enabled = self.observability.metrics.enabled
        return self.server.listen.is_loopback if enabled is None else enabled
