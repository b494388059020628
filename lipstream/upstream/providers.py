"""The kinds of backend there are: one row for each provider.

A provider that speaks a protocol we know is one more row and no code. Here is only what a provider
has fixed; what an operator may choose is ``config.schema``'s.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

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
    """

    kind: str
    base_url: str = ""
    key_variable: str = ""
    default_model: str = ""
    dialect: str = "openai_chat"


PROVIDERS: Mapping[str, Provider] = {
    row.kind: row
    for row in (
        Provider(COMPATIBLE),
        Provider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-4o-mini"),
        Provider(
            "nvidia",
            "https://integrate.api.nvidia.com/v1",
            "NVIDIA_API_KEY",
            "nvidia/llama-3.1-nemotron-nano-8b-v1",
        ),
        Provider(
            "openrouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_API_KEY",
            "openai/gpt-4o-mini",
        ),
    )
}

KINDS: Mapping[str, type[BackendEntry]] = {**dict.fromkeys(PROVIDERS, HttpEntry), STUB: StubEntry}
"""Every kind, with the class of its entries in the configuration."""
