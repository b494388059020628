"""The work that `cost` measures: its cases, and one measurement of a case.

The window of a measurement is for the proxy alone: what opens streams and what ends them lies
outside of it, for all but the closed loops.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs

from bench.client import Answer, Ask, Client, chat
from bench.rig import Program, Provider, Rig

WORDS = 16
"""Of an answer in one piece."""

BURST_WORDS = 64
OFFERED = 2000.0
"""Events per second of all paced streams together."""

OPENING_RATE = 400.0  # paced streams per second, at most
CALM = 0.3  # seconds between the last opening and the measurement
LIMIT = 10.0  # seconds for what is running to end, and for streams to open
WARM_UP = 100  # requests

Kind = Literal["requests", "paced", "burst"]


@attrs.frozen
class Case:
    """One kind of work.

    Attributes:
        width: Requests or streams that are open at once.
    """

    kind: Kind
    width: int

    @property
    def name(self) -> str:
        """On the command line and in the results."""
        return f"{self.kind}-{self.width}"

    @property
    def unit(self) -> str:
        """What is counted."""
        return "request" if self.kind == "requests" else "event"

    @property
    def pace(self) -> float:
        """Seconds from one event of a paced stream to the next."""
        return self.width / OFFERED

    @property
    def gap(self) -> float:
        """Seconds from the opening of one paced stream to that of the next.

        A number of beats of the offered load that has no divisor in common with the number of
        streams: every stream then has a beat of the pace for itself.
        """
        beats = math.ceil(OFFERED / OPENING_RATE)
        while math.gcd(beats, self.width) > 1:
            beats += 1
        return beats / OFFERED

    @property
    def ramp(self) -> float:
        """Seconds in which the paced streams are opened."""
        return self.gap * self.width


CASES = (
    Case("requests", 1),
    Case("requests", 16),
    Case("paced", 5),
    Case("paced", 64),
    Case("paced", 200),
    Case("paced", 1000),
    Case("burst", 4),
)


@attrs.frozen
class Sample:
    """One case in one round. Times in seconds.

    Attributes:
        units: Requests or content events that were completed in the window.
        cpu: Of the proxy; NaN without one.
        latency: Of each request, or of each paced event from the moment it was due.
        busy: Share of the window in which the emulator and the client had a CPU.
        failed: Requests without a whole answer.
        orphans: Upstream requests that were still open afterwards.
    """

    seconds: float
    units: int
    cpu: float
    latency: Sequence[float]
    busy: float
    failed: int
    orphans: int

    @property
    def cost(self) -> float:
        """CPU seconds of the proxy per unit."""
        return self.cpu / self.units if self.units else math.nan

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / self.seconds if self.seconds else math.nan


# ---------------------------------------------------------------- measuring


@attrs.define
class Meter:
    """Time, and the CPU time of everybody, since the beginning of a window."""

    proxy: Program | None
    emulator: Program
    began: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def start(self) -> None:
        """Begin the window."""
        self.began = self._read()

    def stop(self) -> tuple[float, float, float]:
        """Seconds, CPU seconds of the proxy, share of a core that the load had."""
        seconds, proxy, load = (
            now - then for now, then in zip(self._read(), self.began, strict=True)
        )
        return seconds, proxy, load / seconds

    def _read(self) -> tuple[float, float, float]:
        proxy = self.proxy.cpu_seconds() if self.proxy else math.nan
        load = self.emulator.cpu_seconds() + time.process_time()
        return time.monotonic(), proxy, load


@attrs.frozen
class Bench:
    """The processes of the measurement."""

    emulator: Provider
    proxy: Program

    @classmethod
    def start(cls, rig: Rig, window: float) -> Bench:
        """Start them and let them have done everything a few times."""
        emulator = rig.emulator(scripts(window))
        bench = cls(emulator, rig.proxy({"up": emulator.base_url}))
        for port in (emulator.port, bench.proxy.port):
            for kind in ("requests-1", "burst-4"):
                asks = [bench._ask(kind, port, kind.startswith("burst"))] * WARM_UP
                with Client() as client:
                    client.run(asks, at_most=2, until=time.monotonic() + LIMIT)
        return bench

    def measure(self, case: Case, window: float, *, is_direct: bool) -> Sample:
        """One case, once."""
        self.emulator.reset()
        proxy = None if is_direct else self.proxy
        meter = Meter(proxy, self.emulator.program)
        port = proxy.port if proxy else self.emulator.port
        with Client() as client:
            if case.kind == "paced":
                return self._paced(case, window, port, client, meter)
            return self._closed_loop(case, window, port, client, meter)

    def _closed_loop(
        self, case: Case, window: float, port: int, client: Client, meter: Meter
    ) -> Sample:
        asks = itertools.repeat(self._ask(case.name, port, case.kind == "burst"))
        meter.start()
        client.run(asks, at_most=case.width, until=time.monotonic() + window)
        client.run(until=time.monotonic() + LIMIT)
        seconds, cpu, busy = meter.stop()
        good = [answer for answer in client.answers if answer.is_good]
        return Sample(
            seconds,
            units=len(good) if case.kind == "requests" else sum(len(a.arrivals) for a in good),
            cpu=cpu,
            latency=[answer.ended_at - answer.sent_at for answer in good if answer.ended_at],
            busy=busy,
            failed=len(client.answers) - len(good),
            orphans=self.emulator.open_requests(LIMIT),
        )

    def _paced(self, case: Case, window: float, port: int, client: Client, meter: Meter) -> Sample:
        client.run(self._openings(case, port), until=time.monotonic() + case.ramp + CALM)
        self._wait_until_open(client)
        first = time.monotonic()
        meter.start()
        client.run(until=first + window)
        seconds, cpu, busy = meter.stop()
        due = {seen.name: seen.received_at for seen in self.emulator.ledger()}
        delays = [
            delay
            for number, answer in enumerate(client.answers)
            for delay in _delays(answer, due.get(str(number), math.nan), case.pace, first)
        ]
        failed = sum(answer.is_over or not answer.arrivals for answer in client.answers)
        client.close()
        orphans = self.emulator.open_requests(LIMIT)
        return Sample(seconds, len(delays), cpu, delays, busy, failed, orphans)

    def _openings(self, case: Case, port: int) -> Iterator[Ask]:
        """One after the other; the ledger knows each by its number."""
        began = time.monotonic()
        for number in range(case.width):
            yield Ask(port, chat(case.name, str(number)), began + number * case.gap)

    def _wait_until_open(self, client: Client) -> None:
        give_up_at = time.monotonic() + LIMIT
        while time.monotonic() < give_up_at and not all(a.arrivals for a in client.answers):
            client.run(until=time.monotonic() + CALM)

    def _ask(self, model: str, port: int, is_streaming: bool) -> Ask:
        body = chat(model, "What is the cost?", is_streaming=is_streaming)
        return Ask(port, body, is_streaming=is_streaming)


def scripts(window: float) -> Mapping[str, Any]:
    """By case, for the emulator: paced streams last longer than any measurement of them."""
    made: dict[str, Any] = {}
    for case in CASES:
        made[case.name] = {"words": WORDS if case.kind == "requests" else BURST_WORDS}
        if case.kind == "paced":
            lasting = case.ramp + CALM + LIMIT + window * 2
            made[case.name] = {"words": math.ceil(lasting / case.pace), "pace": case.pace}
    return made


def _delays(answer: Answer, received_at: float, pace: float, first: float) -> Iterator[float]:
    """How late each event of the window came: after the moment it was due at the emulator."""
    for number, at in enumerate(answer.arrivals):
        if at >= first:
            yield at - (received_at + number * pace)
