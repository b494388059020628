"""Anthropic Messages (https://platform.claude.com/docs/en/api/messages), both roles.

The base URL of an upstream has no version in it: ``https://api.anthropic.com``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lipstream.canonical.ask import BODY_ALONE, Ask
from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer
from lipstream.canonical.events import Batch
from lipstream.canonical.limits import CALL_LIMITS, STREAM_LIMITS, CallLimits, StreamLimits
from lipstream.canonical.losses import Support
from lipstream.canonical.problem import Problem
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import UpstreamFault
from lipstream.framing.faults import decode_error
from lipstream.protocols.anthropic_messages import answer as answers
from lipstream.protocols.anthropic_messages import (
    errors,
    request_decode,
    request_encode,
    stream_decode,
)
from lipstream.protocols.anthropic_messages.errors import encode_error, error_type
from lipstream.protocols.anthropic_messages.models import (
    ModelEntry,
    encode_model,
    encode_models,
    encode_token_count,
)
from lipstream.protocols.anthropic_messages.stream_decode import MessageStreamDecoder
from lipstream.protocols.anthropic_messages.stream_encode import MessageStreamEncoder
from lipstream.protocols.anthropic_messages.wire import NAME, VERSION, random_id

_VERSION_HEADER = "anthropic-version"


class MessagesServer:
    """The role towards clients; see ``interfaces.ServerDialect``.

    Args:
        new_id: Makes up the random part of an answer's id where the upstream gave none.
    """

    name = NAME

    def __init__(
        self, limits: CallLimits = CALL_LIMITS, new_id: Callable[[], str] = random_id
    ) -> None:
        self._limits = limits
        self._new_id = new_id

    def decode_request(self, body: bytes, ask: Ask = BODY_ALONE) -> Call:
        """Reads a request, also one to count tokens."""
        return request_decode.decode_request(body, ask, self._limits)

    def stream_encoder(self, call: Call, *, model: str | None = None) -> MessageStreamEncoder:
        """An encoder for one stream."""
        return MessageStreamEncoder(call, model, self._new_id)

    def encode_answer(self, answer: Answer, call: Call, *, model: str | None = None) -> bytes:
        """The body of a non-streaming response."""
        return answers.encode_answer(answer, call, model, self._new_id)

    def encode_problem(self, problem: Problem) -> bytes:
        """The body of an error response."""
        return errors.encode_problem(problem)


class MessagesClient:
    """The role towards upstreams; see ``interfaces.ClientDialect``.

    Args:
        max_tokens: The limit of an answer where the client gave none: the API demands one.
        new_id: Makes up the random part of a tool call's id where the upstream gave none.
    """

    name = NAME
    support: Support = request_encode.SUPPORT

    def __init__(
        self,
        limits: StreamLimits = STREAM_LIMITS,
        max_tokens: int = request_encode.MAX_TOKENS,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._limits = limits
        self._max_tokens = max_tokens
        self._new_id = new_id

    def path(self, model: str, *, is_streaming: bool) -> str:
        """The same for all models and both kinds of answer; what is beta is said by a header."""
        return "/v1/messages"

    def headers(self, call: Call | None) -> Sequence[tuple[str, str]]:
        """The version, and what a client of this protocol said itself."""
        given = dict(call.headers) if call is not None and call.dialect == NAME else {}
        return [*({_VERSION_HEADER: VERSION} | given).items()]

    def encode_request(self, call: Call, model: str, *, is_streaming: bool) -> bytes:
        """The request's body."""
        return request_encode.encode_request(
            call, model, is_streaming=is_streaming, max_tokens=self._max_tokens
        )

    def stream_decoder(self, sealer: Sealer = UNKNOWN_ORIGIN) -> MessageStreamDecoder:
        """A decoder for one stream."""
        return MessageStreamDecoder(sealer, self._limits, self._new_id)

    def decode_answer(self, body: bytes, sealer: Sealer = UNKNOWN_ORIGIN) -> Batch:
        """The events of a whole answer."""
        return stream_decode.decode_answer(body, sealer, self._limits, self._new_id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        """What an error response means."""
        return decode_error(status, headers, body)


SERVER = MessagesServer()
CLIENT = MessagesClient()

__all__ = [
    "CLIENT",
    "NAME",
    "SERVER",
    "MessagesClient",
    "MessagesServer",
    "ModelEntry",
    "encode_error",
    "encode_model",
    "encode_models",
    "encode_token_count",
    "error_type",
]
