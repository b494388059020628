"""The state tables: what must hold for each of them, whatever they say."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.errors import IllegalTransition
from lipstream.lifecycle.attempt import ATTEMPT, AttemptInput, AttemptState
from lipstream.lifecycle.exchange import EXCHANGE, ExchangeInput, ExchangeState
from lipstream.lifecycle.grammar import GRAMMAR, INPUT_OF, GrammarInput, GrammarState
from lipstream.lifecycle.machine import Machine, Table, terminal_states

MACHINES: list[tuple[Table[Any, Any], Any, type[enum.Enum], type[enum.Enum]]] = [
    (ATTEMPT, AttemptState.WAITING, AttemptState, AttemptInput),
    (EXCHANGE, ExchangeState.OPEN, ExchangeState, ExchangeInput),
    (GRAMMAR, GrammarState.BEFORE, GrammarState, GrammarInput),
]
every_machine = pytest.mark.parametrize(
    ("table", "start", "states", "inputs"), MACHINES, ids=["attempt", "exchange", "grammar"]
)


def reachable(table: Table[Any, Any], start: Any) -> frozenset[Any]:
    """Every state that some sequence of inputs leads to from ``start``, itself included."""
    seen, todo = {start}, [start]
    while todo:
        fresh = set(table[todo.pop()].values()) - seen
        seen |= fresh
        todo.extend(fresh)
    return frozenset(seen)


@every_machine
def test_table_has_a_row_for_every_state(
    table: Table[Any, Any], start: Any, states: type[enum.Enum], inputs: type[enum.Enum]
) -> None:
    """A state without a row could not even be terminal."""
    assert set(states) == set(table)


@every_machine
def test_every_input_is_used(
    table: Table[Any, Any], start: Any, states: type[enum.Enum], inputs: type[enum.Enum]
) -> None:
    """An input that no state knows is a word without a meaning."""
    assert set(inputs) == {given for row in table.values() for given in row}


@every_machine
def test_every_state_is_reachable(
    table: Table[Any, Any], start: Any, states: type[enum.Enum], inputs: type[enum.Enum]
) -> None:
    """There is a way from the start to every state."""
    assert set(states) == reachable(table, start)


@every_machine
def test_every_state_reaches_a_terminal_one(
    table: Table[Any, Any], start: Any, states: type[enum.Enum], inputs: type[enum.Enum]
) -> None:
    """No machine can be caught in a circle for ever."""
    ends = terminal_states(table)
    assert all(reachable(table, state) & ends for state in states)


@given(st.data())
def test_machine_follows_its_table_and_nothing_else(data: st.DataObject) -> None:
    """In any state any input leads where the table says, or raises and changes nothing."""
    table, _, states, inputs = data.draw(st.sampled_from(MACHINES))
    state = data.draw(st.sampled_from(list(states)))
    given_input = data.draw(st.sampled_from(list(inputs)))
    machine = Machine(table, state)
    if given_input in table[state]:
        assert machine.can(given_input)
        assert table[state][given_input] is machine.send(given_input)
    else:
        with pytest.raises(IllegalTransition, match=given_input.name):
            machine.send(given_input)
        assert state is machine.state


@given(st.lists(st.sampled_from(list(ExchangeInput))))
def test_terminal_state_absorbs_whatever_comes(inputs: list[ExchangeInput]) -> None:
    """Once an exchange has ended nothing moves it any more."""
    machine = Machine(EXCHANGE, ExchangeState.OPEN)
    ended: ExchangeState | None = None
    for given_input in inputs:
        if machine.can(given_input):
            assert ended is None
            machine.send(given_input)
        if machine.is_terminal:
            ended = machine.state
    assert ended is None or ended is machine.state


def test_state_shows_in_repr() -> None:
    """A machine in a log line says where it stands."""
    assert repr(Machine(ATTEMPT, AttemptState.PRIMING)) == "<Machine PRIMING>"


def test_every_event_has_its_place_in_the_grammar() -> None:
    """A new kind of event must be given a class, or no stream could hold it."""
    from lipstream.canonical.events import Event

    assert set(Event.__subclasses__()) == set(INPUT_OF)
