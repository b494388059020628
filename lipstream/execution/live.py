"""Exchanges that are running now: what can be done to one from outside, and to all of them at the
end."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs
import trio

from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.policy import Policy
from lipstream.errors import LipstreamError
from lipstream.interfaces import Backend, Observer
from lipstream.lifecycle.bill import estimate_prompt
from lipstream.lifecycle.exchange import Exchange, ExchangeInput
from lipstream.lifecycle.records import AttemptRecord
from lipstream.routing.admission import Admissions
from lipstream.routing.planner import Entry
from lipstream.routing.selector import Selector


@attrs.frozen
class Route:
    """Where a call may go: the parsed selector, its canonical text, and its policy."""

    selector: Selector
    text: str
    policy: Policy


@attrs.define(eq=False)
class LiveExchange:
    """One exchange while it runs. Times are ``trio.current_time()``.

    Attributes:
        scope: Cancelled to end everything that is done for this exchange; use :meth:`leave`.
        work: The scope of what is being done now, opening or delivering; use :meth:`interrupt`.
        interruption: What :meth:`interrupt` was given; the client is told.
        nursery: Everything that is done for the exchange runs in it; set while it runs.
        winner: The candidate that is being streamed, once there is one.
        records: Of the attempts that are over, in the order in which they ended.
        open_upstreams: How many attempts open or hold one, by backend; see :class:`LiveExchanges`.
    """

    id: str
    call: Call
    route: Route
    deadline: float
    backends: Mapping[str, Backend]
    state: Exchange = attrs.field(factory=Exchange)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    work: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    interruption: LipstreamError | None = None
    winner: Candidate | None = None
    nursery: trio.Nursery = attrs.field(init=False)
    started_at: float = attrs.field(factory=trio.current_time)
    wall_time: float = attrs.field(factory=time.time)
    observers: Sequence[Observer] = ()
    records: list[AttemptRecord] = attrs.field(factory=list)
    open_upstreams: Counter[str] = attrs.field(factory=Counter)

    @property
    def may_race(self) -> bool:
        """Whether attempts may run beside each other."""
        return self.call.may_race or self._races_anything

    @property
    def _races_anything(self) -> bool:
        """Whether the route says that also what leaves traces is raced."""
        chosen, policy = self.route.selector.race, self.route.policy
        return policy.race_side_effects if chosen is None else chosen

    def company(self, entries: Sequence[Entry], running: Sequence[Entry]) -> Sequence[Entry]:
        """Those of the entries that may be started now, beside each other and what runs.

        Where nothing runs that is one at least: what is not raced is tried alone.
        """
        if self._races_anything:
            return entries
        if running and not (self.call.may_race and all(map(self._is_harmless, running))):
            return ()
        if not running and not (self.call.may_race and self._is_harmless(entries[0])):
            return entries[:1]
        return [entry for entry in entries if self._is_harmless(entry)]

    def _is_harmless(self, entry: Entry) -> bool:
        return not self.backends[entry.candidate.backend].abilities.leaves_traces

    @functools.cached_property
    def admissions(self) -> Admissions:
        """Which candidates may take the call, and how; each is looked at when it is due."""
        fallback = self.route.policy.fallback
        return Admissions(self.call, fallback, lambda name: self.backends[name].abilities)

    @functools.cached_property
    def prompt_tokens(self) -> int:
        """How long the prompt is, roughly; looked at when somebody asks."""
        return estimate_prompt(self.call)

    def add_record(self, record: AttemptRecord) -> None:
        """Keeps the record of an attempt that is over and closed, and tells the observers."""
        self.records.append(record)
        for observer in self.observers:
            observer.on_attempt(self.id, record)

    def leave(self, reason: str) -> None:
        """The client is gone (``client_gone``, ``client_stalled``): ends everything at once."""
        if self.state.ending is None:
            self.state.end(ExchangeInput.LEAVE, reason)
            self.scope.cancel(reason=reason)

    def interrupt(self, error: LipstreamError) -> None:
        """Ends the exchange with an error that the client is still told."""
        if self.state.ending is None and self.interruption is None:
            self.interruption = error
            self.work.cancel(reason=str(error))


class LiveExchanges:
    """All running exchanges of this process.

    Attributes:
        open_upstreams: How many attempts of all exchanges open or hold one, by backend. An attempt
            counts itself in when it starts, and out when it has closed its upstream.
    """

    def __init__(self) -> None:
        self.open_upstreams: Counter[str] = Counter()
        self._running: set[LiveExchange] = set()

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[LiveExchange]:
        return iter(tuple(self._running))

    def add(self, live: LiveExchange) -> None:
        """Counts an exchange in."""
        live.open_upstreams = self.open_upstreams
        self._running.add(live)

    def discard(self, live: LiveExchange) -> None:
        """Counts an exchange out."""
        self._running.discard(live)
