"""The ways in, as data: which method and path speaks which protocol, and what a client speaks whose
path does not say so.

No handler here knows a protocol; these tables are where protocols and paths meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call
from lipstream.interfaces import ServerDialect
from lipstream.protocols import anthropic_messages, gemini, openai_chat, openai_responses
from lipstream.server.downstream import Handler
from lipstream.server.endpoint import Endpoint, Gateway
from lipstream.server.passage import Fields, Forwarder, Passage, PassageEndpoint

SERVERS: Mapping[str, ServerDialect] = {
    dialect.name: dialect
    for dialect in (
        openai_chat.SERVER,
        openai_responses.SERVER,
        anthropic_messages.SERVER,
        gemini.SERVER,
    )
}

ENDPOINTS: Mapping[tuple[str, str], ServerDialect] = {
    ("POST", "/v1/chat/completions"): openai_chat.SERVER,
    ("POST", "/v1/responses"): openai_responses.SERVER,
    ("POST", "/v1/messages"): anthropic_messages.SERVER,
}

# What stands after the last colon of /v1beta/models/{model}:action.
ACTIONS: Mapping[str, ServerDialect] = {
    "generateContent": gemini.SERVER,
    "streamGenerateContent": gemini.SERVER,
}


def _put_gemini_model(fields: Fields, model: str) -> None:
    """The model is in the path; where the body repeats it, the two must agree."""
    name = f"models/{model}"
    if "model" in fields:
        fields["model"] = name
    for member in ("generateContentRequest",):
        inner = fields.get(member)
        if isinstance(inner, dict) and "model" in inner:
            fields[member] = {**inner, "model": name}
    requests = fields.get("requests")
    if isinstance(requests, list):
        fields["requests"] = [
            {**request, "model": name} if isinstance(request, dict) else request
            for request in requests
        ]


def _gemini_passage(name: str, action: str) -> Passage:
    return Passage(
        name,
        gemini.SERVER,
        frozenset({gemini.SERVER.name}),
        lambda model: f"/models/{quote(model, safe='')}:{action}",
        put_model=_put_gemini_model,
    )


def _decode_gemini_count(body: bytes, ask: Ask) -> Call:
    return gemini.SERVER.decode_count_request(body, ask)


PASSAGES: Mapping[tuple[str, str], Passage] = {
    ("POST", "/v1/embeddings"): Passage(
        "embeddings",
        openai_chat.SERVER,
        frozenset({openai_chat.SERVER.name, openai_responses.SERVER.name}),
        lambda _: "/embeddings",
    ),
    ("POST", "/v1/messages/count_tokens"): Passage(
        "a token count",
        anthropic_messages.SERVER,
        frozenset({anthropic_messages.SERVER.name}),
        lambda _: "/v1/messages/count_tokens",
        estimate=anthropic_messages.encode_token_count,
    ),
    ("POST", "/v1/responses/input_tokens"): Passage(
        "a token count",
        openai_responses.SERVER,
        frozenset({openai_responses.SERVER.name}),
        lambda _: "/responses/input_tokens",
        estimate=openai_responses.SERVER.encode_token_count,
    ),
}

PASSAGE_ACTIONS: Mapping[str, Passage] = {
    "countTokens": Passage(
        "a token count",
        gemini.SERVER,
        frozenset({gemini.SERVER.name}),
        lambda model: f"/models/{quote(model, safe='')}:countTokens",
        put_model=_put_gemini_model,
        decode=_decode_gemini_count,
        estimate=gemini.SERVER.encode_token_count,
    ),
    "embedContent": _gemini_passage("embeddings", "embedContent"),
    "batchEmbedContents": _gemini_passage("embeddings", "batchEmbedContents"),
}


def spoken_by(path: str, headers: Mapping[str, str], query: str) -> ServerDialect:
    """What a client speaks, by its path, else by the headers and the key that its SDK sends."""
    if path.startswith(("/v1beta", "/v1alpha")):
        return gemini.SERVER
    if "anthropic-version" in headers:
        return anthropic_messages.SERVER
    if "x-goog-api-key" in headers or "x-goog-api-client" in headers:
        return gemini.SERVER
    if query.startswith("key=") or "&key=" in query:
        return gemini.SERVER
    return openai_responses.SERVER if path.startswith("/v1/responses") else openai_chat.SERVER


# ---------------------------------------------------------------- who answers


def handlers_for(
    gateway: Gateway, forwarders: Mapping[str, Forwarder]
) -> dict[tuple[str, str], Handler]:
    """Who answers which method and path."""
    exchanges = {way: Endpoint(dialect, gateway) for way, dialect in ENDPOINTS.items()}
    passages = {
        way: PassageEndpoint(passage, gateway, forwarders) for way, passage in PASSAGES.items()
    }
    return {**exchanges, **passages}


def actions_for(gateway: Gateway, forwarders: Mapping[str, Forwarder]) -> dict[str, Handler]:
    """Who answers which action of a path in Gemini's manner."""
    exchanges = {action: Endpoint(dialect, gateway) for action, dialect in ACTIONS.items()}
    passages = {
        action: PassageEndpoint(passage, gateway, forwarders)
        for action, passage in PASSAGE_ACTIONS.items()
    }
    return {**exchanges, **passages}
