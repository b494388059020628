"""Numbers for people and for programs: percentiles, tables, JSON lines, a picture.

Shared by the measurements and knows none of them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

WIDTH = 120  # columns, where the output is no terminal
NOTHING = "-"

Row = Mapping[str, Any]
Panels = Mapping[str, Mapping[str, Sequence[float]]]

# ---------------------------------------------------------------- statistics


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the samples do not exceed, linear between two of them.

    NaN without samples. Of ``n`` samples nothing beyond ``1 - 1/n`` is known: there it nears the
    largest.
    """
    if not samples:
        return math.nan
    ordered = sorted(samples)
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@attrs.frozen
class Summary:
    """What is told of many samples; NaN where there are none."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Summary:
        """Summarises."""
        mean = statistics.fmean(samples) if samples else math.nan
        return cls(len(samples), mean, *(percentile(samples, share) for share in (0.5, 0.95, 0.99)))

    def as_row(self, prefix: str) -> dict[str, float | int | None]:
        """For JSON, in milliseconds."""
        row: dict[str, float | int | None] = {f"{prefix}_count": self.count}
        for name in ("mean", "p50", "p95", "p99"):
            row[f"{prefix}_{name}_ms"] = rounded(getattr(self, name) * 1e3)
        return row


def median(values: Iterable[float]) -> float:
    """The middle one of those that are numbers; NaN without any."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def rounded(value: float, digits: int = 3) -> float | None:
    """For JSON, which knows no NaN."""
    return None if math.isnan(value) else round(value, digits)


# ---------------------------------------------------------------- text


def shown(value: float, digits: int = 1) -> str:
    """A number for a table."""
    return NOTHING if math.isnan(value) else f"{value:,.{digits}f}"


def milliseconds(seconds: float, digits: int = 1) -> str:
    """A time for a table."""
    return shown(seconds * 1e3, digits)


def console() -> Console:
    """Wide enough for the tables, also where the output goes to a file."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=WIDTH)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table with the first column to the left and the others to the right; only headers wrap."""
    rows = list(rows)
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        width = max((len(row[number]) for row in rows), default=0)
        table.add_column(column, justify="right" if number else "left", min_width=width)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def say(text: str) -> None:
    """A line under a table."""
    console().print(text, soft_wrap=True, markup=False)


# ---------------------------------------------------------------- files


def machine_row(program: str, **settings: object) -> Row:
    """Where and how something was measured: the first line of a file of results."""
    return {
        "program": program,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        **settings,
    }


def write_json_lines(path: Path | None, rows: Iterable[Row]) -> None:
    """One object in each line; nothing without a path."""
    if path is not None:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def plot_distributions(path: Path, panels: Panels, label: str) -> bool:
    """Draws distribution functions: one panel each, a curve for each series, a common scale.

    Args:
        path: The suffix decides on the format.
        panels: By title, each with its samples by name.
        label: Of the horizontal axis.

    Returns:
        False where matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1,
        len(panels),
        figsize=(5 * len(panels), 4),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="tight",
    )
    for axis, (title, series) in zip(axes[0], panels.items(), strict=True):
        for name, samples in series.items():
            axis.ecdf(samples, label=name)
        axis.set(title=title, xlabel=label, xscale="log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.grid(visible=True, alpha=0.3)
    axes[0][0].set_ylabel("share of requests")
    axes[0][-1].legend(loc="lower right")
    figure.savefig(path)
    pyplot.close(figure)
    return True


# ---------------------------------------------------------------- command line


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """The options that all measurements have."""
    made = argparse.ArgumentParser(prog=f"python -m bench.{program}", description=description)
    made.add_argument("--quick", action="store_true", help="a look at it, in seconds")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results, line by line")
    return made
