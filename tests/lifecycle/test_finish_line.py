"""Which event makes an attempt the answer, for each commit point."""

from __future__ import annotations

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.policy import CommitPoint
from lipstream.lifecycle.finish_line import FinishLine

CONTENT, TEXT, TOOL, FINISH = CommitPoint
NOTHING = [
    e.Started(),
    e.MessageStarted(),
    e.TextDelta(""),
    e.TextDelta(" \n"),
    e.ReasoningDelta(" "),
    e.RefusalDelta(""),
    e.Notice("w", "x"),
    e.Extra("d", "delta", {}),
    e.MessageFinished(e.FinishReason.STOP),
]
CALL = e.ToolCallStarted(0, "c", "f")


@pytest.mark.parametrize("point", CommitPoint)
@pytest.mark.parametrize("event", NOTHING, ids=lambda event: type(event).__name__)
def test_lifecycle_and_blank_content_never_count(point: CommitPoint, event: e.Event) -> None:
    """Servers send these long before they know what to say."""
    assert not FinishLine(point).is_crossed_by(event)


@pytest.mark.parametrize(
    ("event", "points"),
    [
        (e.TextDelta("a"), {CONTENT, TEXT, TOOL}),
        (e.RefusalDelta("no"), {CONTENT, TEXT, TOOL}),
        (e.ReasoningDelta("hm"), {CONTENT, TOOL}),
        (e.Media("image", "http://x/y.png"), {CONTENT, TEXT, TOOL}),
        (CALL, {CONTENT, TEXT}),
        (e.Finished(), {CONTENT, TEXT, TOOL, FINISH}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_content_counts_by_the_commit_point(event: e.Event, points: set[CommitPoint]) -> None:
    """Each point says for itself what is enough."""
    assert points == {p for p in CommitPoint if FinishLine(p).is_crossed_by(event)}


def feed_call(*fragments: str, type: str = "function") -> tuple[list[bool], FinishLine]:
    """A tool call piece by piece, under the point that wants it whole."""
    line = FinishLine(CommitPoint.TOOL_CALL)
    events = [
        e.ToolCallStarted(0, "c", "f", type=type),
        *(e.ToolCallDelta(0, f) for f in fragments),
    ]
    return [line.is_crossed_by(event) for event in [*events, e.ToolCallFinished(0)]], line


@pytest.mark.parametrize("fragments", [('{"a"', ": 1}"), ("",), ()])
def test_tool_call_counts_when_its_arguments_are_whole(fragments: tuple[str, ...]) -> None:
    """Not its start, not a fragment: its end, and no arguments at all are fine."""
    crossed, line = feed_call(*fragments)
    assert [False] * (len(fragments) + 1) + [True] == crossed
    assert not line.is_broken


def test_tool_call_with_broken_arguments_never_counts() -> None:
    """Neither does the rest of that answer: the attempt has to fail."""
    crossed, line = feed_call('{"a"')
    assert not any(crossed)
    assert line.is_broken
    assert not line.is_crossed_by(e.Finished())


def test_free_text_tool_counts_without_being_json() -> None:
    """The arguments of a custom tool are text."""
    crossed, line = feed_call("anything", type="custom")
    assert crossed[-1]
    assert not line.is_broken
