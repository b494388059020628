"""Hypercorn's HTTP/2 with its faults mended.

- A response that breaks off resets its stream; stock code just stops, and the client waits.
- A client that keeps its window shut holds the writer back; stock code collects without end. And
  it is not waited for longer than the write timeout.
- An upload that is answered before it is complete does not end the connection.
- A drain closes the connection after the end of its last stream, not before.
"""

from __future__ import annotations

from typing import Any

import h2.errors
import h2.events
import h2.exceptions
import trio
from hypercorn.events import Closed, Event
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import BUFFER_LOW_WATER, H2Protocol, StreamBuffer

from lipstream.server.task_group import EdgeTaskGroup


class EdgeBuffer(StreamBuffer):
    """What of a response waits for the client's window.

    The stock buffer lets its writer go on by how much was taken, so a shut window, of which nothing
    is taken, never stops a writer. This one goes by how much is left. And its end is waited for
    until it is sent, not only until the buffer is empty.
    """

    def set_complete(self) -> None:
        """Nothing will be added: from here on ``drain`` waits for :meth:`close`."""
        super().set_complete()
        self._is_empty = type(self._is_empty)()

    async def pop(self, max_length: int) -> bytes:
        """Takes what may be sent now."""
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < BUFFER_LOW_WATER:
            await self._paused.set()
        if not self.buffer and not self._complete:
            await self._is_empty.set()
        return data


class AnsweredStream:
    """Stands for every stream that is over: what the client still sends for it is dropped."""

    async def handle(self, event: StreamEvent) -> None:
        """Drops it."""


class OpenStreams(dict[int, Any]):
    """The streams of a connection by number."""

    def __missing__(self, number: int) -> AnsweredStream:
        return AnsweredStream()


class EdgeH2Protocol(H2Protocol):
    """HTTP/2."""

    task_group: EdgeTaskGroup

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.streams = OpenStreams()

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        await super()._create_stream(request)
        if buffer := self.stream_buffers.get(request.stream_id):
            buffer.__class__ = EdgeBuffer

    async def handle(self, event: Event) -> None:
        """Takes what the connection received; its end frees every writer."""
        await super().handle(event)
        if isinstance(event, Closed):
            for buffer in tuple(self.stream_buffers.values()):
                await buffer.close()

    async def _send_data(self, stream_id: int) -> None:
        buffer = self.stream_buffers.get(stream_id)
        await super()._send_data(stream_id)
        if buffer is not None and stream_id not in self.stream_buffers:
            await buffer.close()  # its end is sent

    async def stream_send(self, event: StreamEvent) -> None:
        """Sends what belongs to one stream; resets the stream where it cannot end normally."""
        buffer = self.stream_buffers.get(event.stream_id)
        if isinstance(event, StreamClosed) and buffer is not None and not buffer.complete:
            await self._reset(event.stream_id)
        with trio.move_on_after(self.task_group.connection.write_timeout) as scope:
            await super().stream_send(event)
        if scope.cancelled_caught:
            await self._reset(event.stream_id)
            await self._close_stream(event.stream_id)

    async def _reset(self, stream_id: int) -> None:
        buffer = self.stream_buffers.get(stream_id)
        try:
            self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
        except h2.exceptions.ProtocolError:
            return  # the stream or the connection is closed already
        if buffer is not None:
            await buffer.close()
            # The sending task finds the stream closed, and forgets it.
            self.priority.unblock(stream_id)
            await self.has_data.set()
        await self._flush()
