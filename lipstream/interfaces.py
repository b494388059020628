"""The seams between the parts, as structural types: whatever has these methods fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from lipstream.canonical.abilities import Abilities
from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.collect import Answer
from lipstream.canonical.events import Batch, Event
from lipstream.canonical.losses import Support
from lipstream.canonical.problem import Problem
from lipstream.canonical.seal import Sealer
from lipstream.errors import UpstreamFault
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord

Headers = Sequence[tuple[str, str]]


class Upstream(Protocol):
    """An open answer: a plain object, bound to no task. Whoever holds it closes it, once."""

    @property
    def dropped_events(self) -> int:
        """How many unparseable events have been left out so far."""

    @property
    def is_resent(self) -> bool:
        """Whether the request went out twice, because a kept connection turned out to be dead."""

    @property
    def credential(self) -> str | None:
        """The id of the key that it was asked with, if any."""

    async def receive(self) -> Batch:
        """The events of the next network read; empty when it had only comments or part of one.

        The last batch ends in ``Finished`` or ``StreamFailed``; nothing may be received after it.
        Cancelling a receive loses no event.

        Raises:
            UpstreamFault: the connection broke; the stream is over.
        """

    async def aclose(self) -> None:
        """Gives the connection back after a whole answer, else closes it. Raises no fault."""


class Backend(Protocol):
    """A configured upstream."""

    @property
    def id(self) -> str:
        """The name that selectors use."""

    @property
    def models(self) -> Sequence[str]:
        """Models known without asking; what a list of models shows."""

    @property
    def prefills(self) -> bool:
        """Whether its models go on from an assistant message at the end of a call."""

    @property
    def abilities(self) -> Abilities:
        """What it can do, and how it may be asked."""

    def dropped(self, call: Call) -> Sequence[str]:
        """The fields of the call that its protocol has no place for, for the client to know."""

    async def open(self, call: Call, candidate: Candidate) -> Upstream:
        """Sends the call, whose ``is_streaming`` says how the answer is to travel; returns when the
        response's head says that one follows.

        Raises:
            UpstreamFault: no answer follows.
            ClientFault: the call cannot be written in the backend's protocol.
        """


class StreamEncoder(Protocol):
    """Canonical events to the bytes of one client's stream."""

    @property
    def content_type(self) -> str:
        """The media type of the stream."""

    def encode(self, batch: Iterable[Event]) -> bytes:
        """The wire bytes of a batch, if any; with ``Finished`` comes the end marker."""

    def encode_problem(self, problem: Problem) -> bytes:
        """The dialect's own error frame, which ends the stream without its normal end marker."""

    def keepalive(self) -> bytes:
        """Bytes that mean nothing to a client but that the stream lives."""


class ServerDialect(Protocol):
    """The role towards clients of one protocol."""

    @property
    def name(self) -> str:
        """The protocol's name, as in ``Call.dialect``."""

    def decode_request(self, body: bytes, ask: Ask) -> Call:
        """Reads a request; ``ask`` is what it says outside its body.

        Raises:
            BadRequest: with the path of the field that is wrong, and what it should be.
        """

    def stream_encoder(self, call: Call, *, model: str | None = None) -> StreamEncoder:
        """An encoder for one stream; ``model``, where given, replaces the upstream's name."""

    def encode_answer(self, answer: Answer, call: Call, *, model: str | None = None) -> bytes:
        """The body of a non-streaming response."""

    def encode_problem(self, problem: Problem) -> bytes:
        """The body of an error response."""


class StreamDecoder(Protocol):
    """The bytes of one stream to canonical events, the same for any cut of the bytes."""

    @property
    def dropped_events(self) -> int:
        """How many unparseable events have been left out so far."""

    def feed(self, data: bytes) -> Batch:
        """Takes what one network read delivered; returns the events that are complete, if any."""

    def end(self) -> Batch:
        """The body is over: the rest, with a terminal event unless one was given before."""


class ClientDialect(Protocol):
    """The role towards upstreams of one protocol."""

    @property
    def name(self) -> str:
        """The protocol's name, as in ``Call.dialect``."""

    @property
    def support(self) -> Support:
        """What becomes of each thing that a call of another protocol can say."""

    def path(self, model: str, *, is_streaming: bool) -> str:
        """The request's path below the backend's base URL, with a query where it needs one."""

    def headers(self, call: Call | None) -> Headers:
        """The headers beside the credential and those of any JSON request, for a call or none."""

    def encode_request(self, call: Call, model: str, *, is_streaming: bool) -> bytes:
        """The request's body.

        Raises:
            BadRequest: the call holds something that this protocol cannot say.
        """

    def stream_decoder(self, sealer: Sealer) -> StreamDecoder:
        """A decoder for one stream, with what makes its seals."""

    def decode_answer(self, body: bytes, sealer: Sealer) -> Batch:
        """The events of a whole answer that was not streamed, with a terminal event."""

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        """What an error response means. Header names are lower-case; any body will do."""


class Observer(Protocol):
    """Is told what happened, after it happened. Must not block and must not raise."""

    def on_attempt(self, exchange_id: str, record: AttemptRecord) -> None:
        """An attempt is over and its upstream is closed."""

    def on_exchange(self, record: ExchangeRecord) -> None:
        """An exchange is over and all its attempts are."""
