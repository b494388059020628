"""Lists of models as providers give them, by protocol.

What is read is bounded, and so is what is kept of it: pages, names and their length. A name that
could not be written in a selector is left out, since nobody could ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote

import attrs
import msgspec

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.upstream.provider import CHAT, GEMINI, MESSAGES, RESPONSES

MAX_MODELS = 2000
MAX_PAGES = 20
PAGE_SIZE = 1000

_NAME = re.compile(r"[^\x00-\x20\x7f-\U0010ffff|!^{}\[\]?*]{1,200}")


class Place(Protocol):
    """Where lists are to be had; an ``HttpBackend`` is one."""

    @property
    def speaks(self) -> str:
        """The protocol of the lists."""

    async def look(self, path: str) -> bytes:
        """The body at a path. Raises UpstreamFault."""


@attrs.frozen
class Page:
    """One page, and what the next one is asked for with, empty after the last."""

    names: list[str]
    cursor: str = ""


@attrs.frozen
class Shape:
    """How one protocol gives its models.

    Attributes:
        path: Of a page below the base URL, by its cursor, which is empty for the first.
    """

    path: Callable[[str], str]
    decode: Callable[[bytes], Page]


# ---------------------------------------------------------------- the shapes


class _Model(msgspec.Struct):
    id: str = ""


class _Models(msgspec.Struct):
    data: list[_Model] | None = None  # null where there is none, in some servers
    has_more: bool = False
    last_id: str | None = None


class _Named(msgspec.Struct):
    name: str = ""


class _GeminiModels(msgspec.Struct):
    models: list[_Named] = []
    nextPageToken: str = ""


def _decode_openai(body: bytes) -> Page:
    """Some of those that are compatible give the bare array."""
    given = msgspec.json.decode(body, type=_Models | list[_Model])
    models = given.data if isinstance(given, _Models) else given
    return Page([model.id for model in models or ()])


def _decode_anthropic(body: bytes) -> Page:
    given = msgspec.json.decode(body, type=_Models)
    cursor = given.last_id or "" if given.has_more else ""
    return Page([model.id for model in given.data or ()], cursor)


def _decode_gemini(body: bytes) -> Page:
    given = msgspec.json.decode(body, type=_GeminiModels)
    names = [model.name.removeprefix("models/") for model in given.models]
    return Page(names, given.nextPageToken)


def _anthropic_path(cursor: str) -> str:
    after = f"&after_id={quote(cursor, safe='')}" if cursor else ""
    return f"/v1/models?limit={PAGE_SIZE}{after}"


def _gemini_path(cursor: str) -> str:
    token = f"&pageToken={quote(cursor, safe='')}" if cursor else ""
    return f"/models?pageSize={PAGE_SIZE}{token}"


_OPENAI = Shape(lambda _: "/models", _decode_openai)

SHAPES: Mapping[str, Shape] = {
    CHAT: _OPENAI,
    RESPONSES: _OPENAI,
    MESSAGES: Shape(_anthropic_path, _decode_anthropic),
    GEMINI: Shape(_gemini_path, _decode_gemini),
}
"""By protocol; those that are not here have no list."""


# ---------------------------------------------------------------- asking


async def list_models(place: Place) -> tuple[str, ...]:
    """The names of a provider's models, in its order, each once.

    Raises:
        UpstreamFault: there is no list, or it cannot be read.
    """
    shape = SHAPES[place.speaks]
    names: dict[str, Any] = {}
    cursors = [""]
    while len(cursors) <= MAX_PAGES and len(names) < MAX_MODELS:
        page = _decoded(shape, await place.look(shape.path(cursors[-1])))
        names.update(dict.fromkeys(filter(_NAME.fullmatch, page.names)))
        if page.cursor in cursors:  # the last page, or one that leads back
            break
        cursors.append(page.cursor)
    return tuple(names)[:MAX_MODELS]


def _decoded(shape: Shape, body: bytes) -> Page:
    try:
        return shape.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = "the answer is no list of models"
        raise UpstreamFault(FaultKind.PROTOCOL, message, detail=str(error)) from error
