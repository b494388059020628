"""Random texts, cuts and pieces: what a rescue delivers is whole and unaltered, or is an error."""

from __future__ import annotations

import attrs
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.canonical.policy import Policy
from lipstream.errors import FaultKind
from lipstream.lifecycle.grammar import Grammar
from tests.execution.models import Model
from tests.fakes import START, Given, Run, Script, Step, fault, make_call, run_exchange

READ = fault(FaultKind.READ)
TEXTS = st.text(alphabet="ab \n", max_size=10)  # few letters, so that texts repeat and agree


@attrs.frozen
class Plot:
    """One exchange whose first answer is cut.

    Attributes:
        sent: What the first backend said, in pieces.
        rest: What the second one says when it goes on with that.
        whole: What it says when it is asked anew.
        size: Letters of each of its pieces.
    """

    sent: list[str]
    rest: str
    whole: str
    size: int
    prefills: bool
    is_in_band: bool
    is_streaming: bool

    @property
    def text(self) -> str:
        """What was sent, in one piece."""
        return "".join(self.sent)


@st.composite
def plots(draw: st.DrawFn) -> Plot:
    """Half of the second models know the same answer, the others say anything."""
    sent = draw(st.lists(st.text("ab \n", min_size=1, max_size=4), max_size=4))
    rest = draw(TEXTS)
    whole = draw(st.one_of(TEXTS, st.just("".join(sent) + rest)))
    flags = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    return Plot(sent, rest, whole, draw(st.integers(1, 4)), *flags)


def play(plot: Plot) -> Run:
    """Runs the real executor on it."""

    def say(given: str) -> list[str]:
        text = plot.rest if given else plot.whole
        return [text[at : at + plot.size] for at in range(0, len(text), plot.size)]

    said = [Step(0, [e.TextDelta(piece)]) for piece in plot.sent]
    last = Step(0, [e.StreamFailed(READ)]) if plot.is_in_band else Step(0, READ)
    scripts: dict[str, Given] = {
        "a": Script((Step(0, START), *said, last)),
        "b": Model("b", say, prefills=plot.prefills),
    }
    call = make_call(is_streaming=plot.is_streaming)

    async def main() -> Run:
        return await run_exchange("{resume}a:m|b:m", scripts, Policy(), call=call)

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def expect(plot: Plot) -> str | None:
    """The whole text, or None where an error is due."""
    sent = plot.text
    if not sent.strip():
        return plot.whole  # nothing was committed: an ordinary failover
    if not plot.prefills:
        return plot.whole if plot.whole.startswith(sent) else None
    given = sent.rstrip()
    goes_on = plot.rest.startswith(sent[len(given) :])
    return given + plot.rest if goes_on and not plot.rest.startswith(given) else None


@given(plots())
def test_rescued_answer_is_whole_or_an_error(plot: Plot) -> None:
    """Nothing comes twice, nothing is missing without being said, and the grammar holds."""
    run = play(plot)
    Grammar().check(run.delivery.events)
    whole = expect(plot)
    if whole is None:
        assert (run.delivery.text, run.delivery.error) == (plot.text, READ)
    else:
        assert (run.delivery.text, run.delivery.error) == (whole, None)
        assert run.delivery.events[-1] == e.Finished()
