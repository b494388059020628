"""Seals: of a chat upstream for all clients, and of other upstreams for chat clients."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Tool
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Part, Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal, Sealer, packed, unpacked
from lipstream.protocols.openai_chat import CLIENT, SERVER
from lipstream.protocols.openai_chat import seals as seals_module
from tests.protocols.openai_chat.building import (
    ROLE,
    chat_call,
    checked,
    chunk,
    datas,
    encoder,
    fold,
    stream,
)

ORIGIN = "b:m"
PLAIN = Seal("openai_chat", "", ORIGIN)
SIGNED = Seal("anthropic_messages", "sig", "a:claude", {"x": 1})


def read(*values: Any) -> list[e.Event]:
    """The events of an upstream's stream, which is a legal one."""
    decoder = CLIENT.stream_decoder(Sealer(ORIGIN))
    return checked(decoder.feed(stream(*values)) + decoder.end())


def ends(*values: Any) -> list[Any]:
    """Kinds of events from the first reasoning on; the seals of its ends."""
    events = read(ROLE, *values, chunk({}, "stop"))[2:-2]
    return [x.seal if isinstance(x, e.PartFinished) else type(x).__name__ for x in events]


def detail(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    """An entry of ``reasoning_details``."""
    return {"type": f"reasoning.{kind}", "index": index, **fields}


def details(*entries: Any, **fields: Any) -> Any:
    """A chunk with these."""
    return chunk({"reasoning_details": [*entries], **fields})


def sealed(*entries: Any) -> Seal:
    """The seal that has them."""
    return Seal("openai_chat", "", ORIGIN, {"reasoning_details": [*entries]})


# ---------------------------------------------------------------- from an upstream

CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a"},
        {"refusal": "a"},
        {"tool_calls": [CALL]},
        {"function_call": {"name": "f", "arguments": "{}"}},
        {"images": [{"image_url": {"url": "u"}}]},
        {"audio": {"data": "QQ"}},
    ],
    ids=lambda delta: next(iter(delta)),
)
def test_other_content_ends_reasoning(delta: Any) -> None:
    """With a seal that says where the text came from; that is enough for it to come back."""
    found = ends(chunk({"reasoning": "h"}), chunk({"reasoning_content": "m"}), chunk(delta))
    assert found[:3] == ["ReasoningDelta", "ReasoningDelta", PLAIN]
    same = ends(chunk({"reasoning": "h", **delta}))
    assert same[:2] == ["ReasoningDelta", PLAIN]


def test_logprobs_end_reasoning_only_where_they_are_of_content() -> None:
    """DeepSeek has some for the reasoning itself."""
    own = chunk({"reasoning": "h"}, choice={"logprobs": {"content": None, "reasoning_content": []}})
    entries = chunk({}, choice={"logprobs": {"content": [{"token": "a"}]}})
    assert ends(own, own, entries)[1:-1] == ["Extra", "ReasoningDelta", "Extra", PLAIN]


def test_end_of_the_message_ends_reasoning() -> None:
    """Also where only the end marker says so; empty texts do not."""
    quiet = chunk({"content": "", "refusal": None, "tool_calls": []})
    assert ends(chunk({"reasoning": "h"}), quiet) == ["ReasoningDelta", PLAIN]
    last = read(ROLE, chunk({"reasoning": "h"}))[-3:]
    assert last[0] == e.PartFinished("reasoning", PLAIN)


def test_every_stretch_of_reasoning_has_its_own_end() -> None:
    """More after the answer is another part."""
    again = [chunk({"reasoning": "h"}), chunk({"content": "a"})] * 2
    assert ends(*again) == ["ReasoningDelta", PLAIN, "TextDelta"] * 2


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        # Anthropic by way of OpenRouter, and of Vercel
        ([details(detail("text", text="h"), reasoning="h"),
          details(detail("text", text="m"), reasoning="m"),
          details(detail("text", signature="s"))],
         [sealed(detail("text", text="hm", signature="s"))]),
        ([details(detail("text", text="h", signature=""), reasoning="h"),
          details(detail("text", text="", signature="s"))],
         [sealed(detail("text", text="h", signature="s"))]),
        # all have index 0, whatever they are
        ([details(detail("summary", summary="h"), reasoning="h"),
          details(detail("summary", summary="m"), reasoning="m"),
          details(detail("encrypted", data="x", id="r1")),
          details(detail("encrypted", data="y", id="r2"))],
         [sealed(detail("summary", summary="hm"), detail("encrypted", data="x", id="r1"),
                 detail("encrypted", data="y", id="r2"))]),
        ([details(detail("text", text="a", signature="s"), detail("text", text="b"),
                  detail("text", 1, text="c"), detail("text", 1, text="d"))],
         [sealed(detail("text", text="a", signature="s"), detail("text", text="b"),
                 detail("text", 1, text="cd"))]),
        # without any text, before and after the answer
        ([details(detail("encrypted", data="x"))], [sealed(detail("encrypted", data="x"))]),
        ([chunk({"content": "a"}), details(detail("encrypted", data="x"))],
         [sealed(detail("encrypted", data="x"))]),
        # odd ones
        ([details(1, {"text": "a"})], [sealed(1, {"text": "a"})]),
        ([chunk({"reasoning_details": "odd", "reasoning": "h"})], [PLAIN]),
        # ones that say nothing
        ([details(detail("text", text="", signature=""))], []),
        ([chunk({"reasoning_details": None})], []),
    ],
)  # fmt: skip
def test_details_of_reasoning_travel_in_its_seal(chunks: list[Any], expected: list[Seal]) -> None:
    """Put together as they are in an answer that is not streamed."""
    assert [end for end in ends(*chunks, chunk({"content": "b"})) if isinstance(end, Seal)] == (
        expected
    )


def test_details_beyond_all_measure_stay_in_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are left out of the seal whole, never cut; what is passed on has them all."""
    monkeypatch.setattr(seals_module, "MAX_DETAILS", 200)
    found = ends(*[details(detail("text", text="h"))] * 3)
    assert found == ["Extra", "Extra", "Extra", PLAIN]


def test_whole_answer_is_sealed_alike() -> None:
    """The same events as from a stream."""
    entry = detail("text", text="hm", signature="s")
    message = {"reasoning": "hm", "reasoning_details": [entry], "content": "a"}
    body = {"object": "chat.completion", "choices": [{"message": message}]}
    batch = CLIENT.decode_answer(json.dumps(body).encode(), Sealer(ORIGIN))
    assert e.PartFinished("reasoning", sealed(entry)) in checked(batch)
    decoder = CLIENT.stream_decoder(Sealer(ORIGIN))
    assert decoder.feed(json.dumps(body).encode()) + decoder.end() == batch


GOOGLE = {"google": {"thought_signature": "sig"}}


@pytest.mark.parametrize(
    ("contents", "fields"),
    [
        ([GOOGLE], {}),
        ([{"google": {**GOOGLE["google"], "a": 1}}], {"extra_content": {"google": {"a": 1}}}),
        ([{**GOOGLE, "b": 2}], {"extra_content": {"b": 2}}),
        ([GOOGLE, None], {}),
        ([{"google": 1}], None),
        (["odd"], None),
        ([{"google": {"thought_signature": 3}}], None),
        ([], None),
    ],
)
def test_signature_of_a_call_is_its_seal(contents: list[Any], fields: Any) -> None:
    """What stands beside it is kept; whoever remembers seals is told the call's id."""
    told: list[tuple[Seal, str]] = []
    pieces = [{"index": 0, "extra_content": content} for content in contents]
    chunks = [chunk({"tool_calls": [piece]}) for piece in pieces]
    decoder = CLIENT.stream_decoder(Sealer(ORIGIN, lambda seal, key: told.append((seal, key))))
    batch = decoder.feed(stream(ROLE, chunk({"tool_calls": [CALL]}), *chunks))
    (end,) = [event for event in checked(batch) if isinstance(event, e.ToolCallFinished)]
    expected = None if fields is None else Seal("openai_chat", "sig", ORIGIN, fields)
    assert end.seal == expected
    assert told == ([] if expected is None else [(expected, "a")])


def test_events_of_one_chunk_know_how_many_they_are() -> None:
    """The end of reasoning counts: the chunk is passed on only with it."""
    body = stream(ROLE, chunk({"reasoning": "h"}), chunk({"content": "a"}), chunk({}, "stop"))
    batch = CLIENT.stream_decoder().feed(body)
    first, last = (x for x in batch if isinstance(x, e.PartFinished | e.TextDelta))
    assert first.source is last.source
    assert first.source is not None
    assert first.source.count == 2
    assert encoder().encode(batch) == body
    batch.remove(first)
    assert [value["choices"][0]["delta"] for value in datas(encoder().encode(batch))[1:3]] == [
        {"reasoning": "h"},
        {"content": "a"},
    ]


# ---------------------------------------------------------------- to a client

START: list[e.Event] = [e.Started("c1", "m", 1), e.MessageStarted()]
STOP: list[e.Event] = [e.MessageFinished(FinishReason.STOP), e.Finished()]


def told(*events: e.Event, **call: Any) -> tuple[list[Any], Any]:
    """The deltas and the message that a client gets for the same events."""
    batch = [*START, *events, *STOP]
    chunks = datas(encoder(**call).encode(batch))[1:-2]
    body = json.loads(SERVER.encode_answer(fold(batch), chat_call(**call)))
    return [value["choices"][0]["delta"] for value in chunks], body["choices"][0]["message"]


def test_seal_of_another_protocol_is_packed_into_the_details() -> None:
    """A stretch of reasoning, and one that shows nothing."""
    redacted = Seal("anthropic_messages", "blob")
    deltas, message = told(
        e.ReasoningDelta("hm"),
        e.PartFinished("reasoning", SIGNED),
        e.PartFinished("reasoning", redacted),
        e.TextDelta("a"),
        e.PartFinished("text", SIGNED),
    )
    (first,), (second,) = (delta["reasoning_details"] for delta in deltas[1:3])
    assert message["reasoning_details"] == [first, second]
    for place, entry in enumerate((first, second)):
        assert (entry["type"], entry["format"]) == ("reasoning.encrypted", "lipstream-v1")
        assert entry["index"] == place
    assert unpacked(second["data"]) == redacted
    assert [delta.keys() for delta in deltas[3:]] == [{"content"}]


@pytest.mark.parametrize("seal", [None, Seal("openai_chat", "", "", {"reasoning_details": [1]})])
def test_chat_upstreams_own_seal_is_not_packed(seal: Seal | None) -> None:
    """Its fields are told as they came."""
    call = [
        e.ToolCallStarted(0, "a", "f"),
        e.ToolCallDelta(0, "{}"),
        e.ToolCallFinished(0, seal=seal),
    ]
    deltas, message = told(e.ReasoningDelta("hm"), e.PartFinished("reasoning", seal), *call)
    assert [*map(list, deltas)] == [["reasoning_content", "reasoning"], *[["tool_calls"]] * 2]
    assert "reasoning_details" not in message
    assert message["tool_calls"][0].keys() == {"id", "type", "function"}


@pytest.mark.parametrize(
    ("kind", "inner"),
    [("function", {"function": {"arguments": ""}}), ("custom", {"custom": {"input": ""}})],
)
def test_seal_of_a_call_is_packed_into_googles_place(kind: str, inner: Any) -> None:
    """In a piece of its own, with the members that strict clients ask for."""
    seal = Seal("gemini", "sig", "g:m")
    content = {"google": {"thought_signature": packed(seal)}}
    events = [
        e.ToolCallStarted(0, "a", "f", type=kind),
        e.ToolCallDelta(0, "{}"),
        e.ToolCallFinished(0, seal=seal),
    ]
    deltas, message = told(*events)
    assert deltas[2] == {"tool_calls": [{"index": 0, **inner, "extra_content": content}]}
    assert message["tool_calls"][0]["extra_content"] == content
    deltas, _ = told(*events, tools=(Tool("f", extra={"functions": {}}),))
    assert len(deltas) == 2


def test_parts_that_chat_does_not_have_are_left_out() -> None:
    """Its own upstreams have none, and another dialect's are not its business."""
    for dialect, scope in itertools.product(["openai_chat", "x"], ["part", "whole_part"]):
        deltas, message = told(e.TextDelta("a"), e.Extra(dialect, scope, {"n": 1}))
        assert deltas == [{"content": "a"}]
        assert message == {"role": "assistant", "content": "a", "refusal": None}


def test_fields_that_another_dialect_has_for_audio_are_left_out() -> None:
    """Id and transcript are known to all."""
    audio = e.Media("audio", "QQ", id="i", transcript="t")
    _, message = told(audio, e.Extra("x", "part", {"n": 1}))
    assert message["audio"] == {"data": "QQ", "id": "i", "transcript": "t"}


# ---------------------------------------------------------------- from a client


def brought(**message: Any) -> tuple[Part, ...]:
    """The parts of an assistant's message in a client's request."""
    body = {"messages": [{"role": "assistant", "content": "a", **message}]}
    return SERVER.decode_request(json.dumps(body).encode()).messages[0].parts


def entry(seal: Seal, *stretch: Any) -> dict[str, Any]:
    """A packed seal as a client got it."""
    fields = {**seal.fields, "(stretch)": [*stretch]} if stretch else seal.fields
    whole = Seal(seal.dialect, seal.value, seal.origin, fields, seal.call_id)
    return detail("encrypted", data=packed(whole), format="lipstream-v1")


OTHER = Seal("anthropic_messages", "other")
OURS = detail("text", text="z", signature="s")


@pytest.mark.parametrize(
    ("text", "entries", "expected"),
    [
        ("hm", [entry(SIGNED, 0, 2)], [Reasoning("hm", SIGNED)]),
        ("hm", [entry(SIGNED, 0, 1), entry(OTHER), entry(OTHER, 1, 2)],
         [Reasoning("h", SIGNED), Reasoning("", OTHER), Reasoning("m", OTHER)]),
        ("hm", [entry(SIGNED, 1, 2)], [Reasoning("h"), Reasoning("m", SIGNED)]),
        ("hm!", [entry(SIGNED, 0, 2)],
         [Reasoning("hm", SIGNED), Reasoning("!", extra={"reasoning_content": "!"})]),
        ("hmz", [entry(SIGNED, 0, 2), OURS],
         [Reasoning("hm", SIGNED),
          Reasoning("z", extra={"reasoning_details": [OURS], "reasoning_content": "z"})]),
        ("hm", [entry(SIGNED, 0, 2), OURS],
         [Reasoning("hm", SIGNED), Reasoning("", extra={"reasoning_details": [OURS]})]),
        ("", [entry(SIGNED)], [Reasoning("", SIGNED)]),
        # the text did not come back, or not all of it
        ("", [entry(SIGNED, 0, 2), entry(OTHER)], [Reasoning("", OTHER)]),
        ("hm", [entry(SIGNED, 0, 3)], [Reasoning("hm", extra={"reasoning_content": "hm"})]),
        # made by hand
        ("hm", [entry(SIGNED, -1, 1)], [Reasoning("hm", extra={"reasoning_content": "hm"})]),
        ("hm", [entry(SIGNED, 2, 1)], [Reasoning("hm", extra={"reasoning_content": "hm"})]),
        ("", [entry(SIGNED, "x")],
         [Reasoning("", Seal(SIGNED.dialect, "sig", SIGNED.origin, {"x": 1, "(stretch)": ["x"]}))]),
    ],
)  # fmt: skip
def test_packed_seal_becomes_what_it_was(
    text: str, entries: list[Any], expected: list[Reasoning]
) -> None:
    """With its stretch of the text; what the seal does not hold for is left out."""
    found = brought(reasoning=text, reasoning_content=text, reasoning_details=entries)
    assert found == (*expected, Text("a"))


@pytest.mark.parametrize("odd", [[1], [{"data": 1}], [{"data": "bGlwc2VhbDE6"}], [OURS], ["x"]])
def test_own_details_stay_as_they_stand(odd: Any) -> None:
    """They are the chat upstream's."""
    fields = {"reasoning": "hm", "reasoning_details": odd}
    assert brought(**fields) == (Reasoning("hm", extra=fields), Text("a"))


def test_packed_seal_of_a_call_is_taken_out_of_it() -> None:
    """From its own place, or from the details; what else stands there stays."""
    seal = Seal("gemini", "sig", "g:m")
    inner = {"name": "f", "arguments": "{}"}
    google = {"thought_signature": packed(seal), "a": 1}
    calls = [
        {"id": "a", "function": inner, "type": "function", "extra_content": {"google": google}},
        {"id": "b", "function": inner, "type": "function", "extra_content": GOOGLE},
        {"id": "c", "function": inner, "type": "function"},
    ]
    calls[2]["extra_content"] = {"google": {"thought_signature": packed(seal)}}
    calls.append({"id": "d", "function": inner, "type": "function"})
    beside = Seal("gemini", "sig2", "g:m", call_id="d")
    *_, first, second, third, fourth = brought(tool_calls=calls, reasoning_details=[entry(beside)])
    assert first == ToolCall(
        "a", "f", "{}", seal=seal, extra={"extra_content": {"google": {"a": 1}}}
    )
    assert second == ToolCall("b", "f", "{}", extra={"extra_content": GOOGLE})
    assert third == ToolCall("c", "f", "{}", seal=seal)
    assert fourth == ToolCall("d", "f", "{}", seal=beside)


def test_no_upstream_of_this_protocol_gets_a_packed_seal() -> None:
    """Nor text that another provider has sealed."""
    body = {
        "messages": [
            {
                "role": "assistant",
                "content": "a",
                "reasoning": "hm",
                "reasoning_details": [entry(SIGNED, 0, 2)],
            }
        ]
    }
    call = SERVER.decode_request(json.dumps(body).encode())
    sent = json.loads(CLIENT.encode_request(call, "m", is_streaming=False))
    assert sent["messages"] == [{"role": "assistant", "content": "a"}]
