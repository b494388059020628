"""The items of a Responses request: which there are, what they may hold and what is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from lipstream.emulators.openai_errors import refuse
from lipstream.emulators.openai_fields import check_one_of
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import (
    SeenCall,
    SeenMedia,
    SeenPart,
    SeenReasoning,
    SeenRefusal,
    SeenResult,
    SeenText,
    from_url,
    inline,
    parsed,
)

Speaker = Literal["user", "assistant", "system"]

_BUILT_IN = (
    "item_reference web_search_call file_search_call computer_call computer_call_output "
    "code_interpreter_call image_generation_call local_shell_call local_shell_call_output "
    "shell_call shell_call_output apply_patch_call apply_patch_call_output mcp_list_tools mcp_call "
    "mcp_approval_request mcp_approval_response tool_search_call tool_search_output "
    "additional_tools compaction"
)

ITEMS: dict[str, frozenset[str]] = {
    "message": frozenset(("type", "role", "content", "id", "status", "phase")),
    "function_call": frozenset(
        ("type", "id", "call_id", "name", "arguments", "status", "namespace", "caller")
    ),
    "function_call_output": frozenset(("type", "id", "call_id", "output", "status", "caller")),
    "custom_tool_call": frozenset(
        ("type", "id", "call_id", "name", "input", "status", "namespace", "caller")
    ),
    "custom_tool_call_output": frozenset(("type", "id", "call_id", "output", "status", "caller")),
    "reasoning": frozenset(("type", "id", "summary", "content", "encrypted_content", "status")),
    **dict.fromkeys(_BUILT_IN.split(), frozenset()),
}
"""Fields by item type; an empty set is not checked."""

ROLES = ("assistant", "system", "developer", "user")
INPUT = ("input_text", "input_image", "input_file", "input_audio")
OUTPUT = ("output_text", "refusal")


def see_item(item: Node) -> Iterator[tuple[Speaker, SeenPart]]:
    """What one item says and who says it; nothing for the items of built-in tools."""
    kind = item.value.get("type") or "message"
    if kind == "message":
        role = check_one_of(item.need("role"), ROLES)
        speaker: Speaker = "assistant" if role == "assistant" else "user"
        if role in ("system", "developer"):
            speaker = "system"
        for part in _content(item.need("content"), OUTPUT if role == "assistant" else INPUT):
            yield speaker, part
    elif kind in _READ:
        yield "user" if kind.endswith("_output") else "assistant", _READ[kind](item)


def _content(node: Node, allowed: tuple[str, ...]) -> Iterator[SeenPart]:
    if isinstance(node.value, str):
        yield SeenText(node.value)
        return
    for part in node.items():
        kind = check_one_of(part.need("type"), allowed)
        yield _PARTS[kind](part)


def _call(item: Node) -> SeenCall:
    item.need("call_id").text()
    is_custom = item.value["type"] == "custom_tool_call"
    arguments = item.need("input" if is_custom else "arguments").text()
    return SeenCall(item.value["call_id"], item.need("name").text(), parsed(arguments))


def _output(item: Node) -> SeenResult:
    parts = list(_content(item.need("output"), INPUT))
    text = "".join(part.text for part in parts if isinstance(part, SeenText))
    media = tuple(part for part in parts if isinstance(part, SeenMedia))
    return SeenResult(item.need("call_id").text(), None, text, media=media)


def _reasoning(item: Node) -> SeenReasoning:
    summary = [part.need("text").text() for part in item.need("summary").items()]
    content = [part.need("text").text() for part in item.at("content").items()]
    proof = item.at("encrypted_content")
    text = "\n\n".join(summary or content)
    return SeenReasoning(text, None if proof.is_missing else proof.text(), not text)


def _image(part: Node) -> SeenMedia:
    if not part.at("file_id").is_missing:
        return SeenMedia("image", source=part.at("file_id").text())
    return from_url("image", part.need("image_url").text())


def _file(part: Node) -> SeenMedia:
    name = part.at("filename").value
    for field in ("file_id", "file_url"):
        if not part.at(field).is_missing:
            return SeenMedia("document", source=part.at(field).text(), name=name)
    data = part.need("file_data")
    if not data.text().startswith("data:"):
        raise refuse(
            f"Invalid '{data.path}'. Expected a base64-encoded data URL with an application/pdf "
            "MIME type (e.g. 'data:application/pdf;base64,aGVsbG8='), but got a value without the "
            "'data:' prefix.",
            data.path,
            "invalid_value",
        )
    return from_url("document", data.text(), name)


def _audio(part: Node) -> SeenMedia:
    audio: Any = part.need("input_audio")
    return inline("audio", f"audio/{audio.need('format').text()}", audio.need("data").text())


_READ: dict[str, Callable[[Node], SeenPart]] = {
    "function_call": _call,
    "custom_tool_call": _call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "reasoning": _reasoning,
}

_PARTS: dict[str, Callable[[Node], SeenPart]] = {
    "input_text": lambda part: SeenText(part.need("text").text()),
    "output_text": lambda part: SeenText(part.need("text").text()),
    "refusal": lambda part: SeenRefusal(part.need("refusal").text()),
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
