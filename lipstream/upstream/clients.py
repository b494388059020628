"""The HTTP clients of all backends: those that agree in their settings share one, and with it its
connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lipstream.config.schema import HttpEntry, TransportKind
from lipstream.upstream.client import Client
from lipstream.upstream.httpx_client import HttpxClient
from lipstream.upstream.transport import Transport


class _Settings(NamedTuple):
    transport: TransportKind
    connect_timeout: float
    proxy: str | None
    http2: bool


class Clients:
    """Makes clients, one for each kind of settings. Nothing is opened before the first request."""

    def __init__(self) -> None:
        self._made: dict[_Settings, Client] = {}

    @property
    def all(self) -> Sequence[Client]:
        """Those that were made, for whoever has to close them."""
        return tuple(self._made.values())

    def of(self, entry: HttpEntry) -> Client:
        """The client of a backend."""
        proxy = entry.proxy.reveal() if entry.proxy else None
        settings = _Settings(entry.transport, entry.connect_timeout, proxy, entry.http2)
        if settings not in self._made:
            self._made[settings] = _made(settings)
        return self._made[settings]


def _made(settings: _Settings) -> Client:
    timeout = settings.connect_timeout
    if settings.transport is TransportKind.NATIVE:
        return Transport(connect_timeout=timeout)
    return HttpxClient(connect_timeout=timeout, proxy=settings.proxy, http2=settings.http2)
