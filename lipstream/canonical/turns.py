"""Messages on their way to a protocol that knows a system prompt and the turns of two sides.

Only what such protocols have in common; each puts its turns together by rules of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from lipstream.canonical.call import Message, Role
from lipstream.canonical.parts import Part, ToolResult

INSTRUCTING = frozenset({Role.SYSTEM, Role.DEVELOPER})
"""The roles whose messages become the system prompt."""


def with_a_question(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages; the user's where nobody but the system speaks, since somebody has to ask."""
    if all(message.role in INSTRUCTING for message in messages):
        return [attrs.evolve(message, role=Role.USER) for message in messages]
    return messages


def sayable_parts(message: Message, is_sayable: Callable[[Part], bool]) -> Sequence[Part]:
    """The parts that a turn may have; ``is_sayable`` says what the model itself may have said."""
    if message.role is Role.ASSISTANT:
        return [part for part in message.parts if is_sayable(part)]
    if message.role is Role.TOOL:
        return [part for part in message.parts if isinstance(part, ToolResult)]
    return message.parts
