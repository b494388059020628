"""The stack of idle connections, with connections that note who looks at them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from lipstream.upstream.client import Origin
from lipstream.upstream.connection import Connection
from lipstream.upstream.pool import Pool

ORIGIN = Origin("http", "example.test", 80)
touched: list[Idle] = []


class Idle:
    """A connection at rest; every look at it is noted."""

    origin = ORIGIN
    idle_since = 0.0
    is_reusable = True
    is_unfinished = False
    parser = SimpleNamespace(complete=True)

    def __getattribute__(self, name: str) -> object:
        touched.append(self)
        return super().__getattribute__(name)

    def settle(self) -> None: ...

    def close(self) -> None: ...


def as_connection(idle: Idle) -> Connection:
    return cast(Connection, idle)


async def test_taking_and_giving_touch_no_other_idle_connection() -> None:
    """The cost of a request does not grow with the pool."""
    pool = Pool(max_idle=2000, max_age=60.0)
    idle = [Idle() for _ in range(2000)]
    for connection in idle:
        pool.give(as_connection(connection), False)
    touched.clear()
    taken = pool.take(ORIGIN)
    assert taken is as_connection(idle[-1])
    assert {id(connection) for connection in touched} == {id(idle[-1])}
    pool.give(taken, False)
    assert {id(connection) for connection in touched} == {id(idle[-1]), id(idle[0])}


async def test_origins_do_not_share_connections() -> None:
    """Scheme, host and port all count."""
    pool = Pool(max_idle=8, max_age=60.0)
    pool.give(as_connection(Idle()), False)
    for other in (
        ORIGIN._replace(scheme="https"),
        ORIGIN._replace(host="b.test"),
        ORIGIN._replace(port=81),
    ):
        assert pool.take(other) is None
    assert pool.take(ORIGIN) is not None
    assert pool.take(ORIGIN) is None
