"""Answers that clients bring back chunk by chunk."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.call import Message, Role
from lipstream.canonical.parts import Image, Part, Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal, packed
from tests.protocols.gemini.building import again, read, written

SEAL = Seal("other", "s", "b:m")
PACKED = packed(SEAL)


def thought(text: str, **more: Any) -> dict[str, Any]:
    """A part of a thought."""
    return {"text": text, "thought": True, **more}


def turns(*parts: dict[str, Any]) -> dict[str, Any]:
    """A request with a turn of the model's for each part, as Google's client sends it."""
    history: list[Any] = [{"role": "user", "parts": [{"text": "hi"}]}]
    history += [{"role": "model", "parts": [part]} for part in parts]
    return {"contents": history}


def said(*parts: dict[str, Any]) -> tuple[Part, ...]:
    """The one message that they are."""
    _, message = read(turns(*parts)).messages
    assert message.role is Role.ASSISTANT
    return message.parts


MARK = {"content": ""}
F = {"functionCall": {"name": "f", "args": {}, "id": "i"}}
PNG = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}
RED = "data:image/png;base64,QQ=="


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # what nobody, or Gemini itself, has sealed stays in its pieces
        ([{"text": "a"}, {"text": "b"}], [Text("a"), Text("b", extra=MARK)]),
        (
            [thought("a"), thought("b", thoughtSignature="c2ln")],
            [Reasoning("a"), Reasoning("b", Seal("gemini", "c2ln"), extra=MARK)],
        ),
        # what another provider has sealed is one part
        (
            [thought("a"), thought("b"), thought("", thoughtSignature=PACKED)],
            [Reasoning("ab", SEAL)],
        ),
        (
            [thought("a"), {"text": "b"}, {"text": "c"}, {"text": "", "thoughtSignature": PACKED}],
            [Reasoning("a"), Text("bc", seal=SEAL, extra=MARK)],
        ),
        # pieces with fields of their own, or of another kind, are other parts
        (
            [thought("a", odd=1), thought("b", thoughtSignature=PACKED)],
            [Reasoning("a", extra={"odd": 1}), Reasoning("b", SEAL, extra=MARK)],
        ),
        (
            [PNG, thought("b", thoughtSignature=PACKED)],
            [Image(RED), Reasoning("b", SEAL, extra=MARK)],
        ),
        ([F, F | {"thoughtSignature": PACKED}], [ToolCall("i", "f", "{}"), None]),
    ],
)
def test_turns_in_a_row_are_one_message(
    parts: list[dict[str, Any]], expected: list[Part | None]
) -> None:
    """Its parts know where a turn began."""
    found = said(*parts)
    assert len(found) == len(expected)
    assert [part for part, want in zip(found, expected, strict=True) if want] == [
        part for part in expected if part
    ]


def test_turns_are_written_again_as_they_came() -> None:
    """One by one, for an upstream of this dialect."""
    value = turns(
        thought("a"),
        thought("b", thoughtSignature="c2ln"),
        {"text": "c"},
        {"executableCode": {"code": "1"}},
        F,
        PNG,
        {"text": "", "content": ""},
    )
    expected = turns(*[content["parts"][0] for content in value["contents"][1:-1]], {"text": ""})
    assert again(value) == expected


def test_turns_that_only_another_provider_may_see_are_left_out() -> None:
    """The others stay."""
    value = turns(thought("a"), thought("", thoughtSignature=PACKED), {"text": "c"}, F)
    assert again(value) == turns({"text": "c"}, F)


def test_turns_with_fields_of_their_own_or_without_parts_are_read() -> None:
    """The first stay apart, the others say nothing."""
    odd = {"role": "model", "parts": [{"text": "b"}], "odd": 1}
    empty = {"role": "model"}
    value = turns({"text": "a"}) | {}
    value["contents"] += [odd, empty]
    assert read(value).messages[1:] == (
        Message(Role.ASSISTANT, (Text("a"),)),
        Message(Role.ASSISTANT, (Text("b"),), extra={"odd": 1}),
    )
    assert again(value)["contents"] == value["contents"][:-1]


def test_turn_after_an_empty_one_stands_for_itself() -> None:
    """There is nothing that it could go on with."""
    value = turns({"text": "a"})
    value["contents"][1]["parts"] = []
    value["contents"].append({"role": "model", "parts": [{"text": "b"}]})
    assert [len(message.parts) for message in read(value).messages] == [1, 0, 1]
    assert again(value) == value


def test_calls_of_turns_in_a_row_are_one_step() -> None:
    """Of which the first call is signed, for models that insist."""
    value = turns({"text": "a"}, F, F | {"thoughtSignature": "c2ln"})
    value["contents"] += [
        {"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": [F]},
    ]
    body = written(read(value), "gemini-3-flash")
    signatures = [
        part.get("thoughtSignature") for content in body["contents"] for part in content["parts"]
    ]
    skip = "skip_thought_signature_validator"
    assert signatures == [None, None, skip, "c2ln", None, skip]
