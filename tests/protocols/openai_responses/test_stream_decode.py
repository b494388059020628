"""Streams of upstreams to canonical events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.limits import StreamLimits
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind
from lipstream.protocols.openai_responses.stream_decode import ResponseStreamDecoder
from tests.protocols.openai_responses.building import (
    BEGIN,
    DONE,
    HEAD,
    added,
    call,
    completed,
    content,
    created,
    custom,
    decode,
    decode_whole,
    delta,
    done,
    event,
    fold,
    frame,
    message,
    part,
    reasoning,
    stream,
    text_stream,
)

END = [e.MessageFinished(FinishReason.STOP), e.Finished()]
HI = [e.TextDelta("hi"), e.PartFinished("text")]


def failed(events: list[e.Event]) -> Any:
    """The fault that a stream ends with."""
    assert isinstance(events[-1], e.StreamFailed)
    return events[-1].fault


def test_text_stream_is_read() -> None:
    """Started, text, its end, usage, the reason, the end; the rest are extras without fields."""
    events = decode(stream(*text_stream("h", "i")))
    usage = {"input_tokens": 1, "output_tokens": 2}
    shown = [x for x in events if not isinstance(x, e.Extra)]
    expected_usage = Usage(
        input_tokens=1, output_tokens=2, dialect="openai_responses", fields=usage
    )
    assert shown == [
        *BEGIN,
        e.TextDelta("h"),
        e.TextDelta("i"),
        e.PartFinished("text"),
        e.UsageReported(expected_usage),
        *END,
    ]


def test_final_response_is_carried_whole() -> None:
    """It is the answer of a client that does not stream."""
    answer = fold(decode(stream(*text_stream("hi"))))
    assert answer.dialect == "openai_responses"
    assert answer.extra == text_stream("hi")[-1]["response"]


def test_every_event_has_a_source_that_counts_its_events() -> None:
    """So that it can be passed on."""
    body = stream(*text_stream("hi"))
    found: dict[int, int] = {}
    counts: dict[int, int] = {}
    for x in decode(body):
        assert x.source is not None
        found[id(x.source)] = found.get(id(x.source), 0) + 1
        counts[id(x.source)] = x.source.count
    assert found == counts
    assert len(found) == len(text_stream("hi"))


PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


@pytest.mark.parametrize(
    "middle",
    [
        [delta("output_text", "hi")],
        [added(message("hi")), delta("output_text", "hi"), done(message("hi"))],
        [event("output_text.done", **PLACE, text="hi")],
        [event("content_part.done", **PLACE, part=part("hi"))],
        [added(message("hi")), event("output_text.done", **PLACE, text="hi")],
        [done(message("hi"))],
        [],
    ],
)
def test_text_is_told_once_wherever_it_stands(middle: list[Any]) -> None:
    """In deltas, at the end of the text, of the part, of the item, or of the response."""
    events = decode(stream(created(), *middle, completed(message("hi"))))
    assert content(events) == HI
    assert decode(stream(*middle, completed(message("hi"))))[2:4] == HI


CALLED = [
    e.ToolCallStarted(0, "c1", "f"),
    e.ToolCallDelta(0, '{"a":1}'),
    e.ToolCallFinished(0),
]
WHOLE = call('{"a":1}')
ARGUED = event("function_call_arguments.done", item_id="fc_1", output_index=0, arguments='{"a":1}')


@pytest.mark.parametrize(
    "middle",
    [
        [added(WHOLE), delta("function_call_arguments", '{"a":1}'), ARGUED, done(WHOLE)],
        [added(WHOLE), delta("function_call_arguments", '{"a":1}')],
        [added(WHOLE), ARGUED],
        [added(WHOLE), ARGUED, done(WHOLE)],
        [added(WHOLE), done(WHOLE)],
        [event("output_item.added", output_index=0, item=WHOLE), ARGUED],
        [added(call(name="")), delta("function_call_arguments", '{"a":1}'), done(WHOLE)],
        [added(call(name="")), {**ARGUED, "name": "f"}],
        [delta("function_call_arguments", '{"a":1}'), done(WHOLE)],
        [delta("function_call_arguments", {"a": 1}), done(WHOLE)],
        [done(WHOLE)],
        [],
    ],
)
def test_call_is_told_once_wherever_it_stands(middle: list[Any]) -> None:
    """With the id that its result has to name."""
    events = decode(stream(created(), *middle, completed(WHOLE)))
    assert content(events) == CALLED
    assert e.MessageFinished(FinishReason.TOOL_CALLS) in events


def test_call_in_an_item_without_an_index_is_found_by_its_id() -> None:
    """Or as the last of its kind."""
    one = added(WHOLE)
    two = added(call(id="fc_2", call_id="c9", name="g"))
    del one["output_index"], two["output_index"]
    by_id = delta("function_call_arguments", '{"a":1}')
    del by_id["output_index"]
    by_kind = {"type": "response.function_call_arguments.delta", "delta": "{}"}
    events = content(decode(stream(created(), one, two, by_id, by_kind, completed())))
    assert events == [
        e.ToolCallStarted(0, "c1", "f"),
        e.ToolCallStarted(1, "c9", "g"),
        e.ToolCallDelta(0, '{"a":1}'),
        e.ToolCallDelta(1, "{}"),
        e.ToolCallFinished(0),
        e.ToolCallFinished(1),
    ]


def test_parallel_calls_may_overlap() -> None:
    """Their places in the output tell them apart."""
    other = call("[2]", id="fc_2", call_id="c9", name="g")
    body = stream(
        created(),
        added(call()),
        added(other, 1),
        delta("function_call_arguments", "[1", 0),
        {**delta("function_call_arguments", "[2]", 1), "item_id": "fc_2"},
        delta("function_call_arguments", "]", 0),
        done(call("[1]")),
        done(other, 1),
        completed(call("[1]"), other),
    )
    pieces = [(x.index, x.arguments) for x in decode(body) if isinstance(x, e.ToolCallDelta)]
    assert pieces == [(0, "[1"), (1, "[2]"), (0, "]")]


def test_free_text_call_is_read() -> None:
    """Its input is no JSON."""
    whole = custom("SELECT 1")
    body = stream(
        created(),
        added(whole),
        delta("custom_tool_call_input", "SELECT "),
        delta("custom_tool_call_input", "1"),
        event("custom_tool_call_input.done", item_id="ctc_1", output_index=0, input="SELECT 1"),
        done(whole),
        completed(whole),
    )
    assert content(decode(body)) == [
        e.ToolCallStarted(0, "c2", "g", 0, "custom"),
        e.ToolCallDelta(0, "SELECT "),
        e.ToolCallDelta(0, "1"),
        e.ToolCallFinished(0),
    ]


def test_missing_and_repeated_call_ids_are_made_up() -> None:
    """A result has to name one call."""
    items = [call(id="", call_id=None), call(id="fc_2"), call(id="fc_3")]
    starts = [x for x in decode(stream(completed(*items))) if isinstance(x, e.ToolCallStarted)]
    assert [x.id for x in starts] == ["call_1", "c1", "call_2"]


def test_empty_place_is_no_call() -> None:
    """An item that says nothing at all; one that only has an id or arguments is one."""
    assert content(decode(stream(created(), completed({"type": "function_call"})))) == []
    events = content(decode(stream(completed({"type": "function_call", "arguments": "{}"}))))
    assert [type(x) for x in events] == [e.ToolCallStarted, e.ToolCallDelta, e.ToolCallFinished]


def test_arguments_after_the_end_of_a_call_are_left_out() -> None:
    """And counted."""
    decoder = ResponseStreamDecoder()
    late = delta("function_call_arguments", "x")
    batch = decoder.feed(stream(created(), added(WHOLE), done(WHOLE), late))
    assert [x for x in batch if isinstance(x, e.ToolCallDelta)] == [e.ToolCallDelta(0, '{"a":1}')]
    assert decoder.dropped_events == 1


def test_texts_that_are_no_texts_are_read_over() -> None:
    """Null, an object, and responses that are none."""
    nothing = message(content=[{"type": "output_text", "text": None}, 7])
    for middle in ([{**delta("output_text", None), "text": None}], [delta("output_text", "")]):
        events = decode(stream(created(), *middle, completed(nothing)))
        assert content(events) == []
    odd = decode(stream(created(), delta("output_text", {"a": 1}), event("completed")))
    assert content(odd) == [e.TextDelta('{"a":1}'), e.PartFinished("text")]
    assert fold(odd).extra == {}


def test_refusal_is_read() -> None:
    """In pieces, or at its end."""
    refused = message(content=[{"type": "refusal", "refusal": "no"}])
    for middle in ([delta("refusal", "no")], [event("refusal.done", **PLACE, refusal="no")], []):
        events = decode(stream(created(), *middle, completed(refused)))
        assert content(events) == [e.RefusalDelta("no")]


def test_two_texts_are_two_parts() -> None:
    """In one message or in two, whether or not the end of the first was told."""
    one, two = part("a"), part("b")
    second = {**PLACE, "content_index": 1}
    body = stream(
        created(),
        added(message("a", "b")),
        delta("output_text", "a"),
        event("output_text.delta", **second, delta="b"),
        event("content_part.done", **second, part=two),
        done(message("a", "b")),
        completed(message("a", "b"), message("c", id="msg_2"), message(content=[one])),
    )
    texts = [x.text for x in content(decode(body)) if isinstance(x, e.TextDelta)]
    assert texts == ["a", "b", "c", "a"]
    assert [getattr(x, "text", "") for x in fold(decode(body)).choices[0].parts] == texts


def test_logprobs_are_kept() -> None:
    """Those of deltas, and those of a whole text."""
    entry = {"token": "h", "logprob": -0.5}
    first = delta("output_text", "h", logprobs=[entry])
    events = decode(stream(created(), first, completed()))
    assert e.TextDelta("h", 0, (entry,)) in events
    whole = message(content=[{**part("h"), "logprobs": [entry]}])
    assert e.TextDelta("h", 0, (entry,)) in decode(stream(completed(whole)))


@pytest.mark.parametrize(
    ("details", "reason", "detail"),
    [
        ({"reason": "max_output_tokens"}, FinishReason.LENGTH, ""),
        ({"reason": "content_filter"}, FinishReason.CONTENT_FILTER, ""),
        ({"reason": "steered"}, FinishReason.PAUSE, ""),
        ({"reason": "max_messages"}, FinishReason.LENGTH, "max_messages"),
        (None, FinishReason.LENGTH, ""),
    ],
)
def test_incomplete_response_says_why(details: Any, reason: FinishReason, detail: str) -> None:
    """Whatever was told of it stays; a call that was cut is ended."""
    body = stream(
        created(),
        added(call()),
        delta("function_call_arguments", '{"a'),
        completed(call('{"a'), kind="incomplete", incomplete_details=details),
    )
    assert e.MessageFinished(reason, 0, detail) in decode(body)


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        (completed(kind="failed", error={"code": "server_error"}), FaultKind.SERVER),
        (completed(kind="failed", error={"code": "rate_limit_exceeded"}), FaultKind.RATE_LIMIT),
        (completed(kind="failed", error={"code": "invalid_prompt"}), FaultKind.BAD_REQUEST),
        (completed(kind="failed"), FaultKind.SERVER),
        (event("completed", response={**HEAD, "status": "cancelled"}), FaultKind.TRANSIENT),
        (event("cancelled", response={**HEAD, "status": "cancelled"}), FaultKind.TRANSIENT),
        (event("cancelled", response=None), FaultKind.SERVER),
        (event("error", code="rate_limit_exceeded", message="slow"), FaultKind.RATE_LIMIT),
        (event("error", error={"type": "overloaded_error"}), FaultKind.OVERLOADED),
        (event("error", code=None, message="no model"), FaultKind.SERVER),
        ({"type": "", "error": {"code": "insufficient_quota"}}, FaultKind.CREDENTIALS),
    ],
)
def test_failure_inside_the_stream_is_what_it_names(report: Any, kind: FaultKind) -> None:
    """With or without anything told before; nothing follows it."""
    for before in ([], [created(), delta("output_text", "hi")]):
        data = json.dumps(report).encode()
        events = decode(stream(*before, data, completed(message("hi"))))
        assert failed(events).kind is kind


def test_error_event_in_words_is_a_failure() -> None:
    """Not all servers write JSON."""
    events = decode(b"event: error\ndata: the server is overloaded\n\n")
    assert failed(events).kind is FaultKind.OVERLOADED


def test_end_before_the_final_response_is_a_truncation() -> None:
    """Also where all items were told to their end."""
    body = stream(created(), done(message("hi")))
    for pieces in ([body], [b""], [body, frame(created())[:-1]], [b" \n"]):
        assert failed(decode(*pieces)).kind is FaultKind.TRUNCATED


def test_end_marker_alone_completes_an_answer() -> None:
    """Some servers send no final response."""
    body = stream(created(), added(WHOLE), delta("function_call_arguments", "{}"))
    events = decode(body + DONE)
    assert events[-3:] == [
        e.ToolCallFinished(0),
        e.MessageFinished(FinishReason.TOOL_CALLS),
        e.Finished(),
    ]
    assert all(x.source is None for x in events[-3:])
    assert [type(x) for x in decode(DONE)][-1] is e.Finished


def test_nothing_comes_after_the_end() -> None:
    """Neither events nor another end."""
    decoder = ResponseStreamDecoder()
    body = stream(*text_stream("hi"))
    assert isinstance(decoder.feed(body + body + DONE)[-1], e.Finished)
    assert decoder.feed(body) == decoder.end() == []


@pytest.mark.parametrize("name", [b"x", b"[1]", b'{"a"', b'"text"', b"\xff"])
def test_one_bad_event_is_dropped_and_three_are_a_fault(name: bytes) -> None:
    """In a row; a good one between them begins the count anew."""
    bad = frame(name)
    body = bad + bad + frame(created()) + bad + bad + stream(completed(message("hi")))
    decoder = ResponseStreamDecoder()
    assert isinstance(decoder.feed(body)[-1], e.Finished)
    assert decoder.dropped_events == 4
    assert failed(decode(frame(created()) + bad * 3)).kind is FaultKind.PROTOCOL


def test_last_event_needs_no_blank_line() -> None:
    """The end of the body ends it."""
    body = stream(*text_stream("hi"))
    assert decode(body[:-1]) == decode(body[:-2]) == decode(body)


def test_keepalives_are_read_over() -> None:
    """By the name of the event, or by what it says itself."""
    idle = b"event: ping\ndata: {}\n\nevent: ping\ndata: x\n\n: hi\n\n" + frame(
        {"type": "keepalive"}
    )
    body = stream(*text_stream("hi"))
    decoder = ResponseStreamDecoder()
    assert decoder.feed(idle + body) == ResponseStreamDecoder().feed(body)
    assert decoder.dropped_events == 0


def test_nesting_has_a_limit() -> None:
    """Everything after it may recurse."""
    deep = json.dumps(completed(message("hi"))).replace('"hi"', "[" * 200 + "]" * 200)
    many = json.dumps(completed(message("hi"), *[{"type": "x", "y": [{}]}] * 200))
    assert failed(decode(deep.encode().join([b"data: ", b"\n\n"]))).kind is FaultKind.TRUNCATED
    assert content(decode(frame(many.encode())))[:2] == HI


def test_whole_response_in_place_of_a_stream_is_read() -> None:
    """Some servers do not stream, whatever they were asked."""
    body = json.dumps(completed(message("hi"))["response"]).encode()
    assert decode(b"\n" + body[:10], body[10:]) == decode_whole(body)
    assert decode(frame(body)) == decode_whole(body)


def test_limits_hold_for_events_and_bodies() -> None:
    """What is over them is not this protocol."""
    for body in (b"data: " + b"x" * 99, b'{"x": "' + b"x" * 99):
        decoder = ResponseStreamDecoder(limits=StreamLimits(sse_event=50))
        assert failed(decoder.feed(body)).kind is FaultKind.PROTOCOL
    assert failed(decode(b"<html>")).kind is FaultKind.PROTOCOL


def test_work_per_delta_is_constant() -> None:
    """Many small pieces of one call: the source's end, the last piece and the end are all there."""
    pieces = [frame(delta("function_call_arguments", "x"))] * 20_000
    body = b"".join([stream(created(), added(call())), *pieces])
    events = decode(body + stream(completed(call("x" * 20_000))))
    assert sum(isinstance(x, e.ToolCallDelta) for x in events) == 20_000
    assert reasoning()["summary"] == []


@pytest.mark.parametrize("kind", ["urn:inference-service:problem-details:gone", "about:blank"])
def test_problem_details_end_the_stream(kind: str) -> None:
    """NVIDIA sends them in the place of an event."""
    problem = {"type": kind, "title": "Gone", "status": 410, "detail": "end of life"}
    fault = failed(decode(stream(created(), problem) + DONE))
    assert (fault.kind, fault.status) == (FaultKind.NOT_FOUND, 410)
    assert "end of life" in fault.detail


def test_nameless_event_with_a_number_beyond_all_bounds_is_read_over() -> None:
    """The typed decoder skips what no other one reads."""
    odd = b'data: {"x":' + b"9" * 5000 + b"}\n\n"
    assert decode(odd + stream(created(), completed())) == decode(stream(created(), completed()))
