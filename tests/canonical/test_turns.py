"""What the messages of a call are where there is a system prompt and two sides."""

from __future__ import annotations

from lipstream.canonical.call import Message, Role
from lipstream.canonical.parts import Image, Part, Text, ToolResult
from lipstream.canonical.turns import sayable_parts, with_a_question

TEXT, IMAGE = Text("a"), Image("https://x/i.png")
RESULT = ToolResult("c", (TEXT,))


def test_instructions_alone_are_asked_by_the_user() -> None:
    """With anybody else's message among them they stay what they are."""
    system, developer = Message(Role.SYSTEM, (TEXT,)), Message(Role.DEVELOPER, (TEXT,))
    user = Message(Role.USER, (TEXT,))
    assert with_a_question([system, developer]) == [user, user]
    assert with_a_question([system, user]) == [system, user]
    assert with_a_question([]) == []


def test_parts_of_a_turn_depend_on_who_speaks() -> None:
    """A model says what it may say, a tool gives results, a user says anything."""
    parts = (TEXT, IMAGE, RESULT)

    def sayable(role: Role) -> list[Part]:
        return list(sayable_parts(Message(role, parts), lambda part: isinstance(part, Text)))

    assert sayable(Role.ASSISTANT) == [TEXT]
    assert sayable(Role.TOOL) == [RESULT]
    assert sayable(Role.USER) == list(parts)
