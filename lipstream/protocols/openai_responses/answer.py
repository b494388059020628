"""A whole answer as a response.

Where the upstream spoke this dialect, its own final response is the answer, as long as it says what
the events said. Else the response is put together from the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer, Collector
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from lipstream.canonical.seal import UNKNOWN_ORIGIN
from lipstream.framing.sse import encode_json
from lipstream.protocols.openai_responses import media
from lipstream.protocols.openai_responses.echo import echo, ended
from lipstream.protocols.openai_responses.outline import REFUSAL, SUMMARY, TEXT, Item, Outline
from lipstream.protocols.openai_responses.reading import EventReader
from lipstream.protocols.openai_responses.reasoning import UNSEALED, encrypted
from lipstream.protocols.openai_responses.usage import encode_usage
from lipstream.protocols.openai_responses.wire import (
    CUSTOM_CALL,
    FUNCTION_CALL,
    MESSAGE,
    NAME,
    REASONING,
    Fields,
    NewId,
)

_KNOWN = frozenset({"id", "model", "output", "usage", "output_text"})


def encode_answer(
    answer: Answer, call: Call, model: str | None, new_id: NewId, clock: Callable[[], float]
) -> bytes:
    """The body of a response; see ``interfaces.ServerDialect.encode_answer``."""
    own = answer.extra if answer.dialect == NAME else {}
    choice = next((choice for choice in answer.choices if choice.index == 0), None)
    parts = choice.parts if choice is not None else ()
    if "output" in own and _said(parts) == _said(_parts_of(dict(own), new_id)):
        own = own if model is None else {**own, "model": model}
        usage = {} if answer.usage is None else {"usage": encode_usage(answer.usage)}
        return encode_json({**own, **usage})
    is_own_id = bool(own) or answer.id.startswith("resp_")
    response_id = answer.id if answer.id and is_own_id else f"resp_{new_id()}"
    name = answer.model if model is None else model
    response = echo(call, response_id, name, answer.created or int(clock()))
    response.update((field, value) for field, value in own.items() if field not in _KNOWN)
    reason = choice.reason if choice is not None else e.FinishReason.STOP
    end = ended(reason)
    outline = Outline(new_id)
    logprobs = () if choice is None else choice.logprobs or ()
    builder = _Builder(outline, new_id, logprobs, is_own=bool(own))
    if not own and end["status"] == "completed":
        parts = tuple(map(_with_arguments, parts))
    builder.build(parts)
    status = "completed" if end["status"] == "completed" else "incomplete"
    response.update(end, output=outline.wire(status))
    if end["status"] == "completed":
        response["completed_at"] = int(clock())
    if answer.usage is not None:
        response["usage"] = encode_usage(answer.usage)
    return encode_json(response)


def encode_cancelled(response_id: str) -> bytes:
    """What a client is told that cancelled a response."""
    return encode_json({"id": response_id, "object": "response", "status": "cancelled"})


def encode_token_count(count: int) -> bytes:
    """The answer to a client that asked how long its input is."""
    return encode_json({"object": "response.input_tokens", "input_tokens": count})


# ---------------------------------------------------------------- whether both say the same


def _parts_of(response: Fields, new_id: NewId) -> tuple[Part, ...]:
    batch: e.Batch = []
    EventReader(UNKNOWN_ORIGIN, new_id).finish(batch, response)
    collector = Collector()
    collector.add(batch)
    return collector.answer().choices[0].parts


def _said(parts: tuple[Part, ...]) -> list[Any]:
    """What a client reads of parts: texts by kind, calls, media."""
    texts = [
        "".join(part.text for part in parts if isinstance(part, kind))
        for kind in (Text, Refusal, Reasoning)
    ]
    calls = [(part.name, part.arguments) for part in parts if isinstance(part, ToolCall)]
    media_ = [part.url for part in parts if isinstance(part, Image | File)]
    return [texts, calls, media_]


# ---------------------------------------------------------------- putting together


def _with_arguments(part: Part) -> Part:
    """A call without arguments gets an empty object: clients parse what they get."""
    if isinstance(part, ToolCall) and part.type == "function" and not part.arguments:
        return attrs.evolve(part, arguments="{}")
    return part


class _Builder:
    """Puts parts into items.

    Args:
        logprobs: Those of all texts; the first text gets them.
        is_own: The parts are of an upstream that speaks this dialect.
    """

    def __init__(
        self,
        outline: Outline,
        new_id: NewId,
        logprobs: Sequence[Mapping[str, object]],
        *,
        is_own: bool,
    ) -> None:
        self._outline = outline
        self._new_id = new_id
        self._logprobs = logprobs
        self._message: Item | None = None
        self._is_own = is_own

    def build(self, parts: tuple[Part, ...]) -> None:
        """Takes all parts of an answer."""
        for part in parts:
            if isinstance(part, Text | Refusal | File | Audio):
                self._say(part)
            else:
                self._message = None
                self._put(part)
        for item in self._outline.items.values():
            item.is_over = True

    def _say(self, part: Part) -> None:
        """Into the message under way."""
        if self._message is None:
            self._message = self._outline.add(MESSAGE)
        if isinstance(part, Refusal):
            self._message.open(REFUSAL).pieces.append(part.text)
        elif isinstance(part, File):
            file = media.encode_part(e.Media("file", part.url, name=part.name))
            self._message.open(media.FILE, file)
        else:
            text = part.text if isinstance(part, Text) else part.extra.get("transcript")
            open_part = self._message.open(TEXT)
            open_part.pieces.append(text if isinstance(text, str) else "")
            open_part.logprobs.extend(self._logprobs)
            self._logprobs = ()

    def _put(self, part: Part) -> None:
        if isinstance(part, Reasoning):
            item = self._outline.add(REASONING)
            if part.text:
                item.open(SUMMARY).pieces.append(part.text)
            unsealed = "" if self._is_own else UNSEALED
            item.encrypted = unsealed if part.seal is None else encrypted(part.seal)
        elif isinstance(part, ToolCall):
            self._put_call(part)
        elif isinstance(part, Image):
            fields = media.encode_image(f"ig_{self._new_id()}", part.url)
            self._outline.add(str(fields["type"])).final = fields
        elif isinstance(part, Opaque) and part.dialect == NAME:
            self._outline.add(str(part.value.get("type"))).final = dict(part.value)

    def _put_call(self, part: ToolCall) -> None:
        item = self._outline.add(CUSTOM_CALL if part.type == "custom" else FUNCTION_CALL)
        item.call_id, item.name = part.id, part.name
        item.arguments.pieces.append(part.arguments)
        if part.seal is not None and part.seal.dialect != NAME:
            sealed = self._outline.add(REASONING)
            sealed.encrypted = encrypted(attrs.evolve(part.seal, call_id=part.id))
