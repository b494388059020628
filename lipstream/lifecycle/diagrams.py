"""docs/state-machines.md, drawn from the tables. ``python -m lipstream.lifecycle.diagrams FILE``.

With ``--check`` nothing is written; the exit code is 1 when the file is not what would be written.
"""

from __future__ import annotations

import enum
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from lipstream.lifecycle import attempt, exchange, grammar
from lipstream.lifecycle.machine import terminal_states, transitions

_HEAD = """# State machines

Drawn from the tables in `lipstream/lifecycle/`; do not edit, run
`python -m lipstream.lifecycle.diagrams docs/state-machines.md`. The prose that belongs to each
table is at the top of its module. A state without arrows out of it is terminal: it absorbs every
input that may still come, which is how the first ending wins.
"""

_MACHINES: tuple[tuple[str, str, Mapping[Any, Mapping[Any, Any]], enum.Enum], ...] = (
    ("Attempt", "attempt.py", attempt.ATTEMPT, attempt.AttemptState.WAITING),
    ("Exchange", "exchange.py", exchange.EXCHANGE, exchange.ExchangeState.OPEN),
    ("Grammar of one stream", "grammar.py", grammar.GRAMMAR, grammar.GrammarState.BEFORE),
)


def render() -> str:
    """The whole page."""
    return _HEAD + "".join(_section(*machine) for machine in _MACHINES)


def _section(title: str, module: str, table: Mapping[Any, Mapping[Any, Any]], start: Any) -> str:
    arrows: dict[tuple[Any, Any], list[str]] = {}
    for state, given, target in transitions(table):
        arrows.setdefault((state, target), []).append(given.name)
    lines = [f"    [*] --> {start.name}"]
    lines += [f"    {s.name} --> {t.name}: {', '.join(names)}" for (s, t), names in arrows.items()]
    lines += [f"    {s.name} --> [*]" for s in table if s in terminal_states(table)]
    picture = "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])
    return f"\n## {title}\n\n`lipstream/lifecycle/{module}`\n\n{picture}\n\n{_matrix(table)}\n"


def _matrix(table: Mapping[Any, Mapping[Any, Any]]) -> str:
    inputs = list(dict.fromkeys(given for _, given, _ in transitions(table)))
    rows = [["state", *(given.name for given in inputs)], ["---"] * (len(inputs) + 1)]
    for state, row in table.items():
        rows.append([state.name, *(row[g].name if g in row else "·" for g in inputs)])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def main(arguments: list[str]) -> int:
    """Writes or checks the page named in the arguments."""
    page = pathlib.Path(arguments[-1])
    if "--check" not in arguments:
        page.write_text(render(), encoding="utf-8")
        return 0
    if page.exists() and page.read_text(encoding="utf-8") == render():
        return 0
    print(f"{page} is stale: run python -m lipstream.lifecycle.diagrams {page}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
