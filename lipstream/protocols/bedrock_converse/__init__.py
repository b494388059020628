"""Amazon Bedrock's Converse and ConverseStream, towards upstreams.

One protocol for the models of many makers, whose differences are in :mod:`.models` and
:mod:`.options`. Signing requests is the transport's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from lipstream.canonical.call import Call
from lipstream.canonical.events import Batch
from lipstream.canonical.limits import STREAM_LIMITS, StreamLimits
from lipstream.canonical.losses import Support
from lipstream.canonical.seal import UNKNOWN_ORIGIN, Sealer
from lipstream.errors import BadRequest, UpstreamFault
from lipstream.protocols.bedrock_converse import errors, request_encode, stream_decode
from lipstream.protocols.bedrock_converse.stream_decode import ConverseStreamDecoder
from lipstream.protocols.bedrock_converse.wire import NAME, random_id


class ConverseClient:
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
        """The model is in the path, also where its id is an ARN with slashes.

        Raises:
            BadRequest: the id is empty or would lead elsewhere in the tree.
        """
        if not model.strip("."):
            raise BadRequest("the model has no name", param="model", code="unsupported_model")
        action = "converse-stream" if is_streaming else "converse"
        return f"/model/{quote(model, safe='', errors='replace')}/{action}"

    def encode_request(self, call: Call, model: str, *, is_streaming: bool) -> bytes:
        """The request's body."""
        return request_encode.encode_request(call, model, is_streaming=is_streaming)

    def headers(self, call: Call | None) -> Sequence[tuple[str, str]]:
        """None of its own."""
        return ()

    def stream_decoder(self, sealer: Sealer = UNKNOWN_ORIGIN) -> ConverseStreamDecoder:
        """A decoder for one stream."""
        return ConverseStreamDecoder(sealer, self._limits, self._new_id)

    def decode_answer(self, body: bytes, sealer: Sealer = UNKNOWN_ORIGIN) -> Batch:
        """The events of a whole answer."""
        return stream_decode.decode_answer(body, sealer, self._new_id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        """What an error response means."""
        return errors.decode_error(status, headers, body)


CLIENT = ConverseClient()
