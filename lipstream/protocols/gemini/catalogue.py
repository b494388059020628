"""The list of models and the counting of tokens, in Gemini's shapes."""

from __future__ import annotations

from collections.abc import Sequence

from lipstream.errors import BadRequest
from lipstream.framing.sse import encode_json
from lipstream.protocols.gemini.wire import Fields

METHODS = ("generateContent", "streamGenerateContent", "countTokens")
DEFAULT_PAGE = 50
MAX_PAGE = 1000


def encode_model(model: str, *, methods: Sequence[str] = METHODS) -> bytes:
    """One model; ``model`` is what a client puts into the path."""
    return encode_json(_model(model, methods))


def encode_models(
    models: Sequence[str],
    *,
    page_size: str = "",
    page_token: str = "",
    methods: Sequence[str] = METHODS,
) -> bytes:
    """One page of the list.

    Args:
        page_size: The query parameter ``pageSize`` as it came, empty for none.
        page_token: ``pageToken`` as it came: what the page before gave as ``nextPageToken``.

    Raises:
        BadRequest: a parameter is no number.
    """
    size = _number(page_size, "pageSize") or DEFAULT_PAGE
    start = _number(page_token, "pageToken")
    end = start + min(size, MAX_PAGE)
    body: Fields = {"models": [_model(model, methods) for model in models[start:end]]}
    if end < len(models):
        body["nextPageToken"] = str(end)
    return encode_json(body)


def encode_token_count(tokens: int) -> bytes:
    """The answer to a ``countTokens`` request."""
    return encode_json({"totalTokens": tokens})


def _model(model: str, methods: Sequence[str]) -> Fields:
    return {
        "name": f"models/{model}",
        "version": "",
        "displayName": model,
        "supportedGenerationMethods": list(methods),
    }


def _number(text: str, name: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest(f"{name}: expected a number, got {text[:40]!r}", param=name)
    return int(text)
