"""The recorded exchanges of the protocols that are spoken here, each with what reads it.

Bedrock's ``invoke`` is Messages in another envelope where Claude answers: its bodies are read as
they are, of its streams the events that the messages hold. Exchanges of other APIs, and of methods
that are answered with something else than an answer, are left out.
"""

from __future__ import annotations

import base64
import enum
import functools
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import pytest

from lipstream.canonical.ask import Ask
from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.errors import UpstreamFault
from lipstream.framing.eventstream import EventStreamSplitter, encode_message
from tests.recordings import FOLDER, Exchange, all_exchanges

APIS: Mapping[str, str] = {
    "chat-completions": "openai_chat",
    "responses": "openai_responses",
    "messages": "anthropic_messages",
    "generate-content": "gemini",
    "converse": "bedrock_converse",
    "converse-stream": "bedrock_converse",
    "invoke": "anthropic_messages",
    "invoke-stream": "anthropic_messages",
}
"""The protocol of each API."""

_COUNTING = ("countTokens", "count_tokens")
_MOST_CUTS = 40


class Kind(enum.Enum):
    """What an exchange was answered with."""

    STREAM = "stream"
    BODY = "body"
    ERROR = "error"


@attrs.frozen
class Sample:
    """A recorded exchange.

    Attributes:
        body: Of the response, in the protocol's own framing.
    """

    exchange: Exchange
    dialect: str
    kind: Kind
    body: bytes = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.exchange.api}/{self.exchange.name}"

    @property
    def request(self) -> Any:
        """The request's JSON, or None where there is none of this protocol's own."""
        is_wrapped = self.exchange.api.startswith("invoke")  # lacks the model
        return None if is_wrapped else self.exchange.request

    @property
    def ask(self) -> Ask:
        """What the request says outside its body."""
        url = urlsplit(self.exchange.path)
        model, _, action = unquote(url.path).rpartition("/")[2].partition(":")
        query = {name: text for name, text in parse_qsl(url.query) if name != "key"}
        return Ask(model, action, query) if action else Ask()

    def pieces(self) -> Iterator[bytes]:
        """The body, cut at random; at the same places every time."""
        rng = random.Random(self.name)
        count = rng.randint(0, _MOST_CUTS)
        cuts = sorted(rng.randrange(len(self.body) + 1) for _ in range(count))
        for start, stop in zip([0, *cuts], [*cuts, len(self.body)], strict=True):
            yield self.body[start:stop]


def samples(folder: Path = FOLDER) -> tuple[Sample, ...]:
    """All exchanges of these protocols; skips the test where there are no recordings."""
    if not folder.is_dir():
        pytest.skip("no recordings here")
    return load(folder)


@functools.cache
def load(folder: Path) -> tuple[Sample, ...]:
    """The same of any folder of this form."""
    found = map(_sample, all_exchanges(folder))
    return tuple(sample for sample in found if sample is not None)


def answers(folder: Path = FOLDER) -> list[Sample]:
    """Those that were not answered with an error."""
    return [sample for sample in samples(folder) if sample.kind is not Kind.ERROR]


def _sample(exchange: Exchange) -> Sample | None:
    dialect = APIS.get(exchange.api)
    if dialect is None or any(word in exchange.path for word in _COUNTING):
        return None
    if exchange.api.startswith("invoke") and not _is_messages(exchange.request):
        return None
    if exchange.status >= 400:
        return Sample(exchange, dialect, Kind.ERROR, exchange.body)
    if exchange.api == "invoke-stream":
        return Sample(exchange, dialect, Kind.STREAM, _unwrapped(exchange.body))
    if exchange.api == "converse-stream":
        return Sample(exchange, dialect, Kind.STREAM, _framed(exchange.body))
    is_stream = exchange.is_stream or exchange.body.lstrip().startswith(b"[")
    return Sample(exchange, dialect, Kind.STREAM if is_stream else Kind.BODY, exchange.body)


def _is_messages(request: Any) -> bool:
    return isinstance(request, dict) and "anthropic_version" in request


def _unwrapped(body: bytes) -> bytes:
    """The events that the messages of an AWS event stream hold, as server-sent events."""
    out = []
    try:
        for _, payload in EventStreamSplitter(STREAM_LIMITS.sse_event).feed(body):
            data = base64.b64decode(json.loads(payload)["bytes"])
            out.append(b"event: %b\ndata: %b\n\n" % (json.loads(data)["type"].encode(), data))
    except (UpstreamFault, ValueError, KeyError, TypeError):
        return body  # broken in itself, as its reader will say
    return b"".join(out)


def _framed(body: bytes) -> bytes:
    """An AWS event stream, also where the recording has kept only the events, one in a line."""
    if not body.startswith(b"{"):
        return body
    out = []
    try:
        for line in body.split(b"\n"):
            for name, payload in (json.loads(line) if line.strip() else {}).items():
                headers = {":message-type": "event", ":event-type": name}
                out.append(encode_message(headers, json.dumps(payload).encode()))
    except (ValueError, AttributeError):
        return body
    return b"".join(out)
