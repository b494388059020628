"""What a codec costs: CPU time to read one event of each protocol and to write it again.

    python -m bench.codec [--quick] [--rounds N] [--size BYTES] [--json FILE]

No sockets and no server: one process, one thread, a stream of events of about the same size on the
wire. *decode* is the bytes of one event to canonical events, *encode* the way back as any other
protocol's events go it, *pass on* the same with the bytes that the event was read from, for clients
of the same protocol. *JSON alone* is msgspec reading the payload into dicts and writing it again:
what could not be saved by writing the codecs better. Told are the medians of the rounds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import attrs
import msgspec

from bench import report
from bench.report import Row, median, rounded, shown
from lipstream.canonical import events as e
from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call
from lipstream.canonical.seal import UNKNOWN_ORIGIN
from lipstream.compose import DIALECTS
from lipstream.server.ways import SERVERS

ROUNDS, QUICK_ROUNDS = 9, 3
EVENTS, QUICK_EVENTS = 5000, 1000
SIZE = 300  # bytes of an event on the wire
BAR = 10.0  # us for decode and encode together

T = TypeVar("T")
R = TypeVar("R")
Make = Callable[[str], e.Event]

KINDS: Mapping[str, tuple[Sequence[e.Event], Make]] = {
    # what comes before the events, and what makes one of them
    "text": ((), e.TextDelta),
    "reasoning": ((), e.ReasoningDelta),
    "tool arguments": (
        (e.ToolCallStarted(0, "call_1", "f"),),
        lambda text: e.ToolCallDelta(0, json.dumps(text)),
    ),
}
WHOLE_CALLS = frozenset({"gemini"})  # protocols that send a call's arguments in one piece


@attrs.frozen
class Result:
    """One protocol and kind of event; times in microseconds per event."""

    protocol: str
    kind: str
    size: float
    decode: float
    encode: float
    pass_on: float
    json_alone: float

    @property
    def both(self) -> float:
        """What an event costs that changes its protocol."""
        return self.decode + self.encode

    def as_row(self) -> Row:
        """For JSON."""
        return {
            "protocol": self.protocol,
            "kind": self.kind,
            "bytes": rounded(self.size, 1),
            "decode_us": rounded(self.decode),
            "encode_us": rounded(self.encode),
            "pass_on_us": rounded(self.pass_on),
            "json_alone_us": rounded(self.json_alone),
        }


def _call(protocol: str) -> Call:
    """A call that streams in the protocol, with everything asked for that it could show."""
    action = "streamGenerateContent"
    ask = Ask("m", action, {"alt": "sse"}) if protocol == "gemini" else Ask()
    call = SERVERS[protocol].decode_request(_REQUESTS[protocol], ask)
    return call.changed(is_streaming=True)


_REQUESTS = {
    "openai_chat": b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}',
    "openai_responses": b'{"model":"m","input":"hi","stream":true}',
    "anthropic_messages": (
        b'{"model":"m","max_tokens":9999,"messages":[{"role":"user","content":"hi"}],'
        b'"thinking":{"type":"enabled","budget_tokens":2048},"stream":true}'
    ),
    "gemini": (
        b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}],'
        b'"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}'
    ),
}


def measure(protocol: str, kind: str, size: int, count: int) -> Result:
    """One round of one protocol and kind."""
    before, make = KINDS[kind]
    opening = [e.Started("id-1", "m", 1), e.MessageStarted(), *before]
    call = _call(protocol)
    text = _text(call, opening, make, size)
    encoder = SERVERS[protocol].stream_encoder(call)
    head = encoder.encode([*opening, make(text)])  # the first of its kind opens a part
    batches: list[e.Batch] = [[make(text)] for _ in range(count)]
    encode, pieces = _timed(encoder.encode, batches)
    decoder = DIALECTS[protocol].stream_decoder(UNKNOWN_ORIGIN)
    decoder.feed(head)
    decode, read = _timed(decoder.feed, pieces)
    passing = SERVERS[protocol].stream_encoder(call)
    passing.encode(DIALECTS[protocol].stream_decoder(UNKNOWN_ORIGIN).feed(head))
    pass_on, again = _timed(passing.encode, read)
    payloads = [piece.partition(b"data: ")[2] for piece in pieces]
    if b"".join(again) != b"".join(pieces):
        raise AssertionError(f"{protocol}: {kind} was not passed on as it was")
    alone, _ = _timed(lambda data: msgspec.json.encode(msgspec.json.decode(data)), payloads)
    sent = sum(map(len, pieces)) / count
    return Result(protocol, kind, sent, decode, encode, pass_on, alone)


def _text(call: Call, opening: e.Batch, make: Make, size: int) -> str:
    """Text that makes an event as long as it should be."""
    encoder = SERVERS[call.dialect].stream_encoder(call)
    encoder.encode([*opening, make("x")])
    bare = len(encoder.encode([make("x")]))
    words = "the quick brown fox jumps over the lazy dog "
    missing = max(16, size - bare)
    return (words * (missing // len(words) + 1))[:missing]


def _timed(work: Callable[[T], R], items: Sequence[T]) -> tuple[float, list[R]]:
    """Microseconds of CPU time per item, and what came out."""
    start = time.process_time_ns()
    results = [work(item) for item in items]
    return (time.process_time_ns() - start) / 1e3 / len(items), results


def run(rounds: int, size: int, count: int) -> Iterator[Result]:
    """The medians of the rounds for each protocol and kind."""
    for protocol in SERVERS:
        for kind in KINDS:
            if kind == "tool arguments" and protocol in WHOLE_CALLS:
                continue
            made = [measure(protocol, kind, size, count) for _ in range(rounds)]
            yield Result(
                protocol,
                kind,
                *(
                    median(getattr(one, name) for one in made)
                    for name in ("size", "decode", "encode", "pass_on", "json_alone")
                ),
            )


# ---------------------------------------------------------------- telling

COLUMNS = ("protocol", "event", "bytes", "decode us", "encode us", "both", "pass on us", "JSON us")


def tell(results: Sequence[Result]) -> None:
    """Prints the table and the bar."""
    report.print_table("codec: CPU time per event", COLUMNS, map(_cells, results))
    for result in results:
        if result.both > BAR:
            what = f"{result.protocol}, {result.kind}"
            report.say(f"OVER   {what}: {result.both:.1f} us, at most {BAR:g} us were promised")
    if all(result.both <= BAR for result in results):
        report.say(f"within every event is decoded and encoded in at most {BAR:g} us")


def _cells(result: Result) -> list[str]:
    times = (result.decode, result.encode, result.both, result.pass_on, result.json_alone)
    return [
        result.protocol,
        result.kind,
        shown(result.size, 0),
        *(shown(value, 2) for value in times),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 unless an event was changed on its way."""
    parser = report.parser("codec", "CPU time to read and write one event of each protocol.")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--size", type=int, default=SIZE, metavar="BYTES", help="of an event")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    count = QUICK_EVENTS if options.quick else EVENTS
    results = list(run(rounds, options.size, count))
    tell(results)
    about = report.machine_row("codec", rounds=rounds, events=count)
    report.write_json_lines(options.json, [about, *(result.as_row() for result in results)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
