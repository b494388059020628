"""Messages to the system prompt and the turns of a Messages request.

Of a call of this dialect every turn is written as it came. Of any other call the turns are made to
fit: system messages become the system prompt, results stand first in the turn right after the calls
they answer, neighbours of one role become one turn, blank texts are left out, the first turn is the
user's, and an answer to be gone on with has no blanks at its end. All of that the API demands, and
only that is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from lipstream.canonical.call import Message, Role
from lipstream.canonical.parts import (
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from lipstream.canonical.turns import INSTRUCTING, sayable_parts, with_a_question
from lipstream.errors import BadRequest
from lipstream.framing.json_fields import merge_fields
from lipstream.protocols.anthropic_messages.blocks import as_content, encode_blocks
from lipstream.protocols.anthropic_messages.request_decode import IN_PLACE, SAME_TURN, THOUGHT
from lipstream.protocols.anthropic_messages.wire import NAME, Fields

OPENING = "."
"""What a user says who let the assistant begin: the least that is not blank."""

_THINKING = ("thinking", "redacted_thinking")


@attrs.frozen
class Conversation:
    """What a request says.

    Attributes:
        system: The system prompt; None for none.
        turns: The messages on the wire.
        has_lost_thinking: Whether the thinking that the turn under way began with is not there any
            more, or never was any.
    """

    system: str | list[Fields] | None
    turns: list[Fields]
    has_lost_thinking: bool


# ---------------------------------------------------------------- as it came


def encode_own(messages: Sequence[Message]) -> Conversation:
    """The turns of a call of this dialect."""
    system: list[tuple[Message, str]] = []
    turns: list[_OwnTurn] = []
    for i, message in enumerate(messages):
        path = f"messages[{i}]"
        mark = message.extra.get("role")
        if message.role in INSTRUCTING and mark != IN_PLACE:
            system.append((message, path))
        elif mark == SAME_TURN and turns and turns[-1].role == "user":
            turns[-1].add(message, path)
        else:
            turns.append(_OwnTurn(message, path))
    written = [turn.written() for turn in turns if not turn.is_gone]
    last = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    return Conversation(_own_system(system), written, last is not None and last.has_lost_thinking)


class _OwnTurn:
    """One turn, out of the messages that it was taken apart into."""

    def __init__(self, message: Message, path: str) -> None:
        self.role = "user" if message.role is Role.TOOL else message.role.value
        if message.role is Role.DEVELOPER:
            self.role = "system"
        self._parts: list[Part] = []
        self._blocks: list[tuple[int, Fields]] = []
        self._has_places = True
        self._extra = dict(message.extra)
        self._had_thinking = message.extra.get("content") == THOUGHT
        self._extra.pop("role", None)
        if isinstance(self._extra.get("content"), list) and self._extra["content"]:
            del self._extra["content"]
        if self._had_thinking:
            del self._extra["content"]
        self.add(message, path)

    def add(self, message: Message, path: str) -> None:
        places = message.extra.get("content")
        blocks = encode_blocks(message.parts, f"{path}.content", is_own=True)
        self._parts.extend(message.parts)
        if isinstance(places, list) and len(places) == len(blocks):
            self._blocks.extend(zip(places, blocks, strict=True))
        else:
            self._has_places = False
            self._blocks.extend((0, block) for block in blocks)

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of a turn that was not empty."""
        return not self._blocks and "content" not in self._extra

    @property
    def has_lost_thinking(self) -> bool:
        """Whether it began with thinking and does not any more, and calls tools."""
        kinds = [block.get("type") for _, block in self._blocks]
        return self._had_thinking and "tool_use" in kinds and kinds[0] not in _THINKING

    def written(self) -> Fields:
        turn: Fields = {"role": self.role}
        if self._blocks:
            pairs = self._blocks
            if self._has_places:
                pairs = sorted(pairs, key=lambda pair: pair[0])
            turn["content"] = as_content(tuple(self._parts), [block for _, block in pairs])
        return merge_fields(turn, self._extra)


def _own_system(messages: list[tuple[Message, str]]) -> str | list[Fields] | None:
    if not messages:
        return None
    parts = tuple(part for message, _ in messages for part in message.parts)
    blocks: list[Fields] = []
    for message, path in messages:
        blocks.extend(encode_blocks(message.parts, f"{path}.content", is_own=True))
    return as_content(parts, blocks)


# ---------------------------------------------------------------- made to fit


def encode_foreign(messages: Sequence[Message]) -> Conversation:
    """The turns of a call of another dialect.

    Raises:
        BadRequest: a part cannot be said in this protocol.
    """
    system: list[Fields] = []
    turns: list[Fields] = []
    for i, message in enumerate(with_a_question(messages)):
        path = f"messages[{i}].content"
        parts = sayable_parts(message, _is_sayable)
        blocks = encode_blocks(parts, path, is_own=False)
        if message.role in INSTRUCTING:
            system.extend(_only_texts(blocks, path))
        elif blocks:
            role = "assistant" if message.role is Role.ASSISTANT else "user"
            if not turns or turns[-1]["role"] != role:
                turns.append({"role": role, "content": []})
            turns[-1]["content"].extend(blocks)
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [_text(OPENING)]})
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    _strip_end(turns[-1])
    lost = _lacks_thinking(turns)
    return Conversation(_plain_system(system), [_plain(turn) for turn in turns], lost)


def _only_texts(blocks: list[Fields], path: str) -> list[Fields]:
    if any(block["type"] != "text" for block in blocks):
        message = f"{path}: a system message of this backend has nothing but text"
        raise BadRequest(message, param=path, code="unsupported_part")
    return blocks


def _is_sayable(part: Part) -> bool:
    """Whether a model's own part may be said again: what another one made or thought may not."""
    if isinstance(part, Opaque):
        return part.dialect == NAME
    return isinstance(part, Text | Refusal | ToolCall | Reasoning)


def _lacks_thinking(turns: list[Fields]) -> bool:
    """Whether the tool loop under way did not begin with thinking."""
    last = next((turn for turn in reversed(turns) if turn["role"] == "assistant"), None)
    kinds = [block["type"] for block in last["content"]] if last is not None else []
    return "tool_use" in kinds and kinds[0] not in _THINKING


def _strip_end(turn: Fields) -> None:
    """The API refuses to go on from a blank; only there are blanks taken away."""
    last = turn["content"][-1]
    if turn["role"] == "assistant" and last["type"] == "text":
        turn["content"][-1] = _text(last["text"].rstrip())


def _plain(turn: Fields) -> Fields:
    """With a single text as a string."""
    content: list[Any] = turn["content"]
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return {"role": turn["role"], "content": content[0]["text"]}
    return turn


def _plain_system(blocks: list[Fields]) -> str | list[Fields] | None:
    if len(blocks) == 1:
        text: str = blocks[0]["text"]
        return text
    return blocks or None


def _text(text: str) -> Fields:
    return {"type": "text", "text": text}
