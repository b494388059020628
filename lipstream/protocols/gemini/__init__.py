"""Gemini's generateContent (https://ai.google.dev/api/generate-content), both roles.

The model and what is asked of it stand in the path, so the role towards clients takes them from the
request's frame; whether a stream is one of server-sent events or a JSON array stands in its query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from lipstream.canonical.ask import BODY_ALONE, Ask
from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer
from lipstream.canonical.events import Batch
from lipstream.canonical.limits import CALL_LIMITS, STREAM_LIMITS, CallLimits, StreamLimits
from lipstream.canonical.losses import Support
from lipstream.canonical.problem import Problem
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import UpstreamFault
from lipstream.protocols.gemini import (
    answer as answers,
)
from lipstream.protocols.gemini import (
    catalogue,
    errors,
    request_decode,
    request_encode,
    stream_decode,
)
from lipstream.protocols.gemini.stream_decode import GeminiStreamDecoder
from lipstream.protocols.gemini.stream_encode import GeminiStreamEncoder
from lipstream.protocols.gemini.wire import NAME, random_id

_COLLECTIONS = ("models/", "tunedModels/", "publishers/", "endpoints/")  # names that are paths


class GeminiServer:
    """The role towards clients; see ``interfaces.ServerDialect``.

    Args:
        new_id: Makes up an answer's id where the upstream gave none.
    """

    name = NAME

    def __init__(
        self, limits: CallLimits = CALL_LIMITS, new_id: Callable[[], str] = random_id
    ) -> None:
        self._limits = limits
        self._new_id = new_id

    def decode_request(self, body: bytes, ask: Ask = BODY_ALONE) -> Call:
        """Reads a request."""
        return request_decode.decode_request(body, ask, self._limits)

    def stream_encoder(self, call: Call, *, model: str | None = None) -> GeminiStreamEncoder:
        """An encoder for one stream."""
        return GeminiStreamEncoder(call, model, self._new_id)

    def encode_answer(self, answer: Answer, call: Call, *, model: str | None = None) -> bytes:
        """The body of a non-streaming response."""
        return answers.encode_answer(answer, call, model, self._new_id)

    def encode_problem(self, problem: Problem) -> bytes:
        """The body of an error response."""
        return errors.encode_problem(problem)

    # ---------------------------------------------------- beside generating

    def decode_count_request(self, body: bytes, ask: Ask = BODY_ALONE) -> Call:
        """Reads a ``countTokens`` request: the call whose tokens are to be counted.

        Raises:
            BadRequest: as :meth:`decode_request`.
        """
        return request_decode.decode_count_request(body, ask, self._limits)

    encode_token_count = staticmethod(catalogue.encode_token_count)
    encode_model = staticmethod(catalogue.encode_model)
    encode_models = staticmethod(catalogue.encode_models)


class GeminiClient:
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
        """The model and the method; streams are asked for as server-sent events."""
        is_path = model.startswith(_COLLECTIONS)
        name = quote(model) if is_path else f"models/{quote(model, safe='')}"
        method = "streamGenerateContent?alt=sse" if is_streaming else "generateContent"
        return f"/{name}:{method}"

    def headers(self, call: Call | None) -> Sequence[tuple[str, str]]:
        """None of its own."""
        return ()

    def encode_request(self, call: Call, model: str, *, is_streaming: bool) -> bytes:
        """The request's body, the same for both kinds of answer."""
        return request_encode.encode_request(call, model)

    def stream_decoder(self, sealer: Sealer = UNKNOWN_ORIGIN) -> GeminiStreamDecoder:
        """A decoder for one stream."""
        return GeminiStreamDecoder(self._limits, sealer, self._new_id)

    def decode_answer(self, body: bytes, sealer: Sealer = UNKNOWN_ORIGIN) -> Batch:
        """The events of a whole answer."""
        return stream_decode.decode_answer(body, sealer, self._new_id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        """What an error response means."""
        return errors.decode_error(status, headers, body)


SERVER = GeminiServer()
CLIENT = GeminiClient()
