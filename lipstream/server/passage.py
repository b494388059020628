"""Requests that are handed on as they are: embeddings and token counts.

They are no exchange of messages, so nothing is translated and nothing races: the candidates of the
route whose backend speaks the client's protocol are asked one after the other, until one answers.
Tokens are counted here, roughly, where no such backend is in the route or it does not count.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol

import attrs
import msgspec
import trio

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.errors import (
    BadRequest,
    CapabilityMissing,
    Cause,
    ClientFault,
    ClientGone,
    Exhausted,
    FaultKind,
    Overloaded,
    RoutingFault,
    TimedOut,
    UpstreamFault,
)
from lipstream.execution.live import Route
from lipstream.framing.json_guard import decode_json
from lipstream.interfaces import ServerDialect
from lipstream.lifecycle.bill import estimate_prompt
from lipstream.routing.classify import Verdict, classify, decisive
from lipstream.routing.planner import Conditions, plan
from lipstream.server.delivery import respond_problem
from lipstream.server.downstream import Downstream
from lipstream.server.endpoint import Gateway
from lipstream.server.errors import problem_for
from lipstream.server.intake import ROUTE_HEADER, ask_of

Fields = dict[str, Any]

_JSON = (b"content-type", b"application/json")
_ESTIMATED = (b"x-lip-estimated", b"true")
_UNCOUNTED = frozenset({FaultKind.NOT_FOUND, FaultKind.UNSUPPORTED})

log = logging.getLogger(__name__)


def put_model(fields: Fields, model: str) -> None:
    """The body's ``model`` as most protocols have it."""
    fields["model"] = model


@attrs.frozen
class Passage:
    """One kind of request.

    Attributes:
        name: For messages: what a backend would have to have.
        speakers: The protocols of the backends that may have it.
        path: Below a backend's base URL, by model.
        put_model: Writes the model's name at the backend into the body.
        decode: Reads the request as a call, to be counted.
        estimate: Words the answer from a number of tokens; None where only a backend can answer.
    """

    name: str
    dialect: ServerDialect
    speakers: frozenset[str]
    path: Callable[[str], str]
    put_model: Callable[[Fields, str], None] = put_model
    decode: Callable[[bytes, Ask], Call] | None = None
    estimate: Callable[[int], bytes] | None = None


class Forwarder(Protocol):
    """A backend that takes such requests."""

    @property
    def dialects(self) -> Collection[str]:
        """The names of the protocols that it speaks, in order of preference."""

    def wire_model(self, model: str) -> str:
        """The model's name as the provider has it."""

    async def forward(self, path: str, body: bytes, dialect: str | None = None) -> bytes:
        """Posts a body of one of its protocols to a path below its base URL; returns the whole
        answer.

        Raises:
            UpstreamFault: the answer is none, or not a 200.
        """


@attrs.frozen
class _Order:
    """One request that has been read."""

    body: bytes
    fields: Fields
    ask: Ask
    route: Route


@attrs.frozen(eq=False)
class PassageEndpoint:
    """Serves one kind of request.

    Attributes:
        forwarders: By the backend's id; not every backend is one.
    """

    passage: Passage
    gateway: Gateway
    forwarders: Mapping[str, Forwarder]
    dice: random.Random = attrs.field(factory=random.Random)

    async def __call__(self, downstream: Downstream) -> None:
        """Serves one request."""
        try:
            self.gateway.check_open()
            order = await self._read(downstream)
            await self._serve(order, downstream)
        except (ClientFault, RoutingFault, Overloaded, Exhausted, TimedOut) as error:
            problem = problem_for(error, expose_upstream=self.gateway.expose_upstream)
            with contextlib.suppress(ClientGone):
                await respond_problem(downstream, self.passage.dialect, problem, [])
        except ClientGone:
            return

    async def _read(self, downstream: Downstream) -> _Order:
        gateway = self.gateway
        ask = ask_of(downstream.head)
        body = await downstream.read_body(gateway.limits.body)
        fields = decode_json(body, max_depth=gateway.limits.json_depth)
        if not isinstance(fields, dict):
            raise BadRequest("the body: expected an object", code="invalid_value")
        model = ask.model or fields.get("model") or ""
        if not isinstance(model, str):
            raise BadRequest("model: expected a string", param="model", code="invalid_value")
        route = gateway.router.route(model, downstream.head.headers.get(ROUTE_HEADER))
        return _Order(body, fields, ask, route)

    async def _serve(self, order: _Order, downstream: Downstream) -> None:
        limit = order.route.policy.deadline
        reply: bytes | None = None
        with trio.move_on_after(limit) as scope:
            downstream.on_disconnect(lambda _: scope.cancel())
            reply = await self._ask_backends(order)
        if scope.cancelled_caught:
            raise TimedOut(f"no backend answered within {limit:g} seconds")
        if reply is not None:
            await downstream.respond(200, [_JSON], reply)
        elif self.passage.estimate is not None:
            decode = self.passage.decode or self.passage.dialect.decode_request
            call = decode(order.body, order.ask)
            answer = self.passage.estimate(count_tokens(call))
            await downstream.respond(200, [_JSON, _ESTIMATED], answer)
        else:
            raise CapabilityMissing(f"no backend of {order.route.text} has {self.passage.name}")

    async def _ask_backends(self, order: _Order) -> bytes | None:
        """The first answer; None where no backend of the route has such a thing."""
        faults: list[UpstreamFault] = []
        causes: list[Cause] = []
        for candidate, backend, dialect in self._candidates(order.route):
            fields: Fields = dict(order.fields)
            model = backend.wire_model(candidate.model)
            self.passage.put_model(fields, model)
            path = self.passage.path(model)
            try:
                return await backend.forward(path, msgspec.json.encode(fields), dialect)
            except UpstreamFault as fault:
                log.info("%s: %s failed: %s", candidate, self.passage.name, fault)
                if self.passage.estimate is not None and fault.kind in _UNCOUNTED:
                    continue
                faults.append(fault)
                causes.append(Cause(candidate.key, "opening", fault.kind.value))
                if classify(fault) is Verdict.GIVE_UP:
                    break
        if faults:
            raise Exhausted(decisive(faults), causes)
        return None

    def _candidates(self, route: Route) -> Iterator[tuple[Candidate, Forwarder, str]]:
        """With the protocol in which each of them has such requests."""
        conditions = Conditions(is_known=self.forwarders.__contains__)
        for step in plan(route.selector, conditions, self.dice):
            for entry in step.entries:
                forwarder = self.forwarders[entry.candidate.backend]
                spoken = [name for name in forwarder.dialects if name in self.passage.speakers]
                if spoken:
                    yield entry.candidate, forwarder, spoken[0]


def count_tokens(call: Call) -> int:
    """The tokens of a call, roughly; at least one."""
    return max(1, estimate_prompt(call))
