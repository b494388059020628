"""What is counted of the events of one attempt."""

from __future__ import annotations

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.usage import Usage
from lipstream.lifecycle.tally import Tally

START: e.Batch = [e.Started(), e.MessageStarted()]


def reported(made: int | None = None, given: int | None = None) -> e.UsageReported:
    """A report of tokens out and in."""
    return e.UsageReported(Usage(input_tokens=given, output_tokens=made))


def tally_of(*events: e.Event) -> Tally:
    """After these events, each in a batch of its own."""
    tally = Tally()
    for event in events:
        tally.add([event])
    return tally


def test_events_of_all_kinds_are_counted() -> None:
    """A batch has as many as it has."""
    tally = Tally()
    tally.add([*START, e.TextDelta("hi"), e.Notice("w", "x")])
    tally.add([])
    assert tally.events == 4
    assert not tally.is_whole


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ((), 0),
        ((e.Started(), e.MessageStarted(), e.TextDelta("")), 0),
        ((e.TextDelta("a" * 40),), 10),
        ((e.TextDelta("a"), e.TextDelta("b"), e.TextDelta("c")), 3),
        ((e.ReasoningDelta("a" * 20), e.TextDelta("b" * 20)), 10),
        ((e.RefusalDelta("no" * 4),), 2),
        ((e.ToolCallStarted(0, "id", "find"), e.ToolCallDelta(0, '{"a": "bcdefghi"}')), 5),
        ((e.Media("image", "data:" + "x" * 400),), 0),
    ],
)
def test_output_is_estimated_from_the_text(events: tuple[e.Event, ...], tokens: int) -> None:
    """A delta is a token at least, and four characters are one; media are not counted."""
    tally = tally_of(*events)
    assert tally.output_tokens == tokens
    assert tally.reported_output is None
    assert not tally.has_exact_output
    assert tally.has_begun is (tokens > 0)


def test_report_covers_the_text_before_it() -> None:
    """Reports are running totals; what comes after one is added to it, as an estimate."""
    tally = tally_of(e.TextDelta("a" * 400), reported(7))
    assert (tally.output_tokens, tally.has_exact_output) == (7, True)
    tally.add([e.TextDelta("b" * 8)])
    assert (tally.output_tokens, tally.has_exact_output) == (9, False)
    tally.add([reported(10)])
    assert (tally.output_tokens, tally.has_exact_output) == (10, True)


def test_last_report_of_a_whole_answer_is_exact() -> None:
    """Some providers count before they send: at the end there is nothing to add."""
    tally = tally_of(reported(3), e.TextDelta("word" * 9), e.Finished())
    assert tally.is_whole
    assert (tally.output_tokens, tally.has_exact_output) == (3, True)


def test_report_of_the_prompt_alone_leaves_the_output_to_be_estimated() -> None:
    """Fields are merged, and none that was not reported counts as reported."""
    tally = tally_of(e.TextDelta("a" * 8), reported(given=5), reported())
    assert tally.usage == Usage(input_tokens=5)
    assert (tally.output_tokens, tally.has_exact_output) == (2, False)
