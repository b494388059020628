"""The rows of the table of providers."""

import pytest

from lipstream.canonical.price import Price
from lipstream.config.schema import BackendEntry, HttpEntry, PriceEntry, StubEntry
from lipstream.config.values import Url, reader_of
from lipstream.upstream.providers import COMPATIBLE, KINDS, PROVIDERS, Provider, tariff_of

NAMED = [row for row in PROVIDERS.values() if not row.kind.endswith("-compatible")]


@pytest.mark.parametrize("row", NAMED, ids=lambda row: row.kind)
def test_row_is_complete(row: Provider) -> None:
    """A provider needs no more than its key."""
    reader = reader_of(Url)
    assert reader is not None
    assert reader.read(row.base_url) == row.base_url
    assert row.base_url.startswith("https://")
    assert row.key_variable.isupper()
    assert row.default_model


def test_rows_are_keyed_by_kind() -> None:
    """The table's keys are the rows' own."""
    assert [row.kind for row in PROVIDERS.values()] == list(PROVIDERS)


def test_compatible_kind_has_nothing_fixed() -> None:
    """It takes no key from the environment: whose would it be?"""
    assert PROVIDERS[COMPATIBLE] == Provider(COMPATIBLE)


def test_every_kind_has_its_class_of_entries() -> None:
    """All are asked over HTTP but the stub."""
    assert KINDS == {**dict.fromkeys(PROVIDERS, HttpEntry), "stub": StubEntry}


@pytest.mark.parametrize("row", NAMED, ids=lambda row: row.kind)
def test_row_says_who_knows_what_a_cancel_costs(row: Provider) -> None:
    """Also where nobody does."""
    assert row.billing_source
    assert row.cancel_stops_billing is None or "https://" in row.billing_source


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        (HttpEntry(kind="openai"), True),
        (HttpEntry(kind="openai", cancel_stops_billing=False), False),
        (HttpEntry(kind=COMPATIBLE), None),
        (HttpEntry(kind=COMPATIBLE, cancel_stops_billing=True), True),
        (StubEntry(kind="stub"), True),
    ],
)
def test_configuration_has_the_last_word_on_what_a_cancel_costs(
    entry: BackendEntry, known: bool | None
) -> None:
    """Else it is what is known of the provider; a stub has nothing that goes on."""
    assert tariff_of(entry).cancel_stops_billing is known


def test_prices_are_those_of_the_configuration() -> None:
    """In the order of the file."""
    dear = PriceEntry(input=2.5, output=10, cache_read=1.25, cache_write=3)
    entry = HttpEntry(kind="openai", prices={"gpt-4o": dear, "*": PriceEntry(input=0, output=1)})
    assert list(tariff_of(entry).prices.items()) == [
        ("gpt-4o", Price(input=2.5, output=10, cache_read=1.25, cache_write=3)),
        ("*", Price(input=0, output=1)),
    ]
