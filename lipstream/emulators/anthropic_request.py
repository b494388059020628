"""What Anthropic's Messages API sees in a request and what it refuses.

https://docs.claude.com/en/api/messages. Turns of the same role may follow each other: the API
joins them, and so does what is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from lipstream.emulators.anthropic_blocks import (
    TOOL_NAME,
    check_known,
    check_pattern,
    said,
    see_block,
)
from lipstream.emulators.anthropic_errors import AnthropicWords, refuse
from lipstream.emulators.proofs import is_genuine
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import (
    Role,
    Seen,
    SeenCall,
    SeenPart,
    SeenReasoning,
    SeenResult,
    SeenText,
    SeenTool,
    turns_of,
)

FIELDS = (
    "model messages max_tokens system metadata stop_sequences stream temperature top_k top_p tools "
    "tool_choice thinking service_tier container mcp_servers context_management output_config "
    "output_format cache_control inference_geo speed betas"
)
COUNT_FIELDS = (
    "model messages system tools tool_choice thinking mcp_servers context_management output_config "
    "output_format cache_control speed betas"
)
TOOL_FIELDS = (
    "type name description input_schema cache_control strict eager_input_streaming defer_loading "
    "allowed_callers input_examples"
)

LEAST_BUDGET = 1024

_HELP = (
    " Please consult our documentation at "
    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
)
NO_THINKING = (
    "When `thinking` is enabled, a final `assistant` message must start with a thinking block "
    "(preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you "
    f"include thinking blocks from previous turns. To avoid this requirement, disable "
    f"`thinking`.{_HELP}"
)
NO_SYSTEM = (
    'messages: Unexpected role "{}". The Messages API accepts a top-level `system` parameter, not '
    '"{}" as an input message role.'
)


@attrs.frozen
class _Said:
    """One block as it was said, and where."""

    role: Role
    message: int
    block: int
    part: SeenPart


def see_messages(body: Any, *, is_count: bool = False) -> Seen:
    """The request's content; signatures are not checked here.

    Args:
        body: The parsed JSON.
        is_count: It asks for a count of tokens, which has fewer fields.

    Raises:
        Refused: The provider would answer 400.
    """
    root = Node(body, "", AnthropicWords())
    if not isinstance(body, dict):
        raise refuse("The request body is not valid JSON.")
    root.need("model").text()
    check_known(root, COUNT_FIELDS if is_count else FIELDS)
    if not is_count and root.need("max_tokens").whole() < 1:
        raise refuse("max_tokens: Input should be greater than or equal to 1")
    blocks = list(_blocks(root.need("messages")))
    _check_pairs(blocks)
    tools = tuple(_tools(root))
    options = _options(root, {tool.name for tool in tools})
    _check_thinking(root, blocks)
    turns = turns_of((said.role, said.part) for said in blocks)
    return Seen("\n\n".join(_system(root.at("system"))), turns, tools, options)


def check_signatures(seen: Seen, model: str) -> None:
    """Refuse thinking that this model has not signed as it comes back.

    Raises:
        Refused: As the provider does.
    """
    for turn in seen.turns:
        for part in turn.parts:
            if not isinstance(part, SeenReasoning):
                continue
            if part.is_redacted and not is_genuine(part.proof or "", model, "redacted"):
                raise refuse("messages: Invalid `data` in `redacted_thinking` block")
            if not part.is_redacted and not is_genuine(part.proof or "", model, part.text):
                raise refuse("messages: Invalid `signature` in `thinking` block")


# ---------------------------------------------------------------- messages


def _blocks(messages: Node) -> Iterator[_Said]:
    items = messages.items()
    if not items:
        raise refuse("messages: at least one message is required")
    for number, message in enumerate(items):
        role = _role(message)
        check_known(message, "role content")
        content = message.need("content")
        is_last = number == len(items) - 1
        if not content.value and not (is_last and role == "assistant"):
            raise refuse(
                f"{message.path}: all messages must have non-empty content except for the optional "
                "final assistant message"
            )
        for index, part in enumerate(_content(content, role)):
            yield _Said(role, number, index, part)
        if is_last and role == "assistant" and content.value:
            _check_prefill(content)


def _role(message: Node) -> Role:
    role = message.need("role").text()
    if role == "user":
        return "user"
    if role == "assistant":
        return "assistant"
    raise refuse(NO_SYSTEM.format(role, role))


def _content(content: Node, role: Role) -> Iterator[SeenPart]:
    if isinstance(content.value, str):
        if content.value:
            yield said(content)
        return
    for block in content.items():
        yield from see_block(block, role)


def _check_prefill(content: Node) -> None:
    last = content.value[-1].get("text") if isinstance(content.value, list) else content.value
    if isinstance(last, str) and last != last.rstrip():
        raise refuse("messages: final assistant content cannot end with trailing whitespace")


def _system(node: Node) -> Iterator[str]:
    if isinstance(node.value, str):
        if node.value:
            yield node.value
        return
    for block in node.items():
        check_known(block, "type text cache_control citations")
        yield said(block.need("text")).text


# ---------------------------------------------------------------- tool use


def _check_pairs(blocks: list[_Said]) -> None:
    """Calls are answered at once, first of all, each once; nothing else is answered."""
    ids = [said.part.id for said in blocks if isinstance(said.part, SeenCall)]
    if len(set(ids)) != len(ids):
        raise refuse("messages: `tool_use` ids must be unique")
    runs: list[list[_Said]] = []
    for said_block in blocks:
        if not runs or runs[-1][0].role != said_block.role:
            runs.append([])
        runs[-1].append(said_block)
    for before, run, after in zip([[], *runs], runs, [*runs[1:], []], strict=False):
        _check_results(run, _calls(before))
        calls = _calls(run)
        missing = [call_id for call_id in calls if call_id not in _leading_results(after)]
        if calls and missing:
            raise refuse(
                f"messages.{run[-1].message}: `tool_use` ids were found without `tool_result` "
                f"blocks immediately after: {', '.join(missing)}. Each `tool_use` block must have "
                "a corresponding `tool_result` block in the next message."
            )


def _check_results(run: list[_Said], calls: list[str]) -> None:
    results: list[str] = []
    for said_block in run:
        if not isinstance(said_block.part, SeenResult):
            continue
        call_id = said_block.part.call_id or ""
        where = f"messages.{said_block.message}.content.{said_block.block}"
        if call_id not in calls:
            raise refuse(
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {call_id}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous "
                "message."
            )
        if call_id in results:
            raise refuse(
                f"{where}: each tool_use must have a single result. Found multiple `tool_result` "
                f"blocks with id: {call_id}"
            )
        results.append(call_id)


def _calls(run: list[_Said]) -> list[str]:
    return [str(said.part.id) for said in run if isinstance(said.part, SeenCall)]


def _leading_results(run: list[_Said]) -> list[str]:
    """What is answered before anything else is said."""
    found: list[str] = []
    for said_block in run:
        if not isinstance(said_block.part, SeenResult):
            break
        found.append(said_block.part.call_id or "")
    return found


def _tools(root: Node) -> Iterator[SeenTool]:
    names: set[str] = set()
    for tool in root.at("tools").items():
        if tool.at("type").value not in (None, "custom"):
            continue
        inner = attrs.evolve(tool, path=f"{tool.path}.custom")
        check_known(inner, TOOL_FIELDS)
        name = check_pattern(inner.need("name"), TOOL_NAME)
        if name in names:
            raise refuse("tools: Tool names must be unique.")
        names.add(name)
        schema = inner.need("input_schema")
        if schema.need("type").value != "object":
            raise refuse(f"{schema.path}.type: Input should be 'object'")
        if (
            inner.at("strict").value is True
            and schema.at("additionalProperties").value is not False
        ):
            problem = "For 'object' type, 'additionalProperties' must be explicitly set to false"
            raise refuse(f"{inner.path}: {problem}")
        yield SeenTool(name, inner.text_at("description") or "", schema.value)


# ---------------------------------------------------------------- options

OPTIONS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop",
    "service_tier": "service_tier",
}
CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def _options(root: Node, tools: set[str]) -> dict[str, Any]:
    fields = root.table()
    found = {ours: fields[wire] for wire, ours in OPTIONS.items() if fields.get(wire) is not None}
    for name in ("temperature", "top_p"):
        if name in found and not 0 <= root.at(name).number() <= 1:
            raise refuse(f"{name}: range: 0..1")
    for stop in root.at("stop_sequences").items():
        if not stop.text().strip():
            raise refuse("stop_sequences: each stop sequence must contain non-whitespace")
    metadata = root.table_at("metadata")
    check_known(metadata, "user_id")
    if user := metadata.text_at("user_id"):
        found["user"] = user
    found |= _choice(root.at("tool_choice"), tools, has_tools=bool(fields.get("tools")))
    return found | _thinking(root) | _format(root)


def _choice(node: Node, tools: set[str], *, has_tools: bool) -> dict[str, Any]:
    if node.is_missing:
        return {}
    if not has_tools:
        raise refuse("tool_choice: may only be specified while providing tools")
    kind = node.need("type").text()
    found: dict[str, Any] = {}
    if node.at("disable_parallel_tool_use").value is True:
        found["parallel_tool_calls"] = False
    if kind == "tool":
        name = node.need("name").text()
        if tools and name not in tools:
            raise refuse(f"Tool '{name}' not found in provided tools")
        return found | {"tool_choice": {"name": name}}
    if kind not in CHOICES:
        expected = "'auto', 'any', 'tool', 'none'"
        raise refuse(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the "
            f"expected tags: {expected}"
        )
    return found | {"tool_choice": CHOICES[kind]}


def _thinking(root: Node) -> dict[str, Any]:
    thinking = root.at("thinking")
    found: dict[str, Any] = {}
    if effort := root.table_at("output_config").text_at("effort"):
        found["reasoning_effort"] = effort
    if thinking.is_missing:
        return found
    kind = thinking.need("type").text()
    if kind == "enabled":
        found["reasoning_budget"] = thinking.need("budget_tokens").whole()
    if kind != "disabled":
        found["shows_reasoning"] = thinking.value.get("display") != "omitted"
    return found


def _format(root: Node) -> dict[str, Any]:
    wanted = root.table_at("output_config").at("format")
    wanted = root.at("output_format") if wanted.is_missing else wanted
    return {} if wanted.is_missing else {"json_schema": wanted.need("schema").value}


def _check_thinking(root: Node, blocks: list[_Said]) -> None:
    """What enabled thinking asks of the rest of the request."""
    thinking = root.at("thinking")
    if thinking.is_missing or thinking.need("type").value not in ("enabled", "adaptive"):
        return
    fields = root.table()
    if root.table_at("tool_choice").at("type").value in ("any", "tool"):
        raise refuse("Thinking may not be enabled when tool_choice forces tool use.")
    if thinking.value["type"] == "adaptive":
        return
    budget = thinking.need("budget_tokens").whole()
    if budget < LEAST_BUDGET:
        least = f"Input should be greater than or equal to {LEAST_BUDGET}"
        raise refuse(f"thinking.enabled.budget_tokens: {least}")
    if "max_tokens" in fields and fields["max_tokens"] <= budget:
        raise refuse(f"`max_tokens` must be greater than `thinking.budget_tokens`.{_HELP}")
    if fields.get("temperature") not in (None, 1):
        raise refuse(f"`temperature` may only be set to 1 when thinking is enabled.{_HELP}")
    if fields.get("top_k") is not None:
        raise refuse(f"`top_k` must be unset when thinking is enabled.{_HELP}")
    _check_start(blocks)


def _check_start(blocks: list[_Said]) -> None:
    """In a tool loop the model's last turn starts with thinking."""
    if not blocks or not any(
        isinstance(said.part, SeenResult) for said in blocks if said.message == blocks[-1].message
    ):
        return
    last = max(said.message for said in blocks if said.role == "assistant")
    first = next(said for said in blocks if said.message == last)
    if not isinstance(first.part, SeenReasoning):
        kind = "text" if isinstance(first.part, SeenText) else "tool_use"
        found = f"Expected `thinking` or `redacted_thinking`, but found `{kind}`."
        raise refuse(f"messages.{last}.content.0.type: {found} {NO_THINKING}")
