"""The official clients, reading recorded answers that came through here."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import attrs
import pytest
from hypothesis import settings

from lipstream.server.ways import SERVERS
from tests.conformance.outcome import Outcome
from tests.recorded.clients import Clients, meant, readable
from tests.recorded.material import Kind, Sample, answers
from tests.recorded.meaning import Difference, differences, fitted, meaning
from tests.recorded.passage import Reading, body_to, read, stream_to

# Providers use words that their own clients do not know yet.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

STEP = 1 if settings.default and settings.default.max_examples > 1_000 else 5
"""Every which answer is taken."""

BETTER = {
    # what the client would have read of the provider's own bytes is less, or nothing
    "anthropic-tool-search-bm25.1.chunks": "the recording has two answers one after the other",
    "openai-reasoning-encrypted-content.1.chunks": "the recording has several answers",
    "test_groq_model_web_search_tool_stream": "usage stands in x_groq",
    "compatible_api_with_tool_calls_without_id": "calls have no ids",
    "test_tools_streaming_variant_a": "the finish reason is missing",
    "test_tools_streaming_variant_b": "the finish reason is missing",
    "mistral_v1_chat_completions_post_20aaaaf3": "reasoning stands in a list of contents",
    "wire_contract-mistral-small-thinking-high": "reasoning stands in a list of contents",
}
UNREADABLE = {
    # what the client cannot read at all
    "test_function_call_choice_no_content": "numbers in place of words",
    "test_tool_events_no_content": "numbers in place of words",
    "google-stream-tool-call-": "arguments in parts",
}


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    made = Clients()
    yield made
    made.close()


def sampled() -> Iterator[tuple[Sample, Reading]]:
    """Answers with one choice, always the same ones, of clients that the drivers follow."""
    for sample in answers():
        if zlib.crc32(sample.name.encode()) % STEP:
            continue
        reading = read(sample)
        if reading.fault is None and len(reading.answer.choices) == 1:
            yield sample, reading


def is_one_of(sample: Sample, names: dict[str, str]) -> bool:
    """Whether a sample is named there."""
    return any(name in sample.name for name in names)


def has_free_text_calls(reading: Reading) -> bool:
    """The drivers do not follow those."""
    calls = meaning(reading.answer).choices[0].calls
    return any(kind == "custom" for _, _, kind in calls)


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("target", SERVERS)
def test_client_reads_answers_of_other_protocols(
    clients: Clients, target: str, is_stream: bool
) -> None:
    """All that its protocol can say, and it finds nothing odd."""
    for sample, reading in sampled():
        if sample.dialect == target or has_free_text_calls(reading):
            continue
        told = stream_to(target, reading.batches) if is_stream else body_to(target, reading.answer)
        outcome = clients.read(target, told, is_stream=is_stream)
        expected = readable(fitted(meaning(reading.answer), target), target)
        assert list(differences(expected, meant(outcome))) == [], sample.name
        assert outcome.complaints == (), sample.name


@pytest.mark.parametrize("dialect", SERVERS)
def test_client_reads_what_it_would_have_read_without_us(clients: Clients, dialect: str) -> None:
    """Of its own protocol's answers, passed on or folded; it has no more to find odd."""
    for sample, reading in sampled():
        if sample.dialect != dialect or is_one_of(sample, UNREADABLE):
            continue
        try:
            before = of_provider(clients, sample)
        except (KeyError, TypeError, ValueError):
            continue  # the client cannot read what the provider sent
        after = through_us(clients, sample, reading)
        if not is_one_of(sample, BETTER):
            assert changes(before, after) == [], sample.name
            assert set(after.complaints) <= set(before.complaints), sample.name


def of_provider(clients: Clients, sample: Sample) -> Outcome:
    """What the client reads of the recorded bytes."""
    return clients.read(sample.dialect, sample.body, is_stream=sample.kind is Kind.STREAM)


def through_us(clients: Clients, sample: Sample, reading: Reading) -> Outcome:
    """What it reads of the same answer that came through here."""
    if sample.kind is Kind.STREAM:
        return clients.read(
            sample.dialect, stream_to(sample.dialect, reading.batches), is_stream=True
        )
    return clients.read(sample.dialect, body_to(sample.dialect, reading.answer), is_stream=False)


def changes(before: Outcome, after: Outcome) -> list[Difference]:
    """All that the client reads differently, ids of calls and proofs included."""
    found = list(differences(meant(before), meant(after)))
    for name in ("calls", "proofs"):
        pair = (getattr(before, name), getattr(after, name))
        if pair[0] != pair[1]:
            found.append((name, *pair))
    return found


@pytest.mark.parametrize("dialect", SERVERS)
def test_client_reads_answers_written_anew(clients: Clients, dialect: str) -> None:
    """None of the provider's own bytes, and another model's name."""
    for sample, reading in sampled():
        if sample.dialect != dialect or has_free_text_calls(reading):
            continue
        if is_one_of(sample, UNREADABLE):
            continue
        events = [[event.changed() for event in batch] for batch in reading.batches]
        outcome = clients.read(dialect, stream_to(dialect, events, "other"), is_stream=True)
        expected = readable(attrs.evolve(meaning(reading.answer), usage={}), dialect)
        found = attrs.evolve(meant(outcome), usage={})
        assert list(differences(expected, found)) == [], sample.name
        assert outcome.model == "other", sample.name
