"""Streams from upstreams, chunk by chunk."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.seal import Seal, Sealer
from lipstream.errors import FaultKind
from lipstream.protocols.gemini.stream_decode import GeminiStreamDecoder
from tests.protocols.gemini.building import (
    chunk,
    content,
    decode,
    decode_whole,
    ends,
    extras,
    fold,
    frame,
    stream,
    text,
)


def seal(value: str) -> Seal:
    """A seal of the stream that tests read."""
    return Seal("gemini", value, "b:m")


def said(*parts: Any) -> list[e.Event]:
    """The content of a stream with one chunk for each part."""
    return content(decode(stream(*map(chunk, parts), chunk(finish="STOP"))))


def test_stream_is_read_to_its_end() -> None:
    """The first chunk starts, the body's end finishes."""
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 1}
    body = stream(
        chunk(text("a"), createTime="2026-02-17T04:29:31.435104Z"),
        chunk(text("b"), createTime="2026-02-17T04:29:31.435104Z"),
        chunk(text("c"), finish="STOP", usageMetadata=usage),
    )
    events = decode(body)
    assert events[:2] == [
        e.Started("r", "g", 1771302571),
        e.Extra("gemini", "response", {"createTime": "2026-02-17T04:29:31.435104Z"}),
    ]
    assert content(events) == [e.TextDelta("a"), e.TextDelta("b"), e.TextDelta("c")]
    assert events[-2:] == [e.MessageFinished(FinishReason.STOP), e.Finished()]
    reported = [event.usage for event in events if isinstance(event, e.UsageReported)]
    assert [(u.input_tokens, u.output_tokens, u.fields) for u in reported] == [(3, 1, usage)]


PNG = {"mimeType": "image/png", "data": "QQ=="}

PARTS: list[tuple[dict[str, Any], list[e.Event]]] = [
    (text("hi"), [e.TextDelta("hi")]),
    (text(""), []),
    ({}, []),
    (text("hm", thought=True), [e.ReasoningDelta("hm")]),
    (text("hi", thoughtSignature="s"), [e.TextDelta("hi"), e.PartFinished("text", seal("s"))]),
    (text("", thoughtSignature="s"), [e.PartFinished("text", seal("s"))]),
    ({"thoughtSignature": "s"}, [e.PartFinished("text", seal("s"))]),
    (
        text("hm", thought=True, thoughtSignature="s"),
        [e.ReasoningDelta("hm"), e.PartFinished("reasoning", seal("s"))],
    ),
    (
        {"thought": True, "thoughtSignature": "s"},
        [e.PartFinished("reasoning", seal("s"))],
    ),
    (
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "i"}, "thoughtSignature": "s"},
        [
            e.ToolCallStarted(0, "i", "f"),
            e.ToolCallDelta(0, '{"a":1}'),
            e.ToolCallFinished(0, seal=seal("s")),
        ],
    ),
    (
        {"functionCall": {"name": "f"}},
        [
            e.ToolCallStarted(0, "gemini-fn-f-1-0", "f"),
            e.ToolCallDelta(0, "{}"),
            e.ToolCallFinished(0),
        ],
    ),
    ({"functionCall": {}}, []),
    ({"inlineData": PNG}, [e.Media("image", "data:image/png;base64,QQ==", "image/png")]),
    (
        {"inlineData": {"mimeType": "application/pdf", "data": "QQ==", "displayName": "n"}},
        [e.Media("file", "data:application/pdf;base64,QQ==", "application/pdf", "n")],
    ),
    (
        {"fileData": {"mimeType": "image/png", "fileUri": "u"}},
        [e.Media("image", "u", "image/png")],
    ),
    (
        {"fileData": {"mimeType": "audio/wav", "fileUri": "u"}},
        [e.Media("file", "u", "audio/wav")],
    ),
    (
        {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "QUFB"}},
        [e.Media("audio", "QUFB", "audio/L16;rate=24000")],
    ),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_parts_are_events(part: dict[str, Any], expected: list[e.Event]) -> None:
    """In a chunk of their own, and beside others."""
    assert said(part) == expected
    assert content(decode(stream(chunk(part, finish="STOP")))) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"executableCode": {"code": "1"}}, ("whole_part", {"executableCode": {"code": "1"}})),
        (
            {"toolCall": {"id": "x"}, "thoughtSignature": "s"},
            ("whole_part", {"toolCall": {"id": "x"}, "thoughtSignature": "s"}),
        ),
        (
            {"inlineData": PNG, "thought": True},
            ("whole_part", {"inlineData": PNG, "thought": True}),
        ),
        ({"inlineData": {}}, ("whole_part", {"inlineData": {}})),
        ({"inlineData": PNG, "thoughtSignature": "s"}, ("part", {"thoughtSignature": "s"})),
        (text("a", odd=1), ("part", {"odd": 1})),
        (
            {"functionCall": {"name": "f", "odd": 1}, "x": 2},
            ("part", {"x": 2, "functionCall": {"odd": 1}}),
        ),
    ],
)
def test_what_only_this_dialect_knows_is_carried(
    part: dict[str, Any], expected: tuple[str, Any]
) -> None:
    """Whole parts, and fields beside what has a canonical place."""
    events = decode(stream(chunk(part, finish="STOP")))
    assert extras(events)[0] == expected


def test_fields_of_the_answer_and_the_candidate_are_carried_when_they_are_new() -> None:
    """The last value counts."""
    ratings = [{"category": "A"}]
    more = {"candidate": {"safetyRatings": ratings}, "promptFeedback": {"a": 1}}
    body = stream(chunk(text("a"), **more), chunk(text("b"), **more), chunk(finish="STOP", x=2))
    assert extras(decode(body)) == [
        ("response", {"promptFeedback": {"a": 1}}),
        ("choice", {"index": 0, "safetyRatings": ratings}),
        ("response", {"x": 2}),
        ("choice", {"finishReason": "STOP"}),
    ]


# ---------------------------------------------------------------- calls


def call(name: str = "", *, goes_on: bool = False, **fields: Any) -> dict[str, Any]:
    """A part of a call that comes in pieces."""
    named = {"name": name} if name else {}
    return {"functionCall": named | ({"willContinue": True} if goes_on else {}) | fields}


def piece(path: str, value: Any, kind: str = "stringValue") -> dict[str, Any]:
    """One piece of the arguments."""
    return call(goes_on=True, partialArgs=[{"jsonPath": path, kind: value}])


def arguments(events: list[e.Event]) -> list[tuple[str, str]]:
    """Names and arguments of the calls."""
    names = [event.name for event in events if isinstance(event, e.ToolCallStarted)]
    texts = [event.arguments for event in events if isinstance(event, e.ToolCallDelta)]
    return list(zip(names, texts, strict=True))


def test_calls_of_one_chunk_have_their_own_ids() -> None:
    """Also where the upstream repeats one, or gives none."""
    parts = [{"functionCall": {"name": "f", "id": id_}} for id_ in ("a", "a", "", " ", None, 5)]
    events = decode(
        stream(chunk(*parts), chunk({"functionCall": {"name": "g h/é"}}, finish="STOP"))
    )
    ids = [event.id for event in events if isinstance(event, e.ToolCallStarted)]
    made = [f"gemini-fn-f-1-{i}" for i in range(5)]
    assert ids == ["a", *made, "gemini-fn-g_h__-1-5"]
    assert ends(events) == [(FinishReason.TOOL_CALLS, "")]


def test_long_names_make_no_long_ids() -> None:
    """OpenAI's clients send back no more than 64 characters."""
    (start, *_) = said({"functionCall": {"name": "f" * 128}})
    assert isinstance(start, e.ToolCallStarted)
    assert len(start.id) < 64 - 12


def test_arguments_in_pieces_are_put_together() -> None:
    """By their paths, whatever the values are."""
    events = decode(
        stream(
            chunk(call("f", goes_on=True) | {"thoughtSignature": "s"}),
            chunk(piece("$.a", "Bos")),
            chunk(piece("$.a", "ton")),
            chunk(piece("$.n[0].x", 0.5, "numberValue")),
            chunk(piece("$.n[0].y", 3.0, "numberValue"), piece("$.n[1].x", True, "boolValue")),
            chunk(piece("$['b c'][\"d'\"]", "NULL_VALUE", "nullValue")),
            chunk(call()),
            chunk(call("g", goes_on=True)),
            chunk(call("h", args={"x": 1})),
            chunk(text(""), finish="STOP"),
        )
    )
    first = '{"a":"Boston","n":[{"x":0.5,"y":3},{"x":true}],"b c":{"d\'":null}}'
    assert arguments(events) == [("f", first), ("g", "{}"), ("h", '{"x":1}')]
    seals = [event.seal for event in events if isinstance(event, e.ToolCallFinished)]
    assert seals == [seal("s"), None, None]


@pytest.mark.parametrize(
    "after",
    [
        text("hi"),
        {"executableCode": {}},
        {"inlineData": {"mimeType": "audio/x", "data": "QUFB"}},
        None,
    ],
)
def test_call_that_is_left_open_ends_with_what_comes_next(after: dict[str, Any] | None) -> None:
    """Or with the answer."""
    parts = [call("f", goes_on=True), piece("$.a", "x"), *([] if after is None else [after])]
    body = stream(*map(chunk, parts), chunk(finish="STOP"))
    assert arguments(decode(body)) == [("f", '{"a":"x"}')]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (5, {}),
        ([5, {"stringValue": "x"}, {"jsonPath": "$.a"}], {}),
        (
            [{"jsonPath": "$.a", "numberValue": 1}, {"jsonPath": "$.a", "stringValue": "x"}],
            {"a": "x"},
        ),
        (
            [
                {"jsonPath": "$.a[5]", "stringValue": "x"},
                {"jsonPath": "$.a[0]", "stringValue": "y"},
            ],
            {"a": ["y"]},
        ),
        (
            [
                {"jsonPath": "$.a[0]", "stringValue": "x"},
                {"jsonPath": "$.a[0].b", "stringValue": "y"},
            ],
            {"a": [{"b": "y"}]},
        ),
        (
            [
                {"jsonPath": "$.a[0].b", "stringValue": "x"},
                {"jsonPath": "$.a.b", "stringValue": "y"},
            ],
            {"a": [{"b": "x"}]},
        ),
        (
            [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.a[0]", "stringValue": "y"}],
            {"a": ["y"]},
        ),
        ([{"jsonPath": "$.a", "numberValue": "x"}], {"a": "x"}),
        ([{"jsonPath": "a[0]", "stringValue": "x"}], {"0": "x"}),
        ([{"jsonPath": "", "stringValue": "x"}], {}),
    ],
)
def test_odd_pieces_do_no_harm(pieces: Any, expected: dict[str, Any]) -> None:
    """What can be made of them is."""
    events = decode(stream(chunk(call("f", partialArgs=pieces), finish="STOP")))
    assert arguments(events) == [("f", compact(expected))]


def compact(value: Any) -> str:
    """JSON as it is written in arguments."""
    return json.dumps(value, separators=(",", ":"))


# ---------------------------------------------------------------- audio


def test_pieces_of_audio_fit_each_other() -> None:
    """Each is padded for itself; together they are one piece of base64."""
    mime = "audio/L16;rate=24000"
    data = ["QQ==", "QUI=", "QUFB", "-_8=", "odd!="]
    parts = [{"inlineData": {"mimeType": mime, "data": each}} for each in data]
    found = [event.url for event in said(*parts) if isinstance(event, e.Media)]
    assert found == ["QUFC", "QUFB", "odd!=", "+/8="]


def test_audio_ends_before_what_follows() -> None:
    """And with the answer."""
    audio = {"inlineData": {"mimeType": "audio/x", "data": "QQ=="}}
    media = e.Media("audio", "QQ==", "audio/x")
    assert said(audio, text("a"), text("b"), audio) == [
        media,
        e.TextDelta("a"),
        e.TextDelta("b"),
        media,
    ]
    calls = said(audio, {"functionCall": {"name": "f", "id": "i"}})
    assert calls[:2] == [media, e.ToolCallStarted(0, "i", "f")]


# ---------------------------------------------------------------- ends


@pytest.mark.parametrize(
    ("word", "reason", "detail"),
    [
        ("STOP", FinishReason.STOP, ""),
        (1, FinishReason.STOP, ""),
        ("MAX_TOKENS", FinishReason.LENGTH, ""),
        (2, FinishReason.LENGTH, ""),
        (3, FinishReason.CONTENT_FILTER, "SAFETY"),
        ("SAFETY", FinishReason.CONTENT_FILTER, "SAFETY"),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER, "IMAGE_SAFETY"),
        ("LANGUAGE", FinishReason.CONTENT_FILTER, "LANGUAGE"),
        ("MALFORMED_FUNCTION_CALL", FinishReason.ERROR, "MALFORMED_FUNCTION_CALL"),
        ("MISSING_THOUGHT_SIGNATURE", FinishReason.ERROR, "MISSING_THOUGHT_SIGNATURE"),
        ("OTHER", FinishReason.ERROR, "OTHER"),
        ("NEW_WORD", FinishReason.STOP, "NEW_WORD"),
    ],
)
def test_finish_reasons_are_read(word: Any, reason: FinishReason, detail: str) -> None:
    """The provider's own word is kept where it says more."""
    assert ends(decode(stream(chunk(text("a"), finish=word)))) == [(reason, detail)]
    whole = decode_whole(chunk(text("a"), finish=word))
    assert ends(whole) == [(reason, detail)]


def test_calls_end_in_calls_unless_something_went_wrong() -> None:
    """The service says STOP."""
    part = {"functionCall": {"name": "f"}}
    assert ends(decode(stream(chunk(part, finish="STOP")))) == [(FinishReason.TOOL_CALLS, "")]
    assert ends(decode(stream(chunk(part, finish="MAX_TOKENS")))) == [(FinishReason.LENGTH, "")]


def test_answer_goes_on_after_a_finish_reason() -> None:
    """It does so when the service's own tools run."""
    body = stream(
        chunk(text("a"), finish="STOP"), chunk(text("b")), chunk(text("c"), finish="MAX_TOKENS")
    )
    events = decode(body)
    assert content(events) == [e.TextDelta("a"), e.TextDelta("b"), e.TextDelta("c")]
    assert ends(events) == [(FinishReason.LENGTH, "")]


def test_candidates_are_choices() -> None:
    """By their index, else by their place; each ends for itself."""
    first = {"content": {"parts": [text("a")]}, "index": 1}
    second = {"content": {"parts": [text("b")]}, "finishReason": "STOP"}
    body = stream(
        {"candidates": [first]},
        {"candidates": [second, {"index": 1, "finishReason": "SAFETY"}, 5]},
    )
    events = decode(body)
    assert content(events) == [e.TextDelta("a", 1), e.TextDelta("b", 0)]
    assert [choice.reason for choice in fold(events).choices] == [
        FinishReason.STOP,
        FinishReason.CONTENT_FILTER,
    ]


@pytest.mark.parametrize("body", [b"", stream(chunk(text("a"))), b": hi\n\n", b"[", b"[{", b"\n"])
def test_stream_without_a_finish_reason_is_truncated(body: bytes) -> None:
    """There is no other sign of an end."""
    last = decode(body)[-1]
    assert isinstance(last, e.StreamFailed)
    assert last.fault.kind is FaultKind.TRUNCATED


# ---------------------------------------------------------------- failures

BLOCK = {"blockReason": "SAFETY", "blockReasonMessage": "no"}


def test_blocked_prompt_is_a_policy_refusal() -> None:
    """Before any content it is no answer."""
    value = {"promptFeedback": BLOCK, "usageMetadata": {"promptTokenCount": 1}, "modelVersion": "g"}
    for events in (decode(stream(value)), decode_whole(value), decode(frame(value)[6:])):
        (last,) = events
        assert isinstance(last, e.StreamFailed)
        assert last.fault.kind is FaultKind.CONTENT_FILTER
        assert (last.fault.code, last.fault.detail) == ("SAFETY", "no")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("PROHIBITED_CONTENT", "PROHIBITED_CONTENT"), ("JAILBREAK", "SAFETY"), (1, "SAFETY")],
)
def test_block_after_content_ends_it(reason: Any, expected: str) -> None:
    """What was told stays told."""
    body = stream(chunk(text("a")), {"promptFeedback": {"blockReason": reason}})
    events = decode(body)
    assert content(events) == [e.TextDelta("a")]
    assert ends(events) == [(FinishReason.CONTENT_FILTER, expected)]


@pytest.mark.parametrize("reason", [None, "", 0, "BLOCKED_REASON_UNSPECIFIED", [1]])
def test_feedback_without_a_reason_is_no_block(reason: Any) -> None:
    """Older models send it with every answer."""
    body = stream(chunk(text("a"), finish="STOP", promptFeedback={"blockReason": reason}))
    assert content(decode(body)) == [e.TextDelta("a")]


def test_error_in_the_stream_is_what_it_names() -> None:
    """In an event of any name, and in an array."""
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    start = chunk(text("a"))
    for body in (
        stream(start, error, chunk(text("b"), finish="STOP")),
        stream(start) + b"event: error\n" + frame(error),
        stream(start) + b"event: error\n" + frame(error["error"] | {"modelVersion": ""}),
        b"[" + frame(start)[6:] + b"," + frame(error)[6:] + b"]",
    ):
        events = decode(body)
        assert content(events[:-1]) == [e.TextDelta("a")]
        assert isinstance(events[-1], e.StreamFailed)
        assert (events[-1].fault.kind, events[-1].fault.status) == (FaultKind.OVERLOADED, 503)


def test_error_in_words_is_one() -> None:
    """Of a proxy in between."""
    last = decode(stream(chunk(text("a"))) + b"event: error\ndata: rate limit\n\n")[-1]
    assert isinstance(last, e.StreamFailed)
    assert last.fault.kind is FaultKind.RATE_LIMIT


# ---------------------------------------------------------------- seals


def test_seals_are_told_to_the_memory() -> None:
    """With the id of the call that they belong to."""
    told: list[tuple[str, str, str]] = []
    sealer = Sealer("b:m", lambda seal, call_id: told.append((seal.value, seal.origin, call_id)))
    parts = [
        text("a", thoughtSignature="s"),
        {"functionCall": {"name": "f", "id": "i"}, "thoughtSignature": "t"},
    ]
    decoder = GeminiStreamDecoder(sealer=sealer)
    decoder.feed(stream(chunk(*parts, finish="STOP")))
    assert told == [("s", "b:m", ""), ("t", "b:m", "i")]


def test_signed_part_is_a_part_of_its_own() -> None:
    """What follows is another one."""
    events = decode(
        stream(
            chunk(text("a")),
            chunk(text("b", thoughtSignature="s")),
            chunk(text("c"), finish="STOP"),
        )
    )
    (choice,) = fold(events).choices
    assert [(part.text, part.seal) for part in choice.parts] == [("ab", seal("s")), ("c", None)]  # type: ignore[attr-defined]


# ---------------------------------------------------------------- log probabilities

RESULT = {
    "chosenCandidates": [{"token": "é", "tokenId": 7, "logProbability": -0.5}, {"token": "b"}],
    "topCandidates": [{"candidates": [{"token": "x", "logProbability": -1}]}],
}


def test_log_probabilities_are_entries_of_the_text() -> None:
    """In OpenAI's shape; without a text they stand alone."""
    events = decode(
        stream(
            chunk(text("é"), candidate={"logprobsResult": RESULT}),
            chunk(finish="STOP", candidate={"logprobsResult": {"chosenCandidates": [5]}}),
        )
    )
    first, second = content(events)
    assert isinstance(first, e.TextDelta)
    assert first.logprobs == (
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "token_id": 7,
            "top_logprobs": [{"token": "x", "logprob": -1, "bytes": [120]}],
        },
        {"token": "b", "logprob": 0.0, "bytes": [98], "top_logprobs": []},
    )
    assert second == e.TextDelta(
        "", 0, ({"token": "", "logprob": 0.0, "bytes": [], "top_logprobs": []},)
    )
