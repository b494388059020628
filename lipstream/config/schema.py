"""What can be configured: one class per section, every field optional. Pure data.

The field names are the keys of the YAML file. The defaults here are those of the documentation;
times are in seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from lipstream.canonical.limits import CALL_LIMITS
from lipstream.canonical.policy import CommitPoint, Policy
from lipstream.canonical.secret import Secret
from lipstream.config.values import (
    Address,
    BackendId,
    Bytes,
    Count,
    HeaderName,
    Number,
    Patience,
    Pause,
    Port,
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
class BackendEntry:
    """What backends of every kind have in common.

    Attributes:
        kind: By default the backend's id, where that is a known kind.
        models: Shown in the list of models; a client may ask for them by their bare name.
    """

    kind: str = ""
    models: tuple[str, ...] = ()


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
    """

    base_url: Url | None = None
    api_key: Secret | None = None
    headers: Mapping[HeaderName, Secret] = attrs.field(factory=dict)
    transport: TransportKind = TransportKind.NATIVE
    proxy: Secret | None = None
    http2: bool = False
    connect_timeout: Seconds = 10.0


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
    commit: CommitPoint = _P.commit
    retry: Retry = Retry.OTHER_FIRST
    max_wait: Pause = _P.max_wait
    echo_alias: bool = _P.echo_alias
    early_headers: bool = _P.early_headers


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
    aliases: tuple[AliasEntry, ...] = ()
    errors: ErrorsSection = ErrorsSection()
    logging: LoggingSection = LoggingSection()
    origins: Origins = attrs.field(init=False, factory=Origins, eq=False, repr=False)

    def fault(self, path: Path, message: str) -> ConfigError:
        """A complaint about a setting that reads well but does not fit the others."""
        return self.origins.fault(path, message)
