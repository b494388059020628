"""The headers with which a client's application names itself to OpenRouter.

Clients of OpenAI's two protocols send them; they travel with the call, and nobody gets to see them
but OpenRouter. See https://openrouter.ai/docs/app-attribution.
"""

from __future__ import annotations

from collections.abc import Mapping

REFERER = "http-referer"
TITLE = "x-openrouter-title"
OLD_TITLE = "x-title"
CATEGORIES = "x-openrouter-categories"
METADATA = "x-openrouter-metadata"

NAMES = (REFERER, TITLE, OLD_TITLE, CATEGORIES, METADATA)
LONGEST = 2048  # characters of a value that is passed on

Headers = tuple[tuple[str, str], ...]


def attribution_in(headers: Mapping[str, str]) -> Headers:
    """What a request says of its application; names in ``headers`` are in lower case."""
    said = ((name, headers.get(name, "").strip()) for name in NAMES)
    return tuple((name, _text(value)) for name, value in said if 0 < len(value) <= LONGEST)


def _text(value: str) -> str:
    """A header's bytes, which were read as Latin-1, are most often UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
