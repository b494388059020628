"""An agent that speaks the agent client protocol over HTTP.

Theory of operation. To open an agent is to make it ready: some small requests, the last of which
gives a session. The prompt itself goes out with the first receive. So from the moment that the
agent may be at work there is an :class:`AgentAnswer`, and whoever gives the prompt up, for whatever
reason, does it by closing that one: the connection goes first, without waiting, and then the agent
is told to stop, for at most :data:`CANCEL_LIMIT` seconds under a shield. Whoever waits for the
outcome of the attempt has been told before (see ``execution.attempt``).

A prompt is sent once. What it makes an agent do cannot be taken back, so nothing here repeats it.
"""

from __future__ import annotations

import enum
import itertools
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence

import attrs
import httpx
import msgspec
import trio

from lipstream.canonical import events as e
from lipstream.canonical.abilities import Abilities
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.losses import losses
from lipstream.canonical.parts import Json
from lipstream.canonical.secret import Secret
from lipstream.config.acp import AcpEntry
from lipstream.errors import ConfigError, FaultKind, UpstreamFault
from lipstream.protocols import acp
from lipstream.upstream.client import (
    Client,
    Origin,
    Request,
    Response,
    StaleConnection,
    origin_of,
)
from lipstream.upstream.entries import abilities_of
from lipstream.upstream.http_exchange import broken_off, opening_fault, refusal, send
from lipstream.upstream.provider import Provider

CANCEL_LIMIT = 2.0  # seconds, in which an agent may be told to stop
ACCEPTED = frozenset({200, 202, 204})  # what an agent says to a message that wants no answer

RequestHandler = Callable[[acp.AgentRequest], Awaitable[Json]]
"""Answers an agent's request: the fields of the response, ``result`` or ``error``."""

log = logging.getLogger(__name__)

_BY_ITSELF = Abilities(leaves_traces=True)

_numbers = itertools.count(1)  # ids of requests, unique in the process


async def acknowledge(request: acp.AgentRequest) -> Json:
    """Lets the agent have its way, and nothing more."""
    return {"result": {}}


@attrs.frozen(eq=False, kw_only=True)
class AgentBackend:
    """One configured agent.

    Attributes:
        base_url: What the protocol's path is appended to.
        options: What is said to the agent before a prompt.
        route_options: What of that a route may say instead; see ``acp.ROUTE_OPTIONS``.
        show: What of the agent's doing is told as reasoning.
        api_key: Sent as a bearer token. The protocol itself knows none.
        headers: Sent with every message, over our own of the same name.
        handler: Answers what the agent asks.
    """

    id: str
    base_url: str
    client: Client
    options: acp.SessionOptions = attrs.field(factory=acp.SessionOptions)
    route_options: Collection[str] = ()
    show: acp.Show = attrs.field(factory=acp.Show)
    api_key: Secret | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    models: Sequence[str] = ()
    prefills: bool = False
    abilities: Abilities = _BY_ITSELF
    handler: RequestHandler = acknowledge
    numbers: Iterator[int] = attrs.field(default=_numbers, repr=False)
    _agent: Agent = attrs.field(init=False, repr=False)

    @_agent.default
    def _make_agent(self) -> Agent:
        url = httpx.URL(self.base_url)
        path = url.raw_path.partition(b"?")[0].rstrip(b"/") + acp.PATH.encode()
        head = {"accept": "application/json, application/x-ndjson"}
        head["content-type"] = "application/json"
        if self.api_key is not None:
            head["authorization"] = f"Bearer {self.api_key.reveal()}"
        head |= {name.lower(): value for name, value in self.headers.items()}
        lines = [(name.encode("ascii"), value.encode()) for name, value in head.items()]
        return Agent(self.client, origin_of(url), path, lines)

    def dropped(self, call: Call) -> Sequence[str]:
        """What of the call an agent is not told."""
        return losses(call, acp.NAME, acp.SUPPORT)

    async def open(self, call: Call, candidate: Candidate) -> AgentAnswer:
        """Makes the agent ready for the call; see ``interfaces.Backend``."""
        blocks = acp.encode_prompt(call)
        options = self.options.routed(candidate.params, self.route_options)
        session_id = await self._make_ready(options)
        turn = Turn(
            next(self.numbers), session_id, options.message_id or f"msg_{secrets.token_hex(8)}"
        )
        params = {"sessionId": session_id, "prompt": blocks, "messageId": turn.message_id}
        body = acp.encode_request(turn.number, acp.PROMPT, params)
        decoder = acp.PromptDecoder(turn.number, session_id, candidate.model, self.show)
        return AgentAnswer(self._agent, turn, body, decoder, self.handler)

    async def _make_ready(self, options: acp.SessionOptions) -> str:
        """Shakes hands; returns the session's id."""
        await self._ask(acp.INITIALIZE, options.initialize)
        if not options.skips_authentication:
            await self._ask(acp.AUTHENTICATE, options.authenticate)
        if options.session_id:
            return options.session_id
        return acp.decode_session_id(await self._ask(acp.NEW_SESSION, options.new_session))

    async def _ask(self, method: str, params: Json) -> Json:
        number = next(self.numbers)
        body = await self._agent.ask(acp.encode_request(number, method, params))
        return acp.decode_reply(body, method, number)


@attrs.frozen
class Turn:
    """One prompt: what a cancellation names it by."""

    number: int
    session_id: str
    message_id: str


@attrs.frozen(eq=False)
class Agent:
    """Where an agent's messages go."""

    client: Client
    origin: Origin
    path: bytes
    head: Sequence[tuple[bytes, bytes]] = attrs.field(repr=False)

    async def ask(self, message: bytes) -> bytes:
        """The body of the answer to a message; sent again where a kept connection was dead.

        Raises:
            UpstreamFault: there is none.
        """
        response, _ = await send(self.client, self.origin, self._request(message), acp.decode_error)
        try:
            return await _read(response)
        finally:
            response.close()

    async def begin(self, message: bytes, *, may_repeat: bool = False) -> Response:
        """Sends a message; the head of its answer, whatever that says.

        Args:
            may_repeat: It may be sent again, where a kept connection turned out to be dead.

        Raises:
            UpstreamFault: nothing was answered.
        """
        try:
            return await self.client.send(self.origin, self._request(message))
        except httpx.HTTPError as error:
            if not (may_repeat and isinstance(error, StaleConnection)):
                raise opening_fault(error) from error
        return await self.begin(message)

    async def tell(self, message: bytes) -> bool:
        """Sends a message that wants no answer; whether the agent took it.

        Raises:
            UpstreamFault: it cannot be reached.
        """
        response = await self.begin(message, may_repeat=True)
        try:
            return response.status in ACCEPTED and not _is_error(await _read(response))
        finally:
            response.close()

    async def cancel(self, turn: Turn) -> None:
        """Tells the agent to stop, in one way after the other until it takes one."""
        params = {
            "sessionId": turn.session_id,
            "requestId": turn.number,
            "messageId": turn.message_id,
        }
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CANCEL_LIMIT):
            for method in acp.CANCELS:
                try:
                    if await self.tell(acp.encode_notification(method, params)):
                        return
                except UpstreamFault as fault:
                    log.info("%s: %s failed: %s", self.origin.host, method, fault)
        log.warning("%s: the agent may still be at work on a prompt", self.origin.host)

    def _request(self, message: bytes) -> Request:
        return Request(b"POST", self.path, self.head, message)


class _State(enum.Enum):
    """Where a prompt stands."""

    UNSENT = "unsent"
    AT_WORK = "at work"  # as far as is known
    OVER = "over"  # ended or refused by the agent, or given up here


class AgentAnswer:
    """The answer to one prompt; see ``interfaces.Upstream``."""

    is_resent = False
    credential: str | None = None

    def __init__(
        self,
        agent: Agent,
        turn: Turn,
        prompt: bytes,
        decoder: acp.PromptDecoder,
        handler: RequestHandler,
    ) -> None:
        self._agent = agent
        self._turn = turn
        self._prompt = prompt
        self._decoder = decoder
        self._handler = handler
        self._state = _State.UNSENT
        self._response: Response | None = None
        self._asked: deque[acp.AgentRequest] = deque()

    @property
    def dropped_events(self) -> int:
        """How many lines could not be read."""
        return self._decoder.dropped_events

    async def receive(self) -> e.Batch:
        """The events of the next read; see ``interfaces.Upstream``.

        What the agent asked with the lines before is answered first: events that came together with
        a request do not wait for it.
        """
        while self._asked:
            await self._answer(self._asked[0])
            self._asked.popleft()
        if self._state is _State.UNSENT:
            await self._begin()
        if self._response is None:
            raise UpstreamFault(FaultKind.READ, "the prompt was given up")
        try:
            data = await self._response.receive()
        except httpx.HTTPError as error:
            raise broken_off(error) from error
        batch = self._decoder.feed(data) if data else self._decoder.end()
        self._asked += self._decoder.take_requests()
        if self._decoder.is_settled:
            self._state = _State.OVER
        return batch

    async def _begin(self) -> None:
        self._state = _State.AT_WORK
        try:
            response = await self._agent.begin(self._prompt)
        except UpstreamFault as fault:
            if fault.kind is FaultKind.CONNECT:
                self._state = _State.OVER  # it never got there
            raise
        if response.status == 200:
            self._response = response
            return
        self._state = _State.OVER
        try:
            raise await refusal(response, acp.decode_error)
        finally:
            response.close()

    async def _answer(self, request: acp.AgentRequest) -> None:
        message = acp.encode_response(request.id, await self._handler(request))
        if not await self._agent.tell(message):
            raise UpstreamFault(FaultKind.PROTOCOL, "the agent did not take an answer of ours")

    async def aclose(self) -> None:
        """Gives the connection back after a whole answer; else closes it at once and tells the
        agent to stop."""
        is_settled = self._decoder.is_settled
        state, self._state = self._state, _State.OVER
        response, self._response = self._response, None
        if response is not None:
            response.close(finished=is_settled)
        if state is _State.AT_WORK:
            await self._agent.cancel(self._turn)


# ---------------------------------------------------------------- bodies


async def _read(response: Response) -> bytes:
    pieces, size = [], 0
    try:
        while piece := await response.receive():
            pieces.append(piece)
            size += len(piece)
            if size > acp.REPLY_BYTES:
                raise UpstreamFault(FaultKind.PROTOCOL, "an answer of the agent is over its limit")
    except httpx.HTTPError as error:
        raise broken_off(error) from error
    return b"".join(pieces)


def _is_error(body: bytes) -> bool:
    try:
        return acp.decode_message(body).error is not None
    except acp.NotAMessage:
        return False


# ---------------------------------------------------------------- from the configuration


def acp_backend(name: str, entry: AcpEntry, provider: Provider, client: Client) -> AgentBackend:
    """The backend of an entry that is filled in.

    Raises:
        ConfigError: there are several keys, of which an agent takes one.
    """
    if entry.api_keys or entry.credentials:
        raise ConfigError(f"backends.{name}: an agent takes one key, api_key")
    show = acp.Show(thoughts=entry.show.thoughts, plan=entry.show.plan, mode=entry.show.mode)
    return AgentBackend(
        id=name,
        base_url=entry.base_url or "",
        client=client,
        options=_options(entry),
        route_options=frozenset(option.value for option in entry.route_options),
        show=show,
        api_key=entry.api_key or None,
        headers={header: value.reveal() for header, value in entry.headers.items()},
        models=entry.models,
        prefills=entry.prefill or False,
        abilities=attrs.evolve(abilities_of(entry, provider), leaves_traces=True),
    )


def _options(entry: AcpEntry) -> acp.SessionOptions:
    step = entry.authenticate
    options = acp.SessionOptions(
        session_id=entry.session_id,
        cwd=entry.cwd,
        mcp_servers=tuple(_json(server) for server in entry.mcp_servers),
        skips_authentication=step.skip,
        method_id=step.method_id,
        authenticate_params=_json(step.params) if step.params else None,
    )
    if entry.client_capabilities:
        options = attrs.evolve(options, client_capabilities=_json(entry.client_capabilities))
    if entry.client_info:
        options = attrs.evolve(options, client_info=_json(entry.client_info))
    return options


def _json(secret: Secret) -> Json:
    fields: Json = msgspec.json.decode(secret.reveal())
    return fields
