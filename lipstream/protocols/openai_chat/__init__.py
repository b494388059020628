"""OpenAI Chat Completions (https://platform.openai.com/docs/api-reference/chat), both roles.

Also the language of most other servers, so the role towards upstreams reads whatever they make of
it, and the role towards clients keeps to what OpenAI's own clients expect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from lipstream.canonical.ask import BODY_ALONE, Ask
from lipstream.canonical.attribution import attribution_in
from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer
from lipstream.canonical.events import Batch
from lipstream.canonical.limits import CALL_LIMITS, STREAM_LIMITS, CallLimits, StreamLimits
from lipstream.canonical.losses import Support
from lipstream.canonical.problem import Problem
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import UpstreamFault
from lipstream.framing.faults import decode_error
from lipstream.protocols.openai_chat import answer as answers
from lipstream.protocols.openai_chat import errors, request_decode, request_encode, stream_decode
from lipstream.protocols.openai_chat.stream_decode import ChatStreamDecoder
from lipstream.protocols.openai_chat.stream_encode import ChatStreamEncoder
from lipstream.protocols.openai_chat.wire import NAME, random_id


class ChatServer:
    """The role towards clients; see ``interfaces.ServerDialect``.

    Args:
        new_id: Makes up the random part of an answer's id where the upstream gave none.
        clock: Unix time, for ``created`` where the upstream gave none.
    """

    name = NAME

    def __init__(
        self,
        limits: CallLimits = CALL_LIMITS,
        new_id: Callable[[], str] = random_id,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._new_id = new_id
        self._clock = clock

    def decode_request(self, body: bytes, ask: Ask = BODY_ALONE) -> Call:
        """Reads a request."""
        call = request_decode.decode_request(body, self._limits)
        named = attribution_in(ask.headers)
        return call.changed(headers=named) if named else call

    def stream_encoder(self, call: Call, *, model: str | None = None) -> ChatStreamEncoder:
        """An encoder for one stream."""
        return ChatStreamEncoder(call, model, self._new_id, self._clock)

    def encode_answer(self, answer: Answer, call: Call, *, model: str | None = None) -> bytes:
        """The body of a non-streaming response."""
        return answers.encode_answer(answer, call, model, self._new_id, self._clock)

    def encode_problem(self, problem: Problem) -> bytes:
        """The body of an error response."""
        return errors.encode_problem(problem)


class ChatClient:
    """The role towards upstreams; see ``interfaces.ClientDialect``.

    Args:
        new_id: Makes up the random part of a tool call's id where the upstream gave none.
    """

    name = NAME
    support: Support = request_encode.SUPPORT

    def __init__(
        self, limits: StreamLimits = STREAM_LIMITS, new_id: Callable[[], str] = random_id
    ) -> None:
        self._limits = limits
        self._new_id = new_id

    def path(self, model: str, *, is_streaming: bool) -> str:
        """The same for all models and both kinds of answer."""
        return "/chat/completions"

    def encode_request(self, call: Call, model: str, *, is_streaming: bool) -> bytes:
        """The request's body."""
        return request_encode.encode_request(call, model, is_streaming=is_streaming)

    def headers(self, call: Call | None) -> Sequence[tuple[str, str]]:
        """None of its own."""
        return ()

    def stream_decoder(self, sealer: Sealer = UNKNOWN_ORIGIN) -> ChatStreamDecoder:
        """A decoder for one stream."""
        return ChatStreamDecoder(self._limits, self._new_id, sealer)

    def decode_answer(self, body: bytes, sealer: Sealer = UNKNOWN_ORIGIN) -> Batch:
        """The events of a whole answer."""
        return stream_decode.decode_answer(body, self._new_id, sealer)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        """What an error response means."""
        return decode_error(status, headers, body)


SERVER = ChatServer()
CLIENT = ChatClient()
