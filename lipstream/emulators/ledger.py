"""What an emulator saw: one entry per request, and the moment each client closed its side.

Times are ``trio.current_time()``; `Ledger.as_json` gives them as ``time.monotonic()``, which every
process of a machine shares.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs
import msgspec
import trio

from lipstream.emulators.http import ClosedBy, Connection, Request
from lipstream.emulators.seen import Seen

Outcome = Literal[
    "complete",
    "status",  # an error status, its body sent whole
    "error",  # an error event inside a 200
    "garbage",  # not HTTP, or a body that is not the protocol
    "cut",
    "reset",
    "hung",
    "aborted_by_client",  # the client closed before the answer was over
    "stopped",  # the emulator was stopped before that
]

LIMIT = 50_000
"""Entries that are kept; the oldest go first."""

LIMIT_PER_CONNECTION = 1_000
"""Entries of one connection that are still told of its end."""


@attrs.define(eq=False)
class Entry:
    """One request and what became of it.

    Attributes:
        number: Counts the emulator's requests from 1.
        connection: The number of its connection: the same for requests that shared one.
        body: The parsed JSON, or None where it does not parse.
        query: Of the URL.
        dialect: The name of the class that read it.
        seen: What it says in the form that all dialects share, or None where it was refused.
        status: The status that was sent, or None.
        received_at: The request's last byte.
        headers_sent_at: The response head was handed to the kernel.
        first_content_at: The first content event was.
        finished_at: Nothing more will be sent.
        closed_at: The client closed or reset its side of the connection, or, where ``closed_by`` is
            ``emulator``, the emulator gave it up. After a complete answer the connection may well
            live on, and with it this stays None.
        outcome: None while the answer is running.
        chunks_sent: Content events.
    """

    number: int
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    model: str
    received_at: float
    status: int | None = None
    headers_sent_at: float | None = None
    first_content_at: float | None = None
    finished_at: float | None = None
    closed_at: float | None = None
    closed_by: ClosedBy | None = None
    outcome: Outcome | None = None
    chunks_sent: int = 0
    query: str = ""
    dialect: str = ""
    seen: Seen | None = None

    @property
    def is_open(self) -> bool:
        """The answer is still running, or hangs."""
        return self.finished_at is None


_TIMES = ("received_at", "headers_sent_at", "first_content_at", "finished_at", "closed_at")


class Ledger:
    """The entries of one emulator, and its open connections."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=LIMIT)
        self._count = 0
        self._connections: dict[int, deque[Entry]] = {}
        self._waiting = 0
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __getitem__(self, index: int) -> Entry:
        return self.entries[index]

    @property
    def open_requests(self) -> list[Entry]:
        """The entries whose answer is running or hangs."""
        return [entry for entry in self.entries if entry.is_open]

    @property
    def connections_open(self) -> int:
        """Connections that neither side has closed."""
        return len(self._connections)

    def of_model(self, model: str) -> list[Entry]:
        """The entries of the requests for ``model``, oldest first."""
        return [entry for entry in self.entries if entry.model == model]

    async def wait_closed(self, entry: Entry) -> None:
        """Wait until the client has closed the connection of ``entry``."""
        await self.wait_for(lambda _: entry.closed_at is not None)

    async def wait_for(self, predicate: Callable[[Ledger], bool]) -> None:
        """Wait until ``predicate`` holds; it is asked again after every change."""
        self._waiting += 1
        try:
            while not predicate(self):
                await self._changed.wait()
        finally:
            self._waiting -= 1

    def clear(self) -> None:
        """Forget every entry; open connections stay open and count."""
        self.entries.clear()
        for entries in self._connections.values():
            entries.clear()
        self.changed()

    def as_json(self) -> bytes:
        """Entries and counts, times in terms of ``time.monotonic()``; ``now`` is the present."""
        now = time.monotonic()
        shift = now - trio.current_time()
        return msgspec.json.encode(
            {
                "now": now,
                "connections_open": self.connections_open,
                "open_requests": len(self.open_requests),
                "entries": [_as_row(entry, shift) for entry in self.entries],
            }
        )

    # ---- written by the emulator

    def changed(self) -> None:
        """Wake whoever waits."""
        if self._waiting:
            self._changed.set()
            self._changed = trio.Event()

    def connected(self, connection: Connection) -> None:
        """A connection was opened."""
        self._connections[connection.number] = deque(maxlen=LIMIT_PER_CONNECTION)
        self.changed()

    def disconnected(self, connection: Connection) -> None:
        """A connection is over, and with it every answer that was running on it."""
        for entry in self._connections.pop(connection.number):
            _end(entry, connection)
        self.changed()

    def enter(self, request: Request, connection: Connection, body: Any, model: str) -> Entry:
        """A new entry for ``request``."""
        self._count += 1
        entry = Entry(
            number=self._count,
            connection=connection.number,
            method=request.method,
            path=request.path,
            headers=request.headers,
            body=body,
            model=model,
            received_at=request.received_at,
            query=request.query,
        )
        self.entries.append(entry)
        if connection.closed_at is None:
            self._connections[connection.number].append(entry)
        else:
            _end(entry, connection)
        self.changed()
        return entry


def _end(entry: Entry, connection: Connection) -> None:
    entry.closed_at, entry.closed_by = connection.closed_at, connection.closed_by
    if entry.outcome is None:
        entry.outcome = "stopped" if connection.closed_by == "emulator" else "aborted_by_client"
    if entry.finished_at is None:
        entry.finished_at = connection.closed_at


def _as_row(entry: Entry, shift: float) -> dict[str, Any]:
    row = attrs.asdict(entry, recurse=False)
    for name in _TIMES:
        if row[name] is not None:
            row[name] += shift
    return row
