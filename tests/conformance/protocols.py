"""The protocols and kinds of backend that the matrix is made of, and what each is driven with.

Everything here is data about the outside world: which SDK speaks which protocol, below which path
a provider has its API, and how its models are called. What lipstream itself knows of protocols and
kinds is not repeated; the gates compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from lipstream.emulators import nvidia, openrouter
from lipstream.upstream.providers import PROVIDERS
from tests.conformance.drivers.anthropic_messages import AnthropicDriver
from tests.conformance.drivers.base import Driver
from tests.conformance.drivers.gemini import GeminiDriver
from tests.conformance.drivers.openai_chat import ChatDriver
from tests.conformance.drivers.openai_responses import ResponsesDriver

DRIVERS: Mapping[str, Callable[[str], Driver]] = {
    "openai_chat": ChatDriver,
    "openai_responses": ResponsesDriver,
    "anthropic_messages": AnthropicDriver,
    "gemini": GeminiDriver,
}

BASE_PATHS: Mapping[str, str] = {
    "openai_chat": "/v1",
    "openai_responses": "/v1",
    "anthropic_messages": "",
    "gemini": "/v1beta",
    "bedrock_converse": "",
    "acp": "",
}

OWN_PATHS: Mapping[str, str] = {"nvidia": nvidia.PREFIX, "openrouter": openrouter.PREFIX}
"""Kinds that the emulators play with what these providers have of their own."""

MODELS: Mapping[str, str] = {
    "openai_chat": "gpt-4o",
    "openai_responses": "gpt-5",
    "anthropic_messages": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "bedrock_converse": "us.anthropic.claude-sonnet-4-5-v1",
}
"""What a cell's model is called before its number: codecs may tell families apart by it."""


def dialect_of(kind: str, frontend: str = "") -> str:
    """The protocol that backends of a kind speak: the client's own, where they can."""
    provider = PROVIDERS[kind]
    return frontend if frontend in provider.dialects else provider.dialect


def base_path(kind: str) -> str:
    """Below which path the emulator of a kind has its API."""
    return OWN_PATHS.get(kind, BASE_PATHS[dialect_of(kind)])


def first_kinds(kinds: Iterable[str]) -> list[str]:
    """The first kind of each protocol: those play everything."""
    firsts: dict[str, str] = {}
    for kind in kinds:
        firsts.setdefault(dialect_of(kind), kind)
    return list(firsts.values())
