"""Whole answers to Messages clients, whatever protocol they came in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.collect import Answer, Choice
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from lipstream.canonical.seal import Seal, packed
from lipstream.canonical.usage import Usage
from lipstream.protocols.anthropic_messages import MessagesServer
from tests.protocols.anthropic_messages.building import (
    NAME,
    counter,
    decode_whole,
    fold,
    message,
    own_call,
)

FOREIGN = Seal("gemini", "sig", "gemini:g")
SERVER = MessagesServer(new_id=counter())


def body(answer: Answer, model: str | None = None) -> dict[str, Any]:
    """The body for an answer."""
    found: dict[str, Any] = json.loads(SERVER.encode_answer(answer, own_call(), model=model))
    return found


def answer(*parts: Part, dialect: str = "", **fields: Any) -> Answer:
    """An answer with these parts."""
    choice = Choice(0, parts, fields.pop("reason", FinishReason.STOP), fields.pop("detail", ""))
    known = {"id": "chatcmpl-1", "model": "gpt", "created": 1, "choices": (choice,), "usage": None}
    return Answer(**{**known, "dialect": dialect, **fields})


def blocks(*parts: Part, dialect: str = "") -> Any:
    """The content of a message."""
    return body(answer(*parts, dialect=dialect))["content"]


def redacted(seal: Seal) -> dict[str, str]:
    """A seal that has no place of its own."""
    return {"type": "redacted_thinking", "data": packed(seal)}


def test_message_has_all_that_clients_ask_of_one() -> None:
    """Counts too, where nobody has counted."""
    assert body(answer(Text("hi"))) == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "gpt",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    empty = body(Answer("", "", 0, (), None), "alias")
    assert (empty["content"], empty["model"]) == ([], "alias")
    assert empty["id"].startswith("msg_")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Text(""), []),
        (Text("a", seal=FOREIGN), [{"type": "text", "text": "a"}, redacted(FOREIGN)]),
        (Refusal("no"), [{"type": "text", "text": "no"}]),
        (Reasoning("hm"),
         [{"type": "thinking", "thinking": "hm", "signature": packed(Seal("", ""))}]),
        (Reasoning("hm", FOREIGN),
         [{"type": "thinking", "thinking": "hm", "signature": packed(FOREIGN)}]),
        (Reasoning("", FOREIGN), [redacted(FOREIGN)]),
        (Reasoning("hm", Seal(NAME, "s")),
         [{"type": "thinking", "thinking": "hm", "signature": "s"}]),
        (Reasoning("", Seal(NAME, "s")),
         [{"type": "thinking", "thinking": "", "signature": "s"}]),
        (Reasoning("", Seal(NAME, "r", fields={"type": "redacted_thinking"})),
         [{"type": "redacted_thinking", "data": "r"}]),
        (ToolCall("a", "f", ""), [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]),
        (ToolCall("a", "f", "{x"),
         [{"type": "tool_use", "id": "a", "name": "f", "input": {"_raw": "{x"}}]),
        (ToolCall("a", "f", "x", "custom"),
         [{"type": "tool_use", "id": "a", "name": "f", "input": {"input": "x"}}]),
        (ToolCall("a", "f", "{}", seal=FOREIGN),
         [{"type": "tool_use", "id": "a", "name": "f", "input": {}},
          redacted(Seal("gemini", "sig", "gemini:g", {}, "a"))]),
        (ToolCall("a", "f", "{}", seal=Seal(NAME, "x")),
         [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]),
        (Image("https://x"), [{"type": "image", "source": {"type": "url", "url": "https://x"}}]),
        (File(url="data:application/pdf;base64,QQ==", name="n"),
         [{"type": "document", "title": "n",
           "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}}]),
        (Audio("QQ==", "wav", extra={"transcript": "said"}), [{"type": "text", "text": "said"}]),
        (Audio("QQ==", "wav"), []),
        (Opaque(NAME, {"type": "new"}), [{"type": "new"}]),
        (Opaque("gemini", {"type": "new"}), []),
        (Text("a", extra={"citations": []}), [{"type": "text", "text": "a"}]),
    ],
)  # fmt: skip
def test_parts_become_blocks(part: Part, expected: Any) -> None:
    """Other protocols' extra fields are theirs."""
    assert blocks(part) == expected


def test_own_extra_fields_are_written() -> None:
    """At every level, and nothing of its own is lost."""
    found = body(
        answer(
            Text("", extra={"citations": None}),
            dialect=NAME,
            extra={"container": {"id": "c"}, "stop_sequence": None},
            usage=Usage(input_tokens=30, dialect=NAME, fields={"input_tokens": 3, "tier": "x"}),
        )
    )
    assert found["content"] == [{"type": "text", "text": "", "citations": None}]
    assert found["container"] == {"id": "c"}
    assert found["usage"] == {"input_tokens": 3, "output_tokens": 0, "tier": "x"}


def test_stop_sequence_is_the_last_one_told() -> None:
    """Beside the reason, which says so."""
    choice = Choice(0, (), FinishReason.STOP, "stop_sequence", extra={"stop_sequence": "END"})
    found = body(Answer("m", "c", 0, (choice,), None, NAME, {"stop_sequence": None}))
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")


def test_stop_after_a_call_or_a_refusal_is_told_as_one() -> None:
    """As in a stream."""
    assert body(answer(ToolCall("a", "f", "")))["stop_reason"] == "tool_use"
    assert body(answer(Refusal("no")))["stop_reason"] == "refusal"
    length = answer(ToolCall("a", "f", ""), reason=FinishReason.LENGTH)
    assert body(length)["stop_reason"] == "max_tokens"


def test_only_the_first_choice_is_told() -> None:
    """There is no place for others."""
    other = Choice(1, (Text("two"),), FinishReason.STOP)
    choices = (*answer(Text("one")).choices, other)
    assert body(answer(choices=choices))["content"] == [{"type": "text", "text": "one"}]


def test_whole_message_comes_through_unchanged() -> None:
    """Of an upstream of this protocol."""
    value = message(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "a", "citations": [{"n": 1}]},
        {"type": "server_tool_use", "id": "s", "name": "n", "input": {"q": 1}, "new": 1},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}, "caller": None},
        stop_reason="tool_use",
        container={"id": "c"},
    )
    assert body(fold(decode_whole(value))) == value
    assert body(fold(decode_whole(value)), "alias") == {**value, "model": "alias"}
