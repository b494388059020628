"""What one row of the table of providers holds. Not here: the rows (``providers``)."""

from __future__ import annotations

import attrs

from lipstream.canonical.capabilities import EVERYTHING, Capability, Lack
from lipstream.canonical.transport import Declaration, declared
from lipstream.config.env import KeyNumbers
from lipstream.upstream.quirks import NONE, Quirks

CHAT = "openai_chat"
RESPONSES = "openai_responses"
MESSAGES = "anthropic_messages"
GEMINI = "gemini"

FROM_TWO = KeyNumbers()
FROM_ONE = KeyNumbers(first=1, may_miss_first=True)

EITHER_WAY = declared()
"""Answers come in a stream or in one piece, as they are asked for."""


@attrs.frozen(kw_only=True)
class Provider:
    """One row.

    Attributes:
        kind: As the configuration names it.
        base_url: Empty where every backend has its own.
        base_url_form: What that looks like, where all are alike; words in capitals stand for names.
        key_variable: The environment variable of the key; empty where none is looked for.
        key_numbers: How the variables of further keys are numbered.
        key_header: The header of its key; ``authorization`` means a bearer token.
        dummy_key: Sent where there is no other, to a server that wants any.
        default_model: A small one, to try things out with; empty where there is none in common.
        dialects: The protocols it speaks. A call in one of them goes out in it, every other call
            in the first.
        capabilities: What its models have, unless a row of ``lacks`` says otherwise by name.
        transport: How it may be asked.
        cancel_stops_billing: Whether closing the connection ends what is charged for a stream;
            None where that is not known. Nobody but the provider knows for sure: where it says
            nothing itself, this is what others say of it, and the configuration has the last word.
        billing_source: Who says so, or why it is not known.
        prefill: Whether its models go on from an assistant message at the end of the messages, and
            say only what is new. True only where that is so for every model: where it depends on
            the model or the server, the configuration says it.
        quirks: What it does differently from its protocol.
    """

    kind: str
    base_url: str = ""
    base_url_form: str = ""
    key_variable: str = ""
    key_numbers: KeyNumbers = FROM_TWO
    key_header: str = "authorization"
    dummy_key: str = ""
    default_model: str = ""
    dialects: tuple[str, ...] = (CHAT,)
    capabilities: frozenset[Capability] = EVERYTHING
    lacks: tuple[Lack, ...] = ()
    transport: Declaration = attrs.field(default=EITHER_WAY, repr=False)
    cancel_stops_billing: bool | None = None
    billing_source: str = ""
    prefill: bool = False
    quirks: Quirks = attrs.field(default=NONE, repr=False)

    @property
    def dialect(self) -> str:
        """The protocol that it is asked in by clients of any other."""
        return self.dialects[0]
