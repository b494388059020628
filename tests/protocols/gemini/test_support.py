"""What is declared about calls of other protocols is what the encoder does."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.losses import NOTIONS, Fate, losses
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Audio, File, Image, Part, Text, ToolCall, ToolResult
from lipstream.errors import BadRequest
from lipstream.protocols.gemini import CLIENT
from tests.protocols.gemini.building import foreign

MODEL = "gemini-2.5-flash"
QUESTION = Message(Role.USER, (Text("hi"),))
CALLS = Message(Role.ASSISTANT, (ToolCall("a", "f", "{}"),))
TOOLS = (Tool("f"), Tool("g"))


def call(*more: Message, **fields: Any) -> Call:
    """A call of another protocol with a question, tools, and what is said of it."""
    return foreign(QUESTION, *more, **{"tools": TOOLS, **fields})


def asked(*parts: Part, name: str = "") -> Call:
    """One that asks with these parts, too."""
    return call(Message(Role.USER, parts, name))


def option(**fields: Any) -> Call:
    """One with an option."""
    return call(options=Options(**fields))


def answered(*content: Part, is_error: bool = False) -> Call:
    """One with a tool's result."""
    return call(CALLS, Message(Role.TOOL, (ToolResult("a", content, "f", is_error),)))


RED = Image("data:image/png;base64,QQ==")
PDF = File("data:application/pdf;base64,QQ==")
SAID: dict[str, tuple[Call, Call]] = {
    # a call that does not say it, and one that does
    **{
        name: (call(), option(**{name: value}))
        for name, value in {
            "temperature": 0.5,
            "top_p": 0.5,
            "top_k": 5,
            "max_output_tokens": 5,
            "stop": ("a",),
            "seed": 5,
            "presence_penalty": 0.5,
            "frequency_penalty": 0.5,
            "reasoning_summary": "auto",
            "verbosity": "low",
            "choices": 2,
            "logprobs": True,
            "service_tier": "flex",
            "user": "u",
            "metadata": {"a": "b"},
            "parallel_tool_calls": False,
        }.items()
    },
    "reasoning": (call(), option(reasoning_effort="low")),
    "json_object": (call(), option(output_format=OutputFormat())),
    "json_schema": (call(), option(output_format=OutputFormat({"type": "object"}))),
    "tools": (call(tools=()), call()),
    "custom_tools": (call(), call(tools=(*TOOLS, Tool("c", type="custom")))),
    "strict_tools": (call(), call(tools=(Tool("f", strict=True), TOOLS[1]))),
    "tool_choice": (call(), call(tool_choice=ToolChoice(ToolMode.NAMED, ("f",)))),
    "allowed_tools": (
        call(tool_choice=ToolChoice(ToolMode.AUTO)),
        call(tool_choice=ToolChoice(ToolMode.AUTO, ("f",))),
    ),
    "image": (asked(Text("a")), asked(Text("a"), RED)),
    "remote_image": (asked(RED), asked(Image("https://x/red.png"))),
    "image_detail": (asked(RED), asked(Image(RED.url, "low"))),
    "file": (asked(Text("a")), asked(Text("a"), PDF)),
    "audio": (asked(Text("a")), asked(Text("a"), Audio("QQ==", "wav"))),
    "message_name": (asked(Text("a")), asked(Text("a"), name="n")),
    "tool_history": (call(), call(CALLS)),
    "tool_error": (answered(Text("a")), answered(Text("a"), is_error=True)),
    "tool_media": (answered(Text("a")), answered(Text("a"), RED)),
}


def test_every_notion_has_a_fate_and_a_proof() -> None:
    """A new one breaks this test first."""
    assert CLIENT.support.keys() == NOTIONS.keys() == SAID.keys()


@pytest.mark.parametrize("name", NOTIONS)
def test_declared_fate_is_what_happens(name: str) -> None:
    """Kept and mapped change what is sent, dropped does not and is told, refused is refused."""
    silent, said = SAID[name]
    assert (NOTIONS[name](silent), NOTIONS[name](said)) == (False, True)
    before = CLIENT.encode_request(silent, MODEL, is_streaming=True)
    fate = CLIENT.support[name]
    assert (name in losses(said, "gemini", CLIENT.support)) is (fate is Fate.DROPPED)
    if fate is Fate.REFUSED:
        with pytest.raises(BadRequest) as caught:
            CLIENT.encode_request(said, MODEL, is_streaming=True)
        assert (caught.value.code or "").startswith("unsupported_")
    else:
        after = CLIENT.encode_request(said, MODEL, is_streaming=True)
        assert (after != before) is (fate is not Fate.DROPPED)
