"""Which result answers which call, in a conversation whose ids may be missing.

Gemini's clients mostly leave ids out and go by name and order. A call without one gets an id that
says where it stood, the same each time the conversation comes; a result without one answers the
oldest call of its name that has no result yet.
"""

from __future__ import annotations

from collections import deque

from lipstream.protocols.gemini.wire import is_made_up, made_up_id


class CallBook:
    """The calls of one conversation so far."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # by the id of the call
        self._waiting: dict[str, deque[str]] = {}  # ids, by name; answered ones go when met
        self._answered: set[str] = set()
        self._count = 0

    def called(self, name: str, given: str) -> str:
        """The id of a call; ``given`` is what it came with, empty for nothing."""
        call_id = given
        while not call_id or call_id in self._names:
            call_id = made_up_id(name, str(self._count))
            self._count += 1
        self._names[call_id] = name
        self._waiting.setdefault(name, deque()).append(call_id)
        return call_id

    def answered(self, name: str, given: str) -> str:
        """The id of the call that a result answers."""
        call_id = given if given in self._names else self._oldest(name)
        if given not in self._names and given and not is_made_up(call_id):
            return given
        self._answered.add(call_id)
        return call_id or made_up_id(name, "unasked")

    def _oldest(self, name: str) -> str:
        """The first call of a name that has no result, or nothing."""
        waiting = self._waiting.get(name, deque())
        while waiting and waiting[0] in self._answered:
            waiting.popleft()
        return waiting[0] if waiting else ""
