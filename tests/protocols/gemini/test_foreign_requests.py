"""Calls of other protocols as generateContent requests."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical.call import Message, Role, Tool, ToolChoice, ToolMode
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
from lipstream.canonical.seal import Seal
from lipstream.errors import BadRequest
from tests.protocols.gemini.building import foreign, written

SKIP = "skip_thought_signature_validator"


def says(role: Role, *parts: Part) -> Message:
    """A turn."""
    return Message(role, parts)


def system(text: str) -> Message:
    """A system message."""
    return says(Role.SYSTEM, Text(text))


def user(*texts: str) -> Message:
    """A user's texts."""
    return says(Role.USER, *map(Text, texts))


def result(call_id: str, *content: Part, name: str = "f", is_error: bool = False) -> Message:
    """What a tool answered."""
    return says(Role.TOOL, ToolResult(call_id, content, name, is_error))


def calls(*ids: str) -> Message:
    """A turn that calls f once for each id."""
    return says(Role.ASSISTANT, *(ToolCall(call_id, "f", "{}") for call_id in ids))


def sent(*messages: Message, model: str = "gemini-2.5-flash") -> list[Any]:
    """Role and parts of the turns that are sent."""
    body = written(foreign(*messages), model)
    return [(content["role"], content["parts"]) for content in body["contents"]]


def text(*texts: str) -> list[dict[str, str]]:
    """Parts of text."""
    return [{"text": each} for each in texts]


# ---------------------------------------------------------------- turns


def test_first_system_messages_are_the_instruction() -> None:
    """Developers speak as the system does; a part for each text."""
    developer = says(Role.DEVELOPER, Text("b"), Text(""), Text("c"))
    body = written(foreign(system("a"), developer, user("hi")))
    assert body == {
        "systemInstruction": {"parts": text("a", "b", "c")},
        "contents": [{"role": "user", "parts": text("hi")}],
    }
    assert "systemInstruction" not in written(foreign(system(""), user("hi")))


def test_later_system_messages_stay_in_their_place() -> None:
    """As the user's words."""
    said = sent(user("a"), says(Role.ASSISTANT, Text("b")), system("c"), user("d"))
    assert said == [("user", text("a")), ("model", text("b")), ("user", text("c", "d"))]


def test_system_that_speaks_alone_is_the_user() -> None:
    """Contents must not be empty."""
    assert written(foreign(system("a"))) == {"contents": [{"role": "user", "parts": text("a")}]}
    assert written(foreign(user(""))) == {"contents": [{"role": "user", "parts": text("")}]}


def test_turns_of_one_role_are_one() -> None:
    """And none is empty."""
    model = [says(Role.ASSISTANT, Text("c")), says(Role.ASSISTANT, Text(""), Refusal("d"))]
    said = sent(user("a"), user(), user("b"), *model, says(Role.ASSISTANT), user("e"))
    assert said == [("user", text("a", "b")), ("model", text("c", "d")), ("user", text("e"))]


def test_reasoning_goes_back_only_to_where_it_came_from() -> None:
    """Its text is not made an answer."""
    parts = (
        Reasoning("a"),
        Reasoning("b", Seal("other", "s")),
        Reasoning("c", Seal("gemini", "c2ln", "b:m")),
        Text("d", seal=Seal("gemini", "dHh0")),
        Text("", seal=Seal("gemini", "ZW5k")),
        Opaque("other", {"x": 1}),
    )
    assert sent(user("hi"), says(Role.ASSISTANT, *parts))[1][1] == [
        {"text": "c", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "d", "thoughtSignature": "dHh0"},
        {"text": "", "thoughtSignature": "ZW5k"},
    ]


# ---------------------------------------------------------------- calls and results


def answer(call_id: str, response: Any, **more: Any) -> dict[str, Any]:
    """A part with a result."""
    return {"functionResponse": {"name": "f", "id": call_id, "response": response, **more}}


def test_results_follow_their_calls_in_the_order_of_the_calls() -> None:
    """In one content of their own, whatever is said between them."""
    said = sent(
        user("a"),
        calls("x", "y"),
        user("b"),
        result("y", Text("2")),
        system("c"),
        result("x", Text("1")),
        result("z", Text("3")),
        user("d"),
    )
    assert said[2:] == [
        (
            "user",
            [
                answer("x", {"result": "1"}),
                answer("y", {"result": "2"}),
                answer("z", {"result": "3"}),
            ],
        ),
        ("user", text("b", "c", "d")),
    ]


def test_calls_of_two_messages_in_a_row_are_one_step() -> None:
    """Their results too; the next turn's are not theirs."""
    said = sent(
        calls("x"),
        calls("y"),
        result("y"),
        result("x"),
        says(Role.ASSISTANT),
        user("a"),
        calls("v", "w"),
        result("w"),
        result("v"),
    )
    assert [role for role, _ in said] == ["model", "user", "user", "model", "user"]
    ids = [[p["functionResponse"]["id"] for p in said[i][1]] for i in (1, 4)]
    assert ids == [["x", "y"], ["v", "w"]]


@pytest.mark.parametrize(
    ("content", "is_error", "expected"),
    [
        ([Text("a")], False, {"result": "a"}),
        ([Text("a"), Text("b")], False, {"result": "a\nb"}),
        ([], False, {"result": ""}),
        ([Text('{"a": 1}')], False, {"a": 1}),
        ([Text("[1, 2]")], False, {"result": [1, 2]}),
        ([Text("5")], False, {"result": "5"}),
        ([Text("{broken")], False, {"result": "{broken"}),
        ([Text('{"a": "\ud800"}')], False, {"result": '{"a": "\ud800"}'}),
        ([Text("[" * 500)], False, {"result": "[" * 500}),
        ([Text("no")], True, {"error": "no"}),
        ([Text('{"a": 1}')], True, {"error": {"a": 1}}),
        ([Text('{"error": "no"}')], True, {"error": "no"}),
        ([Text("a", extra={"type": "output"})], False, {"result": "a"}),
    ],
)
def test_results_are_objects(content: list[Part], is_error: bool, expected: Any) -> None:
    """JSON where the text is some, else wrapped; errors under their own key."""
    said = sent(calls("x"), result("x", *content, is_error=is_error))
    assert said[1] == ("user", [answer("x", expected)])


@pytest.mark.parametrize(
    ("arguments", "kind", "expected"),
    [
        ('{"b": 1, "a": 2}', "function", {"b": 1, "a": 2}),
        ("", "function", {}),
        (" \n", "function", {}),
        ('{"b', "function", {"_raw": '{"b'}),
        ("[1]", "function", {"_raw": "[1]"}),
        ('{"a": "\ud800"}', "function", {"_raw": '{"a": "\ud800"}'}),
        ('{"a":' * 200 + "1" + "}" * 200, "function", {"_raw": '{"a":' * 200 + "1" + "}" * 200}),
        ("free text", "custom", {"input": "free text"}),
    ],
)
def test_arguments_are_an_object(arguments: str, kind: str, expected: Any) -> None:
    """Whatever the model wrote."""
    said = sent(user("a"), says(Role.ASSISTANT, ToolCall("x", "f", arguments, kind)))
    assert said[1][1] == [{"functionCall": {"name": "f", "args": expected, "id": "x"}}]


def test_ids_that_were_made_up_are_not_told() -> None:
    """Gemini goes by name and order there."""
    made = "gemini-fn-f-1-0"
    said = sent(calls(made), result(made, Text("1")))
    assert said == [
        ("model", [{"functionCall": {"name": "f", "args": {}}}]),
        ("user", [{"functionResponse": {"name": "f", "response": {"result": "1"}}}]),
    ]


def test_ids_of_other_dialects_beside_a_call_are_not_told() -> None:
    """They mean something else there."""
    call = ToolCall("x", "f", "{}", extra={"id": "item", "type": "odd"})
    answer_ = ToolResult("x", (Text("1"),), "f", extra={"id": "item"})
    said = sent(says(Role.ASSISTANT, call), says(Role.TOOL, answer_))
    assert said == [
        ("model", [{"functionCall": {"name": "f", "args": {}, "id": "x"}}]),
        ("user", [answer("x", {"result": "1"})]),
    ]


def test_result_without_a_name_goes_by_its_id() -> None:
    """The service insists on one."""
    assert sent(result("x", name=""))[0][1][0]["functionResponse"]["name"] == "x"


PNG = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}
RED = Image("data:image/png;base64,QQ==")


def test_media_of_results_stand_within_where_the_model_takes_that() -> None:
    """From generation 3 on; else in a turn that follows, and says whose they are."""
    history = (calls("x"), result("x", Text("a"), RED), user("b"))
    within = sent(*history, model="gemini-3-flash")
    assert within[1:] == [
        ("user", [answer("x", {"result": "a"}, parts=[PNG])]),
        ("user", text("b")),
    ]
    after = sent(*history)
    assert after[1:] == [
        ("user", [answer("x", {"result": "a"})]),
        ("user", [{"text": "Of the result of f (x):"}, PNG, {"text": "b"}]),
    ]


def test_calls_of_other_models_are_signed_for_models_that_insist() -> None:
    """The first one of a step; a seal of Gemini's stays."""
    sealed = ToolCall("y", "f", "{}", seal=Seal("gemini", "c2ln"))
    odd = ToolCall("z", "f", "{}", seal=Seal("other", "s"))
    history = (
        calls("a", "b"),
        result("a"),
        result("b"),
        says(Role.ASSISTANT, sealed, odd),
        result("y"),
        says(Role.ASSISTANT, odd),
    )
    said = sent(*history, model="gemini-3-pro")
    found = [
        [part.get("thoughtSignature") for part in parts] for role, parts in said if role == "model"
    ]
    assert found == [[SKIP, None], ["c2ln", None], [SKIP]]
    assert SKIP not in str(sent(*history))


# ---------------------------------------------------------------- media


def inline(mime: str, **more: str) -> dict[str, Any]:
    """Inline data of one byte."""
    return {"inlineData": {"mimeType": mime, "data": "QQ==", **more}}


def remote(mime: str, uri: str, **more: str) -> dict[str, Any]:
    """A file by its address."""
    return {"fileData": {"mimeType": mime, "fileUri": uri, **more}}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (RED, PNG),
        (Image("data:image/svg+xml,A"), inline("image/svg+xml")),
        (Image("data:,A"), inline("text/plain")),
        (Image("https://x/a.png?b=c.gif"), remote("image/png", "https://x/a.png?b=c.gif")),
        (Image("https://x/a"), remote("image/jpeg", "https://x/a")),
        (
            File("data:application/pdf;base64,QQ==", name="n"),
            inline("application/pdf", displayName="n"),
        ),
        (File("QQ==", name="a.CSV"), inline("text/csv", displayName="a.CSV")),
        (File("QQ=="), inline("application/octet-stream")),
        (
            File(url="https://x/a.txt", name="n"),
            remote("text/plain", "https://x/a.txt", displayName="n"),
        ),
        (File(url="https://x/a"), remote("application/pdf", "https://x/a")),
        (Audio("QQ==", "wav"), inline("audio/wav")),
        (Audio("QQ==", ""), inline("audio/wav")),
        (Audio("QQ==", "mp3"), inline("audio/mp3")),
        (Audio("QQ==", "pcm16"), inline("audio/L16;codec=pcm;rate=24000")),
        (Image("https://x/a", extra={"type": "image/gif"}), remote("image/jpeg", "https://x/a")),
    ],
)
def test_media_are_inline_or_by_address(part: Part, expected: dict[str, Any]) -> None:
    """With a media type in any case."""
    assert sent(says(Role.USER, part))[0][1] == [expected]


def test_bare_base64_of_a_pdf_is_known_by_its_look() -> None:
    """Some clients send no more."""
    part = sent(says(Role.USER, File("JVBERi0=")))[0][1][0]
    assert part["inlineData"]["mimeType"] == "application/pdf"


@pytest.mark.parametrize("part", [File(id="file-1"), Opaque("other", {"x": 1})])
def test_parts_that_only_another_provider_knows_are_refused(part: Part) -> None:
    """The question would be another one."""
    with pytest.raises(BadRequest) as caught:
        sent(user("a"), says(Role.USER, Text("b"), part))
    assert caught.value.param == "messages[1].content[1]"
    assert (caught.value.code or "").startswith("unsupported_")


# ---------------------------------------------------------------- tools and options

F = Tool("f", "d", {"type": "object"})
G = Tool("g", parameters={})


def test_functions_have_json_schemas() -> None:
    """As they are; an empty one says nothing."""
    assert written(foreign(tools=(F, G)))["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}},
                {"name": "g"},
            ]
        }
    ]


def test_tools_of_other_providers_are_refused() -> None:
    """Nobody here could run them."""
    with pytest.raises(BadRequest, match=r"tools\[1\]: this kind of tool") as caught:
        written(foreign(tools=(F, Tool("w", type="web_search"))))
    assert caught.value.code == "unsupported_tool"


@pytest.mark.parametrize(
    ("choice", "config", "declared"),
    [
        (ToolChoice(ToolMode.AUTO), {"mode": "AUTO"}, ["f", "g"]),
        (ToolChoice(ToolMode.NONE), {"mode": "NONE"}, ["f", "g"]),
        (ToolChoice(ToolMode.ANY), {"mode": "ANY"}, ["f", "g"]),
        (
            ToolChoice(ToolMode.NAMED, ("f",)),
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
            ["f", "g"],
        ),
        (
            ToolChoice(ToolMode.ANY, ("f", "g")),
            {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
            ["f", "g"],
        ),
        (ToolChoice(ToolMode.AUTO, ("f",), extra={"x": 1}), {"mode": "AUTO"}, ["f"]),
    ],
)
def test_choice_of_tools_is_told(
    choice: ToolChoice, config: dict[str, Any], declared: list[str]
) -> None:
    """Names go with ANY alone, so of tools that are only allowed the others are not declared."""
    body = written(foreign(tools=(F, G), tool_choice=choice))
    assert body["toolConfig"] == {"functionCallingConfig": config}
    (entry,) = body["tools"]
    assert [function["name"] for function in entry["functionDeclarations"]] == declared
    assert "toolConfig" not in written(foreign(tool_choice=choice))


def config(model: str = "gemini-2.5-flash", **options: Any) -> Any:
    """The generation config of a call with these options."""
    return written(foreign(options=Options(**options)), model).get("generationConfig")


def test_options_have_gemini_names() -> None:
    """All that it has a name for."""
    assert config(
        temperature=0.5,
        top_p=0.5,
        top_k=3,
        max_output_tokens=9,
        stop=("a",),
        seed=1,
        presence_penalty=1,
        frequency_penalty=2,
        choices=2,
        logprobs=True,
        top_logprobs=4,
    ) == {
        "temperature": 0.5,
        "topP": 0.5,
        "topK": 3,
        "maxOutputTokens": 9,
        "stopSequences": ["a"],
        "seed": 1,
        "presencePenalty": 1,
        "frequencyPenalty": 2,
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 4,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 3}, {"temperature": 2}),
        ({"temperature": -1}, {"temperature": 0}),
        # what is so anyway, and what some models refuse to hear
        ({"presence_penalty": 0, "frequency_penalty": 0.0, "choices": 1}, None),
        ({"logprobs": False, "top_logprobs": 3, "stop": ()}, None),
        ({"output_format": OutputFormat()}, {"responseMimeType": "application/json"}),
        (
            {"output_format": OutputFormat({"a": 1}, "n", "d", True)},
            {"responseMimeType": "application/json", "responseJsonSchema": {"a": 1}},
        ),
        (
            {"reasoning_effort": "low"},
            {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}},
        ),
    ],
)
def test_options_fit_the_service(options: dict[str, Any], expected: Any) -> None:
    """Its ranges, its schemas, its way of thinking."""
    assert config(**options) == expected
