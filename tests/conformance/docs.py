"""docs/protocols.md, drawn from what the codecs declare and from the matrix.

``python -m tests.conformance.docs FILE``. With ``--check`` nothing is written; the exit code is 1
when the file is not what would be written.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence

from lipstream.canonical.losses import NOTIONS, Fate, Support
from lipstream.compose import DIALECTS
from lipstream.protocols import acp
from tests.conformance.limits import LIMITS, SAYS, UNPLAYED, UNSPOKEN, Limit
from tests.conformance.matrix import FRONTENDS, KINDS, SCENARIOS, Cell, cells
from tests.conformance.protocols import dialect_of

TITLES: Mapping[str, str] = {
    "openai_chat": "OpenAI Chat Completions",
    "openai_responses": "OpenAI Responses",
    "anthropic_messages": "Anthropic Messages",
    "gemini": "Gemini generateContent",
    "bedrock_converse": "Bedrock Converse",
    "acp": "Agent Client Protocol",
}

SUPPORT: Mapping[str, Support] = {
    **{name: dialect.support for name, dialect in DIALECTS.items()},
    acp.NAME: acp.SUPPORT,
}

HEAD = """# Protocols

Any client may speak to any provider. Between two sides of the same protocol nothing is changed:
unknown fields, parts and events pass, signatures to the byte, and errors come in the protocol's own
words. Between two protocols everything that both know is translated, in both directions, streamed
or whole: text, tools and their results over any number of turns, pictures and papers, reasoning and
its proofs, options, ends, counts, errors. What the other side has no word for is written here.

Drawn from the codecs' own declarations and from the conformance tests; do not edit, run
`python -m tests.conformance.docs docs/protocols.md`.

- **kept**: the provider's protocol has the same thing, perhaps under another name.
- mapped: something that comes close: another scale, another place, a smaller set.
- *dropped*: left out. The answer's `X-LIP-Dropped` header names it.
- **refused**: the answer would be worthless without it: another candidate, or a 400 that names it.
"""

WORDS = {
    Fate.KEPT: "**kept**",
    Fate.MAPPED: "mapped",
    Fate.DROPPED: "*dropped*",
    Fate.REFUSED: "**refused**",
}


def render() -> str:
    """The whole page."""
    parts = [HEAD, *map(_section, FRONTENDS), _limits(), _scenarios()]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _section(frontend: str) -> str:
    """What becomes of what a client of one protocol says, by the provider's protocol."""
    others = [name for name in SUPPORT if name != frontend]
    rows = [
        [f"`{notion}`", *(WORDS[SUPPORT[name][notion]] for name in others)]
        for notion in NOTIONS
        if _can_say(frontend, notion)
    ]
    head = [f"a client of {TITLES[frontend]} says", *(TITLES[name] for name in others)]
    return f"## From {TITLES[frontend]}\n\n{_table(head, rows)}"


def _can_say(frontend: str, notion: str) -> bool:
    """Whether a protocol has a word for it: then its own role towards providers has one, too."""
    if notion in UNSPOKEN.get(frontend, ()):
        return False
    return notion in SAYS[frontend] or SUPPORT[frontend][notion] in (Fate.KEPT, Fate.MAPPED)


def _limits() -> str:
    rows = [_limit(limit) for limit in LIMITS]
    rows += [["everything", "any", f"`{kind}`", why] for kind, why in UNPLAYED.items()]
    head = ["what", "client", "provider", "why"]
    text = "What no translation can bring about, each with its reason, as the tests have it."
    return f"## What cannot be\n\n{text}\n\n{_table(head, rows)}"


def _limit(limit: Limit) -> list[str]:
    sides = (TITLES.get(name, "any") for name in (limit.frontend, limit.backend))
    return [f"`{limit.scenario}`", *sides, f"{limit.why} ({limit.how.value})"]


def _scenarios() -> str:
    """What the tests hold every pair to."""
    played = list(cells())
    text = (
        f"{len(FRONTENDS)} kinds of client, {len(KINDS)} kinds of provider "
        f"({len({dialect_of(kind) for kind in KINDS})} protocols), {len(SCENARIOS)} scenarios: "
        f"{summary(played)}."
    )
    rules: dict[str, list[str]] = {}
    for scenario in SCENARIOS:
        rules.setdefault(scenario.rule, []).append(f"`{scenario.name}`")
    rows = [[rule, ", ".join(names)] for rule, names in rules.items()]
    table = _table(["what holds", "scenarios"], rows)
    return f"## What is tested between all of them\n\n{text}\n\n{table}"


def summary(all_cells: Sequence[Cell]) -> str:
    """The matrix in one line."""
    limited = sum(cell.limit is not None for cell in all_cells)
    return f"{len(all_cells)} cells, {limited} of them with a reason why they cannot hold"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(_lines(head, rows)) + "\n"


def _lines(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    for cells_ in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells_) + " |"


def main(arguments: list[str]) -> int:
    """Writes or checks the page named in the arguments."""
    page = pathlib.Path(arguments[-1])
    if "--check" not in arguments:
        page.write_text(render(), encoding="utf-8")
        return 0
    if page.exists() and page.read_text(encoding="utf-8") == render():
        return 0
    print(f"{page} is stale: run python -m tests.conformance.docs {page}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
