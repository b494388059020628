"""What a client says, in the words of no protocol: every driver says it in those of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

Json = dict[str, Any]


@attrs.frozen
class Text:
    """Plain text."""

    text: str


@attrs.frozen
class Media:
    """Bytes: an image, a document, a piece of audio.

    Attributes:
        kind: ``image``, ``document`` or ``audio``.
        name: Of the file, where one is named.
    """

    kind: Literal["image", "document", "audio"]
    data: bytes
    mime: str
    name: str = ""


@attrs.frozen
class Link:
    """An image by its URL."""

    url: str


@attrs.frozen
class Call:
    """A tool call of an earlier turn that no SDK's object stands for."""

    id: str
    name: str
    arguments: Json


@attrs.frozen
class Result:
    """What a tool answered: a string, an object, a list; perhaps with images."""

    call_id: str
    name: str
    value: Any
    is_error: bool = False
    images: tuple[Media, ...] = ()


@attrs.frozen
class Replay:
    """An earlier answer as the SDK gave it, to be sent back in the SDK's own manner."""

    native: Any = attrs.field(repr=False)


Part = Text | Media | Link | Call | Result | Replay


@attrs.frozen
class Turn:
    """What one side says; results of tools are the user's."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


@attrs.frozen
class Tool:
    """A function that the model may call."""

    name: str
    description: str
    schema: Json


Choice = Literal["auto", "none", "required"]


@attrs.frozen
class Allowed:
    """Only these tools may (``auto``) or must (``required``) be called."""

    mode: Literal["auto", "required"]
    names: tuple[str, ...]


@attrs.frozen
class Named:
    """This tool must be called."""

    name: str


@attrs.frozen
class Prompt:
    """One request.

    Attributes:
        options: By the names of ``emulators.seen.Seen``, and ``metadata`` and ``logprobs`` as well.
        raw: Fields that the SDK does not know, put beside its own.
        headers: Request headers.
    """

    turns: tuple[Turn, ...]
    system: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: Choice | Allowed | Named | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict)
    raw: Mapping[str, Any] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def then(self, *turns: Turn) -> Prompt:
        """The same conversation, further on."""
        return attrs.evolve(self, turns=(*self.turns, *turns))

    def saying(self, **options: Any) -> Prompt:
        """The same with these options."""
        return attrs.evolve(self, options={**self.options, **options})


def user(*parts: Part | str) -> Turn:
    """What the user says."""
    return Turn("user", _parts(parts))


def assistant(*parts: Part | str) -> Turn:
    """What the model said."""
    return Turn("assistant", _parts(parts))


def ask(*parts: Part | str, **fields: Any) -> Prompt:
    """A conversation of one turn."""
    return Prompt((user(*parts),), **fields)


def _parts(parts: tuple[Part | str, ...]) -> tuple[Part, ...]:
    return tuple(Text(part) if isinstance(part, str) else part for part in parts)
