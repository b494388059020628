"""The small endpoints beside ``/v1/messages``: the list of models, and the count of tokens.

https://platform.claude.com/docs/en/api/models-list and .../messages-count-tokens. A request to
count tokens has the body of one for an answer and is decoded as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from lipstream.framing.sse import encode_json
from lipstream.protocols.anthropic_messages.wire import Fields

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, tzinfo=UTC)


class ModelEntry(Protocol):
    """A model to be listed; ``created`` is Unix time in seconds, 0 when unknown."""

    @property
    def id(self) -> str: ...

    @property
    def owned_by(self) -> str: ...

    @property
    def created(self) -> int: ...


def encode_model(entry: ModelEntry) -> bytes:
    """The body for one model."""
    return encode_json(_model(entry))


def encode_models(entries: Iterable[ModelEntry]) -> bytes:
    """The body for all models, as one page, in the order in which they are given."""
    data = [_model(entry) for entry in entries]
    page: Fields = {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
    return encode_json(page)


def encode_token_count(count: int) -> bytes:
    """The answer to a request to count tokens."""
    return encode_json({"input_tokens": count})


def _model(entry: ModelEntry) -> Fields:
    return {
        "type": "model",
        "id": entry.id,
        "display_name": entry.id,
        "created_at": _moment(entry.created),
        "owned_by": entry.owned_by,
    }


def _moment(seconds: float) -> str:
    """RFC 3339; a time that no calendar has is the nearest one that it has."""
    span = (_LAST - _EPOCH).total_seconds()
    moment = datetime.fromtimestamp(min(max(seconds, 0), span), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
