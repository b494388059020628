"""Messages of JSON-RPC 2.0 (https://www.jsonrpc.org/specification), one by one.

Ids of ours are numbers. An agent may send one back as a number or as text; both are compared by
their digits, so that no number is too large. Ids of the agent's own are kept as they were written.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import UNSET

from lipstream.canonical.parts import Json
from lipstream.framing.sse import encode_json
from lipstream.framing.surrogates import mended

_NO_ID = (b"", b"null")


class NotAMessage(ValueError):
    """The bytes are no message of JSON-RPC."""


class Message(msgspec.Struct, gc=False):
    """A request, a notification or a response of an agent.

    Attributes:
        id: As it was written; empty where there is none.
        is_mended: The texts of ``params`` may hold halves of characters.
    """

    id: msgspec.Raw = msgspec.Raw()
    method: str | None = None
    params: Any = None
    result: Any = UNSET
    error: Any = None
    is_mended: bool = msgspec.field(default=False, name="(mended)")

    @property
    def is_request(self) -> bool:
        """Whether somebody waits for an answer to it."""
        is_response = self.result is not UNSET or self.error is not None
        return self.method is not None and bytes(self.id) not in _NO_ID and not is_response

    def answers(self, number: int) -> bool:
        """Whether it has the id of our request."""
        return bytes(self.id).strip(b'"') == b"%d" % number


_decode = msgspec.json.Decoder(Message).decode


def decode_message(data: bytes) -> Message:
    """One message.

    Raises:
        NotAMessage: it is none.
    """
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        if b"\\u" not in data:
            raise NotAMessage("no message of JSON-RPC") from None
    return _decode_loosely(data)


def _decode_loosely(data: bytes) -> Message:
    """Some agents cut text in the middle of a character, which no strict parser takes."""
    try:
        fields = json.loads(data)
        return Message(
            id=msgspec.Raw(json.dumps(fields["id"]).encode()) if "id" in fields else msgspec.Raw(),
            method=msgspec.convert(fields.get("method"), str | None),
            params=fields.get("params"),
            result=_whole(fields["result"]) if "result" in fields else UNSET,
            error=_whole(fields.get("error")),
            is_mended=True,
        )
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise NotAMessage("no message of JSON-RPC") from None


def _whole(value: Any) -> Any:
    """The value without halves of characters."""
    return json.loads(mended(json.dumps(value, ensure_ascii=False)))


def encode_request(number: int, method: str, params: Json) -> bytes:
    """A request with an id of ours."""
    return encode_json({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def encode_notification(method: str, params: Json) -> bytes:
    """A request that nobody answers."""
    return encode_json({"jsonrpc": "2.0", "method": method, "params": params})


def encode_response(id: bytes, members: Json) -> bytes:
    """The answer to an agent's request.

    Args:
        id: The request's, as it was written.
        members: ``result`` or ``error``.
    """
    return b'{"jsonrpc":"2.0","id":' + id + b"," + encode_json(members)[1:]
