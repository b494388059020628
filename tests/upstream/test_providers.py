"""The rows of the table of providers."""

import pytest

from lipstream.canonical.capabilities import EVERYTHING, Capability, capabilities_of
from lipstream.canonical.price import Price
from lipstream.canonical.transport import OPERATIONS, Declaration
from lipstream.compose import DIALECTS
from lipstream.config.schema import BackendEntry, HttpEntry, PriceEntry, StubEntry
from lipstream.config.values import Url, reader_of
from lipstream.upstream.provider import Provider
from lipstream.upstream.providers import COMPATIBLE, KINDS, PROVIDERS, tariff_of

C = Capability
ROWS = list(PROVIDERS.values())
HOSTED = [row for row in ROWS if row.key_variable and row.base_url]
LOCAL = [row for row in ROWS if row.base_url.startswith("http://")]
ELSEWHERE = [row for row in ROWS if not row.base_url]


def by_kind(row: Provider) -> str:
    """A test's id."""
    return row.kind


def test_rows_are_hosted_local_or_somewhere_else() -> None:
    """There is no fourth kind."""
    kinds = sorted(row.kind for row in (*HOSTED, *LOCAL, *ELSEWHERE))
    assert kinds == sorted(PROVIDERS)


@pytest.mark.parametrize("row", HOSTED, ids=by_kind)
def test_hosted_provider_needs_no_more_than_its_key(row: Provider) -> None:
    """Where it is and what to ask it for stand in its row."""
    reader = reader_of(Url)
    assert reader is not None
    assert reader.read(row.base_url) == row.base_url
    assert row.base_url.startswith("https://")
    assert row.key_variable.isupper()
    assert row.default_model


@pytest.mark.parametrize("row", LOCAL, ids=by_kind)
def test_local_server_needs_nothing(row: Provider) -> None:
    """Its models are whatever somebody loaded, and nobody charges for them."""
    assert row.base_url.startswith("http://localhost:")
    assert (row.key_variable, row.default_model) == ("", "")
    assert row.cancel_stops_billing


@pytest.mark.parametrize("row", ROWS, ids=by_kind)
def test_every_row_declares_how_it_may_be_asked(row: Provider) -> None:
    """Undeclared operations would be refused under an exact policy."""

    def modes(declaration: Declaration) -> set[str]:
        return {operation for operation, offer in declaration.items() if offer.native}

    assert modes(row.transport) == set(OPERATIONS.values())


@pytest.mark.parametrize("row", ROWS, ids=by_kind)
def test_row_says_who_knows_what_a_cancel_costs(row: Provider) -> None:
    """Also where nobody does."""
    assert row.billing_source
    is_sourced = "https://" in row.billing_source or row in LOCAL
    assert row.cancel_stops_billing is None or is_sourced


def test_rows_are_keyed_by_kind() -> None:
    """The table's keys are the rows' own."""
    assert [row.kind for row in ROWS] == list(PROVIDERS)


def test_compatible_kind_has_nothing_fixed() -> None:
    """It takes no key from the environment: whose would it be?"""
    row = PROVIDERS[COMPATIBLE]
    assert row == Provider(kind=COMPATIBLE, billing_source=row.billing_source)


def test_every_kind_has_its_class_of_entries() -> None:
    """All are asked over HTTP but the stub; most have nothing of their own to be set."""
    assert set(KINDS) == {*PROVIDERS, "stub"}
    assert KINDS["stub"] is StubEntry
    assert all(issubclass(KINDS[kind], HttpEntry) for kind in PROVIDERS)
    assert KINDS["groq"] is HttpEntry


def test_protocols_of_rows_exist() -> None:
    """What an agent speaks is a matter of its own."""
    spoken = {name for row in ROWS for name in row.dialects}
    assert spoken - {"acp"} <= set(DIALECTS)


@pytest.mark.parametrize(
    ("kind", "model", "missing"),
    [
        ("openai", "gpt-4o", set()),
        ("openai", "GPT-3.5-turbo", {C.VISION, C.DOCUMENTS}),
        ("openai", "o1", {C.PARALLEL_TOOL_CALLS}),
        ("openai", "o3-mini", {C.PARALLEL_TOOL_CALLS}),
        ("openai", "", set()),
        ("nvidia", "gpt-3.5-test", {C.VISION, C.DOCUMENTS}),
        ("openrouter", "openai/gpt-3.5-turbo", {C.VISION, C.DOCUMENTS}),
        ("openrouter", "openai/o3-mini", set()),
        ("anthropic", "claude-sonnet-4-5", {C.AUDIO}),
        ("anthropic", "claude-2.1", {C.AUDIO, C.PARALLEL_TOOL_CALLS}),
        ("anthropic", "claude-instant-1.2", {C.AUDIO, C.PARALLEL_TOOL_CALLS}),
        ("gemini", "gemini-1.0-pro", {C.VISION, C.DOCUMENTS}),
        ("gemini", "gemini-1.0-pro-vision", set()),
        ("bedrock", "us.anthropic.claude-v2:1", {C.PARALLEL_TOOL_CALLS}),
        ("bedrock", "amazon.titan-text-lite-v1", EVERYTHING - {C.STREAMING}),
        ("deepseek", "deepseek-v4-flash", {C.VISION, C.DOCUMENTS, C.AUDIO}),
        (COMPATIBLE, "anything", set()),
    ],
)
def test_models_lack_what_their_makers_say(kind: str, model: str, missing: set[C]) -> None:
    """By name; a model that nobody knows has everything that its provider has."""
    row = PROVIDERS[kind]
    assert EVERYTHING - capabilities_of(model, row.capabilities, row.lacks) == missing


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
