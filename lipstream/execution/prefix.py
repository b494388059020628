"""What an attempt holds back until it may commit: bounded, and dropped with the attempt."""

from __future__ import annotations

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.canonical.policy import CommitPoint
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.lifecycle.finish_line import FinishLine


class Prefix:
    """The events of an attempt before its commit, in order.

    Attributes:
        is_speaking: The model says something that only does not count yet: time to the first
            content is not what it lacks.
    """

    __slots__ = ("_events", "_line", "_point", "_size")

    is_speaking: bool = False

    def __init__(self, point: CommitPoint) -> None:
        self._point = point
        self._line = FinishLine(point)
        self._events: e.Batch = []
        self._size = 0

    def add(self, batch: e.Batch) -> bool:
        """Holds a batch; True when the attempt may commit with what is held now.

        Content that only does not count yet is let go when it gets too much to hold.

        Raises:
            UpstreamFault: the batch says so, a tool call is broken, or there is too much.
        """
        is_enough = self._has_crossed(batch)
        self._events += batch
        return is_enough or self._is_full(batch)

    def pass_on(self, batch: e.Batch) -> e.Batch:
        """What of a batch is for the client."""
        return batch

    def take(self) -> e.Batch:
        """What is held, once; after that, nothing."""
        events, self._events = self._events, []
        return events

    def _has_crossed(self, batch: e.Batch) -> bool:
        for event in batch:
            if isinstance(event, e.StreamFailed):
                raise event.fault
            if self._line.is_crossed_by(event):
                return True
        if self._line.is_broken:
            raise UpstreamFault(FaultKind.PROTOCOL, "a tool call's arguments are not JSON")
        return False

    def _is_full(self, batch: e.Batch) -> bool:
        self._size += sum(map(_size, batch))
        limits = STREAM_LIMITS
        is_full = len(self._events) > limits.held_events or self._size > limits.held_bytes
        if is_full and self._point is CommitPoint.CONTENT:
            raise UpstreamFault(FaultKind.PROTOCOL, "too much before anything that counts")
        return is_full


def _size(event: e.Event) -> int:
    """Roughly what holding an event costs, in bytes."""
    payload = sum(len(getattr(event, name, "")) for name in ("text", "arguments", "url"))
    return payload + (len(event.source.data) if event.source else 0)
