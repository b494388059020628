"""Token counts of one answer, the same for every provider.

``input_tokens`` is the whole prompt, cached parts included (OpenAI counts so; Anthropic does not,
its codec adds them). ``output_tokens`` includes reasoning. What a provider did not report is None,
never 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class Usage:
    """Counts in tokens; ``cost`` in US dollars as the provider reported it.

    Attributes:
        dialect: The protocol that ``fields`` is written in.
        fields: The provider's own usage object, for clients that speak the same protocol.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    dialect: str = ""
    fields: Mapping[str, object] = attrs.field(factory=dict)

    def merge(self, later: Usage) -> Usage:
        """Both reports as one: the last count that is not None wins, field by field.

        Counts are never added up: providers that report more than once report running totals.
        """
        counts = {
            name: now if (now := getattr(later, name)) is not None else getattr(self, name)
            for name in _COUNTS
        }
        fields = self.fields if later.dialect != self.dialect else {**self.fields, **later.fields}
        return Usage(dialect=self.dialect or later.dialect, fields=fields or later.fields, **counts)

    @property
    def total(self) -> int | None:
        """The reported total, else input plus output where both are known."""
        if self.total_tokens is not None or self.input_tokens is None or self.output_tokens is None:
            return self.total_tokens
        return self.input_tokens + self.output_tokens


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost",
)
