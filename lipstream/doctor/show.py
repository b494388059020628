"""Runs the checks of all backends and prints what they found, for people or for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import attrs
import trio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lipstream.compose import CLOSE_LIMIT, Runtime, build
from lipstream.config.schema import Config
from lipstream.doctor.checks import examine
from lipstream.doctor.findings import Finding, Report, Result

_STYLES = {
    Result.OK: "green",
    Result.WARNING: "yellow",
    Result.FAILED: "bold red",
    Result.SKIPPED: "dim",
}


def run_doctor(
    config: Config, environment: Mapping[str, str], *, is_probed: bool, as_json: bool
) -> bool:
    """Looks at every backend and prints it; True when nothing failed.

    Args:
        is_probed: Whether requests may be sent that cost money.

    Raises:
        ConfigError: something does not fit together.
    """
    reports = trio.run(_examine_all, build(config, environment), is_probed)
    is_good = all(report.is_good for report in reports)
    if as_json:
        plain = {"ok": is_good, "backends": [_plain(report) for report in reports]}
        print(json.dumps(plain, indent=2))
    else:
        _print(reports)
    return is_good


async def _examine_all(runtime: Runtime, is_probed: bool) -> list[Report]:
    reports: dict[str, Report] = {}

    async def look(name: str) -> None:
        entry, backend = runtime.setup.backends[name], runtime.backends[name]
        reports[name] = await examine(name, entry, backend, is_probed=is_probed)

    try:
        async with trio.open_nursery() as nursery:
            for name in runtime.backends:
                nursery.start_soon(look, name)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_LIMIT):
            for client in runtime.clients:
                await client.aclose()
    return [reports[name] for name in runtime.backends]


def _plain(report: Report) -> dict[str, object]:
    findings = [
        {**attrs.asdict(finding), "result": finding.result.value} for finding in report.findings
    ]
    return {
        "id": report.id,
        "kind": report.kind,
        "ok": report.is_good,
        "checks": findings,
    }


def _print(reports: Sequence[Report]) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("backend", "check", "result", "seconds", "what was found"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for report in reports:
        for finding in report.findings:
            is_first = finding is report.findings[0]
            table.add_row(Text(report.id if is_first else ""), *_cells(finding))
        table.add_section()
    console = Console(highlight=False)
    console.print(table)
    good = sum(report.is_good for report in reports)
    console.print(f"\n{good} of {len(reports)} backends have no fault.")


def _cells(finding: Finding) -> list[Text]:
    """Texts, since what a provider said is no markup."""
    took = "" if finding.seconds is None else f"{finding.seconds:.2f}"
    found = Text(finding.detail)
    if finding.advice:
        found.append(f"\n{finding.advice}", style="italic")
    result = Text(finding.result.value, style=_STYLES[finding.result])
    return [Text(finding.check), result, Text(took), found]
