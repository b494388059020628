"""Whether a candidate may be asked at all, and with what: capabilities and transport, decided
before anything is planned.

A candidate whose model lacks something that the call cannot do without, or whose backend may not be
asked in the way that the policy demands, is out: it takes no attempt, has no record and says
nothing about a backend's health. What a call can do without is taken out for that candidate alone.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from lipstream.canonical.abilities import Abilities
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.capabilities import EVERYTHING, Capability, shortfall, without
from lipstream.canonical.transport import (
    Fallback,
    Invocation,
    Mode,
    invocation_of,
    negotiate,
    upstream_mode,
)
from lipstream.errors import CapabilityMissing, TransportRejected

_UNKNOWN = Invocation()


@attrs.frozen(kw_only=True)
class Admission:
    """What came of looking at one candidate.

    Attributes:
        invocation: What the client asked for.
        mode: How the backend is asked; None leaves it to the backend, which then streams.
        soft: What the model lacks and the call can do without.
        refusal: Why it is out, or None.
    """

    invocation: Invocation = _UNKNOWN
    mode: Mode | None = None
    soft: tuple[Capability, ...] = ()
    refusal: CapabilityMissing | TransportRejected | None = None

    def fit(self, call: Call) -> Call:
        """The call as this candidate gets it; ``is_streaming`` says how the backend is asked."""
        call = without(call, self.soft)
        is_streaming = self.mode is not Mode.NON_STREAMING
        return (
            call if call.is_streaming is is_streaming else call.changed(is_streaming=is_streaming)
        )


def admit(call: Call, model: str, abilities: Abilities, fallback: Fallback) -> Admission:
    """Looks at one candidate. Of two reasons against it the transport is told."""
    invocation, declaration = invocation_of(call), abilities.declaration(model)
    verdict = negotiate(invocation, declaration, fallback)
    if not verdict.is_accepted:
        return Admission(invocation=invocation, refusal=_rejected(invocation))
    has = abilities.capabilities(model)
    short = shortfall(call, has) if has != EVERYTHING else None
    return Admission(
        invocation=invocation,
        mode=upstream_mode(invocation, declaration, fallback),
        soft=short.soft if short else (),
        refusal=_missing(short.hard) if short and short.hard else None,
    )


def _rejected(invocation: Invocation) -> TransportRejected:
    asked = invocation.delivery.value if invocation.delivery else "any"
    return TransportRejected(f"{invocation.operation} is not offered with {asked} transport")


def _missing(capabilities: tuple[Capability, ...]) -> CapabilityMissing:
    names = ", ".join(need.value for need in capabilities)
    return CapabilityMissing(f"missing required capabilities: {names}")


class Admissions:
    """The admissions of one exchange. Each backend and model is looked at once, when it is due.

    Args:
        abilities: Of a backend, by its id.
    """

    def __init__(
        self, call: Call, fallback: Fallback, abilities: Callable[[str], Abilities]
    ) -> None:
        self._call = call
        self._fallback = fallback
        self._abilities = abilities
        self._found: dict[tuple[str, str], tuple[Candidate, Admission]] = {}

    def of(self, candidate: Candidate) -> Admission:
        """What came of looking at a candidate; its parameters do not count."""
        key = (candidate.backend, candidate.model)
        found = self._found.get(key)
        if found is None:
            abilities = self._abilities(candidate.backend)
            made = admit(self._call, candidate.model, abilities, self._fallback)
            found = self._found[key] = candidate, made
        return found[1]

    def refusal(self, candidate: Candidate) -> CapabilityMissing | TransportRejected | None:
        """Why a candidate is out, or None."""
        return self.of(candidate).refusal

    @property
    def rejects(self) -> list[tuple[Candidate, Admission]]:
        """The candidates that were found to be out so far."""
        return [found for found in self._found.values() if found[1].refusal is not None]
