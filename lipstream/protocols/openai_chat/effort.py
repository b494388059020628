"""How much a model is to reason, in the two ways that a chat request may say it.

OpenAI has ``reasoning_effort``, OpenRouter and its followers the object ``reasoning`` with an
effort or a number of tokens, ``enabled`` and ``exclude``
(https://openrouter.ai/docs/use-cases/reasoning-tokens). The object is understood, and stays among
the extra fields to be written as it came, as long as the call still says what it says. Where both
are there, the word counts and both are written again.
"""

from __future__ import annotations

from typing import Any

import attrs

from lipstream.canonical.call import Call
from lipstream.canonical.options import Options
from lipstream.canonical.reasoning import DYNAMIC, effort_of
from lipstream.framing.json_fields import FieldReader
from lipstream.protocols.openai_chat.wire import Fields

WORD = "reasoning_effort"
OBJECT = "reasoning"


@attrs.frozen
class Said:
    """What a request says of reasoning, as the options of the same names."""

    effort: str | None = None
    budget: int | None = None
    summary: str | None = None

    @classmethod
    def by(cls, options: Options) -> Said:
        """What the options of a call say."""
        return cls(options.reasoning_effort, options.reasoning_budget, options.reasoning_summary)


NOTHING = Said()


def decode_effort(reader: FieldReader) -> Said:
    """Takes the word out, and leaves it where there is an object beside it that says something."""
    word = reader.optional_text(WORD)
    said = read_object(reader.left.get(OBJECT))
    if word is None:
        return said
    if said != NOTHING:
        reader.left[WORD] = word
    return Said(effort=word)


def read_object(value: Any) -> Said:
    """What OpenRouter's object says; anything that it would not understand says nothing."""
    if not isinstance(value, dict):
        return NOTHING
    effort, budget, is_on = (value.get(name) for name in ("effort", "max_tokens", "enabled"))
    summary = "none" if value.get("exclude") is True else None
    if is_on is False:
        return Said(effort="none", summary=summary)
    if isinstance(effort, str) and effort:
        return Said(effort=effort, summary=summary)
    if isinstance(budget, int) and not isinstance(budget, bool) and budget >= 0:
        return Said(budget=budget, summary=summary)
    return Said(budget=DYNAMIC if is_on is True else None, summary=summary)


def encode_own_effort(call: Call) -> tuple[Fields, frozenset[str]]:
    """The word, where it is to be written, and the extra fields that no longer hold."""
    options, said = call.options, read_object(call.extra.get(OBJECT))
    if said != NOTHING and said == Said.by(options):
        return {}, frozenset()
    effort = effort_of(options)
    if said != NOTHING and (effort is None or WORD not in call.extra):
        void = frozenset({WORD, OBJECT})
    else:
        void = frozenset()
    return ({} if effort is None else {WORD: effort}), void
