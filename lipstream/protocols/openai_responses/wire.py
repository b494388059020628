"""What OpenAI's Responses look like on the wire: names, words, and the events of a stream.

An answer is a list of *items*: messages (whose content is a list of parts), reasoning (with a list
of summary parts and one of content parts), calls of the client's tools, and whatever the provider
ran itself. A stream tells each item's beginning, growth and end, and repeats it all at its own end.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import msgspec

from lipstream.canonical.events import FinishReason, Source
from lipstream.framing.sse import encode_json

NAME = "openai_responses"
RESPONSE = "response"
DONE = b"[DONE]"

MESSAGE = "message"
REASONING = "reasoning"
FUNCTION_CALL = "function_call"
CUSTOM_CALL = "custom_tool_call"
IMAGE_CALL = "image_generation_call"
CALLS = {FUNCTION_CALL: "arguments", CUSTOM_CALL: "input"}  # where the arguments of a call stand

CREATED = "response.created"
IN_PROGRESS = "response.in_progress"
QUEUED = "response.queued"
COMPLETED = "response.completed"
INCOMPLETE = "response.incomplete"
FAILED = "response.failed"
ITEM_ADDED = "response.output_item.added"
ITEM_DONE = "response.output_item.done"
PART_ADDED = "response.content_part.added"
PART_DONE = "response.content_part.done"
SUMMARY_ADDED = "response.reasoning_summary_part.added"
SUMMARY_DONE = "response.reasoning_summary_part.done"

ENCRYPTED = "reasoning.encrypted_content"  # what `include` has to say for reasoning to come back
LOGPROBS = "message.output_text.logprobs"  # the same for token probabilities

CUTS: dict[str, FinishReason] = {
    # why a response is incomplete
    "max_output_tokens": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "steered": FinishReason.PAUSE,
}
CUT_WORDS: dict[FinishReason, str] = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
}

Fields = dict[str, Any]
NewId = Callable[[], str]


class WireEvent(msgspec.Struct):
    """One event of a stream, every field as it may come: the reader judges the types."""

    type: Any = ""
    delta: Any = None
    item_id: Any = None
    output_index: Any = None
    content_index: Any = None
    summary_index: Any = None
    sequence_number: Any = None
    logprobs: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    name: Any = None
    item: Any = None
    part: Any = None
    response: Any = None
    error: Any = None
    code: Any = None
    message: Any = None


FIELDS = WireEvent.__struct_fields__
decode_event = msgspec.json.Decoder(WireEvent).decode


@attrs.define(eq=False)
class WireSource(Source):
    """A source that also keeps what was read, for the encoder that passes it on."""

    event: WireEvent = attrs.field(factory=WireEvent, kw_only=True)


def random_id() -> str:
    """The random part of an id that the upstream did not give: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def listed(value: Any) -> list[Fields]:
    """The objects in what should be a list of objects."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """A string, or the JSON text of an object that a server wrote in its place."""
    if isinstance(value, str):
        return value
    return encode_json(value).decode() if isinstance(value, dict | list) else ""


def reason_of(response: Fields, *, has_calls: bool) -> tuple[FinishReason, str]:
    """Why a response ended, and its own word for it where that says more."""
    details = response.get("incomplete_details")
    word = details.get("reason") if isinstance(details, dict) else None
    if response.get("status") == "incomplete" or isinstance(word, str):
        word = word if isinstance(word, str) else ""
        return CUTS.get(word, FinishReason.LENGTH), "" if word in CUTS else word
    return FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP, ""


Place = tuple[str, int]
"""A text within an item: the list it stands in, and its place there."""


def texts_of(item: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """The texts of a whole item, in the order in which they are read."""
    kind = text_of(item.get("type"))
    if kind in CALLS:
        yield ("call", 0), text_of(item.get(CALLS[kind]))
        return
    for group in ("summary", "content") if kind == REASONING else ("content",):
        for index, part in enumerate(listed(item.get(group))):
            text = part.get("refusal") if part.get("type") == "refusal" else part.get("text")
            if isinstance(text, str):
                yield (group, index), text
