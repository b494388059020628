"""Whole answers."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.seal import Seal, packed
from lipstream.canonical.usage import Usage
from tests.protocols.gemini.building import (
    answered,
    chunk,
    decode,
    decode_whole,
    foreign,
    message,
    own_call,
    stream,
    text,
)

PNG = {"mimeType": "image/png", "data": "QQ=="}
WHOLE: list[dict[str, Any]] = [
    chunk(text("a"), finish="STOP"),
    chunk(text("a"), text("b"), text("c", thoughtSignature="s"), text("d"), finish="MAX_TOKENS"),
    chunk(text("hm", thought=True), text("hn", thought=True), text("a"), finish="STOP"),
    chunk(text("a"), text("", thoughtSignature="s"), finish="STOP"),
    chunk({"executableCode": {"code": "1"}}, text("a"), {"toolCall": {}}, finish="STOP"),
    chunk(
        {"functionCall": {"name": "f", "args": {"a": [1.0]}}, "thoughtSignature": "s"},
        finish="STOP",
    ),
    chunk({"functionCall": {"name": "f", "args": {}, "id": "i", "odd": 1}, "x": 1}, finish="STOP"),
    chunk({"inlineData": PNG, "thoughtSignature": "s"}, text("a", odd=1), finish="STOP"),
    chunk({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "QUFB"}}, finish="STOP"),
    chunk(
        {"inlineData": {"mimeType": "text/csv", "data": "QUFB", "displayName": "n"}}, finish="STOP"
    ),
    chunk(text("a"), finish="SPII", candidate={"safetyRatings": [1], "finishMessage": "x"}),
    chunk(text("a"), finish="STOP", usageMetadata={"promptTokenCount": 3, "x": 1}, createTime="t"),
    chunk(text("a"), finish="NEW_WORD"),
    {
        "candidates": [{"content": {"role": "model"}, "finishReason": "SAFETY"}],
        "modelVersion": "g",
        "responseId": "r",
    },
    chunk(
        text("a"),
        finish="STOP",
        candidate={
            "logprobsResult": {
                "topCandidates": [{"candidates": [{"token": "a", "logProbability": -1}]}],
                "chosenCandidates": [{"token": "a", "tokenId": 5, "logProbability": -1}],
                "sum": -1,
            }
        },
    ),
]


@pytest.mark.parametrize("value", WHOLE)
def test_answer_of_this_dialect_is_told_as_it_came(value: dict[str, Any]) -> None:
    """Part by part."""
    assert answered(decode_whole(value)) == value


def test_streamed_answer_is_told_as_a_whole_one() -> None:
    """Texts are joined, the last of everything else counts."""
    usage = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5}}
    values = [
        chunk(text("h", thought=True), usageMetadata={"promptTokenCount": 3}),
        chunk(text("m", thought=True)),
        chunk(text("a")),
        chunk(text("b"), candidate={"groundingMetadata": {"a": 1}}),
        chunk(text("", thoughtSignature="s"), finish="STOP", **usage),
    ]
    parts = [text("hm", thought=True), text("ab", thoughtSignature="s")]
    last = {"candidate": {"groundingMetadata": {"a": 1}}, **usage}
    assert answered(decode(stream(*values))) == chunk(*parts, finish="STOP", **last)


def test_streamed_audio_is_one_part() -> None:
    """However it was cut."""
    mime = "audio/L16;rate=24000"
    pieces = [chunk({"inlineData": {"mimeType": mime, "data": each}}) for each in ("QQ==", "Qg==")]
    body = answered(decode(stream(*pieces, chunk(finish="STOP"))))
    assert body["candidates"][0]["content"]["parts"] == [
        {"inlineData": {"mimeType": mime, "data": "QUI="}}
    ]


SEAL = Seal("other", "s", "b:m")
EVENTS: list[e.Event] = [
    e.ReasoningDelta("hm"),
    e.PartFinished("reasoning", SEAL),
    e.TextDelta("hi"),
    e.RefusalDelta("no"),
    e.ToolCallStarted(0, "i", "f"),
    e.ToolCallDelta(0, "{broken"),
    e.ToolCallFinished(0, seal=SEAL),
    e.Media("image", "https://x/a.png"),
    e.Media("file", "https://x/a.pdf", name="n"),
    e.Media("audio", "", transcript="tr"),
    e.Extra("other", "whole_part", {"x": 1}),
    e.Extra("other", "choice", {"x": 1}),
    e.UsageReported(Usage(input_tokens=3, output_tokens=4)),
]
PARTS = [
    {"text": "hm", "thought": True, "thoughtSignature": packed(SEAL)},
    {"text": "hi"},
    {"text": "no"},
    {
        "functionCall": {"id": "i", "name": "f", "args": {"_raw": "{broken"}},
        "thoughtSignature": packed(SEAL),
    },
    {"fileData": {"mimeType": "image/png", "fileUri": "https://x/a.png"}},
    {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/a.pdf", "displayName": "n"}},
    {"text": "tr"},
]


@pytest.mark.parametrize(("summary", "parts"), [("auto", PARTS), ("none", PARTS[1:])])
def test_answer_of_another_provider_is_told(summary: str, parts: list[Any]) -> None:
    """Thoughts only to those who asked; nothing of what only another dialect knows."""
    events = message(*EVENTS, reason=FinishReason.TOOL_CALLS)
    assert answered(events, own_call(reasoning_summary=summary), "alias") == {
        "candidates": [
            {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
        "modelVersion": "alias",
        "responseId": "r",
    }


def test_empty_answer_has_an_empty_text() -> None:
    """Clients look for a part."""
    (candidate,) = answered([*message()[:-2], e.Finished()], foreign())["candidates"]
    assert candidate["content"] == {"parts": [{"text": ""}], "role": "model"}
    assert candidate["finishReason"] == "STOP"


def test_id_is_made_up_where_there_is_none() -> None:
    """And nothing is said of usage that nobody knows."""
    body = answered([e.Started(), e.MessageStarted(), e.UsageReported(Usage())])
    assert (body["responseId"], body["modelVersion"], "usageMetadata" in body) == ("1", "", False)
