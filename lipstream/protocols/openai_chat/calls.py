"""The tool calls of one message: which piece belongs to which call.

OpenAI gives every piece an index, and only the first one of a call an id and a name. Others repeat
both, leave out the index, give every call index 0, send the arguments first or have no ids at all.
The rules:

- An index leads to the call that has it, unless the piece has another id than that call, or no id
  and another name: then it is a new call in its place.
- Without an index the id leads to its call; an unknown id is a new call.
- With neither, a name that the last call does not have is a new call; anything else goes on with
  the last call.
- Two pieces of one chunk that have names and no ids are two calls.
- A call starts when its name is known (an id alone does not say what to call), and what came
  before is kept until then. An id that is missing, or taken, is made up.
"""

from __future__ import annotations

from collections.abc import Callable

from lipstream.canonical import events as e
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.framing.surrogates import Halves
from lipstream.protocols.openai_chat.seals import sealed_call
from lipstream.protocols.openai_chat.wire import NAME, Fields, ToolCallPiece


class _OpenCall:
    """One call on its way; ``given_id`` is the upstream's, ``id`` the one that is told on."""

    __slots__ = ("given_id", "held", "id", "index", "is_over", "name", "other", "signed", "type")

    def __init__(self) -> None:
        self.index = -1  # while it has not started
        self.id = self.given_id = self.name = ""
        self.type = "function"
        self.held: list[str] = []
        self.other: Fields = {}
        self.signed: object = None  # its ``extra_content``, which may hold a signature
        self.is_over = False


class CallTracker:
    """Turns the pieces of one message into events.

    Args:
        ids: The ids that the stream has given so far, in all its messages.
        new_id: Makes one up.
        sealer: Makes the seals of signed calls.
    """

    __slots__ = (
        "_by_id",
        "_by_index",
        "_calls",
        "_choice",
        "_count",
        "_halves",
        "_ids",
        "_new_id",
        "_sealer",
    )

    def __init__(
        self,
        choice: int,
        ids: set[str],
        new_id: Callable[[], str],
        halves: Halves,
        sealer: Sealer = UNKNOWN_ORIGIN,
    ) -> None:
        self._sealer = sealer
        self._choice = choice
        self._ids = ids
        self._new_id = new_id
        self._halves = halves
        self._count = 0
        self._calls: list[_OpenCall] = []
        self._by_index: dict[int, _OpenCall] = {}
        self._by_id: dict[str, _OpenCall] = {}

    @property
    def has_any(self) -> bool:
        """Whether a call has started."""
        return self._count > 0

    def read(self, pieces: list[ToolCallPiece], source: e.Source | None, batch: e.Batch) -> bool:
        """Takes the pieces of one chunk; says whether its bytes are as OpenAI would write them."""
        is_exact = True
        touched: set[_OpenCall] = set()
        for piece in pieces:
            call = self._find(piece, touched)
            if call is None:
                call = self._open(piece, source, batch)
            touched.add(call)
            if not self._add(call, piece, source, batch):
                is_exact = False
        return is_exact

    def finish(self, source: e.Source | None, batch: e.Batch) -> None:
        """Ends every call that is open; one that never got a name starts without."""
        for call in self._calls:
            if not call.is_over:
                self._close(call, source, batch)

    # -------------------------------------------------------- whose piece it is

    def _find(self, piece: ToolCallPiece, touched: set[_OpenCall]) -> _OpenCall | None:
        """The open call that a piece belongs to, or None when it begins a new one."""
        if piece.index is not None:
            call = self._by_index.get(piece.index)
        elif piece.id:
            call = self._by_id.get(piece.id)
        else:
            call = self._calls[-1] if self._calls else None
        if call is None or call.is_over:
            return None
        if piece.id:
            return None if call.given_id and call.given_id != piece.id else call
        name = _name_of(piece)
        is_new = bool(name and call.name) and (name != call.name or call in touched)
        return None if is_new else call

    def _open(self, piece: ToolCallPiece, source: e.Source | None, batch: e.Batch) -> _OpenCall:
        call = _OpenCall()
        if piece.index is not None:
            before = self._by_index.get(piece.index)
            if before is not None and not before.is_over:
                self._close(before, source, batch)
            self._by_index[piece.index] = call
        self._calls.append(call)
        return call

    # -------------------------------------------------------- what it adds

    def _add(
        self, call: _OpenCall, piece: ToolCallPiece, source: e.Source | None, batch: e.Batch
    ) -> bool:
        """Whether the piece is one that OpenAI might have sent."""
        name = _name_of(piece)
        if piece.id and not call.given_id:
            call.given_id = piece.id
            self._by_id[piece.id] = call
        if piece.other:
            call.other.update(piece.other)
            call.signed = piece.other.get("extra_content") or call.signed
        if call.index >= 0:
            is_exact = piece.index == call.index and not piece.id and not name
        else:
            call.name = name
            if piece.type == "custom" or piece.custom is not None:
                call.type = "custom"
            if not name:
                call.held.append(_arguments_of(piece))
                return False
            is_whole = not call.held and piece.type is not None
            self._start(call, source, batch)
            is_exact = is_whole and (piece.index, piece.id) == (call.index, call.id)
        if arguments := _arguments_of(piece):
            self._argue(call, arguments, source, batch)
        if call.other:
            fields = {"tool_calls": [{"index": call.index, **call.other}]}
            call.other = {}
            batch.append(e.Extra(NAME, "delta", fields, self._choice, source=source))
        return is_exact

    def _start(self, call: _OpenCall, source: e.Source | None, batch: e.Batch) -> None:
        is_free = bool(call.given_id) and call.given_id not in self._ids
        call.id = call.given_id if is_free else f"call_{self._new_id()}"
        self._ids.add(call.id)
        call.index = self._count
        self._count += 1
        batch.append(
            e.ToolCallStarted(
                call.index, call.id, call.name, self._choice, call.type, source=source
            )
        )
        if held := "".join(call.held):
            self._argue(call, held, source, batch)

    def _argue(
        self, call: _OpenCall, arguments: str, source: e.Source | None, batch: e.Batch
    ) -> None:
        if self._halves.is_on:
            arguments = self._halves.whole((self._choice, call.index), arguments)
        if arguments:
            batch.append(e.ToolCallDelta(call.index, arguments, self._choice, source=source))

    def _close(self, call: _OpenCall, source: e.Source | None, batch: e.Batch) -> None:
        call.is_over = True
        if call.index < 0:
            if not call.given_id and not any(call.held):
                return  # an empty place, not a call
            self._start(call, source, batch)
        if rest := self._halves.rest((self._choice, call.index)):
            batch.append(e.ToolCallDelta(call.index, rest, self._choice, source=source))
        seal = sealed_call(call.signed, self._sealer, call.id) if call.signed else None
        batch.append(e.ToolCallFinished(call.index, self._choice, seal, source=source))


def _name_of(piece: ToolCallPiece) -> str:
    inner = piece.function or piece.custom
    return "" if inner is None else inner.name or ""


def _arguments_of(piece: ToolCallPiece) -> str:
    if piece.function is not None:
        return piece.function.arguments or ""
    return "" if piece.custom is None else piece.custom.input or ""
