"""Signatures and credentials of AWS."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import (  # type: ignore[import-untyped]
    ReadOnlyCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError  # type: ignore[import-untyped]

from lipstream.canonical.secret import Secret
from lipstream.errors import ConfigError, FaultKind, UpstreamFault
from lipstream.upstream import aws
from lipstream.upstream.aws import (
    BIG_BODY,
    LOAD_LIMIT,
    RENEWAL_PAUSE,
    ChainCredentials,
    Signer,
    SigningClient,
    StaticCredentials,
    load_botocore,
)
from lipstream.upstream.client import Origin, Request
from tests.upstream.test_http_backend import FakeClient, FakeResponse

ORIGIN = Origin("https", "bedrock-runtime.eu-west-1.amazonaws.com", 443)
LOCAL = Origin("http", "::1", 8080)
TARGET = b"/p/model/us.x-v1%3A0%2F%C3%A9/converse-stream"
HEAD = [(b"Content-Type", b"application/json"), (b"x-extra", b"1")]
KEYS = ("AKID", "secret", None)


def static(token: str | None = None) -> StaticCredentials:
    """The keys of a configuration."""
    return StaticCredentials(Secret("AKID"), Secret("secret"), Secret(token) if token else None)


async def signed(origin: Origin, request: Request, token: str | None = None) -> dict[str, str]:
    """The headers of a signed request."""
    made = await Signer("bedrock", "eu-west-1", static(token)).signed(origin, request)
    assert made._replace(headers=()) == request._replace(headers=())
    assert list(made.headers[: len(request.headers)]) == list(request.headers)
    return {name.decode(): value.decode() for name, value in made.headers}


def by_aws(url: str, headers: dict[str, str], body: bytes, date: str) -> str:
    """The signature that AWS's own client makes for that moment."""
    auth = SigV4Auth(ReadOnlyCredentials(*KEYS), "bedrock", "eu-west-1")
    request = AWSRequest("POST", url, headers={**headers, "X-Amz-Date": date}, data=body)
    request.context["timestamp"] = date
    text = auth.string_to_sign(request, auth.canonical_request(request))
    found: str = auth.signature(text, request)
    return found


@pytest.mark.parametrize("body", [b'{"a": "\xc3\xa9"}', b"x" * BIG_BODY], ids=["small", "big"])
async def test_signature_is_over_what_is_sent(body: bytes) -> None:
    """Host, path, type and body, as AWS signs them; large bodies in a thread."""
    found = await signed(ORIGIN, Request(b"POST", TARGET, HEAD, body))
    given = {"host": ORIGIN.host, "content-type": "application/json"}
    url = f"https://{ORIGIN.host}{TARGET.decode()}"
    expected = by_aws(url, given, body, found["x-amz-date"])
    scope = f"{found['x-amz-date'][:8]}/eu-west-1/bedrock/aws4_request"
    assert found["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders=content-type;host;x-amz-date, "
        f"Signature={expected}"
    )
    assert "x-amz-security-token" not in found


async def test_session_token_is_sent_and_signed() -> None:
    """It belongs to the keys."""
    found = await signed(ORIGIN, Request(b"POST", TARGET, HEAD, b""), "tok")
    assert found["x-amz-security-token"] == "tok"
    assert "x-amz-security-token" in found["authorization"]


async def test_host_that_is_sent_is_the_one_that_is_signed() -> None:
    """A configured one, else the one that the transport will write, with its port."""
    request = Request(b"POST", b"/x", HEAD, b"{}")
    for origin, head, host in (
        (LOCAL, HEAD, "[::1]:8080"),
        (ORIGIN, [*HEAD, (b"Host", b"other")], "other"),
    ):
        found = await signed(origin, request._replace(headers=head))
        headers = {"host": host, "content-type": "application/json"}
        url = f"{origin.scheme}://{host}/x"
        expected = by_aws(url, headers, b"{}", found["x-amz-date"])
        assert found["authorization"].endswith(f"Signature={expected}")


async def test_client_signs_every_request() -> None:
    """A request that is sent again is signed again."""
    client = FakeClient(FakeResponse(), FakeResponse())
    signing = SigningClient(client, Signer("bedrock", "eu-west-1", static()))
    for _ in range(2):
        await signing.send(ORIGIN, Request(b"POST", TARGET, HEAD, b""))
    assert [b"authorization" in dict(sent.headers) for _, sent in client.sent] == [True, True]
    assert signing.open_connections == client.open_connections
    await signing.aclose()


# ---------------------------------------------------------------- credentials


class Source:
    """Credentials that may have an end; counts who asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.needs_renewal = False
        self.asked = 0

    def refresh_needed(self) -> bool:
        """Whether their end is near."""
        return self.needs_renewal

    def get_frozen_credentials(self) -> Any:
        """The next answer, the last one again and again."""
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


Install = Callable[[Any], ChainCredentials]


@pytest.fixture
def install() -> Install:
    """Makes a chain that finds a source, or what a function does."""

    def make(source: Any) -> ChainCredentials:
        class Session:
            def get_credentials(self) -> Any:
                return source() if callable(source) else source

        chain = ChainCredentials()
        chain._session = Session
        return chain

    return make


async def test_keys_of_the_chain_are_found_once(install: Install) -> None:
    """By however many requests at a time."""
    source = Source("keys")
    chain = install(source)
    found: list[Any] = []

    async def ask() -> None:
        found.append(await chain.get())

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert (found, source.asked) == (["keys"] * 5, 1)


async def test_keys_are_renewed_when_their_end_is_near(
    install: Install, mock_clock: trio.testing.MockClock
) -> None:
    """But not at every request while that does not succeed."""
    source = Source("old", "new")
    chain = install(source)
    assert await chain.get() == "old"
    source.needs_renewal = True
    assert await chain.get() == "old"
    mock_clock.jump(RENEWAL_PAUSE)
    assert await chain.get() == "new"
    assert await chain.get() == "new"
    assert source.asked == 2


def failing() -> Any:
    """What the chain does where a file is broken."""
    raise NoCredentialsError


@pytest.mark.parametrize(
    ("source", "detail"),
    [(None, None), (Source(OSError("/secret/path")), "OSError"), (failing, "NoCredentialsError")],
    ids=["none", "broken", "missing"],
)
async def test_missing_keys_are_the_backends_fault(
    install: Install, source: Any, detail: str | None
) -> None:
    """Another candidate is asked; nothing of this machine is told. The next request asks anew."""
    chain = install(source)
    for _ in range(2):
        with pytest.raises(UpstreamFault) as caught:
            await chain.get()
        assert (caught.value.kind, caught.value.detail) == (FaultKind.CREDENTIALS, detail)


async def test_keys_that_do_not_come_are_not_waited_for(
    install: Install, autojump_clock: trio.testing.MockClock
) -> None:
    """For longer than the limit."""
    chain = install(Source("keys"))

    async def look() -> None:
        async with chain._lock:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        with pytest.raises(UpstreamFault) as caught:
            await chain.get()
        assert caught.value.kind is FaultKind.CREDENTIALS
        assert trio.current_time() - began == LOAD_LIMIT
        nursery.cancel_scope.cancel()


async def test_slow_chain_is_abandoned(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on by itself."""
    monkeypatch.setattr(aws, "LOAD_LIMIT", 0.05)
    chain = install(lambda: time.sleep(0.5))
    with pytest.raises(UpstreamFault) as caught:
        await chain.get()
    assert "0.05 s" in str(caught.value)


async def test_chain_is_awss_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files, and keys with an end."""
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKFILE\naws_secret_access_key = s\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    chain = ChainCredentials()
    keys = await chain.get()
    assert (keys.access_key, keys.secret_key) == ("AKFILE", "s")
    assert await chain.get() is keys
    assert hasattr(RefreshableCredentials, "refresh_needed")


async def test_keys_with_an_end_are_asked_whether_it_is_near(install: Install) -> None:
    """As botocore has them."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
    keys = RefreshableCredentials("AK", "s", "t", end, lambda: {}, "test")
    chain = install(keys)
    first = await chain.get()
    assert (first.access_key, first.token) == ("AK", "t")
    assert not chain._is_due()


def test_missing_botocore_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, not at the first request."""
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ConfigError, match=r"lipstream\[bedrock\]"):
        load_botocore("auth")
    with pytest.raises(ConfigError):
        Signer("bedrock", "eu-west-1", None)  # type: ignore[arg-type]
