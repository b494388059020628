"""What an answer says, and what of it the clients of each protocol can be told.

`PLACES` is the whole of what may be lost between two protocols. It is data: a difference that it
does not allow is a loss.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lipstream.canonical.collect import Answer, Choice
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import (
    Audio,
    Image,
    Json,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from lipstream.canonical.usage import Usage

# ---------------------------------------------------------------- what is said

Call = tuple[str, Any, str]
"""Name, arguments as a JSON value (the text itself where it is none), and type."""


@attrs.frozen
class Said:
    """One message.

    Attributes:
        text: All of it; what stands between its pieces is not looked at.
        images: URLs.
        audio: The data, and what is said in it.
        own_parts: The kinds of those that only the provider's own protocol knows.
    """

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    images: tuple[str, ...] = ()
    audio: tuple[str, str] = ("", "")
    own_parts: tuple[str, ...] = ()
    finish: str = "stop"


@attrs.frozen
class Meaning:
    """An answer.

    Attributes:
        usage: The counts that were reported.
    """

    choices: tuple[Said, ...]
    usage: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def first(self) -> Meaning:
        """The first of several choices alone."""
        return Meaning(self.choices[:1], self.usage)


def meaning(answer: Answer) -> Meaning:
    """What an answer says."""
    counts = {} if answer.usage is None else _counts(answer.usage)
    return Meaning(tuple(map(_said, answer.choices)), counts)


COUNTS: Mapping[str, str] = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cached": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
}


def _counts(usage: Usage) -> dict[str, int]:
    counts = {name: getattr(usage, field) for name, field in COUNTS.items()}
    return {name: count for name, count in counts.items() if count is not None}


def _said(choice: Choice) -> Said:
    parts = choice.parts
    audio = [part for part in parts if isinstance(part, Audio)]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    spoken = [str(part.extra.get("transcript") or "") for part in audio]
    return Said(
        text=_joined(parts, Text),
        refusal=_joined(parts, Refusal),
        reasoning=_joined(parts, Reasoning),
        calls=tuple((call.name, arguments(call.arguments), call.type) for call in calls),
        images=tuple(part.url for part in parts if isinstance(part, Image)),
        audio=("".join(part.data for part in audio), "".join(spoken)),
        own_parts=tuple(_kind_of(part.value) for part in parts if isinstance(part, Opaque)),
        finish=choice.reason.value,
    )


def _kind_of(value: Json) -> str:
    """Its type where it has one, else the names of its fields."""
    return str(value.get("type") or " ".join(sorted(value)))


def _joined(parts: tuple[Part, ...], kind: type[Text | Refusal | Reasoning]) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))


def arguments(given: Any) -> Any:
    """What a call is given.

    Nothing is an empty object. What is no JSON object is carried in one by the protocols that take
    nothing else.
    """
    value = given
    if isinstance(given, str):
        try:
            value = json.loads(given or "{}")
        except ValueError:
            return given
    if isinstance(value, dict) and value.keys() == {"_raw"}:
        return arguments(value["_raw"])
    return value


# ---------------------------------------------------------------- what can be told

_R = FinishReason
_EXACT = {reason: reason.value for reason in FinishReason}
_FILTERED = {_R.REFUSAL: "content_filter", _R.PAUSE: "stop"}

FAILED = "failed"
"""The reason of an answer that is told as a failure."""


@attrs.frozen(kw_only=True)
class Places:
    """What the clients of a protocol can be told.

    Attributes:
        finishes: What becomes of each reason to stop.
        missing: The counts that it has no place for.
        apart: A count that is told without others, and is their sum where it is less than that.
        is_single: Of several choices the first is told.
        has_refusal: Else a refusal is text.
        refusal_finish: The reason to stop of an answer that has refused and just stopped.
        has_custom: Else the free text for a tool is an object with a field ``input``.
        has_audio: Else what is said in it is text.
        has_text_seals: Whether a signature may stand on a text.
    """

    finishes: Mapping[FinishReason, str]
    missing: frozenset[str] = frozenset()
    apart: tuple[str, tuple[str, ...]] = ("", ())
    is_single: bool = False
    has_refusal: bool = True
    refusal_finish: str = "stop"
    has_custom: bool = True
    has_audio: bool = False
    has_text_seals: bool = False


PLACES: Mapping[str, Places] = {
    "openai_chat": Places(finishes=_EXACT | _FILTERED | {_R.ERROR: FAILED}, has_audio=True),
    "openai_responses": Places(finishes=_EXACT | _FILTERED | {_R.ERROR: FAILED}, is_single=True),
    "anthropic_messages": Places(
        finishes=_EXACT | {_R.CONTENT_FILTER: "refusal", _R.ERROR: "stop"},
        apart=("input", ("cached", "cache_write")),
        is_single=True,
        has_refusal=False,
        refusal_finish="refusal",
        has_custom=False,
        has_text_seals=True,
    ),
    "gemini": Places(
        finishes=_EXACT | _FILTERED,
        missing=frozenset({"cache_write"}),
        apart=("output", ("reasoning",)),
        has_refusal=False,
        has_custom=False,
        has_audio=True,
        has_text_seals=True,
    ),
}


def fitted(told: Meaning, dialect: str) -> Meaning:
    """What is left of an answer for the clients of another protocol."""
    places = PLACES[dialect]
    choices = told.first.choices if places.is_single else told.choices
    return Meaning(tuple(_fitted(said, places) for said in choices), _kept(told.usage, places))


def _kept(usage: Mapping[str, int], places: Places) -> Mapping[str, int]:
    counts = {name: count for name, count in usage.items() if name not in places.missing}
    whole, others = places.apart
    if whole in counts:
        counts[whole] = max(counts[whole], sum(counts.get(name, 0) for name in others))
    return counts


def _fitted(said: Said, places: Places) -> Said:
    finish = places.finishes[FinishReason(said.finish)]
    if finish == "stop":
        finish = "tool_calls" if said.calls else finish
        finish = places.refusal_finish if said.refusal and not said.calls else finish
    text, refusal, audio = said.text, said.refusal, said.audio
    if not places.has_refusal:
        text, refusal = text + refusal, ""
    if not places.has_audio:
        text, audio = text + audio[1], ("", "")
    calls = tuple(_fitted_call(call, places) for call in said.calls)
    changes: dict[str, Any] = {"text": text, "refusal": refusal, "audio": audio}
    changes |= {"calls": calls, "finish": finish}
    return attrs.evolve(said, **changes, own_parts=())


def _fitted_call(call: Call, places: Places) -> Call:
    name, value, kind = call
    if kind == "custom" and not places.has_custom:
        return (name, {"input": value}, "function")
    return call


# ---------------------------------------------------------------- what is lost

Difference = tuple[str, Any, Any]
"""What differs, what it should be, and what it is."""


def differences(expected: Meaning, found: Meaning) -> Iterator[Difference]:
    """Everything that is not the same. A count that nobody reported may be told as 0."""
    if len(expected.choices) != len(found.choices):
        yield "choices", len(expected.choices), len(found.choices)
    for wanted, got in zip(expected.choices, found.choices, strict=False):
        for field in attrs.fields_dict(Said):
            pair = getattr(wanted, field), getattr(got, field)
            if pair[0] != pair[1]:
                yield field, *pair
    for name in COUNTS:
        counts = expected.usage.get(name, 0), found.usage.get(name, 0)
        if counts[0] != counts[1]:
            yield f"{name} tokens", *counts
