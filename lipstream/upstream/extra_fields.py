"""Top-level fields of chat and Responses requests, by whose they are: OpenAI's, OpenRouter's, or of
somebody else.

What a client writes beside its protocol goes to every backend of the same protocol. Providers that
also want it from clients of the other protocol, or that refuse some of it, decide by these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipstream.canonical.call import Call
from lipstream.upstream.provider import CHAT, RESPONSES

_BOTH = frozenset(
    {
        "metadata",
        "model",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    }
)

OPENAI: Mapping[str, frozenset[str]] = {
    CHAT: _BOTH
    | {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "modalities",
        "n",
        "prediction",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "stop",
        "verbosity",
        "web_search_options",
    },
    RESPONSES: _BOTH
    | {
        "background",
        "context_management",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "previous_response_id",
        "prompt",
        "reasoning",
        "text",
        "truncation",
    },
}
"""By protocol: the fields that OpenAI documents."""

OPENROUTER = frozenset(
    {
        "provider",
        "models",
        "route",
        "plugins",
        "prediction",
        "debug",
        "service_tier",
        "session_id",
        "stop_server_tools_when",
        "trace",
        "include",
        "user",
        "response_format",
        "reasoning",
        # of older requests
        "usage",
        "transforms",
        "preset",
    }
)
"""The fields that mean something to OpenRouter in either protocol."""

FRAME = frozenset(
    {"functions", "function_call", "input", "instructions", "messages", "model", "prompt", "stream"}
    | {"tools", "tool_choice"}
)
"""What makes up a request: never an extra, whatever the protocol."""


def beyond(call: Call) -> dict[str, Any]:
    """The extra fields that the call's protocol does not have, in document order."""
    own = OPENAI.get(call.dialect)
    if own is None:
        return {}
    return {name: value for name, value in call.extra.items() if name not in own}
