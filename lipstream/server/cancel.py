"""Cancelling a running answer by its id: ``POST /v1/responses/{id}/cancel``.

Only answers that are being streamed have an id that a client can know. What is cancelled ends with
an error in its own stream, and everything that is done for it upstream ends at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from lipstream.errors import BadRequest
from lipstream.execution.live import LiveExchange
from lipstream.interfaces import StreamEncoder


@runtime_checkable
class Named(Protocol):
    """A stream that tells its client an id."""

    @property
    def response_id(self) -> str:
        """The id, the same from the first event to the last."""


def cancel_answer(response_id: str, running: Iterable[tuple[LiveExchange, StreamEncoder]]) -> bool:
    """Ends the answer with this id, and nothing else; False where none is running."""
    for live, encoder in running:
        if isinstance(encoder, Named) and encoder.response_id == response_id:
            live.interrupt(BadRequest("The response was cancelled.", code="response_cancelled"))
            return True
    return False
