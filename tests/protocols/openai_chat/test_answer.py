"""Whole answers to chat clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Tool
from lipstream.canonical.collect import Answer, Choice
from lipstream.canonical.events import FinishReason
from lipstream.canonical.usage import Usage
from lipstream.protocols.openai_chat import ChatServer
from lipstream.protocols.openai_chat.pieces import join_pieces
from tests.protocols.openai_chat.building import (
    ROLE,
    chat_call,
    chunk,
    counter,
    decode,
    decode_whole,
    fold,
    stream,
)

START: list[e.Event] = [e.Started("c1", "m", 1), e.MessageStarted()]
END: list[e.Event] = [e.MessageFinished(FinishReason.STOP), e.Finished()]


def written(events: list[e.Event], model: str | None = None, **call: Any) -> Any:
    """The body that a client gets."""
    server = ChatServer(new_id=counter(), clock=lambda: 1234.5)
    return json.loads(server.encode_answer(fold(events), chat_call(**call), model=model))


def message(*events: e.Event, **call: Any) -> Any:
    """The message of an answer with these events."""
    return written([*START, *events, *END], **call)["choices"][0]["message"]


def tool_call(kind: str, **inner: str) -> Any:
    """An entry of ``tool_calls``."""
    return {"id": "a", "type": kind, kind: inner}


def test_answer_is_a_chat_completion() -> None:
    """With all that OpenAI's has."""
    assert written([*START, e.TextDelta("a"), e.TextDelta("b"), *END]) == {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "ab", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }


def test_missing_head_is_made_up() -> None:
    """As in streams."""
    body = written([e.Started(), *END[1:]], "alias")
    assert (body["id"], body["created"], body["model"]) == ("chatcmpl-1", 1234, "alias")
    assert body["choices"] == []


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], {"content": ""}),
        ([e.RefusalDelta("no")], {"content": None, "refusal": "no"}),
        ([e.ReasoningDelta("h"), e.TextDelta("a"), e.ReasoningDelta("m")],
         {"content": "a", "reasoning_content": "hm", "reasoning": "hm"}),
        ([e.ToolCallStarted(0, "a", "f"), e.ToolCallDelta(0, "{}")],
         {"content": None, "tool_calls": [tool_call("function", name="f", arguments="{}")]}),
        ([e.ToolCallStarted(0, "a", "f", type="custom"), e.ToolCallDelta(0, "x")],
         {"content": None, "tool_calls": [tool_call("custom", name="f", input="x")]}),
        ([e.Media("image", "data:x")],
         {"content": "", "images": [{"type": "image_url", "image_url": {"url": "data:x"}}]}),
        ([e.Media("file", "data:x", name="n")],
         {"content": "",
          "files": [{"type": "file", "file": {"file_data": "data:x", "filename": "n"}}]}),
        ([e.Media("audio", "QQ", transcript="a"), e.Media("audio", "==", transcript="b", id="i")],
         {"content": "", "audio": {"data": "QQ==", "id": "i", "transcript": "ab"}}),
        ([e.Extra("gemini", "delta", {"x": 1})], {"content": ""}),
    ],
)  # fmt: skip
def test_parts_find_their_fields(events: list[e.Event], expected: Any) -> None:
    """Text that is missing beside calls is null."""
    assert message(*events) == {"role": "assistant", "refusal": None, **expected}


def test_all_choices_are_told_with_their_logprobs() -> None:
    """Each in its place."""
    entry = {"token": "a"}
    body = written(
        [
            *START,
            e.MessageStarted(1),
            e.TextDelta("a", 0, (entry,)),
            e.RefusalDelta("r", 1, (entry,)),
            e.MessageFinished(FinishReason.LENGTH, 1),
            *END,
        ]
    )
    assert [choice["logprobs"] for choice in body["choices"]] == [
        {"content": [entry]},
        {"refusal": [entry]},
    ]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop", "length"]


def test_legacy_client_is_told_its_call_in_the_legacy_way() -> None:
    """There is only room for one."""
    events = [
        *START,
        e.ToolCallStarted(0, "a", "f"),
        e.ToolCallDelta(0, "{}"),
        e.MessageFinished(FinishReason.TOOL_CALLS),
    ]
    (choice,) = written(events, tools=(Tool("f", extra={"functions": {}}),))["choices"]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "function_call"
    events[-1] = END[0]
    (choice,) = written(events, tools=(Tool("f", extra={"functions": {}}),))["choices"]
    assert choice["finish_reason"] == "stop"


def test_usage_is_the_upstreams_own_or_made_of_the_counts() -> None:
    """And absent where nothing was reported."""
    own = {"prompt_tokens": 3, "queue_time": 0.5}
    events = decode(stream(ROLE, chunk({}, "stop", usage=own)))
    assert written(events)["usage"] == own
    events = [*START, e.UsageReported(Usage(input_tokens=3, cache_write_tokens=1)), *END]
    assert written(events)["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 0,
        "total_tokens": 3,
        "prompt_tokens_details": {"cache_write_tokens": 1},
    }
    assert "usage" not in written([*START, *END])


def test_unknown_fields_of_a_chat_upstream_are_kept() -> None:
    """Of the answer, of a choice, of its message, of its calls and its logprobs."""
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"function": {"arguments": "{}"}, "extra_content": {"sig": "s"}}
    events = decode(
        stream(
            chunk({"role": "assistant", "annotations": [{"a": 1}]}, provider="P"),
            chunk({"tool_calls": [call]}, choice={"native": None}),
            chunk({"tool_calls": [{"index": 0, **more}]}, choice={"native": "x"}),
            chunk({"annotations": [{"b": 2}]}, choice={"logprobs": {"reasoning_content": [1]}}),
            chunk({}, "tool_calls", choice={"logprobs": {"reasoning_content": [2]}}),
        )
    )
    body = written(events)
    (choice,) = body["choices"]
    assert body["provider"] == "P"
    assert choice["native"] == "x"
    assert choice["logprobs"] == {"reasoning_content": [1, 2]}
    assert choice["message"]["annotations"] == [{"a": 1}, {"b": 2}]
    assert choice["message"]["tool_calls"] == [
        {
            "id": "a",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"sig": "s"},
        }
    ]


@pytest.mark.parametrize(
    ("reason", "expected"), [(FinishReason.TOOL_CALLS, "{}"), (FinishReason.LENGTH, "")]
)
def test_call_without_arguments_has_an_empty_object(reason: FinishReason, expected: str) -> None:
    """Clients parse what they get; a call that was cut short has none yet."""
    events = [e.ToolCallStarted(0, "a", "f"), e.ToolCallStarted(1, "b", "g", type="custom")]
    answer = fold([e.Started(), e.MessageStarted(), *events, e.MessageFinished(reason)])
    (choice,) = json.loads(ChatServer().encode_answer(answer, chat_call()))["choices"]
    function, custom = choice["message"]["tool_calls"]
    assert function["function"]["arguments"] == expected
    assert custom["custom"]["input"] == ""


@pytest.mark.parametrize("calls", ["x", [1], [{"index": "x"}], [{"index": 9, "x": 1}], [{}]])
def test_odd_pieces_of_calls_are_left_out(calls: Any) -> None:
    """They belong to no call."""
    pieces = {"tool_calls": [calls]}
    choice = fold([*START, e.ToolCallStarted(0, "a", "f"), *END]).choices[0]
    answer = Answer(
        "c1", "m", 1, (Choice(0, choice.parts, choice.reason, pieces=pieces),), None, "openai_chat"
    )
    body = json.loads(ChatServer().encode_answer(answer, chat_call()))
    inner = {"name": "f", "arguments": ""}
    assert body["choices"][0]["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": inner}
    ]


def test_whole_answer_of_a_chat_upstream_comes_through() -> None:
    """What was read from a body is in the body that is written."""
    given = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "hi",
                    "refusal": None,
                    "annotations": [{"type": "url_citation"}],
                    "audio": {"id": "a", "data": "QQ==", "expires_at": 9, "transcript": "A"},
                },
                "logprobs": {"content": [{"token": "hi"}], "refusal": None},
                "finish_reason": "length",
                "native_finish_reason": "max",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "system_fingerprint": "f",
    }
    expected = json.loads(json.dumps(given))
    expected["choices"][0]["logprobs"] = {"content": [{"token": "hi"}]}
    assert written(decode_whole(given)) == expected


# ---------------------------------------------------------------- joining pieces


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"], "ab"),
        (["a", None, "b"], "ab"),
        ([None, None], None),
        ([1, 2], 2),
        (["a", 1], 1),
        ([[1], [2, 3]], [1, 2, 3]),
        ([[{"a": 1}], [{"b": 2}]], [{"a": 1}, {"b": 2}]),
        (
            [[{"index": 0, "type": "t", "text": "a"}, {"index": 1, "data": "x"}],
             [{"index": 0, "type": "t", "text": "b", "signature": "s"}]],
            [{"index": 0, "type": "t", "text": "ab", "signature": "s"}, {"index": 1, "data": "x"}],
        ),
        ([[{"index": True, "a": "x"}], [{"index": "0", "a": "y"}]],
         [{"index": True, "a": "x"}, {"index": "0", "a": "y"}]),
        ([{"a": {"b": "x", "n": 1}}, {"a": {"b": "y"}, "c": 2}], {"a": {"b": "y", "n": 1}, "c": 2}),
        ([{"text": "a"}, {"text": "b"}], {"text": "ab"}),
    ],
)  # fmt: skip
def test_pieces_are_joined_by_what_they_are(values: list[Any], expected: Any) -> None:
    """Texts grow, lists go on, objects are merged, of the rest the last one counts."""
    assert join_pieces({"field": values}) == {"field": expected}


def test_names_are_not_appended() -> None:
    """Servers repeat them in every delta."""
    pieces = {"name": ["assistant"] * 3, "channel": ["analysis", "final"]}
    assert join_pieces(pieces) == {"name": "assistant", "channel": "final"}


def test_joining_stops_at_some_depth() -> None:
    """Deeper down the last object counts."""
    deep: Any = {"a": 1}
    other: Any = {"b": 2}
    for _ in range(40):
        deep, other = {"x": deep}, {"x": other}
    joined = join_pieces({"field": [deep, other]})["field"]
    for _ in range(40):
        joined = joined["x"]
    assert joined == {"b": 2}
