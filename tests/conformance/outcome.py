"""What a client got, in the words of no protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs


@attrs.frozen
class Called:
    """A tool call; its arguments are parsed, or the text itself where that is not JSON."""

    id: str
    name: str
    arguments: Any


@attrs.frozen
class Counted:
    """Tokens; None is what was not told. ``input`` is the whole prompt, cached parts included."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


@attrs.frozen
class Outcome:
    """An answer.

    Attributes:
        finish: One of ``canonical.events.FinishReason``'s words, or the protocol's own.
        images: URLs or data URLs.
        proofs: Signatures and encrypted reasoning, in the order in which they came.
        pieces: How many events of the stream carried content; 0 for a whole answer.
        complaints: What was not as the protocol wants it.
        native: What the SDK's user sends back to go on.
        headers: Of the response, names in lower case.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[Called, ...] = ()
    finish: str | None = None
    usage: Counted = Counted()
    refusal: str = ""
    images: tuple[str, ...] = ()
    proofs: tuple[str, ...] = ()
    model: str = ""
    id: str = ""
    pieces: int = 0
    complaints: tuple[str, ...] = ()
    native: Any = attrs.field(default=None, repr=False, eq=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def dropped(self) -> list[str]:
        """What of the request the answering protocol had no place for."""
        listed = self.headers.get("x-lip-dropped", "")
        return [name.strip() for name in listed.split(",") if name.strip()]

    @property
    def said(self) -> Outcome:
        """What must be the same, streamed or not."""
        calls = tuple(attrs.evolve(call, id="") for call in self.calls)
        return Outcome(
            text=self.text,
            reasoning=self.reasoning,
            calls=calls,
            finish=self.finish,
            usage=self.usage,
            refusal=self.refusal,
            images=self.images,
        )


@attrs.frozen
class Failure:
    """An error.

    Attributes:
        error: The name of the SDK's class.
        status: Of the response; that of the error itself inside of a stream, where it has one.
        words: Type, code or status, as the protocol calls its kinds of error.
        before: What of the answer had come.
    """

    error: str
    status: int | None
    words: tuple[str, ...]
    message: str
    retry_after: str | None = None
    before: Outcome | None = None
    body: Any = attrs.field(default=None, repr=False)


Reply = Outcome | Failure


def parsed(arguments: str) -> Any:
    """What JSON text says, or the text itself."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def joined(pieces: Iterable[str | None]) -> str:
    """The pieces that there are."""
    return "".join(piece for piece in pieces if piece)
