"""What calls need and models lack."""

import pytest

from lipstream.canonical.call import Call, Message, Role, Tool
from lipstream.canonical.capabilities import (
    EVERYTHING,
    Capability,
    Shortfall,
    capabilities_of,
    lack,
    required,
    shortfall,
    without,
)
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Audio, File, Image, Part, Text, ToolCall, ToolResult

C = Capability


def call_with(*parts: Part, tools: tuple[Tool, ...] = (), options: Options | None = None) -> Call:
    message = Message(Role.USER, (Text("hi"), *parts))
    return Call(
        dialect="openai_chat",
        model="m",
        messages=(message,),
        tools=tools,
        options=options or Options(),
    )


@pytest.mark.parametrize(
    ("call", "needs"),
    [
        (call_with(), []),
        (call_with(Image("u"), File("d"), Image("v")), [C.VISION, C.DOCUMENTS]),
        (call_with(Audio("d", "wav")), [C.AUDIO]),
        (call_with(ToolCall("1", "f", "{}")), [C.TOOLS]),
        (call_with(ToolResult("1", (Image("u"),))), [C.TOOLS, C.VISION]),
        (call_with(tools=(Tool("f"),)), [C.TOOLS]),
        (call_with(options=Options(output_format=OutputFormat())), [C.STRUCTURED_OUTPUTS]),
        (call_with(options=Options(reasoning_effort="low")), [C.REASONING]),
        (call_with(options=Options(reasoning_budget=0)), [C.REASONING]),
        (call_with(options=Options(parallel_tool_calls=True)), [C.PARALLEL_TOOL_CALLS]),
        (call_with(options=Options(parallel_tool_calls=False)), []),
    ],
)
def test_needs_follow_from_the_shape_of_the_request(call: Call, needs: list[C]) -> None:
    """In the order in which they show, none twice; streaming is never needed."""
    assert needs == required(call)


@pytest.mark.parametrize(
    ("model", "missing"),
    [
        ("gpt-3.5-turbo", {C.VISION, C.DOCUMENTS}),
        ("openai/GPT-3.5", {C.VISION, C.DOCUMENTS}),
        ("o3-mini", {C.PARALLEL_TOOL_CALLS}),
        ("openai/o3-mini", set()),
        ("", set()),
    ],
)
def test_names_narrow_what_a_model_has(model: str, missing: set[C]) -> None:
    """A pattern is searched in the name, whatever its case."""
    rows = [
        lack(r"gpt-3\.5", C.VISION, C.DOCUMENTS),
        lack(r"^o[13]", C.PARALLEL_TOOL_CALLS),
    ]
    assert EVERYTHING - missing == capabilities_of(model, EVERYTHING, rows)


def test_soft_shortfall_is_taken_out_and_a_hard_one_told() -> None:
    """Reasoning and the parallel flag can be done without, tools cannot."""
    options = Options(
        reasoning_effort="high",
        reasoning_budget=1,
        reasoning_summary="auto",
        parallel_tool_calls=True,
        seed=1,
    )
    call = call_with(Image("u"), tools=(Tool("f"),), options=options)
    short = shortfall(call, frozenset({C.TOOLS}))
    assert Shortfall((C.VISION,), (C.REASONING, C.PARALLEL_TOOL_CALLS)) == short
    assert Options(seed=1) == without(call, short.soft).options
    assert without(call, ()) is call
    assert Shortfall() == shortfall(call, EVERYTHING)


@pytest.mark.parametrize(
    ("soft", "left"),
    [
        (C.REASONING, Options(parallel_tool_calls=True)),
        (C.PARALLEL_TOOL_CALLS, Options(reasoning_effort="low")),
    ],
)
def test_only_what_is_missing_is_taken_out(soft: C, left: Options) -> None:
    """The rest of the call stays."""
    call = call_with(options=Options(reasoning_effort="low", parallel_tool_calls=True))
    assert without(call, [soft]).options == left
