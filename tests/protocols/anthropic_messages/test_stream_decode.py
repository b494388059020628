"""Streams of Messages upstreams: what their events mean, and how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.events import FinishReason
from lipstream.canonical.limits import StreamLimits
from lipstream.canonical.seal import Seal, Sealer
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind
from lipstream.protocols.anthropic_messages import CLIENT, SERVER
from lipstream.protocols.anthropic_messages.stream_decode import MessageStreamDecoder
from tests.protocols.anthropic_messages.building import (
    NAME,
    ORIGIN,
    PING,
    STOP,
    block_start,
    block_stop,
    content,
    decode,
    delta,
    fold,
    frame,
    message_delta,
    message_start,
    plain,
    stream,
    text_start,
    thinking_start,
    tool_start,
    whole,
)

SEARCH = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]}


def extra(scope: str, **fields: Any) -> e.Extra:
    """Fields that only this protocol knows."""
    return e.Extra(NAME, scope, fields)


# ---------------------------------------------------------------- content


def test_text_is_told_as_it_comes() -> None:
    """With its end, so that two texts in a row stay two."""
    events = decode(
        whole(
            text_start(),
            PING,
            delta(0, text="hi "),
            delta(0, text="there"),
            block_stop(),
            text_start(1),
            delta(1, text="!"),
            block_stop(1),
        )
    )
    assert content(events) == [
        e.TextDelta("hi "),
        e.TextDelta("there"),
        e.PartFinished("text"),
        e.TextDelta("!"),
        e.PartFinished("text"),
    ]
    assert [part.text for part in fold(events).choices[0].parts] == ["hi there", "!"]  # type: ignore[attr-defined]


def test_thinking_is_reasoning_with_a_seal() -> None:
    """The last signature counts, as for Anthropic's own clients; it may come without text."""
    events = decode(
        whole(
            thinking_start(),
            delta(0, thinking="hm"),
            delta(0, signature="x"),
            delta(0, signature="s1"),
            block_stop(),
            thinking_start(1),
            delta(1, signature="s2"),
            block_stop(1),
            block_start(2, type="redacted_thinking", data="r"),
            block_stop(2),
        )
    )
    assert content(events) == [
        e.ReasoningDelta("hm"),
        e.PartFinished("reasoning", Seal(NAME, "s1", ORIGIN)),
        e.PartFinished("reasoning", Seal(NAME, "s2", ORIGIN)),
        e.PartFinished("reasoning", Seal(NAME, "r", ORIGIN, {"type": "redacted_thinking"})),
    ]


def test_seals_are_remembered_and_unsigned_thinking_is_sealed_too() -> None:
    """Other servers do not sign what they want back."""
    told: list[Seal] = []
    decoder = MessageStreamDecoder(Sealer(ORIGIN, lambda seal, _: told.append(seal)))
    body = whole(block_start(0, type="thinking"), delta(0, thinking="hm"), block_stop())
    assert e.PartFinished("reasoning", Seal(NAME, "", ORIGIN)) in decoder.feed(body)
    assert [seal.value for seal in told] == [""]


def test_calls_are_told_with_their_arguments() -> None:
    """One after the other."""
    events = decode(
        whole(
            tool_start(0, "a"),
            delta(0, partial_json=""),
            delta(0, partial_json='{"x"'),
            delta(0, partial_json=":1}"),
            block_stop(),
            tool_start(1, "b", caller={"type": "direct"}),
            block_stop(1),
        )
    )
    assert content(events) == [
        e.ToolCallStarted(0, "a", "f"),
        e.ToolCallDelta(0, '{"x"'),
        e.ToolCallDelta(0, ":1}"),
        e.ToolCallFinished(0),
        e.ToolCallStarted(1, "b", "f"),
        extra("part", caller={"type": "direct"}),
        e.ToolCallFinished(1),
    ]
    assert fold(events).choices[0].parts[1].extra == {"caller": {"type": "direct"}}


@pytest.mark.parametrize(
    ("given", "deltas", "expected"),
    [
        ({"x": 1}, [], ['{"x":1}']),
        ('{"x":1}', [], ['{"x":1}']),
        ({"x": 1}, ['{"y":2}'], ['{"y":2}']),
        ({}, [], []),
        (None, [], []),
    ],
)
def test_input_at_the_start_counts_if_nothing_else_comes(
    given: Any, deltas: list[str], expected: list[str]
) -> None:
    """Some servers give it whole."""
    pieces = [delta(0, partial_json=piece) for piece in deltas]
    events = content(decode(whole(tool_start(0, input=given), *pieces, block_stop())))
    assert [x.arguments for x in events if isinstance(x, e.ToolCallDelta)] == expected


def test_missing_and_repeated_ids_of_calls_are_made_up() -> None:
    """An id is unique in its stream."""
    starts = [tool_start(0, "a"), tool_start(1, "a"), tool_start(2, ""), tool_start(3, id=None)]
    events = decode(whole(*(x for i, start in enumerate(starts) for x in (start, block_stop(i)))))
    ids = [event.id for event in events if isinstance(event, e.ToolCallStarted)]
    assert ids == ["a", "toolu_1", "toolu_2", "toolu_3"]


def test_citations_belong_to_their_text() -> None:
    """All of them, with those that the start had."""
    events = decode(
        whole(
            text_start(citations=[{"n": 0}]),
            delta(0, text="a"),
            delta(0, citation={"n": 1}),
            delta(0, citation={"n": 2}),
            block_stop(),
        )
    )
    assert content(events)[-2:] == [
        extra("part", citations=[{"n": 0}, {"n": 1}, {"n": 2}]),
        e.PartFinished("text"),
    ]


@pytest.mark.parametrize(
    ("start", "deltas", "expected"),
    [
        (SEARCH, [], SEARCH),
        (
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            [{"partial_json": '{"query"'}, {"partial_json": ':"q"}'}],
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        ),
        (
            {"type": "mcp_tool_use", "id": "s", "name": "n", "input": {"given": 1}},
            [{"partial_json": ""}],
            {"type": "mcp_tool_use", "id": "s", "name": "n", "input": {"given": 1}},
        ),
        (
            {"type": "compaction", "content": None},
            [{"type": "compaction_delta", "content": "a", "more": 1, "none": None},
             {"type": "compaction_delta", "content": "b"}],
            {"type": "compaction", "content": "ab", "more": 1},
        ),
        (
            {"type": "new", "text": "a"},
            [{"text": "b"}, {"citation": 1}, {"citation": 2}],
            {"type": "new", "text": "ab", "citations": [1, 2]},
        ),
        ({"type": "redacted_thinking"}, [], {"type": "redacted_thinking"}),
        ({"type": "image", "source": {}}, [], {"type": "image", "source": {}}),
        ({}, [], {}),
    ],
)  # fmt: skip
def test_blocks_of_other_kinds_are_carried_whole(
    start: dict[str, Any], deltas: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    """For the fold; put together out of whatever their deltas say."""
    pieces = [delta(0, **fields) for fields in deltas]
    events = decode(whole(block_start(0, **start), *pieces, block_stop()))
    assert [x for x in events if isinstance(x, e.Extra) and x.scope == "whole_part"] == [
        extra("whole_part", **expected)
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "image", "source": {"type": "url", "url": "u"}}, e.Media("image", "u")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "Q"}},
            e.Media("image", "data:image/png;base64,Q"),
        ),
        (
            {"type": "document", "title": "t", "source": {"type": "text", "data": "a"}},
            e.Media("file", "data:application/octet-stream;base64,YQ==", name="t"),
        ),
    ],
)
def test_media_in_answers_are_told(block: dict[str, Any], expected: e.Media) -> None:
    """Nobody sends them yet."""
    assert content(decode(whole(block_start(0, **block), block_stop()))) == [expected]


# ---------------------------------------------------------------- the message


def test_start_and_counts_are_told() -> None:
    """Input includes the cache; a later report is put together with what is known."""
    counts = {"input_tokens": 3, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 20}
    end = {"input_tokens": 4, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 2}}
    events = decode(stream(message_start(usage=counts), message_delta(usage=end), STOP))
    assert events[0] == e.Started("msg_1", "claude")
    reports = [event.usage for event in events if isinstance(event, e.UsageReported)]
    assert reports[0] == Usage(
        input_tokens=33, cache_read_tokens=10, cache_write_tokens=20, dialect=NAME, fields=counts
    )
    assert (reports[1].input_tokens, reports[1].fields) == (34, end)
    total = fold(events).usage
    assert total is not None
    assert (total.input_tokens, total.output_tokens, total.reasoning_tokens) == (34, 9, 2)
    assert total.fields == {**counts, **end}


@pytest.mark.parametrize(
    ("word", "reason", "detail"),
    [
        ("end_turn", FinishReason.STOP, ""),
        ("max_tokens", FinishReason.LENGTH, ""),
        ("tool_use", FinishReason.TOOL_CALLS, ""),
        ("pause_turn", FinishReason.PAUSE, ""),
        ("refusal", FinishReason.REFUSAL, ""),
        ("stop_sequence", FinishReason.STOP, "stop_sequence"),
        ("model_context_window_exceeded", FinishReason.LENGTH, "model_context_window_exceeded"),
        ("length", FinishReason.LENGTH, "length"),
        ("sensitive", FinishReason.CONTENT_FILTER, "sensitive"),
        ("what", FinishReason.STOP, "what"),
    ],
)
def test_reasons_to_stop_are_told(word: str, reason: FinishReason, detail: str) -> None:
    """A table; the provider's own word is kept where it says more."""
    events = decode(stream(message_start(), message_delta(word), STOP))
    assert e.MessageFinished(reason, detail=detail) in events


def test_fields_of_the_message_are_carried() -> None:
    """Those of its start and beside its end, and those of the end itself."""
    events = decode(
        stream(
            message_start(container={"id": "c"}),
            message_delta(delta={"stop_sequence": "END"}, context_management={"edits": []}),
            {**STOP, "metrics": 1},
        )
    )
    answer = fold(events)
    assert answer.extra == {
        "stop_sequence": None,
        "container": {"id": "c"},
        "context_management": {"edits": []},
        "metrics": 1,
    }
    assert answer.choices[0].extra == {"stop_sequence": "END"}


def test_unknown_events_are_passed_on() -> None:
    """With their names; before the start there is nobody to tell."""
    new = {"type": "new_event", "x": 1}
    events = decode(stream(PING, message_start(), PING, new, message_delta(), STOP))
    names = [x.source.name for x in events if isinstance(x, e.Extra) and x.source and not x.fields]
    assert names == [b"ping", b"new_event"]


def test_every_event_has_its_bytes() -> None:
    """What is regular may be passed on as it came."""
    body = whole(text_start(), delta(0, text="a"), delta(0, citation={}), block_stop(), PING)
    events = decode(body)
    passed, place = [], 0
    while place < len(events):
        source = events[place].source
        assert source is not None
        assert source.count
        passed.append(source.data)
        place += source.count
    assert [json.loads(data)["type"] for data in passed] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "ping",
        "message_delta",
        "message_stop",
    ]


# ---------------------------------------------------------------- ends and failures


def test_reason_to_stop_is_an_end_without_the_last_event() -> None:
    """If the body ends cleanly; so is another server's end marker."""
    start = stream(message_start(), text_start(), delta(0, text="a"))
    expected = fold(decode(start + stream(block_stop(), message_delta(), STOP)))
    for end in (
        stream(message_delta()),
        stream(message_delta(), b"[DONE]"),
        frame(message_delta())[:-2],
    ):
        found = fold(decode(start + end))
        assert found.choices[0].parts == expected.choices[0].parts
    assert fold(decode(start + stream(b" [DONE]"))).choices[0].reason is FinishReason.STOP


@pytest.mark.parametrize("body", [b"", stream(message_start()), stream(PING), b": hello\n\n"])
def test_stream_that_just_ends_is_truncated(body: bytes) -> None:
    """Also an empty one."""
    last = decode(body)[-1]
    assert isinstance(last, e.StreamFailed)
    assert last.fault.kind is FaultKind.TRUNCATED


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, FaultKind.OVERLOADED),
        ({"type": "rate_limit_error", "message": "x"}, FaultKind.RATE_LIMIT),
        ({"type": "api_error", "message": "Internal server error"}, FaultKind.SERVER),
        ({"type": "timeout_error", "message": "x"}, FaultKind.TRANSIENT),
        ({"type": "invalid_request_error", "message": "x"}, FaultKind.BAD_REQUEST),
        ({"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
         FaultKind.CONTEXT_LENGTH),
        ({"type": "billing_error", "message": "x"}, FaultKind.CREDENTIALS),
    ],
)  # fmt: skip
def test_error_event_fails_the_stream(error: dict[str, str], kind: FaultKind) -> None:
    """As what it names; nothing comes after it."""
    value = {"type": "error", "error": error, "request_id": "r"}
    for frames in (frame(value), b"data: " + json.dumps({"error": error}).encode() + b"\n\n"):
        body = stream(message_start(), text_start()) + frames + stream(delta(0, text="late"), STOP)
        last = decode(body)[-1]
        assert isinstance(last, e.StreamFailed)
        assert (last.fault.kind, last.fault.code) == (kind, error["type"])


def test_error_event_may_be_plain_text() -> None:
    """Its name says enough."""
    last = decode(stream(message_start()) + b"event: error\ndata: Overloaded\n\n")[-1]
    assert isinstance(last, e.StreamFailed)
    assert last.fault.kind is FaultKind.OVERLOADED


def test_one_illegible_event_is_dropped_and_three_in_a_row_fail() -> None:
    """Counted; a good one in between forgives."""
    decoder = CLIENT.stream_decoder()
    decoder.feed(stream(message_start(), b"{x", b"[1]", text_start(), b"{x", delta(0, text="a")))
    assert decoder.dropped_events == 3
    batch = decoder.feed(stream(b"{", b"1", b'"a"', text_start(1)))
    assert isinstance(batch[-1], e.StreamFailed)
    assert batch[-1].fault.kind is FaultKind.PROTOCOL
    assert decoder.feed(stream(STOP)) == []
    assert decoder.end() == []


def test_nothing_comes_after_the_end() -> None:
    """Whatever the upstream still sends."""
    decoder = MessageStreamDecoder(limits=StreamLimits(sse_event=400))
    batch = decoder.feed(whole() + stream(text_start()) + b"data: " + b"x" * 999)
    assert batch[-1] == e.Finished()
    assert decoder.end() == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (stream(message_start(), delta(0, text="a" * 99)), "an event"),
        (b'{"content": "' + b"a" * 99, "the answer is longer"),
        (b"<html>", "no event stream"),
    ],
)
def test_what_is_too_long_or_something_else_fails(body: bytes, message: str) -> None:
    """Under any limit."""
    last = decode(body, limits=StreamLimits(sse_event=90))[-1]
    assert isinstance(last, e.StreamFailed)
    assert (last.fault.kind, message in str(last.fault)) == (FaultKind.PROTOCOL, True)


def test_what_is_kept_for_whole_blocks_is_bounded() -> None:
    """A provider's tool could otherwise fill the memory."""
    pieces = [delta(0, partial_json="x" * 50) for _ in range(10)]
    start = block_start(0, type="server_tool_use")
    for cut in (0, 2):
        body = whole(start, *pieces)
        last = decode(body[: len(body) - cut], limits=StreamLimits(answer_bytes=300))[-1]
        assert isinstance(last, e.StreamFailed)
        assert last.fault.kind is FaultKind.PROTOCOL
    body = stream(message_start()) + frame(block_start(0, type="x", data="x" * 400))[:-2]
    last = decode(body, limits=StreamLimits(answer_bytes=300))[-1]
    assert plain([last])[0][0] is FaultKind.PROTOCOL  # type: ignore[index]


def test_refusal_is_told_in_the_words_of_its_details() -> None:
    """Other protocols have a place for them; the details themselves stay for this one's clients."""
    details = {"type": "refusal", "category": None, "explanation": "I will not."}
    value = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}}
    data = b"data: %b\n\n" % json.dumps(value).encode()
    events = CLIENT.stream_decoder().feed(data)
    assert [event.text for event in events if isinstance(event, e.RefusalDelta)] == ["I will not."]
    encoder = SERVER.stream_encoder(Call(dialect=NAME, model="m", messages=()))
    anew = encoder.encode([*(event.changed() for event in events), e.Finished()])
    assert anew.count(b"I will not.") == 1
