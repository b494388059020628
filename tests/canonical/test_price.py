"""Prices and tariffs: what a number of tokens costs, and which price is a model's."""

import pytest

from lipstream.canonical.price import Price, Tariff
from lipstream.canonical.usage import Usage

CACHED = Price(input=2.0, output=10.0, cache_read=0.5, cache_write=4.0)
PLAIN = Price(input=2.0, output=10.0)
MIXED = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=600, cache_write_tokens=200)


@pytest.mark.parametrize(
    ("price", "usage", "dollars"),
    [
        (PLAIN, Usage(), 0.0),
        (PLAIN, Usage(input_tokens=1_000_000, output_tokens=500_000), 7.0),
        (PLAIN, MIXED, 0.003),
        (CACHED, MIXED, (200 * 2 + 600 * 0.5 + 200 * 4 + 100 * 10) / 1e6),
        (CACHED, Usage(input_tokens=10, cache_read_tokens=600), 300 / 1e6),
        (CACHED, Usage(output_tokens=3), 30 / 1e6),
    ],
)
def test_cost_is_the_tokens_at_their_prices(price: Price, usage: Usage, dollars: float) -> None:
    """Cached tokens are part of the input and have prices of their own, if any is given."""
    assert price.of(usage) == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("model", "price"),
    [("gpt-4o-mini", CACHED), ("gpt-4o", CACHED), ("o3", PLAIN), ("GPT-4o", PLAIN)],
)
def test_first_pattern_that_fits_counts(model: str, price: Price) -> None:
    """Patterns are tried in the order of the file, and case counts."""
    tariff = Tariff(prices={"gpt-4*": CACHED, "gpt-4o": PLAIN, "*": PLAIN})
    assert tariff.price(model) is price


def test_model_without_a_pattern_has_no_price() -> None:
    """Nothing is made up."""
    assert Tariff(prices={"gpt-*": PLAIN}).price("llama") is None
