"""Whose model a model id stands for: what Converse leaves to each family of models.

An id is a model's (``anthropic.claude-...``), an inference profile's (``us.anthropic.claude-...``)
or an ARN that may hold either. An ARN that hides its model is of no family.
"""

from __future__ import annotations

import enum
import re


class Family(enum.Enum):
    """Families that are told apart."""

    CLAUDE = "claude"
    NOVA = "nova"
    NOVA_2 = "nova-2"  # reasons, when told to
    GPT_OSS = "gpt-oss"
    MISTRAL = "mistral"
    OTHER = "other"


_FAMILIES = (
    (Family.CLAUDE, re.compile(r"\bclaude")),
    (Family.NOVA_2, re.compile(r"\bamazon\.nova-[2-9]")),
    (Family.NOVA, re.compile(r"\bamazon\.nova")),
    (Family.GPT_OSS, re.compile(r"\bgpt-oss")),
    (Family.MISTRAL, re.compile(r"\bmistral\.")),
)


def family_of(model: str) -> Family:
    """The family of a model."""
    name = model.lower()
    return next((family for family, words in _FAMILIES if words.search(name)), Family.OTHER)
