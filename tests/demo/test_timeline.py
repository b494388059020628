"""Pictures of bars over time."""

import pytest

from lipstream.demo.timeline import Bar, Mark, Phase, Span, draw, legend

RACE = [
    Bar(
        "east",
        [Span(0.0, 0.5, Phase.WAITING), Span(0.5, 1.0, Phase.OPENING)],
        [(1.0, Mark.GONE), (1.0, Mark.CLOSED)],
        "lost",
    ),
    Bar(
        "west",
        [Span(0.0, 1.0, Phase.PRIMING), Span(1.0, 2.0, Phase.STREAMING)],
        [(0.0, Mark.HEAD), (1.0, Mark.WON), (2.0, Mark.OVER)],
    ),
]


def lines(bars: list[Bar], width: int = 30, *, is_unicode: bool = False) -> list[str]:
    """A picture without its colours."""
    return [line.plain for line in draw(bars, width, is_unicode=is_unicode)]


def test_picture_has_axis_bars_and_notes() -> None:
    """Each moment has its column, and marks lie over the phases."""
    assert lines(RACE) == [
        "        0             2.00 s",
        "east    .....-----X]",
        "        lost",
        "west    H=========W########E",
    ]


def test_unicode_picture_has_the_same_shape() -> None:
    """Only the glyphs differ."""
    plain, pretty = lines(RACE), lines(RACE, is_unicode=True)
    assert [len(line) for line in plain] == [len(line) for line in pretty]
    assert pretty[3] == "west    H\u2591\u2591\u2591\u2591\u2591\u2591\u2591\u2591\u2591W" + (
        "\u2588" * 8 + "E"
    )


@pytest.mark.parametrize("width", [12, 40, 80, 200])
def test_picture_keeps_to_its_width(width: int) -> None:
    """Also with many marks at its end."""
    crowd = Bar("x", [Span(0.0, 1.0, Phase.STREAMING)], [(1.0, Mark.CLOSED)] * 9)
    assert max(len(line) for line in lines([crowd], width)) <= max(width, 16)


@pytest.mark.parametrize("bars", [[], [Bar("x", [], [])]])
def test_nothing_is_drawn_as_nothing(bars: list[Bar]) -> None:
    """A bar without any length does not fail."""
    assert len(lines(bars)) == 1 + len(bars)


def test_moment_outside_of_the_picture_is_drawn_at_its_edge() -> None:
    """Clocks differ by a little."""
    assert lines([Bar("x", [Span(-1.0, 1.0, Phase.WAITING)], [(-0.5, Mark.HEAD)])])[1][8] == "H"


def test_legend_explains_every_glyph() -> None:
    """In two lines of 80 columns."""
    told = [line.plain.rstrip() for line in legend(is_unicode=False)]
    assert len(told) == 2
    assert max(map(len, told)) <= 80
    for phase in Phase:
        assert phase.value[1] * 2 in told[0]
    for mark in Mark:
        assert f"{mark.value[0]} " in told[1]
