"""What faults are called, what is to be done, and what is not shown."""

from __future__ import annotations

import pytest

from lipstream.canonical.secret import Secret
from lipstream.config.schema import CredentialEntry, HttpEntry
from lipstream.doctor.findings import (
    Finding,
    Report,
    Result,
    cleaned,
    fault_finding,
    secrets_in,
)
from lipstream.errors import FaultKind, UpstreamFault

WORDS = {"place": "backends.x", "kind": "acme", "key": "ACME_API_KEY or backends.x.api_key"}


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_is_told_with_what_to_do(kind: FaultKind) -> None:
    """In whole words, without a gap where a name belongs."""
    finding = fault_finding("probe", UpstreamFault(kind, "x", status=499), WORDS)
    assert finding.result is Result.FAILED
    assert "(status 499)" in finding.detail
    assert finding.advice
    assert "{" not in finding.advice


def test_words_of_the_provider_are_shown_unless_they_are_about_a_key() -> None:
    """Some repeat parts of it."""
    said = "Incorrect API key: sk-ab***yz"
    server = fault_finding("probe", UpstreamFault(FaultKind.SERVER, "x", detail="oops"), WORDS)
    key = fault_finding("probe", UpstreamFault(FaultKind.CREDENTIALS, "x", detail=said), WORDS)
    assert server.detail == "the provider failed: oops"
    assert key.detail == "the key is refused"
    assert "ACME_API_KEY or backends.x.api_key" in key.advice


def test_report_is_good_unless_something_failed() -> None:
    """What may be meant so is no fault."""
    fine = [Finding("tcp", result, "") for result in Result if result is not Result.FAILED]
    assert Report("x", "acme", tuple(fine)).is_good
    assert not Report("x", "acme", (*fine, Finding("tls", Result.FAILED, ""))).is_good


def test_secrets_are_found_wherever_they_are_configured() -> None:
    """Keys, headers, a proxy's password."""
    entry = HttpEntry(
        api_key=Secret("one"),
        api_keys=(Secret("two"),),
        credentials=(CredentialEntry(api_key=Secret("three")),),
        headers={"x": Secret("four")},
        proxy=Secret("http://u:p@proxy"),
    )
    assert set(secrets_in(entry)) == {"one", "two", "three", "four", "http://u:p@proxy"}


def test_secrets_and_what_steers_a_terminal_are_not_shown() -> None:
    """Longer secrets go first, endless texts end, and short words are no secrets."""
    finding = Finding("probe", Result.FAILED, "of sk-key-long, sk-key a\x1b[31mb\nc" + "d" * 400)
    shown = cleaned(finding, ["sk-key", "sk-key-long", "a"]).detail
    assert shown.startswith("of [secret], [secret] a [31mb cddd")
    assert len(shown) == 303
