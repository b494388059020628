"""An exchange and its attempts together: the invariants of the design, driven at random."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as bundle
from hypothesis.stateful import (
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from lipstream.errors import IllegalTransition
from lipstream.lifecycle.attempt import AttemptInput, AttemptMachine, AttemptState
from lipstream.lifecycle.exchange import Exchange, ExchangeInput, ExchangeState

OWNING = (AttemptState.STREAMING, AttemptState.COMPLETE)
ENDINGS = st.sampled_from(
    [
        ExchangeInput.EXHAUST,
        ExchangeInput.EXPIRE,
        ExchangeInput.REFUSE,
        ExchangeInput.BREAK,
        ExchangeInput.LEAVE,
        ExchangeInput.CANCEL,
    ]
)


class ExchangeWithAttempts(RuleBasedStateMachine):
    """Attempts that open, deliver, fail and are cancelled in any order, late ones included."""

    attempts = bundle("attempts")

    @initialize()
    def begin(self) -> None:
        self.exchange = Exchange()
        self.machines: list[AttemptMachine] = []
        self.records: dict[int, AttemptState] = {}
        self.ending_seen: object = None
        self.handed_on: list[int] = []

    def _record(self, number: int) -> None:
        machine = self.machines[number]
        if machine.is_terminal:
            assert number not in self.records
            self.records[number] = machine.state

    @precondition(lambda self: self.exchange.can(ExchangeInput.LAUNCH))
    @rule(target=attempts)
    def launch(self) -> int:
        self.exchange.send(ExchangeInput.LAUNCH)
        self.machines.append(AttemptMachine())
        self.machines[-1].send(AttemptInput.START)
        return len(self.machines) - 1

    @rule(number=attempts)
    def headers(self, number: int) -> None:
        if self.machines[number].can(AttemptInput.HEADERS):
            self.machines[number].send(AttemptInput.HEADERS)

    @rule(number=attempts)
    def content(self, number: int) -> None:
        machine = self.machines[number]
        if machine.state is not AttemptState.PRIMING:
            return
        if self.exchange.try_commit(number):
            machine.send(AttemptInput.COMMIT)
        else:
            machine.send(AttemptInput.CANCEL)
            self._record(number)

    @rule(
        number=consumes(attempts), given=st.sampled_from([AttemptInput.ERROR, AttemptInput.CANCEL])
    )
    def end_attempt(self, number: int, given: AttemptInput) -> None:
        machine = self.machines[number]
        if machine.can(given):
            if machine.state is AttemptState.STREAMING:
                self.exchange.end(ExchangeInput.BREAK, given.value)
            machine.send(given)
            self._record(number)

    @precondition(lambda self: self.exchange.can(ExchangeInput.RESUME))
    @rule(target=attempts)
    def break_and_rescue(self) -> int:
        """A rescue brings its own attempt, after the one that broke is over."""
        broken = self.exchange.winner
        assert broken is not None
        if self.machines[broken].state is AttemptState.STREAMING:
            self.machines[broken].send(AttemptInput.ERROR)
            self._record(broken)
        self.machines.append(AttemptMachine())
        number = len(self.machines) - 1
        for given in (AttemptInput.START, AttemptInput.HEADERS):
            self.machines[number].send(given)
        assert not self.exchange.can(ExchangeInput.LAUNCH)
        assert not self.exchange.try_commit(number)
        self.exchange.resume(number)
        self.machines[number].send(AttemptInput.COMMIT)
        self.handed_on.append(number)
        return number

    @rule()
    def recover(self) -> None:
        """A stream that is closed for its upstream: complete for the client, failed for it."""
        winner = self.exchange.winner
        if winner is None or not self.exchange.can(ExchangeInput.RECOVER):
            return
        self.machines[winner].send(AttemptInput.ERROR)
        self._record(winner)
        ending = self.exchange.end(ExchangeInput.RECOVER, "recovered")
        assert ending.state is ExchangeState.COMPLETE

    @rule(number=attempts)
    def finish(self, number: int) -> None:
        machine = self.machines[number]
        if machine.can(AttemptInput.FINISH):
            machine.send(AttemptInput.FINISH)
            self._record(number)
            self.exchange.end(ExchangeInput.FINISH, "complete")

    @rule(given=ENDINGS)
    def end_exchange(self, given: ExchangeInput) -> None:
        if self.exchange.ending is None and not self.exchange.can(given):
            return
        before = self.exchange.ending
        ending = self.exchange.end(given, given.value)
        assert before is None or before is ending
        for number, machine in enumerate(self.machines):
            if not machine.is_terminal:
                machine.send(AttemptInput.CANCEL)
                self._record(number)

    @invariant()
    def at_most_one_owner(self) -> None:
        owners = [n for n, m in enumerate(getattr(self, "machines", [])) if m.state in OWNING]
        assert len(owners) <= 1
        assert all(owner == self.exchange.winner for owner in owners)

    @invariant()
    def the_winner_changes_only_by_rescues(self) -> None:
        if getattr(self, "handed_on", []):
            assert self.exchange.winner == self.handed_on[-1]

    @invariant()
    def a_winner_exists_from_the_commit_on(self) -> None:
        if hasattr(self, "exchange"):
            was_committed = self.exchange.state in (
                ExchangeState.COMMITTED,
                ExchangeState.COMPLETE,
                ExchangeState.TRUNCATED,
            )
            assert not was_committed or self.exchange.winner is not None

    @invariant()
    def the_first_ending_stands(self) -> None:
        ending = self.exchange.ending if hasattr(self, "exchange") else None
        assert self.ending_seen is None or self.ending_seen is ending if ending else True
        if ending is not None:
            self.ending_seen = ending
            assert self.exchange.is_terminal
            assert ending.state is self.exchange.state


TestExchangeWithAttempts = ExchangeWithAttempts.TestCase
TestExchangeWithAttempts.settings = settings(deadline=None, stateful_step_count=30)


@pytest.mark.parametrize("given", [ExchangeInput.RESUME, ExchangeInput.RECOVER])
def test_nothing_is_mended_before_the_commit_or_after_the_end(given: ExchangeInput) -> None:
    """Before it there is failover; after it there is nobody to tell."""
    exchange = Exchange()
    assert not exchange.can(given)
    with pytest.raises(IllegalTransition):
        exchange.resume(1)
    assert exchange.winner is None
    exchange.try_commit(1)
    assert exchange.can(given)
    exchange.end(ExchangeInput.BREAK, "read")
    assert not exchange.can(given)


def test_late_attempt_is_told_no() -> None:
    """Losing by a hair is a normal answer, not an error."""
    exchange = Exchange()
    assert exchange.try_commit(1)
    assert not exchange.try_commit(2)
    assert exchange.winner == 1


def test_rescue_changes_the_winner() -> None:
    """RESUME is the one way in which another attempt becomes the owner."""
    exchange = Exchange()
    exchange.try_commit(1)
    exchange.resume(2)
    assert (exchange.winner, exchange.state) == (2, ExchangeState.COMMITTED)


def test_ended_exchange_commits_nobody() -> None:
    """Content that comes after the client left changes nothing."""
    exchange = Exchange()
    ending = exchange.end(ExchangeInput.LEAVE, "client_gone")
    assert not exchange.try_commit(1)
    assert ending is exchange.end(ExchangeInput.BREAK, "read")
    assert exchange.winner is None
