"""What an emulator saw of a request, in one form for all dialects.

A conversation that is told to each of them in its own way is seen as the same `Seen`: instructions
apart, turns that alternate, tool results inside of user turns with the name of the tool that they
belong to. What a dialect has no place for is None.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import attrs
import msgspec

Role = Literal["user", "assistant"]

_T = TypeVar("_T")

_STANDARD = str.maketrans("-_", "+/")


@attrs.frozen
class SeenText:
    """Text of either side."""

    text: str
    type: str = attrs.field(default="text", init=False)


@attrs.frozen
class SeenRefusal:
    """An earlier refusal of the model."""

    text: str
    type: str = attrs.field(default="refusal", init=False)


@attrs.frozen
class SeenMedia:
    """An image, a document or audio.

    Attributes:
        kind: ``image``, ``document`` or ``audio``.
        media_type: Empty where the request does not say.
        size: Bytes, decoded; None where it is not inline.
        source: The URL or file id where it is not inline.
    """

    kind: str
    media_type: str = ""
    size: int | None = None
    source: str | None = None
    name: str | None = None
    type: str = attrs.field(default="media", init=False)


@attrs.frozen
class SeenReasoning:
    """Reasoning that came back.

    Attributes:
        text: Empty where it is encrypted or redacted.
        proof: Signature, encrypted content or redacted data.
    """

    text: str
    proof: str | None = None
    is_redacted: bool = False
    type: str = attrs.field(default="reasoning", init=False)


@attrs.frozen
class SeenCall:
    """A tool call of an earlier turn.

    Attributes:
        id: None where the dialect goes without.
        arguments: Parsed; the text itself where it does not parse.
        proof: Gemini's thought signature.
    """

    id: str | None
    name: str
    arguments: Any
    proof: str | None = None
    type: str = attrs.field(default="call", init=False)


@attrs.frozen
class SeenResult:
    """What a tool answered.

    Attributes:
        name: Of the tool, from the call where the result itself does not say it.
        text: Its text; JSON, compact and in the order given, where it is an object.
        is_error: None where the dialect cannot tell.
        media: What came inside of the result.
    """

    call_id: str | None
    name: str | None
    text: str
    is_error: bool | None = None
    media: tuple[SeenMedia, ...] = ()
    type: str = attrs.field(default="result", init=False)


SeenPart = SeenText | SeenRefusal | SeenMedia | SeenReasoning | SeenCall | SeenResult


@attrs.frozen
class SeenTurn:
    """What one side said before it was the other one's turn."""

    role: Role
    parts: tuple[SeenPart, ...]

    @property
    def has_results(self) -> bool:
        """Whether a tool has answered in this turn."""
        return any(isinstance(part, SeenResult) for part in self.parts)

    @property
    def has_calls(self) -> bool:
        """Whether the model called tools in this turn."""
        return any(isinstance(part, SeenCall) for part in self.parts)


@attrs.frozen
class SeenTool:
    """A function that the model may call."""

    name: str
    description: str
    schema: Any


@attrs.frozen
class Seen:
    """One request.

    Attributes:
        system: All instructions, joined by an empty line.
        options: By these names, each only where the request has it: ``max_tokens``,
            ``temperature``, ``top_p``, ``top_k``, ``stop`` (a list), ``seed``,
            ``frequency_penalty``, ``presence_penalty``, ``n``, ``user``, ``tool_choice``
            (``auto``, ``none``, ``required`` or ``{"name": ...}``), ``parallel_tool_calls``,
            ``reasoning_effort``, ``reasoning_budget``, ``shows_reasoning``, ``json_mode``,
            ``json_schema``, ``verbosity``, ``service_tier``.
    """

    system: str = ""
    turns: tuple[SeenTurn, ...] = ()
    tools: tuple[SeenTool, ...] = ()
    options: dict[str, Any] = attrs.field(factory=dict)

    @property
    def texts(self) -> list[str]:
        """Every text of both sides, in order."""
        return [part.text for part in self._all(SeenText)]

    @property
    def calls(self) -> list[SeenCall]:
        """Every earlier tool call."""
        return self._all(SeenCall)

    @property
    def results(self) -> list[SeenResult]:
        """Every tool result."""
        return self._all(SeenResult)

    @property
    def reasoning(self) -> list[SeenReasoning]:
        """All reasoning that came back."""
        return self._all(SeenReasoning)

    @property
    def media(self) -> list[SeenMedia]:
        """Everything that is not text, inside of tool results, too."""
        parts = (part for turn in self.turns for part in turn.parts)
        return [media for part in parts for media in _media_of(part)]

    @property
    def images(self) -> list[SeenMedia]:
        """The images among the media."""
        return [media for media in self.media if media.kind == "image"]

    @property
    def documents(self) -> list[SeenMedia]:
        """The documents among the media."""
        return [media for media in self.media if media.kind == "document"]

    @property
    def rounds(self) -> int:
        """How often tools were called and have answered since the user last said something."""
        count = 0
        turns = self.turns
        while len(turns) > 1 and turns[-1].has_results and turns[-2].has_calls:
            count, turns = count + 1, turns[:-2]
        return count

    def _all(self, kind: type[_T]) -> list[_T]:
        return [part for turn in self.turns for part in turn.parts if isinstance(part, kind)]


def repeat(seen: Seen) -> str:
    """The tool results of the last turn as JSON text: what an answer in a tool loop says.

    An object with ``results``, a list of objects with ``id``, ``name``, ``arguments``, ``text``,
    ``is_error`` and ``images`` (how many came inside of the result), and ``images``, how many the
    turn brought in all.
    """
    last, calls = seen.turns[-1], list(seen.calls)
    results = []
    for part in last.parts:
        if not isinstance(part, SeenResult):
            continue
        call = _take(calls, part)
        results.append(
            {
                "id": part.call_id,
                "name": part.name,
                "arguments": call.arguments if call else None,
                "text": part.text,
                "is_error": part.is_error,
                "images": sum(media.kind == "image" for media in part.media),
            }
        )
    images = [m for part in last.parts for m in _media_of(part) if m.kind == "image"]
    return msgspec.json.encode({"results": results, "images": len(images)}).decode()


def _take(calls: list[SeenCall], result: SeenResult) -> SeenCall | None:
    """The call that ``result`` answers, taken out of ``calls``: by id, without one by name."""
    for call in calls:
        if call.id == result.call_id if result.call_id else call.name == result.name:
            calls.remove(call)
            return call
    return None


def _media_of(part: SeenPart) -> tuple[SeenMedia, ...]:
    if isinstance(part, SeenResult):
        return part.media
    return (part,) if isinstance(part, SeenMedia) else ()


# ---------------------------------------------------------------- for the dialects


def turns_of(said: Iterable[tuple[Role, SeenPart]]) -> tuple[SeenTurn, ...]:
    """Turns that alternate; results learn the names of the tools that they belong to."""
    runs: list[tuple[Role, list[SeenPart]]] = []
    names: dict[str | None, str] = {}
    for role, part in said:
        if isinstance(part, SeenCall):
            names[part.id] = part.name
        if isinstance(part, SeenResult) and part.name is None:
            part = attrs.evolve(part, name=names.get(part.call_id))
        if not runs or runs[-1][0] != role:
            runs.append((role, []))
        runs[-1][1].append(part)
    return tuple(SeenTurn(role, tuple(parts)) for role, parts in runs)


def parsed(arguments: str) -> Any:
    """What JSON text says, or the text itself where it is not JSON."""
    try:
        return msgspec.json.decode(arguments)
    except ValueError:
        return arguments


def from_url(kind: str, url: str, name: str | None = None) -> SeenMedia:
    """A URL, or what is inline in a data URL."""
    if not url.startswith("data:"):
        return SeenMedia(kind, source=url, name=name)
    head, _, data = url[5:].partition(",")
    return inline(kind, head.partition(";")[0], data, name)


def inline(kind: str, media_type: str, data: str, name: str | None = None) -> SeenMedia:
    """Something in base64; its size is -1 where that does not decode."""
    return SeenMedia(kind, media_type, decoded_size(data), name=name)


def decoded_size(data: str) -> int:
    """Bytes that base64 text of either alphabet stands for, or -1."""
    try:
        return len(base64.b64decode(standard(data), validate=True))
    except (binascii.Error, ValueError):
        return -1


def standard(data: str) -> str:
    """Base64 of either alphabet in the standard one, padded."""
    return data.translate(_STANDARD) + "=" * (-len(data) % 4)


def kind_of(media_type: str) -> str:
    """``image``, ``audio`` or ``document``."""
    family = media_type.partition("/")[0]
    return family if family in ("image", "audio") else "document"
