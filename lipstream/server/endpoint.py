"""One served request, from its first byte to its record: the path that everything else is there
for.

The handler knows no HTTP server (it speaks to a ``Downstream``) and no dialect (it is given one).
"""

from __future__ import annotations

import contextlib

import attrs
import trio

from lipstream.canonical.limits import CALL_LIMITS, CallLimits
from lipstream.errors import ClientFault, ClientGone, LipstreamError, Overloaded, RoutingFault
from lipstream.execution.executor import Executor
from lipstream.interfaces import ServerDialect
from lipstream.server.cancel import cancel_answer
from lipstream.server.delivery import StreamDelivery, WholeDelivery, respond_problem
from lipstream.server.downstream import Downstream
from lipstream.server.errors import problem_for
from lipstream.server.intake import Intake, Router, take_in

BEAT_INTERVAL = 1.0  # seconds between two looks for streams that need a keep-alive


@attrs.define(eq=False)
class Gateway:
    """What all endpoints of one process share.

    Attributes:
        is_draining: New requests are refused.
        expose_upstream: Error messages may carry the upstream's words.
    """

    executor: Executor
    router: Router
    limits: CallLimits = CALL_LIMITS
    expose_upstream: bool = False
    is_draining: bool = False
    _streams: set[StreamDelivery] = attrs.field(factory=set)

    def check_open(self) -> None:
        """Raises Overloaded while it drains."""
        if self.is_draining:
            raise Overloaded("The proxy is shutting down: try again.", draining=True)

    async def run(self, intake: Intake, downstream: Downstream, dialect: ServerDialect) -> None:
        """Runs one exchange and hands its answer to the client."""
        call, backends = intake.call, self.executor.backends
        live = self.executor.begin(call, intake.route, time_limit=intake.time_limit)
        downstream.on_disconnect(live.leave)
        if not call.is_streaming:
            whole = WholeDelivery(downstream, dialect, live, backends, self.expose_upstream)
            await self.executor.run(live, whole)
            return
        delivery = StreamDelivery(downstream, dialect, live, backends, self.expose_upstream)
        self._streams.add(delivery)
        try:
            await self.executor.run(live, delivery)
        finally:
            self._streams.discard(delivery)

    async def keep_alive(self) -> None:
        """Sends keep-alives to silent streams, for ever."""
        while True:
            await trio.sleep(BEAT_INTERVAL)
            now = trio.current_time()
            for delivery in tuple(self._streams):
                delivery.beat_if_due(now)

    def cancel(self, response_id: str) -> bool:
        """Ends the stream that has this id; False where there is none."""
        return cancel_answer(response_id, ((d.live, d.encoder) for d in self._streams))

    def end_all(self, error: LipstreamError) -> None:
        """Ends every running exchange with an error that its client is told."""
        for live in self.executor.live:
            live.interrupt(error)


@attrs.frozen(eq=False)
class Endpoint:
    """Serves one dialect's requests."""

    dialect: ServerDialect
    gateway: Gateway

    async def __call__(self, downstream: Downstream) -> None:
        """Serves one request."""
        try:
            gateway = self.gateway
            gateway.check_open()
            intake = await take_in(downstream, self.dialect, gateway.router, gateway.limits)
            await gateway.run(intake, downstream, self.dialect)
        except (ClientFault, RoutingFault, Overloaded) as error:
            with contextlib.suppress(ClientGone):
                await respond_problem(downstream, self.dialect, problem_for(error), [])
        except ClientGone:
            return  # it left while it was still asking
