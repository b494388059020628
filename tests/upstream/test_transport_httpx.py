"""Our transport under ``httpx.AsyncClient``, and httpx's time limits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing

from lipstream.upstream.transport import Transport
from tests.upstream.http_server import (
    CHUNKED,
    HELLO,
    OK,
    STREAM,
    Peer,
    answering,
    saying,
    serving,
)


class Parts:
    """A request body that comes in parts."""

    def __init__(self, *parts: bytes, pause: float = 0.0) -> None:
        self._parts = list(parts)
        self._pause = pause

    @property
    def left(self) -> int:
        return len(self._parts)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._parts:
            raise StopAsyncIteration
        await trio.sleep(self._pause)
        return self._parts.pop(0)


async def test_an_httpx_client_works_over_our_transport() -> None:
    """JSON in, text out, query and headers in place, the connection kept."""
    transport = Transport()
    async with serving(answering(HELLO)) as server, httpx.AsyncClient(transport=transport) as http:
        for _ in range(2):
            answer = await http.post(f"{server.url}/a", params={"b": "c"}, json={"d": 1})
            assert (answer.status_code, answer.text, answer.http_version) == (
                200,
                "hello",
                "HTTP/1.1",
            )
        assert server.peers[0].requests[1].startswith(b"POST /a?b=c HTTP/1.1\r\n")
        assert server.peers[0].requests[1].endswith(b'\r\n\r\n{"d":1}')
        assert (len(server.peers), transport.open_connections) == (1, 1)
    assert transport.open_connections == 0


async def test_an_answer_can_be_streamed_or_left() -> None:
    """Whoever leaves in the middle closes the connection."""

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await peer.wait_gone()

    async with serving(endless) as server, Transport() as transport:
        answer = await transport.handle_async_request(httpx.Request("GET", server.url))
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        assert await anext(aiter(answer.stream)) == b"hello"
        await answer.aclose()
        assert transport.open_connections == 0
        await server.all_gone()


async def test_a_streamed_request_body_is_sent_in_chunks() -> None:
    """Its length is not known; an empty part is not taken for the end."""
    async with (
        serving(answering(STREAM)) as server,
        httpx.AsyncClient(transport=Transport()) as http,
    ):
        answer = await http.post(server.url, content=Parts(b"one", b"", b"three"))
        assert answer.content == b"hello world"
        head, _, body = server.peers[0].requests[0].partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert body == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"


async def test_a_streamed_request_body_of_known_length_is_sent_as_it_is() -> None:
    """What the caller says of the length is passed on."""
    async with (
        serving(answering(HELLO)) as server,
        httpx.AsyncClient(transport=Transport()) as http,
    ):
        await http.post(server.url, content=Parts(b"one", b"two"), headers={"Content-Length": "6"})
        assert server.peers[0].requests[0].endswith(b"\r\n\r\nonetwo")


@pytest.mark.parametrize("length", ["5", "7"])
async def test_a_streamed_request_body_of_another_length_is_refused(length: str) -> None:
    """Too much would be read as the next request, too little would hang."""
    transport = Transport()
    async with serving(answering(HELLO)) as server, httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(httpx.LocalProtocolError, match="Content-Length"):
            await http.post(
                server.url, content=Parts(b"one", b"two"), headers={"Content-Length": length}
            )
        assert transport.open_connections == 0


async def test_an_early_refusal_ends_a_streamed_upload() -> None:
    """The rest of the body is not asked for."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"

    async def script(peer: Peer) -> None:
        await peer.stream.receive_some(1000)
        await peer.send(refusal)
        await trio.sleep_forever()

    async with serving(script) as server, httpx.AsyncClient(transport=Transport()) as http:
        body = Parts(*[b"x" * 1_000_000] * 30)
        answer = await http.post(server.url, content=body)
        assert answer.status_code == 413
        assert body.left > 0


async def test_a_request_body_that_fails_closes_the_connection() -> None:
    """What the body raises goes to the caller."""

    async def broken() -> AsyncIterator[bytes]:  # noqa: ASYNC900 - what httpx takes
        yield b"x"
        raise KeyError("mine")

    transport = Transport()
    async with serving(answering(HELLO)) as server, httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(KeyError):
            await http.post(server.url, content=broken())
        assert transport.open_connections == 0


async def test_no_head_in_time_is_a_read_timeout() -> None:
    """The read limit counts for each read."""

    async def silent(peer: Peer) -> None:
        await peer.wait_gone()

    transport = Transport()
    async with serving(silent) as server, httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(server.url, timeout=httpx.Timeout(None, read=0.05))
        assert transport.open_connections == 0
        await server.all_gone()


async def test_a_body_that_stops_is_a_read_timeout() -> None:
    """The head was in time, the rest is not."""

    async def stalls(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await peer.wait_gone()

    transport = Transport()
    async with serving(stalls) as server, httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(server.url, timeout=httpx.Timeout(None, read=0.05))
        assert transport.open_connections == 0


async def test_a_server_that_does_not_read_is_a_write_timeout() -> None:
    """The write limit counts for a whole body that is at hand."""

    async def deaf(peer: Peer) -> None:
        await trio.sleep_forever()

    transport = Transport()
    async with serving(deaf) as server, httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(httpx.WriteTimeout):
            await http.post(
                server.url, content=b"x" * 16_000_000, timeout=httpx.Timeout(None, write=0.05)
            )
        assert transport.open_connections == 0


async def deaf_handshake(patience: float | None) -> float:
    """How long a connect takes to give up on a server that does not shake hands."""

    async def deaf(peer: Peer) -> None:
        await trio.sleep_forever()

    timeout = httpx.Timeout(None, connect=patience)
    async with serving(deaf) as server, httpx.AsyncClient(transport=Transport()) as http:
        start = trio.current_time()
        with pytest.raises(httpx.ConnectTimeout):
            await http.get(f"https://127.0.0.1:{server.origin.port}", timeout=timeout)
        return trio.current_time() - start


async def test_a_handshake_that_hangs_is_a_connect_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """TLS counts as connecting; the request's own limit wins."""
    assert await deaf_handshake(3.0) == 3.0


async def test_errors_on_the_way_are_httpx_errors() -> None:
    """A cut body and a compressed answer, as its users know them."""
    async with httpx.AsyncClient(transport=Transport()) as http:
        async with serving(saying([OK + b"Content-Length: 50\r\n\r\nhello"])) as server:
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get(server.url)
        async with serving(saying([OK + b"Content-Encoding: br\r\n\r\n"])) as server:
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get(server.url)
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get("ftp://127.0.0.1/")
