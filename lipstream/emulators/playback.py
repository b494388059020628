"""How an answer goes out: first planned as timed sends and an ending, then played on a connection.

`plan` is pure and applies a script's timing and faults to what a dialect made; `Player` obeys. No
dialect is known here: a stream is three runs of framed events, everything else is a body.

Events that only frame the content (a block's start and stop) are `Lead` or `Tail`: they travel with
the content that follows or that went before and count for nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import attrs
import trio

from lipstream.emulators.alarm import Alarm
from lipstream.emulators.http import (
    LAST_CHUNK,
    Connection,
    Request,
    encode_chunk,
    encode_head,
)
from lipstream.emulators.ledger import Entry, Ledger, Outcome
from lipstream.emulators.script import Break, Script
from lipstream.emulators.timing import Times

NOT_HTTP = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is not HTTP\r\n\r\n"
HTML = b"<html>\n<head><title>502 Bad Gateway</title></head>\n<body></body>\n</html>\n"
BOM = b"\xef\xbb\xbf"
COMMENT = b": PROCESSING\n\n"

BODILESS = frozenset({204, 304})
SENDS_PER_CHECKPOINT = 16
"""Content that is due at once goes out without a pause; after so many, others get their turn."""


Headers = Sequence[tuple[str, str]]


class Lead(bytes):
    """An event that goes out together with the next content event."""


class Tail(bytes):
    """An event that goes out together with the content event before it."""


@attrs.frozen
class Stream:
    """A streamed answer as a dialect frames it, lines ending in LF.

    Content, closing and error are read in the order in which they are sent, not before.

    Attributes:
        opening: Events before the content: a role, a message start.
        content: Events that the script's counts and its pace are about.
        closing: Finish, usage, terminal marker.
        error: The in-band error.
        broken: An event that does not parse.
        is_sse: An event stream: comments, CR LF and a byte order mark are possible.
        is_crlf: The provider ends lines in CR LF.
        is_binary: There are no lines.
        headers: Those of the provider.
    """

    opening: Iterable[bytes]
    content: Iterable[bytes]
    closing: Iterable[bytes]
    error: Iterable[bytes]
    broken: bytes
    content_type: str = "text/event-stream; charset=utf-8"
    is_sse: bool = True
    is_crlf: bool = False
    is_binary: bool = False
    headers: Headers = ()


@attrs.frozen
class Body:
    """An answer in one piece.

    Attributes:
        error: The body that ``error_after`` sends in its place, under the same status.
        events: The content events that it stands for: it is due when the last of them would be.
            0 for an error, which comes as early as the head.
        headers: Those of the provider.
        says_retry: The script's ``retry_after`` goes into a ``Retry-After`` header.
    """

    data: bytes
    error: bytes = b""
    events: int = 0
    content_type: str = "application/json"
    headers: Headers = ()
    says_retry: bool = True


class Mark(enum.Enum):
    """What the ledger notes about a send."""

    HEAD = "head"
    CONTENT = "content"
    NOTHING = "nothing"


class Send(NamedTuple):
    """Bytes that go out together, not before ``at`` seconds from the request."""

    data: bytes
    mark: Mark = Mark.NOTHING
    at: float = 0.0


class Wait(NamedTuple):
    """A pause from the previous step on."""

    seconds: float


class Close(enum.Enum):
    """What becomes of the connection."""

    KEEP = "keep"
    FIN = "fin"
    RESET = "reset"
    NEVER = "never"  # open and silent until the client closes


class End(NamedTuple):
    """The answer's ending, not before ``at`` seconds from the request."""

    outcome: Outcome
    close: Close
    at: float = 0.0


Step = Send | Wait | End

_BROKEN_OFF: dict[Break, tuple[Outcome, Close]] = {
    Break.HANG: ("hung", Close.NEVER),
    Break.CUT: ("cut", Close.FIN),
    Break.RESET: ("reset", Close.RESET),
}


@attrs.frozen
class Framing:
    """How one answer's body is delimited and what its head says of the connection."""

    is_chunked: bool
    is_delimited: bool
    is_kept_alive: bool
    is_crlf: bool = False

    @classmethod
    def of(cls, script: Script, request: Request) -> Framing:
        """What ``script`` wants and ``request`` allows: HTTP/1.0 knows no chunks."""
        is_delimited = not script.close_delimited
        is_chunked = is_delimited and request.version != "1.0"
        is_kept_alive = request.is_kept_alive and is_chunked
        return cls(is_chunked, is_delimited, is_kept_alive, script.crlf)

    def frame(self, event: bytes) -> bytes:
        """An event of a stream as it goes over the wire."""
        text = event.replace(b"\n", b"\r\n") if self.is_crlf else event
        return encode_chunk(text) if self.is_chunked else text


def plan(script: Script, answer: Stream | Body, times: Times, framing: Framing) -> Iterator[Step]:
    """The steps of one answer; the last one is an `End`."""
    if script.reset_after == 0:
        yield End("reset", Close.RESET, times.head)
    elif script.hang_before_headers:
        yield End("hung", Close.NEVER)
    elif script.garbage == "head":
        yield Send(NOT_HTTP, at=times.head)
        yield End("garbage", Close.FIN)
    elif isinstance(answer, Body):
        yield from _play_body(script, answer, times, framing)
    else:
        yield from _play_stream(script, answer, times, framing)


def _play_stream(script: Script, stream: Stream, times: Times, framing: Framing) -> Iterator[Step]:
    has_crlf = (framing.is_crlf or stream.is_crlf) and not stream.is_binary
    framing = attrs.evolve(framing, is_crlf=has_crlf)
    head = _head(script, stream, framing, None)
    if script.cut_in_head is not None:
        yield from _cut_head(head, script.cut_in_head, times.head)
        return
    yield Send(head, Mark.HEAD, times.head)
    if script.garbage == "body":
        yield Send(framing.frame(HTML))
        yield from _end_body(script, "garbage", framing)
        return
    for event in _prelude(script, stream):
        yield Send(framing.frame(event))
    sent = 0
    for event, mark in _events(script, stream):
        index = max(0, sent - 1) if isinstance(event, Tail) else sent
        yield Send(framing.frame(event), mark, times.due(index))
        sent += mark is Mark.CONTENT
    yield from _finish_stream(script, stream, times, framing, sent)


def _prelude(script: Script, stream: Stream) -> Iterator[bytes]:
    """What goes out with the head."""
    if script.bom and stream.is_sse:
        yield BOM
    if script.comments and stream.is_sse:
        yield COMMENT
    if script.role_chunk:
        yield from stream.opening


def _events(script: Script, stream: Stream) -> Iterator[tuple[bytes, Mark]]:
    """Everything up to the break, or up to the closing events where there is none."""
    broken_off = script.first_break()
    limit = broken_off[0] if broken_off else None
    if not script.role_chunk and limit != 0:
        yield from ((event, Mark.NOTHING) for event in stream.opening)
    content = _content(stream, limit)
    if script.garbage == "event":
        content = _with_garbage(content, script, stream.broken)
    for event, mark in content:
        if script.comments and stream.is_sse and mark is Mark.CONTENT:
            yield COMMENT, Mark.NOTHING
        yield event, mark


def _content(stream: Stream, limit: int | None) -> Iterator[tuple[bytes, Mark]]:
    """The content with what frames it, up to and including so many content events."""
    left = limit
    for event in stream.content if limit != 0 else ():
        is_content = not isinstance(event, Lead | Tail)
        yield event, Mark.CONTENT if is_content else Mark.NOTHING
        if left is not None and is_content:
            left -= 1
            if left == 0:
                return


def _with_garbage(
    content: Iterator[tuple[bytes, Mark]], script: Script, broken: bytes
) -> Iterator[tuple[bytes, Mark]]:
    bad = [(broken, Mark.NOTHING)] * script.garbage_count
    sent = 0
    for event, mark in content:
        if sent == script.garbage_at and not isinstance(event, Tail):
            yield from bad
            bad = []
        yield event, mark
        sent += mark is Mark.CONTENT
    yield from bad


def _finish_stream(
    script: Script, stream: Stream, times: Times, framing: Framing, sent: int
) -> Iterator[Step]:
    broken_off = script.first_break()
    if broken_off is None:
        for event in stream.closing:
            yield Send(framing.frame(event), at=times.due(max(0, sent - 1)))
        yield from _end_body(script, "complete", framing)
    elif broken_off[1] is Break.ERROR:
        for event in stream.error:
            yield Send(framing.frame(event), at=times.due(sent))
        yield from _end_body(script, "error", framing)
    else:
        yield End(*_BROKEN_OFF[broken_off[1]], at=times.due(sent))


def _play_body(script: Script, body: Body, times: Times, framing: Framing) -> Iterator[Step]:
    count, kind = script.first_break() or (0, None)
    data, outcome = _body_bytes(script, body, kind)
    at = times.due(body.events - 1) if body.events else times.head
    head = _head(script, body, framing, len(data))
    if script.cut_in_head is not None:
        yield from _cut_head(head, script.cut_in_head, at)
        return
    yield Send(head, Mark.HEAD, at)
    mark = Mark.CONTENT if body.events and data is body.data else Mark.NOTHING
    if kind is None or kind is Break.ERROR:
        yield Send(data, mark)
        yield from _end_body(script, outcome, attrs.evolve(framing, is_chunked=False))
        return
    if count:
        yield Send(data[: len(data) // 2], mark)
    yield End(*_BROKEN_OFF[kind])


def _body_bytes(script: Script, body: Body, kind: Break | None) -> tuple[bytes, Outcome]:
    if script.status in BODILESS:
        return b"", "status"
    if script.garbage == "body":
        return HTML, "garbage"
    if script.status != 200:
        return body.data, "status"
    return (body.error, "error") if kind is Break.ERROR else (body.data, "complete")


def _end_body(script: Script, outcome: Outcome, framing: Framing) -> Iterator[Step]:
    if script.close_delay:
        yield Wait(script.close_delay)
    if framing.is_chunked:
        yield Send(LAST_CHUNK)
    stays = framing.is_kept_alive and not script.close_unannounced
    yield End(outcome, Close.KEEP if stays else Close.FIN)


def _head(script: Script, answer: Stream | Body, framing: Framing, length: int | None) -> bytes:
    """The response head; without ``length`` that of a stream."""
    headers = [("content-type", script.content_type or answer.content_type)]
    if length is None:
        headers.append(("cache-control", "no-cache"))
    if length is not None and framing.is_delimited and script.status not in BODILESS:
        headers.append(("content-length", str(length)))
    if length is None and framing.is_chunked:
        headers.append(("transfer-encoding", "chunked"))
    headers.append(("connection", "keep-alive" if framing.is_kept_alive else "close"))
    if script.retry_after is not None and not (isinstance(answer, Body) and not answer.says_retry):
        headers.append(("retry-after", f"{script.retry_after:g}"))
    given = {name.lower() for name, _ in script.headers}
    own = (header for header in answer.headers if header[0] not in given)
    return encode_head(script.status, [*headers, *own, *script.headers])


def _cut_head(head: bytes, size: int, at: float) -> Iterator[Step]:
    yield Send(head[:size], at=at)
    yield End("cut", Close.FIN)


# ---------------------------------------------------------------- playing


class Player:
    """Obeys the steps of answers and keeps the ledger."""

    def __init__(self, ledger: Ledger, alarm: Alarm) -> None:
        self._ledger = ledger
        self._alarm = alarm

    async def play(
        self, steps: Iterable[Step], connection: Connection, entry: Entry, script: Script
    ) -> bool:
        """True when the connection may serve another request.

        Does not return when the client goes away: the caller is cancelled.
        """
        in_a_row = 0
        for step in steps:
            if isinstance(step, Wait):
                await trio.sleep(step.seconds)
                continue
            due = entry.received_at + step.at
            if step.at and due > trio.current_time():
                await self._alarm.sleep_until(due)
                in_a_row = 0
            if isinstance(step, End):
                return await self._end(step, connection, entry)
            in_a_row += step.mark is Mark.CONTENT
            if in_a_row == SENDS_PER_CHECKPOINT:
                await trio.lowlevel.checkpoint()
                in_a_row = 0
            await self._send(step, connection, entry, script)
        return False

    async def _send(self, send: Send, connection: Connection, entry: Entry, script: Script) -> None:
        if script.trickle:
            await connection.send_in_pieces(send.data, script.trickle)
        else:
            await connection.send(send.data)
        if send.mark is Mark.NOTHING:
            return
        if send.mark is Mark.HEAD:
            entry.headers_sent_at, entry.status = trio.current_time(), script.status
        else:
            entry.chunks_sent += 1
            entry.first_content_at = entry.first_content_at or trio.current_time()
        self._ledger.changed()

    async def _end(self, end: End, connection: Connection, entry: Entry) -> bool:
        entry.outcome = end.outcome
        if end.close is Close.NEVER:
            self._ledger.changed()
            await trio.sleep_forever()
        entry.finished_at = trio.current_time()
        self._ledger.changed()
        if end.close is Close.RESET:
            await connection.reset()
        return end.close is Close.KEEP
