"""Converse streams to events."""

from __future__ import annotations

import base64
import json
import re
import time

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.limits import StreamLimits
from lipstream.canonical.parts import Image, Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal, Sealer
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind
from lipstream.protocols.bedrock_converse import CLIENT, ConverseClient
from tests.protocols.bedrock_converse.building import (
    METADATA,
    START,
    USAGE,
    answer,
    begun,
    checked,
    content,
    decode,
    decode_whole,
    delta,
    fold,
    message,
    over,
    stopped,
    stream,
)

REDACTED = {"type": "redactedContent"}


def test_text_is_told_as_it_comes() -> None:
    """Start, deltas, end, counts, finish; empty deltas say nothing."""
    events = decode(stream(delta(0, text=""), delta(0, text="He"), delta(0, text="llo"), over(0)))
    assert events == [
        e.Started(),
        e.MessageStarted(),
        e.TextDelta("He"),
        e.TextDelta("llo"),
        e.MessageFinished(FinishReason.STOP, detail="end_turn"),
        e.UsageReported(Usage(input_tokens=3, output_tokens=7, total_tokens=10,
                              dialect="bedrock_converse", fields=USAGE)),
        e.Finished(),
    ]  # fmt: skip


def test_calls_are_started_argued_and_finished() -> None:
    """In order of their blocks; their indexes count calls, not blocks."""
    events = decode(
        stream(
            delta(0, text="I look."),
            over(0),
            begun(1, toolUse={"toolUseId": "a", "name": "f"}),
            delta(1, toolUse={"input": '{"x"'}),
            delta(1, toolUse={"input": ":1}"}),
            over(1),
            begun(2, toolUse={"toolUseId": "b", "name": "g"}),
            delta(2, toolUse={"input": ""}),
            over(2),
            reason="tool_use",
        )
    )
    assert content(events) == [
        e.TextDelta("I look."),
        e.ToolCallStarted(0, "a", "f"),
        e.ToolCallDelta(0, '{"x"'),
        e.ToolCallDelta(0, ":1}"),
        e.ToolCallFinished(0),
        e.ToolCallStarted(1, "b", "g"),
        e.ToolCallDelta(1, "{}"),
        e.ToolCallFinished(1),
    ]


def test_reasoning_ends_with_its_proof() -> None:
    """A signature, in whatever pieces, or what is encrypted, byte by byte; or neither."""
    sealer = Sealer("b:m")
    decoder = CLIENT.stream_decoder(sealer)
    events = decoder.feed(
        stream(
            delta(0, reasoningContent={"text": "Hm"}),
            delta(0, reasoningContent={"text": "."}),
            delta(0, reasoningContent={"signature": "c2ln"}),
            delta(0, reasoningContent={"signature": "bmF0"}),
            over(0),
            delta(1, reasoningContent={"redactedContent": "QUJD+/=="}),
            over(1),
            delta(2, reasoningContent={"text": "Open."}),
            over(2),
            delta(3, reasoningContent={"text": ""}),
            over(3),
            delta(4, text="So."),
        )
    )
    name = "bedrock_converse"
    assert content(checked(events)) == [
        e.ReasoningDelta("Hm"),
        e.ReasoningDelta("."),
        e.PartFinished("reasoning", Seal(name, "c2lnbmF0", "b:m")),
        e.PartFinished("reasoning", Seal(name, "QUJD+/==", "b:m", REDACTED)),
        e.ReasoningDelta("Open."),
        e.PartFinished("reasoning"),
        e.TextDelta("So."),
    ]


def test_encrypted_reasoning_in_pieces_is_put_together() -> None:
    """Each piece is base64 of its own; what is none is put together as it stands."""
    pieces = [base64.b64encode(part).decode() for part in (b"one", b"piece", b"more")]
    blocks = [delta(0, reasoningContent={"redactedContent": piece}) for piece in pieces]
    (found,) = content(decode(stream(*blocks)))
    assert isinstance(found, e.PartFinished)
    assert found.seal is not None
    assert base64.b64decode(found.seal.value) == b"onepiecemore"
    odd = [delta(0, reasoningContent={"redactedContent": "x"})] * 2
    (found,) = content(decode(stream(*odd)))
    assert isinstance(found, e.PartFinished)
    assert found.seal == Seal("bedrock_converse", "xx", fields=REDACTED)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("max_tokens", FinishReason.LENGTH),
        ("stop_sequence", FinishReason.STOP),
        ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("content_filtered", FinishReason.CONTENT_FILTER),
        ("malformed_model_output", FinishReason.ERROR),
        ("malformed_tool_use", FinishReason.ERROR),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("something_new", FinishReason.STOP),
    ],
)
def test_stop_reasons_are_mapped(word: str, reason: FinishReason) -> None:
    """The service's own word stands beside."""
    assert e.MessageFinished(reason, detail=word) in decode(stream(reason=word))


def test_calls_without_the_word_for_them_are_calls() -> None:
    """Some models end their turn and do not say that they wait."""
    events = decode(stream(begun(0, toolUse={"toolUseId": "a", "name": "f"})))
    assert e.MessageFinished(FinishReason.TOOL_CALLS, detail="end_turn") in events


def test_input_includes_what_the_cache_had_to_do_with() -> None:
    """Bedrock counts it apart; what is no count is not known."""
    usage = {
        "inputTokens": 11,
        "outputTokens": 236,
        "totalTokens": 1275,
        "cacheReadInputTokenCount": 0,
        "cacheReadInputTokens": 5,
        "cacheWriteInputTokens": 1028,
    }
    found = fold(decode(START + stopped() + message("metadata", {"usage": usage}))).usage
    assert found is not None
    assert (found.input_tokens, found.cache_read_tokens, found.cache_write_tokens) == (
        1044,
        5,
        1028,
    )
    assert found.total == 1275
    odd = {"inputTokens": None, "outputTokens": True, "totalTokens": -1}
    found = fold(decode(START + stopped() + message("metadata", {"usage": odd}))).usage
    assert found is not None
    assert (found.input_tokens, found.output_tokens, found.total_tokens) == (None, None, None)


def test_images_are_told_whole() -> None:
    """In pieces or at once, in the stream or from S3; one that failed is left out."""
    first, second = (base64.b64encode(part).decode() for part in (b"\x89P", b"NG"))
    place = {"s3Location": {"uri": "s3://b/x.png"}}
    events = decode(
        stream(
            begun(0, image={"format": "png"}),
            delta(0, image={"source": {"bytes": first}}),
            delta(0, image={"source": {"bytes": second}}),
            over(0),
            begun(1, image={}),
            delta(1, image={"source": place}),
            begun(2, image={"format": "png"}),
            delta(2, image={"error": {"message": "no"}}),
            delta(9, image={"source": {"bytes": first}}),
        )
    )
    whole = base64.b64encode(b"\x89PNG").decode()
    assert content(events) == [
        e.Media("image", f"data:image/png;base64,{whole}", "image/png"),
        e.Media("image", "s3://b/x.png", "image/png"),
    ]


def test_what_the_service_ran_itself_is_not_for_the_client() -> None:
    """Neither the call nor its result, nor an event that nobody knows."""
    events = decode(
        stream(
            begun(0, toolUse={"toolUseId": "s", "name": "run", "type": "server_tool_use"}),
            delta(0, toolUse={"input": "{}"}),
            over(0),
            begun(1, toolResult={"toolUseId": "s", "status": "success"}),
            delta(1, toolResult=[{"json": {"a": 1}}]),
            over(1),
            message("somethingNew", {"x": 1}),
            delta(2, citation={"title": "t"}),
            delta(2, text="42"),
        )
    )
    assert content(events) == [e.TextDelta("42")]


def test_missing_frames_are_made_up_for() -> None:
    """No start of the message, no ends of blocks, no id, an id twice, two calls in one place."""
    body = b"".join(
        (
            begun(0, toolUse={"name": "f"}),
            begun(0, toolUse={"toolUseId": "a", "name": 5}),
            begun(1, toolUse={"toolUseId": "a", "name": "g"}),
            delta(2, reasoningContent={"text": "hm"}),
            delta(2, text="mixed"),
            stopped("tool_use"),
        )
    )
    answer = fold(decode(body))
    assert list(answer.choices[0].parts) == [
        ToolCall("tooluse_1", "f", "{}"),
        ToolCall("a", "", "{}"),
        ToolCall("tooluse_2", "g", "{}"),
        Reasoning("hm"),
        Text("mixed"),
    ]


def test_block_of_two_kinds_is_two_parts() -> None:
    """Text and reasoning under one index follow each other."""
    events = decode(stream(delta(0, text="a"), delta(0, reasoningContent={"text": "b"})))
    assert content(events) == [
        e.TextDelta("a"),
        e.ReasoningDelta("b"),
        e.PartFinished("reasoning"),
    ]


def test_content_without_a_place_is_counted() -> None:
    """Arguments of no call, and whatever comes after the end."""
    decoder = CLIENT.stream_decoder()
    late = (delta(0, text="x"), begun(1, toolUse={"toolUseId": "a", "name": "f"}), stopped())
    events = decoder.feed(START + delta(5, toolUse={"input": "x"}) + stopped() + b"".join(late))
    assert content(checked(events + decoder.end())) == []
    assert decoder.dropped_events == 3


def test_unread_shapes_are_read_over() -> None:
    """Deltas that are no objects, starts that are none, counts that are none."""
    odd = (
        message("contentBlockDelta", {"contentBlockIndex": "x", "delta": 5}),
        message("contentBlockDelta", {"delta": None}),
        message("contentBlockDelta", {"delta": {"text": 5}}),
        message("contentBlockDelta", {"delta": {"toolUse": {"input": 5}}}),
        message("contentBlockStart", {"start": []}),
    )
    events = decode(START, *odd, delta(0, text="a"), stopped(), message("metadata", {"usage": 5}))
    assert fold(events).choices[0].parts == (Text("a"),)
    assert fold(events).usage is None


# ---------------------------------------------------------------- ends and failures


def failure(*pieces: bytes) -> tuple[FaultKind, str | None]:
    """How a stream failed."""
    last = decode(*pieces)[-1]
    assert isinstance(last, e.StreamFailed)
    return last.fault.kind, last.fault.code


def test_clean_end_is_an_end_after_the_end_of_the_message_alone() -> None:
    """The counts may be missing; before that the answer was cut."""
    assert isinstance(decode(START, delta(0, text="a"), stopped())[-1], e.Finished)
    assert isinstance(decode(START, stopped(), METADATA[:20])[-1], e.Finished)
    for body in (b"", START, START + delta(0, text="a"), START + over(0)[:9]):
        assert failure(body) == (FaultKind.TRUNCATED, None)


def test_exception_inside_a_stream_is_what_it_names() -> None:
    """Nothing comes after it."""
    thrown = message("throttlingException", {"message": "Too many tokens"}, "exception")
    assert failure(START + delta(0, text="a") + thrown + stopped() + METADATA) == (
        FaultKind.RATE_LIMIT,
        "throttlingException",
    )


def test_one_unreadable_event_is_dropped_and_three_are_no_stream() -> None:
    """In a row."""
    bad = message("contentBlockDelta", b'{"contentBlo')
    decoder = CLIENT.stream_decoder()
    events = decoder.feed(stream(bad, bad, delta(0, text="a"), bad, bad))
    assert content(checked(events)) == [e.TextDelta("a")]
    assert decoder.dropped_events == 4
    assert failure(START, bad, bad, bad) == (FaultKind.PROTOCOL, None)
    deep = message("metadata", b"[" * 300 + b"]" * 300)
    assert failure(START, deep, deep, deep) == (FaultKind.PROTOCOL, None)


@pytest.mark.parametrize("body", [b"<html>not this</html>", START[:-1] + b"x", b"\0" * 40])
def test_bytes_that_are_no_messages_are_not_this_protocol(body: bytes) -> None:
    """Nothing is read into them."""
    assert failure(body) == (FaultKind.PROTOCOL, None)


def test_damage_after_the_end_does_not_matter() -> None:
    """The answer was complete."""
    assert isinstance(decode(stream() + b"\0" * 40)[-1], e.Finished)
    assert decode(stream(), b"\0" * 40) == decode(stream())


def test_json_in_place_of_a_stream_is_a_whole_answer() -> None:
    """As some gateways have it; also in pieces."""
    body = json.dumps(answer({"text": "hi"})).encode()
    assert decode(b"\n" + body[:9], body[9:]) == decode_whole(body)
    small = ConverseClient(StreamLimits(sse_event=20)).stream_decoder()
    (event,) = small.feed(body)
    assert isinstance(event, e.StreamFailed)
    assert event.fault.kind is FaultKind.PROTOCOL


def test_message_over_its_limit_is_not_kept() -> None:
    """Whatever it says."""
    decoder = ConverseClient(StreamLimits(sse_event=200)).stream_decoder()
    events = decoder.feed(START + delta(0, text="x" * 300))
    assert isinstance(events[-1], e.StreamFailed)


# ---------------------------------------------------------------- characters


def test_characters_cut_in_two_are_joined() -> None:
    """In text, reasoning and arguments; a half that stays alone is a mark."""
    first, second = rb"\ud83d", rb"\ude00"

    def half(index: int, shape: bytes, piece: bytes) -> bytes:
        data = b'{"contentBlockIndex":%d,"delta":%b}' % (index, shape % piece)
        return message("contentBlockDelta", data)

    text, reasoning = b'{"text":"%b"}', b'{"reasoningContent":{"text":"%b"}}'
    call = b'{"toolUse":{"input":"%b"}}'
    events = decode(
        stream(
            half(0, text, b"a" + first),
            half(0, text, second + b"b"),
            half(0, text, first),
            over(0),
            half(1, reasoning, first),
            half(1, reasoning, second),
            half(1, reasoning, first),
            over(1),
            begun(2, toolUse={"toolUseId": "a", "name": "f"}),
            half(2, call, first),
            half(2, call, second),
            half(2, call, first),
        )
    )
    parts = fold(events).choices[0].parts
    assert parts == (Text("a😀b�"), Reasoning("😀�"), ToolCall("a", "f", "😀�"))


def test_numbers_that_are_none_do_not_cost_the_event() -> None:
    """NaN and Infinity are what some servers write."""
    data = b'{"contentBlockIndex":0,"delta":{"text":"a","x":NaN,"y":1e999,"z":1.5}}'
    assert content(decode(stream(message("contentBlockDelta", data)))) == [e.TextDelta("a")]


def test_deeply_nested_event_is_looked_at_before_it_is_read() -> None:
    """Where it only looks nested it is read."""
    event = delta(0, text="{" * 600)
    assert content(decode(stream(event))) == [e.TextDelta("{" * 600)]


def test_ids_are_made_up_at_random() -> None:
    """Where the server gives none."""
    events = CLIENT.stream_decoder().feed(stream(begun(0, toolUse={"name": "f"})))
    started = [event for event in events if isinstance(event, e.ToolCallStarted)]
    assert re.fullmatch("tooluse_[0-9a-f]{24}", started[0].id)


def test_huge_answer_is_read_in_linear_time() -> None:
    """Arguments in tiny pieces; several times what that takes is allowed."""
    one = delta(0, toolUse={"input": "0123456789"})
    decoder = CLIENT.stream_decoder()
    decoder.feed(START + begun(0, toolUse={"toolUseId": "a", "name": "f"}))
    began = time.perf_counter()
    count = sum(len(decoder.feed(one)) for _ in range(20_000))
    assert count == 20_000
    assert time.perf_counter() - began < 5


# ---------------------------------------------------------------- whole answers


def test_whole_answer_is_read_block_by_block() -> None:
    """As the stream that it might have been."""
    proof = {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}
    cited = {"content": [{"text": "Ruby"}, {"text": " is"}], "citations": []}
    events = decode_whole(
        answer(
            {"reasoningContent": proof},
            {"reasoningContent": {"redactedContent": "QUJD"}},
            {"text": "hi"},
            {"citationsContent": cited},
            {"image": {"format": "png", "source": {"bytes": "QQ=="}}},
            {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": [1, "é"]}}},
            {"toolUse": {"toolUseId": "s", "name": "r", "input": {}, "type": "server_tool_use"}},
            {"toolResult": {"toolUseId": "s", "content": []}},
            {"toolUse": {"toolUseId": "b", "name": "g", "input": None}},
            "odd",
            reason="tool_use",
        )
    )
    choice = fold(events).choices[0]
    assert choice.reason is FinishReason.TOOL_CALLS
    assert choice.parts == (
        Reasoning("Hm.", Seal("bedrock_converse", "c2ln")),
        Reasoning("", Seal("bedrock_converse", "QUJD", fields=REDACTED)),
        Text("hiRuby is"),
        Image("data:image/png;base64,QQ=="),
        ToolCall("a", "f", '{"x":[1,"é"]}'),
        ToolCall("b", "g", "{}"),
    )


def test_whole_answer_without_content_is_empty() -> None:
    """Whatever stands in its place."""
    body = {**answer(), "output": {"message": {"content": None}}}
    assert content(decode_whole(body)) == []


def test_whole_answer_with_halves_of_characters_is_read() -> None:
    """They become marks."""
    body = b'{"output":{"message":{"content":[{"text":"a\\ud83d"}]}},"stopReason":"end_turn"}'
    assert fold(decode_whole(body)).choices[0].parts == (Text("a�"),)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FaultKind.PROTOCOL),
        (b"[1]", FaultKind.PROTOCOL),
        (b'{"output": {}}', FaultKind.PROTOCOL),
        (b'{"message": "Too many tokens in the prompt"}', FaultKind.CONTEXT_LENGTH),
        (b'{"__type": "a#ThrottlingException", "message": "slow down"}', FaultKind.RATE_LIMIT),
    ],
)
def test_body_without_an_answer_fails(body: bytes, kind: FaultKind) -> None:
    """As what it says, or as not this protocol."""
    (event,) = decode_whole(body)
    assert isinstance(event, e.StreamFailed)
    assert event.fault.kind is kind
