"""The answer to a prompt: NDJSON lines to canonical events.

What an agent shows of its doing beside its words (plans, modes) is told as reasoning, in a line of
its own; its tools are its own and only noted. Requests of the agent are collected for whoever can
answer them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from lipstream.canonical import events as e
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.data_url import sniffed
from lipstream.framing.ndjson import NdjsonSplitter
from lipstream.framing.surrogates import Halves
from lipstream.protocols.acp.errors import decode_fault
from lipstream.protocols.acp.messages import Message, NotAMessage, decode_message
from lipstream.protocols.acp.wire import (
    CANCELLED,
    FINISH_REASONS,
    LINE_BYTES,
    PLAIN_REASONS,
    PROMPT,
    UPDATE,
    Fields,
)

MAX_BAD_IN_A_ROW = 3

_TOOL_NOTICE = e.Notice("acp_tool_unmapped", "The agent uses a tool of its own.")
_CONTENT_NOTICE = e.Notice("acp_content_unmapped", "The agent sent content of another kind.")
_PLAN_NOTICE = e.Notice("acp_plan", "The agent made a plan.")
_MODE_NOTICE = e.Notice("acp_mode", "The agent changed its mode.")


@attrs.frozen(kw_only=True)
class Show:
    """What is told as reasoning.

    Attributes:
        thoughts: Else they are left out.
        plan: Else plans are noted.
        mode: Else changes of the mode are noted.
    """

    thoughts: bool = True
    plan: bool = True
    mode: bool = True


@attrs.frozen
class AgentRequest:
    """Something that the agent wants, and waits for.

    Attributes:
        id: As the agent wrote it, to be sent back with the answer.
    """

    id: bytes
    method: str
    params: Any


class PromptDecoder:
    """Reads one answer.

    Args:
        number: The id of the prompt's request.
        session_id: What is told of other sessions is left out.
        model: What the answer is told to come from.

    Attributes:
        dropped_events: How many lines could not be read.
        is_settled: The agent itself has ended the prompt: there is nothing left to cancel.
    """

    def __init__(
        self,
        number: int,
        session_id: str,
        model: str = "",
        show: Show = Show(),
        limit: int = LINE_BYTES,
    ) -> None:
        self.dropped_events = 0
        self.is_settled = False
        self._number = number
        self._session_id = session_id
        self._model = model
        self._show = show
        self._splitter = NdjsonSplitter(limit)
        self._halves = Halves()
        self._requests: list[AgentRequest] = []
        self._bad_in_a_row = 0
        self._has_started = False
        self._is_over = False

    def feed(self, data: bytes) -> e.Batch:
        """Takes what one network read delivered; returns the events that are complete, if any."""
        batch: e.Batch = []
        try:
            for line in self._splitter.feed(data):
                self._take(line, batch)
        except UpstreamFault as fault:
            self._fail(fault, batch)
        return batch

    def end(self) -> e.Batch:
        """The body is over: the rest, with a terminal event unless one was given before."""
        batch: e.Batch = []
        try:
            if line := self._splitter.end():
                self._take(line, batch)
        except UpstreamFault as fault:
            self._fail(fault, batch)
        message = "the agent's answer ended without a result"
        self._fail(UpstreamFault(FaultKind.TRUNCATED, message), batch)
        return batch

    def take_requests(self) -> list[AgentRequest]:
        """What the agent has asked since this was called last."""
        requests, self._requests = self._requests, []
        return requests

    # -------------------------------------------------------- lines

    def _take(self, line: bytes, batch: e.Batch) -> None:
        if self._is_over:
            return
        try:
            message = decode_message(line)
        except NotAMessage:
            self._drop()
            return
        self._bad_in_a_row = 0
        self._halves.is_on = self._halves.is_on or message.is_mended
        is_ours = message.answers(self._number)
        if message.error is not None and (is_ours or message.method is None):
            self.is_settled = True
            raise decode_fault(message.error, PROMPT)
        if message.method == UPDATE:
            self._update(message.params, batch)
        elif message.is_request:
            request = AgentRequest(bytes(message.id), message.method or "", message.params)
            self._requests.append(request)
        elif message.method is None and is_ours:
            self._finish(message, batch)

    def _drop(self) -> None:
        self.dropped_events += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row == MAX_BAD_IN_A_ROW:
            message = f"{MAX_BAD_IN_A_ROW} lines in a row could not be read"
            raise UpstreamFault(FaultKind.PROTOCOL, message)

    def _finish(self, message: Message, batch: e.Batch) -> None:
        self.is_settled = True
        if not isinstance(message.result, dict):
            raise UpstreamFault(FaultKind.PROTOCOL, "the agent's answer has no result")
        word = _word(message.result.get("stopReason"))
        if word == CANCELLED:
            raise UpstreamFault(FaultKind.TRANSIENT, "the agent's turn was cancelled")
        for kind in (e.ReasoningDelta, e.TextDelta):
            self._emit(kind, self._halves.rest(kind.__name__), batch)
        reason = FINISH_REASONS.get(word, e.FinishReason.STOP)
        detail = "" if word in PLAIN_REASONS else word
        self._start(batch)
        batch += (e.MessageFinished(reason, detail=detail), e.Finished())
        self._is_over = True

    def _fail(self, fault: UpstreamFault, batch: e.Batch) -> None:
        if not self._is_over:
            self._is_over = True
            batch.append(e.StreamFailed(fault))

    # -------------------------------------------------------- updates

    def _update(self, params: Any, batch: e.Batch) -> None:
        fields = _fields(params)
        if fields.get("sessionId") not in (None, "", self._session_id):
            return
        update = _fields(fields.get("update"))
        reader = _READERS.get(_word(update.get("sessionUpdate")))
        if reader is not None:
            reader(self, update, batch)

    def _on_message(self, update: Fields, batch: e.Batch) -> None:
        content = _fields(update.get("content"))
        if _is_text(content):
            self._say(e.TextDelta, _text(content), batch)
        elif (image := _image(content)) is not None:
            self._add(image, batch)
        else:
            self._add(_CONTENT_NOTICE, batch)

    def _on_thought(self, update: Fields, batch: e.Batch) -> None:
        if self._show.thoughts:
            self._say(e.ReasoningDelta, _text(_fields(update.get("content"))), batch)

    def _on_plan(self, update: Fields, batch: e.Batch) -> None:
        if self._show.plan:
            title = _word(update.get("title"))
            self._say(e.ReasoningDelta, f"[plan] {title}\n" if title else "[plan]\n", batch)
        else:
            self._add(_PLAN_NOTICE, batch)

    def _on_mode(self, update: Fields, batch: e.Batch) -> None:
        names = (_word(update.get(name)) for name in ("modeId", "mode", "currentModeId"))
        mode = next(filter(None, names), "")
        if not self._show.mode:
            self._add(_MODE_NOTICE, batch)
        elif mode:
            self._say(e.ReasoningDelta, f"[mode] {mode}\n", batch)

    def _on_tool(self, update: Fields, batch: e.Batch) -> None:
        self._add(_TOOL_NOTICE, batch)

    # -------------------------------------------------------- events

    def _say(
        self, kind: type[e.TextDelta] | type[e.ReasoningDelta], text: str, batch: e.Batch
    ) -> None:
        if self._halves.is_on:
            text = self._halves.whole(kind.__name__, text)
        self._emit(kind, text, batch)

    def _emit(
        self, kind: type[e.TextDelta] | type[e.ReasoningDelta], text: str, batch: e.Batch
    ) -> None:
        if text:
            self._add(kind(text), batch)

    def _add(self, event: e.Event, batch: e.Batch) -> None:
        self._start(batch)
        batch.append(event)

    def _start(self, batch: e.Batch) -> None:
        if not self._has_started:
            self._has_started = True
            batch += (e.Started(model=self._model), e.MessageStarted())


_READERS: dict[str, Callable[[PromptDecoder, Fields, e.Batch], None]] = {
    "agent_message_chunk": PromptDecoder._on_message,
    "agent_thought_chunk": PromptDecoder._on_thought,
    "plan": PromptDecoder._on_plan,
    "current_mode_update": PromptDecoder._on_mode,
    "tool_call": PromptDecoder._on_tool,
    "tool_call_update": PromptDecoder._on_tool,
}


def _fields(value: Any) -> Fields:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_text(content: Fields) -> bool:
    return content.get("type", "text") == "text" or bool(_word(content.get("textDelta")))


def _text(content: Fields) -> str:
    """``textDelta`` where it says something, else ``text``; nothing is trimmed."""
    delta = _word(content.get("textDelta"))
    text = _word(content.get("text")) if content.get("type") == "text" else ""
    return delta if delta.strip() else text or delta


def _image(content: Fields) -> e.Media | None:
    data, kind = _word(content.get("data")), _word(content.get("mimeType"))
    if content.get("type") != "image" or not data or not (data.isascii() and kind.isascii()):
        return None
    kind = kind or sniffed(data)
    return e.Media("image", f"data:{kind};base64,{data}", kind)
