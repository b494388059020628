"""Bars over time, one line each, for a terminal of any kind. Knows nothing of lipstream."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import attrs
from rich.text import Text

LABEL = 8  # columns for a bar's name
MARGIN = 2  # columns for marks that find their place taken


class Phase(enum.Enum):
    """What goes on, as (glyph, glyph without Unicode, style)."""

    WAITING = ("\u00b7", ".", "dim")
    OPENING = ("\u2500", "-", "cyan")
    PRIMING = ("\u2591", "=", "yellow")
    STREAMING = ("\u2588", "#", "green")


class Mark(enum.Enum):
    """What happens at one moment, as (letter, style)."""

    HEAD = ("H", "bold cyan")
    CONTENT = ("C", "bold yellow")
    WON = ("W", "bold green")
    OVER = ("E", "bold green")
    GONE = ("X", "bold red")
    CLOSED = ("]", "bold")


MEANINGS = {
    Mark.HEAD: "head",
    Mark.CONTENT: "word, too late",
    Mark.WON: "first word, won",
    Mark.OVER: "end",
    Mark.GONE: "cut",
    Mark.CLOSED: "socket closed",
}


@attrs.frozen
class Span:
    """A phase, from one moment to another, in seconds."""

    start: float
    end: float
    phase: Phase


@attrs.frozen
class Bar:
    """One line of a picture.

    Attributes:
        spans: In order.
        marks: Moments, in the order in which they take their places.
        note: Stands under the bar.
    """

    label: str
    spans: Sequence[Span]
    marks: Sequence[tuple[float, Mark]]
    note: str = ""

    @property
    def end(self) -> float:
        """The last moment that is drawn."""
        return max([0.0, *(span.end for span in self.spans), *(at for at, _ in self.marks)])


def draw(bars: Sequence[Bar], width: int, *, is_unicode: bool = True) -> list[Text]:
    """A picture: an axis, then every bar and its note.

    Args:
        width: Columns that it may take.
    """
    columns = width - LABEL - MARGIN
    length = max([bar.end for bar in bars], default=0.0) or 1.0
    lines = [_axis(length, columns)]
    for bar in bars:
        line = Text(f"{bar.label:<{LABEL}}"[:LABEL], style="bold")
        lines.append(line.append_text(_bar(bar, columns / length, columns, is_unicode)))
        if bar.note:
            lines.append(Text(" " * LABEL + bar.note, style="dim"))
    return lines


def legend(*, is_unicode: bool = True) -> list[Text]:
    """What the glyphs and letters mean."""
    index = 0 if is_unicode else 1
    phases, marks = Text(), Text()
    for phase in Phase:
        phases.append(phase.value[index] * 2, style=phase.value[2])
        phases.append(f" {phase.name.lower()}  ")
    for mark, word in MEANINGS.items():
        marks.append(mark.value[0], style=mark.value[1]).append(f" {word}  ")
    return [phases, marks]


def _axis(length: float, columns: int) -> Text:
    start, end = "0", f"{length:.2f} s"
    gap = " " * max(1, columns - len(start) - len(end))
    return Text(" " * LABEL + start + gap + end, style="dim")


def _bar(bar: Bar, scale: float, columns: int, is_unicode: bool) -> Text:
    cells = [Text(" ") for _ in range(columns + MARGIN)]
    for span in bar.spans:
        glyph = span.phase.value[0 if is_unicode else 1]
        for index in range(_cell(span.start, scale, columns), _cell(span.end, scale, columns) + 1):
            cells[index] = Text(glyph, style=span.phase.value[2])
    taken: set[int] = set()
    for at, mark in bar.marks:
        index = _free(_cell(at, scale, columns), taken, len(cells))
        taken.add(index)
        cells[index] = Text(*mark.value)
    return _joined(cells)


def _cell(at: float, scale: float, columns: int) -> int:
    return min(columns - 1, max(0, int(at * scale)))


def _free(index: int, taken: set[int], size: int) -> int:
    while index in taken and index < size - 1:
        index += 1
    return index


def _joined(cells: Iterable[Text]) -> Text:
    line = Text().join(cells)
    line.rstrip()
    return line
