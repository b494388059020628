"""Where two answers are joined: nothing is lost, nothing comes twice, and no guess is made."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.canonical.policy import CommitPoint
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.errors import UpstreamFault
from lipstream.execution.continuation import Continuation, Seam
from lipstream.lifecycle.grammar import Grammar

TEXTS = st.text(alphabet="ab ", max_size=12)
CUTS = st.lists(st.integers(0, 24), max_size=5)


def pieces(text: str, cuts: list[int]) -> list[str]:
    """The text in pieces, some of them empty."""
    marks = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    return [text[a:b] for a, b in itertools.pairwise(marks)] or [""]


def joined(seam: Seam, text: str, cuts: list[int]) -> str | None:
    """What a seam makes of a text; None for a fault."""
    try:
        return "".join([*map(seam.join, pieces(text, cuts)), seam.end()])
    except UpstreamFault:
        return None


@given(TEXTS, TEXTS, CUTS)
def test_fresh_answer_is_joined_if_and_only_if_it_begins_with_what_was_sent(
    sent: str, text: str, cuts: list[int]
) -> None:
    """Whatever the pieces, what was sent and what is new make up the second answer exactly."""
    new = joined(Seam(sent), text, cuts)
    assert (new is not None) == text.startswith(sent)
    if new is not None:
        assert sent + new == text


@given(TEXTS, TEXTS, CUTS)
def test_prefilled_answer_goes_on_unless_it_may_repeat(
    sent: str, text: str, cuts: list[int]
) -> None:
    """Of a text that begins with all that was given nobody knows what it is."""
    given = sent.rstrip()
    tail = sent[len(given) :]
    new = joined(Seam(sent, given), text, cuts)
    may_repeat = bool(given) and text.startswith(given)
    assert (new is not None) == (text.startswith(tail) and not may_repeat)
    if new is not None:
        assert given + text == sent + new


def test_text_that_is_certainly_new_is_not_held() -> None:
    """The first letter that differs from what was given settles it."""
    seam = Seam("hello", "hello")
    assert [seam.join(text) for text in ("he", "l", " you", "r hello")] == [
        "", "", "hel you", "r hello"
    ]  # fmt: skip


@pytest.mark.parametrize(("said", "is_fault"), [("he", True), ("", False), ("hx", False)])
def test_text_cut_by_a_limit_may_have_been_a_repetition(said: str, is_fault: bool) -> None:
    """The beginning of what was given, and then the end of the tokens: it could be either."""
    seam = Seam("hello", "hello")
    seam.join(said)
    if is_fault:
        with pytest.raises(UpstreamFault, match="may repeat"):
            seam.end(is_cut=True)
    else:
        seam.end(is_cut=True)


# ---------------------------------------------------------------- events

BEGINNING: e.Batch = [e.Started("2", "other"), e.MessageStarted()]
SOURCE = e.Source("test", b"raw", 1)
SEAL = Seal("test", "proof")


def continued(
    *batches: e.Batch, given: str = "", wants_sealed: bool = False
) -> tuple[list[bool], e.Batch]:
    """Whether each batch was enough to go on with, and what is passed on of them."""
    line = Continuation(CommitPoint.CONTENT, Seam("one", given), wants_sealed=wants_sealed)
    enough = [line.add(batch) for batch in batches]
    return enough, line.take()


def test_beginning_and_reasoning_of_the_second_answer_are_left_out() -> None:
    """The client has a beginning, and reasoning is not told twice."""
    said: list[e.Batch] = [
        [*BEGINNING, e.ReasoningDelta("hm"), e.PartFinished("reasoning", SEAL)],
        [e.Extra("test", "response", {"fingerprint": 1}), e.TextDelta("on", source=SOURCE)],
        [e.Extra("test", "delta", {"x": 1}), e.TextDelta("e tw", source=SOURCE)],
    ]
    enough, passed = continued(*said)
    assert enough == [False, False, True]
    assert passed == [e.TextDelta(" tw")]


def test_nothing_is_passed_on_as_it_came() -> None:
    """A frame of the second upstream names its own answer and its own model."""
    used, choice = e.UsageReported(Usage(input_tokens=1), source=SOURCE), {"native": "stop"}
    end: e.Batch = [
        e.Extra("test", "choice", choice, source=SOURCE),
        e.MessageFinished(e.FinishReason.STOP, source=SOURCE),
        e.Notice("n", "n", source=SOURCE),
        used,
        e.Finished(source=SOURCE),
    ]
    _, passed = continued([*BEGINNING, e.TextDelta("one", source=SOURCE), *end])
    assert [event.source for event in passed] == [None] * 5
    assert passed == end


@pytest.mark.parametrize(
    "event",
    [
        e.ToolCallStarted(0, "c", "f"),
        e.RefusalDelta("no"),
        e.Media("image", "data:"),
        e.Extra("test", "whole_part", {"type": "x"}),
        e.MessageFinished(e.FinishReason.STOP),
        e.MessageStarted(choice=1),
        e.TextDelta("one", choice=1),
    ],
    ids=lambda event: type(event).__name__,
)
def test_anything_else_before_the_seam_is_another_answer(event: e.Event) -> None:
    """It was not said before what was sent, and cannot be said after it."""
    with pytest.raises(UpstreamFault):
        continued([*BEGINNING, e.TextDelta("on"), event])


def test_tool_call_after_the_seam_is_passed_on_with_its_seal() -> None:
    """A text may lead up to a call, and the call's seal is its own."""
    call: e.Batch = [
        e.ToolCallStarted(0, "c", "f"),
        e.ToolCallDelta(0, "{}"),
        e.ToolCallFinished(0, seal=SEAL),
    ]
    enough, passed = continued([*BEGINNING, e.TextDelta("one"), *call])
    assert (enough, passed) == ([True], call)


def test_held_text_comes_before_the_call_that_settles_it() -> None:
    """A call is the end of the text, and less than all is no repetition."""
    call = e.ToolCallStarted(0, "c", "f")
    _, passed = continued([*BEGINNING, e.TextDelta("on"), call], given="one")
    assert passed == [e.TextDelta("on"), call]


def test_sealed_reasoning_is_a_fault_where_tools_may_be_called() -> None:
    """The provider would ask for it with the tool's result, and the client does not have it."""
    said: e.Batch = [*BEGINNING, e.PartFinished("reasoning", SEAL), e.TextDelta("one two")]
    with pytest.raises(UpstreamFault, match="sealed"):
        continued(said, wants_sealed=True)
    assert continued(said)[1] == [e.TextDelta(" two")]


@given(TEXTS, CUTS)
def test_what_is_passed_on_continues_a_stream_by_the_grammar(text: str, cuts: list[int]) -> None:
    """The client's stream has one beginning, one message and one end."""
    line = Continuation(CommitPoint.CONTENT, Seam("one"), wants_sealed=False)
    grammar = Grammar()
    grammar.check([*BEGINNING, e.TextDelta("one")])
    ends: e.Batch = [e.MessageFinished(e.FinishReason.STOP), e.Finished()]
    said: list[e.Batch] = [[e.TextDelta(piece)] for piece in pieces("one" + text, cuts)]
    for batch in (BEGINNING, *said, ends):
        grammar.check(line.pass_on(batch))
    assert grammar.is_terminal
