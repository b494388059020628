"""What a failing primary costs: the time that failover adds to the first content, for each way to
fail.

    python -m bench.failover [--quick] [--rounds N] [--json FILE]

The fallback answers at once, so nearly all of a request's time is the failover's. Each round sends
every case once, at fixed times that do not depend on the answers, and the fallback is also asked
directly through the proxy: what the others needed beyond its median is what failover added. Where
the primary is silent the route gives it a second, and that second is part of the figure.

Exits with 1 when a request did not end as it should.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from bench import report
from bench.client import Answer, Ask, Client, chat
from bench.report import Row, Summary, milliseconds, shown
from bench.rig import HOST, Program, Provider, Rig, exit_on_signal

WAIT = 1.0
"""Seconds that a route gives to a primary that may be silent."""

GAP = 0.02  # seconds from one request to the next
LEAD = 0.1  # seconds until the first one
LIMIT = 30.0  # seconds for the last answer
SETTLE = 1.0  # seconds in which the upstream requests must be over
ROUNDS, QUICK_ROUNDS = 200, 20

GOOD = "good"
DIRECTLY = "fallback directly"


@attrs.frozen
class Case:
    """One way to fail.

    Attributes:
        script: Of the primary, for the emulator.
        primary: The backend that is asked first; one that nobody listens for is ``closed``.
        limit: Seconds that the route gives to the primary; None for as long as it takes.
        status: What the client must get.
        fallback: The model of the backend that is asked then.
    """

    name: str
    script: Mapping[str, Any] = attrs.field(factory=dict)
    primary: str = "bad"
    limit: float | None = None
    status: int = 200
    fallback: str = GOOD

    @property
    def model(self) -> str:
        """The primary's model."""
        return self.name.replace(" ", "-")

    @property
    def route(self) -> str:
        """The selector."""
        bound = "" if self.limit is None else f"[ttft_timeout={self.limit:.0f}]"
        return f"{bound}{self.primary}:{self.model}|{GOOD}:{self.fallback}"


CASES = (
    Case("connect refused", primary="closed"),
    Case("status 500", {"status": 500}),
    Case("status 429", {"status": 429, "retry_after": 5}),
    Case("reset", {"reset_after": 0}),
    Case("no headers", {"hang_before_headers": True}, limit=WAIT),
    Case("role, then silence", {"role_chunk": True, "hang_after": 0}, limit=WAIT),
    Case("cut before content", {"role_chunk": True, "cut_after": 0}),
    Case("error in the stream", {"role_chunk": True, "error_after": 0}),
    Case("not HTTP", {"garbage": "head"}),
    Case("not an event stream", {"garbage": "body"}),
    Case("all fail", {"status": 500}, status=502, fallback="bad-too"),
)


@attrs.frozen
class Result:
    """One case. Times in seconds.

    Attributes:
        added: To the first content, or to the error where all fail.
        upstream: Upstream requests for each request; a refused connection is none.
        statuses: How often each status came; 0 stands for none.
    """

    case: str
    added: Summary
    upstream: float
    statuses: Mapping[int, int]
    wrong: int

    def as_row(self) -> Row:
        """For JSON."""
        return {
            "case": self.case,
            **self.added.as_row("added"),
            "upstream_requests": round(self.upstream, 3),
            "statuses": dict(self.statuses),
            "wrong": self.wrong,
        }


# ---------------------------------------------------------------- running


def scripts() -> Mapping[str, Any]:
    """By model, for the emulator."""
    good = {GOOD: {"words": 8}, "bad-too": {"status": 500}}
    return good | {case.model: case.script for case in CASES}


def plan(port: int, rounds: int) -> Iterator[tuple[str, Ask]]:
    """Every case once in each round, with the name under which the ledger has it."""
    routes = {DIRECTLY: f"{GOOD}:{GOOD}"} | {case.name: case.route for case in CASES}
    at = time.monotonic() + LEAD
    for _ in range(rounds):
        for name, route in routes.items():
            yield name, Ask(port, chat(route, name), at)
            at += GAP


def run(proxy: Program, emulator: Provider, rounds: int) -> tuple[list[Result], int]:
    """The results, the fallback's own first, and how many upstream requests were left open."""
    with Client() as client:
        client.run(ask for _, ask in plan(proxy.port, 1))  # warm up
        client.answers.clear()
        emulator.reset()
        asked = list(plan(proxy.port, rounds))
        client.run((ask for _, ask in asked), until=asked[-1][1].at + LIMIT)
        answers = defaultdict(list)
        for (name, _), answer in zip(asked, client.answers, strict=True):
            answers[name].append(answer)
    orphans = emulator.open_requests(SETTLE)
    upstream = Counter(seen.name for seen in emulator.ledger())
    directly = Case(DIRECTLY)
    base = report.median(time_of(answer, directly) for answer in answers[DIRECTLY])
    results = [
        summarise(case, answers[case.name], upstream[case.name], base)
        for case in (directly, *CASES)
    ]
    return results, orphans


def time_of(answer: Answer, case: Case) -> float:
    """From the time it was due to the first content, or to the end of an error; at least 0."""
    at = answer.content_at if case.status == 200 else answer.ended_at
    return max(0.0, (answer.ask.at if at is None else at) - answer.ask.at)


def is_right(answer: Answer, case: Case) -> bool:
    """A whole answer where one is possible, the right error where not."""
    if case.status == 200:
        return answer.is_good
    return answer.status == case.status and answer.is_over and not answer.failure


def summarise(case: Case, answers: Sequence[Answer], upstream: int, base: float) -> Result:
    """One line of the table; the fallback's own time stands for itself."""
    right = [answer for answer in answers if is_right(answer, case)]
    less = 0.0 if case.name == DIRECTLY else base
    return Result(
        case.name,
        Summary.of([time_of(answer, case) - less for answer in right]),
        upstream / len(answers),
        Counter(answer.status or 0 for answer in answers),
        len(answers) - len(right),
    )


# ---------------------------------------------------------------- telling

COLUMNS = ("added, in ms", "p50", "p95", "p99", "upstream requests", "status", "wrong")


def tell(results: Sequence[Result], rounds: int, orphans: int) -> None:
    """Prints the table."""
    report.print_table(f"failover: {rounds} rounds", COLUMNS, map(_cells, results))
    report.say(f"{NOTES}\nUpstream requests left open: {orphans}")


def _cells(result: Result) -> list[str]:
    added = result.added
    return [
        result.case,
        *(milliseconds(value) for value in (added.p50, added.p95, added.p99)),
        shown(result.upstream, 2),
        ", ".join(f"{status or 'none'}" for status in sorted(result.statuses)),
        str(result.wrong),
    ]


NOTES = f"""\
The first line is the whole time of asking the fallback alone, the others what came on top of its
median. Silent primaries get {WAIT:g} s by the route. A kept connection that breaks before any
answer is taken for one that was dead already, and the request is sent again on a new one; when all
have failed, one of them is asked again after a short pause."""


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections: it is taken, and nobody listens on it."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        yield sock.getsockname()[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when every request ended as it should."""
    parser = report.parser("failover", "What failover adds to the time to first content.")
    parser.add_argument("--rounds", type=int, metavar="N")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    with Rig() as rig, closed_port() as port:
        report.say(f"failover: {rig.cores}")
        emulator = rig.emulator(scripts())
        urls = {GOOD: emulator.base_url, "bad": emulator.base_url}
        urls["closed"] = f"http://{HOST}:{port}/v1"
        proxy = rig.proxy(urls, {"patience": "off"})
        results, orphans = run(proxy, emulator, rounds)
    tell(results, rounds, orphans)
    about = report.machine_row("failover", rounds=rounds, orphans=orphans)
    report.write_json_lines(options.json, [about, *(result.as_row() for result in results)])
    return 1 if orphans or any(result.wrong for result in results) else 0


if __name__ == "__main__":
    exit_on_signal()
    sys.exit(main())
