"""Cells that cannot hold, each with the reason: the protocols' doing, not ours.

docs/protocols.md lists them. A cell that is merely `UNSAID` is not played, because there is nobody
to play it; a `REFUSED` one is played, and has to end in an error that the client understands.
"""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Mapping

import attrs

from tests.conformance.drivers.anthropic_messages import AnthropicDriver
from tests.conformance.drivers.gemini import GeminiDriver
from tests.conformance.drivers.openai_chat import ChatDriver
from tests.conformance.drivers.openai_responses import ResponsesDriver
from tests.conformance.scenarios.base import Scenario

SAYS = {
    driver.protocol: driver.says
    for driver in (ChatDriver, ResponsesDriver, AnthropicDriver, GeminiDriver)
}
"""The options that each protocol's SDK has words for."""

UNSPOKEN = {"anthropic_messages": frozenset(("allowed_tools", "custom_tools"))}
"""Notions that a protocol maps for other clients, and that its own clients never say."""

UNPLAYED: Mapping[str, str] = {
    "acp": "An agent takes text alone and goes by one name: it has a table of its own.",
}
"""Kinds of backend that are not in the matrix, and why."""


class How(enum.Enum):
    """What becomes of a cell that cannot hold."""

    UNSAID = "the client has no word for it"
    UNGIVEN = "the provider has no such thing"
    REFUSED = "refused with a 400 that names it"


@attrs.frozen
class Limit:
    """Some cells and their reason; ``*`` in a name stands for anything."""

    scenario: str
    frontend: str
    backend: str
    how: How
    why: str

    def holds_for(self, scenario: str, frontend: str, backend: str) -> bool:
        """Whether the cell is one of these."""
        pairs = (
            (scenario, self.scenario),
            (frontend, self.frontend),
            (backend, self.backend),
        )
        return all(fnmatch.fnmatchcase(name, pattern) for name, pattern in pairs)


LIMITS = (
    Limit(
        "audio",
        "anthropic_messages",
        "*",
        How.UNSAID,
        "The Messages API takes no audio.",
    ),
    Limit(
        "audio",
        "*",
        "anthropic_messages",
        How.REFUSED,
        "The Messages API takes no audio, and an answer that ignores the sound is worthless.",
    ),
    Limit(
        "audio",
        "*",
        "openai_responses",
        How.REFUSED,
        "The Responses API takes no audio, and an answer that ignores the sound is worthless.",
    ),
    Limit(
        "image_link",
        "*",
        "bedrock_converse",
        How.REFUSED,
        "Converse loads nothing over HTTP, and the proxy loads nothing for it.",
    ),
    Limit(
        "hot_temperature",
        "anthropic_messages",
        "anthropic_messages",
        How.UNGIVEN,
        "What a client of Anthropic's writes is sent as it is, and its API has no more than 1.",
    ),
    Limit(
        "choice_allowed*",
        "anthropic_messages",
        "*",
        How.UNSAID,
        "The Messages API has no choice of allowed tools: a client declares fewer tools.",
    ),
    Limit(
        "image_made",
        "anthropic_messages",
        "*",
        How.UNSAID,
        "A message of the Messages API has no place for a picture that the model made.",
    ),
    Limit(
        "image_made",
        "*",
        "anthropic_messages",
        How.UNGIVEN,
        "Anthropic's models make no pictures.",
    ),
)


def limit_of(scenario: Scenario, frontend: str, backend: str) -> Limit | None:
    """The reason why a cell cannot hold; None where it can."""
    for limit in LIMITS:
        is_written_as_it_came = limit.how is How.REFUSED and frontend == backend
        if limit.holds_for(scenario.name, frontend, backend) and not is_written_as_it_came:
            return limit
    missing = sorted(scenario.words - SAYS[frontend])
    if missing:
        why = f"The protocol has no option {', '.join(missing)}."
        return Limit(scenario.name, frontend, "*", How.UNSAID, why)
    return None
