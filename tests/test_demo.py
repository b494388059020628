"""The demo: what it claims is checked, and it shows it on any terminal."""

import io
import os
import subprocess
import sys

import attrs
import pytest
from rich.console import Console

from lipstream.demo import show
from lipstream.demo.scenes import FAILOVER, HANG_UP, RACE, Scene
from lipstream.emulators.script import Script

SCALE = 0.25


def play(
    *, scenes: tuple[Scene, ...] | None = None, encoding: str = "utf-8", width: int = 80
) -> tuple[bool, list[str]]:
    """Whether all was true, and what was printed."""
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=out, width=width, highlight=False)
    with pytest.MonkeyPatch.context() as patch:
        if scenes is not None:
            patch.setattr(show, "SCENES", scenes)
        is_good = show.run_demo(SCALE, console)
    out.seek(0)
    return is_good, out.read().split("\n")


def test_demo_shows_what_it_claims_in_80_columns_without_colour() -> None:
    """Three scenes, every claim true, nothing left running."""
    is_good, lines = play()
    assert is_good, "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert not any("\x1b" in line for line in lines)
    assert [line[:3] for line in lines if line[:1].isdigit() and line[1:3] == "  "] == [
        "1  ",
        "2  ",
        "3  ",
    ]
    assert sum(line.startswith("ok ") for line in lines) == 13
    assert lines[-2] == "ok   upstream requests: 7 opened, 7 closed, 0 orphans"


def test_demo_works_on_a_narrow_terminal_without_unicode() -> None:
    """The same, in other glyphs."""
    is_good, lines = play(scenes=(RACE,), encoding="ascii", width=50)
    assert is_good
    assert max(map(len, lines)) <= 50
    assert any("#" * 10 in line for line in lines)


def changed(scene: Scene, place: str, script: Script) -> Scene:
    """A scene in which one backend does something else."""
    return attrs.evolve(scene, scripts={**scene.scripts, place: script})


@pytest.mark.parametrize(
    "scene",
    [
        changed(RACE, "east", Script(text="first", content_after=0.1)),
        changed(FAILOVER, "west", Script(status=503)),
        changed(HANG_UP, "east", Script(text="one two three four five six seven")),
    ],
    ids=lambda scene: scene.title,
)
def test_claim_that_does_not_hold_is_told_and_fails(scene: Scene) -> None:
    """The demo cannot show what did not happen."""
    is_good, lines = play(scenes=(scene,))
    assert not is_good
    assert any(line.startswith("NO ") for line in lines)


def test_backend_that_was_not_asked_is_told() -> None:
    """A scene needs all of its backends."""
    is_good, lines = play(scenes=(changed(FAILOVER, "east", Script(text="well")),))
    assert not is_good
    assert "NO   every backend is asked, and all of it comes to an end" in lines


def test_request_that_does_not_end_is_an_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the demo ends all the same."""
    monkeypatch.setattr("lipstream.demo.stage.LIMIT", 0.3)
    silent = Script(hang_before_headers=True)
    scene = changed(changed(RACE, "east", silent), "west", silent)
    is_good, lines = play(scenes=(scene,))
    assert not is_good
    assert lines[-2].startswith("NO   upstream requests: 2 opened")


def test_reader_that_leaves_does_not_end_the_demo() -> None:
    """``lipstream demo | head`` is no failure."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from lipstream.cli import main; main()", "demo", "--scale", "0.25"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"proxy")
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0
