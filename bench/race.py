"""What racing gains and costs: the client's time to first content under several policies.

    python -m bench.race [--quick] [--requests N] [--seed S] [--json FILE] [--plot FILE.svg]

The policies take turns in one run, and request number k meets the same latencies under each of them
(see `provider`). Requests are sent at random times that do not depend on the answers (a Poisson
process); the time to first content counts from the moment a request was due. What a perfect proxy
would have needed is known for each, and the difference is what ours added, and what the emulator
and the client did: that part is in the first policy alone, which asks a backend without a proxy.

Exits with 1 when a request failed or an upstream request was left open.
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from bench import provider, report
from bench.client import Answer, Ask, Client, chat
from bench.report import Row, Summary, milliseconds, shown
from bench.rig import Program, Provider, Rig, Seen, exit_on_signal

HOLD = 1.0
"""Seconds after which the policies that wait ask the second backend."""

RATE = 60.0  # requests per second, all policies together
LEAD = 0.2  # seconds until the first one
LIMIT = 30.0  # seconds for the last answer
WARM_UP = 5  # requests for each policy
SETTLE = 1.0  # seconds after a client's last byte in which its upstream requests must be over
REQUESTS, QUICK_REQUESTS = 300, 40

Latencies = Sequence[float]


@attrs.frozen
class Policy:
    """One way to ask.

    Attributes:
        route: The selector; a backend's id stands for the backend with its model.
        ideal: The time to first content with a perfect proxy, from the backends' latencies.
        patience: Of the proxy that is asked, in seconds; None for one that does not hedge.
        is_race: Losers are cancelled by the winner's first content.
        is_direct: The backend is asked without a proxy.
    """

    name: str
    route: str
    ideal: Callable[[Latencies], float]
    patience: float | None = None
    is_race: bool = True
    is_direct: bool = False

    def model(self, distribution: str) -> str:
        """What the client asks for: a selector, or the first backend's model."""
        if self.is_direct:
            return provider.model_of(distribution, provider.BACKENDS[0])
        text = self.route.format(hold=f"{HOLD:.0f}")
        for backend in provider.BACKENDS:
            model = provider.model_of(distribution, backend)
            text = text.replace(f"<{backend}>", f"{backend}:{model}")
        return text


def _second_after_hold(times: Latencies) -> float:
    return min(times[0], HOLD + times[1])


def _only_second_after_hold(times: Latencies) -> float:
    return times[0] if times[0] <= HOLD else HOLD + times[1]


def _first(times: Latencies) -> float:
    return times[0]


POLICIES = (
    Policy("no proxy", "", _first, is_race=False, is_direct=True),
    Policy("single", "<a>", _first, is_race=False),
    Policy("race of 2", "<a>!<b>", lambda times: min(times[:2])),
    Policy("race of 3", "<a>!<b>!<c>", min),
    Policy("handicap", "[handicap={hold}]<a>!<b>", _second_after_hold),
    Policy("failover", "[ttft_timeout={hold}]<a>|<b>", _only_second_after_hold, is_race=False),
    # The hedges of this one are limited to a share of the requests, so it may miss its ideal.
    Policy("patience", "<a>|<b>", _second_after_hold, patience=HOLD),
)


@attrs.frozen
class Request:
    """One request of the run and what came of it: at the client, and at the backends."""

    policy: Policy
    latencies: Latencies
    answer: Answer
    seen: Sequence[Seen]

    @property
    def ttft(self) -> float | None:
        """Seconds from the moment it was due to the first content at the client."""
        at = self.answer.content_at
        return None if at is None else at - self.answer.ask.at

    @property
    def winner(self) -> Seen | None:
        """The upstream request that was streamed to the client."""
        whole = [seen for seen in self.seen if seen.outcome == "complete"]
        return min(whole, key=lambda seen: seen.first_content_at or 0.0, default=None)

    @property
    def abort_times(self) -> list[float]:
        """Seconds from the winner's first content to each loser's closed socket."""
        began_at = self.winner.first_content_at if self.winner else None
        if began_at is None or not self.policy.is_race:
            return []
        losers = [seen for seen in self.seen if seen.outcome == "aborted_by_client"]
        return [seen.closed_at - began_at for seen in losers if seen.closed_at is not None]

    @property
    def losers_heard_out(self) -> int:
        """Upstream requests beside the winner that were answered to the end."""
        return sum(seen.outcome == "complete" for seen in self.seen if seen is not self.winner)

    @property
    def orphans(self) -> int:
        """Upstream requests that outlived their exchange."""
        over_by = (self.answer.ended_at or 0.0) + SETTLE
        return sum(seen.finished_at is None or seen.finished_at > over_by for seen in self.seen)


@attrs.frozen
class Result:
    """One policy under one distribution. Times in seconds."""

    distribution: str
    policy: str
    ttft: Sequence[float]
    added: Summary
    aborts: Summary
    requests: int
    upstream_requests: int
    losers_heard_out: int
    orphans: int
    failed: int

    @classmethod
    def of(cls, distribution: str, policy: str, requests: Sequence[Request]) -> Result:
        """Counts."""
        good = [(r, r.ttft) for r in requests if r.ttft is not None and r.answer.is_good]
        return cls(
            distribution,
            policy,
            ttft=[ttft for _, ttft in good],
            added=Summary.of([ttft - r.policy.ideal(r.latencies) for r, ttft in good]),
            aborts=Summary.of([seconds for r in requests for seconds in r.abort_times]),
            requests=len(requests),
            upstream_requests=sum(len(r.seen) for r in requests),
            losers_heard_out=sum(r.losers_heard_out for r in requests),
            orphans=sum(r.orphans for r in requests),
            failed=len(requests) - len(good),
        )

    @property
    def extra(self) -> float:
        """Upstream requests beyond one for each, as a share."""
        return self.upstream_requests / self.requests - 1 if self.requests else 0.0

    @property
    def is_clean(self) -> bool:
        """All answered, nothing left open."""
        return not (self.orphans or self.failed)

    def as_row(self) -> Row:
        """For JSON."""
        return {
            "distribution": self.distribution,
            "policy": self.policy,
            "requests": self.requests,
            "failed": self.failed,
            **Summary.of(self.ttft).as_row("ttft"),
            **self.added.as_row("added"),
            "extra_upstream_share": round(self.extra, 4),
            **self.aborts.as_row("cancel_to_abort"),
            "losers_heard_out": self.losers_heard_out,
            "orphans": self.orphans,
        }


# ---------------------------------------------------------------- running


class Bench:
    """The backends and the proxies that the policies need."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self._seed = seed
        self._backends: Provider = rig.provider([*provider.COMMAND, str(seed)])
        urls = dict.fromkeys(provider.BACKENDS, self._backends.base_url)
        self._proxies: Mapping[float | None, Program] = {
            patience: rig.proxy(urls, {"patience": "off" if patience is None else patience})
            for patience in {policy.patience for policy in POLICIES if not policy.is_direct}
        }

    def run(self, distribution: str, count: int, rate: float) -> list[Request]:
        """Send ``count`` requests under each policy, in turns."""
        self._backends.reset()
        plan = list(self._plan(distribution, count, rate))
        with Client() as client:
            client.run((ask for _, _, ask in plan), until=plan[-1][2].at + LIMIT)
            self._backends.open_requests(SETTLE)
            ledger = defaultdict(list)
            for seen in self._backends.ledger():
                ledger[seen.name].append(seen)
            pairs = zip(plan, client.answers, strict=True)
            return [
                Request(
                    policy,
                    self._latencies(distribution, number),
                    answer,
                    ledger[provider.name_of(policy.name, number)],
                )
                for (policy, number, _), answer in pairs
            ]

    def _plan(
        self, distribution: str, count: int, rate: float
    ) -> Iterator[tuple[Policy, int, Ask]]:
        chance = random.Random(f"{self._seed} {distribution}")
        at = time.monotonic() + LEAD
        for number in range(count):
            for policy in chance.sample(POLICIES, len(POLICIES)):
                name = provider.name_of(policy.name, number)
                yield policy, number, self._ask(policy, distribution, name, at)
                at += chance.expovariate(rate)

    def _ask(self, policy: Policy, distribution: str, name: str, at: float = 0.0) -> Ask:
        asked = self._backends if policy.is_direct else self._proxies[policy.patience]
        return Ask(asked.port, chat(policy.model(distribution), name), at)

    def _latencies(self, distribution: str, number: int) -> list[float]:
        models = [provider.model_of(distribution, backend) for backend in provider.BACKENDS]
        return [provider.latency(self._seed, model, number) for model in models]

    def warm_up(self) -> None:
        """Let every proxy and the backends have done everything once."""
        asks = [self._ask(policy, "constant", "warm-up") for policy in POLICIES] * WARM_UP
        with Client() as client:
            client.run(asks, at_most=2, until=time.monotonic() + LIMIT)


def summarise(distribution: str, requests: Sequence[Request]) -> list[Result]:
    """One result for each policy."""
    return [
        Result.of(distribution, policy.name, [r for r in requests if r.policy is policy])
        for policy in POLICIES
    ]


# ---------------------------------------------------------------- telling

COLUMNS = (
    "TTFT in ms", "p50", "p95", "p99", "mean", "added p50", "p99", "extra upstream",
    "abort p50", "p99", "orphans", "failed",
)  # fmt: skip


def tell(distribution: str, results: Sequence[Result]) -> None:
    """Prints the table of one distribution."""
    law = provider.DISTRIBUTIONS[distribution]
    title = f"{distribution}: {law}, {results[0].requests} requests for each policy"
    report.print_table(title, COLUMNS, map(_cells, results))


def _cells(result: Result) -> list[str]:
    ttft = Summary.of(result.ttft)
    return [
        result.policy,
        *(milliseconds(value, 0) for value in (ttft.p50, ttft.p95, ttft.p99, ttft.mean)),
        milliseconds(result.added.p50),
        milliseconds(result.added.p99),
        f"{shown(result.extra * 100)} %",
        milliseconds(result.aborts.p50),
        milliseconds(result.aborts.p99),
        str(result.orphans),
        str(result.failed),
    ]


NOTES = f"""\
added: the time to first content, less what a perfect proxy would have needed under that policy with
the same latencies; patience may hedge only a share of its requests, and its p99 shows the others.
abort: from the winner's first content at its backend to the loser's closed socket at its own.
handicap, failover and patience turn to the second backend after {HOLD:g} s. Orphans must be 0."""


def draw(path: Path, results: Mapping[str, Sequence[Result]]) -> None:
    """The distribution functions, one panel for each distribution."""
    panels = {
        distribution: {result.policy: result.ttft for result in rows if result.ttft}
        for distribution, rows in results.items()
    }
    if report.plot_distributions(path, panels, "time to first content at the client, s"):
        report.say(f"picture: {path}")
    else:
        report.say("no picture: matplotlib is not installed (it is in the extra `bench`)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when every request was answered and nothing was left open."""
    parser = report.parser("race", "Time to first content under several policies.")
    parser.add_argument("--requests", type=int, metavar="N", help="for each policy")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=RATE, help="requests per second in all")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="FILE.svg or FILE.png")
    names = tuple(provider.DISTRIBUTIONS)
    parser.add_argument("--only", choices=names, action="append", help="of the distributions")
    options = parser.parse_args(arguments)
    count = options.requests or (QUICK_REQUESTS if options.quick else REQUESTS)
    results: dict[str, list[Result]] = {}
    with Rig() as rig:
        report.say(f"race: {rig.cores}")
        bench = Bench(rig, options.seed)
        bench.warm_up()
        for distribution in options.only or names:
            requests = bench.run(distribution, count, options.rate)
            results[distribution] = summarise(distribution, requests)
            tell(distribution, results[distribution])
    report.say(NOTES)
    rows = [result for row in results.values() for result in row]
    about = report.machine_row("race", seed=options.seed, rate=options.rate)
    report.write_json_lines(options.json, [about, *(result.as_row() for result in rows)])
    if options.plot:
        draw(options.plot, results)
    return 0 if all(result.is_clean for result in rows) else 1


if __name__ == "__main__":
    exit_on_signal()
    sys.exit(main())
