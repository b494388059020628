"""Long answers cost what their length costs: time and memory grow with it, and no faster.

CPU time is measured, and the bounds are several times what it takes, so that a busy machine does
not matter; work that grows with the square would be off by orders of magnitude.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from lipstream.canonical import events as e
from lipstream.canonical.limits import MIB
from lipstream.compose import DIALECTS
from lipstream.server.ways import SERVERS
from tests.recorded.passage import SEALER, body_to, call_of, fold, read_body

SIZE = 5 * MIB
SMALL = 128  # bytes of a delta; models send less, but then it takes longer to be 5 MB
LIMIT = 10.0  # seconds for each pair of protocols
READ = 256  # frames of one network read
FEW, MANY = 3_000, 48_000  # deltas of one byte
SLOWER = 5  # than the deltas before them the later ones may be; the square would be 16 times
PER_DELTA = 100  # bytes of memory
AT_MOST = 4 * MIB  # besides

KINDS = ("text", "arguments")


@attrs.frozen
class Wire:
    """An upstream's stream: what begins it, one delta, and what ends it."""

    start: bytes
    delta: bytes
    end: bytes

    def reads(self, count: int) -> Iterator[bytes]:
        """All of it with so many deltas, as it comes from the network."""
        yield self.start
        for done in range(0, count, READ):
            yield self.delta * min(READ, count - done)
        yield self.end


def wire(dialect: str, kind: str, piece: str) -> Wire:
    """An answer that says the same piece again and again."""
    if (dialect, kind) == ("gemini", "arguments"):
        return gemini_arguments(piece)
    encoder = SERVERS[dialect].stream_encoder(call_of(dialect))
    begin: list[e.Event] = [e.Started("c", "m", 1), e.MessageStarted()]
    if kind == "text":
        delta: e.Event = e.TextDelta(piece)
        start = encoder.encode([*begin, delta])
        again, last = encoder.encode([delta]), []
    else:
        start = encoder.encode([*begin, e.ToolCallStarted(0, "a", "f"), e.ToolCallDelta(0, '"')])
        again = encoder.encode([e.ToolCallDelta(0, piece)])
        last = [e.ToolCallDelta(0, '"'), e.ToolCallFinished(0)]
    end = [*last, e.MessageFinished(e.FinishReason.STOP), e.Finished()]
    return Wire(start, again, encoder.encode(end))


def gemini_arguments(piece: str) -> Wire:
    """Gemini's way to stream the arguments of a call."""

    def chunk(call: Any, **more: Any) -> bytes:
        content = {"role": "model", "parts": [{"functionCall": call}]}
        candidate = {"content": content, "index": 0, **more}
        value = {"candidates": [candidate], "modelVersion": "m", "responseId": "c"}
        return b"data: " + json.dumps(value).encode() + b"\n\n"

    part = {"jsonPath": "$.a", "stringValue": piece, "willContinue": True}
    last = {"jsonPath": "$.a", "stringValue": ""}
    return Wire(
        chunk({"name": "f", "willContinue": True}),
        chunk({"partialArgs": [part], "willContinue": True}),
        chunk({"partialArgs": [last], "willContinue": True}) + chunk({}, finishReason="STOP"),
    )


@attrs.define
class Passing:
    """One upstream's stream on its way to one client of each protocol.

    Attributes:
        decoding: CPU seconds.
        encoding: The same for every client.
        sent: Bytes to every client.
    """

    decoding: float = 0.0
    encoding: dict[str, float] = attrs.Factory(lambda: dict.fromkeys(SERVERS, 0.0))
    sent: dict[str, int] = attrs.Factory(lambda: dict.fromkeys(SERVERS, 0))

    def run(self, dialect: str, stream: Wire, count: int) -> e.Event:
        """Decodes and encodes read by read; returns the last event."""
        decoder = DIALECTS[dialect].stream_decoder(SEALER)
        encoders = {name: SERVERS[name].stream_encoder(call_of(name)) for name in SERVERS}
        batch: e.Batch = []
        for data in (*stream.reads(count), None):
            began = time.process_time()
            batch = (decoder.end() if data is None else decoder.feed(data)) or batch
            self.decoding += time.process_time() - began
            for name, encoder in encoders.items():
                began = time.process_time()
                self.sent[name] += len(encoder.encode(batch))
                self.encoding[name] += time.process_time() - began
        assert decoder.dropped_events == 0
        return batch[-1]

    def pairs(self) -> dict[str, float]:
        """CPU seconds from the upstream to each client."""
        return {name: self.decoding + seconds for name, seconds in self.encoding.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dialect", SERVERS)
def test_five_megabytes_pass_in_seconds(dialect: str, kind: str) -> None:
    """From every protocol to every other, and all of it arrives."""
    passing = Passing()
    last = passing.run(dialect, wire(dialect, kind, "x" * SMALL), SIZE // SMALL)
    assert isinstance(last, e.Finished)
    assert max(passing.pairs().values()) < LIMIT
    assert min(passing.sent.values()) >= SIZE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dialect", SERVERS)
def test_later_deltas_cost_no_more_than_earlier_ones(dialect: str, kind: str) -> None:
    """One byte each, which is the worst that a provider can do."""
    stream = wire(dialect, kind, "x")
    few, many = Passing(), Passing()
    few.run(dialect, stream, FEW)
    many.run(dialect, stream, MANY)
    for name, seconds in many.pairs().items():
        allowed = few.pairs()[name] * MANY / FEW * SLOWER
        assert seconds < allowed + 0.1, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dialect", SERVERS)
def test_memory_is_bounded_by_what_was_said(dialect: str, kind: str) -> None:
    """However many pieces it came in; some protocols repeat it all at the end."""
    stream = wire(dialect, kind, "x")
    count = FEW
    tracemalloc.start()
    try:
        Passing().run(dialect, stream, count)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < AT_MOST + count * PER_DELTA * len(SERVERS)


@pytest.mark.parametrize("target", SERVERS)
def test_whole_answers_of_five_megabytes_pass_in_seconds(target: str) -> None:
    """A text and the arguments of a call, folded from small pieces."""
    piece = "x" * SMALL
    count = SIZE // SMALL
    began = time.process_time()
    answer = fold(
        [
            e.Started("c", "m", 1),
            e.MessageStarted(),
            *[e.TextDelta(piece)] * count,
            e.ToolCallStarted(0, "a", "f"),
            e.ToolCallDelta(0, '{"a":"'),
            *[e.ToolCallDelta(0, piece)] * count,
            e.ToolCallDelta(0, '"}'),
            e.ToolCallFinished(0),
            e.MessageFinished(e.FinishReason.TOOL_CALLS),
            e.Finished(),
        ]
    )
    body = body_to(target, answer)
    assert len(body) > 2 * SIZE
    assert read_body(target, body).fault is None
    assert time.process_time() - began < LIMIT
