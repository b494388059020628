"""When lists of models are fetched, and what is known in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from lipstream.compose import build
from lipstream.config.load import load_config
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.upstream.discovery import (
    FIRST,
    INTERVAL,
    LIMIT,
    PATIENCE,
    RETRY,
    Discovery,
    Lists,
)
from lipstream.upstream.providers import KINDS

DOWN = UpstreamFault(FaultKind.CONNECT, "no connection")


class Middle:
    """The middle of every spread."""

    def uniform(self, low: float, high: float) -> float:
        """Half way."""
        return (low + high) / 2


@attrs.define
class FakeLister:
    """Gives one answer after the other, the last one for ever."""

    answers: list[Sequence[str] | UpstreamFault]
    takes: float = 0.0
    asked_at: list[float] = attrs.field(factory=list)

    async def __call__(self) -> Sequence[str]:
        """The next answer."""
        self.asked_at.append(trio.current_time())
        answer = self.answers[min(len(self.asked_at), len(self.answers)) - 1]
        await trio.sleep(self.takes)
        if isinstance(answer, UpstreamFault):
            raise answer
        return answer


@asynccontextmanager
async def discovering(**listers: FakeLister) -> AsyncIterator[tuple[Discovery, list[Lists]]]:
    """A discovery at work, and what it told."""
    told: list[Lists] = []
    rng: Any = Middle()
    discovery = Discovery(listers, [told.append], rng)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovery.run)
        await trio.testing.wait_all_tasks_blocked()
        yield discovery, told
        nursery.cancel_scope.cancel()


async def test_lists_are_fetched_after_the_start_and_now_and_then(
    autojump_clock: MockClock,
) -> None:
    """What did not change is told once."""
    lister = FakeLister([["a"], ["a"], ["a", "b"]])
    async with discovering(x=lister) as (discovery, told):
        assert discovery.lists == {}
        await trio.sleep(FIRST + 2 * INTERVAL + 1)
    assert lister.asked_at == [FIRST, FIRST + INTERVAL, FIRST + 2 * INTERVAL]
    assert told == [{"x": ("a",)}, {"x": ("a", "b")}]


async def test_backend_that_is_down_is_asked_again_soon_and_then_less_often(
    autojump_clock: MockClock,
) -> None:
    """Twice as late each time, until it answers."""
    lister = FakeLister([DOWN, DOWN, DOWN, ["a"]])
    async with discovering(x=lister) as (discovery, _):
        await trio.sleep(200)
        assert discovery.lists == {"x": ("a",)}
    pauses = [b - a for a, b in zip(lister.asked_at, lister.asked_at[1:], strict=False)]
    assert pauses == [RETRY, 2 * RETRY, 4 * RETRY]


async def test_backend_that_is_down_hides_no_other_and_keeps_its_list(
    autojump_clock: MockClock,
) -> None:
    """Whether it refuses or says nothing."""
    fails, hangs = FakeLister([["a"], DOWN]), FakeLister([["h"]], takes=1e9)
    async with discovering(fails=fails, hangs=hangs, good=FakeLister([["g"]])) as (discovery, _):
        await trio.sleep(INTERVAL + 100)
        assert discovery.lists == {"fails": ("a",), "good": ("g",)}
    assert len(fails.asked_at) >= 2
    assert hangs.asked_at[1] - hangs.asked_at[0] == LIMIT + RETRY


async def test_who_asks_first_gets_the_lists_at_once(autojump_clock: MockClock) -> None:
    """Without waiting for the first round, and the next one does not wait at all."""
    lister = FakeLister([["a"]], takes=0.5)
    async with discovering(x=lister) as (discovery, _):
        await discovery.ready()
        assert (trio.current_time(), discovery.lists) == (0.5, {"x": ("a",)})
        await discovery.ready()
        assert trio.current_time() == 0.5
    assert lister.asked_at == [0.0]


async def test_nobody_waits_long_for_a_backend_that_is_silent(autojump_clock: MockClock) -> None:
    """The others are shown; later it is not waited for, but asked again."""
    silent = FakeLister([["s"]], takes=1e9)
    async with discovering(silent=silent, good=FakeLister([["g"]])) as (discovery, _):
        await discovery.ready()
        assert (trio.current_time(), discovery.lists) == (PATIENCE, {"good": ("g",)})
        await trio.sleep(LIMIT)
        before = trio.current_time()
        await discovery.ready()
        assert trio.current_time() == before
        await trio.sleep(RETRY)
        await discovery.ready()
        await trio.testing.wait_all_tasks_blocked()
    assert len(silent.asked_at) == 2


async def test_without_a_server_there_is_nothing_to_wait_for() -> None:
    """Nobody fetches anything then."""
    lister = FakeLister([["a"]])
    await Discovery({"x": lister}, []).ready()
    assert lister.asked_at == []


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("openai: {api_key: k}, anthropic: {api_key: k}, g: {kind: gemini, api_key: k}", 3),
        ("openai: {api_key: k, discover: false}, s: {kind: stub}", 0),
        ("bedrock: {api_key: k}, a: {kind: acp, base_url: 'http://h'}", 0),
    ],
)
async def test_backends_with_a_list_are_asked_unless_told_otherwise(text: str, asked: int) -> None:
    """By the configuration, or because their protocol has none."""
    config = load_config(f"backends: {{{text}}}", kinds=KINDS, environment={})
    runtime = build(config, {})
    assert len(runtime.discovery._sources) == asked
