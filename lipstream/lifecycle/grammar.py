"""The order in which the events of one stream may come.

The table knows four states and the classes of events; what depends on numbers (a tool call must be
open before it gets arguments, a message must not go on after its end) is checked beside it.
Decoders are tested against it with every stream there is; with strict mode on it also runs live.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

from lipstream.canonical import events as e
from lipstream.errors import IllegalTransition
from lipstream.lifecycle.machine import Machine, Table


class GrammarState(enum.Enum):
    """Where a stream stands."""

    BEFORE = "before"
    STARTED = "started"
    IN_MESSAGE = "in_message"
    OVER = "over"


class GrammarInput(enum.Enum):
    """The classes of events that the order distinguishes."""

    START = "start"
    MESSAGE = "message"
    CONTENT = "content"
    MESSAGE_END = "message_end"
    ASIDE = "aside"  # usage, notices, extras: anywhere after the start
    FINISH = "finish"
    FAIL = "fail"


_S, _I = GrammarState, GrammarInput

GRAMMAR: Table[GrammarState, GrammarInput] = {
    _S.BEFORE: {_I.START: _S.STARTED, _I.FAIL: _S.OVER},
    _S.STARTED: {
        _I.MESSAGE: _S.IN_MESSAGE,
        _I.ASIDE: _S.STARTED,
        _I.FINISH: _S.OVER,
        _I.FAIL: _S.OVER,
    },
    _S.IN_MESSAGE: {
        _I.MESSAGE: _S.IN_MESSAGE,
        _I.CONTENT: _S.IN_MESSAGE,
        _I.MESSAGE_END: _S.IN_MESSAGE,
        _I.ASIDE: _S.IN_MESSAGE,
        _I.FINISH: _S.OVER,
        _I.FAIL: _S.OVER,
    },
    _S.OVER: {},
}

INPUT_OF: dict[type[e.Event], GrammarInput] = {
    e.Started: _I.START,
    e.MessageStarted: _I.MESSAGE,
    e.TextDelta: _I.CONTENT,
    e.ReasoningDelta: _I.CONTENT,
    e.RefusalDelta: _I.CONTENT,
    e.ToolCallStarted: _I.CONTENT,
    e.ToolCallDelta: _I.CONTENT,
    e.ToolCallFinished: _I.CONTENT,
    e.PartFinished: _I.CONTENT,
    e.Media: _I.CONTENT,
    e.MessageFinished: _I.MESSAGE_END,
    e.UsageReported: _I.ASIDE,
    e.Notice: _I.ASIDE,
    e.Extra: _I.ASIDE,
    e.Finished: _I.FINISH,
    e.StreamFailed: _I.FAIL,
}


class Grammar(Machine[GrammarState, GrammarInput]):
    """Checks one stream, event by event."""

    __slots__ = ("_calls", "_closed", "_ids", "_messages", "_open")

    def __init__(self) -> None:
        super().__init__(GRAMMAR, GrammarState.BEFORE)
        self._messages: set[int] = set()
        self._closed: set[int] = set()
        self._calls: set[tuple[int, int]] = set()
        self._open: set[tuple[int, int]] = set()
        self._ids: set[str] = set()

    def check(self, events: Iterable[e.Event]) -> None:
        """Takes events in order.

        Raises:
            IllegalTransition: this event may not come here.
        """
        for event in events:
            given = INPUT_OF[type(event)]
            self.send(given)
            rule = _RULES.get(given)
            if rule is not None:
                rule(self, event)

    def _on_message(self, event: e.MessageStarted) -> None:
        _require(event.choice not in self._messages, event, "its message is open already")
        self._messages.add(event.choice)

    def _on_content(self, event: e.Event) -> None:
        choice: int = event.choice  # type: ignore[attr-defined]
        _require(choice in self._messages, event, "its message is not open")
        _require(choice not in self._closed, event, "its message is over")
        if isinstance(event, e.ToolCallStarted):
            call = (choice, event.index)
            _require(call not in self._calls, event, "this tool call was started before")
            _require(bool(event.id) and event.id not in self._ids, event, "its id is not unique")
            self._ids.add(event.id)
            self._calls.add(call)
            self._open.add(call)
        elif isinstance(event, e.ToolCallDelta | e.ToolCallFinished):
            call = (choice, event.index)
            _require(call in self._open, event, "this tool call is not open")
            if isinstance(event, e.ToolCallFinished):
                self._open.discard(call)

    def _on_message_end(self, event: e.MessageFinished) -> None:
        _require(event.choice in self._messages, event, "its message is not open")
        _require(event.choice not in self._closed, event, "its message is over")
        unfinished = [index for choice, index in self._open if choice == event.choice]
        _require(not unfinished, event, f"tool calls {unfinished} are not finished")
        self._closed.add(event.choice)

    def _on_finish(self, event: e.Finished) -> None:
        _require(self._messages == self._closed, event, "a message is not finished")


_RULES: dict[GrammarInput, Callable[..., None]] = {
    GrammarInput.MESSAGE: Grammar._on_message,
    GrammarInput.CONTENT: Grammar._on_content,
    GrammarInput.MESSAGE_END: Grammar._on_message_end,
    GrammarInput.FINISH: Grammar._on_finish,
}


def _require(holds: bool, event: e.Event, why: str) -> None:
    if not holds:
        raise IllegalTransition(f"{event}: {why}")
