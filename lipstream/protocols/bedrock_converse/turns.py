"""Messages to the system prompt and the turns of a Converse request.

The turns are made to fit what the service demands, and only that is done: system messages become
the system prompt; results stand first in the turn right after the calls that they answer;
neighbours of one role become one turn; blank texts are left out; the first turn is the user's; a
turn with a document has text; reasoning does not stand alone; an answer to be gone on with has no
blanks at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from lipstream.canonical.call import Message, Role
from lipstream.canonical.turns import INSTRUCTING, sayable_parts, with_a_question
from lipstream.errors import BadRequest
from lipstream.protocols.bedrock_converse.blocks import BlockWriter, is_sayable
from lipstream.protocols.bedrock_converse.wire import Fields

FILLER = "."
"""What a user says where the service wants words and has none: the least that is not blank."""


@attrs.frozen
class Conversation:
    """What a request says.

    Attributes:
        system: The blocks of the system prompt.
        turns: The messages on the wire.
        called: The tools that were called.
        has_lost_reasoning: Whether the tool loop under way did not begin with reasoning.
    """

    system: list[Fields]
    turns: list[Fields]
    called: tuple[str, ...]
    has_lost_reasoning: bool


def encode_messages(messages: Sequence[Message], writer: BlockWriter) -> Conversation:
    """The conversation of a call.

    Raises:
        BadRequest: a part cannot be said in this protocol.
    """
    system: list[Fields] = []
    turns: list[Fields] = []
    for i, message in enumerate(with_a_question(messages)):
        path = f"messages[{i}].content"
        blocks = writer.message(sayable_parts(message, is_sayable), path)
        if message.role in INSTRUCTING:
            system.extend(_only_texts(blocks, path))
        else:
            _add(turns, "assistant" if message.role is Role.ASSISTANT else "user", blocks)
    turns = _without_lone_reasoning(turns)
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [{"text": FILLER}]})
    for turn in turns:
        if turn["role"] == "user":
            _finish_question(turn["content"])
    _strip_end(turns[-1])
    return Conversation(system, turns, tuple(writer.names), _lacks_reasoning(turns))


def _only_texts(blocks: list[Fields], path: str) -> list[Fields]:
    if any("text" not in block for block in blocks):
        message = f"{path}: a system message of this backend has nothing but text"
        raise BadRequest(message, param=path, code="unsupported_part")
    return blocks


def _add(turns: list[Fields], role: str, blocks: list[Fields]) -> None:
    if not blocks:
        return
    if not turns or turns[-1]["role"] != role:
        turns.append({"role": role, "content": []})
    turns[-1]["content"].extend(blocks)


def _without_lone_reasoning(turns: list[Fields]) -> list[Fields]:
    kept: list[Fields] = []
    for turn in turns:
        if any("reasoningContent" not in block for block in turn["content"]):
            _add(kept, turn["role"], turn["content"])
    return kept


def _finish_question(content: list[Fields]) -> None:
    content.sort(key=lambda block: "toolResult" not in block)
    kinds = {kind for block in content for kind in block}
    if "document" in kinds and "text" not in kinds:
        content.append({"text": FILLER})


def _strip_end(turn: Fields) -> None:
    """The models refuse to go on from a blank; only there are blanks taken away."""
    last = turn["content"][-1]
    if turn["role"] == "assistant" and "text" in last:
        turn["content"][-1] = {"text": last["text"].rstrip()}


def _lacks_reasoning(turns: list[Fields]) -> bool:
    last = next((turn for turn in reversed(turns) if turn["role"] == "assistant"), None)
    content = last["content"] if last is not None else []
    has_calls = any("toolUse" in block for block in content)
    return has_calls and "reasoningContent" not in content[0]
