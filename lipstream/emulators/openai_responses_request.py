"""What OpenAI's Responses API sees in a request and what it refuses.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lipstream.emulators.openai_errors import OpenAIWords, refuse
from lipstream.emulators.openai_fields import (
    check_length,
    check_one_of,
    check_schema,
    choice,
    function,
    plain,
    sampling,
)
from lipstream.emulators.openai_responses_items import ITEMS, see_item
from lipstream.emulators.proofs import is_genuine, is_stamped
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import Role, Seen, SeenPart, SeenText, SeenTool, turns_of

CALL_ID = 64
"""Characters of a call's id and of any item's id at most."""

LEAST_OUTPUT = 16

_FIELDS = (
    "background context_management conversation frequency_penalty include input instructions "
    "max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls "
    "presence_penalty previous_response_id prompt prompt_cache_key prompt_cache_options "
    "prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options "
    "temperature text tool_choice tools top_logprobs top_p truncation user"
)
FIELDS = frozenset(_FIELDS.split())

MOVED = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}

INCLUDES = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)

OPTIONS = {
    "max_output_tokens": "max_tokens",
    "user": "user",
    "parallel_tool_calls": "parallel_tool_calls",
    "service_tier": "service_tier",
}

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")

NO_INPUT = (
    "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be "
    "provided."
)
NO_JSON = (
    "Response input messages must contain the word 'json' in some form to use 'text.format' of "
    "type 'json_object'."
)


def see_responses(body: Any) -> Seen:
    """The request's content; proofs are not checked here.

    Raises:
        Refused: The provider would answer 400.
    """
    root = Node(body, "", OpenAIWords())
    if not isinstance(body, dict):
        raise refuse("We could not parse the JSON body of your request.")
    _check_fields(root)
    has_past = any(body.get(name) for name in ("previous_response_id", "conversation"))
    if body.get("input") is None and not (has_past or body.get("prompt")):
        raise refuse(NO_INPUT, code="missing_required_parameter")
    if not body.get("prompt"):
        root.need("model").text()
    items = _items(root.at("input"))
    for item in items:
        _check_ids(item)
    _check_order(items)
    if not has_past:
        _check_pairs(items)
    system = [] if root.at("instructions").is_missing else [root.at("instructions").text()]
    said: list[tuple[Role, SeenPart]] = []
    for item in items:
        for role, part in see_item(item):
            if role == "system":
                system += [part.text] if isinstance(part, SeenText) else []
            else:
                said.append((role, part))
    options = _options(root)
    return Seen("\n\n".join(filter(None, system)), turns_of(said), tuple(_tools(root)), options)


def check_reasoning(body: Any, model: str) -> None:
    """Refuse encrypted reasoning that this model has not made, and references to none that is kept.

    Raises:
        Refused: As the provider does.
    """
    for item in _items(Node(body, "", OpenAIWords()).at("input")):
        if item.value.get("type") != "reasoning":
            continue
        proof, item_id = item.value.get("encrypted_content"), item.value.get("id")
        if proof is not None and not is_genuine(str(proof).removeprefix("gAAAA"), model):
            what = f"item {item_id}" if item_id else f"{str(proof)[:12]}..."
            reason = "Encrypted content could not be decrypted or parsed."
            message = f"The encrypted content for {what} could not be verified. Reason: {reason}"
            raise refuse(message, None, "invalid_encrypted_content")
        if proof is None and not is_stamped(str(item_id).removeprefix("rs_"), "stored"):
            message = (
                f"Item with id '{item_id}' not found. Items are not persisted when `store` is set "
                "to false. Try again with `store` set to true, or remove this item from your input."
            )
            raise refuse(message, "input", status=404)


# ---------------------------------------------------------------- items


def _items(given: Node) -> list[Node]:
    """The input's items; a string is one message of the user."""
    if isinstance(given.value, str):
        return [Node({"role": "user", "content": given.value}, "input", given.words)]
    items = given.items()
    for item in items:
        kind = item.at("type")
        if kind.is_missing:
            item.need("role")
        else:
            check_one_of(kind, tuple(ITEMS))
        known = ITEMS[kind.value or "message"]
        for name, node in item.fields():
            if known and name not in known:
                raise refuse(f"Unknown parameter: '{node.path}'.", node.path, "unknown_parameter")
    return items


PREFIXES = {"message": "msg", "function_call": "fc", "reasoning": "rs"}


def _check_ids(item: Node) -> None:
    node, prefix = item.at("id"), PREFIXES.get(item.value.get("type") or "message")
    if not node.is_missing and prefix:
        item_id = check_length(node, CALL_ID)
        if not item_id.startswith(prefix):
            expected = f"'{item_id}'. Expected an ID that begins with '{prefix}'."
            raise refuse(f"Invalid '{node.path}': {expected}", node.path, "invalid_value")
    if not item.at("call_id").is_missing:
        check_length(item.at("call_id"), CALL_ID)


def _check_order(items: list[Node]) -> None:
    """Reasoning is never the last thing before the user speaks or a tool answers."""
    for item, following in zip(items, [*items[1:], None], strict=False):
        if item.value.get("type") != "reasoning":
            continue
        kind = (following.value.get("type") or "message") if following else "nothing"
        is_model = kind == "reasoning" or kind.endswith("_call")
        if following and kind == "message":
            is_model = following.value.get("role") == "assistant"
        if not is_model:
            what = f"Item '{item.value.get('id')}' of type 'reasoning'"
            raise refuse(f"{what} was provided without its required following item.", "input")


def _check_pairs(items: list[Node]) -> None:
    known = [i.value.get("call_id") for i in items if not _is_output(i)]
    for kind in ("function_call", "custom_tool_call"):
        calls = [i.need("call_id").text() for i in items if i.value.get("type") == kind]
        given = [i for i in items if i.value.get("type") == f"{kind}_output"]
        outputs = [item.need("call_id").text() for item in given]
        words = "function call" if kind == "function_call" else "custom tool call"
        for call_id in outputs:
            if call_id not in known:
                problem = f"No tool call found for {words} output with call_id {call_id}."
                raise refuse(problem, "input")
        for call_id in calls:
            if call_id not in outputs:
                raise refuse(f"No tool output found for {words} {call_id}.", "input")


def _is_output(item: Node) -> bool:
    return str(item.value.get("type")).endswith("_output")


# ---------------------------------------------------------------- options


def _check_fields(root: Node) -> None:
    for name, node in root.fields():
        if name in MOVED:
            message = (
                f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved "
                f"to '{MOVED[name]}'. Try again with the new parameter. See the API documentation "
                "for more information: "
                "https://platform.openai.com/docs/api-reference/responses/create."
            )
            raise refuse(message, name, "unsupported_parameter")
        if name not in FIELDS:
            raise refuse(f"Unknown parameter: '{node.path}'.", node.path, "unknown_parameter")
    for node in root.at("include").items():
        check_one_of(node, INCLUDES)
    least = root.at("max_output_tokens")
    if not least.is_missing and least.whole() < LEAST_OUTPUT:
        problem = f"integer below minimum value. Expected a value >= {LEAST_OUTPUT}, but got"
        message = f"Invalid '{least.path}': {problem} {least.value} instead."
        raise refuse(message, least.path, "integer_below_min_value")


def _tools(root: Node) -> Iterator[SeenTool]:
    for tool in root.at("tools").items():
        if tool.need("type").value == "function":
            yield function(tool)


def _options(root: Node) -> dict[str, Any]:
    found = {**plain(root, OPTIONS), **sampling(root), **_reasoning(root.at("reasoning"))}
    tool_choice = root.at("tool_choice")
    if not tool_choice.is_missing:
        found["tool_choice"] = _choice(tool_choice)
    text = root.at("text")
    if text.is_missing:
        return found
    return found | plain(text, {"verbosity": "verbosity"}) | _format(root, text.at("format"))


def _choice(node: Node) -> Any:
    if not isinstance(node.value, dict):
        return choice(node, None)
    nested = node.at("function")
    if not nested.is_missing:
        raise refuse(f"Unknown parameter: '{nested.path}'.", nested.path, "unknown_parameter")
    return choice(node, node if node.need("type").value == "function" else None)


def _reasoning(node: Node) -> dict[str, Any]:
    if node.is_missing:
        return {}
    found: dict[str, Any] = {}
    if not node.at("effort").is_missing:
        found["reasoning_effort"] = check_one_of(node.at("effort"), EFFORTS)
    if not node.at("summary").is_missing:
        check_one_of(node.at("summary"), ("concise", "detailed", "auto"))
        found["shows_reasoning"] = True
    return found


def _format(root: Node, node: Node) -> dict[str, Any]:
    if node.is_missing:
        return {}
    kind = check_one_of(node.need("type"), ("json_object", "json_schema", "text"))
    if kind == "json_object":
        if "json" not in str(root.at("input").value).lower():
            raise refuse(NO_JSON, "input")
        return {"json_mode": True}
    if kind == "text":
        return {}
    schema, what = node.need("schema"), f"response_format '{node.need('name').text()}'"
    check_schema(schema, what, "invalid_json_schema", node.at("strict").value)
    return {"json_schema": schema.value}
