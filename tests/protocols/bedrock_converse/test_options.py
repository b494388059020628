"""The options of calls, as each family of models takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical.call import Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import Reasoning, Text, ToolCall, ToolResult
from lipstream.canonical.seal import Seal
from lipstream.protocols.bedrock_converse.models import Family, family_of
from tests.protocols.bedrock_converse.building import (
    CLAUDE,
    HELLO,
    LLAMA,
    NOVA,
    NOVA_2,
    OPUS,
    assistant,
    body,
    call,
)
from tests.protocols.bedrock_converse.service_model import complaints

OLD = "anthropic.claude-3-haiku-20240307-v1:0"
SONNET_4 = "us.anthropic.claude-sonnet-4-20250514-v1:0"
OPUS_46 = "global.anthropic.claude-opus-4-6-v1"
FABLE = "anthropic.claude-fable-5"
OSS = "openai.gpt-oss-120b-1:0"


def sent(model: str = LLAMA, *messages: Message, **fields: Any) -> Any:
    """What a request says of how to generate."""
    made = body(call(*messages, **fields), model)
    assert complaints(made) == []
    return {name: value for name, value in made.items() if name not in ("messages", "toolConfig")}


def said(model: str = LLAMA, **options: Any) -> Any:
    """The same for some options."""
    return sent(model, options=Options(**options))


def test_nothing_said_is_nothing_sent() -> None:
    """The model's own defaults hold."""
    assert said() == {}


def test_common_options_have_a_place() -> None:
    """Within the service's bounds; blank stop sequences say nothing."""
    assert said(temperature=2, top_p=1.5, max_output_tokens=5, stop=("END", "", "\n")) == {
        "inferenceConfig": {
            "temperature": 1,
            "topP": 1,
            "maxTokens": 5,
            "stopSequences": ["END"],
        }
    }
    assert said(temperature=-1, max_output_tokens=0) == {"inferenceConfig": {"temperature": 0}}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (CLAUDE, {"top_k": 5}),
        (NOVA, {"inferenceConfig": {"topK": 5}}),
        (NOVA_2, {"inferenceConfig": {"topK": 5}}),
        (LLAMA, None),
        (OPUS, None),
    ],
)
def test_top_k_is_said_in_the_makers_words(model: str, expected: Any) -> None:
    """To those that take it."""
    assert said(model, top_k=5).get("additionalModelRequestFields") == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (SONNET_4, {"temperature": 0.5, "topP": 0.9}),
        (CLAUDE, {"temperature": 0.5}),
        (OPUS, None),
        (LLAMA, {"temperature": 0.5, "topP": 0.9}),
    ],
)
def test_sampling_is_what_the_model_takes(model: str, expected: Any) -> None:
    """Newer Claude models take one of two, or none."""
    assert said(model, temperature=0.5, top_p=0.9).get("inferenceConfig") == expected


def test_schema_is_text_whose_objects_are_closed() -> None:
    """With a name that fits; any JSON at all is not to be had."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": ["object", "null"]}, "b": {"anyOf": [{"type": "object"}]}},
        "$defs": {"c": {"type": "object", "additionalProperties": True}},
        "items": 5,
    }
    given = OutputFormat(schema, "my name!", "What")
    structure = said(CLAUDE, output_format=given)["outputConfig"]["textFormat"]["structure"]
    made = structure["jsonSchema"]
    assert (made["name"], made["description"]) == ("my_name_", "What")
    closed = json.loads(made["schema"])
    assert closed["additionalProperties"] is False
    assert closed["properties"]["a"]["additionalProperties"] is False
    assert closed["properties"]["b"]["anyOf"][0]["additionalProperties"] is False
    assert closed["$defs"]["c"]["additionalProperties"] is True
    (plain,) = said(output_format=OutputFormat({})).values()
    assert plain["textFormat"]["structure"] == {"jsonSchema": {"schema": "{}"}}
    assert said(output_format=OutputFormat()) == {}


def test_metadata_goes_into_the_logs_as_far_as_they_take_it() -> None:
    """Sixteen pairs of plain text."""
    given = {"a": "b", "n": 1, "long": "x" * 300, "bad": "{}", "": "x"}
    assert said(metadata=given) == {"requestMetadata": {"a": "b"}}
    many = {f"k{i}": "v" for i in range(20)}
    assert len(said(metadata=many)["requestMetadata"]) == 16


@pytest.mark.parametrize(
    ("tier", "expected"),
    [("flex", {"type": "flex"}), ("priority", {"type": "priority"}), ("auto", None), ("x", None)],
)
def test_service_tier_is_said_where_there_is_one(tier: str, expected: Any) -> None:
    """The default need not be."""
    assert said(service_tier=tier).get("serviceTier") == expected


# ---------------------------------------------------------------- reasoning


def thinking(model: str, *messages: Message, **options: Any) -> tuple[Any, Any]:
    """What is said of reasoning: the maker's own fields, and the effort."""
    found = sent(model, *messages, options=Options(**options))
    effort = found.get("outputConfig", {}).get("effort")
    return found.get("additionalModelRequestFields"), effort


def budget(tokens: int) -> Any:
    """Thinking by a budget."""
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"reasoning_effort": "low"}, budget(1024)),
        ({"reasoning_effort": "high"}, budget(24576)),
        ({"reasoning_effort": "max"}, budget(28_000)),
        ({"reasoning_effort": "odd"}, budget(8192)),
        ({"reasoning_budget": 5000}, budget(5000)),
        ({"reasoning_budget": 5}, budget(1024)),
        ({"reasoning_budget": -1}, budget(8192)),
        ({"reasoning_effort": "high", "max_output_tokens": 4000}, budget(2000)),
        ({"reasoning_budget": 3000, "max_output_tokens": 4000}, budget(3000)),
        ({"reasoning_budget": 5000, "max_output_tokens": 4000}, budget(2000)),
        ({"reasoning_effort": "high", "max_output_tokens": 1024}, None),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"reasoning_budget": 0}, {"thinking": {"type": "disabled"}}),
    ],
)
def test_older_claude_models_think_by_a_budget(options: Any, expected: Any) -> None:
    """It counts towards the limit, and has a least."""
    assert thinking(CLAUDE, **options) == (expected, None)


def test_thinking_by_a_budget_goes_with_little_else() -> None:
    """No temperature, no top_k, a high top_p."""
    found = said(SONNET_4, reasoning_budget=2000, temperature=0.5, top_k=5, top_p=0.5)
    assert found == {"additionalModelRequestFields": budget(2000)}
    found = said(SONNET_4, reasoning_budget=2000, top_p=0.97)
    assert found["inferenceConfig"] == {"topP": 0.97}


def test_thinking_by_a_budget_goes_without_a_forced_tool() -> None:
    """And not into a tool loop that did not begin with it."""
    options = Options(reasoning_budget=2000)
    forced = ToolChoice(ToolMode.ANY)
    assert sent(CLAUDE, options=options, tools=(Tool("f"),), tool_choice=forced) == {}
    assert sent(CLAUDE, options=options, tool_choice=forced) != {}
    result = Message(Role.TOOL, (ToolResult("a", (Text("1"),)),))
    proof = Reasoning("Hm.", Seal("bedrock_converse", "c2ln"))
    asks = ToolCall("a", "f", "{}")
    lost = sent(CLAUDE, HELLO, assistant(Text("I"), asks), result, options=options)
    kept = sent(CLAUDE, HELLO, assistant(proof, asks), result, options=options)
    assert (lost, kept) == ({}, {"additionalModelRequestFields": budget(2000)})


@pytest.mark.parametrize(
    ("model", "options", "more", "effort"),
    [
        (OPUS, {"reasoning_effort": "high"}, {"type": "adaptive", "display": "summarized"}, "high"),
        (OPUS, {"reasoning_effort": "xhigh"}, {"type": "adaptive", "display": "summarized"},
         "xhigh"),
        (OPUS_46, {"reasoning_effort": "xhigh"}, {"type": "adaptive"}, "high"),
        (OPUS_46, {"reasoning_effort": "minimal"}, {"type": "adaptive"}, "low"),
        (OPUS_46, {"reasoning_effort": "odd"}, {"type": "adaptive"}, None),
        (OPUS_46, {"reasoning_budget": -1}, {"type": "adaptive"}, None),
        (OPUS_46, {"reasoning_budget": 8000}, {"type": "adaptive"}, "medium"),
        (OPUS_46, {"reasoning_effort": "low", "reasoning_summary": "none"},
         {"type": "adaptive", "display": "omitted"}, "low"),
        (OPUS_46, {"reasoning_effort": "none"}, {"type": "disabled"}, None),
        (FABLE, {"reasoning_effort": "none"}, None, "low"),
        (OLD, {"reasoning_effort": "none"}, None, None),
        (OLD, {"reasoning_effort": "high"}, None, None),
    ],
)  # fmt: skip
def test_newer_claude_models_take_an_effort(
    model: str, options: Any, more: Any, effort: str | None
) -> None:
    """And think as they see fit, shown unless the client wants it hidden; the oldest do not."""
    expected = None if more is None else {"thinking": more}
    assert thinking(model, **options) == (expected, effort)


def test_forced_tool_goes_without_thinking_in_newer_models() -> None:
    """The effort still holds."""
    found = sent(
        OPUS_46,
        options=Options(reasoning_effort="low"),
        tools=(Tool("f"),),
        tool_choice=ToolChoice(ToolMode.NAMED, ("f",)),
    )
    assert found == {"outputConfig": {"effort": "low"}}


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        (OSS, "low", {"reasoning_effort": "low"}),
        (OSS, "none", {"reasoning_effort": "low"}),
        (OSS, "max", {"reasoning_effort": "high"}),
        (OSS, "odd", {"reasoning_effort": "medium"}),
        (NOVA_2, "minimal", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        (NOVA_2, "high", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        (NOVA_2, "none", None),
        (NOVA, "high", None),
        (LLAMA, "high", None),
    ],
)
def test_other_models_take_one_of_three_efforts(model: str, effort: str, expected: Any) -> None:
    """Or are not told."""
    assert thinking(model, reasoning_effort=effort) == (expected, None)


def test_highest_effort_of_nova_goes_without_a_limit() -> None:
    """A client's limit is worth more than its effort."""
    found = said(NOVA_2, reasoning_effort="high", temperature=0.5, top_k=3, stop=("x",))
    assert found["inferenceConfig"] == {"stopSequences": ["x"]}
    assert "inferenceConfig" not in found["additionalModelRequestFields"]
    found = said(NOVA_2, reasoning_effort="high", max_output_tokens=5)
    config = found["additionalModelRequestFields"]["reasoningConfig"]
    assert config["maxReasoningEffort"] == "medium"


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x", Family.CLAUDE),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", Family.OTHER),
        ("eu.amazon.nova-premier-v1:0", Family.NOVA),
        ("AMAZON.NOVA-2-LITE-V1:0", Family.NOVA_2),
        ("mistral.pixtral-large-2502-v1:0", Family.MISTRAL),
        ("openai.gpt-oss-20b-1:0", Family.GPT_OSS),
        ("", Family.OTHER),
    ],
)
def test_family_is_told_by_the_id(model: str, family: Family) -> None:
    """In every form that it has."""
    assert family_of(model) is family
