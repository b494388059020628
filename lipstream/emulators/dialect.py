"""What a dialect is to the emulator: it recognises a request, reads it and words the answer.

A dialect decides nothing about time and faults and touches no connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from lipstream.emulators.http import Request
from lipstream.emulators.playback import Body, Stream
from lipstream.emulators.script import Script


@attrs.frozen
class Ask:
    """What a client asks, as far as an emulator cares.

    Attributes:
        body: The parsed JSON; None where it does not parse.
        credential: The secret it came with, or None.
        refusal: The script of the error that the dialect itself answers with, or None.
    """

    request: Request
    model: str
    is_streaming: bool
    body: Any = None
    credential: str | None = None
    refusal: Script | None = None


class Dialect(Protocol):
    """One provider's wire format."""

    def serves(self, request: Request) -> bool:
        """Whether this is a request for an answer in this dialect."""

    def lists_models(self, request: Request) -> bool:
        """Whether this is a request for the model list in this dialect."""

    def read(self, request: Request) -> Ask:
        """What it asks; a request at fault becomes an `Ask` with a refusal."""

    def stream(self, ask: Ask, script: Script) -> Stream:
        """The answer as events."""

    def body(self, ask: Ask, script: Script) -> Body:
        """The answer in one piece."""

    def error(self, ask: Ask, script: Script) -> Body:
        """The error body for the script's status and code."""

    def models(self, names: Sequence[str]) -> Body:
        """The model list."""
