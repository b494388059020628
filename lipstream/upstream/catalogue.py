"""docs/providers.md, drawn from the rows. ``python -m lipstream.upstream.catalogue FILE``.

With ``--check`` nothing is written; the exit code is 1 when the file is not what would be written.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping

from lipstream.canonical.capabilities import EVERYTHING, Capability
from lipstream.config.env import KeyNumbers
from lipstream.upstream.provider import Provider
from lipstream.upstream.providers import PROVIDERS

_HEAD = """# Providers

Drawn from the table in `lipstream/upstream/providers.py`; do not edit, run
`python -m lipstream.upstream.catalogue docs/providers.md`. A `kind` that is not here is one row
there, or `openai-compatible`, `openai-responses-compatible` or `anthropic-compatible` with a
`base_url`.

A call in one of the protocols that a provider speaks goes out in that one, every other call in the
first; `flavour: chat` or `flavour: responses` keeps a backend to one of OpenAI's two. Keys come
from `credentials`, else from `api_key` and `api_keys`, else from the variables. A key is used until
the provider refuses it; `credential_order: least_recently_used` spreads the load instead.
"""

_BILLING = {True: "stops", False: "goes on", None: "not known"}
_BILLING_HEAD = """
## What a cancelled answer costs

Whether closing the connection ends what is charged for a stream, and who says so. The
`cancel_stops_billing` of a backend has the last word.
"""

_LACKS_HEAD = """
## What models lack

A call that needs something hard (tools, vision, documents, audio, structured outputs) is not sent
to a model that lacks it; reasoning and parallel tool calls are left out of the call for that model.
The names are regular expressions, whatever the case. The `capabilities`
of a backend changes it: `{"llava*": {add: [vision]}, "*": {remove: [audio]}}`.
"""


def render(providers: Mapping[str, Provider] = PROVIDERS) -> str:
    """The whole page."""
    rows = providers.values()
    parts = [
        _HEAD,
        "\n## Where they are\n\n",
        _table(("kind", "base URL", "protocols", "key from", "sent as"), map(_place, rows)),
        _BILLING_HEAD,
        "\n",
        _table(("kind", "billing", "source"), map(_billing, rows)),
        _LACKS_HEAD,
        "\n",
        _table(("kind", "models", "lack"), (line for row in rows for line in _lacks(row))),
    ]
    return "".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _place(row: Provider) -> tuple[str, ...]:
    base_url = row.base_url or row.base_url_form
    base_url = f"`{base_url}`" if base_url else "yours"
    return (f"`{row.kind}`", base_url, ", ".join(row.dialects), _key(row), f"`{row.key_header}`")


def _key(row: Provider) -> str:
    if row.key_variable:
        return f"`{row.key_variable}`, `{_second(row.key_variable, row.key_numbers)}` ..."
    return f"`{row.dummy_key}`, where there is none" if row.dummy_key else "the configuration"


def _second(variable: str, numbers: KeyNumbers) -> str:
    return f"{variable}_{numbers.first}"


def _billing(row: Provider) -> tuple[str, ...]:
    return (f"`{row.kind}`", _BILLING[row.cancel_stops_billing], row.billing_source)


def _lacks(row: Provider) -> Iterator[tuple[str, ...]]:
    kind = f"`{row.kind}`"
    if row.capabilities != EVERYTHING:
        yield (kind, "all", _names(EVERYTHING - row.capabilities))
    for lack in row.lacks:
        pattern = lack.pattern.pattern.replace("|", "\\|")
        yield (kind, f"`{pattern}`" if pattern else "all", _names(lack.missing))


def _names(capabilities: frozenset[Capability]) -> str:
    return ", ".join(need.value for need in Capability if need in capabilities)


def main(arguments: list[str]) -> int:
    """Writes or checks the page named in the arguments."""
    page = pathlib.Path(arguments[-1])
    if "--check" not in arguments:
        page.write_text(render(), encoding="utf-8")
        return 0
    if page.exists() and page.read_text(encoding="utf-8") == render():
        return 0
    print(f"{page} is stale: run python -m lipstream.upstream.catalogue {page}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
