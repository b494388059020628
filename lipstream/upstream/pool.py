"""Connections that wait for their next request.

The newest is used first, so that a pool that shrank lets the old ones grow stale at the other end.
Nothing here walks over connections: each call touches the one it is about, and those it discards.
There is no upper limit on connections in use, and so nobody ever waits for one.
"""

from __future__ import annotations

from collections import defaultdict, deque

import trio

from lipstream.upstream.client import Origin
from lipstream.upstream.connection import Connection


class Pool:
    """A stack of idle connections per origin.

    Args:
        max_idle: Kept per origin; the oldest makes room.
        max_age: Seconds that a connection may idle. Looked at when one is taken or given back.
    """

    def __init__(self, max_idle: int, max_age: float) -> None:
        self._max_idle = max_idle
        self._max_age = max_age
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)

    def take(self, origin: Origin) -> Connection | None:
        """The newest connection that is fit for a request; it is the caller's from now on."""
        idle = self._idle[origin]
        horizon = trio.current_time() - self._max_age
        while idle:
            connection = idle.pop()
            if connection.idle_since < horizon:
                idle.append(connection)
                _close_all(idle)  # every other one is older still
                break
            connection.settle()
            if connection.is_reusable:
                return connection
            connection.close()
        return None

    def close(self) -> None:
        """Keeps nothing from now on. What is idle is for the owner of all connections to close."""
        self._max_idle = 0
        self._idle.clear()

    def give(self, connection: Connection, finished: bool) -> None:
        """Keeps a connection whose answer is over, closes any other.

        ``finished``: the answer is over for its reader, so its last bytes may be yet to come.
        """
        if not connection.parser.complete and finished:
            connection.settle()
        if not (connection.is_reusable or (finished and connection.is_unfinished)):
            connection.close()
            return
        idle = self._idle[connection.origin]
        connection.idle_since = trio.current_time()
        idle.append(connection)
        if len(idle) > self._max_idle or idle[0].idle_since < connection.idle_since - self._max_age:
            idle.popleft().close()


def _close_all(connections: deque[Connection]) -> None:
    while connections:
        connections.pop().close()
