"""What a race is run for: a whole answer. (The other thing is the rest of one: ``rescue.Rescue``.)

The race does not know what it is run for. It asks here what an attempt has to send, what it holds
back, how it claims the exchange, and what its failure means.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.policy import CommitPoint
from lipstream.errors import UpstreamFault
from lipstream.execution.live import LiveExchange
from lipstream.execution.prefix import Prefix
from lipstream.interfaces import Backend
from lipstream.lifecycle.exchange import ExchangeInput
from lipstream.routing.admission import Admission
from lipstream.routing.classify import Verdict, classify


@attrs.frozen(eq=False)
class Terms:
    """What one attempt goes by.

    Attributes:
        call: What it sends, before the candidate's parameters.
        prefix: What it holds back.
        claim: Makes the attempt of this number the winner, or says that it is late.
        admission: How the candidate may be asked; the call is made to fit it.
        rescue: ``prefill`` or ``splice`` where it is to go on with an answer that was cut.
    """

    call: Call
    prefix: Prefix
    claim: Callable[[int], bool]
    admission: Admission
    rescue: str | None = None


class Opening:
    """A race for a whole answer.

    Attributes:
        is_retry: Whether an answer had begun before.
    """

    is_retry = False

    def __init__(self, live: LiveExchange) -> None:
        self._live = live

    @property
    def point(self) -> CommitPoint:
        """Which event makes an attempt the answer."""
        chosen = self._live.route.selector.commit
        return self._live.route.policy.commit if chosen is None else CommitPoint(chosen)

    def launch(self) -> None:
        """An attempt is started."""
        self._live.state.send(ExchangeInput.LAUNCH)

    def terms(self, backend: Backend, candidate: Candidate) -> Terms:
        """What an attempt at this candidate goes by."""
        admission = self._live.admissions.of(candidate)
        call = admission.fit(self._live.call)
        return Terms(call, Prefix(self.point), self.claim, admission)

    def claim(self, number: int) -> bool:
        """Makes the attempt of this number the winner; False when it is late."""
        return self._live.state.try_commit(number)

    def verdict(self, fault: UpstreamFault) -> Verdict:
        """What a failed attempt means."""
        return classify(fault)
