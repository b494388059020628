"""A call as the blocks of a prompt."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.losses import NOTIONS, Fate
from lipstream.canonical.options import Options, OutputFormat
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
    ToolResult,
)
from lipstream.errors import BadRequest
from lipstream.protocols.acp import SUPPORT, encode_prompt

HI = Message(Role.USER, (Text("hi"),))
PNG = "data:image/png;base64,iVBORw0KGgo="


def call(*messages: Message, **fields: Any) -> Call:
    """A call of another protocol."""
    return Call(dialect="openai_chat", model="m", messages=messages, **fields)


def user(*parts: Part) -> Message:
    """What a user says."""
    return Message(Role.USER, parts)


def text(said: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": said}


def resource(**fields: str) -> dict[str, Any]:
    """A block of anything else."""
    return {"type": "resource", "resource": fields}


def test_blocks_come_in_the_order_in_which_things_were_said() -> None:
    """Leading instructions as one; nothing tells who speaks."""
    messages = (
        Message(Role.SYSTEM, (Text("be brief"), Text("be kind"))),
        Message(Role.DEVELOPER, (Text("no jokes"),)),
        user(Text(" one "), Text("two")),
        Message(Role.ASSISTANT, (Reasoning("hm"), Text("three"), Refusal("no"))),
        Message(Role.SYSTEM, (Text("be brave"),)),
        Message(Role.SYSTEM, (Text(""),)),
        HI,
    )
    said = ["be brief\n\nbe kind\n\nno jokes", " one ", "two", "three", "no", "be brave", "hi"]
    assert encode_prompt(call(*messages)) == [text(words) for words in said]


def test_instructions_alone_are_a_prompt() -> None:
    """They say something."""
    assert encode_prompt(call(Message(Role.SYSTEM, (Text("go"),)))) == [text("go")]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image("https://x/a.png"), resource(uri="https://x/a.png")),
        (Image(PNG), resource(uri=PNG, mimeType="image/png")),
        (Image("data:,x"), resource(uri="data:,x")),
        (File(url="https://x/a.pdf", name="a.pdf"), resource(uri="https://x/a.pdf", text="a.pdf")),
        (File(id="file-1"), resource(uri="file-1")),
        (
            File(data="JVBERi0=", name="a.pdf"),
            resource(
                uri="data:application/pdf;base64,JVBERi0=", mimeType="application/pdf", text="a.pdf"
            ),
        ),
        (
            File(data="AAAA"),
            resource(
                uri="data:application/octet-stream;base64,AAAA",
                mimeType="application/octet-stream",
            ),
        ),
        (
            File(data="data:text/csv;base64,AAAA"),
            resource(uri="data:text/csv;base64,AAAA", mimeType="text/csv"),
        ),
    ],
)
def test_media_are_resources(part: Part, expected: dict[str, Any]) -> None:
    """Inline as data URLs, with their type where it is known and their name where they have one."""
    assert encode_prompt(call(user(part))) == [expected]


TOOL = Tool("f", parameters={})
CALL = Message(Role.ASSISTANT, (ToolCall("c", "f", "{}"),))
RESULT = Message(Role.TOOL, (ToolResult("c", (Text("1"),)),))


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (call(HI, tools=(TOOL,)), "unsupported_tools"),
        (call(HI, CALL), "unsupported_tool_history"),
        (call(HI, RESULT), "unsupported_tool_history"),
        (call(user(Audio("AA", "wav"))), "unsupported_audio"),
        (call(HI, options=Options(output_format=OutputFormat())), "unsupported_structured_output"),
        (call(HI, user(Text(""))), "unsupported_message"),
        (call(HI, user(Opaque("x", {}))), "unsupported_message"),
        (call(HI, Message(Role.ASSISTANT, (Reasoning("hm"),))), "unsupported_message"),
        (call(), "unsupported_prompt"),
        (call(Message(Role.SYSTEM, ())), "unsupported_prompt"),
    ],
)
def test_call_that_an_agent_cannot_be_told_is_refused(refused: Call, code: str) -> None:
    """Its answer would be one to something else."""
    with pytest.raises(BadRequest) as caught:
        encode_prompt(refused)
    assert caught.value.code == code


# ---------------------------------------------------------------- what becomes of what can be said

OPTIONS: dict[str, Options] = {
    "temperature": Options(temperature=1),
    "top_p": Options(top_p=1),
    "top_k": Options(top_k=1),
    "max_output_tokens": Options(max_output_tokens=1),
    "stop": Options(stop=("x",)),
    "seed": Options(seed=1),
    "presence_penalty": Options(presence_penalty=1),
    "frequency_penalty": Options(frequency_penalty=1),
    "reasoning": Options(reasoning_effort="high"),
    "reasoning_summary": Options(reasoning_summary="auto"),
    "verbosity": Options(verbosity="low"),
    "json_object": Options(output_format=OutputFormat()),
    "json_schema": Options(output_format=OutputFormat(schema={})),
    "choices": Options(choices=2),
    "logprobs": Options(logprobs=True),
    "service_tier": Options(service_tier="flex"),
    "user": Options(user="u"),
    "metadata": Options(metadata={"a": "b"}),
    "parallel_tool_calls": Options(parallel_tool_calls=True),
}
CALLS: dict[str, Call] = {
    **{name: call(HI, options=options) for name, options in OPTIONS.items()},
    "tools": call(HI, tools=(TOOL,)),
    "custom_tools": call(HI, tools=(Tool("f", type="custom"),)),
    "strict_tools": call(HI, tools=(Tool("f", strict=True),)),
    "tool_choice": call(HI, tool_choice=ToolChoice(ToolMode.AUTO)),
    "allowed_tools": call(HI, tool_choice=ToolChoice(ToolMode.AUTO, ("f",))),
    "image": call(user(Text("hi"), Image(PNG))),
    "remote_image": call(user(Text("hi"), Image("https://x/a.png"))),
    "image_detail": call(user(Text("hi"), Image(PNG, detail="low"))),
    "file": call(user(Text("hi"), File(id="f"))),
    "audio": call(user(Text("hi"), Audio("AA", "wav"))),
    "message_name": call(Message(Role.USER, (Text("hi"),), name="bob")),
    "tool_history": call(HI, CALL),
    "tool_error": call(HI, Message(Role.TOOL, (ToolResult("c", (), is_error=True),))),
    "tool_media": call(HI, Message(Role.TOOL, (ToolResult("c", (Image(PNG),)),))),
}
PLAIN = {
    "image_detail": call(user(Text("hi"), Image(PNG))),
}


@pytest.mark.parametrize("notion", NOTIONS)
def test_support_is_told_as_it_is(notion: str) -> None:
    """What is dropped changes nothing, what is mapped does, what is refused is refused."""
    said, fate = CALLS[notion], SUPPORT[notion]
    assert NOTIONS[notion](said)
    if fate is Fate.REFUSED:
        with pytest.raises(BadRequest, match=r"."):
            encode_prompt(said)
        return
    is_changed = encode_prompt(said) != encode_prompt(PLAIN.get(notion, call(HI)))
    assert is_changed is (fate is Fate.MAPPED)
