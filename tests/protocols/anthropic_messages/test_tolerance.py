"""What other servers make of the protocol, put right; such events are not passed as they came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Reasoning, ToolCall
from lipstream.errors import FaultKind
from lipstream.protocols.anthropic_messages import CLIENT
from tests.protocols.anthropic_messages.building import (
    PING,
    STOP,
    block_start,
    block_stop,
    content,
    datas,
    decode,
    decode_whole,
    delta,
    encoder,
    fold,
    frame,
    message,
    message_delta,
    message_start,
    stream,
    text_start,
    thinking_start,
    tool_start,
    whole,
)

TEXT = (text_start(), delta(0, text="hi"), block_stop())


def unnamed(body: bytes) -> bytes:
    """The same without names of events."""
    lines = [line for line in body.split(b"\n") if not line.startswith(b"event:")]
    return b"\n".join(lines)


@pytest.mark.parametrize(
    "body",
    [
        unnamed(whole(*TEXT)),
        whole(*TEXT).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf: hello\n\n" + whole(*TEXT),
        whole(*TEXT).replace(b"event: content_block_delta", b"event: message"),
        whole(*TEXT) + stream(b"[DONE]"),
    ],
)
def test_frames_of_other_servers_are_read_and_told_with_names(body: bytes) -> None:
    """Official clients go by the names."""
    events = decode(body)
    assert content(events) == [e.TextDelta("hi"), e.PartFinished("text")]
    assert datas(encoder().encode(events)) == datas(whole(*TEXT))


def test_message_that_was_not_started_is_started() -> None:
    """With an id that is made up."""
    events = decode(stream(*TEXT, message_delta(), STOP))
    assert events[:2] == [e.Started(), e.MessageStarted()]
    told = datas(encoder().encode(events))
    assert told[0]["message"]["id"] == "msg_1"
    assert told[2:] == [*TEXT, message_delta(), STOP]


@pytest.mark.parametrize(
    "start",
    [{"type": "message_start"}, {"type": "message_start", "message": {"id": 1, "usage": []}}],
)
def test_start_with_fields_missing_is_written_anew(start: Any) -> None:
    """Clients need them all."""
    told = datas(encoder().encode(decode(stream(start, *TEXT, message_delta(), STOP))))
    assert told[0]["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert told[0]["message"]["content"] == []


def test_second_start_only_counts() -> None:
    """It begins nothing."""
    again = message_start(usage={"input_tokens": 7})
    answer = fold(decode(stream(message_start(), *TEXT, again, message_delta(), STOP)))
    assert (answer.usage and answer.usage.input_tokens) == 7
    assert len(answer.choices[0].parts) == 1


def test_content_in_the_start_is_read() -> None:
    """A server that knows it all at once."""
    start = message_start(content=[{"type": "text", "text": "hi"}, 1])
    events = decode(stream(start, message_delta(), STOP))
    assert content(events) == [e.TextDelta("hi"), e.PartFinished("text")]


def test_block_that_was_not_stopped_ends_with_the_next() -> None:
    """Calls excepted: they may go on."""
    events = decode(
        whole(
            thinking_start(),
            delta(0, thinking="hm"),
            text_start(1),
            delta(1, text="hi"),
            tool_start(2, "a"),
            tool_start(3, "b"),
            delta(2, partial_json="{}"),
            delta(3, partial_json="[]"),
        )
    )
    kinds = [type(event).__name__ for event in content(events)]
    assert kinds == [
        "ReasoningDelta", "PartFinished", "TextDelta", "PartFinished", "ToolCallStarted",
        "ToolCallStarted", "ToolCallDelta", "ToolCallDelta", "ToolCallFinished", "ToolCallFinished",
    ]  # fmt: skip
    told = datas(encoder().encode(events))
    assert told[-1] == STOP
    assert fold(decode(stream(*told))).choices == fold(events).choices


def test_blocks_in_turns_are_told_one_after_the_other() -> None:
    """Nothing of them is lost."""
    events = decode(
        whole(
            tool_start(0, "a"),
            tool_start(1, "b"),
            delta(0, partial_json='{"x'),
            delta(1, partial_json='{"y'),
            delta(0, partial_json='":1}'),
            block_stop(0),
            delta(1, partial_json='":2}'),
            block_stop(1),
        )
    )
    told = datas(encoder().encode(events))
    assert [(x["type"], x["index"]) for x in told if "index" in x] == [
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
    ]
    assert fold(decode(stream(*told))).choices == fold(events).choices


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([delta(0, text="hi")], [e.TextDelta("hi")]),
        ([delta(0, thinking="hm")], [e.ReasoningDelta("hm")]),
        ([delta(0, partial_json="{}")], []),
        ([delta(0, signature="s")], []),
        ([text_start(), delta(0, text=None)], [e.PartFinished("text")]),
        ([text_start(), delta(0, thinking="hm")], [e.ReasoningDelta("hm"), e.PartFinished("text")]),
        ([text_start(), delta(0, partial_json="{")], [e.PartFinished("text")]),
        ([text_start(), delta(0, type="x")], [e.PartFinished("text")]),
        ([text_start(), {"type": "content_block_delta", "index": 0}], [e.PartFinished("text")]),
        ([{"type": "content_block_start", "index": 0}], []),
        ([block_stop(7)], []),
        ([text_start(True)], [e.PartFinished("text")]),
        ([tool_start(0), delta(0, partial_json=1), delta(0, type="x")],
         [e.ToolCallStarted(0, "a", "f"), e.ToolCallFinished(0)]),
        ([tool_start(0, name=1)], [e.ToolCallStarted(0, "a", ""), e.ToolCallFinished(0)]),
        ([tool_start(0), tool_start(0, "b")],
         [e.ToolCallStarted(0, "a", "f"), e.ToolCallFinished(0),
          e.ToolCallStarted(1, "b", "f"), e.ToolCallFinished(1)]),
    ],
)  # fmt: skip
def test_blocks_that_break_the_rules_are_read_as_far_as_they_go(
    values: list[Any], expected: list[e.Event]
) -> None:
    """And what is told of them keeps the rules."""
    events = decode(whole(*values))
    assert content(events) == expected
    assert said(decode(encoder().encode(events))) == said(events)


def said(events: list[e.Event]) -> list[tuple[str, str]]:
    """The kind and the text of every part that has one."""
    parts = fold(events).choices[0].parts
    texts = [getattr(part, "text", None) or getattr(part, "name", "") for part in parts]
    return [(type(part).__name__, text) for part, text in zip(parts, texts, strict=True) if text]


def test_content_after_the_end_is_dropped_and_counted() -> None:
    """It cannot be told any more; counts can."""
    decoder = CLIENT.stream_decoder()
    late = (text_start(1), delta(0, text="late"), block_stop(1), message_delta("refusal"))
    batch = decoder.feed(whole(*TEXT)[: -len(frame(STOP))] + stream(*late, STOP))
    assert decoder.dropped_events == 2
    assert e.MessageFinished(FinishReason.STOP) in batch
    told = datas(encoder().encode(batch))
    assert [x["type"] for x in told].count("message_delta") == 1


@pytest.mark.parametrize("calls", [True, False])
def test_end_without_a_reason_gets_one(calls: bool) -> None:
    """What the content says."""
    start = tool_start() if calls else text_start()
    answer = fold(decode(stream(message_start(), start, message_delta(None), STOP)))
    expected = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
    assert answer.choices[0].reason is expected
    told = datas(encoder().encode(decode(stream(message_start(), start, STOP))))
    assert told[-2]["delta"]["stop_reason"] == ("tool_use" if calls else "end_turn")


def test_event_about_the_end_without_anything_in_it_is_passed_on() -> None:
    """It says nothing, and does no harm."""
    idle = {"type": "message_delta", "delta": None}
    body = stream(message_start(), idle, *TEXT, message_delta(), STOP)
    assert encoder().encode(decode(body)) == body


HALF = b'"\\ud83d"'
OTHER = b'"\\ude00"'


def halves(start: Any, index: int, *pieces: Any) -> bytes:
    """A stream whose texts are cut inside a character."""
    body = whole(start, *pieces, block_stop(index))
    return body.replace(b'"HALF"', HALF).replace(b'"OTHER"', OTHER)


@pytest.mark.parametrize(
    ("start", "pieces", "expected"),
    [
        (text_start(), [delta(0, text="HALF"), delta(0, text="OTHER")], "\U0001f600"),
        (text_start(), [delta(0, text="a"), delta(0, text="HALF")], "a\ufffd"),
        (thinking_start(), [delta(0, thinking="HALF"), delta(0, thinking="")], "\ufffd"),
        (block_start(0, type="text", text="HALF"), [], "\ufffd"),
        (tool_start(), [delta(0, partial_json="HALF")], "\ufffd"),
        (tool_start(), [delta(0, partial_json="HALF"), delta(0, partial_json="OTHER")],
         "\U0001f600"),
    ],
)  # fmt: skip
def test_halves_of_characters_are_joined_or_replaced(
    start: Any, pieces: list[Any], expected: str
) -> None:
    """Nothing that is told has half a character in it."""
    events = decode(halves(start, 0, *pieces))
    for found in (events, decode(encoder().encode(events))):
        part = fold(found).choices[0].parts[0]
        assert (part.arguments if isinstance(part, ToolCall) else part.text) == expected  # type: ignore[attr-defined]


def test_signature_after_half_a_character_is_kept() -> None:
    """From then on everything is looked at twice."""
    body = halves(thinking_start(), 0, delta(0, thinking="HALF"), delta(0, signature="s"))
    (part,) = fold(decode(body)).choices[0].parts
    assert isinstance(part, Reasoning)
    assert (part.text, part.seal and part.seal.value) == ("\ufffd", "s")


def test_numbers_that_are_none_are_read_over() -> None:
    """As the standard library writes them."""
    body = whole(*TEXT).replace(b'"output_tokens":5', b'"output_tokens":NaN,"x":1e999,"y":1.5')
    usage = fold(decode(body)).usage
    assert usage is not None
    assert (usage.output_tokens, usage.fields["x"], usage.fields["y"]) == (1, None, 1.5)


def test_deep_nesting_is_illegible() -> None:
    """Also in an event of a usual kind."""
    deep = b"[" * 200 + b"]" * 200
    long = b'"pad":"' + b"x" * 600 + b'",'
    bad = b'{%b"type":"content_block_delta","index":0,"delta":%b}' % (long, deep)
    decoder = CLIENT.stream_decoder()
    decoder.feed(stream(message_start(), bad))
    assert decoder.dropped_events == 1


# ---------------------------------------------------------------- whole messages


def test_whole_message_in_place_of_a_stream_is_read() -> None:
    """What a server sends that does not stream."""
    body = json.dumps(message({"type": "text", "text": "hi"})).encode()
    decoder = CLIENT.stream_decoder()
    assert decoder.feed(b" \n" + body[:9]) == []
    assert decoder.feed(body[9:]) == []
    events = decoder.end()
    assert content(events) == [e.TextDelta("hi"), e.PartFinished("text")]
    assert decoder.end() == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"type": "error", "error": {"type": "overloaded_error"}}, FaultKind.OVERLOADED),
        ([{"error": {"type": "rate_limit_error"}}], FaultKind.RATE_LIMIT),
        ({"error": "x"}, FaultKind.SERVER),
        ({"choices": []}, FaultKind.PROTOCOL),
        ([], FaultKind.PROTOCOL),
        (b"{", FaultKind.PROTOCOL),
        (b"[" * 300, FaultKind.PROTOCOL),
    ],
)
def test_anything_else_in_place_of_a_message_fails(body: Any, kind: FaultKind) -> None:
    """As what it says, where it says something."""
    (failed,) = decode_whole(body)
    assert isinstance(failed, e.StreamFailed)
    assert failed.fault.kind is kind


def test_whole_message_may_lack_everything_but_content() -> None:
    """A message is a message."""
    assert decode_whole({"content": [{}, 1, {"type": "tool_use"}]})[-2:] == [
        e.MessageFinished(FinishReason.TOOL_CALLS),
        e.Finished(),
    ]


def test_ping_alone_is_nothing() -> None:
    """With and without data that can be read."""
    decoder = CLIENT.stream_decoder()
    assert decoder.feed(stream(PING) + b"event: ping\ndata: \n\nevent: ping\ndata: x\n\n") == []
    assert decoder.dropped_events == 0
