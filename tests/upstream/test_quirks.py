"""What providers do differently: patches of bodies."""

from __future__ import annotations

import json

from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.parts import Text
from lipstream.upstream.providers import PROVIDERS
from lipstream.upstream.quirks import (
    Fields,
    in_turn,
    patched,
    renamed_fields,
    without_fields,
)

CALL = Call(dialect="x", model="m", messages=(Message(Role.USER, (Text("hi"),)),))


def test_patch_gets_body_call_and_model_and_returns_the_body() -> None:
    """What it changes is what is sent, in one line and with the rest as it was."""

    def patch(fields: Fields, call: Call, model: str) -> Fields:
        return {**fields, "told": [call.model, model]}

    body = patched(b'{"a": {"b": [1, 2.5]}, "c": "\\u2028"}', CALL, "w", patch)
    assert json.loads(body) == {"a": {"b": [1, 2.5]}, "c": "\u2028", "told": ["m", "w"]}
    assert b"\\u2028" in body


def test_fields_are_left_out_and_renamed() -> None:
    """A field that is there under both names keeps its own."""
    patch = in_turn(without_fields("a", "z"), renamed_fields({"b": "c", "d": "e"}))
    assert patch({"a": 1, "b": 2, "c": 3, "d": 4, "f": 5}, CALL, "m") == {"c": 3, "e": 4, "f": 5}


def test_mistral_is_not_told_what_it_refuses() -> None:
    """Its API takes no unknown fields, and calls two of them otherwise."""
    patch = PROVIDERS["mistral"].quirks.patch_body
    assert patch is not None
    sent = {"stream": True, "stream_options": {}, "max_completion_tokens": 9, "seed": 1}
    assert patch(sent, CALL, "m") == {"stream": True, "max_tokens": 9, "random_seed": 1}
