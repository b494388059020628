"""What the agent client protocol looks like on the wire: its methods and words.

https://agentclientprotocol.com describes it over the standard streams of a process. Spoken here is
its subset over HTTP: every message of JSON-RPC 2.0 is a POST of its own to one path, and the answer
to a prompt is a body of NDJSON lines, notifications first, the result last.
"""

from __future__ import annotations

from typing import Any

from lipstream.canonical.events import FinishReason
from lipstream.canonical.limits import KIB, MIB

NAME = "acp"
VERSION = 1  # of the protocol
PATH = "/v1/acp"  # below the base URL
MODEL = "agent"  # what routes call an agent that has no models to choose from

LINE_BYTES = MIB  # of one line of a prompt's answer
REPLY_BYTES = 8 * MIB  # of the body of any other answer
SNIPPET_BYTES = 8 * KIB  # of the body of an HTTP error

INITIALIZE = "initialize"
AUTHENTICATE = "authenticate"
NEW_SESSION = "session/new"
PROMPT = "session/prompt"
UPDATE = "session/update"
CANCELS = ("session/cancel", "session/stop", "session/end")
"""Ways to end a prompt, from the best to the last; agents know one or the other."""

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "max_turn_requests": FinishReason.LENGTH,
    "refusal": FinishReason.REFUSAL,
}
CANCELLED = "cancelled"  # by somebody else: whoever cancels here does not listen any more
PLAIN_REASONS = frozenset({"", "end_turn", "max_tokens", "refusal"})
"""Stop reasons that say no more than the canonical ones."""

Fields = dict[str, Any]
