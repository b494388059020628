"""The grammar of one stream."""

from __future__ import annotations

import pytest

from lipstream.canonical import events as e
from lipstream.errors import FaultKind, IllegalTransition, UpstreamFault
from lipstream.lifecycle.grammar import Grammar, GrammarState

STARTED, MESSAGE = e.Started(), e.MessageStarted()
END, FINISHED = e.MessageFinished(e.FinishReason.STOP), e.Finished()
CALL = e.ToolCallStarted(0, "c1", "f")
FAILED = e.StreamFailed(UpstreamFault(FaultKind.SERVER, "x"))

LEGAL = {
    "text": [STARTED, MESSAGE, e.TextDelta("a"), END, FINISHED],
    "empty": [STARTED, FINISHED],
    "two choices": [
        STARTED,
        MESSAGE,
        e.MessageStarted(1),
        e.TextDelta("a"),
        e.TextDelta("b", 1),
        END,
        e.TextDelta("c", 1),
        e.MessageFinished(e.FinishReason.LENGTH, 1),
        FINISHED,
    ],
    "tool call": [
        STARTED,
        MESSAGE,
        CALL,
        e.ToolCallDelta(0, "{}"),
        e.ToolCallFinished(0),
        END,
        FINISHED,
    ],
    "failure before the start": [FAILED],
    "failure with an open tool call": [STARTED, MESSAGE, CALL, FAILED],
    "asides": [STARTED, e.Notice("w", "x"), MESSAGE, e.Extra("d", "delta", {}), END, FINISHED],
}

ILLEGAL = {
    "content before the start": [e.TextDelta("a")],
    "content before its message": [STARTED, e.TextDelta("a")],
    "content of an unopened choice": [STARTED, MESSAGE, e.TextDelta("a", 1)],
    "content after its message": [STARTED, MESSAGE, END, e.TextDelta("a")],
    "two starts": [STARTED, STARTED],
    "message opened twice": [STARTED, MESSAGE, MESSAGE],
    "message ended twice": [STARTED, MESSAGE, END, END],
    "end of an unopened message": [STARTED, MESSAGE, e.MessageFinished(e.FinishReason.STOP, 1)],
    "arguments without a call": [STARTED, MESSAGE, e.ToolCallDelta(0, "{")],
    "arguments after the call": [
        *[STARTED, MESSAGE, CALL],
        *[e.ToolCallFinished(0), e.ToolCallDelta(0, "{")],
    ],
    "call started twice": [STARTED, MESSAGE, CALL, e.ToolCallStarted(0, "c2", "g")],
    "call id used twice": [STARTED, MESSAGE, CALL, e.ToolCallStarted(1, "c1", "g")],
    "call without an id": [STARTED, MESSAGE, e.ToolCallStarted(0, "", "f")],
    "message ends over an open call": [STARTED, MESSAGE, CALL, END],
    "end with an open message": [STARTED, MESSAGE, FINISHED],
    "anything after the end": [STARTED, FINISHED, e.Notice("w", "x")],
}


@pytest.mark.parametrize("events", LEGAL.values(), ids=LEGAL.keys())
def test_legal_stream_passes(events: list[e.Event]) -> None:
    """What the grammar allows is taken to its end."""
    grammar = Grammar()
    grammar.check(events)
    assert grammar.state is GrammarState.OVER


@pytest.mark.parametrize("events", ILLEGAL.values(), ids=ILLEGAL.keys())
def test_illegal_stream_is_refused_at_its_last_event(events: list[e.Event]) -> None:
    """The event that is out of place raises; everything before it was fine."""
    grammar = Grammar()
    grammar.check(events[:-1])
    with pytest.raises(IllegalTransition):
        grammar.check(events[-1:])
