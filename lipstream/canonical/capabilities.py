"""What a call needs of a model, and what a model has.

A model that lacks something hard is not asked; what is soft is taken out of the call for that model
alone. What a model lacks is told by name patterns in its provider's row, and by the configuration.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterator, Sequence

import attrs

from lipstream.canonical.call import Call
from lipstream.canonical.parts import Audio, File, Image, Part, ToolCall, ToolResult


class Capability(enum.Enum):
    """Something that not every model can do."""

    STREAMING = "streaming"
    TOOLS = "tools"
    VISION = "vision"
    DOCUMENTS = "documents"
    AUDIO = "audio"
    STRUCTURED_OUTPUTS = "structured_outputs"
    REASONING = "reasoning"
    PARALLEL_TOOL_CALLS = "parallel_tool_calls"


_C = Capability

EVERYTHING = frozenset(_C)
SOFT = frozenset({_C.REASONING, _C.PARALLEL_TOOL_CALLS})

_OF_PARTS: dict[type[Part], Capability] = {
    Image: _C.VISION,
    File: _C.DOCUMENTS,
    Audio: _C.AUDIO,
    ToolCall: _C.TOOLS,
    ToolResult: _C.TOOLS,
}


def required(call: Call) -> list[Capability]:
    """What the call needs, in the order in which it shows, nothing twice."""
    return list(dict.fromkeys(_needs(call)))


def _needs(call: Call) -> Iterator[Capability]:
    for message in call.messages:
        yield from _needs_of(message.parts)
    options = call.options
    if call.tools:
        yield _C.TOOLS
    if options.output_format is not None:
        yield _C.STRUCTURED_OUTPUTS
    if options.reasoning_effort is not None or options.reasoning_budget is not None:
        yield _C.REASONING
    if options.parallel_tool_calls:
        yield _C.PARALLEL_TOOL_CALLS


def _needs_of(parts: Collection[Part]) -> Iterator[Capability]:
    for part in parts:
        need = _OF_PARTS.get(type(part))
        if need is not None:
            yield need
        if isinstance(part, ToolResult):
            yield from _needs_of(part.content)


@attrs.frozen
class Lack:
    """Models whose name has ``pattern`` (searched, whatever its case) lack something.

    Attributes:
        added: What they have all the same, whatever a row before this one says.
    """

    pattern: re.Pattern[str]
    missing: frozenset[Capability]
    added: frozenset[Capability] = frozenset()


def lack(pattern: str, *missing: Capability) -> Lack:
    """A row of a provider's table."""
    return Lack(re.compile(pattern, re.IGNORECASE), frozenset(missing))


def capabilities_of(
    model: str, everything: frozenset[Capability], lacks: Sequence[Lack]
) -> frozenset[Capability]:
    """What a model has: all that its backend has, but for what its name says, row by row."""
    found = everything
    for row in lacks:
        if row.pattern.search(model):
            found = (found | row.added) - row.missing
    return found


@attrs.frozen
class Shortfall:
    """What a model lacks for a call."""

    hard: tuple[Capability, ...] = ()
    soft: tuple[Capability, ...] = ()


def shortfall(call: Call, has: frozenset[Capability]) -> Shortfall:
    """What is missing, in the order of need."""
    missing = [need for need in required(call) if need not in has]
    return Shortfall(
        tuple(need for need in missing if need not in SOFT),
        tuple(need for need in missing if need in SOFT),
    )


def without(call: Call, soft: Collection[Capability]) -> Call:
    """The call without what a model lacks and can do without."""
    if not soft:
        return call
    options = call.options
    if _C.REASONING in soft:
        options = attrs.evolve(
            options, reasoning_effort=None, reasoning_budget=None, reasoning_summary=None
        )
    if _C.PARALLEL_TOOL_CALLS in soft:
        options = attrs.evolve(options, parallel_tool_calls=None)
    return call.changed(options=options)
