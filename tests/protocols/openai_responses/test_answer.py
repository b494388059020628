"""Whole answers: read from an upstream, folded from a stream, written for a client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind
from tests.protocols.openai_responses.building import (
    BEGIN,
    HEAD,
    Fields,
    answered,
    call,
    completed,
    content,
    custom,
    decode,
    decode_whole,
    fold,
    message,
    own_call,
    reasoning,
    server,
    stream,
    text_stream,
)

END: list[e.Event] = [e.MessageFinished(FinishReason.STOP), e.Finished()]
BODY: Fields = completed(
    reasoning("hm", encrypted_content="E"),
    {"id": "ws_1", "type": "web_search_call"},
    message("hi", phase="x"),
    call(),
    usage={"input_tokens": 1, "new": 2},
    new=[1],
)["response"]


def test_own_answer_is_the_upstreams_body() -> None:
    """Streamed or not: every field, in its order."""
    for events in (decode_whole(BODY), decode(stream(*text_stream("hi")))):
        expected = fold(events).extra
        assert list(answered(events).items()) == list(expected.items())


def test_replaced_model_is_all_that_changes() -> None:
    """It is told where the upstream named its own."""
    assert answered(decode_whole(BODY), model="alias") == {**BODY, "model": "alias"}


def test_changed_answer_is_put_together_from_its_parts() -> None:
    """Around it the response is the upstream's."""
    events = [x.changed(text="HI") if isinstance(x, e.TextDelta) else x for x in decode_whole(BODY)]
    body = answered(events)
    types = ["reasoning", "web_search_call", "message", "function_call"]
    assert [item["type"] for item in body["output"]] == types
    assert body["output"][2]["content"][0]["text"] == "HI"
    assert (body["id"], body["usage"], body["new"]) == ("resp_1", BODY["usage"], [1])


def test_changed_usage_is_told() -> None:
    """In place of the upstream's, of which all else stays."""
    events = [
        x.changed(usage=Usage(output_tokens=5)) if isinstance(x, e.UsageReported) else x
        for x in decode_whole(BODY)
    ]
    assert answered(events)["usage"]["output_tokens"] == 5
    assert answered(events)["new"] == [1]


def test_logprobs_of_another_upstream_are_told() -> None:
    """Those of the whole answer, with its first text."""
    entry = {"token": "a", "logprob": -0.5}
    texts = [e.TextDelta("a", 0, (entry,)), e.PartFinished("text"), e.TextDelta("b", 0, (entry,))]
    (item,) = answered([*BEGIN, *texts, *END])["output"]
    assert [part["logprobs"] for part in item["content"]] == [[entry, entry], []]


def test_answer_of_another_upstream_is_written() -> None:
    """Texts in a row are one message; everything else is an item."""
    events = [
        *BEGIN,
        e.TextDelta("a"),
        e.PartFinished("text"),
        e.RefusalDelta("no"),
        e.Media("file", "file-1", name="x"),
        e.Media("image", "data:image/png;base64,QQ=="),
        e.Media("audio", "QQ==", transcript="said"),
        e.ToolCallStarted(0, "c1", "f"),
        e.ToolCallDelta(0, "{}"),
        e.ToolCallFinished(0),
        e.ToolCallStarted(1, "c2", "g", 0, "custom"),
        e.ToolCallDelta(1, "x"),
        e.ToolCallFinished(1),
        e.UsageReported(Usage(input_tokens=1, output_tokens=2)),
        *END,
    ]
    body = answered([*events[:2], e.Extra("other", "whole_part", {"x": 1}), *events[2:]])
    first, image, second, function, free = body["output"]
    kinds = ["output_text", "refusal", "output_file"]
    assert [part["type"] for part in first["content"]] == kinds
    assert (image["type"], image["result"]) == ("image_generation_call", "QQ==")
    assert second["content"][0]["text"] == "said"
    assert (function["arguments"], free["input"]) == ("{}", "x")
    assert {item["status"] for item in body["output"]} == {"completed"}
    assert body["usage"]["total_tokens"] == 3
    assert (body["id"], body["object"], body["created_at"]) == ("resp_1", "response", 1)
    assert (body["status"], body["completed_at"], body["model"]) == ("completed", 1234, "m")
    again = fold(decode_whole(body)).choices[0].parts
    assert len(again) == len(fold(events).choices[0].parts)


def test_made_up_ids_fill_gaps() -> None:
    """The id of another protocol is none here, and nothing is an answer too."""
    for start in (e.Started("chatcmpl-1", "m"), e.Started()):
        body = answered([start, e.MessageStarted(), *END], model="alias")
        assert body["id"].startswith("resp_")
        assert (body["created_at"], body["output"], body["model"]) == (1234, [], "alias")
        assert "usage" in body
    assert answered([e.Started(), e.Finished()])["output"] == []


@pytest.mark.parametrize(
    ("reason", "status", "item"),
    [
        (FinishReason.LENGTH, "incomplete", "incomplete"),
        (FinishReason.ERROR, "failed", "incomplete"),
    ],
)
def test_answer_that_broke_off_says_so(reason: FinishReason, status: str, item: str) -> None:
    """In the response and in its items."""
    body = answered([*BEGIN, e.TextDelta("hi"), e.MessageFinished(reason), e.Finished()])
    assert (body["status"], body["output"][0]["status"]) == (status, item)
    assert "completed_at" not in body


def test_response_in_the_background_has_no_answer_yet() -> None:
    """It is told as it is."""
    body: Fields = {**HEAD, "status": "queued", "output": []}
    assert answered(decode_whole(body)) == body


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FaultKind.PROTOCOL),
        (b"<html>", FaultKind.PROTOCOL),
        (b"{}", FaultKind.PROTOCOL),
        ({"output": "x"}, FaultKind.PROTOCOL),
        ([], FaultKind.SERVER),
        ({"error": {"code": "rate_limit_exceeded"}}, FaultKind.RATE_LIMIT),
        ({**HEAD, "status": "failed", "error": {"code": "server_error"}}, FaultKind.SERVER),
        ({**HEAD, "status": "cancelled"}, FaultKind.TRANSIENT),
    ],
)
def test_body_without_an_answer_is_a_failure(body: Any, kind: FaultKind) -> None:
    """Whatever the status line said."""
    (failed,) = decode_whole(body)
    assert isinstance(failed, e.StreamFailed)
    assert failed.fault.kind is kind


def test_image_of_an_upstream_is_media() -> None:
    """With its kind; one that is not drawn yet is an item like any other."""
    image: Fields = {"id": "ig_1", "type": "image_generation_call", "status": "completed"}
    results: list[Fields] = [
        {"result": "QQ=="},
        {"result": "QQ==", "output_format": "jpeg"},
        {"result": None},
    ]
    results.append({"result": "https://x/y.png"})
    events = decode_whole(completed(*({**image, **more} for more in results))["response"])
    assert content(events) == [
        e.Media("image", "data:image/png;base64,QQ==", "image/png"),
        e.Media("image", "data:image/jpeg;base64,QQ==", "image/jpeg"),
        e.Extra("openai_responses", "whole_part", {**image, "result": None}),
        e.Media("image", "https://x/y.png"),
    ]


def test_media_in_a_message_is_read() -> None:
    """Images and files, by what they have; what is neither is left out."""
    parts = [
        {"type": "output_text", "text": "see"},
        {"type": "input_image", "image_url": "https://x/y.png"},
        {"type": "output_image", "image_url": {"url": "u"}},
        {"type": "input_image"},
        {"type": "input_file", "file_id": "file-1", "filename": "a.pdf"},
        {"type": "output_file"},
        {"type": "output_audio", "data": "QQ==", "transcript": "t"},
        {"type": "other"},
    ]
    events = decode_whole(completed(message(content=parts))["response"])
    assert content(events) == [
        e.TextDelta("see"),
        e.PartFinished("text"),
        e.Media("image", "https://x/y.png"),
        e.Media("image", "u"),
        e.Media("file", "file-1", name="a.pdf"),
        e.Media("audio", "QQ==", transcript="t"),
    ]


def test_halves_of_characters_are_joined() -> None:
    """A server that cuts its escapes; a half that stays alone is replaced."""
    body = (
        rb'{"object":"response","output":[{"type":"message","content":['
        rb'{"type":"output_text","text":"\ud83d\ude00 \ud83d"},'
        rb'{"type":"refusal","refusal":"\ud83d"}]},'
        rb'{"type":"reasoning","encrypted_content":"E","content":[{"text":"\ud83d"}]},'
        rb'{"type":"function_call","name":"f","call_id":"c","arguments":"\ud83d"}]}'
    )
    texts = [getattr(x, "text", getattr(x, "arguments", "")) for x in decode_whole(body)]
    assert [text for text in texts if text] == ["😀 ", "\ufffd", "\ufffd", "\ufffd", "\ufffd"]


def test_halves_in_a_stream_are_joined() -> None:
    """Two deltas, one character; the client gets it whole."""
    start = b'data: {"type":"response.created","response":{"id":"resp_1"}}\n\n'
    add = (
        b'data: {"type":"response.output_item.added","output_index":0,'
        b'"item":{"type":"message"}}\n\n'
    )
    head = (
        b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"'
    )
    end = b'data: {"type":"response.completed","response":{"output":[]}}\n\n'
    body = start + add + head + b'\\ud83d"}\n\n' + head + b'\\ude00"}\n\n' + end
    events = decode(body)
    assert [x.text for x in events if isinstance(x, e.TextDelta)] == ["😀"]
    out = server().stream_encoder(own_call()).encode(events)
    assert "😀" in out.decode()


def test_cancelled_answer_and_token_count_have_their_bodies() -> None:
    """For the two endpoints beside the main one."""
    cancelled = json.loads(server().encode_cancelled("resp_1"))
    assert cancelled == {"id": "resp_1", "object": "response", "status": "cancelled"}
    count = json.loads(server().encode_token_count(7))
    assert count == {"object": "response.input_tokens", "input_tokens": 7}


def test_free_text_call_of_a_whole_answer_is_read() -> None:
    """As in a stream."""
    events = decode_whole(completed(custom("x"))["response"])
    assert e.ToolCallDelta(0, "x") in events
    assert e.ToolCallStarted(0, "c2", "g", 0, "custom") in events
