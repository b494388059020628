"""The one runner for all state tables.

A table maps every state to the inputs it knows and the state each leads to. An input that a state
does not know is a bug of ours: :class:`~lipstream.errors.IllegalTransition` is raised, the state
stays, and nobody catches it. A state with an empty row is terminal: it absorbs, which is how "the
first ending wins" is written down.

A machine has one writer at a time and no lock: between two checkpoints nothing else runs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from lipstream.errors import IllegalTransition

S = TypeVar("S", bound=enum.Enum)
I = TypeVar("I", bound=enum.Enum)  # noqa: E741 - an input

Table = Mapping[S, Mapping[I, S]]


class Machine(Generic[S, I]):
    """A state, and the table that says how it may change."""

    __slots__ = ("_table", "state")

    def __init__(self, table: Table[S, I], state: S) -> None:
        self._table = table
        self.state = state

    def send(self, given: I) -> S:
        """Takes one input and returns the state it led to.

        Raises:
            IllegalTransition: the state does not know this input; the state is unchanged.
        """
        try:
            self.state = self._table[self.state][given]
        except KeyError:
            raise IllegalTransition(f"{self.state} does not take {given}") from None
        return self.state

    def can(self, given: I) -> bool:
        """Whether the state knows this input."""
        return given in self._table[self.state]

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen any more."""
        return not self._table[self.state]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state.name}>"


def transitions(table: Table[S, I]) -> Iterator[tuple[S, I, S]]:
    """Every arrow of a table, in the order in which it is written."""
    for state, row in table.items():
        for given, target in row.items():
            yield state, given, target


def terminal_states(table: Table[S, I]) -> frozenset[S]:
    """The states with empty rows."""
    return frozenset(state for state, row in table.items() if not row)
