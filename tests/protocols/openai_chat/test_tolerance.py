"""Other people's habits, one row each: what servers send that OpenAI would not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from tests.protocols.openai_chat.building import (
    ROLE,
    chunk,
    content,
    decode,
    decode_whole,
    encoder,
    stream,
)

HI = [e.TextDelta("hi")]


def extra(scope: str, **fields: Any) -> e.Extra:
    """Fields that the dialect carries."""
    return e.Extra("openai_chat", scope, fields)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # the shape of chunks
        ([chunk({"content": "hi"})], HI),
        ([chunk({"role": None, "content": "hi"})], HI),
        ([chunk({"role": "assistant", "content": "hi"}), chunk({"role": "assistant"})], HI),
        ([ROLE, {**chunk({"content": "hi"}), "id": None, "created": 1.5, "object": ""}], HI),
        ([ROLE, {"choices": [{"delta": {"content": "hi"}}]}], HI),
        ([ROLE, {"choices": {"delta": {"content": "hi"}}}], HI),
        ([ROLE, {**ROLE, "choices": None}, chunk({"content": "hi"})], HI),
        ([ROLE, chunk(choice={"delta": None}), chunk({"content": "hi"})], HI),
        ([ROLE, chunk(choice={"delta": []}), chunk({"content": "hi"})], HI),
        ([ROLE, chunk(choice={"index": "0", "delta": {"content": "hi"}})], HI),
        ([ROLE, chunk(choice={"index": "no", "delta": {"content": "hi"}})], HI),
        ([ROLE, chunk(choice={"message": {"role": "assistant", "content": "hi"}})], HI),
        ([ROLE, chunk({"content": "hi"}, choice={"finish_reason": 0})], HI),
        ([ROLE, chunk({"content": "hi"}, obfuscation="x7a", p="abc")], HI),
        ([ROLE, chunk({"content": "hi"}, obfuscation="x7a", p="abc", x=None)],
         [extra("response", x=None), *HI]),
        # text
        ([chunk({"content": 5})], [e.TextDelta("5")]),
        ([chunk({"content": {"text": "?"}}), chunk({"content": "hi"})], HI),
        ([chunk({"content": ["h", {"type": "text", "text": "i"}, 3]})], HI),
        ([chunk({"content": [{"type": "output_text", "text": [{"text": "hi"}, 1]}]})], HI),
        ([chunk({"content": [{"type": "text", "text": None}]}), chunk({"content": "hi"})], HI),
        ([chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}),
          chunk({"content": [{"type": "thinking", "thinking": "b"}]})],
         [e.ReasoningDelta("a"), e.ReasoningDelta("b")]),
        ([chunk({"content": [{"type": "refusal", "refusal": "no"}]})], [e.RefusalDelta("no")]),
        ([chunk({"content": [{"type": "reference", "ids": [1]}, {"type": 1}]})],
         [extra("delta", content_parts=[{"type": "reference", "ids": [1]}, {"type": 1}])]),
        # reasoning
        ([chunk({"reasoning": "a"}), chunk({"reasoning_content": "b"})],
         [e.ReasoningDelta("a"), e.ReasoningDelta("b")]),
        ([chunk({"reasoning": "a", "reasoning_content": "a"})], [e.ReasoningDelta("a")]),
        ([chunk({"reasoning": "b", "reasoning_content": "a"})], [e.ReasoningDelta("ab")]),
        ([chunk({"reasoning": {"x": 1}, "content": "hi"})], HI),
        ([chunk({"reasoning": "a", "reasoning_details": [{"index": 0}], "channel": "analysis"})],
         [e.ReasoningDelta("a"),
          extra("delta", reasoning_details=[{"index": 0}], channel="analysis")]),
        # order within a chunk
        ([chunk({"content": "hi", "reasoning": "a", "refusal": "no"})],
         [e.ReasoningDelta("a"), e.RefusalDelta("no"), *HI]),
        # media
        ([chunk({"images": [{"type": "image_url", "image_url": {"url": "data:x"}}]})],
         [e.Media("image", "data:x")]),
        ([chunk({"content": [{"type": "image_url", "image_url": "http://x"}]})],
         [e.Media("image", "http://x")]),
        ([chunk({"images": {"image_url": 3}})], [e.Media("image", "")]),
        ([chunk({"images": ["x"]}), chunk({"content": "hi"})], HI),
        ([chunk({"audio": {"id": "a", "data": "QQ==", "transcript": "A"}}),
          chunk({"audio": {"expires_at": 9, "data": None}})],
         [e.Media("audio", "QQ==", transcript="A", id="a"), e.Media("audio"),
          extra("delta", audio={"expires_at": 9})]),
        # what nobody knows
        ([chunk({"content": "hi", "a": 1, "b": None}, x=2, choice={"y": 3})],
         [extra("response", x=2), extra("choice", y=3), *HI, extra("delta", a=1)]),
        ([chunk({"content": "hi"}, provider="P", system_fingerprint="f", service_tier=None)],
         [extra("response", system_fingerprint="f", service_tier=None, provider="P"), *HI]),
        ([chunk({"content": "hi"}, choice={"stop_reason": None}),
          chunk({"content": "hi"}, choice={"stop_reason": None, "native_finish_reason": "x"})],
         [extra("choice", stop_reason=None), *HI, extra("choice", native_finish_reason="x"), *HI]),
        # logprobs
        ([chunk({"content": "hi"}, choice={"logprobs": {"content": [{"token": "hi"}]}})],
         [e.TextDelta("hi", 0, ({"token": "hi"},))]),
        ([chunk({}, choice={"logprobs": {"content": [{"t": "h"}], "refusal": [{"t": "r"}]}})],
         [e.RefusalDelta("", 0, ({"t": "r"},)), e.TextDelta("", 0, ({"t": "h"},))]),
        ([chunk({"content": "hi"}, choice={"logprobs": {"content": None, "refusal": []}})], HI),
        ([chunk({"reasoning": "a"}, choice={"logprobs": {"reasoning_content": [{"token": "a"}]}})],
         [e.ReasoningDelta("a"), extra("delta", logprobs={"reasoning_content": [{"token": "a"}]})]),
        ([chunk({"content": 5}, choice={"logprobs": {"content": [{"token": "5"}], "x": [1]}})],
         [e.TextDelta("5", 0, ({"token": "5"},)), extra("delta", logprobs={"x": [1]})]),
        ([chunk({"content": "hi"}, choice={"logprobs": 3})], HI),
    ],
)  # fmt: skip
def test_habit_is_read_as_what_is_meant(values: list[Any], expected: list[e.Event]) -> None:
    """Between the start and the end of the message."""
    assert content(decode(stream(*values, chunk({}, "stop")))) == expected


def test_first_chunk_about_the_prompt_waits_for_the_answer_to_start() -> None:
    """Azure's has no id, no model and no choices; the events begin with the real ones."""
    first = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "filters": [1]}
    events = decode(stream(first, ROLE, chunk({"content": "hi"}, "stop")))
    assert events[:3] == [
        e.Started("c1", "m", 1),
        extra("response", filters=[1]),
        e.MessageStarted(),
    ]
    assert decode(stream(first)) == [e.Started(), extra("response", filters=[1]), e.Finished()]


@pytest.mark.parametrize(
    "values",
    [
        [chunk({}, "stop", usage={"prompt_tokens": 7}), {**ROLE, "choices": []}],
        [chunk({}, "stop"), {**ROLE, "choices": [], "usage": {"prompt_tokens": 7}}],
        [chunk({}, "stop"), chunk({}, usage={"prompt_tokens": 7})],
        [chunk({}, "stop", usage=None, x_groq={"id": "r", "usage": {"prompt_tokens": 7}})],
        [chunk({}, "stop", usage=[]), chunk({}, usage={"prompt_tokens": 7}, x=1)],
    ],
)
def test_usage_is_read_wherever_it_stands(values: list[Any]) -> None:
    """Also after the finish reason; always before the end."""
    events = decode(stream(ROLE, *values))
    reports = [event for event in events if isinstance(event, e.UsageReported)]
    assert [report.usage.input_tokens for report in reports] == [7]
    assert events[-1] == e.Finished()


def test_usage_alone_starts_the_answer() -> None:
    """So that it can be told."""
    events = decode(stream({"usage": {"prompt_tokens": 7}}))
    assert [type(event) for event in events] == [e.Started, e.UsageReported, e.Finished]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("a\\ud83d", "\\ude00b", ["a", "😀b"]),
        ("\\ud83d", "\\ude00", ["😀"]),
        ("\\ud83d", "x", ["\ufffdx"]),
        ("a", "\\ude00", ["a", "\ufffd"]),
        ("a\\ud83d", "", ["a", "\ufffd"]),
    ],
)
@pytest.mark.parametrize(
    ("field", "event"),
    [
        ("content", e.TextDelta),
        ("reasoning", e.ReasoningDelta),
        ("refusal", e.RefusalDelta),
    ],
)
def test_halves_of_a_character_are_joined(
    first: str, second: str, expected: list[str], field: str, event: Any
) -> None:
    """A half that stays alone becomes U+FFFD when the next text or the end shows it."""
    parts = [json.dumps(chunk({field: "@"})).replace("@", text) for text in (first, second)]
    body = stream(ROLE, *(part.encode() for part in parts), chunk({}, "stop"))
    assert content(decode(body)) == [event(text) for text in expected]


def test_halves_in_arguments_are_joined_too() -> None:
    """Also the half that the call ends with."""
    start = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "@"}}
    more = {"index": 0, "function": {"arguments": "@"}}
    texts = zip([start, more, more], ["\\ud83d", "\\ude00", "!\\ud83d"], strict=True)
    parts = [json.dumps(chunk({"tool_calls": [call]})).replace("@", t) for call, t in texts]
    assert content(decode(stream(ROLE, *(part.encode() for part in parts)))) == [
        e.ToolCallStarted(0, "a", "f"),
        e.ToolCallDelta(0, "😀"),
        e.ToolCallDelta(0, "!"),
        e.ToolCallDelta(0, "\ufffd"),
        e.ToolCallFinished(0),
    ]


def test_broken_utf8_and_numbers_that_are_none_are_read() -> None:
    """A token may be part of a character; a logprob may be infinite."""
    bad = json.dumps(chunk({"content": "@"})).encode().replace(b"@", b"a\xf0\x9f")
    entries = [{"a": "@"}, {"b": "@@"}, {"c": 0.5}]
    odd = chunk({"content": "b"}, choice={"logprobs": {"content": entries}})
    data = json.dumps(odd).replace('"@"', "-Infinity").replace('"@@"', "1e999").encode()
    body = stream(ROLE, bad, data, chunk({}, "stop"))
    assert content(decode(body)) == [
        e.TextDelta("a\ufffd"),
        e.TextDelta("b", 0, ({"a": None}, {"b": None}, {"c": 0.5})),
    ]


def test_whole_answers_are_read_by_the_same_rules() -> None:
    """A message is one large delta; calls without an index have that of their place."""
    calls = [
        {"function": {"name": "f", "arguments": {"a": 1}}, "x": 1},
        {"id": "b", "type": "custom", "custom": {"name": "g", "input": "in", "y": 2}},
    ]
    message = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}],
        "tool_calls": calls,
        "annotations": [1],
    }
    answer = {"id": "c1", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    assert content(decode_whole(answer)) == [
        e.ReasoningDelta("hm"),
        e.TextDelta("hi"),
        e.ToolCallStarted(0, "call_1", "f"),
        e.ToolCallDelta(0, '{"a":1}'),
        extra("delta", tool_calls=[{"index": 0, "x": 1}]),
        e.ToolCallStarted(1, "b", "g", 0, "custom"),
        e.ToolCallDelta(1, "in"),
        extra("delta", tool_calls=[{"index": 1, "custom": {"y": 2}}]),
        extra("delta", annotations=[1]),
        e.ToolCallFinished(0),
        e.ToolCallFinished(1),
    ]


def test_legacy_call_of_a_whole_answer_is_a_tool_call() -> None:
    """Its unknown fields have no place."""
    message = {"content": None, "function_call": {"name": "f", "arguments": "{}", "x": 1}}
    tools = [
        {"id": "a", "function": {"name": "g", "x": 1}},
        {"id": "b", "type": "custom", "custom": {"name": "h"}},
    ]
    events = decode_whole({"choices": [{"message": message}, {"message": {"tool_calls": tools}}]})
    assert [event for event in events if isinstance(event, e.ToolCallStarted | e.Extra)] == [
        e.ToolCallStarted(0, "call_1", "f"),
        e.ToolCallStarted(0, "a", "g", 1),
        e.Extra("openai_chat", "delta", {"tool_calls": [{"index": 0, "function": {"x": 1}}]}, 1),
        e.ToolCallStarted(1, "b", "h", 1, "custom"),
    ]


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (chunk({"content": "hi"}), True),
        (chunk({"content": "hi"}, x=1), True),
        (chunk({"content": "hi", "x": 1}, choice={"y": 2}), True),
        (chunk({"content": "hi", "role": "assistant"}, provider="p"), True),
        (chunk({"content": [{"type": "text", "text": "hi"}]}), False),
        (chunk({"content": "hi"}, id=""), False),
        (chunk({"content": "hi"}, model=None), False),
        (chunk({"content": "hi"}, object="x"), False),
        (chunk({"content": "hi"}, created=None), False),
        (chunk({"content": "hi"}, choice={"index": None}), False),
        (chunk({"content": "hi"}, choice={"message": {}}), False),
    ],
)
def test_bytes_are_kept_for_chunks_that_openai_could_have_sent(value: Any, is_kept: bool) -> None:
    """Unknown fields do no harm; whatever was put right is written anew."""
    events = decode(stream(ROLE, value))
    text = next(event for event in events if isinstance(event, e.TextDelta))
    assert text.source is not None
    assert (text.source.count > 0) is is_kept


def test_chunk_with_a_reason_of_its_own_is_written_in_openai_words() -> None:
    """Clients compare with OpenAI's words."""
    events = decode(stream(ROLE, chunk({}, "model_length")))
    body = encoder().encode(events)
    assert b'"finish_reason":"length"' in body
    assert b"model_length" not in body
    assert events[-2] == e.MessageFinished(FinishReason.LENGTH, 0, "model_length")
