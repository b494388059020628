"""What other servers make of the protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.limits import StreamLimits
from lipstream.errors import FaultKind
from lipstream.protocols.gemini.stream_decode import GeminiStreamDecoder
from tests.protocols.gemini.building import (
    chunk,
    content,
    datas,
    decode,
    decode_whole,
    encoder,
    fold,
    frame,
    stream,
    text,
)

LAST = chunk(text("b"), finish="STOP")
SAID: list[e.Event] = [e.TextDelta("a"), e.TextDelta("b")]


@pytest.mark.parametrize(
    "body",
    [
        stream(chunk(text("a")), LAST).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + stream(chunk(text("a")), LAST),
        b"\n \n" + stream(chunk(text("a")), LAST),
        b": hi\n\n" + stream(chunk(text("a")), LAST),
        b"event: message\nid: 1\n" + stream(chunk(text("a")), LAST),
        stream(chunk(text("a"))) + b"event: ping\ndata: {}\n\n" + stream(LAST),
        stream(chunk(text("a")), b" ", LAST),
        stream(chunk(text("a")), LAST)[:-2],
        stream(chunk(text("a")), LAST, b"[DONE]"),
        stream(chunk(text("a")), LAST, b"[DONE]")[:-2],
        stream(chunk(text("a")), chunk(text("b")), b" [DONE] ", chunk(text("c"))),
        stream(chunk(text("a")), json.dumps(LAST, indent=1).replace("\n", "\ndata: ").encode()),
        json.dumps([chunk(text("a")), LAST], indent=2).encode(),
        b"[" + frame(chunk(text("a")))[6:] + b"\r\n,\r\n" + frame(LAST)[6:],
        json.dumps([chunk(text("a"), text("b"), finish="STOP")]).encode(),
    ],
)
def test_forms_of_a_stream_are_all_read(body: bytes) -> None:
    """Line ends, comments, names, end markers, arrays."""
    assert content(decode(body)) == SAID
    assert content(decode(*(body[i : i + 1] for i in range(len(body))))) == SAID


def test_whole_response_in_place_of_a_stream_is_read() -> None:
    """Its parts are whole ones."""
    value = chunk(text("a"), text("b"), finish="STOP")
    events = decode(json.dumps(value, indent=2).encode())
    assert [part.text for part in fold(events).choices[0].parts] == ["a", "b"]  # type: ignore[attr-defined]
    assert events == decode_whole(value)


def test_end_marker_alone_is_an_empty_answer() -> None:
    """Somebody has put it there on purpose."""
    assert decode(stream(b"[DONE]")) == [e.Started(), e.Finished()]


@pytest.mark.parametrize("body", [b"<html>", b"oops", b'"x"', b"5"])
def test_anything_else_is_not_this_protocol(body: bytes) -> None:
    """Said at once."""
    (last,) = decode(body)
    assert isinstance(last, e.StreamFailed)
    assert last.fault.kind is FaultKind.PROTOCOL


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"5",
        b"[]",
        b'{"choices": []}',
        b"\xff",
        b'{"candidates": 1e999}',
        b'{"candidates": ' + b"[" * 200 + b"]" * 200 + b"}",
        b"[" * 100_000,
    ],
)
def test_event_that_cannot_be_read_is_dropped_and_counted(value: bytes) -> None:
    """Three in a row are another protocol."""
    decoder = GeminiStreamDecoder()
    body = stream(chunk(text("a")), value, value, LAST, value, value)
    events = decoder.feed(body) + decoder.end()
    assert content(events) == SAID
    expected = 0 if value == b'{"candidates": 1e999}' else 4
    assert decoder.dropped_events == expected
    if expected:
        last = decode(stream(chunk(text("a")), value, value, value, LAST))[-1]
        assert isinstance(last, e.StreamFailed)
        assert last.fault.kind is FaultKind.PROTOCOL


ODD: list[Any] = [
    {"candidates": None},
    {"candidates": [None, 5]},
    {"candidates": [{}]},
    {"candidates": [{"content": 5}]},
    {"candidates": [{"content": {"parts": 5}}]},
    {"candidates": [{"content": {"parts": [5, None, {"text": 5}, {"functionCall": 5}]}}]},
    {"candidates": [{"index": -1, "content": {"parts": [{"thoughtSignature": 5}]}}]},
    {"candidates": [{"finishReason": [1], "logprobsResult": 5}]},
    {"usageMetadata": 5},
    {"usageMetadata": {}},
    {"promptFeedback": 5},
    {"responseId": 5, "modelVersion": 5, "createTime": 5},
    {"responseId": "", "createTime": "yesterday"},
]


@pytest.mark.parametrize("value", ODD)
def test_wrong_types_do_no_harm(value: Any) -> None:
    """What can be read is read, also in the first chunk."""
    after = decode(stream(chunk(text("a")), value, LAST))
    assert [event for event in content(after) if event.choice == 0] == SAID  # type: ignore[attr-defined]
    before = decode(stream(value, chunk(text("a")), LAST))
    assert [event for event in content(before) if event.choice == 0] == SAID  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "value", [5, "x", None, {}, {"x": 1}, [], [5], {"usageMetadata": {}}, {"candidates": []}]
)
def test_whole_body_without_candidates_is_not_this_protocol(value: Any) -> None:
    """An error object is what it names."""
    last = decode_whole(value)[-1]
    assert isinstance(last, e.StreamFailed)
    assert last.fault.kind is FaultKind.PROTOCOL
    failed = decode_whole([{"error": {"code": 429, "message": "x"}}])[-1]
    assert isinstance(failed, e.StreamFailed)
    assert failed.fault.kind is FaultKind.RATE_LIMIT


def test_limit_holds_for_every_form() -> None:
    """Of one event, of one entry, of a whole response."""
    limits = StreamLimits(sse_event=100)
    long = chunk(text("x" * 200), finish="STOP")
    for body in (stream(long), b"[" + frame(long)[6:-9], frame(long)[6:]):
        decoder = GeminiStreamDecoder(limits)
        (last,) = decoder.feed(body)
        assert isinstance(last, e.StreamFailed)
        assert "longer than 100 bytes" in str(last.fault)
        assert decoder.feed(stream(LAST)) == decoder.end() == []
    failed = GeminiStreamDecoder(limits).feed(stream({"error": {"code": 500}}, long))
    assert [str(event.fault) for event in failed if isinstance(event, e.StreamFailed)] == [
        "the upstream reported an error in its answer"
    ]


def test_characters_cut_in_two_are_joined() -> None:
    """Also with the thoughts in between; a half that stays alone is replaced."""
    parts = [
        text("a\ud83d"),
        text("\ud83dhm", thought=True),
        text("\ude00b", odd="\ud800"),
        text("\ud83d"),
        {"functionCall": {"name": "f\ud83d", "args": {"\ud83d": ["\ud83d"]}}},
    ]
    body = b"".join(frame(json.dumps(chunk(part)).encode()) for part in parts)
    events = content(decode(body + stream(LAST)))
    texts = [
        (type(x).__name__[0], x.text)
        for x in events
        if isinstance(x, e.TextDelta | e.ReasoningDelta)
    ]
    assert texts == [("T", "a"), ("R", "\ufffdhm"), ("T", "😀b"), ("T", "\ufffdb")]
    (start, delta, _) = [x for x in events if type(x).__name__.startswith("Tool")]
    assert isinstance(start, e.ToolCallStarted)
    assert isinstance(delta, e.ToolCallDelta)
    assert (start.name, delta.arguments) == ("f\ufffd", '{"\ufffd":["\ufffd"]}')


def test_half_at_the_end_is_replaced() -> None:
    """When the answer is over."""
    body = frame(json.dumps(chunk(text("a\ud83d"), finish="STOP")).encode())
    assert content(decode(body)) == [e.TextDelta("a"), e.TextDelta("\ufffd")]


def test_chunks_of_an_unusual_form_are_read_as_well() -> None:
    """The decoder stops to expect the usual one, and nothing is lost."""
    more: dict[str, Any] = {"candidate": {"safetyRatings": []}}
    values = [chunk(text(str(i)), **more) for i in range(20)] + [chunk(text("x")), LAST]
    texts = [event.text for event in content(decode(stream(*values)))]  # type: ignore[attr-defined]
    assert texts == [*map(str, range(20)), "x", "b"]


@pytest.mark.parametrize(
    "value",
    [
        chunk(text("x"), text("y")),
        chunk(text("x"), finish="STOP", candidate={"index": 3}),
        chunk(text(""), usageMetadata={"promptTokenCount": 1}),
        chunk(text("x"), createTime="2026-01-01T00:00:00Z"),
        chunk(text("x"), usageMetadata=[]),
        chunk(text("x"), usageMetadata={"promptTokenCount": 1}),
        {"candidates": [], "modelVersion": "g"},
        frame(chunk(text("x"), usageMetadata={"promptTokenCount": 77}))[6:].replace(
            b"77", b'"\\ud800"'
        ),
    ],
)
def test_usual_chunk_with_something_else_gets_a_second_look(value: Any) -> None:
    """And passes as it came."""
    body = stream(chunk(text("a")), value, chunk(finish="STOP"))
    events = decode(body)
    if isinstance(value, bytes):
        assert [event.text for event in content(events)] == ["a", "x"]  # type: ignore[attr-defined]
        return
    expected = [part["text"] for item in value["candidates"] for part in item["content"]["parts"]]
    assert [event.text for event in content(events)] == ["a", *filter(None, expected)]  # type: ignore[attr-defined]
    assert datas(encoder().encode(events))[1] == value
