"""What a protocol makes of the things that a call of another protocol can say.

Each protocol's role towards upstreams declares its support as data: one fate for every notion here.
A client is told what its winner's protocol had no place for (``X-LIP-Dropped``), the documentation
draws its table from the same data, and a test holds the encoders to it. Between client and upstream
of one protocol nothing is lost, so nothing is looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping

from lipstream.canonical.call import Call, ToolMode
from lipstream.canonical.options import Options
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Json,
    Part,
    Reasoning,
    ToolCall,
    ToolResult,
)


class Fate(enum.Enum):
    """What becomes of a notion."""

    KEPT = "kept"  # the protocol has the same thing, perhaps under another name
    MAPPED = "mapped"  # something that comes close: another scale, another place, a smaller set
    DROPPED = "dropped"  # left out; the client is told
    REFUSED = "refused"  # the call cannot be answered without it: another candidate, or a 400


Support = Mapping[str, Fate]
"""The fate of every notion in :data:`NOTIONS`."""


def _said(name: str) -> Callable[[Call], bool]:
    return lambda call: getattr(call.options, name) is not None


def _wants_reasoning(options: Options) -> bool:
    return options.reasoning_effort is not None or options.reasoning_budget is not None


def _schema(call: Call, *, is_given: bool) -> bool:
    output = call.options.output_format
    return output is not None and (output.schema is not None) is is_given


def _any_part(call: Call, holds: Callable[[Part], bool]) -> bool:
    return any(holds(part) for part in _parts(call))


def _is_remote(part: Part) -> bool:
    return isinstance(part, Image) and not part.url.startswith("data:")


def _has_media(part: Part) -> bool:
    return isinstance(part, ToolResult) and any(
        isinstance(piece, Image | File | Audio) for piece in part.content
    )


NOTIONS: Mapping[str, Callable[[Call], bool]] = {
    # options
    "temperature": _said("temperature"),
    "top_p": _said("top_p"),
    "top_k": _said("top_k"),
    "max_output_tokens": _said("max_output_tokens"),
    "stop": _said("stop"),
    "seed": _said("seed"),
    "presence_penalty": _said("presence_penalty"),
    "frequency_penalty": _said("frequency_penalty"),
    "reasoning": lambda call: _wants_reasoning(call.options),
    "reasoning_summary": _said("reasoning_summary"),
    "verbosity": _said("verbosity"),
    "json_object": lambda call: _schema(call, is_given=False),
    "json_schema": lambda call: _schema(call, is_given=True),
    "choices": lambda call: (call.options.choices or 1) > 1,
    "logprobs": lambda call: bool(call.options.logprobs),
    "service_tier": _said("service_tier"),
    "user": _said("user"),
    "metadata": _said("metadata"),
    # tools
    "tools": lambda call: any(tool.type == "function" for tool in call.tools),
    "custom_tools": lambda call: any(tool.type == "custom" for tool in call.tools),
    "strict_tools": lambda call: any(tool.strict for tool in call.tools),
    "tool_choice": lambda call: call.tool_choice is not None,
    "allowed_tools": lambda call: (
        call.tool_choice is not None
        and call.tool_choice.mode is not ToolMode.NAMED
        and bool(call.tool_choice.names)
    ),
    "parallel_tool_calls": _said("parallel_tool_calls"),
    # messages
    "image": lambda call: _any_part(call, lambda part: isinstance(part, Image)),
    "remote_image": lambda call: _any_part(call, _is_remote),
    "image_detail": lambda call: _any_part(
        call, lambda part: isinstance(part, Image) and part.detail not in ("", "auto")
    ),
    "file": lambda call: _any_part(call, lambda part: isinstance(part, File)),
    "audio": lambda call: _any_part(call, lambda part: isinstance(part, Audio)),
    "message_name": lambda call: any(message.name for message in call.messages),
    "tool_history": lambda call: _any_part(call, lambda part: isinstance(part, ToolCall)),
    "tool_error": lambda call: _any_part(
        call, lambda part: isinstance(part, ToolResult) and part.is_error
    ),
    "tool_media": lambda call: _any_part(call, _has_media),
}
"""Everything that more than one protocol can say, and whether a call says it."""

# Extra fields that only tell how a thing was written, or that are honoured on the way.
FORMAL = frozenset(
    {"type", "role", "content", "id", "status", "stream", "stream_options"}
    # chat's other ways to say something canonical
    | {"max_tokens", "max_completion_tokens", "stop", "functions", "function_call"}
    | {"reasoning", "reasoning_effort"}
    # Gemini's
    | {"$alt", "parameters", "generationConfig.responseSchema"}
    | {"generationConfig.thinkingConfig.thinkingLevel"}
)


def losses(call: Call, dialect: str, support: Support) -> list[str]:
    """What of the call an upstream of ``dialect`` never hears, in the call's own words."""
    if call.dialect == dialect:
        return []
    dropped = [
        name for name, says in NOTIONS.items() if support[name] is Fate.DROPPED and says(call)
    ]
    return dropped + sorted(set(_extras(call)) - set(dropped))


def _parts(call: Call) -> Iterator[Part]:
    for message in call.messages:
        yield from message.parts


def _extras(call: Call) -> Iterator[str]:
    """The names of the fields that only the call's own dialect knows."""
    yield from _telling(call.extra)
    for message in call.messages:
        yield from _telling(message.extra)
        yield from _of_parts(message.parts)
    for tool in call.tools:
        yield from _telling(tool.extra)


def _of_parts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Reasoning):
            continue  # goes back to whom it came from, and to nobody else
        yield from _telling(part.extra)
        if isinstance(part, ToolResult):
            yield from _of_parts(part.content)


def _telling(extra: Json) -> Iterator[str]:
    for name, value in extra.items():
        if name not in FORMAL and value not in (None, "", [], {}):
            yield name
