"""Which piece of a tool call belongs to which call."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical import events as e
from tests.protocols.openai_chat.building import ROLE, chunk, content, decode, stream

Told = list[tuple[str, str, str]]
"""Calls in order: id, name, arguments."""


def piece(index: Any = 0, id: Any = None, name: Any = None, args: Any = None) -> dict[str, Any]:
    """An entry of ``tool_calls``, without the fields that are None."""
    function = {k: v for k, v in (("name", name), ("arguments", args)) if v is not None}
    kind = "function" if id and name else None
    fields = {"index": index, "id": id, "type": kind, "function": function or None}
    return {name: value for name, value in fields.items() if value is not None}


def told(events: list[e.Event]) -> Told:
    """The calls that the events tell of, each started and finished once."""
    starts = [event for event in events if isinstance(event, e.ToolCallStarted)]
    ends = [event.index for event in events if isinstance(event, e.ToolCallFinished)]
    assert sorted(ends) == [start.index for start in starts] == list(range(len(starts)))
    texts = {start.index: "" for start in starts}
    for event in events:
        if isinstance(event, e.ToolCallDelta):
            texts[event.index] += event.arguments
    return [(start.id, start.name, texts[start.index]) for start in starts]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        # as OpenAI sends them
        ([[piece(0, "a", "f", "")], [piece(0, args="1")], [piece(0, args="2")]],
         [("a", "f", "12")]),
        ([[piece(0, "a", "f", "1"), piece(1, "b", "g", "2")]], [("a", "f", "1"), ("b", "g", "2")]),
        ([[piece(0, "a", "f")], [piece(1, "b", "f")], [piece(0, args="1"), piece(1, args="2")]],
         [("a", "f", "1"), ("b", "f", "2")]),
        # id and name again and again
        ([[piece(0, "a", "f", "1")], [piece(0, "a", "f", "2")]], [("a", "f", "12")]),
        ([[piece(0, "a", "f", "1")], [piece(0, "", "", "2")]], [("a", "f", "12")]),
        ([[piece(0, None, "f", "1")], [piece(0, None, "f", "2")]], [("call_1", "f", "12")]),
        # every call at index 0
        ([[piece(0, "a", "f", "1")], [piece(0, "b", "f", "2")], [piece(0, args="3")]],
         [("a", "f", "1"), ("b", "f", "23")]),
        ([[piece(0, "a", "f", "1"), piece(0, "b", "f", "2")]], [("a", "f", "1"), ("b", "f", "2")]),
        ([[piece(0, None, "f", "1")], [piece(0, None, "g", "2")]],
         [("call_1", "f", "1"), ("call_2", "g", "2")]),
        ([[piece(0, None, "f", "1"), piece(0, None, "f", "2")]],
         [("call_1", "f", "1"), ("call_2", "f", "2")]),
        # no index
        ([[piece(None, "a", "f", "1")], [piece(None, args="2")]], [("a", "f", "12")]),
        ([[piece(None, "a", "f", "1")], [piece(None, "b", "f", "2")], [piece(None, "a", args="3")]],
         [("a", "f", "13"), ("b", "f", "2")]),
        ([[piece(None, None, "f", "1"), piece(None, None, "f", "2")]],
         [("call_1", "f", "1"), ("call_2", "f", "2")]),
        ([[piece(None, None, "f", "1")], [piece(None, None, "g", "2")], [piece(None, args="3")]],
         [("call_1", "f", "1"), ("call_2", "g", "23")]),
        # arguments first, id or name late
        ([[piece(0, args="1")], [piece(0, "a", "f", "2")]], [("a", "f", "12")]),
        ([[piece(0, "a", args="1")], [piece(0, None, "f", "2")]], [("a", "f", "12")]),
        ([[piece(0, None, "f", "1")], [piece(0, "a", args="2")]], [("call_1", "f", "12")]),
        ([[piece(None, args="1")], [piece(None, args="2")]], [("call_1", "", "12")]),
        ([[piece(0, "a")]], [("a", "", "")]),
        # nothing at all
        ([[piece(0)], [piece(1)]], []),
        ([[piece(0), piece(None)], [piece(1, "a", "f")]], [("a", "f", "")]),
        # ids that are taken
        ([[piece(0, "a", "f", "1")], [piece(1, "a", "f", "2")]],
         [("a", "f", "1"), ("call_1", "f", "2")]),
        # odd types
        ([[{"index": "0", "id": 7, "function": {"name": "f", "arguments": {"a": 1}}}]],
         [("7", "f", '{"a":1}')]),
        ([[{"index": 0, "id": "a", "function": "f"}], [piece(0, None, "f", "1")]],
         [("a", "f", "1")]),
        ([["x", None, piece(0, "a", "f")]], [("a", "f", "")]),
    ],
)  # fmt: skip
def test_pieces_find_their_calls(chunks: list[list[Any]], expected: Told) -> None:
    """Each call is told once, with all its arguments in order."""
    body = stream(ROLE, *(chunk({"tool_calls": pieces}) for pieces in chunks))
    assert told(content(decode(body))) == expected


def test_call_that_loses_its_index_is_finished_before_the_next_starts() -> None:
    """It cannot get any more arguments."""
    body = stream(ROLE, chunk({"tool_calls": [piece(0, "a", "f"), piece(0, "b", "g")]}))
    assert content(decode(body)) == [
        e.ToolCallStarted(0, "a", "f"),
        e.ToolCallFinished(0),
        e.ToolCallStarted(1, "b", "g"),
        e.ToolCallFinished(1),
    ]


def test_ids_are_unique_over_all_choices() -> None:
    """Servers that number the calls of each choice give the same ids."""
    call = {"tool_calls": [piece(0, "a", "f")]}
    body = stream(ROLE, chunk(call), chunk({"role": "assistant", **call}, choice={"index": 1}))
    starts = [event for event in decode(body) if isinstance(event, e.ToolCallStarted)]
    assert [(start.choice, start.id) for start in starts] == [(0, "a"), (1, "call_1")]


def test_legacy_function_call_is_a_tool_call() -> None:
    """With a made-up id; what stands beside it in ``tool_calls`` is preferred."""
    body = stream(
        ROLE,
        chunk({"function_call": {"name": "f", "arguments": "{", "x": 1}}),
        chunk({"function_call": {"arguments": "}"}}),
        chunk({}, "function_call"),
    )
    assert told(decode(body)) == [("call_1", "f", "{}")]
    both = chunk({"function_call": {"name": "f"}, "tool_calls": [piece(0, "a", "g")]})
    assert told(decode(stream(ROLE, both))) == [("a", "g", "")]


def test_custom_calls_keep_their_kind() -> None:
    """Free text in the place of arguments."""
    first = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "1"}}
    more = {"index": 0, "custom": {"input": "2"}}
    body = stream(ROLE, chunk({"tool_calls": [first]}), chunk({"tool_calls": [more]}))
    assert content(decode(body)) == [
        e.ToolCallStarted(0, "a", "f", 0, "custom"),
        e.ToolCallDelta(0, "1"),
        e.ToolCallDelta(0, "2"),
        e.ToolCallFinished(0),
    ]


def test_unknown_fields_of_a_call_are_carried_with_its_index() -> None:
    """Gemini's thought signatures, for one; also those that came before the call started."""
    signed = {**piece(3, "a"), "extra_content": {"google": {"thought_signature": "s"}}}
    named = {**piece(3, None, "f"), "function": {"name": "f", "x": 1}}
    body = stream(ROLE, chunk({"tool_calls": [signed]}), chunk({"tool_calls": [named]}))
    entry = {"index": 0, "extra_content": signed["extra_content"], "function": {"x": 1}}
    assert content(decode(body))[1] == e.Extra("openai_chat", "delta", {"tool_calls": [entry]})


@pytest.mark.parametrize(
    ("pieces", "is_kept"),
    [
        ([piece(0, "a", "f", "1")], True),
        ([{**piece(0, "a", "f", "1"), "type": None}], False),
        ([piece(0, "a", "f", "1"), piece(1, "b", "g")], True),
        ([piece(0, "a", "f"), piece(0, args="1")], True),
        ([piece(1, "a", "f")], False),
        ([piece(0, None, "f")], False),
        ([piece(None, "a", "f")], False),
        ([piece(0, "a", "f"), piece(0, "a", None, "1")], False),
        ([piece(0, "a", "f"), piece(0, None, "f", "1")], False),
        ([piece(0, "a"), piece(0, None, "f")], False),
        ([piece(0, "a", "f"), piece(1, "a", "f")], False),
    ],
)
def test_bytes_are_kept_for_pieces_as_openai_sends_them(pieces: list[Any], is_kept: bool) -> None:
    """Clients put pieces together by index, and append ids and names."""
    events = decode(stream(ROLE, chunk({"tool_calls": pieces})))
    starts = [event for event in events if isinstance(event, e.ToolCallStarted)]
    assert starts[0].source is not None
    assert (starts[0].source.count > 0) is is_kept
