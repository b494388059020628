"""Pictures, papers and sounds arrive byte for byte."""

from __future__ import annotations

from functools import partial

from lipstream.emulators.script import Script
from tests.conformance.drivers.base import data_url
from tests.conformance.material import PARITY, digest, digests, paper, picture, sound
from tests.conformance.prompt import Link, Media, ask
from tests.conformance.scenarios.base import BOTH, WHOLE, Scenario
from tests.conformance.stage import Stage

URL = "https://pictures.example/cat.png"


def show(stage: Stage, media: Media) -> None:
    """What the client shows, the model sees, every byte of it."""
    stage.play(Script(text=PARITY))
    answer = stage.answer(ask("What is this?", media))
    assert PARITY == answer.text
    (seen,) = stage.seen.media
    assert (media.kind, len(media.data)) == (seen.kind, seen.size)
    assert digest(media.data) in digests(stage.body)
    assert ["What is this?"] == stage.seen.texts


def show_several(stage: Stage) -> None:
    """Several pictures keep their order among the words."""
    stage.play(Script(text=PARITY))
    first, second = picture(500, 1), picture(700, 2)
    stage.answer(ask("This", first, "or this?", second))
    assert [500, 700] == [round((image.size or 0), -2) for image in stage.seen.images]
    assert ["This", "or this?"] == stage.seen.texts
    kinds = [part.type for part in stage.seen.turns[-1].parts]
    assert ["text", "media", "text", "media"] == kinds


def point(stage: Stage) -> None:
    """A picture's address is handed on as it is."""
    stage.play(Script(text=PARITY))
    stage.answer(ask("What is this?", Link(URL)))
    assert [URL] == [image.source for image in stage.seen.images]


def be_shown(stage: Stage) -> None:
    """A picture that the model makes arrives."""
    made = picture(2_000)
    stage.play(Script(image=data_url(made)))
    answer = stage.answer(ask("Paint."))
    assert (data_url(made),) == answer.images


SCENARIOS = (
    Scenario("image_100k", partial(show, media=picture(100_000)), WHOLE),
    Scenario("image_4m", partial(show, media=picture(4_000_000)), WHOLE),
    Scenario("images_in_order", show_several, WHOLE),
    Scenario("image_link", point, WHOLE),
    Scenario("pdf", partial(show, media=paper()), WHOLE),
    Scenario("audio", partial(show, media=sound()), WHOLE),
    Scenario("image_made", be_shown, BOTH),
)
