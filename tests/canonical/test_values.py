"""Small values: candidates, usage, events, calls."""

from __future__ import annotations

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.options import Options
from lipstream.canonical.usage import Usage


def test_candidate_key_sorts_parameters_by_name() -> None:
    """Two ways to write the same candidate have one key; values of one name keep their order."""
    candidate = Candidate("o", "m", (("b", "2"), ("a", "x y"), ("b", "1")))
    assert candidate.key == "o:m?a=x+y&b=2&b=1"
    assert str(candidate) == candidate.key


def test_candidate_key_of_a_model_alone() -> None:
    """Without a backend there is no colon."""
    assert Candidate("", "m").key == "m"


def test_usage_total_is_reported_or_added() -> None:
    """A reported total wins; without both counts there is none."""
    assert Usage(input_tokens=1, output_tokens=2, total_tokens=9).total == 9
    assert Usage(input_tokens=1, output_tokens=2).total == 3
    assert Usage(input_tokens=1).total is None


def test_usage_merge_keeps_fields_of_one_dialect_together() -> None:
    """Fields of the same dialect are merged; those of another are not mixed in."""
    ours = Usage(dialect="d", fields={"a": 1, "b": 1})
    assert ours.merge(Usage(dialect="d", fields={"b": 2})).fields == {"a": 1, "b": 2}
    assert ours.merge(Usage(dialect="x", fields={"c": 1})).fields == {"a": 1, "b": 1}
    assert Usage().merge(ours) == ours


def test_changed_event_no_longer_stands_for_its_bytes() -> None:
    """What was changed must be encoded anew."""
    event = e.TextDelta("a", source=e.Source("d", b"{}", 1))
    assert event.changed(text="b").source is None
    assert event.changed(text="b").text == "b"


def test_changed_call_is_a_copy() -> None:
    """The call that the client made stays as it was."""
    call = Call(dialect="d", model="m", messages=())
    changed = call.changed(options=Options(temperature=1.0))
    assert (call.options.temperature, changed.options.temperature) == (None, 1.0)
