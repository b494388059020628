"""What a dialect is to the emulator: it recognises a request, reads it and words the answer.

A dialect decides nothing about time and faults and touches no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs

import attrs
import msgspec

from lipstream.emulators.http import Request
from lipstream.emulators.playback import Body, Stream
from lipstream.emulators.reading import Refused
from lipstream.emulators.script import Script
from lipstream.emulators.seen import Seen

Purpose = Literal["answer", "count", "embed"]


@attrs.frozen
class Ask:
    """What a client asks, as far as an emulator cares.

    Attributes:
        body: The parsed JSON; None where it does not parse.
        credential: The secret it came with, or None.
        refusal: The script of the error that the dialect itself answers with, or None.
        purpose: An answer of the model, a count of tokens or embeddings.
        seen: What the request says, in the form that all dialects share; None where it is refused
            and for embeddings.
        usual: The script of what leads up to an answer or goes with it, and is not one of the
            model, where there is none of its own; None where the default one counts.
    """

    request: Request
    model: str
    is_streaming: bool
    body: Any = None
    credential: str | None = None
    refusal: Script | None = None
    purpose: Purpose = "answer"
    seen: Seen | None = None
    usual: Script | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body's fields; none where it is no object."""
        return self.body if isinstance(self.body, dict) else {}


class Dialect(Protocol):
    """One provider's wire format."""

    def serves(self, request: Request) -> bool:
        """Whether this is a request for an answer in this dialect."""

    def lists_models(self, request: Request) -> bool:
        """Whether this is a request for the model list in this dialect."""

    def read(self, request: Request) -> Ask:
        """What it asks; a request at fault becomes an `Ask` with a refusal."""

    def denial(self, ask: Ask) -> Script:
        """The error for a credential that is missing or wrong."""

    def stream(self, ask: Ask, script: Script) -> Stream:
        """The answer as events."""

    def body(self, ask: Ask, script: Script) -> Body:
        """The answer in one piece."""

    def error(self, ask: Ask, script: Script) -> Body:
        """The error body for the script's status and code."""

    def models(self, names: Sequence[str]) -> Body:
        """The model list."""


def parse(request: Request) -> Any:
    """The request's JSON, or None where it is not JSON."""
    try:
        return msgspec.json.decode(request.body)
    except ValueError:
        return None


def attempt(read: Callable[[], Seen]) -> tuple[Seen | None, Script | None]:
    """What ``read`` sees, or the script of the error that it raises."""
    try:
        return read(), None
    except Refused as refused:
        return None, refused.script


def credential(request: Request) -> str | None:
    """The secret, wherever a provider looks for it."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    named = (request.headers.get(name) for name in ("x-api-key", "x-goog-api-key", "api-key"))
    return next((found for found in (*named, query(request, "key")) if found), None)


def names_other_provider(request: Request) -> bool:
    """Whether a request for a model list is put as Anthropic's or Google's clients put it."""
    return "anthropic-version" in request.headers or is_googles(request)


def is_googles(request: Request) -> bool:
    """Whether it is put as Google's clients put it."""
    has_key = "x-goog-api-key" in request.headers or query(request, "key") is not None
    return has_key or "/v1beta" in request.path


def query(request: Request, name: str) -> str | None:
    """A parameter of the request's query."""
    return next(iter(parse_qs(request.query).get(name, [])), None)
