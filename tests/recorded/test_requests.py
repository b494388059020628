"""Recorded requests: their own protocol writes what came, the others what they can say."""

from __future__ import annotations

import functools
from collections import Counter

import pytest

from lipstream.compose import DIALECTS
from lipstream.server.ways import SERVERS
from tests.recorded.asking import UNSUPPORTED, Asking, ask
from tests.recorded.material import Sample, samples

BROKEN = {
    # requests that their provider refused as well, and why they are here
    "strict_schema_matrix-boolean_root_schema_is_rejected_for_tool_input": "tools[0].input_schema",
    "contrib-anthropic-anthropic_completion_error": "messages[0]",
    "llamacpp-error_matrix-malformed_request_field": "temperature",
    "internal-testopenai-chat-no-messages": "messages",
    "vertexai-test_generate_content_invalid_role": "contents[0].role",
}

# Of the calls of a protocol, the share that the others can say: what is left asks for tools that a
# provider runs, for sound where there is none, or for files that lie with another provider.
ENOUGH = 0.7


@functools.cache
def asked(dialect: str) -> list[tuple[Sample, Asking]]:
    """All requests of one protocol's clients."""
    return [
        (sample, ask(sample))
        for sample in samples()
        if sample.dialect == dialect and sample.request is not None
    ]


@pytest.mark.parametrize("dialect", SERVERS)
def test_every_sound_request_is_read(dialect: str) -> None:
    """A refusal names the field that is wrong."""
    for sample, asking in asked(dialect):
        fields = [field for name, field in BROKEN.items() if name in sample.name]
        assert [asking.refusal.partition(":")[0]] == (fields or [""]), sample.name
        assert not asking.refusal or sample.exchange.status == 400


@pytest.mark.parametrize("dialect", SERVERS)
def test_request_is_written_to_its_own_protocol_as_it_came(dialect: str) -> None:
    """Every value, and in what is the client's own the order as well."""
    inexact = [(sample.name, asking.inexact) for sample, asking in asked(dialect) if asking.inexact]
    assert inexact == []


@pytest.mark.parametrize("dialect", SERVERS)
def test_request_is_written_to_other_protocols_or_refused_by_name(dialect: str) -> None:
    """Nothing but a code for what the other protocol cannot say."""
    codes: dict[str, Counter[str]] = {target: Counter() for target in DIALECTS}
    for sample, asking in asked(dialect):
        for target, code in asking.written.items():
            codes[target][code] += 1
            assert not code or code.startswith(UNSUPPORTED), (sample.name, target)
    for target, found in codes.items():
        assert found[""] >= found.total() * ENOUGH, (target, found)
