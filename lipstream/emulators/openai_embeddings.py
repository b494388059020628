"""Embeddings as OpenAI gives them: the same text always gets the same vector.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any

import msgspec

from lipstream.emulators.counts import count_prompt
from lipstream.emulators.dialect import Ask
from lipstream.emulators.openai_errors import OpenAIWords, openai_headers, refuse
from lipstream.emulators.openai_fields import check_not_empty, check_one_of
from lipstream.emulators.playback import Body
from lipstream.emulators.reading import Node
from lipstream.emulators.script import Script
from lipstream.emulators.seen import Seen

DIMENSIONS = 8
"""Of a vector, where the request does not say."""


def check_embeddings(body: Any) -> Seen:
    """Nothing is seen of such a request but that it is sound.

    Raises:
        Refused: The provider would answer 400.
    """
    if not isinstance(body, dict):
        raise refuse("We could not parse the JSON body of your request.")
    root = Node(body, "", OpenAIWords())
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise refuse("you must provide a model parameter")
    given = root.need("input")
    if not isinstance(given.value, str):
        check_not_empty(given)
    if not root.at("encoding_format").is_missing:
        check_one_of(root.at("encoding_format"), ("float", "base64"))
    return Seen()


def embeddings(ask: Ask, script: Script) -> Body:
    """A list with one vector per input, as numbers or as base64."""
    count = ask.fields.get("dimensions") or DIMENSIONS
    is_packed = ask.fields.get("encoding_format") == "base64"
    rows = []
    for index, text in enumerate(_inputs(ask.fields["input"])):
        values = vector(text, count)
        packed = base64.b64encode(struct.pack(f"<{count}f", *values)).decode()
        embedding = packed if is_packed else values
        rows.append({"object": "embedding", "index": index, "embedding": embedding})
    prompt = count_prompt(ask.request, script)
    usage = {"prompt_tokens": prompt, "total_tokens": prompt}
    model = script.model or ask.model
    answer = {"object": "list", "data": rows, "model": model, "usage": usage}
    return Body(msgspec.json.encode(answer), events=1, headers=openai_headers(script))


def vector(text: str, count: int) -> list[float]:
    """Numbers between -1 and 1, exact in 32 bits, that depend on the text alone."""
    raw = hashlib.shake_128(text.encode("utf-8", "surrogatepass")).digest(count)
    return [(byte - 128) / 128 for byte in raw]


def _inputs(given: Any) -> list[str]:
    """The texts; a list of numbers is one text in tokens."""
    if isinstance(given, str):
        return [given]
    if all(isinstance(item, int) for item in given):
        return [str(given)]
    return [str(item) for item in given]
