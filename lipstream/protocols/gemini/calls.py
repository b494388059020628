"""The function calls of one candidate: whole ones, and those whose arguments come in pieces.

A call with ``willContinue`` goes on with the next ``functionCall`` that has no name, until one
comes without ``willContinue``, or something else does, or the answer is over. Only then are the
arguments whole, and told at once.
"""

from __future__ import annotations

from collections.abc import Callable

from lipstream.canonical import events as e
from lipstream.canonical.seal import Sealer
from lipstream.protocols.gemini.partial_args import PartialArgs
from lipstream.protocols.gemini.wire import NAME, Fields, json_text, made_up_id

_KNOWN = frozenset({"name", "args", "id", "partialArgs", "willContinue"})


class CallIds:
    """Makes sure that the ids of one stream are unique, and that its own are in the conversation.

    Args:
        new_id: Makes up what tells this stream's ids from those of others.
    """

    __slots__ = ("_count", "_given", "_mark", "_new_id")

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._given: set[str] = set()
        self._mark = ""
        self._count = 0

    def take(self, given: object, name: str) -> str:
        """The id that the upstream gave, where it gave a new one; else one that is made up."""
        call_id = given if isinstance(given, str) and given.strip() else ""
        self._mark = self._mark or self._new_id()
        while not call_id or call_id in self._given:
            call_id = made_up_id(name, f"{self._mark}-{self._count}")
            self._count += 1
        self._given.add(call_id)
        return call_id


class CallReader:
    """Turns the function calls of one candidate into events."""

    __slots__ = ("_args", "_choice", "_id", "_ids", "_sealer", "_signature", "count")

    def __init__(self, choice: int, ids: CallIds, sealer: Sealer) -> None:
        self._choice = choice
        self._ids = ids
        self._sealer = sealer
        self._id = self._signature = ""
        self._args: PartialArgs | None = None  # of the call that is open
        self.count = 0

    @property
    def is_open(self) -> bool:
        """Whether a call is on its way."""
        return self._args is not None

    def read(self, call: Fields, signature: str, source: e.Source, batch: e.Batch) -> None:
        """Takes one ``functionCall``."""
        name, args, goes_on = call.get("name"), call.get("args"), call.get("willContinue") is True
        name = name if isinstance(name, str) else ""
        if name and self._args is not None:
            self.close(source, batch)
        if self._args is None:
            if not name and not args:
                return  # the end of a call that something else has ended before
            self._open(name, call.get("id"), source, batch)
        open_args = self._args or PartialArgs()
        if isinstance(args, dict):
            open_args.add_whole(args)
        open_args.add(call.get("partialArgs"))
        self._signature = self._signature or signature
        if not goes_on:
            self.close(source, batch)

    def carried(self, call: Fields) -> Fields:
        """The fields of a call without a canonical place."""
        return {name: value for name, value in call.items() if name not in _KNOWN}

    def close(self, source: e.Source | None, batch: e.Batch) -> None:
        """Ends the call that is open, if one is."""
        if self._args is None:
            return
        index, arguments = self.count - 1, json_text(self._args.value())
        batch.append(e.ToolCallDelta(index, arguments, self._choice, source=source))
        seal = None
        if self._signature:
            seal = self._sealer.seal(NAME, self._signature, call_id=self._id)
        batch.append(e.ToolCallFinished(index, self._choice, seal, source=source))
        self._args, self._signature = None, ""

    def _open(self, name: str, given: object, source: e.Source, batch: e.Batch) -> None:
        self._id = self._ids.take(given, name)
        self._args = PartialArgs()
        batch.append(e.ToolCallStarted(self.count, self._id, name, self._choice, source=source))
        self.count += 1
