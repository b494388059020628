"""The one event stream between every upstream and every client.

A stream is ``Started``, then for each choice ``MessageStarted``, content, ``MessageFinished``, with
``UsageReported``, ``Notice`` and ``Extra`` anywhere after the start, and at last ``Finished`` or
``StreamFailed``. ``lifecycle.grammar`` holds that order as a table. Events travel in batches: a
list of all that one network read delivered.

Where client and upstream speak the same protocol, an event may carry the bytes it was read from
(``source``), so that an encoder can pass them on unchanged; whoever changes an event goes through
:meth:`Event.changed`, which drops them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Self

import attrs

from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.errors import UpstreamFault


class FinishReason(enum.Enum):
    """Why a message ended (spec: the canonical set that every dialect maps to)."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    ERROR = "error"


@attrs.define(eq=False)
class Source:
    """One wire event as it was read, shared by all events decoded from it.

    Attributes:
        dialect: The protocol that ``data`` is written in.
        data: The payload without framing.
        count: How many events of the batch, in a row, were decoded from it. An encoder passes
            ``data`` on only when all of them are still there and unchanged, and never when the
            count is 0: then something had to be put right.
        name: Of the SSE event, where it had one.
    """

    dialect: str
    data: bytes
    count: int = 0
    name: bytes = b""


@attrs.frozen
class Event:
    """What all events share."""

    source: Source | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)

    def changed(self, **changes: object) -> Self:
        """A changed copy, which no longer stands for the bytes it was read from."""
        return attrs.evolve(self, source=None, **changes)


@attrs.frozen
class Started(Event):
    """The upstream began to answer.

    Attributes:
        id: The upstream's id of the answer; empty when it gave none.
        model: The model that answers, in the upstream's words; empty when it did not say.
        created: Unix time in seconds, 0 when unknown.
    """

    id: str = ""
    model: str = ""
    created: int = 0


@attrs.frozen
class MessageStarted(Event):
    """The assistant's message of one choice opened."""

    choice: int = 0


@attrs.frozen
class TextDelta(Event):
    """Visible text.

    Attributes:
        logprobs: OpenAI's token entries of this delta, in its own shape; opaque to everything else.
    """

    text: str
    choice: int = 0
    logprobs: tuple[Mapping[str, object], ...] | None = None


@attrs.frozen
class ReasoningDelta(Event):
    """Reasoning that the provider shows."""

    text: str
    choice: int = 0


@attrs.frozen
class RefusalDelta(Event):
    """The model's own words of refusal (OpenAI ``refusal``)."""

    text: str
    choice: int = 0
    logprobs: tuple[Mapping[str, object], ...] | None = None


@attrs.frozen
class ToolCallStarted(Event):
    """A tool call opened.

    Attributes:
        index: Position among the tool calls of this choice, from 0: what the later events of the
            call refer to.
        id: The call's id, never empty (codecs make one up where the provider gives none), unique in
            the stream.
        type: ``function``, or ``custom`` for a free-text tool.
    """

    index: int
    id: str
    name: str
    choice: int = 0
    type: str = "function"


@attrs.frozen
class ToolCallDelta(Event):
    """A fragment of a call's arguments: JSON text, or free text for a ``custom`` tool."""

    index: int
    arguments: str
    choice: int = 0


@attrs.frozen
class ToolCallFinished(Event):
    """All arguments of a call have been sent; ``seal`` has to come back with it."""

    index: int
    choice: int = 0
    seal: Seal | None = None


@attrs.frozen
class PartFinished(Event):
    """The text or reasoning before it is a whole part: more of its kind would be another one.

    Optional, as a change of kind ends a part too. Without any text before it, it is redacted
    reasoning.

    Attributes:
        kind: ``text`` or ``reasoning``.
        seal: The provider's word on the part.
    """

    kind: str
    seal: Seal | None = None
    choice: int = 0


@attrs.frozen
class Media(Event):
    """Media in the answer: an image, a file, a piece of audio.

    Attributes:
        kind: ``image``, ``file`` or ``audio``.
        url: A URL or data URL; for ``audio`` a base64 piece to be appended to what came before, may
            be empty.
        transcript: Audio only: text to be appended to the transcript.
        id: Audio only: the id under which a later request may refer to it.
    """

    kind: str
    url: str = ""
    mime: str = ""
    name: str = ""
    transcript: str = ""
    id: str = ""
    choice: int = 0


@attrs.frozen
class UsageReported(Event):
    """Token counts, as running totals; the last report of a field counts."""

    usage: Usage


@attrs.frozen
class Notice(Event):
    """A warning to be shown where the dialect has a place for it."""

    code: str
    message: str


@attrs.frozen
class Extra(Event):
    """Fields that only one dialect knows, kept for clients that speak it.

    Attributes:
        dialect: The protocol the fields belong to.
        scope: Where they stood. ``response``, ``choice`` and ``part`` (the one that content opened
            last): the last value counts. ``delta``: pieces to be put together. ``whole_part``: a
            part of the message that only the dialect knows, collected as ``Opaque``.
    """

    dialect: str
    scope: str
    fields: Mapping[str, object]
    choice: int = 0


@attrs.frozen
class MessageFinished(Event):
    """The message of one choice is complete.

    Attributes:
        detail: The provider's own word for the reason, where it says more than the canonical one.
    """

    reason: FinishReason
    choice: int = 0
    detail: str = ""


@attrs.frozen
class Finished(Event):
    """The answer is complete: terminal."""


@attrs.frozen
class StreamFailed(Event):
    """The upstream failed inside its stream: terminal."""

    fault: UpstreamFault


Batch = list[Event]

TERMINAL: frozenset[type[Event]] = frozenset({Finished, StreamFailed})
