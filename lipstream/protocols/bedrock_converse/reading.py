"""The events of one Converse answer, as JSON, to canonical events; frames and ends are not here.

Blocks are told apart by their index, one after the other. Whatever a server leaves out (a start, a
stop) is made up for. Calls that Bedrock itself has answered, and their results, are not for the
client, who would answer them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.seal import Sealer
from lipstream.framing.sse import encode_json
from lipstream.framing.surrogates import Halves
from lipstream.protocols.bedrock_converse.blocks_read import (
    Block,
    CallBlock,
    ImageBlock,
    ReasoningBlock,
)
from lipstream.protocols.bedrock_converse.usage import decode_usage
from lipstream.protocols.bedrock_converse.wire import (
    SERVER_TOOL,
    STOP_REASONS,
    DeltaEvent,
    Fields,
    ReasoningContent,
)

_OTHERS = Block()


class AnswerReader:
    """Turns the events of one answer into canonical ones.

    Attributes:
        late: Pieces of content that came after the end or belong to no block, and were left out.
        is_complete: Whether the message is over and the stream may end.
        is_counted: Whether the usage was told, which is the last that comes.
    """

    def __init__(self, sealer: Sealer, new_id: Callable[[], str]) -> None:
        self._sealer = sealer
        self._new_id = new_id
        self._blocks: dict[int, Block] = {}
        self._last = -1  # the index of the block that content came for last
        self._calls = 0
        self._ids: set[str] = set()
        self._halves = Halves()
        self._batch: e.Batch = []
        self._has_started = False
        self.late = 0
        self.is_complete = False
        self.is_counted = False

    # -------------------------------------------------------- what comes in

    def read_delta(self, event: DeltaEvent, batch: e.Batch) -> bool:
        """Takes a delta of one of the usual kinds; False leaves it to :meth:`read`."""
        delta = event.delta
        if delta is None or self._halves.is_on or self.is_complete or not self._has_started:
            return False
        self._batch = batch
        if delta.text is not None:
            self._text(event.index, delta.text)
        elif delta.call is not None:
            self._arguments(event.index, delta.call.input)
        elif delta.reasoning is not None:
            self._reasoning(event.index, delta.reasoning)
        else:
            return False
        return True

    def read(self, name: str, fields: Fields, batch: e.Batch) -> None:
        """Takes any event by its name; one that nobody knows is read over."""
        reader = _READERS.get(name)
        if reader is None:
            return
        self._batch = batch
        self._start()
        reader(self, fields)

    def read_answer(self, fields: Fields, message: Fields, batch: e.Batch) -> None:
        """Takes a whole answer, as the stream that it might have been."""
        self._batch = batch
        self._start()
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            for name, event in _events_of(block if isinstance(block, dict) else {}):
                _READERS[name](self, {**event, "contentBlockIndex": index})
        self._on_message_stop(fields)
        self._on_metadata(fields)
        self.finish(batch)

    def expect_halves(self) -> None:
        """From here on texts may begin or end in half a character."""
        self._halves.is_on = True

    def finish(self, batch: e.Batch) -> None:
        """The answer is complete."""
        batch.append(e.Finished())

    # -------------------------------------------------------- in order

    def _start(self) -> None:
        if not self._has_started:
            self._has_started = True
            # Converse does not say who answers: it is the model that was asked.
            model = self._sealer.origin.partition(":")[2]
            self._batch += (e.Started(model=model), e.MessageStarted())

    def _enter(self, index: int) -> None:
        """Content comes for a block: the one before it is over, unless it is a call."""
        if index != self._last:
            if not isinstance(self._blocks.get(self._last), CallBlock):
                self._stop(self._last)
            self._last = index

    def _stop(self, index: int) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if self._halves.is_on:
            self._rests(index, block)
        self._batch += block.stop()

    def _rests(self, index: int, block: Block) -> None:
        """What stands for halves of characters that stayed alone."""
        rest = self._halves.rest(index)
        if not rest:
            return
        if isinstance(block, CallBlock):
            self._batch.append(block.delta(rest))
        elif isinstance(block, ReasoningBlock):
            self._batch.append(e.ReasoningDelta(rest))
        else:
            self._batch.append(e.TextDelta(rest))

    def _whole(self, index: int, text: str) -> str:
        return self._halves.whole(index, text) if self._halves.is_on and text else text

    # -------------------------------------------------------- content

    def _text(self, index: int, text: str) -> None:
        self._enter(index)
        if index not in self._blocks:
            self._blocks[index] = _OTHERS
        if text := self._whole(index, text):
            self._batch.append(e.TextDelta(text))

    def _arguments(self, index: int, text: str) -> None:
        block = self._blocks.get(index)
        if isinstance(block, CallBlock):
            if text := self._whole(index, text):
                self._batch.append(block.delta(text))
        elif block is not _OTHERS:  # of a call that Bedrock answers itself
            self.late += 1

    def _reasoning(self, index: int, content: ReasoningContent) -> None:
        self._enter(index)
        block = self._blocks.get(index)
        if not isinstance(block, ReasoningBlock):
            self._stop(index)
            block = self._blocks[index] = ReasoningBlock(self._sealer)
        if content.text and (text := self._whole(index, content.text)):
            block.has_text = True
            self._batch.append(e.ReasoningDelta(text))
        if content.signature:
            block.signature.append(content.signature)
        if content.redacted:
            block.redacted.append(content.redacted)

    def _call(self, index: int, fields: Fields) -> None:
        given, name = fields.get("toolUseId"), fields.get("name")
        is_free = isinstance(given, str) and given and given not in self._ids
        call_id = str(given) if is_free else f"tooluse_{self._new_id()}"
        self._ids.add(call_id)
        name = name if isinstance(name, str) else ""
        self._batch.append(e.ToolCallStarted(self._calls, call_id, name))
        self._blocks[index] = CallBlock(self._calls)
        self._calls += 1

    # -------------------------------------------------------- events

    def _on_message_start(self, fields: Fields) -> None:
        """Nothing beyond the start itself: the role is always the assistant's."""

    def _on_start(self, fields: Fields) -> None:
        start, index = _object(fields.get("start")), _index(fields)
        if self.is_complete:
            self.late += 1
            return
        self._enter(index)
        self._stop(index)
        call, image = start.get("toolUse"), start.get("image")
        if isinstance(call, dict) and call.get("type") != SERVER_TOOL:
            self._call(index, call)
        elif isinstance(image, dict):
            self._blocks[index] = ImageBlock(_text_of(image, "format") or "png")
        else:
            self._blocks[index] = _OTHERS

    def _on_delta(self, fields: Fields) -> None:
        delta, index = _object(fields.get("delta")), _index(fields)
        if self.is_complete:
            self.late += 1
        elif (text := _text_of(delta, "text")) is not None:
            self._text(index, text)
        elif isinstance(call := delta.get("toolUse"), dict):
            self._arguments(index, _text_of(call, "input") or "")
        elif isinstance(reasoning := delta.get("reasoningContent"), dict):
            names = ("text", "signature", "redactedContent")
            self._reasoning(index, ReasoningContent(*(_text_of(reasoning, n) for n in names)))
        elif isinstance(image := delta.get("image"), dict):
            block = self._blocks.get(index)
            if isinstance(block, ImageBlock):
                block.delta(_object(image.get("source")))

    def _on_stop(self, fields: Fields) -> None:
        self._stop(_index(fields))

    def _on_message_stop(self, fields: Fields) -> None:
        if self.is_complete:
            return
        for index in list(self._blocks):
            self._stop(index)
        word = _text_of(fields, "stopReason") or ""
        reason = STOP_REASONS.get(word, e.FinishReason.STOP)
        if reason is e.FinishReason.STOP and self._calls:
            reason = e.FinishReason.TOOL_CALLS  # some models forget to say so
        self.is_complete = True
        self._batch.append(e.MessageFinished(reason, detail=word))

    def _on_metadata(self, fields: Fields) -> None:
        usage = fields.get("usage")
        if isinstance(usage, dict):
            self.is_counted = True
            self._batch.append(e.UsageReported(decode_usage(usage)))


_READERS: dict[str, Callable[[AnswerReader, Fields], None]] = {
    "messageStart": AnswerReader._on_message_start,
    "contentBlockStart": AnswerReader._on_start,
    "contentBlockDelta": AnswerReader._on_delta,
    "contentBlockStop": AnswerReader._on_stop,
    "messageStop": AnswerReader._on_message_stop,
    "metadata": AnswerReader._on_metadata,
}


# ---------------------------------------------------------------- whole blocks


def _events_of(block: Fields) -> Iterator[tuple[str, Fields]]:
    """The events that would have brought a whole block."""
    if isinstance(call := block.get("toolUse"), dict):
        yield "contentBlockStart", {"start": {"toolUse": call}}
        arguments = encode_json(call.get("input") or {}).decode()
        yield "contentBlockDelta", {"delta": {"toolUse": {"input": arguments}}}
    elif isinstance(image := block.get("image"), dict):
        yield "contentBlockStart", {"start": {"image": image}}
        yield "contentBlockDelta", {"delta": {"image": image}}
    elif isinstance(reasoning := block.get("reasoningContent"), dict):
        told = _object(reasoning.get("reasoningText")) or reasoning
        yield "contentBlockDelta", {"delta": {"reasoningContent": told}}
    else:
        for text in _texts(block):
            yield "contentBlockDelta", {"delta": {"text": text}}
    yield "contentBlockStop", {}


def _texts(block: Fields) -> Iterator[str]:
    """Plain text, or text with what it cites."""
    cited = _object(block.get("citationsContent")).get("content")
    for piece in (block, *(cited if isinstance(cited, list) else ())):
        text = _text_of(_object(piece), "text")
        if text:
            yield text


def _object(value: Any) -> Fields:
    return value if isinstance(value, dict) else {}


def _text_of(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _index(fields: Fields) -> int:
    value = fields.get("contentBlockIndex")
    return value if isinstance(value, int) else 0
