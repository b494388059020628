"""Reading the JSON objects of the service, in its answers and its errors."""

from __future__ import annotations

from lipstream.framing.loose_json import NotJson, read_value
from lipstream.protocols.bedrock_converse.wire import Fields


class NotAnObject(ValueError):
    """The data is no JSON object, or none that may be looked into."""


def read_fields(data: bytes) -> tuple[Fields, bool]:
    """The object, and whether its texts are sound: else they may hold halves of characters.

    Raises:
        NotAnObject: not even this reads it.
    """
    try:
        value, is_sound = read_value(data)
    except NotJson:
        value, is_sound = None, False
    if not isinstance(value, dict):
        raise NotAnObject("no JSON object")
    return value, is_sound
