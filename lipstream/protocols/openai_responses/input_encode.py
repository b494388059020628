"""Messages to the input of a request: the items that they were, or those that say the same."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.parts import (
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from lipstream.framing.json_fields import merge_fields
from lipstream.protocols.openai_responses.content import encode_content
from lipstream.protocols.openai_responses.items import ELSEWHERE, INSTRUCTIONS, ITEM, PLAIN
from lipstream.protocols.openai_responses.reasoning import encode_item
from lipstream.protocols.openai_responses.wire import (
    CALLS,
    CUSTOM_CALL,
    FUNCTION_CALL,
    NAME,
    Fields,
)

MAX_CALL_ID = 64  # characters, with OpenAI


def encode_input(call: Call, *, is_own: bool) -> Fields:
    """``instructions`` and ``input``, as far as there is anything to say in them.

    Raises:
        BadRequest: a part cannot be said in this protocol.
    """
    return _own_input(call.messages) if is_own else _foreign_input(call.messages)


# ---------------------------------------------------------------- a call in this dialect


def _own_input(messages: tuple[Message, ...]) -> Fields:
    fields: Fields = {}
    items: list[Fields] = []
    plain: list[str] = []
    for i, message in enumerate(messages):
        path = f"messages[{i}]"
        kind = message.extra.get("role")
        if kind == INSTRUCTIONS["role"]:
            fields["instructions"] = _text(message.parts)
        elif kind == PLAIN["role"]:
            plain.append(_text(message.parts))
            items.append({"role": message.role.value, "content": plain[0]})
        elif kind == ITEM["role"]:
            items.extend(dict(part.value) for part in message.parts if isinstance(part, Opaque))
        elif kind != ELSEWHERE["role"]:
            items.extend(_own_message(message, path))
    if items:
        fields["input"] = plain[0] if plain and len(items) == 1 else items
    return fields


def _own_message(message: Message, path: str) -> Iterable[Fields]:
    if message.role is Role.TOOL:
        return [_own_result(part, path) for part in message.parts if isinstance(part, ToolResult)]
    if message.role is Role.ASSISTANT:
        return _own_turn(message, path)
    fields: Fields = {"role": message.role.value}
    if message.parts or "content" not in message.extra:
        fields["content"] = encode_content(message.parts, f"{path}.content", is_own=True)
    return [merge_fields(fields, message.extra)]


def _own_result(part: ToolResult, path: str) -> Fields:
    fields: Fields = {"type": "function_call_output", "call_id": part.call_id}
    if part.content or "output" not in part.extra:
        fields["output"] = encode_content(part.content, f"{path}.output", is_own=True)
    if "type" in part.extra:
        fields["type"] = part.extra["type"]
    return merge_fields(fields, part.extra)


def _own_turn(message: Message, path: str) -> list[Fields]:
    """The items that a turn was put together from; what was added since is one of its own."""
    items: list[Fields] = []
    said: list[Part] = []  # of the message under way

    def end_message() -> None:
        if said:
            items.append(_own_said(said, path))
            said.clear()

    for part in message.parts:
        is_item = isinstance(part, ToolCall | Reasoning)
        if is_item or (isinstance(part, Opaque) and "content" not in part.extra):
            end_message()
            item = _own_item(part)
            if item is not None:
                items.append(item)
            continue
        if part.extra.get("content", part) is not None:
            end_message()
        said.append(part)
    end_message()
    return items


def _own_said(parts: list[Part], path: str) -> Fields:
    """One message of the assistant."""
    content = encode_content(parts, f"{path}.content", is_own=True, text_type="output_text")
    fields: Fields = {"role": "assistant", "content": content}
    beside = parts[0].extra.get("content")
    return merge_fields(fields, beside) if isinstance(beside, dict) else fields


def _own_item(part: Part) -> Fields | None:
    if isinstance(part, ToolCall):
        fields = _call(part, part.id, part.arguments)
        if not part.arguments:  # as it was: empty, null, or not there at all
            del fields[CALLS[str(fields["type"])]]
        return merge_fields(fields, part.extra)
    if isinstance(part, Reasoning):
        kept = part.extra.get("content")
        if part.seal is not None and part.seal.dialect != NAME:
            return None
        return dict(kept) if isinstance(kept, dict) else encode_item(part)
    return dict(part.value) if isinstance(part, Opaque) and part.dialect == NAME else None


# ---------------------------------------------------------------- a call in another dialect


def _foreign_input(messages: tuple[Message, ...]) -> Fields:
    head = 0
    while head < len(messages) and _is_instruction(messages[head]):
        head += 1
    fields: Fields = {}
    if head:
        fields["instructions"] = "\n\n".join(_text(m.parts, "\n\n") for m in messages[:head])
    items: list[Fields] = []
    customs: set[str] = set()
    for i, message in enumerate(messages[head:], head):
        items.extend(_foreign_message(message, f"messages[{i}]", customs))
    return {**fields, "input": items}


def _is_instruction(message: Message) -> bool:
    return message.role is Role.SYSTEM and all(isinstance(part, Text) for part in message.parts)


def _foreign_message(message: Message, path: str, customs: set[str]) -> list[Fields]:
    if message.role is Role.TOOL:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        return [_foreign_result(part, path, customs) for part in results]
    if message.role is Role.ASSISTANT:
        return _foreign_turn(message.parts, path, customs)
    content = encode_content(message.parts, f"{path}.content", is_own=False)
    return [{"role": message.role.value, "content": content or ""}]


def _foreign_result(part: ToolResult, path: str, customs: set[str]) -> Fields:
    is_text = all(isinstance(piece, Text) for piece in part.content)
    kind = CUSTOM_CALL if part.call_id in customs else FUNCTION_CALL
    output: Any = _text(part.content, "\n")
    if not is_text:
        output = encode_content(part.content, f"{path}.content", is_own=False)
    return {"type": f"{kind}_output", "call_id": _short(part.call_id), "output": output}


def _foreign_turn(parts: tuple[Part, ...], path: str, customs: set[str]) -> list[Fields]:
    """Images that the assistant made are shown to it as the user's: it has no other place."""
    items: list[Fields] = []
    images = [part for part in parts if isinstance(part, Image)]
    said: list[Part] = []
    for part in [*parts, None]:
        if isinstance(part, Text | Refusal):
            said.append(part)
            continue
        if said and isinstance(part, ToolCall | Reasoning | None):
            items.append({"role": "assistant", "content": _said(said, path)})
            said = []
        if isinstance(part, ToolCall):
            if part.type == "custom":
                customs.add(part.id)
            empty = "" if part.type == "custom" else "{}"
            items.append(_call(part, _short(part.id), part.arguments or empty))
        elif isinstance(part, Reasoning) and (item := encode_item(part)) is not None:
            items.append(item)
    if images:
        content = encode_content(images, f"{path}.content", is_own=False)
        items.append({"role": "user", "content": content})
    return items


def _said(parts: list[Part], path: str) -> str | list[Fields]:
    """Texts as one; a refusal is a part of its own."""
    if all(isinstance(part, Text) for part in parts):
        return _text(parts)
    return encode_content(parts, f"{path}.content", is_own=False, text_type="output_text")


# ---------------------------------------------------------------- both


def _call(part: ToolCall, call_id: str, arguments: str) -> Fields:
    kind = CUSTOM_CALL if part.type == "custom" else FUNCTION_CALL
    return {"type": kind, "call_id": call_id, "name": part.name, CALLS[kind]: arguments}


def _text(parts: Iterable[Part], between: str = "") -> str:
    return between.join(part.text for part in parts if isinstance(part, Text))


def _short(call_id: str) -> str:
    """An id that OpenAI takes: the same for a call and its result."""
    if len(call_id) <= MAX_CALL_ID:
        return call_id
    return f"call_{blake2b(call_id.encode(errors='surrogatepass'), digest_size=24).hexdigest()}"
