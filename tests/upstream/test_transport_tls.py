"""The same over TLS, with certificates made on the spot."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
import pytest
import trio
import trio.testing
import trustme

from lipstream.upstream.tls import default_context
from lipstream.upstream.transport import Transport
from tests.upstream.http_server import (
    CHUNKED,
    GET,
    HELLO,
    OK,
    POST,
    STREAM,
    Names,
    Peer,
    answering,
    saying,
    serving,
)

NAME = "upstream.test"
NAMES = Names({NAME: "127.0.0.1", "other.test": "127.0.0.1"})
AUTHORITY = trustme.CA()


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    AUTHORITY.issue_cert("127.0.0.1", NAME).configure_cert(context)
    return context


def client_context(**options: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for name, value in options.items():
        setattr(context, name, value)
    AUTHORITY.configure_trust(context)
    return context


def trusting() -> Transport:
    return Transport(ssl_context=client_context())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_and_keep_alive_work_over_tls(version: ssl.TLSVersion) -> None:
    """Session tickets that come after the handshake are not taken for stray data."""
    transport = Transport(ssl_context=client_context(maximum_version=version))
    async with serving(answering(HELLO, STREAM), server_context()) as server, transport as client:
        reused = []
        for expected in (b"hello", b"hello world", b"hello world"):
            response = await client.send(server.origin, POST)
            assert await response.receive() == expected
            assert await response.receive() == b""
            response.close()
            reused.append(response.reused)
        assert reused == [False, True, True]


async def test_the_server_is_told_which_host_is_wanted() -> None:
    """Server name indication and ALPN, from the origin."""
    seen: list[str | None] = []
    context = server_context()
    context.sni_callback = lambda _, name, __: seen.append(name)
    trio.socket.set_custom_hostname_resolver(NAMES)
    async with serving(answering(HELLO), context) as server, trusting() as client:
        response = await client.send(server.origin._replace(host=NAME), GET)
        response.close()
        assert seen == [NAME]


async def test_an_untrusted_certificate_is_a_connect_error() -> None:
    """The default roots do not know this authority."""
    async with serving(answering(HELLO), server_context()) as server, Transport() as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.send(server.origin, GET)
        assert client.open_connections == 0


async def test_a_certificate_of_another_host_is_a_connect_error() -> None:
    """Trusted, but not for this name."""
    trio.socket.set_custom_hostname_resolver(NAMES)
    async with serving(answering(HELLO), server_context()) as server, trusting() as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.send(server.origin._replace(host="other.test"), GET)
        assert client.open_connections == 0


async def test_a_server_without_tls_is_a_connect_error() -> None:
    """It says something else, or hangs up."""
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""):

        async def script(peer: Peer, answer: bytes = answer) -> None:
            await peer.stream.receive_some(10_000)
            await peer.send(answer)

        async with serving(script) as server, trusting() as client:
            with pytest.raises(httpx.ConnectError):
                await client.send(server.origin._replace(scheme="https"), GET)
            assert client.open_connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"5\r\nhello\r\n",
        OK + b"Content-Length: 50\r\n\r\nhello",
        OK + b"Connection: close\r\n\r\nhello",
    ],
)
async def test_a_body_cut_without_goodbye_is_a_read_error(answer: bytes) -> None:
    """Over TLS the end of the connection proves nothing: anyone on the way can make it."""
    async with serving(saying([answer]), server_context()) as server, trusting() as client:
        response = await client.send(server.origin, GET)
        assert await response.receive() == b"hello"
        with pytest.raises(httpx.ReadError):
            await response.receive()
        assert client.open_connections == 0
        response.close()


async def test_a_body_that_ends_with_a_goodbye_is_whole() -> None:
    """close_notify is an end that only the server can have said."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"\r\nhello")
        await peer.stream.aclose()

    async with serving(script, server_context()) as server, trusting() as client:
        response = await client.send(server.origin, GET)
        assert await response.receive() == b"hello"
        assert await response.receive() == b""
        response.close()
        assert client.open_connections == 0


async def test_a_large_upload_and_a_large_answer_pass_through_tls() -> None:
    """Many records in both directions."""
    body = bytes(range(256)) * 12_000
    answer = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with serving(answering(answer), server_context()) as server, trusting() as client:
        response = await client.send(server.origin, POST._replace(body=body))
        received = b""
        while piece := await response.receive():
            received += piece
        response.close()
        assert received == body
        assert server.peers[0].requests[0].endswith(body)


async def test_an_idle_connection_whose_server_said_goodbye_is_not_used() -> None:
    """close_notify counts as much as the end of the connection."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        await peer.stream.aclose()

    async with serving(script, server_context()) as server, trusting() as client:
        for _ in range(2):
            response = await client.send(server.origin, GET)
            while await response.receive():
                pass
            response.close()
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not response.reused


async def test_a_damaged_record_is_a_read_error() -> None:
    """What was changed on the way is not delivered."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        assert isinstance(peer.stream, trio.SSLStream)
        await peer.stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        await peer.wait_gone()

    async with serving(script, server_context()) as server, trusting() as client:
        response = await client.send(server.origin, GET)
        with pytest.raises(httpx.ReadError):
            await response.receive()
        assert client.open_connections == 0


def test_all_transports_share_one_default_context() -> None:
    """It takes long to make, and checks certificates and names."""
    assert default_context() is default_context()
    assert default_context().check_hostname
    assert default_context().verify_mode is ssl.CERT_REQUIRED
    assert default_context().options & ssl.OP_NO_RENEGOTIATION
