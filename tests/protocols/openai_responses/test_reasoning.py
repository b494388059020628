"""Reasoning and its seals, all the way: from a provider to a client and back."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Message, Role
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal, Sealer, packed
from lipstream.protocols.openai_responses.reasoning import UNSEALED
from tests.protocols.openai_responses.building import (
    BEGIN,
    added,
    answered,
    completed,
    content,
    created,
    datas,
    decode,
    delta,
    done,
    encoder,
    event,
    foreign,
    foreign_call,
    message,
    own_call,
    reasoning,
    request,
    stream,
    written,
)

OWN = "openai_responses"
END: list[e.Event] = [e.MessageFinished(FinishReason.STOP), e.Finished()]


def sealed(value: str, *cuts: list[Any], **rest: Any) -> Seal:
    """A seal as the decoder makes it."""
    return Seal(OWN, value, "b:m", {"item": {"id": "rs_1", **rest}, "cuts": list(cuts)})


ITEM = reasoning("a", "b", encrypted_content="E")
SEAL = sealed("E", ["summary", 1], ["summary", 1])
PARAGRAPHS: list[e.Event] = [
    e.ReasoningDelta("a"),
    e.ReasoningDelta("\n\n"),
    e.ReasoningDelta("b"),
]


@pytest.mark.parametrize(
    "middle",
    [
        [
            added(ITEM),
            delta("reasoning_summary_text", "a"),
            {**delta("reasoning_summary_text", "b"), "summary_index": 1},
            done(ITEM),
        ],
        [
            event("reasoning_summary_text.done", item_id="rs_1", output_index=0, summary_index=0)
            | {"text": "a"},
        ],
        [done(ITEM)],
        [],
    ],
)
def test_reasoning_is_told_once_with_its_seal(middle: list[Any]) -> None:
    """Its parts are paragraphs; the seal stands at its end."""
    told: list[Seal] = []
    sealer = Sealer("b:m", lambda seal, call_id: told.append(seal))
    events = decode(stream(created(), *middle, completed(ITEM)), sealer=sealer)
    assert content(events) == [*PARAGRAPHS, e.PartFinished("reasoning", SEAL)]
    assert set(map(str, told)) == {str(SEAL)}


def test_reasoning_text_of_open_models_is_read() -> None:
    """Under both names that its events have, without a seal."""
    item = reasoning(content=[{"type": "reasoning_text", "text": "hm"}])
    for name in ("reasoning_text", "reasoning"):
        piece = {**delta("reasoning_text", "hm"), "type": f"response.{name}.delta"}
        body = stream(created(), added(item), piece, done(item), completed(item))
        assert content(decode(body)) == [e.ReasoningDelta("hm"), e.PartFinished("reasoning")]


def test_encrypted_reasoning_without_text_is_its_seal() -> None:
    """Also behind a text that was under way."""
    item = reasoning(encrypted_content="E", signature="S")
    body = stream(created(), delta("output_text", "hi", 1), done(item), completed())
    assert content(decode(body, sealer=Sealer("b:m"))) == [
        e.TextDelta("hi"),
        e.PartFinished("text"),
        e.PartFinished("reasoning", sealed("E", signature="S")),
    ]


def test_reasoning_with_nothing_in_it_is_nothing() -> None:
    """What OpenAI sends where nobody asked for reasoning."""
    body = stream(created(), added(reasoning()), done(reasoning()), completed(reasoning()))
    assert content(decode(body)) == []


def test_both_words_of_a_provider_on_one_item_are_known() -> None:
    """OpenAI encrypts anew at the end of the response."""
    told: list[str] = []
    sealer = Sealer("b:m", lambda seal, call_id: told.append(seal.value))
    final = completed(reasoning(encrypted_content="F"), reasoning(id="rs_2"))
    decode(stream(created(), done(ITEM), done(reasoning(id="rs_2"), 1), final), sealer=sealer)
    assert told == ["E", "F"]


# ---------------------------------------------------------------- to a provider


def test_sealed_reasoning_of_another_client_goes_back_as_it_was() -> None:
    """Cut where it was cut, with what stood beside it."""
    part = Reasoning("a\n\nb", sealed("E", ["summary", 1], ["content", 1], format="x"))
    (item,) = written(foreign_call(part, role=Role.ASSISTANT))["input"]
    assert item == {
        "type": "reasoning",
        "id": "rs_1",
        "format": "x",
        "summary": [{"type": "summary_text", "text": "a"}],
        "content": [{"type": "reasoning_text", "text": "b"}],
        "encrypted_content": "E",
    }


@pytest.mark.parametrize(
    "cuts",
    [None, [], [["summary", 2]], [["other", 1]], [["summary", -1]], [["summary", True]], ["x"]],
)
def test_reasoning_that_was_changed_goes_back_in_one_piece(cuts: Any) -> None:
    """A client may have shortened it; what came in a seal may be anything."""
    part = Reasoning("abc", Seal(OWN, "", fields={"item": None, "cuts": cuts}))
    (item,) = written(foreign_call(part, role=Role.ASSISTANT))["input"]
    text = [{"type": "summary_text", "text": "abc"}]
    assert item == {"type": "reasoning", "summary": text}
    empty = Reasoning("", Seal(OWN, "E"))
    (item,) = written(foreign_call(empty, role=Role.ASSISTANT))["input"]
    assert item == {"type": "reasoning", "summary": [], "encrypted_content": "E"}


@pytest.mark.parametrize("seal", [None, Seal("gemini", "G"), Seal("", "")])
def test_reasoning_of_others_is_left_out(seal: Seal | None) -> None:
    """It is not turned into text either."""
    call = foreign_call(Reasoning("hm", seal), Text("hi"), role=Role.ASSISTANT)
    assert written(call)["input"] == [{"role": "assistant", "content": "hi"}]


def test_own_reasoning_goes_back_untouched() -> None:
    """Every field, with or without a seal; foreign reasoning that came back is left out."""
    items = [
        reasoning("a", encrypted_content="E", status=None, more={"x": 1}),
        reasoning("b", content=None),
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "c"}]},
        {"role": "user", "content": "hi"},
    ]
    assert written(request(input=items))["input"] == items
    strange = [reasoning("x", encrypted_content=text) for text in (UNSEALED, packed(SEAL_OF_OTHER))]
    assert written(request(input=[*strange, *items]))["input"] == items


SEAL_OF_OTHER = Seal("anthropic_messages", "sig", "a:claude", {"x": 1})


def test_reasoning_in_a_call_made_here_is_written_from_its_seal() -> None:
    """A part that no client of this dialect wrote."""
    parts = (Reasoning("a\n\nb", SEAL), Reasoning("x"), Reasoning("y", SEAL_OF_OTHER))
    call = own_call(messages=(Message(Role.ASSISTANT, parts),))
    assert written(call)["input"] == [{**ITEM, "id": "rs_1"}]


# ---------------------------------------------------------------- to a client


def test_foreign_seal_reaches_the_client_packed_and_comes_back() -> None:
    """Text and seal are one item, which is over before the next begins."""
    events = [
        *BEGIN,
        e.ReasoningDelta("hm"),
        e.PartFinished("reasoning", SEAL_OF_OTHER),
        e.TextDelta("hi"),
        *END,
    ]
    item = datas(encoder().encode(events))[-2]["response"]["output"][0]
    assert item["encrypted_content"] == packed(SEAL_OF_OTHER)
    assert item["summary"] == [{"type": "summary_text", "text": "hm"}]
    whole = answered(events)["output"]
    assert [whole[0]["encrypted_content"], whole[0]["summary"]] == [
        item["encrypted_content"],
        item["summary"],
    ]
    (turn,) = request(input=whole).messages
    assert isinstance(turn.parts[0], Reasoning)
    assert (turn.parts[0].text, turn.parts[0].seal) == ("hm", SEAL_OF_OTHER)


def test_foreign_reasoning_without_a_seal_is_marked() -> None:
    """So that what comes back is known not to be this protocol's."""
    events = [*BEGIN, e.ReasoningDelta("hm"), e.TextDelta("hi"), *END]
    for output in (
        datas(encoder().encode(events))[-2]["response"]["output"],
        answered(events)["output"],
    ):
        assert output[0]["encrypted_content"] == UNSEALED
        (turn,) = request(input=output).messages
        assert isinstance(turn.parts[0], Reasoning)
        assert turn.parts[0].seal == Seal("", "")


def test_redacted_reasoning_is_an_item_of_its_own() -> None:
    """It has no text; a bare seal of this protocol is written bare."""
    seals = [SEAL_OF_OTHER, Seal(OWN, "E")]
    events = [*BEGIN, *(e.PartFinished("reasoning", seal) for seal in seals), *END]
    for output in (
        datas(encoder().encode(events))[-2]["response"]["output"],
        answered(events)["output"],
    ):
        assert [item["encrypted_content"] for item in output] == [packed(seals[0]), "E"]
        assert [item["summary"] for item in output] == [[], []]


def test_end_of_reasoning_that_never_began_is_nothing() -> None:
    """Without a seal there is nothing to tell."""
    events = [*BEGIN, e.TextDelta("hi"), e.PartFinished("reasoning"), *END]
    assert [item["type"] for item in answered(events)["output"]] == ["message"]
    output = datas(encoder().encode(events))[-2]["response"]["output"]
    assert [item["type"] for item in output] == ["message"]


def test_seal_of_a_call_travels_in_a_reasoning_item_and_finds_its_call() -> None:
    """A call has no place for it; its own dialect's seals need none."""
    seal = Seal("gemini", "thought", "g:m")
    events = [
        *BEGIN,
        e.ToolCallStarted(0, "c1", "f"),
        e.ToolCallFinished(0, seal=seal),
        e.ToolCallStarted(1, "c2", "f"),
        e.ToolCallFinished(1, seal=Seal(OWN, "x")),
        e.MessageFinished(FinishReason.TOOL_CALLS),
        e.Finished(),
    ]
    for output in (
        datas(encoder().encode(events))[-2]["response"]["output"],
        answered(events)["output"],
    ):
        assert [item["type"] for item in output] == [
            "function_call",
            "reasoning",
            "function_call",
        ]
        result = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
        turn = request(input=[*output, result]).messages[0]
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        assert len(calls) == len(turn.parts) == 2
        assert [part.seal for part in calls] == [attrs.evolve(seal, call_id="c1"), None]


def test_own_reasoning_without_a_seal_is_not_marked_when_it_is_written_anew() -> None:
    """Its provider knows it by its id."""
    item = reasoning("hm")
    body = stream(created(), done(item), completed(item, message("hi")))
    events = [x.changed(text="ho") if isinstance(x, e.TextDelta) else x for x in decode(body)]
    assert "encrypted_content" not in answered(events)["output"][0]
    assert "encrypted_content" not in datas(encoder().encode(events))[-2]["response"]["output"][0]
    assert "encrypted_content" in answered(foreign(events))["output"][0]
