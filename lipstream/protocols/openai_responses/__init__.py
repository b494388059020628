"""OpenAI Responses (https://platform.openai.com/docs/api-reference/responses), both roles.

Also spoken by xAI, OpenRouter, Azure, LM Studio, vLLM and others, so the role towards upstreams
reads whatever they make of it, and the role towards clients keeps to what OpenAI's own clients
expect. Nothing is stored here: a conversation that only a provider has leads to that provider.
"""

from __future__ import annotations

import time
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
from lipstream.protocols.openai_responses import answer as answers
from lipstream.protocols.openai_responses import (
    errors,
    request_decode,
    request_encode,
    stream_decode,
)
from lipstream.protocols.openai_responses.stream_decode import ResponseStreamDecoder
from lipstream.protocols.openai_responses.stream_encode import ResponseStreamEncoder
from lipstream.protocols.openai_responses.wire import NAME, random_id


class ResponsesServer:
    """The role towards clients; see ``interfaces.ServerDialect``.

    Args:
        new_id: Makes up the random part of the ids that are made here.
        clock: Unix time, for what the upstream did not say.
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
        return request_decode.decode_request(body, ask, self._limits)

    def stream_encoder(self, call: Call, *, model: str | None = None) -> ResponseStreamEncoder:
        """An encoder for one stream."""
        return ResponseStreamEncoder(call, model, self._new_id, self._clock)

    def encode_answer(self, answer: Answer, call: Call, *, model: str | None = None) -> bytes:
        """The body of a non-streaming response."""
        return answers.encode_answer(answer, call, model, self._new_id, self._clock)

    def encode_problem(self, problem: Problem) -> bytes:
        """The body of an error response."""
        return errors.encode_problem(problem)

    def encode_cancelled(self, response_id: str) -> bytes:
        """The body for ``POST /v1/responses/{id}/cancel``, once the answer is cancelled."""
        return answers.encode_cancelled(response_id)

    def encode_token_count(self, count: int) -> bytes:
        """The body for ``POST /v1/responses/input_tokens``."""
        return answers.encode_token_count(count)


class ResponsesClient:
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
        return "/responses"

    def headers(self, call: Call | None) -> Sequence[tuple[str, str]]:
        """Those that a client of this dialect sent for its provider."""
        if call is None or call.dialect != NAME:
            return ()
        return tuple(pair for pair in call.headers if pair[0] in request_decode.PASSED_ON)

    def encode_request(self, call: Call, model: str, *, is_streaming: bool) -> bytes:
        """The request's body."""
        return request_encode.encode_request(call, model, is_streaming=is_streaming)

    def stream_decoder(self, sealer: Sealer = UNKNOWN_ORIGIN) -> ResponseStreamDecoder:
        """A decoder for one stream."""
        return ResponseStreamDecoder(sealer, self._limits, self._new_id)

    def decode_answer(self, body: bytes, sealer: Sealer = UNKNOWN_ORIGIN) -> Batch:
        """The events of a whole answer."""
        return stream_decode.decode_answer(body, sealer, self._new_id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        """What an error response means."""
        return decode_error(status, headers, body)


SERVER = ResponsesServer()
CLIENT = ResponsesClient()
