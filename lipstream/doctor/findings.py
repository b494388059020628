"""What a check found, and what is to be done about it: data and words, no input or output.

Words of providers are shown as far as they are not about a key, without whatever the configuration
keeps secret.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping

import attrs

from lipstream.canonical.secret import PLACEHOLDER, Secret
from lipstream.errors import FaultKind, UpstreamFault

SHOWN_CHARS = 300
SHORTEST_SECRET = 4  # characters; shorter ones stand in every other word


class Result(enum.Enum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"  # it may be meant so
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen
class Finding:
    """What one check came to.

    Attributes:
        check: ``key``, ``name``, ``tcp``, ``tls``, ``models`` or ``probe``.
        advice: What to do about it; never empty after a failure.
        seconds: How long it took, where it took any.
    """

    check: str
    result: Result
    detail: str
    advice: str = ""
    seconds: float | None = None


@attrs.frozen
class Report:
    """All that was found of one backend."""

    id: str
    kind: str
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing failed."""
        return all(finding.result is not Result.FAILED for finding in self.findings)


# ---------------------------------------------------------------- words

_K = FaultKind

# What was found in the provider's place of words, and what to do; {place} is the backend's place in
# the configuration, {key} where its key may be set.
_WORDS: Mapping[FaultKind, tuple[str, str]] = {
    _K.CONNECT: ("there is no connection", "is the server running, and is {place}.base_url right?"),
    _K.CREDENTIALS: ("the key is refused", "look at the key and its account: {key}"),
    _K.NOT_FOUND: ("it is not there", "is {place}.base_url right? Most end in /v1"),
    _K.RATE_LIMIT: ("a limit is reached", "wait, or raise the limit or credit of the account"),
    _K.OVERLOADED: ("the provider is overloaded", "try again later"),
    _K.SERVER: ("the provider failed", "try again later, and look at the provider's status page"),
    _K.TRANSIENT: ("the provider asks to try again", "try again"),
    _K.BAD_REQUEST: (
        "the request is refused",
        "correct {place}.models, unless the model only wants more than one token to answer with",
    ),
    _K.INTERNAL: ("lipstream failed", "this is a defect of lipstream: please report it"),
}
_OTHER = ("the answer is not usable", "is {place}.base_url an API of kind {kind}?")


def fault_finding(
    check: str, fault: UpstreamFault, words: Mapping[str, str], result: Result = Result.FAILED
) -> Finding:
    """What a fault means. ``words`` are ``place``, ``kind`` and ``key``."""
    what, advice = _WORDS.get(fault.kind, _OTHER)
    status = f" (status {fault.status})" if fault.status else ""
    said = "" if fault.kind is FaultKind.CREDENTIALS else fault.detail or ""
    detail = f"{what}{status}{': ' if said else ''}{said}"
    return Finding(check, result, detail, advice.format_map(words))


# ---------------------------------------------------------------- secrets


def secrets_in(entry: object) -> Iterator[str]:
    """Every secret in a part of a configuration."""
    if isinstance(entry, Secret):
        yield entry.reveal()
    elif fields := getattr(type(entry), "__attrs_attrs__", ()):
        for field in fields:
            yield from secrets_in(getattr(entry, field.name))
    elif isinstance(entry, Mapping):
        for value in entry.values():
            yield from secrets_in(value)
    elif isinstance(entry, list | tuple):
        for value in entry:
            yield from secrets_in(value)


def cleaned(finding: Finding, secrets: Iterable[str]) -> Finding:
    """The same in one short line, without secrets and without what could steer a terminal."""
    hidden = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET}, key=len, reverse=True)
    detail = finding.detail
    for secret in hidden:
        detail = detail.replace(secret, PLACEHOLDER)
    line = "".join(char if char.isprintable() else " " for char in detail)
    shown = line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]}..."
    return attrs.evolve(finding, detail=shown)
