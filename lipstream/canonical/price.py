"""What backends charge: prices in US dollars per million tokens, by model.

Nothing is decided by a price; it only puts a figure into the records. Not here: how many tokens an
attempt came to (``lifecycle.bill``).
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import attrs

from lipstream.canonical.usage import Usage

MILLION = 1_000_000


@attrs.frozen(kw_only=True)
class Price:
    """The price of one model, in US dollars per million tokens.

    Attributes:
        cache_read: Of the prompt's tokens that the provider had in its cache; None: as ``input``.
        cache_write: Of those that it put there; None: as ``input``.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def of(self, usage: Usage) -> float:
        """Dollars for these counts; a count that is None comes to nothing."""
        read, write = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        plain = max((usage.input_tokens or 0) - read - write, 0)
        dollars = plain * self.input + (usage.output_tokens or 0) * self.output
        dollars += read * (self.input if self.cache_read is None else self.cache_read)
        dollars += write * (self.input if self.cache_write is None else self.cache_write)
        return dollars / MILLION


@attrs.frozen(kw_only=True)
class Tariff:
    """What one backend charges, and for how much of an answer.

    Attributes:
        prices: By pattern of the model's name (``gpt-4o*``, ``*``); the first that matches counts.
        cancel_stops_billing: Whether an answer that is given up is charged only as far as it had
            come by then; None where that is not known.
    """

    prices: Mapping[str, Price] = attrs.field(factory=dict)
    cancel_stops_billing: bool | None = None

    def price(self, model: str) -> Price | None:
        """The price of a model, or None where none is configured."""
        matching = (price for glob, price in self.prices.items() if fnmatchcase(model, glob))
        return next(matching, None)


UNPRICED = Tariff()
