"""The tasks of one connection: Hypercorn's task group with an inbox per request.

Stock code feeds an application through a channel of a few messages and waits for room in it, also
when the application has answered and will never read again. The
:class:`~lipstream.server.connection.Inbox` lets go as soon as the request is over, tells at once
that the client left, and is cheaper.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from lipstream.server.connection import EXTENSION, Inbox, Peer, log

Send = Callable[[ASGISendEvent | None], Awaitable[None]]


class Connection(Peer, Protocol):
    """What the protocols ask of the connection under them."""

    write_timeout: float

    async def read_ahead(self) -> None:
        """Reads and keeps what the client sends; raises as a read does when it leaves."""


async def _run_app(app: AppWrapper, scope: Scope, inbox: Inbox, send: Send) -> None:
    try:
        await app(scope, inbox.receive, send, trio.to_thread.run_sync, trio.from_thread.run)
    except* Exception:  # noqa: BLE001 - one request must not end its connection
        log.exception("the application failed on %s", scope.get("path", scope["type"]))
    finally:
        inbox.end()
    # Not after a cancellation: only the end of the whole connection cancels an application.
    await send(None)


class EdgeTaskGroup(TaskGroup):
    """The tasks of one connection: one per request, each with its inbox.

    Attributes:
        inbox: Of the latest request.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.inbox = Inbox()

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Send
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Starts the application on one request and returns what feeds it."""
        self.inbox = Inbox()
        if scope["type"] == "http":
            scope["extensions"][EXTENSION] = {"inbox": self.inbox, "peer": self.connection}
        self.spawn(_run_app, app, scope, self.inbox, send)
        return self.inbox.put
