"""The figures: what each record adds, and that labels stay few."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lipstream.canonical.candidate import Candidate
from lipstream.canonical.transport import Mode, Verdict
from lipstream.interfaces import Observer
from lipstream.lifecycle.attempt import AttemptState
from lipstream.lifecycle.bill import Bill
from lipstream.lifecycle.exchange import Ending, ExchangeState
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord, Reject
from lipstream.observe.metrics import (
    LABELS_OF_ATTEMPTS,
    LABELS_OF_EXCHANGES,
    LABELS_OF_NEGOTIATIONS,
    OF_ATTEMPTS,
    OF_EXCHANGES,
    OF_NEGOTIATIONS,
    Declared,
    Metrics,
)

DECLARED = Declared(models=frozenset({"a:m"}), routes=frozenset({"a:m!b:m"}))

LOST = AttemptRecord(
    number=1,
    step=0,
    candidate=Candidate("a", "m", (("temperature", "0"),)),
    state=AttemptState.CANCELLED,
    reason="lost_race",
    due_at=0.0,
    opened_at=0.0,
    headers_at=0.1,
    content_at=None,
    committed_at=None,
    cancelled_at=0.4,
    ended_at=0.4,
    closed_at=0.407,
    bill=Bill(input_tokens=100, output_tokens=20, dollars=0.5, is_floor=True),
)
WON = attrs.evolve(
    LOST,
    number=2,
    candidate=Candidate("b", "m"),
    state=AttemptState.COMPLETE,
    reason="complete",
    opened_at=0.1,
    content_at=0.4,
    committed_at=0.4,
    cancelled_at=None,
    ended_at=2.0,
    closed_at=2.0,
    bill=Bill(input_tokens=90, output_tokens=200, dollars=9.0),
)
RECORD = ExchangeRecord(
    id="x",
    dialect="openai_chat",
    model="whatever",
    selector="a:m!b:m",
    is_streaming=True,
    started_at=0.0,
    duration=2.0,
    ending=Ending(ExchangeState.COMPLETE, "complete"),
    winner=2,
    attempts=(LOST, WON),
)


def metrics(*records: ExchangeRecord, open_upstreams: Counter[str] | None = None) -> Metrics:
    """What these records come to."""
    made = Metrics(DECLARED, lambda: open_upstreams or {})
    observer: Observer = made
    for record in records:
        for attempt in record.attempts:
            observer.on_attempt(record.id, attempt)
        observer.on_exchange(record)
    return made


def samples(made: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The values of one metric by its labels' values, as a scraper reads them."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(made.render().decode())
        for sample in family.samples
        if sample.name == name
    }


def test_attempts_are_counted_by_backend_model_and_outcome() -> None:
    """A model that the configuration does not name is another one among many."""
    assert samples(metrics(RECORD, RECORD), "lipstream_attempts_total") == {
        ("a", "m", "lost_race"): 2.0,
        ("b", "other", "complete"): 2.0,
    }


def test_exchanges_are_counted_by_dialect_and_ending() -> None:
    """One for each client request."""
    gone = attrs.evolve(RECORD, ending=Ending(ExchangeState.ABORTED, "client_gone"))
    assert samples(metrics(RECORD, gone, RECORD), "lipstream_exchanges_total") == {
        ("openai_chat", "complete", "complete"): 2.0,
        ("openai_chat", "aborted", "client_gone"): 1.0,
    }


def test_time_to_content_runs_from_the_start_of_the_attempt() -> None:
    """An attempt without content, or one that never started, says nothing."""
    unopened = attrs.evolve(WON, opened_at=None)
    made = metrics(RECORD, attrs.evolve(RECORD, attempts=(unopened,)))
    assert samples(made, "lipstream_content_ttft_seconds_count") == {("b", "other"): 1.0}
    sums = samples(made, "lipstream_content_ttft_seconds_sum")
    assert sums[("b", "other")] == pytest.approx(0.3)


def test_time_to_abort_runs_from_the_cancel_of_a_loser() -> None:
    """The winner was not cancelled."""
    made = metrics(RECORD)
    buckets = samples(made, "lipstream_cancel_to_upstream_abort_seconds_bucket")
    assert {backend for backend, _ in buckets} == {"a"}
    assert (buckets[("a", "0.005")], buckets[("a", "0.01")]) == (0.0, 1.0)


def test_waste_is_what_the_losers_came_to_by_route() -> None:
    """Routes that a client made up are one; dollars are counted where they are known."""
    unpriced = attrs.evolve(LOST, bill=Bill(input_tokens=3, output_tokens=4))
    made_up = attrs.evolve(RECORD, selector="a:x!b:y", attempts=(unpriced, WON))
    made = metrics(RECORD, made_up, made_up)
    assert samples(made, "lipstream_race_waste_tokens_total") == {
        ("a:m!b:m",): 120.0,
        ("other",): 14.0,
    }
    assert samples(made, "lipstream_race_waste_dollars_total") == {("a:m!b:m",): 0.5}


def test_negotiations_are_counted_by_operation_mode_and_outcome() -> None:
    """What no protocol of ours asked for is unknown; names that we do not know are one."""
    chat, whole = "openai.chat_completions", Mode.NON_STREAMING
    won = attrs.evolve(WON, operation=chat, delivery=whole, mode=Mode.STREAMING)
    rejects = (
        Reject(Candidate("b", "m"), Verdict(False, chat, whole), "no"),
        Reject(Candidate("c", "m"), Verdict(False, "new.thing", Mode.STREAMING), "no"),
        Reject(Candidate("d", "m"), None, "no"),
    )
    made = metrics(attrs.evolve(RECORD, attempts=(LOST, won), rejects=rejects))
    assert samples(made, "lip_executor_transport_negotiations_total") == {
        ("unknown", "unknown", "accept"): 1.0,
        ("non_streaming", chat, "accept"): 1.0,
        ("non_streaming", chat, "reject"): 1.0,
        ("streaming", "other", "reject"): 1.0,
    }


def test_open_upstreams_are_those_of_now() -> None:
    """They are asked for with each exposition."""
    now = Counter({"a": 2})
    made = metrics(open_upstreams=now)
    assert samples(made, "lipstream_upstream_open") == {("a",): 2.0}
    now["a"] -= 2
    assert samples(made, "lipstream_upstream_open") == {("a",): 0.0}


def test_two_proxies_in_one_process_count_apart() -> None:
    """No figure is in a registry that others share."""
    assert samples(metrics(RECORD), "lipstream_exchanges_total") != {}
    assert samples(metrics(), "lipstream_exchanges_total") == {}


def test_exposition_is_free_of_birthdays() -> None:
    """A gauge beside every counter would double the page."""
    assert b"_created" not in metrics(RECORD).render()


def test_every_row_has_its_labels_in_the_tables() -> None:
    """A new row with a new label needs a row for the label."""
    assert {name for row in OF_ATTEMPTS for name in row.labels} == set(LABELS_OF_ATTEMPTS)
    assert {name for row in OF_EXCHANGES for name in row.labels} == set(LABELS_OF_EXCHANGES)
    assert {name for row in OF_NEGOTIATIONS for name in row.labels} == set(LABELS_OF_NEGOTIATIONS)
