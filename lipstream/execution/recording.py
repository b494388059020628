"""From what runs to what is left of it: the records of attempts and exchanges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import trio

from lipstream.canonical.price import UNPRICED
from lipstream.canonical.transport import Verdict
from lipstream.errors import TransportRejected
from lipstream.lifecycle.bill import Bill, make_bill
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord, Reject

if TYPE_CHECKING:
    from lipstream.execution.attempt import Attempt
    from lipstream.execution.body import Delivery
    from lipstream.execution.live import LiveExchange


def attempt_record(attempt: Attempt) -> AttemptRecord:
    """The record of an attempt that is over and closed."""
    fault, upstream = attempt.fault, attempt.upstream
    zero, tally = attempt.live.started_at, attempt.tally
    admission = attempt.terms.admission
    credential = fault.credential if fault else None

    def since(moment: float | None) -> float | None:
        return None if moment is None else moment - zero

    return AttemptRecord(
        number=attempt.number,
        step=attempt.step,
        candidate=attempt.entry.candidate,
        state=attempt.state.state,
        reason=attempt.reason,
        due_at=attempt.due_at - zero,
        opened_at=since(attempt.opened_at),
        headers_at=since(attempt.headers_at),
        content_at=since(attempt.content_at),
        committed_at=since(attempt.committed_at),
        cancelled_at=since(attempt.cancelled_at),
        ended_at=attempt.ended_at - zero,
        closed_at=trio.current_time() - zero,
        fault=fault.kind if fault else None,
        status=fault.status if fault else None,
        retry_after=fault.retry_after if fault else None,
        detail=fault.detail if fault else None,
        events=tally.events,
        dropped_events=upstream.dropped_events if upstream else 0,
        is_resent=upstream.is_resent if upstream else False,
        usage=tally.usage,
        bill=_bill(attempt),
        rescue=attempt.terms.rescue,
        credential=upstream.credential if upstream else credential,
        operation=admission.invocation.operation,
        delivery=admission.invocation.delivery,
        mode=admission.mode,
    )


def _bill(attempt: Attempt) -> Bill:
    live, candidate = attempt.live, attempt.entry.candidate
    tariff = live.route.policy.tariffs.get(candidate.backend, UNPRICED)
    kind = attempt.fault.kind if attempt.fault else None
    return make_bill(attempt.tally, kind, lambda: live.prompt_tokens, tariff, candidate.model)


def exchange_record(live: LiveExchange, delivery: Delivery) -> ExchangeRecord:
    """The record of an exchange that has ended and of which no attempt runs any more."""
    ending, first_byte = live.state.ending, delivery.first_byte_at
    assert ending is not None
    attempts = tuple(sorted(live.records, key=lambda record: record.number))
    winner = next((a for a in attempts if a.number == live.state.winner), None)
    return ExchangeRecord(
        id=live.id,
        dialect=live.call.dialect,
        model=live.call.model,
        selector=live.route.text,
        is_streaming=live.call.is_streaming,
        started_at=live.wall_time,
        duration=trio.current_time() - live.started_at,
        ending=ending,
        winner=live.state.winner,
        attempts=attempts,
        may_race=live.may_race,
        first_byte_at=None if first_byte is None else first_byte - live.started_at,
        events_sent=delivery.events_sent,
        bytes_sent=delivery.bytes_sent,
        status=delivery.status,
        usage=winner.usage if winner else None,
        rejects=tuple(_rejects(live)),
    )


def _rejects(live: LiveExchange) -> Iterator[Reject]:
    for candidate, admission in live.admissions.rejects:
        asked, refusal = admission.invocation, admission.refusal
        is_transport = isinstance(refusal, TransportRejected)
        verdict = Verdict(False, asked.operation, asked.delivery) if is_transport else None
        yield Reject(candidate, verdict, str(refusal))
