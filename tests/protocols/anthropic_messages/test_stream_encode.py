"""Streams to Messages clients: what is passed on, and what is written anew."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.limits import StreamLimits
from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.canonical.seal import Seal, packed
from lipstream.canonical.usage import Usage
from lipstream.errors import Cause, FaultKind, UpstreamFault
from lipstream.protocols.anthropic_messages import CLIENT
from tests.protocols.anthropic_messages.building import (
    NAME,
    PING,
    STOP,
    block_start,
    block_stop,
    datas,
    decode,
    delta,
    encoder,
    fold,
    message_delta,
    message_start,
    stream,
    text_start,
    thinking_start,
    tool_start,
    whole,
)

START: list[e.Event] = [e.Started("msg_1", "claude", 1), e.MessageStarted()]
END: list[e.Event] = [e.MessageFinished(FinishReason.STOP), e.Finished()]
UNSEALED = packed(Seal("", ""))
FOREIGN = Seal("gemini", "sig", "gemini:g", {"x": 1})


def written(*events: e.Event, model: str | None = None, **call: Any) -> list[Any]:
    """The data of what a client gets for these events."""
    return datas(encoder(model, **call).encode([*events]))


def inside(*events: e.Event) -> list[Any]:
    """What is between the start and the end."""
    told = written(*START, *events, *END)
    assert told[1] == PING
    return told[2:-2]


def sealed_block(index: int, value: str) -> list[Any]:
    """Redacted thinking with this in it."""
    return [block_start(index, type="redacted_thinking", data=value), block_stop(index)]


def call(index: int, key: str, *pieces: str, seal: Seal | None = None) -> list[e.Event]:
    """A whole call."""
    return [
        e.ToolCallStarted(index, key, "f"),
        *(e.ToolCallDelta(index, piece) for piece in pieces),
        e.ToolCallFinished(index, seal=seal),
    ]


# ---------------------------------------------------------------- written anew


def test_message_is_written_whole() -> None:
    """A start with counts, blocks that are closed, the reason with the final counts, a stop."""
    assert written(*START, e.TextDelta("hi"), *END) == [
        message_start(usage={"input_tokens": 0, "output_tokens": 0}),
        PING,
        text_start(),
        delta(0, text="hi"),
        block_stop(),
        message_delta(usage={"input_tokens": 0, "output_tokens": 0}),
        STOP,
    ]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([e.TextDelta('"\n\u2028é')], [text_start(), delta(0, text='"\n\u2028é'), block_stop()]),
        (
            [e.TextDelta("a"), e.PartFinished("text"), e.PartFinished("text"), e.TextDelta("b")],
            [text_start(), delta(0, text="a"), block_stop(),
             text_start(1), delta(1, text="b"), block_stop(1)],
        ),
        ([e.TextDelta(""), e.ReasoningDelta(""), e.PartFinished("reasoning")], []),
        ([e.Notice("slow", "it was slow"), e.Extra("gemini", "whole_part", {"x": 1})], []),
        ([e.TextDelta("two", 1), e.MessageStarted(1), e.ToolCallStarted(0, "z", "g", 1)], []),
        (
            call(0, "a", "{", "", "}"),
            [tool_start(), delta(0, partial_json="{"), delta(0, partial_json="}"), block_stop()],
        ),
        ([e.ToolCallDelta(7, "{}"), e.ToolCallFinished(7)], []),
        ([e.Media("audio", "QQ", transcript="said")],
         [text_start(), delta(0, text="said"), block_stop()]),
        (
            [e.Media("image", "data:image/png;base64,QQ=="),
             e.Media("file", "https://x", name="n")],
            [
                block_start(0, type="image", source={
                    "type": "base64", "media_type": "image/png", "data": "QQ=="}),
                block_stop(),
                block_start(1, type="document", source={"type": "url", "url": "https://x"},
                            title="n"),
                block_stop(1),
            ],
        ),
        ([e.Extra(NAME, "whole_part", {"type": "new"})],
         [block_start(0, type="new"), block_stop()]),
        ([e.Extra(NAME, "delta", {"x": 1}), e.Extra(NAME, "part", {"citations": [1]})], []),
    ],
)  # fmt: skip
def test_events_become_blocks(events: list[e.Event], expected: list[Any]) -> None:
    """One open at a time; what says nothing writes nothing."""
    assert inside(*events) == expected


@pytest.mark.parametrize(
    ("seal", "signature"),
    [
        (None, UNSEALED),
        (Seal(NAME, "own"), "own"),
        (Seal(NAME, ""), None),
        (FOREIGN, packed(FOREIGN)),
    ],
)
def test_thinking_ends_with_its_signature(seal: Seal | None, signature: str | None) -> None:
    """Another protocol's seal is packed, and without any the client still has something to send."""
    expected = [thinking_start(), delta(0, thinking="hm")]
    if signature is not None:
        expected.append(delta(0, signature=signature))
    assert inside(e.ReasoningDelta("hm"), e.PartFinished("reasoning", seal)) == [
        *expected,
        block_stop(),
    ]


def test_thinking_that_is_not_finished_ends_with_what_comes_next() -> None:
    """Many servers do not say when they have thought enough."""
    end = [delta(0, signature=UNSEALED), block_stop()]
    assert inside(e.ReasoningDelta("hm"), e.TextDelta("a"))[2:4] == end
    assert inside(e.ReasoningDelta("hm"), *call(0, "a"))[2:4] == end
    assert inside(e.ReasoningDelta("hm"))[2:] == end


@pytest.mark.parametrize(
    ("seal", "expected"),
    [
        (FOREIGN, sealed_block(0, packed(FOREIGN))),
        (Seal(NAME, "r", "", {"type": "redacted_thinking"}), sealed_block(0, "r")),
        (Seal(NAME, "s"), [thinking_start(), delta(0, signature="s"), block_stop()]),
        (Seal(NAME, ""), []),
    ],
)
def test_seal_without_text_has_a_block_of_its_own(seal: Seal, expected: list[Any]) -> None:
    """Encrypted reasoning of any protocol comes back from there."""
    assert inside(e.PartFinished("reasoning", seal)) == expected


def test_seals_of_texts_and_calls_follow_them() -> None:
    """A call's says which one it is for."""
    found = inside(e.TextDelta("a"), e.PartFinished("text", FOREIGN), *call(0, "k", seal=FOREIGN))
    assert found[3:5] == sealed_block(1, packed(FOREIGN))
    of_call = Seal("gemini", "sig", "gemini:g", {"x": 1}, "k")
    assert found[5:] == [tool_start(2, "k"), block_stop(2), *sealed_block(3, packed(of_call))]
    assert inside(*call(0, "k", seal=Seal(NAME, "x"))) == [tool_start(0, "k"), block_stop()]


def test_free_text_of_a_call_becomes_an_argument() -> None:
    """Whether it is written at once or has waited."""
    events: list[e.Event] = [
        e.ToolCallStarted(0, "a", "f", type="custom"),
        e.ToolCallStarted(1, "b", "f", type="custom"),
        e.ToolCallDelta(0, 'x"'),
        e.ToolCallDelta(1, "\n"),
        e.ToolCallFinished(1),
        e.ToolCallFinished(0),
    ]
    parts = fold(decode(stream(*written(*START, *events, *END)))).choices[0].parts
    texts = [part.arguments for part in parts]  # type: ignore[attr-defined]
    assert texts == ['{"input":"x\\""}', '{"input":"\\n"}']


# ---------------------------------------------------------------- in turns


def test_what_comes_in_turns_waits_for_the_call_under_way() -> None:
    """In the order in which it began; what waited goes out in one piece."""
    client = encoder()
    client.encode(START)
    assert datas(client.encode([e.ToolCallStarted(0, "a", "f")])) == [tool_start()]
    waiting = [
        e.ToolCallStarted(1, "b", "g"),
        e.ToolCallDelta(1, "{"),
        e.TextDelta("x"),
        e.TextDelta("y"),
        e.ReasoningDelta("z"),
        e.PartFinished("reasoning", FOREIGN),
        e.ToolCallDelta(1, "}"),
        e.ToolCallStarted(2, "c", "h"),
        e.ToolCallDelta(2, "["),
    ]
    assert client.encode(waiting) == b""
    assert datas(client.encode([e.ToolCallDelta(0, "{}")])) == [delta(0, partial_json="{}")]
    assert datas(client.encode([e.ToolCallFinished(0)])) == [
        block_stop(),
        tool_start(1, "b", name="g"),
        delta(1, partial_json="{}"),
    ]
    assert datas(client.encode([e.ToolCallFinished(1), e.ToolCallDelta(1, "late")])) == [
        block_stop(1),
        text_start(2),
        delta(2, text="xy"),
        block_stop(2),
        thinking_start(3),
        delta(3, thinking="z"),
        delta(3, signature=packed(FOREIGN)),
        block_stop(3),
        tool_start(4, "c", name="h"),
        delta(4, partial_json="["),
    ]
    assert datas(client.encode([e.ToolCallFinished(1), e.ToolCallDelta(2, "]")])) == [
        delta(4, partial_json="]")
    ]


def test_text_that_has_waited_goes_on_as_it_comes() -> None:
    """When it is the last that waits."""
    client = encoder()
    client.encode([*START, e.ToolCallStarted(0, "a", "f"), e.TextDelta("x")])
    assert datas(client.encode([e.ToolCallFinished(0)])) == [
        block_stop(),
        text_start(1),
        delta(1, text="x"),
    ]
    assert datas(client.encode([e.TextDelta("y")])) == [delta(1, text="y")]
    assert datas(client.encode(END))[0] == block_stop(1)


def test_end_of_the_message_writes_all_that_waits() -> None:
    """Also calls that nobody has finished."""
    events = [e.ToolCallStarted(i, str(i), "f") for i in range(3)]
    told = inside(*events, e.ToolCallDelta(2, "{}"), e.TextDelta("x"), e.PartFinished("text"))
    assert [x["type"] for x in told] == [
        "content_block_start", "content_block_stop", "content_block_start", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_stop",
    ]  # fmt: skip


def test_what_waits_is_bounded() -> None:
    """A stream that only ever begins calls would otherwise fill the memory."""
    client = encoder(limits=StreamLimits(answer_bytes=100))
    events = [*START, *(e.ToolCallStarted(i, str(i), "f") for i in range(2))]
    client.encode([*events, e.ToolCallDelta(1, "x" * 90)])
    with pytest.raises(UpstreamFault, match="in turns") as caught:
        client.encode([e.ToolCallDelta(1, "x" * 11)])
    assert caught.value.kind is FaultKind.PROTOCOL


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize(
    ("reason", "detail", "word"),
    [
        (FinishReason.STOP, "", "end_turn"),
        (FinishReason.STOP, "stop_sequence", "stop_sequence"),
        (FinishReason.STOP, "max_tokens", "end_turn"),
        (FinishReason.LENGTH, "model_length", "max_tokens"),
        (FinishReason.LENGTH, "model_context_window_exceeded", "model_context_window_exceeded"),
        (FinishReason.TOOL_CALLS, "", "tool_use"),
        (FinishReason.CONTENT_FILTER, "", "refusal"),
        (FinishReason.REFUSAL, "", "refusal"),
        (FinishReason.PAUSE, "", "pause_turn"),
        (FinishReason.ERROR, "MALFORMED", "end_turn"),
    ],
)
def test_reasons_are_told_in_anthropic_words(reason: FinishReason, detail: str, word: str) -> None:
    """A table; another provider's word is not passed for one."""
    told = written(*START, e.MessageFinished(reason, detail=detail), e.Finished())
    assert told[2]["delta"] == {"stop_reason": word, "stop_sequence": None}


def test_stop_after_a_call_or_a_refusal_is_told_as_one() -> None:
    """Agents go by the word."""
    assert written(*START, *call(0, "a"), *END)[-2]["delta"]["stop_reason"] == "tool_use"
    assert written(*START, e.RefusalDelta("no"), *END)[-2]["delta"]["stop_reason"] == "refusal"
    assert inside(e.RefusalDelta("no"))[1] == delta(0, text="no")


def test_counts_go_out_when_they_are_known() -> None:
    """Those at the start if there are any, all of them at the end."""
    first = e.UsageReported(Usage(input_tokens=40, cache_read_tokens=30, cache_write_tokens=5))
    last = e.UsageReported(Usage(output_tokens=7, reasoning_tokens=2))
    told = written(START[0], first, START[1], END[0], last, END[1])
    start = {
        "input_tokens": 5,
        "output_tokens": 0,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 30,
    }
    assert told[0]["message"]["usage"] == start
    end = {**start, "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 2}}
    assert told[2]["usage"] == end


def test_answer_without_a_message_is_still_one() -> None:
    """With an id that is made up, and the model that the client is to be told."""
    told = written(e.Started(), e.Finished(), model="alias")
    assert [x["type"] for x in told] == ["message_start", "ping", "message_delta", "message_stop"]
    assert (told[0]["message"]["id"], told[0]["message"]["model"]) == ("msg_1", "alias")


def test_failure_writes_nothing_and_the_problem_ends_the_stream() -> None:
    """The server decides what a client is told of a failure."""
    client = encoder()
    assert client.encode([e.StreamFailed(UpstreamFault(FaultKind.SERVER, "x"))]) == b""
    cause = Cause("a:b", "stream", "read")
    problem = Problem(502, ProblemKind.UPSTREAM, "gone", "upstream_error", causes=(cause,))
    assert datas(client.encode_problem(problem)) == [
        {
            "type": "error",
            "error": {
                "type": "api_error",
                "message": "gone",
                "code": "upstream_error",
                "causes": [{"candidate": "a:b", "phase": "stream", "kind": "read"}],
            },
            "request_id": None,
        }
    ]


def test_keepalive_is_a_ping() -> None:
    """The protocol has its own event for it."""
    assert datas(encoder().keepalive()) == [PING]
    assert encoder().content_type == "text/event-stream; charset=utf-8"
    assert encoder().encode([]) == b""


# ---------------------------------------------------------------- passed on


FULL = stream(
    message_start(container=None, new=1),
    thinking_start(),
    PING,
    delta(0, thinking="hm"),
    delta(0, signature="s"),
    block_stop(),
    block_start(1, type="redacted_thinking", data="r"),
    block_stop(1),
    text_start(2, citations=[]),
    delta(2, text="a", odd=1),
    delta(2, citation={"n": 1}),
    block_stop(2),
    block_start(3, type="server_tool_use", id="s", name="n", input={}),
    delta(3, partial_json='{"q":1}'),
    block_stop(3),
    tool_start(4, caller={"type": "direct"}),
    delta(4, partial_json=""),
    delta(4, partial_json='{"x":1}'),
    delta(4, type="new_delta"),
    block_stop(4),
    block_start(5, type="image", source={"type": "url", "url": "u"}),
    block_stop(5),
    {"type": "new_event"},
    message_delta("tool_use", delta={"container": 1}, context_management={}),
    {**STOP, "metrics": 1},
)


@pytest.mark.parametrize("model", [None, "claude"])
@pytest.mark.parametrize("step", [1, 60, 400, 10_000])
def test_stream_of_its_own_kind_is_passed_on_unchanged(model: str | None, step: int) -> None:
    """Byte by byte, unknown fields and events included, nothing twice, however it was cut."""
    decoder, client = CLIENT.stream_decoder(), encoder(model)
    pieces = [FULL[i : i + step] for i in range(0, len(FULL), step)]
    assert b"".join(client.encode(iter(decoder.feed(piece))) for piece in pieces) == FULL


def test_replaced_model_changes_the_start_alone() -> None:
    """It stands nowhere else."""
    told = datas(encoder("alias").encode(decode(FULL)))
    assert told[0]["message"] == {**datas(FULL)[0]["message"], "model": "alias"}
    assert told[1] == PING
    assert told[2:] == datas(FULL)[1:]


def test_stream_written_anew_says_the_same() -> None:
    """Every event without its bytes."""
    events = decode(FULL)
    again = decode(encoder().encode([event.changed() for event in events]))
    assert fold(again).choices == fold(events).choices
    assert fold(again).extra == fold(events).extra
    assert fold(again).usage == fold(events).usage


def test_changed_text_is_told_in_its_block() -> None:
    """What is around it is passed on."""
    events = decode(FULL)
    changed = [x.changed(text="A") if x == e.TextDelta("a") else x for x in events]
    told = datas(encoder().encode(changed))
    expected = datas(FULL)
    place = expected.index(delta(2, text="a", odd=1))
    expected[place] = delta(2, text="A")
    assert told == expected


def test_what_was_left_out_is_not_told_by_the_bytes_of_others() -> None:
    """Later blocks move up."""
    events = decode(FULL)
    kinds = (e.ReasoningDelta,)
    kept = [x for x in events if not isinstance(x, kinds) and getattr(x, "kind", "") != "reasoning"]
    told = datas(encoder().encode(kept))
    starts = [x for x in told if x["type"] == "content_block_start"]
    assert [x["index"] for x in starts] == [0, 1, 2, 3]
    assert [x["content_block"]["type"] for x in starts] == [
        "text", "server_tool_use", "tool_use", "image",
    ]  # fmt: skip
    assert starts[2]["content_block"]["caller"] == {"type": "direct"}
    citations = [x["delta"]["citation"] for x in told if x.get("delta", {}).get("citation")]
    assert citations == [{"n": 1}]


def test_block_that_was_begun_and_not_stopped_is_closed() -> None:
    """Before the next begins, whoever writes it."""
    start = stream(message_start(), block_start(0, type="server_tool_use", id="s"))
    body = start + stream(text_start(1), delta(1, text="a"), message_delta(), STOP)
    assert [(x["type"], x.get("index")) for x in datas(encoder().encode(decode(body)))[1:-2]] == [
        ("content_block_start", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
    ]
    single = stream(message_start(), block_start(0, type="redacted_thinking", data="r"))
    new = stream(block_start(1, type="new"), message_delta(), STOP)
    told = datas(encoder().encode(decode(single + new)))[1:-2]
    assert told == [*sealed_block(0, "r"), block_start(1, type="new"), block_stop(1)]


def test_bytes_are_passed_on_only_between_ends_of_this_protocol() -> None:
    """A source of another one, or a client of another one."""
    source = e.Source("gemini", b"{}", 1, b"content_block_delta")
    told = inside(e.TextDelta("hi", source=source))
    assert told == [text_start(), delta(0, text="hi"), block_stop()]
    foreign = encoder(dialect="gemini")
    assert b"odd" not in foreign.encode(decode(FULL))


def test_start_that_does_not_stand_alone_is_not_passed_on() -> None:
    """A second one, or one of which something is missing."""
    events = decode(whole(text_start(), delta(0, text="a"), block_stop()))
    client = encoder()
    assert datas(client.encode(events[:4])) == [message_start()]
    assert client.encode(events[:4]) == b""
    told = datas(encoder().encode(events[1:]))
    assert told[0]["message"]["usage"] == {"input_tokens": 3, "output_tokens": 1}
    odd = e.Source(NAME, b"{", 1, b"content_block_start")
    assert datas(client.encode([e.TextDelta("x", source=odd)]))[0] == text_start()


@pytest.mark.parametrize("start", [text_start(), tool_start()])
def test_counts_in_the_middle_are_passed_on(start: Any) -> None:
    """They end nothing; after the end there is no place for them."""
    counts = message_delta(None, usage={"output_tokens": 2})
    body = stream(message_start(), start, counts, block_stop(), message_delta())
    assert encoder().encode(decode(body + stream(STOP))) == body + stream(STOP)
    assert encoder().encode(decode(body + stream(counts, STOP))) == body + stream(STOP)


def test_line_ends_of_unicode_are_escaped() -> None:
    """In what is written and in what is passed on."""
    body = whole(text_start(), delta(0, text="XX"), block_stop()).replace(b"XX", "\u2028é".encode())
    for model in (None, "other"):
        told = encoder(model).encode(decode(body))
        assert b"\\u2028" in told
        assert told.decode().count("\u2028") == 0
