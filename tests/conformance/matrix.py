"""The matrix: every frontend with every kind of backend and every scenario, as one table.

A cell is one scenario between one client and one provider, streamed or whole. The first kind of
backend of each protocol plays everything; the others, which differ in data alone, what is common.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import attrs

from lipstream.server.ways import ACTIONS, ENDPOINTS
from lipstream.upstream.providers import PROVIDERS
from tests.conformance.limits import UNPLAYED, How, Limit, limit_of
from tests.conformance.outcome import Failure
from tests.conformance.prompt import Prompt
from tests.conformance.protocols import BASE_PATHS, DRIVERS, dialect_of, first_kinds
from tests.conformance.rig import Rig
from tests.conformance.scenarios import endings, media, options, reasoning, talk, tools
from tests.conformance.scenarios.base import Scenario
from tests.conformance.stage import DIRECT, Stage

SCENARIOS: tuple[Scenario, ...] = (
    *talk.SCENARIOS,
    *tools.SCENARIOS,
    *media.SCENARIOS,
    *reasoning.SCENARIOS,
    *options.SCENARIOS,
    *endings.SCENARIOS,
)


def served() -> set[str]:
    """The protocols that clients may speak."""
    return {dialect.name for dialect in (*ENDPOINTS.values(), *ACTIONS.values())}


FRONTENDS: tuple[str, ...] = tuple(name for name in DRIVERS if name in served())
KINDS: tuple[str, ...] = tuple(
    kind
    for kind, provider in PROVIDERS.items()
    if kind not in UNPLAYED and provider.dialect in BASE_PATHS
)


@attrs.frozen
class Cell:
    """One place of the matrix.

    Attributes:
        kind: Of the backend; `DIRECT` in the baseline.
        limit: Why it cannot hold, or None.
    """

    frontend: str
    kind: str
    scenario: Scenario
    is_streaming: bool
    limit: Limit | None = None

    @property
    def backend(self) -> str:
        """The protocol of the backend."""
        return self.frontend if self.kind == DIRECT else dialect_of(self.kind, self.frontend)

    @property
    def is_played(self) -> bool:
        """Whether there is anything to play."""
        return self.limit is None or self.limit.how is How.REFUSED

    def __str__(self) -> str:
        mode = "stream" if self.is_streaming else "whole"
        return f"{self.frontend}-{self.kind}-{self.scenario.name}-{mode}"

    def play(self, rig: Rig) -> None:
        """Plays it; raises AssertionError where it does not hold."""
        stem = dict(self.scenario.stems).get(self.backend, "")
        stage = Stage(rig, self.frontend, self.kind, self.is_streaming, stem)
        if self.limit is None:
            self.scenario.play(stage)
        else:
            _play_refusal(stage, self.scenario)


def _play_refusal(stage: Stage, scenario: Scenario) -> None:
    """The request is refused, in the client's protocol, and never reaches the provider."""
    replies: list[object] = []

    class Listening(Stage):
        def ask(self, prompt: Prompt, *, is_streaming: bool | None = None) -> Failure:
            replies.append(Stage.ask(self, prompt, is_streaming=is_streaming))
            raise _Heard

    place = Listening(stage.rig, stage.frontend, stage.kind, stage.is_streaming, stage.stem)
    with contextlib.suppress(_Heard):
        scenario.play(place)
    (reply,) = replies
    assert isinstance(reply, Failure), reply
    assert 400 == reply.status
    assert [] == place.entries


class _Heard(Exception):
    """The request is out; nothing more is wanted of the scenario."""


def cells(frontends: Sequence[str] = FRONTENDS, kinds: Sequence[str] = KINDS) -> Iterator[Cell]:
    """All of them."""
    firsts = first_kinds(kinds)
    for frontend in frontends:
        for kind in kinds:
            is_first = kind in firsts
            for scenario in SCENARIOS:
                if is_first or scenario.is_common:
                    yield from _of(frontend, kind, scenario)


def baseline() -> Iterator[Cell]:
    """Each SDK and its own provider, without a proxy."""
    for frontend in DRIVERS:
        for scenario in SCENARIOS:
            yield from _of(frontend, DIRECT, scenario)


def _of(frontend: str, kind: str, scenario: Scenario) -> Iterator[Cell]:
    backend = frontend if kind == DIRECT else dialect_of(kind, frontend)
    limit = limit_of(scenario, frontend, backend)
    if limit is not None and kind == DIRECT and limit.how is How.REFUSED:
        limit = attrs.evolve(limit, how=How.UNGIVEN)
    direct = scenario.modes if scenario.direct_modes is None else scenario.direct_modes
    for mode in direct if kind == DIRECT else scenario.modes:
        yield Cell(frontend, kind, scenario, mode, limit)
