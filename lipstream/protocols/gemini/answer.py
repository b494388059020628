"""A whole answer as a GenerateContentResponse."""

from __future__ import annotations

from collections.abc import Callable

from lipstream.canonical.call import Call
from lipstream.canonical.collect import Answer, Choice
from lipstream.canonical.parts import Reasoning
from lipstream.framing.json_fields import merge_fields
from lipstream.framing.sse import encode_json
from lipstream.protocols.gemini.logprobs import encode_logprobs
from lipstream.protocols.gemini.pieces import encode_piece
from lipstream.protocols.gemini.usage import encode_usage
from lipstream.protocols.gemini.wire import NAME, Fields, reason_word


def encode_answer(
    answer: Answer, call: Call, model: str | None, new_id: Callable[[], str]
) -> bytes:
    """The body of a response; see ``interfaces.ServerDialect.encode_answer``."""
    is_own = answer.dialect == NAME
    shows_thoughts = is_own or call.options.reasoning_summary not in (None, "none")
    body: Fields = {
        "candidates": [_candidate(choice, is_own, shows_thoughts) for choice in answer.choices]
    }
    if answer.usage is not None and (usage := encode_usage(answer.usage)):
        body["usageMetadata"] = usage
    body["modelVersion"] = answer.model if model is None else model
    body["responseId"] = answer.id or new_id()
    return encode_json(merge_fields(body, answer.extra) if is_own else body)


def _candidate(choice: Choice, is_own: bool, shows_thoughts: bool) -> Fields:
    parts = [
        piece
        for part in choice.parts
        if shows_thoughts or not isinstance(part, Reasoning)
        if (piece := encode_piece(part, is_own=is_own)) is not None
    ]
    content: Fields = {"role": "model"}
    if parts or not is_own:
        content = {"parts": parts or [{"text": ""}], **content}
    fields: Fields = {
        "content": content,
        "finishReason": reason_word(choice.reason, choice.detail, is_own=is_own),
    }
    if choice.index or not is_own:  # Vertex leaves out the first one's
        fields["index"] = choice.index
    if choice.logprobs:
        fields["logprobsResult"] = encode_logprobs(choice.logprobs)
    return merge_fields(fields, choice.extra) if is_own else fields
