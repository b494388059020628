"""What can still be done for an answer that is cut after the commit: go on elsewhere, or close it.

Theory of operation. Both are off unless the operator switched them on, and both work inside the
body: whoever pulls the answer sees one stream. A fault fails the attempt, which closes beside us.
Then, as long as the route allows it and all that was sent is plain text, the exchange's race is
reopened (:class:`Rescue`) over the candidates that are left, with the slots, the handicaps and the
limits of any race; the first attempt whose text goes on from what was sent (``continuation``) takes
the exchange over: RESUME. If nobody can, or the route does not say so, the recovery policy may
close the stream with a warning and a finish reason that says "not complete": RECOVER. Else the
fault ends the answer, as ever.

What the client gets is one answer: the id, the model and the reasoning of the first attempt, text
without a seam, one end. Token counts are those of the last attempt, as far as it reports them: they
are never added up.
"""

from __future__ import annotations

import math

import attrs
import trio

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role, ToolMode
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.parts import Text
from lipstream.canonical.reasoning import effort_of
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.execution.attempt import Attempt
from lipstream.execution.body import Body
from lipstream.execution.continuation import Continuation, Seam
from lipstream.execution.live import LiveExchange
from lipstream.execution.opening import Opening, Terms
from lipstream.execution.race import Race
from lipstream.execution.sent import Sent
from lipstream.interfaces import Backend
from lipstream.lifecycle.exchange import ExchangeInput
from lipstream.routing.classify import Verdict, classify

RECOVERABLE = (FaultKind.TRUNCATED, FaultKind.READ, FaultKind.IDLE)  # cut or stalled

_RESCUED = e.Notice("proxy_stream_rescue", "Another backend goes on with the answer from here.")


def body_of(live: LiveExchange, race: Race) -> Body:
    """The answer of a race's winner, with what the route allows to be done about a cut."""
    assert race.winner is not None
    policy, chosen = live.route.policy, live.route.selector.resume
    rescues = policy.resume if chosen is None else chosen
    if not may_be_rescued(live.call):
        rescues = 0
    if rescues == 0 and policy.recovery is None:
        return Body(live, race.winner)
    return LastingBody(live, race, race.winner, rescues)


def may_be_rescued(call: Call) -> bool:
    """Whether an answer to this call may be put together from two.

    Not where it has a form that a second model would have to hit upon in its middle, and not where
    a second run leaves something behind at a provider.
    """
    options, tools = call.options, call.tool_choice
    is_forced = tools is not None and tools.mode in (ToolMode.ANY, ToolMode.NAMED)
    is_formed = options.output_format is not None or options.choices not in (None, 1)
    wants_logprobs = options.logprobs or options.top_logprobs
    return call.may_race and not (is_forced or is_formed or wants_logprobs)


class Rescue(Opening):
    """A race for the rest of an answer.

    Args:
        broken: The attempt that did not finish it.
    """

    is_retry = True

    def __init__(self, live: LiveExchange, broken: Attempt, sent: Sent) -> None:
        super().__init__(live)
        self._broken = broken.number
        self._sent = sent.text
        self._given = self._sent.rstrip() if _may_be_prefilled(live.call) else ""
        self._prefilled = _prefilled(live.call, self._given, sent.tokens)
        self._is_open = True

    def launch(self) -> None:
        """Nothing: after the commit there is no LAUNCH, RESUME brings its own attempt."""

    def terms(self, backend: Backend, candidate: Candidate) -> Terms:
        """Where the backend can be given the beginning as a prefill it is, else it starts anew."""
        given = self._given if backend.prefills else ""
        admission = self._live.admissions.of(candidate)
        call = admission.fit(self._prefilled if given else self._live.call)
        seam = Seam(self._sent, given)
        prefix = Continuation(self.point, seam, wants_sealed=bool(call.tools))
        return Terms(call, prefix, self.claim, admission, "prefill" if given else "splice")

    def claim(self, number: int) -> bool:
        """Hands the exchange on to the first attempt that asks in time."""
        state = self._live.state
        is_free = self._is_open and state.winner == self._broken
        if not is_free or not state.can(ExchangeInput.RESUME):
            return False
        state.resume(number)
        return True

    def close(self) -> None:
        """Whoever comes now is late."""
        self._is_open = False

    def verdict(self, fault: UpstreamFault) -> Verdict:
        """The call was good enough for the first backend: who finds it bad may dislike our part."""
        is_bad = fault.kind is FaultKind.BAD_REQUEST
        return Verdict.ELSEWHERE if is_bad else super().verdict(fault)


def _may_be_prefilled(call: Call) -> bool:
    """Not where the model is to think first, where a stop sequence may lie across the seam, or
    where the client itself gave the beginning."""
    is_begun = bool(call.messages) and call.messages[-1].role is Role.ASSISTANT
    thinks = effort_of(call.options) not in (None, "none")
    return not (is_begun or thinks or call.options.stop)


def _prefilled(call: Call, given: str, tokens: int) -> Call:
    """The call with the beginning of its answer, and with so much less left of its limit."""
    options, limit = call.options, call.options.max_output_tokens
    if limit is not None:
        options = attrs.evolve(options, max_output_tokens=max(1, limit - tokens))
    beginning = Message(Role.ASSISTANT, (Text(given),))
    return call.changed(messages=(*call.messages, beginning), options=options)


class LastingBody(Body):
    """An answer that may outlive the attempt it began with.

    Silence has a scope of its own here, which ends as a fault and not with the delivery. The
    body's ordinary deadline is always a little later; it guards against a client that does not
    read.
    """

    def __init__(self, live: LiveExchange, race: Race, winner: Attempt, rescues: int) -> None:
        super().__init__(live, winner)
        self._recovery = live.route.policy.recovery
        if self._recovery is not None:
            self._idle = min(self._idle, self._recovery.idle)
        self._race = race
        self._left = rescues
        self._sent = Sent()
        self._silence = trio.CancelScope()

    async def receive(self) -> e.Batch:
        """The next batch; see ``Body.receive``. A fault is raised when nothing can be done."""
        try:
            batch = await super().receive()
        except UpstreamFault as fault:
            batch = await self._survive(fault)
            self.is_waiting = False
        self._sent.add(batch)
        return batch

    async def _pull(self) -> e.Batch:
        batch: e.Batch = []
        while not batch:
            with trio.CancelScope() as self._silence:
                batch = await super()._pull()
            if self._silence.cancelled_caught:
                raise UpstreamFault(FaultKind.IDLE, "the upstream was silent for too long")
            batch = self._winner.terms.prefix.pass_on(batch)
        return batch

    def _push_deadline(self) -> None:
        super()._push_deadline()
        self._silence.deadline = trio.current_time() + self._idle

    # -- after a fault

    async def _survive(self, fault: UpstreamFault) -> e.Batch:
        """The batch with which the stream goes on. Raises the fault when it does not."""
        self._fault = None
        self._winner.fail(fault)
        self._live.nursery.start_soon(self._winner.close)
        if self._left > 0 and self._sent.is_plain and classify(fault) is not Verdict.GIVE_UP:
            self._left -= 1
            if await self._rescue():
                return self._take([_RESCUED, *self._winner.terms.prefix.take()])
            if trio.current_time() >= self._live.deadline:
                raise UpstreamFault(FaultKind.DEADLINE, "the time for this request is over")
        if self._recovery is None or fault.kind not in RECOVERABLE or not self._sent.can_be_closed:
            raise fault
        self.outcome = (ExchangeInput.RECOVER, "recovered")
        return self._take(self._sent.closing(warns=self._recovery.warns))

    async def _rescue(self) -> bool:
        """Looks for an attempt that goes on, for as long as a first one may take; says whether
        there is one."""
        live, rescue = self._live, Rescue(self._live, self._winner, self._sent)
        limit = live.route.selector.ttft_timeout
        now = trio.current_time()
        deadline = live.deadline if limit is None else min(live.deadline, now + limit)
        live.work.deadline = math.inf
        self._race.reopen(rescue, self._winner)
        try:
            await self._race.run(trio.CancelScope(deadline=deadline))
        finally:
            rescue.close()
            if live.interruption is not None:  # which ends our scope, but not theirs
                self._race.stop("interrupted")
        winner = self._race.winner
        if winner is not None:
            self._winner, live.winner = winner, winner.entry.candidate
        self._armed_until = -math.inf
        self._push_deadline()
        return winner is not None
