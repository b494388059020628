"""The output of a Responses answer: items, and the events that build them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

from lipstream.emulators.counts import fragments
from lipstream.emulators.playback import Lead, Tail
from lipstream.emulators.proofs import prove, stamp
from lipstream.emulators.script import Script, ToolCall, tokens

_encode = msgspec.json.encode

Item = dict[str, Any]


class Output:
    """The items of one answer, in the making.

    Attributes:
        done: The items that are finished; complete when `events` has been read to its end.
    """

    def __init__(self, model: str, script: Script, *, is_encrypted: bool, is_stored: bool) -> None:
        """Nothing is said yet.

        Args:
            model: The one that was asked for; proofs are bound to it.
            script: What is said.
            is_encrypted: Reasoning carries its encrypted content.
            is_stored: The provider keeps the items, so that their ids suffice.
        """
        self.done: list[Item] = []
        self._model = model
        self._script = script
        self._is_encrypted = is_encrypted
        self._is_stored = is_stored
        self._number = 0

    def write(self, kind: str, **fields: Any) -> bytes:
        """The next event of the stream."""
        data = _encode({"type": kind, **fields, "sequence_number": self._number})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def events(self) -> Iterator[bytes]:
        """All that happens between the opening and the last event."""
        script = self._script
        if script.reasoning:
            yield from self._reasoning(script.reasoning)
        for _ in range(script.redacted):
            yield from self._reasoning("")
        if script.image is not None:
            yield from self._image(script.image)
        says_something = script.reasoning or script.tool_calls or script.image is not None
        if script.deltas() or script.refusal is not None or not says_something:
            yield from self._message()
        for call in script.tool_calls:
            yield from self._call(call)

    # ---- items

    def _start(self, item: Item) -> bytes:
        return self.write("response.output_item.added", item=item, output_index=len(self.done))

    def _finish(self, item: Item) -> bytes:
        event = self.write("response.output_item.done", item=item, output_index=len(self.done))
        self.done.append(item)
        return event

    @property
    def _status(self) -> str:
        """Of an item that is finished as far as it goes."""
        return "incomplete" if self._script.finish_reason == "length" else "completed"

    def _reasoning(self, text: str) -> Iterator[bytes]:
        bound = ("stored",) if self._is_stored else ("passing",)
        item: Item = {"id": f"rs_{stamp(*bound)}", "type": "reasoning", "summary": []}
        start = item
        if self._is_encrypted:
            item = {**item, "content": [], "encrypted_content": f"gAAAA{prove(self._model)}"}
            # What comes with the start is not yet what has to come back.
            start = {**item, "encrypted_content": f"gAAAA{prove('start', self._model)}"}
        if not text:
            yield self._start(start)
            yield Tail(self._finish(item))
            return
        where = {"item_id": item["id"], "output_index": len(self.done), "summary_index": 0}
        kind = "response.reasoning_summary"
        empty, part = ({"type": "summary_text", "text": said} for said in ("", text))
        yield Lead(self._start(start))
        yield Lead(self.write(f"{kind}_part.added", **where, part=empty))
        for piece in tokens(text):
            yield self.write(f"{kind}_text.delta", **where, delta=piece)
        yield Tail(self.write(f"{kind}_text.done", **where, text=text))
        yield Tail(self.write(f"{kind}_part.done", **where, part=part))
        yield Tail(self._finish({**item, "summary": [part]}))

    def _message(self) -> Iterator[bytes]:
        item = {"id": f"msg_{_id()}", "type": "message", "role": "assistant", "content": []}
        yield Lead(self._start({**item, "status": "in_progress"}))
        content: list[Item] = []
        text = self._script.deltas()
        if text or self._script.refusal is None:
            content.append(_text("".join(text)))
            yield from self._part(item["id"], content, text)
        if self._script.refusal is not None:
            content.append({"type": "refusal", "refusal": self._script.refusal})
            yield from self._part(item["id"], content, tokens(self._script.refusal))
        yield Tail(self._finish({**item, "content": content, "status": self._status}))

    def _part(self, item_id: Any, content: list[Item], pieces: list[str]) -> Iterator[bytes]:
        """The last part of ``content``, growing."""
        part, index = content[-1], len(content) - 1
        where = {"item_id": item_id, "output_index": len(self.done), "content_index": index}
        is_text = part["type"] == "output_text"
        field = "text" if is_text else "refusal"
        extra: Item = {"logprobs": []} if is_text else {}
        yield Lead(self.write("response.content_part.added", **where, part={**part, field: ""}))
        for piece in pieces:
            yield self.write(f"response.{part['type']}.delta", **where, delta=piece, **extra)
        said = {field: part[field], **extra}
        yield Tail(self.write(f"response.{part['type']}.done", **where, **said))
        yield Tail(self.write("response.content_part.done", **where, part=part))

    def _image(self, url: str) -> Iterator[bytes]:
        item: Item = {"id": f"ig_{_id()}", "type": "image_generation_call"}
        where = {"item_id": item["id"], "output_index": len(self.done)}
        yield Lead(self._start({**item, "status": "in_progress", "result": None}))
        for state in ("in_progress", "generating", "completed"):
            yield Lead(self.write(f"response.image_generation_call.{state}", **where))
        head, _, data = url.partition(",")
        shape = head.removeprefix("data:image/").partition(";")[0]
        yield self._finish(
            {**item, "status": "completed", "result": data or url, "output_format": shape}
        )

    def _call(self, call: ToolCall) -> Iterator[bytes]:
        call_id = call.id or f"call_{uuid.uuid4().hex[:24]}"
        item = {"id": f"fc_{_id()}", "type": "function_call", "call_id": call_id, "name": call.name}
        where = {"item_id": item["id"], "output_index": len(self.done)}
        yield self._start({**item, "status": "in_progress", "arguments": ""})
        kind = "response.function_call_arguments"
        for piece in fragments(call):
            yield self.write(f"{kind}.delta", **where, delta=piece)
        yield Tail(self.write(f"{kind}.done", **where, arguments=call.arguments))
        yield Tail(self._finish({**item, "status": self._status, "arguments": call.arguments}))


def _text(text: str) -> Item:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _id() -> str:
    return uuid.uuid4().hex + uuid.uuid4().hex[:16]
