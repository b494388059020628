"""The fold of an event stream into a whole answer."""

from __future__ import annotations

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.collect import Answer, Collector
from lipstream.canonical.limits import StreamLimits
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind, UpstreamFault


def fold(*events: e.Event, limits: StreamLimits | None = None) -> Answer:
    """One batch, folded."""
    collector = Collector(limits or StreamLimits())
    collector.add(events)
    return collector.answer()


def test_text_of_one_kind_is_joined_and_order_is_kept() -> None:
    """Parts come in the order in which they were said."""
    answer = fold(
        e.Started("id1", "m1", 7),
        e.MessageStarted(),
        e.ReasoningDelta("hm"),
        e.TextDelta("a"),
        e.TextDelta("b"),
        e.RefusalDelta("no"),
        e.TextDelta("c"),
        e.MessageFinished(e.FinishReason.LENGTH, detail="max_tokens"),
        e.Finished(),
    )
    assert (answer.id, answer.model, answer.created) == ("id1", "m1", 7)
    (choice,) = answer.choices
    assert choice.parts == (Reasoning("hm"), Text("ab"), Refusal("no"), Text("c"))
    assert (choice.reason, choice.detail) == (e.FinishReason.LENGTH, "max_tokens")


def test_interleaved_tool_calls_keep_their_arguments_apart() -> None:
    """Fragments go to the call that they name."""
    answer = fold(
        e.ToolCallStarted(0, "c0", "f"),
        e.ToolCallStarted(1, "c1", "g"),
        e.ToolCallDelta(0, '{"a"'),
        e.ToolCallDelta(1, "{}"),
        e.ToolCallDelta(0, ":1}"),
        e.ToolCallFinished(0),
    )
    assert answer.choices[0].parts == (ToolCall("c0", "f", '{"a":1}'), ToolCall("c1", "g", "{}"))


def test_media_become_parts_and_audio_pieces_are_joined() -> None:
    """An image and a file stand alone; audio grows."""
    answer = fold(
        e.Media("image", "http://x/i.png"),
        e.Media("file", "http://x/f.pdf", name="f.pdf"),
        e.Media("audio", "QUJD", mime="wav", transcript="a"),
        e.Media("audio", "REVG", transcript="b", id="aud_1"),
        e.Media("audio", "R0hJ", id="aud_2"),
    )
    audio = Audio("QUJDREVGR0hJ", "wav", extra={"id": "aud_1", "transcript": "ab"})
    image, file = Image("http://x/i.png"), File(url="http://x/f.pdf", name="f.pdf")
    assert answer.choices[0].parts == (image, file, audio)


def test_usage_is_the_last_report_of_each_field() -> None:
    """Reports are running totals: never added up."""
    answer = fold(
        e.UsageReported(Usage(input_tokens=3, output_tokens=1)),
        e.UsageReported(Usage(output_tokens=9, reasoning_tokens=4)),
    )
    assert answer.usage == Usage(input_tokens=3, output_tokens=9, reasoning_tokens=4)


def test_dialect_fields_are_kept_at_their_level() -> None:
    """Fields of the response and the choice are replaced, those of deltas are kept piece by
    piece."""
    answer = fold(
        e.Extra("d", "response", {"a": 1, "b": 1}),
        e.Extra("d", "response", {"b": 2}),
        e.Extra("d", "choice", {"c": 1}),
        e.Extra("d", "delta", {"t": "x"}),
        e.Extra("d", "delta", {"t": "y"}),
    )
    assert (answer.dialect, answer.extra) == ("d", {"a": 1, "b": 2})
    assert (answer.choices[0].extra, answer.choices[0].pieces) == ({"c": 1}, {"t": ["x", "y"]})


def test_logprobs_are_concatenated_per_kind() -> None:
    """Token entries of text and refusal do not mix."""
    answer = fold(
        e.TextDelta("a", logprobs=({"token": "a"},)),
        e.TextDelta("b", logprobs=({"token": "b"},)),
        e.RefusalDelta("c", logprobs=({"token": "c"},)),
    )
    choice = answer.choices[0]
    assert choice.logprobs == ({"token": "a"}, {"token": "b"})
    assert choice.refusal_logprobs == ({"token": "c"},)


def test_choices_come_in_order_of_their_index() -> None:
    """Whatever the order in which they arrived."""
    answer = fold(e.MessageStarted(1), e.TextDelta("b", 1), e.MessageStarted(0), e.TextDelta("a"))
    assert [(c.index, c.parts) for c in answer.choices] == [(0, (Text("a"),)), (1, (Text("b"),))]


@pytest.mark.parametrize(
    "events",
    [
        [e.TextDelta("abc"), e.TextDelta("def")],
        [e.ToolCallStarted(i, f"c{i}", "") for i in range(3)],
        [e.Media("image", f"{i}") for i in range(3)],
        [event for i in range(3) for event in (e.TextDelta(""), e.ReasoningDelta(""))],
    ],
    ids=["size", "calls", "media", "alternating"],
)
def test_answer_over_its_limits_is_refused(events: list[e.Event]) -> None:
    """Memory for one answer is bounded in bytes and in parts."""
    limits = StreamLimits(answer_bytes=5, answer_parts=2)
    with pytest.raises(UpstreamFault) as caught:
        fold(*events, limits=limits)
    assert caught.value.kind is FaultKind.PROTOCOL


# ---------------------------------------------------------------- ends of parts

SEAL = Seal("d", "s")
END = e.PartFinished("reasoning", SEAL)


def parts(*events: e.Event) -> tuple[Part, ...]:
    """The parts of the only choice."""
    (choice,) = fold(e.MessageStarted(), *events).choices
    return choice.parts


def test_end_of_a_part_seals_it() -> None:
    """What comes after it is another part, also of the same kind."""
    assert parts(e.ReasoningDelta("a"), END, e.ReasoningDelta("b"), e.TextDelta("c")) == (
        Reasoning("a", SEAL),
        Reasoning("b"),
        Text("c"),
    )
    text = e.PartFinished("text", SEAL)
    assert parts(e.TextDelta("a"), text, e.TextDelta("b")) == (Text("a", seal=SEAL), Text("b"))


def test_end_without_a_seal_only_separates() -> None:
    """And says nothing where there is nothing to end."""
    end = e.PartFinished("text")
    assert parts(end, e.TextDelta("a"), end, end, e.TextDelta("b")) == (Text("a"), Text("b"))
    assert parts(e.ReasoningDelta("a"), end) == (Reasoning("a"),)


def test_seal_without_text_is_redacted_reasoning() -> None:
    """After a part that is over, after one of another kind, and at the very start."""
    assert parts(END, END, e.TextDelta("a"), END) == (
        Reasoning("", SEAL),
        Reasoning("", SEAL),
        Text("a"),
        Reasoning("", SEAL),
    )


def test_end_of_a_call_seals_it() -> None:
    """Or not."""
    calls = [e.ToolCallStarted(0, "a", "f"), e.ToolCallStarted(1, "b", "f")]
    ends = [e.ToolCallFinished(1), e.ToolCallFinished(0, seal=SEAL)]
    assert parts(*calls, *ends) == (ToolCall("a", "f", "", seal=SEAL), ToolCall("b", "f", ""))


@pytest.mark.parametrize(
    "event",
    [
        e.TextDelta("a"),
        e.ReasoningDelta("a"),
        e.RefusalDelta("a"),
        e.ToolCallStarted(0, "a", "f"),
        e.Media("image", "u"),
        e.Media("file", "u"),
        e.Media("audio", "QQ"),
        e.Extra("d", "whole_part", {"a": 1}),
    ],
    ids=lambda event: type(event).__name__,
)
def test_fields_of_a_part_are_those_of_the_one_that_was_opened_last(event: e.Event) -> None:
    """The last value of each counts; before any part they have no place."""
    fields = [e.Extra("d", "part", {"x": 1, "y": 1}), e.Extra("d", "part", {"y": 2})]
    lost = e.Extra("d", "part", {"z": 1})
    first, last = parts(lost, e.TextDelta("0"), e.PartFinished("text"), event, *fields)
    assert first == Text("0")
    given = last.value if isinstance(last, Opaque) else last.extra
    assert {"x": 1, "y": 2}.items() <= given.items()
    assert "z" not in given


def test_part_of_one_dialect_is_kept_whole_in_its_place() -> None:
    """Text after it is another part."""
    whole = e.Extra("d", "whole_part", {"type": "odd"})
    assert parts(e.TextDelta("a"), whole, e.TextDelta("b")) == (
        Text("a"),
        Opaque("d", {"type": "odd"}),
        Text("b"),
    )


def test_fields_count_towards_the_size_of_the_answer() -> None:
    """Wherever they stand."""
    limits = StreamLimits(answer_bytes=100)
    for scope in ("response", "choice", "part", "delta", "whole_part"):
        extra = e.Extra("d", scope, {"a": "x" * 60})
        fold(extra, limits=limits)
        with pytest.raises(UpstreamFault):
            fold(extra, extra, limits=limits)


def test_events_without_a_place_in_an_answer_are_read_over() -> None:
    """A notice, for instance."""
    assert fold(e.Notice("slow", "it was slow"), e.Finished()).choices == ()
