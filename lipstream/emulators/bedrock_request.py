"""What Bedrock's Converse sees in a request and what it refuses.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lipstream.emulators.bedrock_blocks import (
    TOOL_NAME,
    check_known,
    check_name,
    only_field,
    said,
    see_block,
)
from lipstream.emulators.bedrock_errors import BedrockWords, refuse, unmet
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import (
    Role,
    Seen,
    SeenCall,
    SeenMedia,
    SeenPart,
    SeenReasoning,
    SeenResult,
    SeenText,
    SeenTool,
    turns_of,
)

FIELDS = (
    "messages system inferenceConfig toolConfig guardrailConfig additionalModelRequestFields "
    "promptVariables additionalModelResponseFieldPaths requestMetadata performanceConfig "
    "serviceTier outputConfig"
)
LEAST_BUDGET = 1024

_Turn = tuple[Role, list[SeenPart]]


def see_converse(body: Any, model: str) -> Seen:
    """The request's content.

    Raises:
        Refused: The service would answer 400.
    """
    root = Node(body, "", BedrockWords())
    if not isinstance(body, dict):
        raise refuse("The request body is not valid JSON.")
    check_known(root, FIELDS)
    turns = list(_turns(root.need("messages"), model))
    _check_pairs(turns)
    _check_documents(turns)
    tools = tuple(_tools(root))
    uses_tools = any(
        isinstance(part, SeenCall | SeenResult) for _, parts in turns for part in parts
    )
    if uses_tools and not tools:
        raise refuse(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )
    options = _options(root, {tool.name for tool in tools})
    _check_thinking(root, turns)
    pairs = ((role, part) for role, parts in turns for part in parts)
    return Seen("\n\n".join(_system(root.at("system"))), turns_of(pairs), tools, options)


# ---------------------------------------------------------------- messages


def _turns(messages: Node, model: str) -> Iterator[_Turn]:
    items = messages.items()
    if not items:
        raise unmet("messages", "[]", "have length greater than or equal to 1")
    before = "assistant"
    for number, message in enumerate(items):
        check_known(message, "role content")
        role = _role(message.need("role"))
        if number == 0 and role != "user":
            raise refuse(
                "A conversation must start with a user message. Try again with a conversation that "
                "starts with a user message."
            )
        if role == before:
            raise refuse(
                "A conversation must alternate between user and assistant roles. Make sure the "
                "conversation alternates between user and assistant roles and try again."
            )
        before = role
        blocks = message.need("content").items()
        if not blocks:
            raise refuse(
                f"The content field in the Message object at {message.path} is empty. Add a "
                "ContentBlock object to the content field and try again."
            )
        _check_end(blocks[-1], is_last=number == len(items) - 1, role=role)
        parts = (see_block(block, role, model) for block in blocks)
        yield role, [part for part in parts if part is not None]


def _role(node: Node) -> Role:
    role = node.text()
    if role == "user":
        return "user"
    if role == "assistant":
        return "assistant"
    raise unmet(node.path, role, "satisfy enum value set: [user, assistant]")


def _check_end(block: Node, *, is_last: bool, role: str) -> None:
    text = block.at("text").value
    if is_last and role == "assistant" and isinstance(text, str) and text != text.rstrip():
        raise refuse("final assistant content cannot end with trailing whitespace")


def _system(node: Node) -> Iterator[str]:
    for block in node.items():
        if only_field(block) == "text":
            yield said(block.at("text")).text


def _check_pairs(turns: list[_Turn]) -> None:
    """Calls are answered in the next turn, each once; nothing else is answered."""
    for number, (_, parts) in enumerate(turns):
        calls = [part.id for part in parts if isinstance(part, SeenCall)]
        answers = _results(turns[number + 1]) if number + 1 < len(turns) else []
        missing = [call_id for call_id in calls if call_id not in answers]
        if missing:
            raise refuse(
                f"Expected toolResult blocks at messages.{number + 1}.content for the following "
                f"Ids: {', '.join(map(str, missing))}"
            )
        if len(calls) != len(set(calls)):
            raise refuse(f"messages.{number}.content: toolUse ids must be unique")
        asked = [p.id for p in turns[number - 1][1] if isinstance(p, SeenCall)] if number else []
        results = _results(turns[number])
        if len(results) > len(asked) or not set(results) <= set(asked):
            raise refuse(
                f"The number of toolResult blocks at messages.{number}.content exceeds the number "
                "of toolUse blocks of previous turn."
            )


def _results(turn: _Turn) -> list[str | None]:
    return [part.call_id for part in turn[1] if isinstance(part, SeenResult)]


def _check_documents(turns: list[_Turn]) -> None:
    names: set[str | None] = set()
    for number, (_, parts) in enumerate(turns):
        documents = [p for p in parts if isinstance(p, SeenMedia) and p.kind == "document"]
        if documents and not any(isinstance(part, SeenText) for part in parts):
            raise refuse(
                f"messages.{number}: Add a text block to the content when it has a document block"
            )
        inner = (m for p in parts if isinstance(p, SeenResult) for m in p.media)
        for document in (*documents, *(m for m in inner if m.kind == "document")):
            if document.name in names:
                raise refuse("Your conversation contains duplicate document names. Try again.")
            names.add(document.name)


# ---------------------------------------------------------------- tools


def _tools(root: Node) -> Iterator[SeenTool]:
    config = root.at("toolConfig")
    if config.is_missing:
        return
    check_known(config, "tools toolChoice")
    items = config.need("tools").items()
    if not items:
        raise unmet("toolConfig.tools", "[]", "have length greater than or equal to 1")
    names: set[str] = set()
    for tool in items:
        if only_field(tool) != "toolSpec":
            continue
        spec = tool.at("toolSpec")
        check_known(spec, "name description inputSchema strict")
        name = check_name(spec.need("name"), TOOL_NAME)
        if name in names:
            raise refuse(f"The tool name {name} is used more than once in toolConfig")
        names.add(name)
        if spec.at("description").value == "":
            path = spec.at("description").path
            raise unmet(path, "", "have length greater than or equal to 1")
        schema = spec.need("inputSchema").need("json")
        if schema.need("type").value != "object":
            raise refuse(f"The value at {schema.path}.type must be one of the following: object.")
        yield SeenTool(name, spec.text_at("description") or "", schema.value)


# ---------------------------------------------------------------- options

_RANGES = {"temperature": (0, 1), "topP": (0, 1), "maxTokens": (1, 2**31)}
_OPTIONS = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
}


def _options(root: Node, tools: set[str]) -> dict[str, Any]:
    config = root.table_at("inferenceConfig")
    check_known(config, " ".join(_OPTIONS))
    for name, (low, high) in _RANGES.items():
        node = config.at(name)
        if not node.is_missing and not low <= node.number() <= high:
            bound = f"less than or equal to {high}" if node.value > high else f"at least {low}"
            raise unmet(node.path, node.value, f"have value {bound}")
    for stop in config.at("stopSequences").items():
        if not stop.text():
            raise unmet(stop.path, "", "have length greater than or equal to 1")
    found = {ours: value.value for wire, value in config.fields() if (ours := _OPTIONS[wire])}
    tier = root.at("serviceTier")
    if not tier.is_missing:
        found["service_tier"] = tier.need("type").text()
    return found | _choice(root.table_at("toolConfig"), tools) | _more(root)


def _choice(config: Node, tools: set[str]) -> dict[str, Any]:
    choice = config.at("toolChoice")
    if choice.is_missing:
        return {}
    kind = only_field(choice)
    if kind in ("auto", "any"):
        return {"tool_choice": "required" if kind == "any" else "auto"}
    name = choice.need("tool").need("name").text()
    if name not in tools:
        raise refuse(f"The tool {name} in toolConfig.toolChoice is not in toolConfig.tools")
    return {"tool_choice": {"name": name}}


def _more(root: Node) -> dict[str, Any]:
    """What the model's maker takes, and structured output."""
    more, output = root.table_at("additionalModelRequestFields"), root.table_at("outputConfig")
    found: dict[str, Any] = {}
    nova, reasoning = more.table_at("inferenceConfig"), more.table_at("reasoningConfig")
    thinking = more.table_at("thinking")
    for name, node in (
        ("top_k", more.at("top_k")),
        ("top_k", nova.at("topK")),
        ("reasoning_effort", more.at("reasoning_effort")),
        ("reasoning_effort", reasoning.at("maxReasoningEffort")),
        ("reasoning_effort", output.at("effort")),
        ("reasoning_budget", thinking.at("budget_tokens")),
    ):
        if not node.is_missing:
            found[name] = node.value
    form = output.at("textFormat")
    if not form.is_missing:
        found["json_schema"] = form.need("structure").need("jsonSchema").need("schema").text()
    return found


def _check_thinking(root: Node, turns: list[_Turn]) -> None:
    """What enabled thinking asks of the rest of the request."""
    thinking = root.table_at("additionalModelRequestFields").table_at("thinking")
    if thinking.at("type").value not in ("enabled", "adaptive"):
        return
    if "auto" not in root.table_at("toolConfig").table_at("toolChoice").table() and not (
        root.table_at("toolConfig").at("toolChoice").is_missing
    ):
        raise refuse("Thinking may not be enabled when tool_choice forces tool use.")
    if thinking.value["type"] == "adaptive":
        return
    budget, config = thinking.need("budget_tokens").whole(), root.table_at("inferenceConfig")
    if budget < LEAST_BUDGET:
        raise refuse(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        )
    limit = config.at("maxTokens")
    if not limit.is_missing and limit.whole() <= budget:
        raise refuse("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if config.at("temperature").value not in (None, 1):
        raise refuse("`temperature` may only be set to 1 when thinking is enabled.")
    answers = [parts for role, parts in turns if role == "assistant"]
    if answers and _results(turns[-1]) and not isinstance(answers[-1][0], SeenReasoning):
        raise refuse("Expected `thinking` or `redacted_thinking`, but found `tool_use`.")
