"""What records tell about transport."""

from __future__ import annotations

import attrs
import pytest

from lipstream.canonical.candidate import Candidate
from lipstream.canonical.transport import Mode, Verdict
from lipstream.lifecycle.attempt import AttemptState
from lipstream.lifecycle.exchange import Ending, ExchangeState
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord, Reject

STREAM, WHOLE = Mode.STREAMING, Mode.NON_STREAMING
CHAT = "openai.chat_completions"

ATTEMPT = AttemptRecord(
    number=1,
    step=0,
    candidate=Candidate("a", "m"),
    state=AttemptState.COMPLETE,
    reason="complete",
    due_at=0.0,
    opened_at=0.0,
    headers_at=0.1,
    content_at=0.2,
    committed_at=0.2,
    ended_at=1.0,
    closed_at=1.0,
    operation=CHAT,
    delivery=WHOLE,
    mode=STREAM,
)


@pytest.mark.parametrize(
    ("delivery", "mode", "is_bridged"),
    [
        (WHOLE, STREAM, True),
        (STREAM, WHOLE, True),
        (STREAM, STREAM, False),
        (STREAM, None, False),
        (None, STREAM, False),
    ],
)
def test_answer_that_travelled_otherwise_than_wanted_was_bridged(
    delivery: Mode | None, mode: Mode | None, is_bridged: bool
) -> None:
    """Where one of the two is not known nothing is claimed."""
    attempt = attrs.evolve(ATTEMPT, delivery=delivery, mode=mode)
    assert attempt.is_bridged is is_bridged


def test_negotiations_are_those_of_attempts_and_of_rejected_transports() -> None:
    """A capability that was missing was no matter of transport."""
    rejected = Verdict(False, CHAT, WHOLE)
    record = ExchangeRecord(
        id="x",
        dialect="openai_chat",
        model="m",
        selector="a:m",
        is_streaming=False,
        started_at=0.0,
        duration=1.0,
        ending=Ending(ExchangeState.COMPLETE, "complete"),
        winner=1,
        attempts=(ATTEMPT,),
        rejects=(
            Reject(Candidate("b", "m"), rejected, "no"),
            Reject(Candidate("c", "m"), None, "no"),
        ),
    )
    assert list(record.negotiations) == [Verdict(True, CHAT, WHOLE), rejected]
