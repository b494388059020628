"""The blocks of an answer while they are open: what each holds until it is over."""

from __future__ import annotations

import base64
import binascii

from lipstream.canonical import events as e
from lipstream.canonical.seal import Sealer
from lipstream.protocols.bedrock_converse.wire import NAME, REDACTED, Fields


class Block:
    """A block that needs nothing at its end: text, or what is not for the client."""

    __slots__ = ()

    def stop(self) -> e.Batch:
        """The events that end it."""
        return []


class CallBlock(Block):
    """A call of a tool.

    Attributes:
        index: Among the calls of the message.
    """

    __slots__ = ("has_arguments", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.has_arguments = False

    def delta(self, arguments: str) -> e.Event:
        """A piece of its arguments."""
        self.has_arguments = True
        return e.ToolCallDelta(self.index, arguments)

    def stop(self) -> e.Batch:
        """A tool without parameters may get none at all, but its input is an object."""
        end: e.Batch = [e.ToolCallFinished(self.index)]
        return end if self.has_arguments else [e.ToolCallDelta(self.index, "{}"), *end]


class ReasoningBlock(Block):
    """Reasoning, with what proves it or stands in its place."""

    __slots__ = ("_sealer", "has_text", "redacted", "signature")

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self.has_text = False
        self.signature: list[str] = []
        self.redacted: list[str] = []

    def stop(self) -> e.Batch:
        if self.redacted:
            seal = self._sealer.seal(NAME, join_base64(self.redacted), REDACTED)
        elif self.signature:
            seal = self._sealer.seal(NAME, "".join(self.signature))
        else:
            return [e.PartFinished("reasoning")] if self.has_text else []
        return [e.PartFinished("reasoning", seal)]


class ImageBlock(Block):
    """An image that comes in pieces."""

    __slots__ = ("_format", "pieces", "uri")

    def __init__(self, form: str) -> None:
        self._format = form
        self.pieces: list[str] = []
        self.uri = ""

    def delta(self, source: Fields) -> None:
        """A piece of its source."""
        data, place = source.get("bytes"), source.get("s3Location")
        if isinstance(data, str):
            self.pieces.append(data)
        elif isinstance(place, dict) and isinstance(place.get("uri"), str):
            self.uri = place["uri"]

    def stop(self) -> e.Batch:
        mime = f"image/{self._format}"
        url = f"data:{mime};base64,{join_base64(self.pieces)}" if self.pieces else self.uri
        return [e.Media("image", url, mime)] if url else []


def join_base64(pieces: list[str]) -> str:
    """The bytes of all pieces in base64; a single piece is left as it is."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)
