"""The finish line: which event makes an attempt the answer.

By default it is the first content: non-blank text or reasoning, a tool call, media. Headers, a
role-only delta, usage and the like never count, because many servers send them long before they
know what to say. A complete answer without any content counts at its end.
"""

from __future__ import annotations

import msgspec

from lipstream.canonical import events as e
from lipstream.canonical.policy import CommitPoint


class FinishLine:
    """Watches one stream for the event that counts.

    With TOOL_CALL a call whose arguments are not JSON never counts, and :attr:`is_broken` says so.
    """

    __slots__ = ("_arguments", "_point", "is_broken")

    def __init__(self, point: CommitPoint = CommitPoint.CONTENT) -> None:
        self._point = point
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self.is_broken = False

    def is_crossed_by(self, event: e.Event) -> bool:
        """Whether the attempt may commit with this event."""
        if isinstance(event, e.Finished):
            return not self.is_broken
        if self._point is CommitPoint.FINISH:
            return False
        if isinstance(event, e.TextDelta | e.RefusalDelta):
            return bool(event.text) and not event.text.isspace()
        if isinstance(event, e.ReasoningDelta):
            is_blank = not event.text or event.text.isspace()
            return self._point is not CommitPoint.TEXT and not is_blank
        if isinstance(event, e.Media):
            return True
        if isinstance(event, e.ToolCallStarted | e.ToolCallDelta | e.ToolCallFinished):
            return self._point is not CommitPoint.TOOL_CALL or self._is_whole_call(event)
        return False

    def _is_whole_call(
        self, event: e.ToolCallStarted | e.ToolCallDelta | e.ToolCallFinished
    ) -> bool:
        call = (event.choice, event.index)
        if isinstance(event, e.ToolCallStarted):
            if event.type == "function":
                self._arguments[call] = []
            return False
        if isinstance(event, e.ToolCallDelta):
            if call in self._arguments:
                self._arguments[call].append(event.arguments)
            return False
        text = "".join(self._arguments.pop(call, ["{}"]))
        try:
            msgspec.json.decode(text or "{}")
        except msgspec.DecodeError:
            self.is_broken = True
        return not self.is_broken
