"""Turns of the model's in a row are one message, whose parts know where a turn began.

Google's client brings a streamed answer back chunk by chunk, each a turn of its own. Another
provider's step is one message; its reasoning is one part, and what it was sealed with comes in the
last of the chunks. So turns are joined, and the pieces of what another provider has sealed with
them. What Gemini itself has signed stays in the pieces that it came in.
"""

from __future__ import annotations

import attrs

from lipstream.canonical.call import Message, Role
from lipstream.canonical.parts import Part, Reasoning, Text
from lipstream.protocols.gemini.wire import NAME

JOINED = "content"  # the extra field of a message, or part, that says on which side of a turn it is


def joined(messages: list[Message]) -> list[Message]:
    """The messages, those of the model's in a row as one."""
    groups: list[tuple[Message, list[Part]]] = []
    for message in messages:
        before, parts = groups[-1] if groups else (None, [])
        goes_on = message.role is Role.ASSISTANT and not message.extra
        if goes_on and before is not None and before.role is Role.ASSISTANT and parts:
            parts.extend(_marked(message.parts))
        else:
            groups.append((message, list(message.parts)))
    return [_whole(message, parts) for message, parts in groups]


def begins_turn(part: Part) -> bool:
    """Whether a part was the first one of a turn that has been joined to the one before."""
    return part.extra.get(JOINED) == ""


def _marked(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    if not parts:
        return ()
    first = attrs.evolve(parts[0], extra={JOINED: "", **parts[0].extra})
    return (first, *parts[1:])


def _whole(message: Message, parts: list[Part]) -> Message:
    """The message of these parts, the pieces of what another provider has sealed as one."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, Text | Reasoning) and part.seal and part.seal.dialect != NAME:
            start = len(found)
            while start and _is_piece(found[start - 1], type(part)):
                start -= 1
            texts = [piece.text for piece in found[start:] if isinstance(piece, Text | Reasoning)]
            extra = found[start].extra if texts else part.extra
            part = attrs.evolve(part, text="".join([*texts, part.text]), extra=extra)
            del found[start:]
        found.append(part)
    return attrs.evolve(message, parts=tuple(found))


def _is_piece(part: Part, kind: type[Part]) -> bool:
    """Whether a part may be the beginning of one of this kind."""
    if type(part) is not kind or not isinstance(part, Text | Reasoning):
        return False
    return part.seal is None and all(name == JOINED for name in part.extra)
