"""What is declared of calls of other protocols is what the encoder does."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from lipstream.canonical.call import Call, Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.losses import NOTIONS, Fate, losses
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Audio, File, Image, Part, Text, ToolCall, ToolResult
from lipstream.errors import BadRequest
from lipstream.protocols.openai_responses import CLIENT
from tests.protocols.openai_responses.building import foreign_call, request, written

PLAIN = foreign_call(tools=(Tool("f"),))


def option(**fields: Any) -> Call:
    """A call that says one option."""
    return PLAIN.changed(options=Options(**fields))


def said(*parts: Part, role: Role = Role.USER, name: str = "") -> Call:
    """A call with one more message."""
    return PLAIN.changed(messages=(*PLAIN.messages, Message(role, parts, name)))


RESULT = ToolResult("c", (Text("x"),))

SAYING: dict[str, tuple[Call, Call]] = {
    # notion: a call that does not say it, and one that does
    "temperature": (PLAIN, option(temperature=0.5)),
    "top_p": (PLAIN, option(top_p=0.5)),
    "top_k": (PLAIN, option(top_k=5)),
    "max_output_tokens": (PLAIN, option(max_output_tokens=50)),
    "stop": (PLAIN, option(stop=("x",))),
    "seed": (PLAIN, option(seed=1)),
    "presence_penalty": (PLAIN, option(presence_penalty=1.0)),
    "frequency_penalty": (PLAIN, option(frequency_penalty=1.0)),
    "reasoning": (PLAIN, option(reasoning_budget=1024)),
    "reasoning_summary": (PLAIN, option(reasoning_summary="auto")),
    "verbosity": (PLAIN, option(verbosity="low")),
    "json_object": (PLAIN, option(output_format=OutputFormat())),
    "json_schema": (PLAIN, option(output_format=OutputFormat({"a": 1}))),
    "choices": (PLAIN, option(choices=2)),
    "logprobs": (PLAIN, option(logprobs=True)),
    "service_tier": (PLAIN, option(service_tier="flex")),
    "user": (PLAIN, option(user="u")),
    "metadata": (PLAIN, option(metadata={"a": "b"})),
    "tools": (foreign_call(), PLAIN),
    "custom_tools": (foreign_call(), foreign_call(tools=(Tool("f", type="custom"),))),
    "strict_tools": (PLAIN, foreign_call(tools=(Tool("f", strict=True),))),
    "tool_choice": (PLAIN, PLAIN.changed(tool_choice=ToolChoice(ToolMode.ANY))),
    "allowed_tools": (
        PLAIN.changed(tool_choice=ToolChoice(ToolMode.ANY)),
        PLAIN.changed(tool_choice=ToolChoice(ToolMode.ANY, ("f",))),
    ),
    "parallel_tool_calls": (PLAIN, option(parallel_tool_calls=False)),
    "image": (PLAIN, said(Image("data:x"))),
    "remote_image": (said(Image("data:x")), said(Image("http://x"))),
    "image_detail": (said(Image("data:x")), said(Image("data:x", "low"))),
    "file": (PLAIN, said(File("data:x"))),
    "audio": (PLAIN, said(Audio("QQ==", "wav"))),
    "message_name": (said(Text("x")), said(Text("x"), name="n")),
    "tool_history": (PLAIN, said(ToolCall("c", "f", "{}"), role=Role.ASSISTANT)),
    "tool_error": (
        said(RESULT, role=Role.TOOL),
        said(attrs.evolve(RESULT, is_error=True), role=Role.TOOL),
    ),
    "tool_media": (
        said(RESULT, role=Role.TOOL),
        said(attrs.evolve(RESULT, content=(Image("data:x"),)), role=Role.TOOL),
    ),
}


def test_every_notion_has_a_fate() -> None:
    """And a proof of it below."""
    assert set(CLIENT.support) == set(NOTIONS) == set(SAYING)


@pytest.mark.parametrize("notion", SAYING)
def test_fate_is_what_happens(notion: str) -> None:
    """Kept and mapped ones change the body, dropped ones are told, the rest is refused."""
    without, saying = SAYING[notion]
    assert NOTIONS[notion](saying)
    assert not NOTIONS[notion](without)
    fate = CLIENT.support[notion]
    if fate is Fate.REFUSED:
        with pytest.raises(BadRequest) as caught:
            written(saying)
        assert (caught.value.code or "").startswith("unsupported_")
        return
    assert (written(saying) == written(without)) is (fate is Fate.DROPPED)
    told = losses(saying, CLIENT.name, CLIENT.support)
    assert (notion in told) is (fate is Fate.DROPPED)


def test_own_history_is_no_loss_elsewhere() -> None:
    """What only says how a thing was written is not told as dropped."""
    call = request(
        instructions="x",
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "x"}]},
            {"type": "message", "id": "m", "role": "assistant", "content": "x", "phase": "y"},
            {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "x"},
        ],
    )
    assert losses(call, "other", dict.fromkeys(NOTIONS, Fate.KEPT)) == []
