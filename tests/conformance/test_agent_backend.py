"""An agent behind the agent client protocol: text, thoughts and failures, for every client.

It has one model, ``agent``, so that its cells are told apart by time: they run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from lipstream.emulators.script import Script
from tests.conformance.limits import SAYS
from tests.conformance.material import PARITY, UNICODE, WEATHER, picture
from tests.conformance.matrix import FRONTENDS
from tests.conformance.outcome import Failure, Outcome
from tests.conformance.prompt import Prompt, ask
from tests.conformance.rig import Rig

AGENT = "acp"
MODEL = "agent"


@attrs.frozen
class Row:
    """What is asked, what the agent does, what the client must get."""

    name: str
    prompt: Prompt
    script: Script
    check: Callable[[Outcome | Failure], None]


def says_parity(reply: Outcome | Failure) -> None:
    """The answer, whole and legal."""
    assert isinstance(reply, Outcome), reply
    assert (PARITY, "stop", ()) == (reply.text, reply.finish, reply.complaints)


def says_unicode(reply: Outcome | Failure) -> None:
    """Every character."""
    assert isinstance(reply, Outcome), reply
    assert UNICODE == reply.text


def is_dropped(reply: Outcome | Failure) -> None:
    """The answer, and what was left out by its name."""
    says_parity(reply)
    assert isinstance(reply, Outcome)
    assert "temperature" in reply.dropped


def is_refused(reply: Outcome | Failure) -> None:
    """The client's own fault, in its own words."""
    assert isinstance(reply, Failure), reply
    assert 400 == reply.status
    assert reply.words != ()


def is_broken_off(reply: Outcome | Failure) -> None:
    """An error, never an end."""
    assert isinstance(reply, Failure), reply
    assert reply.before is None or reply.before.finish is None


SAID = Script(text=PARITY)
ROWS = (
    Row("text", ask("Say it.", system="Be brief."), SAID, says_parity),
    Row("thoughts", ask("Say it."), Script(text=PARITY, reasoning="Let me see."), says_parity),
    Row("unicode", ask(UNICODE), Script(text=UNICODE, delta_size=1), says_unicode),
    Row("image", ask("See:", picture(1_000)), SAID, says_parity),
    Row("option", ask("Say it.").saying(temperature=0.5), SAID, is_dropped),
    Row("tools", ask("Say it.", tools=(WEATHER,)), SAID, is_refused),
    Row("cut", ask("Count."), Script(words=30, cut_after=10), is_broken_off),
)


@pytest.mark.parametrize("is_streaming", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("frontend", FRONTENDS)
def test_agent_answers_every_client(frontend: str, row: Row, is_streaming: bool, rig: Rig) -> None:
    """What an agent has a place for arrives, anything else is named or refused."""
    assert set(row.prompt.options) <= SAYS[frontend]
    rig.play(AGENT, MODEL, row.script)
    reply = rig.driver(frontend).ask(row.prompt, f"{AGENT}:{MODEL}", is_streaming=is_streaming)
    row.check(reply)
