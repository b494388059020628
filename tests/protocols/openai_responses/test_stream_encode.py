"""Events of other protocols to the stream of a client."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.errors import Cause
from tests.protocols.openai_responses.building import (
    BEGIN,
    DONE,
    Fields,
    content,
    datas,
    decode,
    encoder,
    request,
    server,
)

END: list[e.Event] = [e.MessageFinished(FinishReason.STOP), e.Finished()]
CALL_END: list[e.Event] = [e.MessageFinished(FinishReason.TOOL_CALLS), e.Finished()]


def told(*events: e.Event, end: list[e.Event] = END) -> list[Any]:
    """What a client reads of a stream; its numbers are checked and left out."""
    values = datas(encoder().encode([*BEGIN, *events, *end]))
    numbers = [value.pop("sequence_number") for value in values[:-1]]
    assert numbers == list(range(len(numbers)))
    return values


def kinds(values: list[Any]) -> list[str]:
    """The kinds of the events between the response's beginning and its end."""
    return [value["type"].removeprefix("response.") for value in values[2:-2]]


def test_message_is_told_from_its_beginning_to_its_end() -> None:
    """Item, part and text, each with its place."""
    values = told(e.TextDelta("h"), e.TextDelta("i"))
    begun: Fields = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    whole = {**begun, "text": "hi"}
    place = {"item_id": "msg_2", "output_index": 0, "content_index": 0}
    item = {"id": "msg_2", "type": "message", "role": "assistant"}
    start = {**item, "status": "in_progress", "content": []}
    end = {**item, "status": "completed", "content": [whole]}
    delta = {"type": "response.output_text.delta", **place, "logprobs": []}
    assert values[2:-2] == [
        {"type": "response.output_item.added", "output_index": 0, "item": start},
        {"type": "response.content_part.added", **place, "part": begun},
        {**delta, "delta": "h"},
        {**delta, "delta": "i"},
        {"type": "response.output_text.done", **place, "text": "hi", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": whole},
        {"type": "response.output_item.done", "output_index": 0, "item": end},
    ]
    assert values[-2]["response"]["output"] == [end]


def test_response_begins_and_ends_with_the_same_object() -> None:
    """Only what its end knows is different."""
    first, second, *_, last, marker = told(e.TextDelta("hi"))
    assert [first["type"], second["type"], last["type"], marker] == [
        "response.created",
        "response.in_progress",
        "response.completed",
        "[DONE]",
    ]
    assert first["response"] == second["response"]
    changed = {k for k, v in last["response"].items() if first["response"].get(k) != v}
    assert changed == {"status", "output", "completed_at"}
    assert (first["response"]["id"], first["response"]["model"]) == ("resp_1", "m")


def test_response_repeats_the_request() -> None:
    """What OpenAI's clients expect there; nothing is stored here, whatever was asked."""
    call = request(
        instructions="be brief",
        tools=[{"type": "function", "name": "f"}, {"type": "web_search"}],
        tool_choice="required",
        text={"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}}},
        reasoning={"effort": "low", "context": "x"},
        metadata={"a": "b"},
        temperature=0.5,
        truncation="auto",
        parallel_tool_calls=False,
        store=True,
    )
    body = server().stream_encoder(call).encode(BEGIN)
    response: Fields = datas(body)[0]["response"]
    expected = {
        "object": "response",
        "instructions": "be brief",
        "tools": [
            {"parameters": None, "strict": None, "type": "function", "name": "f"},
            {"type": "web_search"},
        ],
        "tool_choice": "required",
        "reasoning": {"effort": "low", "summary": None, "context": "x"},
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "top_p": None,
        "truncation": "auto",
        "parallel_tool_calls": False,
        "store": False,
        "error": None,
        "incomplete_details": None,
        "usage": None,
    }
    assert {name: response[name] for name in expected} == expected
    assert response["text"]["format"]["schema"] == {"a": 1}


def test_json_object_is_repeated_with_the_request() -> None:
    """It has no schema."""
    call = request(text={"format": {"type": "json_object"}, "verbosity": "low"})
    response = datas(server().stream_encoder(call).encode(BEGIN))[0]["response"]
    assert response["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}


def test_made_up_ids_and_times_fill_gaps() -> None:
    """An id of another protocol is none here."""
    for given in ("", "chatcmpl-1"):
        client = encoder()
        (first, _) = datas(client.encode([e.Started(given, "m"), e.MessageStarted()]))
        assert first["response"]["id"] == client.response_id == "resp_1"
        assert first["response"]["created_at"] == 1234
    client = encoder("alias")
    (first, _) = datas(client.encode([e.Started("resp_x", "m", 1)]))
    assert client.response_id == first["response"]["id"] == "resp_x"
    assert first["response"]["model"] == "alias"


def test_kinds_of_content_take_turns() -> None:
    """One message or reasoning at a time; a refusal is a part of its own."""
    values = told(
        e.ReasoningDelta("hm"),
        e.TextDelta("a"),
        e.PartFinished("text"),
        e.TextDelta("b"),
        e.RefusalDelta("no"),
        e.RefusalDelta("!"),
        e.PartFinished("text"),
        e.PartFinished("text"),
    )
    assert kinds(values) == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        *["content_part.added", "output_text.delta", "output_text.done", "content_part.done"] * 2,
        "content_part.added",
        *["refusal.delta"] * 2,
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]
    output = values[-2]["response"]["output"]
    texts = [part.get("text", part.get("refusal")) for part in output[1]["content"]]
    assert texts == ["a", "b", "no!"]


def test_calls_may_overlap() -> None:
    """Each has its own item, place and id."""
    values = told(
        e.TextDelta("hi"),
        e.ToolCallStarted(0, "c1", "f"),
        e.ToolCallDelta(0, '{"a"'),
        e.ToolCallStarted(1, "c2", "g", 0, "custom"),
        e.ToolCallDelta(1, "x"),
        e.ToolCallDelta(0, ":1}"),
        e.ToolCallFinished(0),
        e.ToolCallFinished(1),
        end=CALL_END,
    )
    args, free_text = "function_call_arguments", "custom_tool_call_input"
    assert kinds(values)[5:] == [
        "output_item.done",
        "output_item.added",
        f"{args}.delta",
        "output_item.added",
        f"{free_text}.delta",
        f"{args}.delta",
        f"{args}.done",
        "output_item.done",
        f"{free_text}.done",
        "output_item.done",
    ]
    function, free = values[-2]["response"]["output"][1:]
    assert (function["call_id"], function["name"], function["arguments"]) == ("c1", "f", '{"a":1}')
    assert (free["call_id"], free["name"], free["input"]) == ("c2", "g", "x")
    assert function["id"].startswith("fc_")
    assert free["id"].startswith("ctc_")


@pytest.mark.parametrize(
    ("reason", "arguments", "status"),
    [
        (FinishReason.TOOL_CALLS, "{}", "completed"),
        (FinishReason.LENGTH, "", "incomplete"),
    ],
)
def test_call_that_ends_without_arguments_gets_an_empty_object(
    reason: FinishReason, arguments: str, status: str
) -> None:
    """But not the last one of an answer that was cut short: nobody knows what it was to get."""
    seal = Seal("gemini", "sig")
    events: list[e.Event] = [
        e.ToolCallStarted(0, "a", "f"),
        e.ToolCallDelta(0, ""),
        e.ToolCallFinished(0, seal=seal),
        e.ToolCallStarted(1, "b", "g", type="custom"),
        e.ToolCallFinished(1),
        e.ToolCallStarted(2, "c", "h"),
        e.ToolCallFinished(2),
    ]
    values = told(*events, end=[e.MessageFinished(reason), e.Finished()])
    output = values[-2]["response"]["output"]
    assert [item["type"] for item in output] == [
        "function_call",
        "reasoning",
        "custom_tool_call",
        "function_call",
    ]
    assert (output[0]["arguments"], output[2]["input"]) == ("{}", "")
    assert (output[3]["arguments"], output[3]["status"]) == (arguments, status)
    deltas = [value["delta"] for value in values[:-1] if value["type"].endswith(".delta")]
    assert deltas == ["", "{}", *([arguments] if arguments else [])]


def test_logprobs_are_told() -> None:
    """With the delta and with the whole text."""
    entry = {"token": "h", "logprob": -0.5}
    values = told(e.TextDelta("h", 0, (entry,)))
    assert values[4]["logprobs"] == values[5]["logprobs"] == [entry]


@pytest.mark.parametrize(
    ("reason", "kind", "details"),
    [
        (FinishReason.STOP, "completed", None),
        (FinishReason.PAUSE, "completed", None),
        (FinishReason.LENGTH, "incomplete", {"reason": "max_output_tokens"}),
        (FinishReason.CONTENT_FILTER, "incomplete", {"reason": "content_filter"}),
        (FinishReason.REFUSAL, "incomplete", {"reason": "content_filter"}),
        (FinishReason.ERROR, "failed", None),
    ],
)
def test_end_says_why(reason: FinishReason, kind: str, details: Fields | None) -> None:
    """In the name of the event and in the response."""
    values = told(e.TextDelta("hi"), end=[e.MessageFinished(reason), e.Finished()])
    response = values[-2]["response"]
    assert values[-2]["type"] == f"response.{kind}"
    assert (response["status"], response["incomplete_details"]) == (kind, details)
    assert bool(response["error"]) is (kind == "failed")
    assert response["output"][0]["status"] == ("incomplete" if details else "completed")


def test_usage_is_told_at_the_end() -> None:
    """Later reports replace earlier ones."""
    reports = [
        e.UsageReported(Usage(input_tokens=3)),
        e.UsageReported(Usage(output_tokens=4, reasoning_tokens=1)),
    ]
    assert told(*reports)[-2]["response"]["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 7,
    }


def test_image_is_an_item_of_the_image_tool() -> None:
    """Which holds base64; what is no data URL is kept as it is."""
    url = "data:image/webp;base64,QQ=="
    values = told(e.TextDelta("see"), e.Media("image", url), e.Media("image", "http://x/y.png"))
    _, first, second = values[-2]["response"]["output"]
    assert (first["type"], first["result"], first["output_format"]) == (
        "image_generation_call",
        "QQ==",
        "webp",
    )
    assert second["result"] == "http://x/y.png"
    begun = [value["item"] for value in values[2:-2] if value["type"].endswith("item.added")]
    assert begun[-1]["result"] is None


def test_file_is_a_part_of_the_message() -> None:
    """By data, by URL or by id."""
    files = [
        e.Media("file", "data:text/plain;base64,QQ==", name="a.txt"),
        e.Media("file", "http://x/y.pdf"),
        e.Media("file", "file-1"),
    ]
    (item,) = told(*files)[-2]["response"]["output"]
    assert item["content"] == [
        {
            "type": "output_file",
            "file_data": "data:text/plain;base64,QQ==",
            "filename": "a.txt",
        },
        {"type": "output_file", "file_url": "http://x/y.pdf"},
        {"type": "output_file", "file_id": "file-1"},
    ]


def test_of_audio_its_words_are_told() -> None:
    """There is no place for the sound."""
    values = told(e.Media("audio", "QQ==", transcript="hi"), e.Media("audio", "QQ=="))
    assert values[-2]["response"]["output"][0]["content"][0]["text"] == "hi"


def test_what_has_no_place_is_left_out() -> None:
    """Notices, fields of other dialects, and choices beyond the first."""
    others = [
        e.Notice("x", "y"),
        e.Extra("openai_chat", "response", {"a": 1}),
        e.Extra("openai_responses", "part", {"a": 1}),
        e.MessageStarted(1),
        e.TextDelta("two", 1),
        e.MessageFinished(FinishReason.LENGTH, 1),
    ]
    assert told(*others) == told()


def test_answer_without_content_has_no_items() -> None:
    """It is complete all the same."""
    assert told()[-2]["response"]["output"] == []


def test_problem_is_told_as_an_error_and_a_failed_response() -> None:
    """Without an end marker; before the first event there is no response to fail."""
    cause = Cause("b:m", "open", "connect")
    problem = Problem(429, ProblemKind.RATE_LIMIT, "slow", causes=(cause,))
    client = encoder()
    client.encode([*BEGIN, e.TextDelta("hi"), e.PartFinished("text")])
    error, failed = datas(client.encode_problem(problem))
    assert (error["type"], error["code"], error["message"], error["param"]) == (
        "error",
        "rate_limit_exceeded",
        "slow",
        None,
    )
    assert error["causes"] == [{"candidate": "b:m", "phase": "open", "kind": "connect"}]
    assert failed["type"] == "response.failed"
    assert failed["sequence_number"] == error["sequence_number"] + 1 == 8
    assert failed["response"]["error"] == {"code": "rate_limit_exceeded", "message": "slow"}
    assert (failed["response"]["id"], failed["response"]["status"]) == ("resp_1", "failed")
    (error,) = datas(encoder().encode_problem(problem))
    assert error["sequence_number"] == 0


def test_keepalive_is_a_comment() -> None:
    """Which no client sees."""
    assert encoder().keepalive() == b": keepalive\n\n"
    assert encoder().content_type.startswith("text/event-stream")


def test_line_ends_within_texts_are_escaped() -> None:
    """For clients that split text and not bytes."""
    text = "a\u2028b\u2029c\u0085d\n"
    body = encoder().encode([*BEGIN, e.TextDelta(text), *END])
    assert "\u2028" not in body.decode()
    assert e.TextDelta(text) in content(decode(body))
    assert body.endswith(DONE)
