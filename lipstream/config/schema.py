"""What can be configured: one class per section, every field optional. Pure data.

The field names are the keys of the YAML file. The defaults here are those of the documentation;
times are in seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from lipstream.canonical.limits import CALL_LIMITS
from lipstream.canonical.policy import CommitPoint, Policy, Recovery
from lipstream.canonical.secret import Secret
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


class PostOutput(enum.Enum):
    """What becomes of an answer that broke off."""

    FINISH_WITH_WARNING = "finish_with_warning"
    FAIL = "fail"  # as without any recovery


class LogLevel(enum.Enum):
    """From which level on lines are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.Enum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


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
        api_key: By default from the provider's variable in the environment.
        headers: Sent with every request; as secret as the key.
        proxy: URL of an HTTP proxy, possibly with a password in it; for ``transport: httpx``.
        http2: Offer HTTP/2 to https servers; for ``transport: httpx``.
        connect_timeout: For name lookup, TCP and TLS together.
        prefill: Whether its models go on from an assistant message at the end of the messages, and
            say only what is new; by default as is known of the provider. For ``routing.resume``.
    """

    base_url: Url | None = None
    api_key: Secret | None = None
    headers: Mapping[HeaderName, Secret] = attrs.field(factory=dict)
    transport: TransportKind = TransportKind.NATIVE
    proxy: Secret | None = None
    http2: bool = False
    connect_timeout: Seconds = 10.0
    prefill: bool | None = None


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


@attrs.frozen(kw_only=True)
class AutoResumeSection:
    """Closing an answer that is cut or stalls after its first content as if it had ended.

    The finish reason is ``length``, in the words of the client's dialect: the answer is not whole.

    Attributes:
        idle_timeout: Silence after which an answer counts as stalled.
        grace_period: What it gets on top of that.
        emit_warning: Send a warning where the client's dialect has a place for it.
    """

    enabled: bool = False
    idle_timeout: Seconds = 45.0
    grace_period: Pause = 3.0
    post_output_policy: PostOutput = PostOutput.FINISH_WITH_WARNING
    emit_warning: bool = True


@attrs.frozen(kw_only=True)
class RecoverySection:
    """What is done about streams that break off."""

    auto_resume: AutoResumeSection = AutoResumeSection()

    @property
    def policy(self) -> Recovery | None:
        """The same as the executor wants it; None for an error in the stream."""
        given = self.auto_resume
        if not given.enabled or given.post_output_policy is PostOutput.FAIL:
            return None
        return Recovery(idle=given.idle_timeout + given.grace_period, warns=given.emit_warning)


@attrs.frozen(kw_only=True)
class AliasEntry:
    """A rewriting of what clients ask for.

    Attributes:
        pattern: A regular expression.
        replacement: A selector.
    """

    pattern: str
    replacement: str


@attrs.frozen(kw_only=True)
class ErrorsSection:
    """What clients are told about failures.

    Attributes:
        expose_upstream: Error messages may carry the upstream's own words.
    """

    expose_upstream: bool = False


@attrs.frozen(kw_only=True)
class LoggingSection:
    """What is logged to standard error."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.TEXT


@attrs.frozen(kw_only=True)
class MetricsSection:
    """Figures for Prometheus at ``GET /metrics``, for everybody who can reach the port.

    Attributes:
        enabled: By default only where lipstream listens on a loopback address.
    """

    enabled: bool | None = None


@attrs.frozen(kw_only=True)
class ObservabilitySection:
    """What can be seen from outside."""

    metrics: MetricsSection = MetricsSection()


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
    stream_recovery: RecoverySection = RecoverySection()
    aliases: tuple[AliasEntry, ...] = ()
    errors: ErrorsSection = ErrorsSection()
    logging: LoggingSection = LoggingSection()
    observability: ObservabilitySection = ObservabilitySection()
    origins: Origins = attrs.field(init=False, factory=Origins, eq=False, repr=False)

    def fault(self, path: Path, message: str) -> ConfigError:
        """A complaint about a setting that reads well but does not fit the others."""
        return self.origins.fault(path, message)

    @property
    def serves_metrics(self) -> bool:
        """Whether there is a ``/metrics``, all told."""
        enabled = self.observability.metrics.enabled
        return self.server.listen.is_loopback if enabled is None else enabled
