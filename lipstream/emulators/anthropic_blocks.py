"""The content blocks of a Messages request: what they may hold and what is seen of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from lipstream.emulators.anthropic_errors import refuse
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import (
    SeenCall,
    SeenMedia,
    SeenPart,
    SeenReasoning,
    SeenResult,
    SeenText,
    inline,
    kind_of,
)

CALL_ID = "^[a-zA-Z0-9_-]+$"
TOOL_NAME = "^[a-zA-Z0-9_-]{1,128}$"

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")

FIELDS = {
    "text": "type text cache_control citations",
    "image": "type source cache_control",
    "document": "type source title context citations cache_control",
    "tool_use": "type id name input cache_control caller",
    "tool_result": "type tool_use_id content is_error cache_control",
    "thinking": "type thinking signature",
    "redacted_thinking": "type data",
}

_OTHERS = (
    "server_tool_use web_search_tool_result web_fetch_tool_result code_execution_tool_result "
    "bash_code_execution_tool_result text_editor_code_execution_tool_result mcp_tool_use "
    "mcp_tool_result search_result container_upload compaction tool_reference "
    "tool_search_tool_result fallback"
)
OTHERS = frozenset(_OTHERS.split())
"""Blocks that pass unseen."""

BY_USER = frozenset({"tool_result", "image", "document"})
BY_MODEL = frozenset({"tool_use", "thinking", "redacted_thinking"})


def see_block(block: Node, role: str) -> Iterator[SeenPart]:
    """What a block says; nothing for those of server tools."""
    kind = block.need("type").text()
    if kind in OTHERS:
        return
    if kind not in FIELDS:
        expected = ", ".join(f"'{name}'" for name in sorted({*FIELDS, *OTHERS}))
        raise refuse(
            f"{block.path}: Input tag '{kind}' found using 'type' does not match any of the "
            f"expected tags: {expected}"
        )
    if kind in (BY_MODEL if role == "user" else BY_USER):
        where = "assistant" if role == "user" else "user"
        message = block.path.rpartition(".content.")[0]
        raise refuse(f"{message}: `{kind}` blocks can only be in `{where}` messages")
    inner = attrs.evolve(block, path=f"{block.path}.{kind}")
    check_known(inner, FIELDS[kind])
    yield _READ[kind](inner)


def check_known(node: Node, known: str) -> None:
    """Refuse fields that are none of these."""
    allowed = known.split()
    for name, field in node.fields():
        if name not in allowed:
            raise refuse(f"{field.path}: Extra inputs are not permitted")


def check_pattern(node: Node, pattern: str) -> str:
    """The string, refused if it does not match."""
    text = node.text()
    if not re.search(pattern, text) or text.endswith("\n"):
        raise refuse(f"{node.path}: String should match pattern '{pattern}'")
    return text


def said(node: Node) -> SeenText:
    """Text that says something."""
    text, where = node.text(), node.path.partition(".")[0]
    if not text:
        raise refuse(f"{where}: text content blocks must be non-empty")
    if not text.strip():
        raise refuse(f"{where}: text content blocks must contain non-whitespace text")
    return SeenText(text)


def _thinking(block: Node) -> SeenReasoning:
    return SeenReasoning(block.need("thinking").text(), block.need("signature").text())


def _redacted(block: Node) -> SeenReasoning:
    return SeenReasoning("", block.need("data").text(), is_redacted=True)


def _tool_use(block: Node) -> SeenCall:
    call_id = check_pattern(block.need("id"), CALL_ID)
    name = check_pattern(block.need("name"), "^[a-zA-Z0-9_-]{1,200}$")
    return SeenCall(call_id, name, block.need("input").table())


def _tool_result(block: Node) -> SeenResult:
    call_id = check_pattern(block.need("tool_use_id"), CALL_ID)
    content = block.at("content")
    is_error = block.at("is_error").value is True
    parts: list[SeenPart] = []
    if isinstance(content.value, str):
        parts = [SeenText(content.value)] if content.value else []
    else:
        for item in content.items():
            parts += see_block(item, "user")
    media = tuple(part for part in parts if isinstance(part, SeenMedia))
    where = block.path.removesuffix(".tool_result")
    if is_error and not parts:
        raise refuse(f"{where}: content cannot be empty if `is_error` is true")
    if is_error and media:
        raise refuse(f'{where}: all content must be type "text" if `is_error` is true')
    text = "".join(part.text for part in parts if isinstance(part, SeenText))
    return SeenResult(call_id, None, text, is_error, media)


def _image(block: Node) -> SeenMedia:
    source = block.need("source")
    kind = source.need("type").text()
    if kind != "base64":
        return _elsewhere(source, kind, "image")
    media_type = attrs.evolve(source, path=f"{source.path}.base64").need("media_type")
    if media_type.text() not in IMAGE_TYPES:
        *others, last = (f"'{name}'" for name in IMAGE_TYPES)
        raise refuse(f"{media_type.path}: Input should be {', '.join(others)} or {last}")
    return _inline(source, "image")


def _document(block: Node) -> SeenMedia:
    source, title = block.need("source"), block.at("title").value
    kind = source.need("type").text()
    if kind == "base64":
        media_type = attrs.evolve(source, path=f"{source.path}.base64").need("media_type")
        if media_type.text() != "application/pdf":
            raise refuse(f"{media_type.path}: Input should be 'application/pdf'")
        media = _inline(source, "document")
    elif kind == "text":
        size = len(source.need("data").text().encode())
        media = SeenMedia("document", source.need("media_type").text(), size)
    else:
        media = _elsewhere(source, kind, "document")
    return attrs.evolve(media, name=title)


def _inline(source: Node, kind: str) -> SeenMedia:
    media = inline(kind, source.value["media_type"], source.need("data").text())
    if not media.size or media.size < 0:
        raise refuse(f"{source.path}.base64.data: Invalid base64 data")
    return media


def _elsewhere(source: Node, kind: str, what: str) -> SeenMedia:
    if kind == "content":
        return SeenMedia(what, "text/plain", len(str(source.need("content").value)))
    field: Any = {"url": "url", "file": "file_id"}.get(kind)
    if field is None:
        expected = "'base64', 'content', 'file', 'text', 'url'"
        raise refuse(
            f"{source.path}: Input tag '{kind}' found using 'type' does not match any of the "
            f"expected tags: {expected}"
        )
    return SeenMedia(kind_of(f"{what}/*"), source=source.need(field).text())


_READ: dict[str, Callable[[Node], SeenPart]] = {
    "text": lambda block: said(block.need("text")),
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}
