"""Streams to chat clients: what is passed on, and what is written anew."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Tool
from lipstream.canonical.events import FinishReason
from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.canonical.usage import Usage
from lipstream.errors import Cause, FaultKind, UpstreamFault
from lipstream.protocols.openai_chat.stream_decode import ChatStreamDecoder
from tests.protocols.openai_chat.building import (
    DONE,
    ROLE,
    chunk,
    datas,
    decode,
    encoder,
    stream,
)

START: list[e.Event] = [e.Started("c1", "m", 1), e.MessageStarted()]
END: list[e.Event] = [e.MessageFinished(FinishReason.STOP), e.Finished()]
LEGACY = (Tool("f", extra={"functions": {}}),)


def written(*events: e.Event, model: str | None = None, **call: Any) -> list[Any]:
    """The data of what a client gets for these events."""
    return datas(encoder(model, **call).encode([*events]))


def deltas(*events: e.Event, **call: Any) -> list[Any]:
    """The deltas of the chunks between the first and the last."""
    chunks = written(*START, *events, *END, **call)
    return [value["choices"][0]["delta"] for value in chunks[1:-2]]


def extra(scope: str, choice: int = 0, **fields: Any) -> e.Extra:
    """Fields that only chat clients know."""
    return e.Extra("openai_chat", scope, fields, choice)


# ---------------------------------------------------------------- written anew


def test_chunks_are_complete() -> None:
    """Every one has the answer's id, its time and model, one choice and a reason or null."""
    assert written(*START, e.TextDelta("hi"), *END) == [
        chunk({"role": "assistant"}),
        chunk({"content": "hi"}),
        chunk({}, "stop"),
        "[DONE]",
    ]


def test_missing_head_is_made_up_once() -> None:
    """A unique id, the time, and the model that the client is to be told."""
    chunks = written(e.Started(), e.MessageStarted(), *END, model="alias")
    heads = [(value["id"], value["created"], value["model"]) for value in chunks[:-1]]
    assert heads == [("chatcmpl-1", 1234, "alias")] * 2


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([e.TextDelta('"\n\u2028é')], [{"content": '"\n\u2028é'}]),
        ([e.ReasoningDelta("hm")], [{"reasoning_content": "hm", "reasoning": "hm"}]),
        ([e.RefusalDelta("no")], [{"refusal": "no"}]),
        (
            [e.ToolCallStarted(0, "a", "f"), e.ToolCallDelta(0, "{}"), e.ToolCallFinished(0)],
            [
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "a",
                            "type": "function",
                            "function": {"name": "f", "arguments": ""},
                        }
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
            ],
        ),
        (
            [e.ToolCallStarted(0, "a", "f", type="custom"), e.ToolCallDelta(0, "x")],
            [
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "a",
                            "type": "custom",
                            "custom": {"name": "f", "input": ""},
                        }
                    ]
                },
                {"tool_calls": [{"index": 0, "custom": {"input": "x"}}]},
            ],
        ),
        (
            [e.Media("image", "data:a"), e.Media("image", "data:b")],
            [
                {"images": [{"type": "image_url", "image_url": {"url": url}, "index": i}]}
                for i, url in enumerate(["data:a", "data:b"])
            ],
        ),
        (
            [e.Media("file", "data:a", name="x.pdf")],
            [
                {
                    "files": [
                        {
                            "type": "file",
                            "file": {"file_data": "data:a", "filename": "x.pdf"},
                            "index": 0,
                        }
                    ]
                }
            ],
        ),
        (
            [e.Media("audio", "QQ==", id="a"), e.Media("audio", transcript="A")],
            [{"audio": {"id": "a", "data": "QQ=="}}, {"audio": {"transcript": "A"}}],
        ),
        ([e.Notice("slow", "it was slow")], []),
        ([extra("delta", reasoning_details=[1])], [{"reasoning_details": [1]}]),
        ([e.Extra("gemini", "delta", {"x": 1})], []),
    ],
)
def test_events_become_deltas(events: list[e.Event], expected: list[Any]) -> None:
    """One chunk for each event that has something to say."""
    assert deltas(*events) == expected


def test_line_ends_of_unicode_are_escaped() -> None:
    """In chunks that are written and in those that are passed on."""
    events = decode(stream(ROLE, chunk({"content": "é"})).replace(b"\\u00e9", "\u2028".encode()))
    for model in (None, "other"):
        body = encoder(model).encode(events)
        assert b"\\u2028" in body
        assert body.decode().count("\u2028") == 0


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.LENGTH, "length"),
        (FinishReason.TOOL_CALLS, "tool_calls"),
        (FinishReason.CONTENT_FILTER, "content_filter"),
        (FinishReason.REFUSAL, "content_filter"),
        (FinishReason.PAUSE, "stop"),
        (FinishReason.ERROR, "error"),
    ],
)
def test_reasons_are_told_in_openai_words(reason: FinishReason, word: str) -> None:
    """A table over all of them."""
    chunks = written(*START, e.MessageFinished(reason, 0, "odd"), e.Finished())
    assert chunks[1]["choices"][0]["finish_reason"] == word


def test_choices_have_their_own_chunks() -> None:
    """Each with its index."""
    chunks = written(*START, e.MessageStarted(1), e.TextDelta("a", 1), e.TextDelta("b"))
    assert [value["choices"][0]["index"] for value in chunks] == [0, 1, 1, 0]


def test_logprobs_stand_beside_the_delta() -> None:
    """Those of text, of refusals, and those that came among the extra fields."""
    entries = ({"token": "a"},)
    chunks = written(
        *START,
        e.TextDelta("a", 0, entries),
        e.RefusalDelta("r", 0, entries),
        extra("delta", logprobs={"reasoning_content": [1]}, x=1),
    )
    assert [value["choices"][0].get("logprobs") for value in chunks[1:]] == [
        {"content": [*entries]},
        {"refusal": [*entries]},
        {"reasoning_content": [1]},
    ]
    assert chunks[3]["choices"][0]["delta"] == {"x": 1}


def test_fields_of_the_answer_ride_on_the_next_chunk() -> None:
    """Once; but the fingerprint and the tier stay, as OpenAI has them."""
    fields = extra("response", provider="P", system_fingerprint="f", service_tier="t")
    chunks = written(START[0], fields, *START[1:], *END)
    sticky = {"system_fingerprint": "f", "service_tier": "t"}
    assert chunks[0] == chunk({"role": "assistant"}, **sticky, provider="P")
    assert chunks[1] == chunk({}, "stop", **sticky)


def test_fields_of_a_choice_ride_on_its_next_chunk() -> None:
    """At the latest on a chunk of their own before the end."""
    chunks = written(
        *START,
        e.MessageStarted(1),
        extra("choice", 1, native="x"),
        e.TextDelta("a"),
        e.MessageFinished(FinishReason.STOP, 1),
        *END[:1],
        extra("choice", 1, late=1),
        *END[1:],
    )
    assert chunks[2] == chunk({"content": "a"})
    assert chunks[3] == chunk({}, "stop", choice={"index": 1, "native": "x"})
    assert chunks[5] == chunk({}, choice={"index": 1, "late": 1})


@pytest.mark.parametrize("fields", [{"timings": {"ms": 1}}, {"service_tier": "t"}])
def test_fields_that_come_last_get_an_empty_delta(fields: dict[str, Any]) -> None:
    """A chunk without choices would break clients that did not ask for usage."""
    assert written(*START, END[0], extra("response", **fields), END[1])[2] == chunk({}, **fields)


# ---------------------------------------------------------------- usage


COUNTS = Usage(input_tokens=3, output_tokens=2, cache_read_tokens=1, reasoning_tokens=0, cost=0.5)
TOLD = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 0},
    "cost": 0.5,
}


def test_usage_comes_last_and_only_when_asked_for() -> None:
    """In a chunk without choices, with the fields that have found no other place."""
    events = [*START, e.UsageReported(COUNTS), END[0], extra("response", timings=1), END[1]]
    usage = {**chunk(), "choices": [], "usage": TOLD, "timings": 1}
    assert written(*events, wants_usage=True)[2:] == [usage, "[DONE]"]
    assert b"usage" not in encoder().encode(events)


def test_usage_is_the_sum_of_what_was_reported() -> None:
    """The last count of each kind; none is made up."""
    reports = [e.UsageReported(Usage(input_tokens=9)), e.UsageReported(Usage(output_tokens=1))]
    chunks = written(*START, *reports, *END, wants_usage=True)
    assert chunks[2]["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 1,
        "total_tokens": 10,
    }
    assert b"usage" not in encoder(wants_usage=True).encode([*START, *END])


# ---------------------------------------------------------------- passed on


def came(*values: Any) -> tuple[list[e.Event], bytes]:
    """A stream from an upstream: its events, and its bytes."""
    body = stream(*values)
    return decode(body), body


CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
FULL = (
    chunk({"role": "assistant", "content": "", "x": [1]}, provider="P", usage=None),
    chunk({"content": "hi"}, obfuscation="abc", usage=None),
    chunk({"content": "there"}, provider="Q", choice={"logprobs": None, "y": 1}),
    chunk({"tool_calls": [CALL]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    chunk({}, "tool_calls"),
    {**chunk(), "choices": [], "usage": {"prompt_tokens": 3, "odd": 1}, "timings": 1},
)


@pytest.mark.parametrize("model", [None, "m"])
def test_stream_of_a_chat_upstream_is_passed_on_unchanged(model: str | None) -> None:
    """Byte by byte, unknown fields and noise included, nothing twice."""
    events, body = came(*FULL)
    assert encoder(model, wants_usage=True).encode(iter(events)) == body


@pytest.mark.parametrize("step", [1, 40, 300])
def test_batches_are_passed_on_as_they_come(step: int) -> None:
    """However the upstream's bytes were cut."""
    body = stream(*FULL)
    decoder, client = ChatStreamDecoder(), encoder(wants_usage=True)
    pieces = [body[i : i + step] for i in range(0, len(body), step)]
    assert b"".join(client.encode(decoder.feed(piece)) for piece in pieces) == body


def test_usage_chunk_is_kept_from_a_client_that_did_not_ask() -> None:
    """Its other fields are told before the end."""
    events, body = came(*FULL)
    frames = datas(encoder().encode(events))
    assert frames[:-2] == datas(body)[:-2]
    assert frames[-2] == chunk({}, timings=1)


def test_usage_in_another_chunk_is_taken_out_for_a_client_that_did_not_ask() -> None:
    """The rest of the chunk is written anew."""
    end = chunk({"content": "x"}, "stop", usage={"prompt_tokens": 3}, choice={"native": "done"})
    events, body = came(ROLE, end)
    assert encoder(wants_usage=True).encode(events) == body
    assert datas(encoder().encode(events)) == [
        ROLE,
        chunk({"content": "x"}, choice={"native": "done"}),
        chunk({}, "stop"),
        "[DONE]",
    ]


def test_usage_that_was_put_right_is_told_in_openai_place() -> None:
    """Groq's early one, and that beside a second finish reason."""
    groq = chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 3}})
    again = chunk({}, "stop", usage={"prompt_tokens": 3})
    for last in ((groq,), (chunk({}, "stop"), again)):
        frames = datas(encoder(wants_usage=True).encode(came(ROLE, *last)[0]))
        assert frames[-2]["choices"] == []
        assert frames[-2]["usage"] == {"prompt_tokens": 3}
        reasons = [c["finish_reason"] for f in frames[:-1] for c in f["choices"]]
        assert reasons.count("stop") == 1


def test_replaced_model_is_told_in_every_chunk_and_nothing_is_lost() -> None:
    """All of the stream is written anew, extra fields in their places."""
    events, _ = came(*FULL)
    frames = datas(encoder("alias", wants_usage=True).encode(events))
    assert {frame["model"] for frame in frames[:-1]} == {"alias"}
    again = decode(stream(*frames[:-1]))
    kept = [e.Extra, e.TextDelta, e.ToolCallDelta, e.MessageFinished]
    assert [x for x in again if type(x) in kept] == [x for x in events if type(x) in kept]


def test_changed_event_takes_its_chunk_with_it() -> None:
    """What shares a chunk with it is written anew too, once."""
    events, _ = came(ROLE, chunk({"content": "a", "reasoning": "b"}), chunk({"content": "c"}))
    events = [event.changed(text="A") if event == e.TextDelta("a") else event for event in events]
    frames = datas(encoder().encode(events))
    assert [frame["choices"][0]["delta"] for frame in frames[1:3]] == [
        {"reasoning": "b"},
        {"content": "A"},
    ]
    assert frames[3] == chunk({"content": "c"})


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_written_anew_stands_in_the_field_of_what_is_passed_on(field: str) -> None:
    """Here the first chunk lacks the role; a client that knows both fields reads one of them."""
    events, _ = came(chunk({field: "h"}), chunk({field: "m"}))
    frames = datas(encoder().encode(events))
    deltas = [frame["choices"][0]["delta"] for frame in frames[:-1]]
    assert deltas[:3] == [{"role": "assistant"}, {field: "h"}, {field: "m"}]


def test_event_that_was_left_out_is_not_told_by_the_bytes_of_its_chunk() -> None:
    """A chunk is passed on only while all that it said is there."""
    events, _ = came(ROLE, chunk({"content": "a", "reasoning": "b"}), chunk({"content": "c"}))
    without = [event for event in events if not isinstance(event, e.ReasoningDelta)]
    assert b"reasoning" not in encoder().encode(without)
    without = [event for event in events if event != e.TextDelta("a")]
    assert b'"a"' not in encoder().encode(without)


def test_bytes_of_another_protocol_are_never_passed_on() -> None:
    """Nor to a client of another one."""
    source = e.Source("gemini", b"{}", 1)
    body = encoder().encode([*START, e.TextDelta("hi", source=source)])
    assert datas(body)[1] == chunk({"content": "hi"})
    events, _ = came(*FULL)
    assert b"obfuscation" not in encoder(dialect="gemini").encode(events)


# ---------------------------------------------------------------- calls without arguments

BARE: list[e.Event] = [
    e.ToolCallStarted(0, "a", "f"),
    e.ToolCallStarted(1, "b", "g"),
    e.ToolCallDelta(1, ""),
    e.ToolCallStarted(2, "c", "h"),
    e.ToolCallDelta(2, "[1]"),
    e.ToolCallStarted(3, "d", "i", type="custom"),
]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (FinishReason.TOOL_CALLS, ["{}", "{}", "[1]"]),
        (FinishReason.STOP, ["{}", "{}", "[1]"]),
        (FinishReason.LENGTH, ["", "", "[1]"]),
    ],
)
def test_call_that_ends_without_arguments_gets_an_empty_object(
    reason: FinishReason, expected: list[str]
) -> None:
    """But not one that was cut short: nobody knows what it would have been given."""
    ends = [e.ToolCallFinished(index) for index in range(4)]
    events = [*START, *BARE, *ends, e.MessageFinished(reason), e.Finished()]
    found = ["", "", "", ""]
    for frame in datas(encoder().encode(events))[:-1]:
        for piece in frame["choices"][0]["delta"].get("tool_calls", ()):
            found[piece["index"]] += piece.get("function", {}).get("arguments", "")
    assert found == [*expected, ""]


def test_arguments_that_are_passed_on_are_all_there_are() -> None:
    """Also where the beginning of the call had to be written anew."""
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": "[1]"}}
    events, body = came(
        ROLE, chunk({"tool_calls": [call]}), chunk({"tool_calls": [rest]}), chunk({}, "tool_calls")
    )
    assert encoder().encode(events) == body
    changed = [x.changed() if isinstance(x, e.ToolCallStarted) else x for x in events]
    frames = datas(encoder().encode(changed))
    assert b"{}" not in encoder().encode(changed).replace(b'"delta":{}', b"")
    assert frames[2] == chunk({"tool_calls": [rest]})


# ---------------------------------------------------------------- the rest


def test_legacy_client_is_told_the_first_call_in_the_legacy_way() -> None:
    """Also when the upstream's bytes could have been passed on."""
    calls = [
        e.ToolCallStarted(0, "a", "f"),
        e.ToolCallDelta(0, "{}"),
        e.ToolCallStarted(1, "b", "g"),
        e.ToolCallDelta(1, "[]"),
    ]
    found = deltas(*calls, tools=LEGACY)
    assert found[:2] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
    ]
    assert [delta["tool_calls"][0]["index"] for delta in found[2:]] == [1, 1]
    events, _ = came(*FULL)
    body = encoder(tools=LEGACY).encode(events)
    assert b'"finish_reason":"function_call"' in body
    assert b"tool_calls" not in body


def test_failure_writes_nothing_and_the_problem_ends_without_an_end_marker() -> None:
    """The server decides what a client is told of a failure."""
    fault = UpstreamFault(FaultKind.SERVER, "x")
    client = encoder()
    assert client.encode([e.StreamFailed(fault)]) == b""
    problem = Problem(502, ProblemKind.UPSTREAM, "gone", causes=(Cause("a:b", "stream", "read"),))
    assert datas(client.encode_problem(problem)) == [
        {
            "error": {
                "message": "gone",
                "type": "server_error",
                "param": None,
                "code": "upstream_error",
                "causes": [{"candidate": "a:b", "phase": "stream", "kind": "read"}],
            }
        }
    ]


def test_keepalive_is_a_comment_and_the_type_that_of_event_streams() -> None:
    """A client reads over it."""
    client = encoder()
    assert client.keepalive() == b": keepalive\n\n"
    assert client.content_type == "text/event-stream; charset=utf-8"
    assert client.encode([]) == b""
    assert encoder().encode([*START, *END]).endswith(DONE)
