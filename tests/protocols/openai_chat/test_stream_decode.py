"""Chat streams from upstreams: what OpenAI sends, how streams end, and how they fail."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.limits import StreamLimits
from lipstream.errors import FaultKind
from lipstream.protocols.openai_chat.stream_decode import ChatStreamDecoder
from tests.protocols.openai_chat.building import (
    DONE,
    ROLE,
    chunk,
    content,
    decode,
    decode_whole,
    frame,
    plain,
    stream,
)

STOP = e.MessageFinished(FinishReason.STOP)
START = [e.Started("c1", "m", 1), e.MessageStarted()]
SAID_HI = [*START, e.TextDelta("hi"), STOP, e.Finished()]


def failure(events: list[e.Event]) -> tuple[FaultKind, str]:
    """How the stream failed."""
    last = events[-1]
    assert isinstance(last, e.StreamFailed)
    return last.fault.kind, str(last.fault)


def test_plain_stream_is_read_event_by_event() -> None:
    """Role, text, finish reason, end marker; empty texts say nothing."""
    body = stream(
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "hi"}),
        chunk({"content": ""}),
        chunk({}, "stop"),
    )
    assert decode(body) == SAID_HI


def test_events_carry_the_bytes_they_were_read_from() -> None:
    """All events of a chunk share a source that knows how many they are."""
    first = ChatStreamDecoder().feed(frame(ROLE) + frame(chunk({"content": "a"}, "stop")))
    sources = [event.source for event in first]
    assert [source.count for source in sources if source] == [2, 2, 2, 2]
    assert sources[0] is sources[1]
    assert sources[2] is sources[3]
    assert sources[0] is not None
    assert frame(sources[0].data) == frame(ROLE)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_cuts_and_line_ends_do_not_matter(step: int, end: bytes) -> None:
    """Every cut gives the same events."""
    body = stream(ROLE, chunk({"content": "hi"}), chunk({}, "stop")).replace(b"\n", end)
    pieces = [body[i : i + step] for i in range(0, len(body), step)]
    assert decode(*pieces) == SAID_HI


# ---------------------------------------------------------------- how streams end


@pytest.mark.parametrize(
    "body",
    [
        stream(ROLE, chunk({"content": "hi"}), chunk({}, "stop")),
        stream(ROLE, chunk({"content": "hi"}, "stop")),
        stream(ROLE, chunk({"content": "hi"}), chunk({}, "stop"), done=False),
        stream(ROLE, chunk({"content": "hi"})),
        stream(ROLE, chunk({"content": "hi"}), chunk({}, "stop"), chunk({}, "stop")),
        stream(ROLE, chunk({"content": "hi"}), b" [DONE] ", done=False),
        stream(ROLE, chunk({"content": "hi"}), chunk({}, "stop"), done=False)[:-2],
        stream(ROLE, chunk({"content": "hi"}), b"[DONE]", done=False)[:-2],
        stream(ROLE, chunk({"content": "hi"}), chunk({}, "stop"), b"[DO", done=False)[:-2],
        stream(ROLE, chunk({"content": "hi"}))
        + b"data: [DONE]\n\n"
        + frame(chunk({"content": "x"})),
        b"\n \r\n\xef\xbb\xbf" + stream(ROLE, chunk({"content": "hi"})),
    ],
)
def test_complete_streams_end_well(body: bytes) -> None:
    """An end marker, or a finish reason and the end of the body; nothing after it counts."""
    assert decode(body) == SAID_HI


def test_end_marker_without_a_reason_after_calls_means_tool_calls() -> None:
    """Open calls are finished first."""
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    assert decode(stream(ROLE, chunk({"tool_calls": [call]})))[-3:] == [
        e.ToolCallFinished(0),
        e.MessageFinished(FinishReason.TOOL_CALLS),
        e.Finished(),
    ]


def test_end_marker_alone_is_an_empty_answer() -> None:
    """Complete, though nothing was said."""
    assert decode(DONE) == [e.Started(), e.Finished()]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b": keepalive\n\n",
        stream(ROLE, chunk({"content": "hi"}), done=False),
        stream(ROLE, chunk({"content": "hi"}), done=False) + b'data: {"id": "c1", "choi',
        stream({**ROLE, "choices": []}, done=False),
        stream(
            ROLE,
            chunk({"role": "assistant"}, choice={"index": 1}),
            chunk({}, "stop"),
            done=False,
        ),
    ],
)
def test_body_that_just_ends_is_truncated(body: bytes) -> None:
    """Without an end marker every message needs its finish reason."""
    assert failure(decode(body)) == (
        FaultKind.TRUNCATED,
        "the stream ended before the answer did",
    )


@pytest.mark.parametrize(
    ("word", "reason", "detail"),
    [
        ("stop", FinishReason.STOP, ""),
        ("length", FinishReason.LENGTH, ""),
        ("tool_calls", FinishReason.TOOL_CALLS, ""),
        ("content_filter", FinishReason.CONTENT_FILTER, ""),
        ("function_call", FinishReason.TOOL_CALLS, "function_call"),
        ("model_length", FinishReason.LENGTH, "model_length"),
        ("refusal", FinishReason.REFUSAL, "refusal"),
        ("whatever", FinishReason.STOP, "whatever"),
    ],
)
def test_finish_reasons_are_mapped(word: str, reason: FinishReason, detail: str) -> None:
    """A word that is not OpenAI's is kept as the detail."""
    assert decode(stream(ROLE, chunk({}, word)))[-2] == e.MessageFinished(reason, 0, detail)


# ---------------------------------------------------------------- how streams fail


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"error": {"message": "no", "code": "server_error"}}, FaultKind.SERVER),
        ({"error": {"message": "no", "code": 429}}, FaultKind.RATE_LIMIT),
        ({"error": "boom"}, FaultKind.SERVER),
        ({"error": "the server is busy"}, FaultKind.OVERLOADED),
        ({"error": {"message": "Too many requests"}}, FaultKind.RATE_LIMIT),
        ({"error": {"type": "overloaded_error"}}, FaultKind.OVERLOADED),
        ({"error": {"message": "maximum context length", "code": 400}}, FaultKind.CONTEXT_LENGTH),
        (chunk({}, "error"), FaultKind.SERVER),
        (chunk({}, "error", choice={"error": {"code": 502}}), FaultKind.SERVER),
        (chunk({}, None, choice={"error": {"code": 429}}), FaultKind.RATE_LIMIT),
        (chunk({}, "insufficient_system_resource"), FaultKind.OVERLOADED),
        (chunk({}, error={"code": 401, "message": "key"}), FaultKind.CREDENTIALS),
        ({"object": "error", "message": "bad", "code": 400}, FaultKind.BAD_REQUEST),
    ],
)
def test_error_in_a_chunk_fails_the_stream(value: Any, kind: FaultKind) -> None:
    """What came before it is kept, nothing after it is read."""
    events = decode(stream(ROLE, chunk({"content": "hi"}), value, chunk({"content": "x"})))
    assert events[:3] == SAID_HI[:3]
    assert [type(event) for event in events[3:] if not isinstance(event, e.Extra)] == [
        e.StreamFailed
    ]
    assert failure(events) == (kind, "the upstream reported an error in its answer")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error":{"code":"tool_use_failed","status_code":400}}', FaultKind.SERVER),
        (b'{"message":"slow down","code":429}', FaultKind.RATE_LIMIT),
        (b"upstream gone", FaultKind.SERVER),
    ],
)
def test_error_event_fails_the_stream(data: bytes, kind: FaultKind) -> None:
    """Its name says so, whatever the data is."""
    body = frame(ROLE) + b"event: error\ndata: " + data + b"\n\n" + frame(chunk({"content": "x"}))
    assert failure(decode(body))[0] is kind


def test_usage_of_a_failing_chunk_is_told_first() -> None:
    """The tokens were spent all the same."""
    body = stream(ROLE, chunk({}, usage={"prompt_tokens": 3}, error={"code": 500}))
    assert [type(event) for event in decode(body)[2:]] == [e.UsageReported, e.StreamFailed]


def test_events_that_only_keep_the_stream_alive_are_read_over() -> None:
    """By name, or by having no data."""
    noise = b"event: ping\ndata: {}\n\nevent: heartbeat\ndata: x\n\ndata:\n\ndata:  \n\n: x\n\n"
    named = b"event: message\n" + frame(chunk({"content": "hi"}))
    assert decode(noise + frame(ROLE) + noise + named + noise + DONE) == SAID_HI


@pytest.mark.parametrize("bad", [b"{oops", b"[1]", b"null", b'"x"', b'{"choices": "no"}'])
def test_single_bad_events_are_dropped_and_counted(bad: bytes) -> None:
    """A good one in between starts the count of those in a row anew."""
    decoder = ChatStreamDecoder()
    body = stream(ROLE, bad, bad, chunk({"content": "hi"}), bad, bad, chunk({}, "stop"))
    assert decoder.feed(body) == SAID_HI
    assert decoder.dropped_events == 4


def test_three_bad_events_in_a_row_are_not_the_protocol() -> None:
    """The stream fails there, and nothing after it is read."""
    events = decode(stream(ROLE, b"x", b"y", b"z", chunk({"content": "hi"})))
    assert plain(events[2:]) == [(FaultKind.PROTOCOL, "3 events in a row could not be read")]


def test_chunk_nested_too_deeply_is_a_bad_event() -> None:
    """Nothing may recurse without bound later on."""
    deep = b'{"id":"c1","x":' + b"[" * 400 + b"]" * 400 + b"}"
    decoder = ChatStreamDecoder()
    assert decoder.feed(stream(ROLE, deep, chunk({"content": "hi"}))) == SAID_HI
    assert decoder.dropped_events == 1


def test_event_over_the_limit_fails_the_stream() -> None:
    """As not the protocol."""
    decoder = ChatStreamDecoder(StreamLimits(sse_event=200))
    events = decoder.feed(frame(ROLE) + b"data: " + b"x" * 300)
    assert plain(events) == [
        *START,
        (FaultKind.PROTOCOL, "an event of the stream is longer than 200 bytes"),
    ]
    assert decoder.feed(frame(ROLE)) == decoder.end() == []


def test_nothing_after_the_end_can_fail_the_stream() -> None:
    """Not even what is over a limit, in the same read."""
    decoder = ChatStreamDecoder(StreamLimits(sse_event=200))
    assert decoder.feed(stream(ROLE, chunk({"content": "hi"})) + b"x" * 300) == SAID_HI


def test_content_after_the_end_of_its_message_is_dropped_and_counted() -> None:
    """It cannot be told any more; a second finish reason is no news."""
    decoder = ChatStreamDecoder()
    late = [{"content": "x"}, {"reasoning": "x"}, {"tool_calls": [{"index": 0, "id": "b"}]}]
    body = stream(ROLE, chunk({"content": "hi"}, "stop"), *map(chunk, late), chunk({}, "stop"))
    assert decoder.feed(body) == SAID_HI
    assert decoder.dropped_events == 3


# ---------------------------------------------------------------- no event stream at all

COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
}


@pytest.mark.parametrize("step", [1, 10, 1000])
def test_whole_completion_in_place_of_a_stream_is_read(step: int) -> None:
    """Some servers do not stream although they were asked to."""
    body = b" \n" + frame(COMPLETION)[6:]
    assert decode(*(body[i : i + step] for i in range(0, len(body), step))) == SAID_HI


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><body>502</body></html>", FaultKind.PROTOCOL),
        (b"upstream connect error", FaultKind.PROTOCOL),
        (b"\x00\x01", FaultKind.PROTOCOL),
        (b'{"hello": "world"}', FaultKind.PROTOCOL),
        (b"[1, 2]", FaultKind.PROTOCOL),
        (b"[]", FaultKind.PROTOCOL),
        (b'{"choices": [', FaultKind.PROTOCOL),
        (b'{"error": {"message": "no", "code": 429}}', FaultKind.RATE_LIMIT),
        (b'[{"error": {"message": "no", "code": 503}}]', FaultKind.OVERLOADED),
    ],
)
def test_other_bodies_are_failures(body: bytes, kind: FaultKind) -> None:
    """An error object says which; anything else is not the protocol."""
    for pieces in ((body,), tuple(body[i : i + 1] for i in range(len(body)))):
        assert failure(decode(*pieces))[0] is kind


def test_other_bodies_are_bounded() -> None:
    """By the limit of one event."""
    decoder = ChatStreamDecoder(StreamLimits(sse_event=10))
    assert decoder.feed(b'{"a":') == []
    assert failure(decoder.feed(b"12345678"))[1] == "the answer is longer than 10 bytes"


def test_whole_answer_may_lack_what_streams_have() -> None:
    """No choices in a completion are an empty answer; a reason is made up where none was given."""
    assert decode_whole({**COMPLETION, "choices": []}) == [e.Started("c1", "m", 1), e.Finished()]
    choice = {"message": {"content": "hi"}}
    assert decode_whole({**COMPLETION, "choices": [choice]}) == SAID_HI
    assert failure(decode_whole({**COMPLETION, "error": "no"}))[0] is FaultKind.SERVER


def test_choices_are_kept_apart() -> None:
    """Each has its own start, calls and end."""
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    body = stream(
        ROLE,
        chunk({"role": "assistant"}, choice={"index": 1}),
        chunk({"content": "a"}),
        chunk({"tool_calls": [call]}, "tool_calls", choice={"index": 1}),
        chunk({"content": "b"}, "stop"),
    )
    assert content(decode(body)) == [
        e.TextDelta("a"),
        e.ToolCallStarted(0, "a", "f", 1),
        e.ToolCallDelta(0, "{}", 1),
        e.ToolCallFinished(0, 1),
        e.TextDelta("b"),
    ]


def test_many_small_chunks_take_linear_work() -> None:
    """Fifty thousand one-character arguments in one stream; quadratic work would not end here."""
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
    piece = frame(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x"}}]}))
    decoder = ChatStreamDecoder()
    batches = [decoder.feed(frame(ROLE) + frame(chunk({"tool_calls": [call]})))]
    batches += [decoder.feed(piece) for _ in range(50_000)]
    events = list(itertools.chain.from_iterable(batches))
    assert len(events) == 50_003
