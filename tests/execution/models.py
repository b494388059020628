"""Backends that know what they say, for tests of rescues: they go on from a prefill, or do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.parts import Text
from lipstream.errors import UpstreamFault
from tests.fakes import END, START, FakeBackend, FakeUpstream, Script, Step

Say = Callable[[str], Sequence[str]]


def given_to(call: Call) -> str:
    """The beginning of the answer that a call comes with."""
    last = call.messages[-1]
    if last.role is not Role.ASSISTANT:
        return ""
    return "".join(part.text for part in last.parts if isinstance(part, Text))


class Model(FakeBackend):
    """Says what a function makes of the beginning that it was given, piece by piece.

    Args:
        pace: Seconds before each piece.
        thinks: Reasoning that comes first.
    """

    def __init__(
        self, id: str, say: Say, *, prefills: bool = False, pace: float = 0.0, thinks: str = ""
    ) -> None:
        super().__init__(id, Script(), prefills=prefills)
        self._say = say
        self._pace = pace
        self._thinks = thinks

    async def open(self, call: Call, candidate: Candidate) -> FakeUpstream:
        """Opens an answer to this very call."""
        thoughts = [e.ReasoningDelta(self._thinks)] if self._thinks else []
        said = [Step(self._pace, [e.TextDelta(piece)]) for piece in self._say(given_to(call))]
        self.scripts = [Script((Step(0, [*START, *thoughts]), *said, Step(0, END)))]
        return await super().open(call, candidate)


def knows(text: str) -> Say:
    """Says the text, letter by letter, or the rest of it when it is given its beginning."""
    return lambda given: list(text.removeprefix(given))


def says_always(*pieces: str) -> Say:
    """Says the same whatever it is given."""
    return lambda _: pieces


def cut(*pieces: str, by: UpstreamFault | None, pace: float = 0.0) -> Script:
    """An answer that breaks off after these pieces; by None it falls silent."""
    said = [Step(pace, [e.TextDelta(piece)]) for piece in pieces]
    return Script((Step(0, START), *said, Step(0, by)))
