"""Calls to Converse requests: turns, blocks and tools."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.call import Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.parts import (
    Audio,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from lipstream.canonical.seal import Seal
from lipstream.errors import BadRequest
from lipstream.protocols.bedrock_converse import CLIENT
from tests.protocols.bedrock_converse.building import (
    CLAUDE,
    HELLO,
    LLAMA,
    assistant,
    body,
    call,
    user,
)
from tests.protocols.bedrock_converse.service_model import complaints

NAME = "bedrock_converse"
PIXEL = Image("data:image/png;base64,QUJD")
SIGNED = Reasoning("Hm.", Seal(NAME, "c2ln"))
REDACTED = Reasoning("", Seal(NAME, "QUJD", fields={"type": "redactedContent"}))
CALLS = assistant(ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", ""))
PLAIN = {"type": "object", "properties": {}}


def results(*results: ToolResult) -> list[Message]:
    """Each one in a message of its own."""
    return [Message(Role.TOOL, (result,)) for result in results]


def turns(*messages: Message, model: str = LLAMA) -> list[tuple[str, list[Any]]]:
    """The turns that are sent, which the service's model allows."""
    sent = body(call(*messages), model)
    assert complaints(sent) == []
    return [(turn["role"], turn["content"]) for turn in sent["messages"]]


def spec(name: str, schema: Any = PLAIN, **more: Any) -> dict[str, Any]:
    """A tool as it is sent."""
    return {"toolSpec": {"name": name, **more, "inputSchema": {"json": schema}}}


# ---------------------------------------------------------------- turns


def test_system_messages_are_blocks_apart() -> None:
    """A developer speaks as the system, wherever it stands; blank texts are left out."""
    sent = body(
        call(
            Message(Role.SYSTEM, (Text("One"), Text(" "))),
            HELLO,
            Message(Role.DEVELOPER, (Text("two\n"),)),
        )
    )
    assert sent == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "system": [{"text": "One"}, {"text": "two\n"}],
    }
    assert complaints(sent) == []


def test_system_alone_is_the_question() -> None:
    """There has to be one."""
    assert turns(Message(Role.SYSTEM, (Text("a"),))) == [("user", [{"text": "a"}])]


def test_system_with_an_image_is_refused() -> None:
    """Nothing is left out of instructions."""
    with pytest.raises(BadRequest) as caught:
        body(call(Message(Role.SYSTEM, (PIXEL,)), HELLO))
    assert (caught.value.param, caught.value.code) == ("messages[0].content", "unsupported_part")


def test_neighbours_of_one_role_are_one_turn() -> None:
    """The service wants turns to alternate."""
    assert turns(HELLO, user(Text("you")), assistant(Text("a")), assistant(Text("b")), HELLO) == [
        ("user", [{"text": "hi"}, {"text": "you"}]),
        ("assistant", [{"text": "a"}, {"text": "b"}]),
        ("user", [{"text": "hi"}]),
    ]


def test_first_turn_is_the_users() -> None:
    """Who let the assistant begin says the least that is not blank; so does who said nothing."""
    assert turns(assistant(Text("a")), HELLO)[0] == ("user", [{"text": "."}])
    assert turns(user(Text(" "))) == [("user", [{"text": "."}])]


def test_blanks_are_left_out_and_taken_from_the_very_end() -> None:
    """Text is not trimmed elsewhere."""
    assert turns(user(Text(" hi "), Text("\n")), assistant(Refusal("No. "), Text("But \n"))) == [
        ("user", [{"text": " hi "}]),
        ("assistant", [{"text": "No. "}, {"text": "But"}]),
    ]


def test_results_stand_first_behind_their_calls() -> None:
    """All of a turn's in one, what the user says behind them."""
    found = turns(
        HELLO,
        CALLS,
        user(Text("and?")),
        *results(
            ToolResult("a", (Text("one"), PIXEL), "f"),
            ToolResult("b", (), "g", is_error=True),
        ),
    )
    image = {"image": {"format": "png", "source": {"bytes": "QUJD"}}}
    error = {"toolUseId": "b", "content": [{"text": "Error"}], "status": "error"}
    assert found[1:] == [
        (
            "assistant",
            [
                {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}},
                {"toolUse": {"toolUseId": "b", "name": "g", "input": {}}},
            ],
        ),
        (
            "user",
            [
                {"toolResult": {"toolUseId": "a", "content": [{"text": "one"}, image]}},
                {"toolResult": error},
                {"text": "and?"},
            ],
        ),
    ]


def test_results_are_objects_for_mistral() -> None:
    """Its models take no text there."""
    given = (Text('{"t": 1}'), Text("warm"), Text("[1]"), PIXEL)
    sent = turns(HELLO, CALLS, *results(ToolResult("a", given), ToolResult("b", ())),
                 model="mistral.mistral-large-2407-v1:0")  # fmt: skip
    assert sent[2][1][0]["toolResult"]["content"] == [
        {"json": {"t": 1}},
        {"json": {"result": "warm"}},
        {"json": {"result": "[1]"}},
        {"image": {"format": "png", "source": {"bytes": "QUJD"}}},
    ]


@pytest.mark.parametrize(
    ("given", "model", "is_kept"),
    [
        ("tooluse_a-B_1", CLAUDE, True),
        ("functions.f:0", LLAMA, True),
        ("functions.f:0", CLAUDE, False),
        ("call|fc_1", LLAMA, False),
        ("x" * 65, LLAMA, False),
        ("\ud83d", LLAMA, False),
        ("", LLAMA, False),
    ],
)
def test_ids_that_do_not_fit_are_replaced(given: str, model: str, is_kept: bool) -> None:
    """In the call and in its result alike; others are left alone."""
    made = turns(HELLO, assistant(ToolCall(given, "f", "{}")),
                 *results(ToolResult(given, (Text("a"),))), model=model)  # fmt: skip
    used = made[1][1][0]["toolUse"]["toolUseId"]
    assert made[2][1][0]["toolResult"]["toolUseId"] == used
    assert (used == given) is is_kept


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (" ", {}),
        ('{"a": 1.50}', {"a": 1.5}),
        ("[1]", {"_raw": "[1]"}),
        ('{"a"', {"_raw": '{"a"'}),
    ],
)
def test_arguments_are_an_object(arguments: str, expected: Any) -> None:
    """What is none is carried in one."""
    (_, (block,)) = turns(HELLO, assistant(ToolCall("a", "f", arguments)))[1]
    assert block["toolUse"]["input"] == expected


def test_free_text_calls_are_objects() -> None:
    """As the tool is declared."""
    (_, (block,)) = turns(HELLO, assistant(ToolCall("a", "f o.o", "raw", "custom")))[1]
    assert block == {"toolUse": {"toolUseId": "a", "name": "f_o_o", "input": {"input": "raw"}}}


# ---------------------------------------------------------------- reasoning


def test_own_reasoning_goes_back_byte_by_byte() -> None:
    """Signed and encrypted; what others wrote, and what nobody sealed, stays out."""
    others = (
        Reasoning("x"),
        Reasoning("x", Seal("anthropic_messages", "c2ln")),
        Reasoning("x", Seal(NAME, "")),
    )
    (_, blocks) = turns(HELLO, assistant(*others, SIGNED, REDACTED, Text("So.")), model=CLAUDE)[1]
    assert blocks == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "QUJD"}},
        {"text": "So."},
    ]


def test_reasoning_does_not_stand_alone() -> None:
    """A turn of which nothing else is left is left out, and its neighbours are one."""
    assert turns(HELLO, assistant(SIGNED), user(Text("?")), model=CLAUDE) == [
        ("user", [{"text": "hi"}, {"text": "?"}])
    ]


def test_models_own_media_stay_out() -> None:
    """No model takes them from itself."""
    sent = turns(HELLO, assistant(Text("a"), PIXEL, Opaque("other", {"x": 1})))
    assert sent[1] == ("assistant", [{"text": "a"}])


@pytest.mark.parametrize("part", [Opaque("openai_responses", {"type": "item"}), Part()])
def test_part_that_only_another_protocol_knows_is_refused(part: Part) -> None:
    """The question would be another one."""
    with pytest.raises(BadRequest) as caught:
        body(call(user(Text("a"), part)))
    assert caught.value.param == "messages[0].content[1]"
    assert caught.value.code == "unsupported_part"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("wav", "wav"), ("mp3", "mp3"), ("audio/mpeg", "mp3"), ("", "wav"), ("audio/x-wav", "wav")],
)
def test_audio_is_sent(given: str, expected: str) -> None:
    """Models that take none say so."""
    ((_, (block,)),) = turns(user(Audio("QUJD", given)))
    assert block == {"audio": {"format": expected, "source": {"bytes": "QUJD"}}}


def test_audio_of_a_result_stands_behind_it() -> None:
    """With a line that says whose it is: a result has no place for it."""
    given = (Text("done"), Audio("QUJD", "wav"))
    (_, content) = turns(
        HELLO,
        CALLS,
        *results(ToolResult("a", given, "f"), ToolResult("b", (Audio("QUJD", "wav"),))),
    )[2]
    audio = {"audio": {"format": "wav", "source": {"bytes": "QUJD"}}}
    assert content == [
        {"toolResult": {"toolUseId": "a", "content": [{"text": "done"}]}},
        {"toolResult": {"toolUseId": "b", "content": []}},
        {"text": "Attached to the result of f (a):"},
        audio,
        {"text": "Attached to the result of the call (b):"},
        audio,
    ]


# ---------------------------------------------------------------- tools

SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}}
TOOLS = (Tool("f", "Does", SCHEMA, strict=True), Tool("g"), Tool("c", "Text", type="custom"))


def config(model: str = LLAMA, *messages: Message, **fields: Any) -> Any:
    """What a request says of tools."""
    sent = body(call(*messages, **{"tools": TOOLS, **fields}), model)
    assert complaints(sent) == []
    return sent.get("toolConfig")


def test_tools_are_declared() -> None:
    """Free text is one argument; strict where a model is known for it."""
    free = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    last = spec("c", free, description="Text")
    assert config() == {"tools": [spec("f", SCHEMA, description="Does"), spec("g"), last]}
    assert config(CLAUDE)["tools"][0] == spec("f", SCHEMA, description="Does", strict=True)
    assert config(tools=()) is None


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(ToolMode.AUTO), None),
        (ToolChoice(ToolMode.ANY), {"any": {}}),
        (ToolChoice(ToolMode.NAMED, ("g",)), {"tool": {"name": "g"}}),
        (ToolChoice(ToolMode.NAMED), {"any": {}}),
    ],
)
def test_tool_choice_is_said_where_it_says_something(choice: ToolChoice, expected: Any) -> None:
    """Not every model takes one, and each may call tools anyway."""
    assert config(tool_choice=choice).get("toolChoice") == expected
    assert "toolChoice" not in config("anthropic.claude-opus-5-5-v1", tool_choice=choice)


def test_only_allowed_tools_are_declared() -> None:
    """The service has no word for it; names that nobody declared are none."""
    chosen = config(tool_choice=ToolChoice(ToolMode.ANY, ("g",)))
    assert chosen == {"tools": [spec("g")], "toolChoice": {"any": {}}}
    assert len(config(tool_choice=ToolChoice(ToolMode.AUTO, ("zz",)))["tools"]) == 3


def test_tools_that_may_not_be_called_are_not_declared() -> None:
    """Unless the conversation mentions one: the service insists on it."""
    none = ToolChoice(ToolMode.NONE)
    assert config(tool_choice=none) is None
    history = (HELLO, CALLS, *results(ToolResult("a", ()), ToolResult("b", ())))
    assert len(config(LLAMA, *history, tool_choice=none)["tools"]) == 3


def test_tools_of_the_past_are_declared_by_their_names() -> None:
    """Where the client declares none any more; nothing is forced then."""
    history = (HELLO, CALLS, *results(ToolResult("a", ()), ToolResult("b", ())))
    found = config(LLAMA, *history, tools=(), tool_choice=ToolChoice(ToolMode.ANY))
    assert found == {"tools": [spec("f"), spec("g")]}


@pytest.mark.parametrize("name", ["", "a.b", "x" * 65, "é"])
def test_tool_by_a_name_that_does_not_fit_is_refused(name: str) -> None:
    """The model would call it by another one."""
    with pytest.raises(BadRequest) as caught:
        config(tools=(Tool(name),))
    assert (caught.value.param, caught.value.code) == ("tools[0]", "unsupported_tool_name")


def test_tool_that_runs_at_another_provider_is_refused() -> None:
    """The answer would be another one."""
    with pytest.raises(BadRequest) as caught:
        config(tools=(Tool("", type="web_search"),))
    assert caught.value.code == "unsupported_tool"


# ---------------------------------------------------------------- path


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x",
        ),
        ("a b?#%é", "a%20b%3F%23%25%C3%A9"),
    ],
)
def test_model_is_one_segment_of_the_path(model: str, expected: str) -> None:
    """Whatever its id has in it."""
    assert CLIENT.path(model, is_streaming=True) == f"/model/{expected}/converse-stream"
    assert CLIENT.path(model, is_streaming=False) == f"/model/{expected}/converse"


@pytest.mark.parametrize("model", ["", ".", ".."])
def test_model_that_would_lead_elsewhere_is_refused(model: str) -> None:
    """A path has its own meaning for these."""
    with pytest.raises(BadRequest):
        CLIENT.path(model, is_streaming=True)


def test_dialect_adds_no_headers() -> None:
    """All that is special is in the signature."""
    assert (CLIENT.name, CLIENT.headers(None)) == (NAME, ())
