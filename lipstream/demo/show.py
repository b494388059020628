"""Plays the scenes, prints what happened, and says whether all that is claimed is true."""

from __future__ import annotations

import os
import sys

import attrs
import trio
from rich.console import Console
from rich.text import Text

from lipstream.demo.scenes import SCENES, Scene
from lipstream.demo.stage import Outcome, Stage
from lipstream.demo.timeline import Bar, Mark, Phase, Span, draw, legend
from lipstream.emulators.script import Script
from lipstream.lifecycle.attempt import AttemptState
from lipstream.lifecycle.records import AttemptRecord

WIDTH = 80
NARROWEST = 40
_TIMES = ("headers_after", "content_after", "pace")


def run_demo(scale: float = 1.0, console: Console | None = None) -> bool:
    """Plays everything; True when every claim held.

    Args:
        scale: All times are stretched by it.
    """
    return trio.run(_run, scale, console or Paper(highlight=False))


class Paper(Console):
    """Standard output; that nobody reads on does not end the demo."""

    def on_broken_pipe(self) -> None:
        """The rest goes nowhere; also what Python flushes at its exit."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _run(scale: float, console: Console) -> bool:
    stage = Stage()
    page = Page(console)
    is_good = True
    async with trio.open_nursery() as nursery:
        await stage.start(nursery)
        page.opening(stage)
        for number, scene in enumerate(SCENES, 1):
            page.title(number, scene)
            scripts = {place: _scaled(script, scale) for place, script in scene.scripts.items()}
            outcome = await stage.play(scene.route, scripts, scene.words_heard)
            is_good = page.outcome(scene, outcome) and is_good
        is_good = page.closing(stage) and is_good
        await stage.stop()
        nursery.cancel_scope.cancel()
    return is_good


def _scaled(script: Script, scale: float) -> Script:
    times = {name: getattr(script, name) * scale for name in _TIMES}
    return attrs.evolve(script, **times)


class Page:
    """What is printed, at most 80 columns wide."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = max(NARROWEST, min(WIDTH, console.width))
        self._is_unicode = console.encoding.lower().startswith("utf")

    def opening(self, stage: Stage) -> None:
        """Where everything runs, and how to read the pictures."""
        self._say(f"proxy     {stage.address}/v1", "bold")
        for place, emulator in stage.emulators.items():
            self._say(f"{place:<9} {emulator.base_url} (an emulated provider)")
        self._say("")
        for line in legend(is_unicode=self._is_unicode):
            self._console.print(line)

    def title(self, number: int, scene: Scene) -> None:
        """What comes."""
        self._say("")
        self._say(f"{number}  {scene.title}", "bold")
        self._say(f'   "model": "{scene.route}"', "cyan")
        self._say(scene.watch)

    def outcome(self, scene: Scene, outcome: Outcome | None) -> bool:
        """What happened; True when it is what was claimed."""
        if outcome is None:
            self._verdict("every backend is asked, and all of it comes to an end", False)
            return False
        bars = [_client_bar(outcome), *_attempt_bars(outcome)]
        for line in draw(bars, self._width, is_unicode=self._is_unicode):
            self._console.print(line, no_wrap=True, overflow="crop")
        claims = scene.claims(outcome)
        for claim, is_true in claims:
            self._verdict(claim, is_true)
        return all(is_true for _, is_true in claims)

    def closing(self, stage: Stage) -> bool:
        """The sum over all scenes; True when nothing was left running."""
        opened, orphans = stage.opened(), stage.orphans()
        failures = sum(len(emulator.failures) for emulator in stage.emulators.values())
        self._say("")
        text = f"upstream requests: {opened} opened, {opened - orphans} closed, {orphans} orphans"
        self._verdict(text, orphans == 0 and failures == 0)
        return orphans == 0 and failures == 0

    def _verdict(self, claim: str, is_true: bool) -> None:
        word, style = ("ok", "green") if is_true else ("NO", "bold red")
        line = Text(f"{word:<4} ", style=style).append(claim, style="default")
        self._console.print(line, width=self._width)

    def _say(self, text: str, style: str = "default") -> None:
        self._console.print(Text(text, style=style), width=self._width)


# ---------------------------------------------------------------- outcomes as bars


def _client_bar(outcome: Outcome) -> Bar:
    heard = outcome.heard
    began_at = heard.ended_at if heard.began_at is None else heard.began_at
    spans = [
        Span(0.0, began_at, Phase.WAITING),
        Span(began_at, heard.ended_at, Phase.STREAMING),
    ]
    end = Mark.OVER if heard.is_complete else Mark.GONE
    what = f"all {heard.words} words" if heard.is_complete else f"hung up after {heard.words} words"
    note = f"first word {began_at:.2f}, {what} {heard.ended_at:.2f}"
    return Bar("client", spans, [(heard.ended_at, end)], note)


def _attempt_bars(outcome: Outcome) -> list[Bar]:
    bars = []
    for place, attempt in outcome.attempts.items():
        marks = _marks(attempt)
        closed_at = outcome.closed_at(place)
        if closed_at is not None:
            marks.append((closed_at, Mark.CLOSED))
        bars.append(Bar(place, _spans(attempt), marks, _note(attempt, closed_at)))
    return bars


def _spans(attempt: AttemptRecord) -> list[Span]:
    """The phases that an attempt came to, each until the next one began or everything ended."""
    starts = (
        (0.0, Phase.WAITING),
        (attempt.opened_at, Phase.OPENING),
        (attempt.headers_at, Phase.PRIMING),
        (attempt.committed_at, Phase.STREAMING),
    )
    reached = [(at, phase) for at, phase in starts if at is not None]
    ends = [at for at, _ in reached[1:]] + [attempt.ended_at]
    return [Span(at, end, phase) for (at, phase), end in zip(reached, ends, strict=True)]


def _marks(attempt: AttemptRecord) -> list[tuple[float, Mark]]:
    content = Mark.WON if attempt.committed_at is not None else Mark.CONTENT
    over = Mark.OVER if attempt.state is AttemptState.COMPLETE else Mark.GONE
    marks = (
        (attempt.headers_at, Mark.HEAD),
        (attempt.content_at, content),
        (attempt.ended_at, over),
    )
    return [(at, mark) for at, mark in marks if at is not None]


def _note(attempt: AttemptRecord, closed_at: float | None) -> str:
    reason = attempt.reason.replace("_", " ")
    if attempt.status is not None:
        reason = f"{attempt.status} {reason}"
    is_complete = attempt.state is AttemptState.COMPLETE
    ending = "complete" if is_complete else f"{attempt.state.value} ({reason})"
    facts = (
        ("head", attempt.headers_at),
        ("first word", attempt.content_at),
        (ending, attempt.ended_at),
        ("closed", closed_at),
    )
    return ", ".join(f"{what} {at:.2f}" for what, at in facts if at is not None)
