"""Streams to clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.events import FinishReason
from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.canonical.seal import Seal, packed
from lipstream.canonical.usage import Usage
from tests.protocols.gemini.building import (
    ARRAY,
    HI,
    chunk,
    datas,
    decode,
    encoder,
    foreign,
    message,
    own_call,
    parts_of,
    read,
    stream,
    text,
)

SHOWN = own_call(reasoning_summary="auto")
PROBLEM = Problem(503, ProblemKind.OVERLOADED, "busy")


def written(*events: e.Event, call: Call | None = None) -> list[Any]:
    """The parts that a client gets, without the empty one at the end."""
    parts = parts_of(encoder(call).encode(message(*events)))
    assert parts[-1] == {"text": ""}
    return parts[:-1]


# ---------------------------------------------------------------- chunks


def test_answer_of_another_provider_is_a_stream_of_responses() -> None:
    """Usage is in each once it is known, the finish reason in the last."""
    usage = Usage(input_tokens=3, output_tokens=2)
    events: list[e.Event] = [
        e.Started("r", "g", 1),
        e.MessageStarted(),
        e.TextDelta("a"),
        e.UsageReported(usage),
        e.TextDelta("b\u2028"),
        e.MessageFinished(FinishReason.LENGTH, detail="max_tokens"),
        e.UsageReported(Usage(output_tokens=9)),
        e.Finished(),
    ]
    end = {"modelVersion": "g", "responseId": "r"}

    def counts(made: int) -> dict[str, Any]:
        numbers = {"promptTokenCount": 3, "candidatesTokenCount": made, "totalTokenCount": 3 + made}
        return {"usageMetadata": numbers, **end}

    def candidate(part: str, **more: str) -> list[Any]:
        return [{"content": {"parts": [{"text": part}], "role": "model"}, **more, "index": 0}]

    body = encoder().encode(events)
    assert b"b\\u2028" in body
    assert datas(body) == [
        {"candidates": candidate("a"), **end},
        {"candidates": candidate("b\u2028"), **counts(2)},
        {"candidates": candidate("", finishReason="MAX_TOKENS"), **counts(9)},
    ]


SEALS = [
    (Seal("gemini", "c2ln"), "c2ln"),
    (Seal("other", "s", "b:m"), packed(Seal("other", "s", "b:m"))),
]


@pytest.mark.parametrize(("seal", "signature"), SEALS)
def test_seals_are_signatures(seal: Seal, signature: str) -> None:
    """Gemini's bare, those of others packed."""
    parts = written(
        e.ReasoningDelta("hm"),
        e.PartFinished("reasoning", seal),
        e.TextDelta("hi"),
        e.PartFinished("text", seal),
        e.PartFinished("text"),
        e.ToolCallStarted(0, "i", "f"),
        e.ToolCallFinished(0, seal=seal),
        call=SHOWN,
    )
    assert parts == [
        {"text": "hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": signature},
        {"text": "hi"},
        {"text": "", "thoughtSignature": signature},
        {"functionCall": {"id": "i", "name": "f", "args": {}}, "thoughtSignature": signature},
    ]


@pytest.mark.parametrize("summary", [None, "none"])
def test_thoughts_are_shown_only_to_those_who_asked(summary: str | None) -> None:
    """Their seals neither."""
    thoughts = (e.ReasoningDelta("hm"), e.PartFinished("reasoning", Seal("other", "s")))
    assert written(*thoughts, call=own_call(reasoning_summary=summary)) == []


@pytest.mark.parametrize(
    ("pieces", "kind", "expected"),
    [
        ([], "function", {}),
        (['{"a"', ": 1}"], "function", {"a": 1}),
        (['{"a'], "function", {"_raw": '{"a'}),
        (["free ", "text"], "custom", {"input": "free text"}),
    ],
)
def test_call_is_one_part(pieces: list[str], kind: str, expected: dict[str, Any]) -> None:
    """When its arguments are whole; they are an object in any case."""
    deltas = [e.ToolCallDelta(0, piece) for piece in pieces]
    events = [e.ToolCallStarted(0, "i", "f", type=kind), *deltas, e.ToolCallFinished(0)]
    assert written(*events) == [{"functionCall": {"id": "i", "name": "f", "args": expected}}]


def test_interleaved_calls_come_as_they_end() -> None:
    """Without ids that were made up."""
    parts = written(
        e.ToolCallStarted(0, "gemini-fn-f-1-0", "f"),
        e.ToolCallStarted(1, "b", "g"),
        e.ToolCallDelta(1, "{}"),
        e.ToolCallDelta(0, '{"x":1}'),
        e.ToolCallFinished(1),
        e.ToolCallFinished(0),
    )
    assert parts == [
        {"functionCall": {"id": "b", "name": "g", "args": {}}},
        {"functionCall": {"name": "f", "args": {"x": 1}}},
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (e.RefusalDelta("no"), {"text": "no"}),
        (
            e.Media("image", "data:image/png;base64,QQ=="),
            {"inlineData": {"mimeType": "image/png", "data": "QQ=="}},
        ),
        (
            e.Media("image", "https://x/a"),
            {"fileData": {"mimeType": "image/png", "fileUri": "https://x/a"}},
        ),
        (
            e.Media("file", "u", "text/csv", "n"),
            {"fileData": {"mimeType": "text/csv", "fileUri": "u", "displayName": "n"}},
        ),
        (
            e.Media("audio", "QQ==", "audio/L16"),
            {"inlineData": {"mimeType": "audio/L16", "data": "QQ=="}},
        ),
        (e.Media("audio", "", transcript="hi"), {"text": "hi"}),
    ],
)
def test_other_content_is_a_part(event: e.Event, expected: dict[str, Any]) -> None:
    """Media inline or by address."""
    assert written(event) == [expected]


def test_log_probabilities_ride_with_their_text() -> None:
    """As Gemini has them, token ids included where they are known."""
    entry = {
        "token": "a",
        "logprob": -1,
        "top_logprobs": [{"token": "b", "logprob": -2, "token_id": 3}, 5],
    }
    body = encoder().encode(
        message(e.TextDelta("a", 0, (entry,)), e.TextDelta("b", 0, ({"token": "b"},)))
    )
    found = [value["candidates"][0].get("logprobsResult") for value in datas(body)]
    others = [
        {"token": "b", "logProbability": -2, "tokenId": 3},
        {"token": None, "logProbability": None},
    ]
    assert found == [
        {
            "chosenCandidates": [{"token": "a", "logProbability": -1}],
            "topCandidates": [{"candidates": others}],
        },
        {"chosenCandidates": [{"token": "b", "logProbability": None}]},
        None,
    ]


@pytest.mark.parametrize(
    ("reason", "detail", "expected"),
    [
        (FinishReason.STOP, "", "STOP"),
        (FinishReason.STOP, "stop_sequence", "STOP"),
        (FinishReason.LENGTH, "", "MAX_TOKENS"),
        (FinishReason.TOOL_CALLS, "", "STOP"),
        (FinishReason.CONTENT_FILTER, "", "SAFETY"),
        (FinishReason.CONTENT_FILTER, "SPII", "SPII"),
        (FinishReason.REFUSAL, "refusal", "SAFETY"),
        (FinishReason.PAUSE, "", "STOP"),
        (FinishReason.ERROR, "", "OTHER"),
    ],
)
def test_every_reason_has_a_word(reason: FinishReason, detail: str, expected: str) -> None:
    """The upstream's own only where it is one of Gemini's."""
    events = [e.Started(), e.MessageStarted(), e.MessageFinished(reason, 0, detail), e.Finished()]
    (value,) = datas(encoder().encode(events))
    assert value["candidates"][0]["finishReason"] == expected


def test_every_choice_ends_in_the_last_chunk() -> None:
    """Each under its index."""
    events: list[e.Event] = [
        e.Started(),
        e.MessageStarted(0),
        e.MessageStarted(1),
        e.TextDelta("a", 1),
        e.MessageFinished(FinishReason.STOP, 1),
        e.MessageFinished(FinishReason.LENGTH, 0),
        e.Finished(),
    ]
    first, last = datas(encoder().encode(events))
    assert first["candidates"][0]["index"] == 1
    ends = [(candidate["index"], candidate["finishReason"]) for candidate in last["candidates"]]
    assert ends == [(0, "MAX_TOKENS"), (1, "STOP")]


def test_id_and_model_are_told_in_every_chunk() -> None:
    """One that was not given is made up; a client may be told another model."""
    events = [e.Started("", "g"), *message(e.TextDelta("a"))[1:]]
    values = datas(encoder(model="alias").encode(events))
    assert [(value["responseId"], value["modelVersion"]) for value in values] == [
        ("1", "alias")
    ] * 2


def test_usage_alone_is_a_last_chunk_without_candidates() -> None:
    """Nothing else is left to say."""
    events = [e.Started("r", "g"), e.UsageReported(Usage(input_tokens=3)), e.Finished()]
    assert datas(encoder().encode(events)) == [
        {"usageMetadata": {"promptTokenCount": 3}, "modelVersion": "g", "responseId": "r"}
    ]
    assert encoder().encode([e.Started(), e.UsageReported(Usage()), e.Notice("a", "b")]) == b""


def test_failure_is_told_and_nothing_follows() -> None:
    """As the error object of a response."""
    client = encoder()
    client.encode(message(e.TextDelta("a"))[:-2])
    (value,) = datas(client.encode_problem(PROBLEM))
    assert value["error"]["status"] == "UNAVAILABLE"
    assert client.content_type == "text/event-stream"
    assert client.keepalive() == b": keepalive\n\n"


# ---------------------------------------------------------------- arrays


def test_stream_without_sse_is_one_array() -> None:
    """Valid JSON at its end, whatever was sent before."""
    call = read(HI, ARRAY)
    client = encoder(call)
    assert client.content_type == "application/json; charset=UTF-8"
    body = client.keepalive() + client.encode(message(e.TextDelta("a"), e.TextDelta("b")))
    texts = [value["candidates"][0]["content"]["parts"][0]["text"] for value in json.loads(body)]
    assert texts == ["a", "b", ""]
    assert body.count(b"\n") == 5
    assert encoder(call).encode([e.Started(), e.Finished()]) == b"[]"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_failure_ends_the_array(count: int) -> None:
    """As its last entry."""
    client = encoder(read(HI, ARRAY))
    body = client.encode(message(*[e.TextDelta("a")] * count)[:-2]) + client.keepalive()
    value = json.loads(body + client.encode_problem(PROBLEM))
    assert len(value) == count + 1
    assert value[-1]["error"]["code"] == 503


def test_upstream_stream_is_passed_on_in_an_array() -> None:
    """The form is the client's choice."""
    values = [chunk(text("a")), chunk(text("b"), finish="STOP")]
    body = encoder(read(HI, ARRAY)).encode(decode(stream(*values)))
    assert json.loads(body) == values


# ---------------------------------------------------------------- passing on

USAGE = {"usageMetadata": {"promptTokenCount": 3, "x": 1}}
VALUES = [
    chunk(text("hm", thought=True), createTime="2026-01-01T00:00:00Z"),
    chunk(text("é\u2028"), **USAGE),
    chunk(text(""), **USAGE),
    chunk({"executableCode": {"code": "1"}}, finish="STOP"),
    chunk({"functionCall": {"name": "f", "odd": 1}}, {"functionCall": {"name": "g"}}, odd=1),
    chunk({"functionCall": {"name": "f", "willContinue": True}}),
    chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.a", "numberValue": 1}]}}),
    chunk(
        text("x", thoughtSignature="s"), finish="STOP", candidate={"groundingMetadata": {"a": 1}}
    ),
]


def test_chunks_of_this_dialect_pass_as_they_came() -> None:
    """All of them, in order, and nothing is added."""
    body = encoder().encode(decode(stream(*VALUES)))
    assert datas(body) == VALUES
    assert b"\\u2028" in body


def test_bytes_are_the_same_however_they_come() -> None:
    """Event by event, too."""
    client = encoder()
    events = decode(stream(*VALUES))
    pieces = [client.encode(group) for group in by_source(events)]
    assert b"".join(pieces) == encoder().encode(iter(events))


def by_source(events: list[e.Event]) -> list[list[e.Event]]:
    """The events as reads might deliver them."""
    groups: list[list[e.Event]] = []
    for event in events:
        if groups and event.source is not None and groups[-1][0].source is event.source:
            groups[-1].append(event)
        else:
            groups.append([event])
    return groups


def test_other_model_is_told_in_chunks_written_anew() -> None:
    """With all that only this dialect knows, each at its place."""
    values = datas(encoder(SHOWN, "alias").encode(decode(stream(*VALUES))))
    assert {value["modelVersion"] for value in values} == {"alias"}
    parts = [part for value in values for part in value["candidates"][0]["content"]["parts"]]
    assert parts == [
        {"text": "hm", "thought": True},
        {"text": "é\u2028"},
        {"executableCode": {"code": "1"}},
        {"functionCall": {"name": "f", "args": {}, "odd": 1}},
        {"functionCall": {"name": "g", "args": {}}},
        {"functionCall": {"name": "f", "args": {"a": 1}}},
        {"text": "x"},
        {"text": "", "thoughtSignature": "s"},
        {"text": ""},
    ]
    assert values[-1]["candidates"][0]["groundingMetadata"] == {"a": 1}
    assert values[-1]["candidates"][0]["finishReason"] == "STOP"
    assert values[-1]["usageMetadata"] == USAGE["usageMetadata"]
    assert [value.get("createTime") is None for value in values[:2]] == [False, True]
    assert sum("odd" in value for value in values) == 1


def test_fields_beside_a_text_are_written_with_it() -> None:
    """When its chunk cannot pass."""
    body = stream(chunk(text("a", odd=1), finish="STOP"))
    assert parts_of(encoder(model="x").encode(decode(body)))[0] == {"text": "a", "odd": 1}


def test_same_model_passes() -> None:
    """It is what the upstream says anyway."""
    body = stream(*VALUES)
    assert datas(encoder(model="g").encode(decode(body))) == VALUES


def test_changed_event_takes_its_chunk_along() -> None:
    """The others still pass; what was there and is not told any more is not told."""
    events = decode(stream(*VALUES))
    place = next(i for i, event in enumerate(events) if isinstance(event, e.TextDelta))
    events[place] = e.TextDelta("changed")
    values = datas(encoder().encode(events))
    assert values[0] == VALUES[0]
    assert values[1]["candidates"][0]["content"]["parts"] == [{"text": "changed"}]
    assert values[2:] == VALUES[2:]


def test_removed_event_takes_its_chunk_along() -> None:
    """Also at the end of a batch."""
    events = decode(stream(chunk(text("a")), chunk(text("b"), text("c"), finish="STOP")))
    cut = [event for event in events if event != e.TextDelta("c")]
    place = cut.index(e.TextDelta("b"))
    client = encoder()
    body = client.encode(cut[: place + 1]) + client.encode(cut[place + 1 :])
    parts = parts_of(body)
    assert parts == [{"text": "a"}, {"text": "b"}, {"text": ""}]
    assert datas(body)[-1]["candidates"][0]["finishReason"] == "STOP"


def test_call_whose_beginning_has_passed_is_not_told_again() -> None:
    """Its end cannot be told right."""
    events = decode(stream(*VALUES[5:]))
    changed = [
        x.changed() if isinstance(x, e.ToolCallDelta | e.ToolCallFinished) else x for x in events
    ]
    parts = parts_of(encoder().encode(changed))
    assert parts[0] == {"functionCall": {"name": "f", "willContinue": True}}
    assert not any("functionCall" in part for part in parts[1:])


def test_finish_reason_is_told_again_after_content_that_was_changed() -> None:
    """The last chunk has it in any case."""
    events = decode(
        stream(chunk(text("a"), finish="STOP"), chunk(text("b")), chunk(text("c"), finish="STOP"))
    )
    changed = [x.changed() if isinstance(x, e.TextDelta) and x.text != "a" else x for x in events]
    values = datas(encoder().encode(changed))
    assert values[-1]["candidates"][0]["finishReason"] == "STOP"


def test_fields_that_come_late_are_told_in_a_last_chunk() -> None:
    """The finish reason has passed already."""
    events = decode(stream(chunk(text("a"), finish="STOP")))
    late = e.Extra("gemini", "choice", {"groundingMetadata": {"a": 1}})
    values = datas(encoder().encode([*events[:-2], late, *events[-2:]]))
    assert values[0] == chunk(text("a"), finish="STOP")
    assert values[1]["candidates"] == [
        {
            "content": {"parts": [{"text": ""}], "role": "model"},
            "index": 0,
            "groundingMetadata": {"a": 1},
        }
    ]


def test_clients_of_other_dialects_get_nothing_as_it_came() -> None:
    """Their encoders are others; this one writes anew."""
    values = datas(encoder(foreign()).encode(decode(stream(*VALUES))))
    assert values != VALUES


def test_other_dialects_fields_are_left_out() -> None:
    """They mean nothing here."""
    extra = e.Extra("openai_chat", "response", {"system_fingerprint": "f"})
    delta = e.Extra("gemini", "delta", {"x": 1})
    assert written(extra, e.TextDelta("a"), delta) == [{"text": "a"}]
