"""A provider that answers with bytes that a test has chosen, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
from typing import Any

import trio

from lipstream.emulators import http
from lipstream.emulators.http import Connection, Request


class Verbatim:
    """Answers by model.

    Attributes:
        asked: The bodies by model, as they came.
    """

    def __init__(self) -> None:
        self.asked: dict[str, bytes] = {}
        self.failures: list[Exception] = []
        self._answers: dict[str, bytes] = {}
        self._listener: socket.socket | None = None

    @property
    def origin(self) -> str:
        """Where it listens."""
        assert self._listener is not None
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def set(self, model: str, stream: bytes) -> None:
        """What the requests for a model are answered with."""
        self._answers[model] = stream

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled."""
        self._listener = http.listen("127.0.0.1", 0)
        task_status.started()
        await http.serve(self._listener, self)

    # ---- the site that http.serve serves

    def opened(self, connection: Connection) -> None:
        """Nothing to note."""

    def closed(self, connection: Connection) -> None:
        """Nothing to note."""

    def failed(self, failure: Exception) -> None:
        """Kept, so that the rig fails."""
        self.failures.append(failure)

    async def handle(self, request: Request, connection: Connection) -> bool:
        """Answers one request; it has no list of models."""
        if request.method == "GET":
            await connection.send(http.encode_head(404, [("content-length", "0")]))
            return request.is_kept_alive
        model = model_of(request)
        self.asked[model] = request.body
        stream = self._answers[model]
        headers = [("content-type", "text/event-stream"), ("content-length", str(len(stream)))]
        await connection.send(http.encode_head(200, headers) + stream)
        return request.is_kept_alive


def model_of(request: Request) -> str:
    """The model that a request names, in its path or its body."""
    _, found, rest = request.path.rpartition("/models/")
    if found:
        return rest.rpartition(":")[0]
    fields: dict[str, Any] = json.loads(request.body)
    return str(fields["model"])
