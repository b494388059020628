"""What the proxy itself costs: CPU time per request and per event, and the latency it adds.

    python -m bench.cost [--quick] [--rounds N] [--window SECONDS] [--json FILE]

CPU time is the kernel's accounting of the proxy's process, so it does not matter how fast the
emulator and the client are, unless they are too slow to bring the load about; they have a core of
their own, and how busy they kept it is in the table. Each round visits every case and, for the
latency, does the same work without the proxy; told are the medians of the rounds.

- **requests**: answers in one piece, a closed loop.
- **paced**: streams that stay open while they are measured, about 2,000 events per second in all
  whatever their number, so that only the number of open streams differs.
- **burst**: whole streams as fast as they come, a closed loop.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from bench import report
from bench.report import Row, median, milliseconds, percentile, rounded, shown
from bench.rig import Rig, exit_on_signal
from bench.work import BURST_WORDS, CASES, WORDS, Bench, Case, Sample

BUSY = 0.9  # share of the load's core from which on it may be what holds things up
ROUNDS, QUICK_ROUNDS = 5, 1
WINDOW, QUICK_WINDOW = 2.0, 0.7


@attrs.frozen
class Bar:
    """What the project promises of a case: CPU microseconds per unit, or times those of another."""

    case: str
    limit: float
    over: str | None = None

    def value(self, costs: Mapping[str, float]) -> float:
        """What was measured; NaN where it was not."""
        cost = costs.get(self.case, math.nan)
        return cost / costs.get(self.over, math.nan) if self.over else cost

    def __str__(self) -> str:
        if self.over:
            return f"{self.case}: CPU per unit at most {self.limit:g} x that of {self.over}"
        return f"{self.case}: CPU per unit at most {self.limit:,g} us"


BARS = (
    Bar("requests-1", 1300),
    Bar("requests-16", 1300),
    Bar("paced-64", 230),
    Bar("paced-1000", 1.5, over="paced-64"),
)


# ---------------------------------------------------------------- results


@attrs.frozen
class Result:
    """One case over all rounds: as it is, and without the proxy."""

    case: Case
    samples: Sequence[Sample]
    direct: Sequence[Sample]

    @property
    def cost(self) -> float:
        """CPU microseconds of the proxy per unit."""
        return median(sample.cost for sample in self.samples) * 1e6

    @property
    def rounds(self) -> list[float]:
        """The same for each round, from the least to the most: noise makes it more, never less."""
        return sorted(sample.cost * 1e6 for sample in self.samples)

    @property
    def busy(self) -> float:
        """Share of its core that the load had."""
        return median(sample.busy for sample in self.samples)

    @property
    def wrong(self) -> int:
        """Requests that failed, and upstream requests that were left open."""
        return sum(sample.failed + sample.orphans for sample in (*self.samples, *self.direct))

    def as_row(self) -> Row:
        """For JSON; times in milliseconds, costs in microseconds."""
        row: dict[str, Any] = {
            "case": self.case.name,
            "unit": self.case.unit,
            "rounds": len(self.samples),
            "cpu_us_per_unit": rounded(self.cost, 1),
            "cpu_us_per_unit_rounds": [rounded(cost, 1) for cost in self.rounds],
            "proxy_cpu_share": rounded(median(s.cpu / s.seconds for s in self.samples)),
            "load_cpu_share": rounded(self.busy),
            "failed": sum(s.failed for s in self.samples),
            "orphans": sum(s.orphans for s in self.samples),
        }
        for name, samples in (("", self.samples), ("direct_", self.direct)):
            row[f"{name}units_per_s"] = rounded(median(s.rate for s in samples), 1)
            for label, share in (("p50", 0.5), ("p99", 0.99)):
                row[f"{name}latency_{label}_ms"] = rounded(_latency(samples, share) * 1e3)
        return row


def _latency(samples: Sequence[Sample], share: float) -> float:
    return median(percentile(sample.latency, share) for sample in samples)


# ---------------------------------------------------------------- telling

COLUMNS = (
    "case", "CPU us per unit", "in the rounds", "units/s", "proxy", "load", "p50 ms", "p99",
    "direct units/s", "p50 ms", "p99",
)  # fmt: skip


def tell(results: Sequence[Result]) -> None:
    """Prints the table, the bars beside what was measured, and whether the load kept up."""
    report.print_table("cost", COLUMNS, map(_cells, results))
    costs = {result.case.name: result.cost for result in results}
    for bar in BARS:
        value = bar.value(costs)
        if not math.isnan(value):
            verdict = "within" if value <= bar.limit else "OVER"
            report.say(f"{verdict:<7}{bar}; measured {value:,.{2 if bar.over else 0}f}")
    slow = [result.case.name for result in results if result.busy > BUSY]
    if slow:
        report.say(
            f"The emulator and the client had more than {BUSY:.0%} of their core in "
            f"{', '.join(slow)}:\nunits/s and latencies there are theirs, not the proxy's."
        )
    report.say(NOTES)


def _cells(result: Result) -> list[str]:
    samples, direct = result.samples, result.direct
    least, most = result.rounds[0], result.rounds[-1]
    return [
        result.case.name,
        shown(result.cost, 0),
        f"{shown(least, 0)}-{shown(most, 0)}",
        shown(median(s.rate for s in samples), 0),
        f"{shown(median(s.cpu / s.seconds for s in samples) * 100, 0)} %",
        f"{shown(result.busy * 100, 0)} %",
        milliseconds(_latency(samples, 0.5), 2),
        milliseconds(_latency(samples, 0.99), 2),
        shown(median(s.rate for s in direct), 0),
        milliseconds(_latency(direct, 0.5), 2),
        milliseconds(_latency(direct, 0.99), 2),
    ]


NOTES = f"""\
A unit is a request, or one content event. CPU us per unit: the median of the rounds; where they are
far apart, others had the machine, and the least is nearest to the truth. proxy, load: the share of
a core that the proxy had, and the emulator and the client together. p50, p99: latency of whole
requests and streams, and of paced events from the moment they were due at the emulator, whose clock
ticks by the millisecond. direct: the same without the proxy. Answers in one piece are {WORDS}
words, burst streams {BURST_WORDS} events. Upstream all are streams, each event sent alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when every request was answered and nothing was left open."""
    parser = report.parser("cost", "CPU time and latency of the proxy.")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--window", type=float, metavar="SECONDS", help="of one measurement")
    names = [case.name for case in CASES]
    parser.add_argument("--only", choices=names, action="append", help="of the cases")
    options = parser.parse_args(arguments)
    if not Path("/proc/self/stat").exists():
        parser.error("this needs the kernel's accounting of CPU time in /proc, which Linux has")
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    window = options.window or (QUICK_WINDOW if options.quick else WINDOW)
    cases = [case for case in CASES if case.name in (options.only or names)]
    with Rig() as rig:
        report.say(f"cost: {rig.cores}; {rounds} rounds, {window:g} s each case")
        results = run(Bench.start(rig, window), cases, rounds, window)
    tell(results)
    about = report.machine_row("cost", rounds=rounds, window=window)
    report.write_json_lines(options.json, [about, *(result.as_row() for result in results)])
    return 1 if any(result.wrong for result in results) else 0


def run(bench: Bench, cases: Sequence[Case], rounds: int, window: float) -> list[Result]:
    """Every case in every round, each round in another order; the direct ones take half as long."""
    made: dict[str, tuple[list[Sample], list[Sample]]] = {case.name: ([], []) for case in cases}
    for number in range(rounds):
        start = number % len(cases)
        for case in (*cases[start:], *cases[:start]):
            proxied, direct = made[case.name]
            proxied.append(bench.measure(case, window, is_direct=False))
            direct.append(bench.measure(case, window / 2, is_direct=True))
    return [Result(case, *made[case.name]) for case in cases]


if __name__ == "__main__":
    exit_on_signal()
    sys.exit(main())
