"""The kinds of backend there are: one row for each provider.

A provider that speaks a protocol we know is one more row and no code. Here is only what a provider
has fixed; what an operator may choose is ``config.schema``'s.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from lipstream.canonical.price import Price, Tariff
from lipstream.config.schema import BackendEntry, HttpEntry, StubEntry

STUB = "stub"
COMPATIBLE = "openai-compatible"


@attrs.frozen
class Provider:
    """One row.

    Attributes:
        kind: As the configuration names it.
        base_url: Empty where every backend has its own.
        key_variable: The environment variable of the key; empty where none is looked for.
        default_model: A small one, to try things out with; empty where there is none in common.
        dialect: The protocol it speaks.
        key_header: The header of its key; ``authorization`` means a bearer token.
        cancel_stops_billing: Whether closing the connection ends what is charged for a stream;
            None where that is not known. Nobody but the provider knows for sure: where it says
            nothing itself, this is what others say of it, and the configuration has the last word.
        billing_source: Who says so, or why it is not known.
        prefill: Whether its models go on from an assistant message at the end of the messages, and
            say only what is new. True only where that is so for every model: where it depends on
            the model or the server, the configuration says it.
    """

    kind: str
    base_url: str = ""
    key_variable: str = ""
    default_model: str = ""
    dialect: str = "openai_chat"
    key_header: str = "authorization"
    cancel_stops_billing: bool | None = None
    billing_source: str = ""
    prefill: bool = False


# "Stream Cancellation": a list of the providers at which aborting the connection "immediately
# stops model processing and billing", and of those at which it does not.
_OPENROUTER = "https://openrouter.ai/docs/api-reference/streaming"


PROVIDERS: Mapping[str, Provider] = {
    row.kind: row
    for row in (
        Provider(COMPATIBLE),
        Provider(
            "openai",
            "https://api.openai.com/v1",
            "OPENAI_API_KEY",
            "gpt-4o-mini",
            cancel_stops_billing=True,
            billing_source=_OPENROUTER,
        ),
        Provider(
            "nvidia",
            "https://integrate.api.nvidia.com/v1",
            "NVIDIA_API_KEY",
            "nvidia/llama-3.1-nemotron-nano-8b-v1",
            billing_source="nobody says",
        ),
        Provider(
            "openrouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_API_KEY",
            "openai/gpt-4o-mini",
            billing_source=f"depends on the provider behind: {_OPENROUTER}",
        ),
        Provider(
            "openai-responses",
            "https://api.openai.com/v1",
            "OPENAI_API_KEY",
            "gpt-4o-mini",
            dialect="openai_responses",
            cancel_stops_billing=True,
            billing_source=_OPENROUTER,
        ),
        Provider(
            "openai-responses-compatible",
            dialect="openai_responses",
            billing_source="depends on the server",
        ),
        Provider(
            "anthropic",
            "https://api.anthropic.com",
            "ANTHROPIC_API_KEY",
            "claude-haiku-4-5",
            dialect="anthropic_messages",
            key_header="x-api-key",
            cancel_stops_billing=True,
            billing_source=_OPENROUTER,
        ),
        Provider(
            "anthropic-compatible",
            dialect="anthropic_messages",
            key_header="x-api-key",
            billing_source="depends on the server",
        ),
        Provider(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            "GEMINI_API_KEY",
            "gemini-2.5-flash",
            dialect="gemini",
            key_header="x-goog-api-key",
            cancel_stops_billing=False,
            billing_source=_OPENROUTER,
        ),
    )
}

KINDS: Mapping[str, type[BackendEntry]] = {**dict.fromkeys(PROVIDERS, HttpEntry), STUB: StubEntry}
"""Every kind, with the class of its entries in the configuration."""


def tariff_of(entry: BackendEntry) -> Tariff:
    """What a backend charges: as configured, else as its provider's row says. A stub just ends."""
    known = PROVIDERS[entry.kind].cancel_stops_billing if entry.kind in PROVIDERS else True
    said = entry.cancel_stops_billing
    prices = {
        pattern: Price(
            input=price.input,
            output=price.output,
            cache_read=price.cache_read,
            cache_write=price.cache_write,
        )
        for pattern, price in entry.prices.items()
    }
    return Tariff(prices=prices, cancel_stops_billing=known if said is None else said)
