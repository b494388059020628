"""Requests to AWS: credentials, and signatures over exactly what goes out (Signature Version 4).

:class:`SigningClient` stands between a backend and its HTTP client and signs each request on its
way, so the bytes that are signed are the bytes that are sent, also when a request is sent again.
botocore makes the signatures and knows where credentials may lie; it is imported when a backend
needs it and not before.

What botocore does to find credentials may take files, processes and the network. It runs in a
thread, one at a time, for at most :data:`LOAD_LIMIT` seconds, and again when they are about to
expire.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import trio

from lipstream.canonical.secret import Secret
from lipstream.errors import ConfigError, FaultKind, UpstreamFault
from lipstream.upstream.client import Client, Origin, Request, Response

LOAD_LIMIT = 30.0  # seconds for finding or renewing credentials
RENEWAL_PAUSE = 60.0  # seconds between attempts to renew credentials that are still good
BIG_BODY = 1024 * 1024  # bytes from which on a body is hashed in a thread

_SIGNED = (b"content-type", b"host")
_MADE = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")


def load_botocore(module: str) -> Any:
    """A module of botocore.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(f"botocore.{module}")
    except ImportError as error:
        message = 'AWS credentials need botocore: pip install "lipstream[bedrock]"'
        raise ConfigError(message) from error


class Credentials(Protocol):
    """Where the credentials of a request come from."""

    async def get(self) -> Any:
        """botocore's frozen credentials: key id, secret and token.

        Raises:
            UpstreamFault: CREDENTIALS, there are none to be had.
        """


class StaticCredentials:
    """Keys that the configuration names."""

    def __init__(self, key_id: Secret, secret: Secret, token: Secret | None) -> None:
        kind = load_botocore("credentials").ReadOnlyCredentials
        self._keys = kind(key_id.reveal(), secret.reveal(), token.reveal() if token else None)

    async def get(self) -> Any:
        """The keys."""
        return self._keys


class ChainCredentials:
    """Whatever AWS's own tools would use here: the environment, files, a role of the machine."""

    def __init__(self) -> None:
        self._session = load_botocore("session").Session
        self._errors = load_botocore("exceptions")
        self._lock = trio.Lock()
        self._source: Any = None
        self._keys: Any = None
        self._asked_at = 0.0

    async def get(self) -> Any:
        """The keys, found or renewed where that is due."""
        if not self._is_due():
            return self._keys
        with trio.move_on_after(LOAD_LIMIT):
            async with self._lock:
                if self._is_due():
                    self._asked_at = trio.current_time()
                    self._source, self._keys = await trio.to_thread.run_sync(
                        self._load, self._source, abandon_on_cancel=True
                    )
                return self._keys
        raise _missing(f"AWS credentials did not come in {LOAD_LIMIT:g} s")

    def _is_due(self) -> bool:
        """Keys with an end are renewed a while before it."""
        if self._keys is None:
            return True
        is_fresh = trio.current_time() - self._asked_at < RENEWAL_PAUSE
        needs = getattr(self._source, "refresh_needed", None)
        return not is_fresh and needs is not None and bool(needs())

    def _load(self, source: Any) -> tuple[Any, Any]:
        """The source of the keys, and the keys; runs in a thread."""
        expected = (self._errors.BotoCoreError, self._errors.ClientError, OSError, ValueError)
        try:
            source = source or self._session().get_credentials()
            keys = source.get_frozen_credentials() if source is not None else None
        except expected as error:
            raise _missing("AWS credentials could not be loaded", error) from error
        if keys is None:
            raise _missing("there are no AWS credentials here")
        return source, keys


def _missing(message: str, error: Exception | None = None) -> UpstreamFault:
    """The exception's class alone is told: its text may name files and hosts."""
    detail = type(error).__name__ if error is not None else None
    return UpstreamFault(FaultKind.CREDENTIALS, message, detail=detail)


class Signer:
    """Signs requests for one service in one region."""

    def __init__(self, service: str, region: str, credentials: Credentials) -> None:
        self._service = service
        self._region = region
        self._credentials = credentials
        self._auth = load_botocore("auth").SigV4Auth
        self._request = load_botocore("awsrequest").AWSRequest

    async def signed(self, origin: Origin, request: Request) -> Request:
        """The request with the headers that prove it."""
        keys = await self._credentials.get()
        if len(request.body) < BIG_BODY:
            return self._signed(keys, origin, request)
        return await trio.to_thread.run_sync(
            self._signed, keys, origin, request, abandon_on_cancel=True
        )

    def _signed(self, keys: Any, origin: Origin, request: Request) -> Request:
        given = {name.lower(): value for name, value in request.headers}
        given.setdefault(b"host", origin.authority)
        url = origin.scheme.encode() + b"://" + given[b"host"] + request.target
        proof = self._request(
            request.method.decode("ascii"),
            url.decode("ascii"),
            headers={name.decode(): given[name].decode() for name in _SIGNED if name in given},
            data=request.body,
        )
        self._auth(keys, self._service, self._region).add_auth(proof)
        made = [(name, proof.headers[name]) for name in _MADE if name in proof.headers]
        more = [(name.lower().encode(), value.encode()) for name, value in made]
        return request._replace(headers=[*request.headers, *more])


class SigningClient:
    """A ``Client`` that signs what it sends; see ``client.Client``.

    The client underneath may be shared; whoever made it closes it.
    """

    def __init__(self, client: Client, signer: Signer) -> None:
        self._client = client
        self._signer = signer

    @property
    def open_connections(self) -> int:
        """Those of the client underneath."""
        return self._client.open_connections

    async def send(self, origin: Origin, request: Request) -> Response:
        """Signs the request and sends it.

        Raises:
            UpstreamFault: CREDENTIALS, there is nothing to sign with.
        """
        return await self._client.send(origin, await self._signer.signed(origin, request))

    async def aclose(self) -> None:
        """Nothing of its own is open."""
