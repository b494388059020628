"""Figures for Prometheus, counted from the records: one row for each.

What is counted is data: :data:`OF_ATTEMPTS`, :data:`OF_EXCHANGES` and, for what an exchange has
several of, :data:`OF_NEGOTIATIONS`. One more metric is one more
row there; one more label is one more row in the table of labels above it. Labels have few values:
what a client can make up (a model's name, a selector) is only shown when the configuration spells
it out, and is ``other`` otherwise.

One figure is not of records but of the present: ``lipstream_upstream_open``, the running tries that
open or hold an upstream. When no request is running it is 0, or something was left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import attrs
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lipstream.canonical.transport import OPERATIONS, Mode, Verdict
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord

OTHER = "other"
UNKNOWN = "unknown"

R = TypeVar("R")  # AttemptRecord, ExchangeRecord or Verdict

_ABORTS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_ANSWERS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0)


@attrs.frozen
class Declared:
    """What the configuration spells out, and labels may show therefore.

    Attributes:
        models: By ``backend:model``.
        routes: By canonical selector text.
    """

    models: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()


@attrs.frozen
class Row(Generic[R]):
    """One metric.

    Attributes:
        labels: Names from the table of labels.
        value: What a record adds: seconds to a histogram, an amount to a counter. None: nothing.
        buckets: Upper bounds, for a histogram; without them it is a counter.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    value: Callable[[R], float | None]
    buckets: tuple[float, ...] = ()


Labels = Mapping[str, Callable[[R, Declared], str]]


def _once(record: object) -> float:
    return 1.0


# ---------------------------------------------------------------- what is counted


def _model(record: AttemptRecord, declared: Declared) -> str:
    candidate = record.candidate
    return candidate.model if f"{candidate.backend}:{candidate.model}" in declared.models else OTHER


def _seconds_to_content(record: AttemptRecord) -> float | None:
    if record.content_at is None or record.opened_at is None:
        return None
    return record.content_at - record.opened_at


def _seconds_to_abort(record: AttemptRecord) -> float | None:
    return None if record.cancelled_at is None else record.closed_at - record.cancelled_at


LABELS_OF_ATTEMPTS: Labels[AttemptRecord] = {
    "backend": lambda record, _: record.candidate.backend,
    "model": _model,
    "outcome": lambda record, _: record.reason,
}

OF_ATTEMPTS: Sequence[Row[AttemptRecord]] = (
    Row(
        "lipstream_attempts_total",
        "Upstream tries that are over, by why they ended.",
        ("backend", "model", "outcome"),
        _once,
    ),
    Row(
        "lipstream_content_ttft_seconds",
        "From the start of a try to its first content.",
        ("backend", "model"),
        _seconds_to_content,
        _ANSWERS,
    ),
    Row(
        "lipstream_cancel_to_upstream_abort_seconds",
        "From the moment a race told a loser to end to the closing of its upstream.",
        ("backend",),
        _seconds_to_abort,
        _ABORTS,
    ),
)

LABELS_OF_EXCHANGES: Labels[ExchangeRecord] = {
    "dialect": lambda record, _: record.dialect,
    "ending": lambda record, _: record.ending.state.value,
    "reason": lambda record, _: record.ending.reason,
    "route": lambda record, known: record.selector if record.selector in known.routes else OTHER,
}

OF_EXCHANGES: Sequence[Row[ExchangeRecord]] = (
    Row(
        "lipstream_exchanges_total",
        "Client requests that are over, by how they ended.",
        ("dialect", "ending", "reason"),
        _once,
    ),
    Row(
        "lipstream_race_waste_tokens_total",
        "Tokens of tries of which the client got nothing, partly estimated.",
        ("route",),
        lambda record: record.waste.tokens,
    ),
    Row(
        "lipstream_race_waste_dollars_total",
        "What they come to in US dollars, where prices are configured; more may be charged.",
        ("route",),
        lambda record: record.waste.dollars,
    ),
)


def _operation(verdict: Verdict) -> str:
    known = verdict.operation in OPERATIONS.values()
    return verdict.operation if known else OTHER if verdict.operation else UNKNOWN


def _mode(mode: Mode | None) -> str:
    return UNKNOWN if mode is None else mode.value


LABELS_OF_NEGOTIATIONS: Labels[Verdict] = {
    "operation": lambda verdict, _: _operation(verdict),
    "mode": lambda verdict, _: _mode(verdict.mode),
    "outcome": lambda verdict, _: "accept" if verdict.is_accepted else "reject",
}

OF_NEGOTIATIONS: Sequence[Row[Verdict]] = (
    Row(
        "lip_executor_transport_negotiations_total",
        "Tries, and candidates that were not tried because of their transport.",
        ("operation", "mode", "outcome"),
        _once,
    ),
)


# ---------------------------------------------------------------- counting


class _Series(Generic[R]):
    """One row at work."""

    def __init__(
        self, row: Row[R], labels: Labels[R], declared: Declared, registry: CollectorRegistry
    ) -> None:
        self._row = row
        self._labels = [labels[name] for name in row.labels]
        self._declared = declared
        self._series: dict[tuple[str, ...], Histogram | Counter] = {}
        what = (row.name, row.help, row.labels, "", "", "", registry)
        self._metric = Histogram(*what, buckets=row.buckets) if row.buckets else Counter(*what)

    def take(self, record: R) -> None:
        """Adds what a record says."""
        amount = self._row.value(record)
        if amount is None:
            return
        labels = tuple([label(record, self._declared) for label in self._labels])
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._metric.labels(*labels)
        if isinstance(series, Histogram):
            series.observe(amount)
        else:
            series.inc(amount)


class _OpenUpstreams(Collector):
    """The one figure that is of now."""

    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        """A number for each backend that was asked before."""
        text = "Upstreams that are being opened or are open for a running try."
        gauge = GaugeMetricFamily("lipstream_upstream_open", text, labels=("backend",))
        for backend, count in self._count().items():
            gauge.add_metric((backend,), count)
        yield gauge


class Metrics:
    """An observer that counts; see ``interfaces.Observer``.

    Its figures are in a registry of its own: nothing of the process at large is in it.
    """

    def __init__(self, declared: Declared, open_upstreams: Callable[[], Mapping[str, int]]) -> None:
        """``open_upstreams`` is asked, for each exposition, how many are open by backend."""
        # Without this each counter would come with a gauge of its birthday.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._figures = CollectorRegistry()
        self._figures.register(_OpenUpstreams(open_upstreams))
        self._of_attempts = [
            _Series(row, LABELS_OF_ATTEMPTS, declared, self._figures) for row in OF_ATTEMPTS
        ]
        self._of_exchanges = [
            _Series(row, LABELS_OF_EXCHANGES, declared, self._figures) for row in OF_EXCHANGES
        ]
        self._of_negotiations = [
            _Series(row, LABELS_OF_NEGOTIATIONS, declared, self._figures) for row in OF_NEGOTIATIONS
        ]

    def on_attempt(self, exchange_id: str, record: AttemptRecord) -> None:
        """Counts it."""
        for series in self._of_attempts:
            series.take(record)

    def on_exchange(self, record: ExchangeRecord) -> None:
        """Counts it."""
        for series in self._of_exchanges:
            series.take(record)
        for verdict in record.negotiations:
            for one in self._of_negotiations:
                one.take(verdict)

    def render(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._figures)
