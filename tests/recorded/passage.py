"""A recorded answer on its way to the clients of every protocol, and what is read there again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer, Collector
from lipstream.canonical.options import Options
from lipstream.canonical.seal import Sealer
from lipstream.compose import DIALECTS
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.lifecycle.grammar import Grammar
from lipstream.server.ways import SERVERS
from tests.recorded.material import Kind, Sample
from tests.recorded.meaning import FAILED, Meaning, differences, fitted, meaning

ORIGIN = "there:m"
SEALER = Sealer(ORIGIN)
OTHER_MODEL = "other"

UNREADABLE = frozenset({FaultKind.PROTOCOL, FaultKind.TRUNCATED})
"""The faults that say that a body was not read; all others are what it tells of."""


@attrs.frozen
class Reading:
    """What became of a body.

    Attributes:
        batches: The events of each piece; together a legal stream.
        dropped: How many events could not be read.
    """

    batches: tuple[e.Batch, ...]
    dropped: int = 0

    @property
    def events(self) -> e.Batch:
        """All of them."""
        return [event for batch in self.batches for event in batch]

    @property
    def fault(self) -> UpstreamFault | None:
        """What failed, if it did."""
        last = self.batches[-1][-1]
        return last.fault if isinstance(last, e.StreamFailed) else None

    @property
    def refusal(self) -> str:
        """Why the body was not read, or not all of it; empty where it was."""
        if self.fault is not None and self.fault.kind in UNREADABLE:
            return f"{self.fault.kind.value}: {self.fault}"
        return f"{self.dropped} events were dropped" if self.dropped else ""

    @property
    def answer(self) -> Answer:
        """All of it at once."""
        return fold(self.events)


# ---------------------------------------------------------------- from an upstream


def read(sample: Sample) -> Reading:
    """A recorded answer."""
    if sample.kind is Kind.BODY:
        return read_body(sample.dialect, sample.body)
    return read_stream(sample.dialect, sample.pieces())


def read_stream(dialect: str, pieces: Iterable[bytes]) -> Reading:
    """A stream, as one who asks a server of that protocol reads it."""
    decoder = DIALECTS[dialect].stream_decoder(SEALER)
    batches = [decoder.feed(piece) for piece in pieces]
    batches.append(decoder.end())
    return _checked([batch for batch in batches if batch], decoder.dropped_events)


def read_body(dialect: str, body: bytes) -> Reading:
    """A whole answer, in the same role."""
    return _checked([DIALECTS[dialect].decode_answer(body, SEALER)], 0)


def _checked(batches: list[e.Batch], dropped: int) -> Reading:
    grammar = Grammar()
    for batch in batches:
        grammar.check(batch)
    assert grammar.is_terminal
    return Reading(tuple(batches), dropped)


def fold(events: Iterable[e.Event]) -> Answer:
    """A whole answer."""
    collector = Collector()
    collector.add(events)
    return collector.answer()


# ---------------------------------------------------------------- to a client


def call_of(dialect: str) -> Call:
    """That of a client who wants to see everything."""
    options = Options(reasoning_summary="auto")
    return Call(dialect=dialect, model="m", messages=(), wants_usage=True, options=options)


def stream_to(dialect: str, batches: Iterable[e.Batch], model: str | None = None) -> bytes:
    """What a client of a protocol gets as a stream."""
    encoder = SERVERS[dialect].stream_encoder(call_of(dialect), model=model)
    return b"".join([encoder.encode(batch) for batch in batches])


def body_to(dialect: str, answer: Answer, model: str | None = None) -> bytes:
    """What a client of a protocol gets that does not stream."""
    return SERVERS[dialect].encode_answer(answer, call_of(dialect), model=model)


def without_sources(batches: Iterable[e.Batch]) -> list[e.Batch]:
    """The same events, none of which may be passed on as it came."""
    return [[event.changed() for event in batch] for batch in batches]


# ---------------------------------------------------------------- and back


@attrs.frozen
class Loss:
    """Something that a client would not get, or not as it was.

    Attributes:
        way: How it went there.
    """

    target: str
    way: str
    what: str
    expected: Any = attrs.field(repr=lambda value: repr(value)[:200])
    found: Any = attrs.field(repr=lambda value: repr(value)[:200])


_Way = Callable[[str, Reading], Reading]

WAYS: Mapping[str, _Way] = {
    "stream": lambda name, it: read_stream(name, [stream_to(name, it.batches)]),
    "body": lambda name, it: read_body(name, body_to(name, it.answer)),
}
REWRITING: Mapping[str, _Way] = {
    "stream anew": lambda name, it: read_stream(
        name, [stream_to(name, without_sources(it.batches), OTHER_MODEL)]
    ),
    "body anew": lambda name, it: read_body(name, body_to(name, it.answer, OTHER_MODEL)),
}
"""What else there is to the clients of the upstream's own protocol."""


def losses(dialect: str, reading: Reading) -> Iterator[Loss]:
    """What is lost of an answer that was read, on all ways to the clients of all protocols."""
    told = meaning(reading.answer)
    for target in SERVERS:
        is_own = target == dialect
        expected = told if is_own else fitted(told, target)
        for way, there_and_back in ({**WAYS, **REWRITING} if is_own else WAYS).items():
            yield from _lost(target, way, expected, there_and_back(target, reading))


def _lost(target: str, way: str, expected: Meaning, again: Reading) -> Iterator[Loss]:
    is_failure = any(said.finish == FAILED for said in expected.choices)
    if is_failure and again.fault is not None and not again.refusal:
        return
    if again.fault is not None or again.refusal:
        yield Loss(target, way, "all of it", "", str(again.fault or again.refusal))
        return
    for what, wanted, got in differences(expected, meaning(again.answer)):
        yield Loss(target, way, what, wanted, got)
