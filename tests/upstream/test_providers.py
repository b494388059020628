"""The rows of the table of providers."""

import pytest

from lipstream.config.schema import HttpEntry, StubEntry
from lipstream.config.values import Url, reader_of
from lipstream.upstream.providers import COMPATIBLE, KINDS, PROVIDERS, Provider

NAMED = [row for row in PROVIDERS.values() if row.kind != COMPATIBLE]


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
