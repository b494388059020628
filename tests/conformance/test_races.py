"""Races and failover between protocols: whoever wins, the client hears its own."""

from __future__ import annotations

import itertools

import pytest

from lipstream.emulators.script import Script
from tests.conformance.material import COLOGNE, PARITY, WEATHER
from tests.conformance.matrix import FRONTENDS, KINDS
from tests.conformance.outcome import Failure, Outcome
from tests.conformance.prompt import Prompt, ask
from tests.conformance.protocols import MODELS, dialect_of, first_kinds
from tests.conformance.rig import Rig

FIRST_KINDS = first_kinds(KINDS)
LEGS = tuple(itertools.permutations(FIRST_KINDS, 2))
FAST = Script(text=PARITY, tool_calls=(COLOGNE,), reasoning="Quick.", content_after=0.03)
SLOW = Script(text="too late", content_after=5.0)
PROMPT = ask("Race.", tools=(WEATHER,)).saying(shows_reasoning=True)

cells = pytest.mark.parametrize(
    ("frontend", "legs", "is_streaming"),
    [
        pytest.param(frontend, legs, mode, id=f"{frontend}-{legs[0]}-{legs[1]}-{mode}")
        for frontend in FRONTENDS
        for number, legs in enumerate(LEGS)
        for mode in (number % 2 == 0,)
    ],
)


class Legs:
    """Two models of two providers."""

    def __init__(self, rig: Rig, legs: tuple[str, str]) -> None:
        self.rig = rig
        self.kinds = legs
        self.models = tuple(rig.model(MODELS[dialect_of(kind)]) for kind in legs)

    def play(self, *scripts: Script) -> None:
        """What each leg answers."""
        for kind, model, script in zip(self.kinds, self.models, scripts, strict=True):
            self.rig.play(kind, model, script)

    def route(self, join: str) -> str:
        """A selector of both, in order."""
        legs = zip(self.kinds, self.models, strict=True)
        return join.join(f"{self.rig.sick(kind)}:{model}" for kind, model in legs)

    def ask(self, frontend: str, prompt: Prompt, route: str, mode: bool) -> Outcome | Failure:
        """What the client's SDK makes of it."""
        return self.rig.driver(frontend).ask(prompt, route, is_streaming=mode)


def check_winner(reply: Outcome | Failure, model: str) -> None:
    """A legal answer of one model, no part of it another's."""
    assert isinstance(reply, Outcome), reply
    assert reply.complaints == ()
    assert (model, PARITY) == (reply.model, reply.text)
    assert [("weather", {"city": "Köln"})] == [(c.name, c.arguments) for c in reply.calls]
    assert "tool_calls" == reply.finish


@cells
def test_faster_leg_wins_whatever_it_speaks(
    frontend: str, legs: tuple[str, str], is_streaming: bool, rig: Rig
) -> None:
    """The loser is hung up on, at its socket; the winner's stream is legal for the client."""
    race = Legs(rig, legs)
    race.play(SLOW, FAST)
    reply = race.ask(frontend, PROMPT, race.route("!"), is_streaming)
    check_winner(reply, race.models[1])
    losers = rig.entries(legs[0], race.models[0])  # none, if it was too late to ask at all
    assert rig.until(lambda: all(loser.outcome == "aborted_by_client" for loser in losers))


@cells
def test_next_candidate_answers_where_the_first_breaks_off(
    frontend: str, legs: tuple[str, str], is_streaming: bool, rig: Rig
) -> None:
    """A cut before any content is not the client's affair; the route comes in a header."""
    plan = Legs(rig, legs)
    plan.play(Script(text=PARITY, cut_after=0), FAST)
    prompt = Prompt(
        PROMPT.turns,
        tools=PROMPT.tools,
        options=PROMPT.options,
        headers={"X-LIP-Route": plan.route("|")},
    )
    check_winner(plan.ask(frontend, prompt, "whatever", is_streaming), plan.models[1])


@cells
def test_all_candidates_failed_is_told_in_the_clients_words(
    frontend: str, legs: tuple[str, str], is_streaming: bool, rig: Rig
) -> None:
    """The last word is the client's protocol's, whoever failed last."""
    plan = Legs(rig, legs)
    plan.play(Script(text=PARITY, error_after=0), Script(status=404))
    reply = plan.ask(frontend, PROMPT, plan.route("|"), is_streaming)
    assert isinstance(reply, Failure), reply
    assert reply.status is not None
    assert 500 <= reply.status < 600
    assert reply.words != ()
