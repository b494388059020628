"""Prints what becomes of recorded exchanges: `python -m tests.recorded.report [--folder FOLDER]`.

A folder of recordings has the form `PROVIDER/API/NAME.json`. For each provider and API it is told
how many streams and bodies there are, how many were read, how many failed because the provider
reported an error in them, how many could not be read, and how often something was lost on the way
to the clients of each protocol. Then the same for the requests, and every refusal and loss by name.

The exit code is 1 when fewer than 99 % of the streams and bodies are read.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from lipstream.compose import DIALECTS
from lipstream.server.ways import SERVERS
from tests.recorded.asking import UNSUPPORTED, ask
from tests.recorded.material import Kind, Sample, load
from tests.recorded.meaning import meaning
from tests.recorded.passage import losses, read
from tests.recordings import FOLDER

ENOUGH = 0.99
SHORT = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "anthropic_messages": "messages",
    "gemini": "gemini",
    "bedrock_converse": "converse",
}


@attrs.define
class Row:
    """One provider's exchanges of one API.

    Attributes:
        losses: How many things were lost to the clients of each protocol.
    """

    streams: int = 0
    bodies: int = 0
    errors: int = 0
    read: int = 0
    failed: int = 0
    refused: int = 0
    losses: Counter[str] = attrs.Factory(Counter)

    def cells(self) -> list[object]:
        """As they are printed."""
        counts = [self.streams, self.bodies, self.read, self.failed, self.refused, self.errors]
        return [*counts, *(self.losses[name] for name in SERVERS)]


@attrs.define
class Requests:
    """The requests of one protocol's clients.

    Attributes:
        written: How many of them the upstreams of each protocol got.
        codes: Why they did not get the others.
    """

    seen: int = 0
    read: int = 0
    exact: int = 0
    written: Counter[str] = attrs.Factory(Counter)
    codes: Counter[str] = attrs.Factory(Counter)

    def cells(self) -> list[object]:
        """As they are printed."""
        counts = [self.seen, self.read, self.exact]
        return [*counts, *(self.written[name] for name in DIALECTS)]


@attrs.define
class Report:
    """What was found.

    Attributes:
        notes: A line for everything that was refused or lost.
    """

    rows: defaultdict[tuple[str, str], Row] = attrs.Factory(lambda: defaultdict(Row))
    requests: defaultdict[str, Requests] = attrs.Factory(lambda: defaultdict(Requests))
    own_parts: Counter[str] = attrs.Factory(Counter)
    notes: list[str] = attrs.Factory(list)

    @property
    def share(self) -> float:
        """The part of the streams and bodies that was read."""
        seen = sum(row.streams + row.bodies for row in self.rows.values())
        refused = sum(row.refused for row in self.rows.values())
        return 1 - refused / seen if seen else 0.0

    def add(self, sample: Sample) -> None:
        """Takes one exchange."""
        row = self.rows[sample.exchange.provider, sample.exchange.api]
        if sample.kind is Kind.ERROR:
            row.errors += 1
        else:
            row.streams += sample.kind is Kind.STREAM
            row.bodies += sample.kind is Kind.BODY
            try:
                self._add_answer(sample, row)
            except Exception as error:  # noqa: BLE001 - a bug is what a report has to tell of
                row.refused += 1
                self._note("broken", sample, f"{type(error).__name__}: {error}")
        if sample.request is not None and sample.dialect in SERVERS:
            self._add_request(sample)

    def _add_answer(self, sample: Sample, row: Row) -> None:
        reading = read(sample)
        if reading.refusal:
            row.refused += 1
            self._note("refused", sample, reading.refusal)
            return
        if reading.fault is not None:
            row.failed += 1
            fault = reading.fault
            self._note("failed", sample, f"{fault.kind.value} {fault.code or ''}: {fault.detail}")
            return
        found = list(losses(sample.dialect, reading))
        row.read += 1
        row.losses.update(loss.target for loss in found)
        for loss in found:
            self._note("lost", sample, str(loss))
        for said in meaning(reading.answer).choices:
            self.own_parts.update(f"{SHORT[sample.dialect]}: {part}" for part in said.own_parts)

    def _add_request(self, sample: Sample) -> None:
        requests = self.requests[sample.dialect]
        requests.seen += 1
        try:
            asking = ask(sample)
        except Exception as error:  # noqa: BLE001 - the same
            self._note("request broken", sample, f"{type(error).__name__}: {error}")
            return
        if asking.refusal:
            status = sample.exchange.status
            self._note("request refused", sample, f"{asking.refusal} (the provider: {status})")
            return
        requests.read += 1
        requests.exact += not asking.inexact
        if asking.inexact:
            self._note("request inexact", sample, asking.inexact)
        for target, code in asking.written.items():
            requests.written[target] += not code
            if code:
                requests.codes[f"{SHORT[target]}: {code}"] += 1
            if code and not code.startswith(UNSUPPORTED):
                self._note("request not written", sample, f"{target}: {code}")

    def _note(self, what: str, sample: Sample, why: str) -> None:
        self.notes.append(f"{what}: {sample.name}\n    {why}")


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns of text, numbers to the right."""
    lines = [titles, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    is_text = [not lines[-1][column].isdigit() for column in range(len(widths))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(line, widths, is_text, strict=True)
        ).rstrip()
        for line in lines
    )


def printed(report: Report) -> str:
    """The whole report."""
    lost = [f"lost to {SHORT[name]}" for name in SERVERS]
    titles = ["provider", "api", "streams", "bodies", "read", "failed", "refused", "errors", *lost]
    total = [sum(cells) for cells in zip(*_numbers(report.rows.values()), strict=True)]
    rows = [[*key, *row.cells()] for key, row in sorted(report.rows.items())]
    asked = [[SHORT[name], *row.cells()] for name, row in sorted(report.requests.items())]
    to = [f"to {SHORT[name]}" for name in DIALECTS]
    codes = [
        f"{SHORT[name]} to {code} {count}"
        for name, row in sorted(report.requests.items())
        for code, count in sorted(row.codes.items())
    ]
    own = [f"{part} {count}" for part, count in report.own_parts.most_common()]
    return "\n".join(
        [
            table(titles, [*rows, ["all", "", *total]]),
            f"\n{report.share:.2%} of the streams and bodies are read.",
            "\nRequests",
            table(["of", "seen", "read", "exact", *to], asked),
            "\nWhat other protocols cannot say",
            *codes,
            "\nParts of answers that only clients of the provider's own protocol get",
            *own,
            "",
            *sorted(report.notes),
        ]
    )


def _numbers(rows: Iterable[Row]) -> list[list[int]]:
    return [[int(str(cell)) for cell in row.cells()] for row in (*rows, Row())]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the report on a folder; returns the exit code."""
    parser = argparse.ArgumentParser(description="What becomes of recorded exchanges.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="PROVIDER/API/NAME.json")
    folder: Path = parser.parse_args(arguments).folder
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}")
    report = Report()
    for sample in load(folder):
        report.add(sample)
    print(printed(report))
    return 0 if report.share >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
