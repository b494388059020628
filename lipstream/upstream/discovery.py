"""Which models the backends have, found out beside the requests and kept for when it is asked.

Theory of operation. Each backend's list is fetched by a task of its own, first a moment after the
start, then every ten minutes or so; after a failure sooner, and later each time it fails again. So
a backend that is down holds up no other, and keeps the list that it had. Whoever is about to show
the lists waits, for :data:`PATIENCE` seconds at most, for those that nobody has asked for yet.

The keys that are used say nothing here: a list that is refused is no reason to hold a key for dead.
"""

from __future__ import annotations

import functools
import logging
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from lipstream.config.schema import BackendEntry, HttpEntry
from lipstream.errors import UpstreamFault
from lipstream.interfaces import Backend
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.model_lists import SHAPES, list_models

FIRST = 1.0  # seconds from the start to the first round
INTERVAL = 600.0  # seconds between rounds
RETRY = 15.0  # seconds after a failure; twice that after the next, up to the interval
JITTER = 0.1  # share by which these vary up and down
LIMIT = 10.0  # seconds for one list
PATIENCE = 2.0  # seconds that a client waits for lists that are not known yet

Lister = Callable[[], Awaitable[Sequence[str]]]
"""Fetches one backend's list. Raises UpstreamFault."""

Lists = Mapping[str, Sequence[str]]
"""Models by backend; a backend whose list is not known is not in it."""

log = logging.getLogger(__name__)


class _Source:
    """One backend's list, as far as it is known."""

    def __init__(self, name: str, lister: Lister) -> None:
        self.name = name
        self.lister = lister
        self.models: tuple[str, ...] | None = None
        self.tried_at = -math.inf
        self.was_tried = trio.Event()
        self.is_wanted = trio.Event()


class Discovery:
    """The lists of all backends.

    Args:
        listers: By backend.
        on_change: Are told all that is known, each time that it is something else.
        rng: Spreads the rounds.
    """

    def __init__(
        self,
        listers: Mapping[str, Lister],
        on_change: Sequence[Callable[[Lists], None]],
        rng: random.Random | None = None,
    ) -> None:
        self._sources = [_Source(name, lister) for name, lister in listers.items()]
        self._on_change = on_change
        self._rng = rng or random.Random()
        self._is_running = False

    @property
    def lists(self) -> Lists:
        """What is known."""
        return {source.name: source.models for source in self._sources if source.models is not None}

    async def run(self) -> None:
        """Keeps the lists fresh until cancelled."""
        self._is_running = True
        try:
            async with trio.open_nursery() as nursery:
                for source in self._sources:
                    nursery.start_soon(self._keep, source)
        finally:
            self._is_running = False

    async def ready(self) -> None:
        """Returns when every list was asked for once, or after :data:`PATIENCE`."""
        if not self._is_running:
            return
        unknown = [source for source in self._sources if source.models is None]
        for source in unknown:
            if trio.current_time() >= source.tried_at + RETRY:
                source.is_wanted.set()
        with trio.move_on_after(PATIENCE):
            for source in unknown:
                await source.was_tried.wait()

    async def _keep(self, source: _Source) -> None:
        pause = FIRST
        while True:
            with trio.move_on_after(pause * self._rng.uniform(1 - JITTER, 1 + JITTER)):
                await source.is_wanted.wait()
            source.is_wanted = trio.Event()
            is_fresh = await self._refresh(source)
            pause = INTERVAL if is_fresh else min(INTERVAL, max(RETRY, 2 * pause))

    async def _refresh(self, source: _Source) -> bool:
        """Asks once; whether there was an answer."""
        source.tried_at = trio.current_time()
        models, why = None, "it took too long"
        with trio.move_on_after(LIMIT):
            try:
                models = tuple(await source.lister())
            except UpstreamFault as fault:
                why = str(fault)
        if models is None:
            log.info("%s: no list of models: %s", source.name, why)
        elif models != source.models:
            source.models = models
            for tell in self._on_change:
                tell(self.lists)
        source.was_tried.set()
        return models is not None


def discovery_of(
    entries: Mapping[str, BackendEntry],
    backends: Mapping[str, Backend],
    *on_change: Callable[[Lists], None],
) -> Discovery:
    """The discovery of all backends that have a list and may be asked for it."""
    listers = {
        name: functools.partial(list_models, backend)
        for name, backend in backends.items()
        if isinstance(backend, HttpBackend) and backend.speaks in SHAPES
        if isinstance(entry := entries[name], HttpEntry) and entry.discover
    }
    return Discovery(listers, on_change)
