"""Backends that agree in their settings share a client."""

from __future__ import annotations

from lipstream.canonical.secret import Secret
from lipstream.config.schema import HttpEntry, TransportKind
from lipstream.upstream.clients import Clients
from lipstream.upstream.httpx_client import HttpxClient
from lipstream.upstream.transport import Transport


async def test_same_settings_share_a_client() -> None:
    """Whatever else differs."""
    clients = Clients()
    first = clients.of(HttpEntry(base_url="http://a"))
    assert isinstance(first, Transport)
    assert clients.of(HttpEntry(base_url="http://b")) is first
    assert clients.all == (first,)


async def test_other_settings_have_their_own() -> None:
    """A proxy, a limit on time, another transport."""
    clients = Clients()
    httpx = HttpEntry(transport=TransportKind.HTTPX)
    proxied = HttpEntry(transport=TransportKind.HTTPX, proxy=Secret("http://127.0.0.1:1"))
    made = [clients.of(entry) for entry in (HttpEntry(connect_timeout=1.0), httpx, proxied)]
    assert [type(client) for client in made] == [Transport, HttpxClient, HttpxClient]
    assert list(clients.all) == made
    for client in made:
        await client.aclose()
