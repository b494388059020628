"""The kinds of backend there are: one row for each provider.

A provider that speaks a protocol we know is one more row and no code; docs/providers.md is drawn
from here. Here is only what a provider has fixed; what an operator may choose is
``config.schema``'s.

What models lack is what their makers say. A chat server that takes any model is believed to have
everything: it knows better than a table what its model can do, and says no itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from lipstream.canonical.capabilities import EVERYTHING, Capability, lack
from lipstream.canonical.price import Price, Tariff
from lipstream.canonical.transport import Mode, declared
from lipstream.config.acp import AcpEntry
from lipstream.config.openrouter import OpenRouterEntry
from lipstream.config.schema import BackendEntry, BedrockEntry, HttpEntry, StubEntry
from lipstream.upstream import nvidia, openrouter
from lipstream.upstream.provider import (
    CHAT,
    FROM_ONE,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Provider,
)
from lipstream.upstream.quirks import Quirks, in_turn, renamed_fields, without_fields

STUB = "stub"
COMPATIBLE = "openai-compatible"
BEDROCK = "bedrock"
ACP = "acp"
OPENROUTER = "openrouter"

_C = Capability

# "Stream Cancellation": a list of the providers at which aborting the connection "immediately
# stops model processing and billing", and of those at which it does not.
_OPENROUTER = "https://openrouter.ai/docs/api-reference/streaming"
_SERVER = "depends on the server"
_LOCAL = "nothing is charged by one's own machine"

# ---------------------------------------------------------------- what models lack

_OF_OPENAI = (
    lack(r"gpt-3\.5", _C.VISION, _C.DOCUMENTS),
    lack(r"^o[13]", _C.PARALLEL_TOOL_CALLS),  # openai/o3 of a reseller is not meant
)
_OF_ANTHROPIC = (lack(r"claude-(2|v2|instant-1)", _C.PARALLEL_TOOL_CALLS),)
_OF_GEMINI = (lack(r"^(?!.*vision).*gemini-1\.0-pro", _C.VISION, _C.DOCUMENTS),)

_OF_BEDROCK = (
    lack(r"anthropic\..*claude-(2|v2|instant)", _C.PARALLEL_TOOL_CALLS),
    lack(r"amazon\.titan-text", *(EVERYTHING - {_C.STREAMING})),
)

# Its API knows parts of no other kind than text, whatever the model: it answers them with a 400.
_OF_DEEPSEEK = (lack("", _C.VISION, _C.DOCUMENTS, _C.AUDIO),)

# ---------------------------------------------------------------- what providers do differently

# Unknown fields are errors there, usage comes unasked, and two fields have other names.
_OF_MISTRAL = Quirks(
    patch_body=in_turn(
        without_fields("stream_options"),
        renamed_fields({"max_completion_tokens": "max_tokens", "seed": "random_seed"}),
    )
)

# ---------------------------------------------------------------- the rows

_BY_PROTOCOL = (
    Provider(kind=COMPATIBLE, billing_source=_SERVER),
    Provider(
        kind="openai",
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        default_model="gpt-4o-mini",
        dialects=(CHAT, RESPONSES),
        lacks=_OF_OPENAI,
        cancel_stops_billing=True,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="nvidia",
        base_url="https://integrate.api.nvidia.com/v1",
        key_variable="NVIDIA_API_KEY",
        key_numbers=FROM_ONE,
        default_model="nvidia/llama-3.1-nemotron-nano-8b-v1",
        dialects=(CHAT, RESPONSES),
        lacks=_OF_OPENAI,
        billing_source="nobody says",
        quirks=nvidia.QUIRKS,
    ),
    Provider(
        kind=OPENROUTER,
        base_url="https://openrouter.ai/api/v1",
        key_variable="OPENROUTER_API_KEY",
        key_numbers=FROM_ONE,
        default_model="openai/gpt-4o-mini",
        dialects=(CHAT, RESPONSES),
        lacks=_OF_OPENAI,
        billing_source=f"depends on the provider behind: {_OPENROUTER}",
        quirks=openrouter.QUIRKS,
    ),
    Provider(
        kind="openai-responses",
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        default_model="gpt-4o-mini",
        dialects=(RESPONSES,),
        lacks=_OF_OPENAI,
        cancel_stops_billing=True,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="openai-responses-compatible",
        dialects=(RESPONSES,),
        billing_source=_SERVER,
    ),
    Provider(
        kind="anthropic",
        base_url="https://api.anthropic.com",
        key_variable="ANTHROPIC_API_KEY",
        key_header="x-api-key",
        default_model="claude-haiku-4-5",
        dialects=(MESSAGES,),
        capabilities=EVERYTHING - {_C.AUDIO},
        lacks=_OF_ANTHROPIC,
        cancel_stops_billing=True,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="anthropic-compatible",
        key_header="x-api-key",
        dialects=(MESSAGES,),
        capabilities=EVERYTHING - {_C.AUDIO},
        billing_source=_SERVER,
    ),
    Provider(
        kind="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_variable="GEMINI_API_KEY",
        key_header="x-goog-api-key",
        default_model="gemini-2.5-flash",
        dialects=(GEMINI,),
        lacks=_OF_GEMINI,
        cancel_stops_billing=False,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="vertex",  # the key is a token that somebody renews
        base_url_form="https://aiplatform.googleapis.com/v1/projects/PROJECT/locations/PLACE/publishers/google",
        dialects=(GEMINI,),
        lacks=_OF_GEMINI,
        cancel_stops_billing=False,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind=BEDROCK,
        base_url="https://bedrock-runtime.us-east-1.amazonaws.com",  # of the default region
        key_variable="AWS_BEARER_TOKEN_BEDROCK",
        default_model="amazon.nova-lite-v1:0",
        dialects=("bedrock_converse",),
        lacks=_OF_BEDROCK,
        cancel_stops_billing=False,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind=ACP,
        default_model="agent",
        dialects=("acp",),
        capabilities=frozenset({_C.STREAMING, _C.VISION, _C.DOCUMENTS, _C.REASONING}),
        transport=declared([Mode.STREAMING]),
        billing_source="depends on the agent",
    ),
)

_HOSTED = (
    Provider(
        kind="azure-openai",
        base_url_form="https://RESOURCE.openai.azure.com/openai/v1",
        key_variable="AZURE_OPENAI_API_KEY",
        key_header="api-key",
        dialects=(CHAT, RESPONSES),
        lacks=_OF_OPENAI,
        cancel_stops_billing=True,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="groq",
        base_url="https://api.groq.com/openai/v1",
        key_variable="GROQ_API_KEY",
        default_model="openai/gpt-oss-20b",
        cancel_stops_billing=False,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="mistral",
        base_url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        default_model="mistral-small-latest",
        cancel_stops_billing=False,
        billing_source=_OPENROUTER,
        quirks=_OF_MISTRAL,
    ),
    Provider(
        kind="deepseek",
        base_url="https://api.deepseek.com",
        key_variable="DEEPSEEK_API_KEY",
        default_model="deepseek-v4-flash",
        dialects=(CHAT, RESPONSES),
        lacks=_OF_DEEPSEEK,
        cancel_stops_billing=True,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="together",
        base_url="https://api.together.ai/v1",
        key_variable="TOGETHER_API_KEY",
        default_model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
        cancel_stops_billing=True,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        key_variable="FIREWORKS_API_KEY",
        default_model="accounts/fireworks/models/llama-v3p1-8b-instruct",
        cancel_stops_billing=True,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="xai",
        base_url="https://api.x.ai/v1",
        key_variable="XAI_API_KEY",
        default_model="grok-3-mini",
        dialects=(CHAT, RESPONSES),
        cancel_stops_billing=True,
        billing_source=_OPENROUTER,
    ),
    Provider(
        kind="huggingface",
        base_url="https://router.huggingface.co/v1",
        key_variable="HF_TOKEN",
        default_model="meta-llama/Llama-3.1-8B-Instruct",
        dialects=(CHAT, RESPONSES),
        cancel_stops_billing=False,
        billing_source=_OPENROUTER,
    ),
)

_LOCAL_SERVERS = (
    Provider(
        kind="ollama",
        base_url="http://localhost:11434/v1",
        dummy_key="ollama",
        dialects=(CHAT, RESPONSES),
        cancel_stops_billing=True,
        billing_source=_LOCAL,
    ),
    Provider(
        kind="vllm",
        base_url="http://localhost:8000/v1",
        cancel_stops_billing=True,
        billing_source=_LOCAL,
    ),
    Provider(
        kind="lmstudio",
        base_url="http://localhost:1234/v1",
        dummy_key="lmstudio",
        cancel_stops_billing=True,
        billing_source=_LOCAL,
    ),
    Provider(
        kind="llamacpp",
        base_url="http://localhost:8080/v1",
        cancel_stops_billing=True,
        billing_source=_LOCAL,
    ),
)

PROVIDERS: dict[str, Provider] = {
    row.kind: row for row in (*_BY_PROTOCOL, *_HOSTED, *_LOCAL_SERVERS)
}


def kinds_of(providers: Mapping[str, Provider]) -> dict[str, type[BackendEntry]]:
    """Every kind, with the class of its entries in the configuration."""
    own = {BEDROCK: BedrockEntry, ACP: AcpEntry, OPENROUTER: OpenRouterEntry, STUB: StubEntry}
    return {**dict.fromkeys(providers, HttpEntry), **own}


KINDS = kinds_of(PROVIDERS)


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
