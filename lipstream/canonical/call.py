"""A call: one client request, decoded once and never changed.

Codecs turn a dialect's body into a :class:`Call` and a call into an upstream body. Every level
keeps the fields that only its own dialect knows in ``extra``, as decoded JSON in document order; an
encoder of the same dialect writes them back, every other one leaves them out. Changed copies are
made with :meth:`Call.changed`.
"""

from __future__ import annotations

import enum
from typing import Any

import attrs

from lipstream.canonical.options import NOTHING_SAID, Options
from lipstream.canonical.parts import Json, Part, no_fields


class Role(enum.Enum):
    """Who speaks."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@attrs.frozen
class Message:
    """One turn."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""
    extra: Json = attrs.field(factory=no_fields, kw_only=True)


@attrs.frozen
class Tool:
    """A tool that the model may call.

    Attributes:
        parameters: JSON Schema of the arguments, or None when none was given.
        strict: Whether the provider must hold the arguments to the schema; None when the client did
            not say.
        type: ``function``; anything else is a tool of one dialect and stands in ``extra`` as it was
            given.
    """

    name: str
    description: str = ""
    parameters: Json | None = None
    strict: bool | None = None
    type: str = "function"
    extra: Json = attrs.field(factory=no_fields, kw_only=True)


class ToolMode(enum.Enum):
    """Whether the model may, must or must not call tools."""

    AUTO = "auto"
    NONE = "none"
    ANY = "any"
    NAMED = "named"


@attrs.frozen
class ToolChoice:
    """The client's say on tool use.

    Attributes:
        names: NAMED: the one tool that must be called. AUTO and ANY: the tools that may be called,
            empty for all.
    """

    mode: ToolMode
    names: tuple[str, ...] = ()
    extra: Json = attrs.field(factory=no_fields, kw_only=True)


@attrs.frozen(kw_only=True)
class Call:
    """One client request.

    Attributes:
        dialect: The protocol the client speaks; ``extra`` fields at every level belong to it.
        model: What the client wrote as the model: a name, an alias, a selector.
        is_streaming: Whether the client wants a stream.
        wants_usage: Whether the client is to be told usage; in a stream not all do.
        headers: Request headers that the dialect passes on to upstreams of its own kind.
        may_race: False where a second run would leave something behind at a provider.
        extra: Top-level fields without a canonical place, in document order.
    """

    dialect: str
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    options: Options = NOTHING_SAID
    is_streaming: bool = False
    wants_usage: bool = False
    may_race: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    extra: Json = attrs.field(factory=no_fields)

    def changed(self, **changes: Any) -> Call:
        """A copy with some fields changed."""
        return attrs.evolve(self, **changes)
