"""What the SDKs ask beside answers: models, counts of tokens, embeddings; and wrong addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.conformance.matrix import FRONTENDS, KINDS
from tests.conformance.outcome import Failure
from tests.conformance.prompt import ask
from tests.conformance.protocols import MODELS, dialect_of
from tests.conformance.rig import Rig

PAIRS = [(frontend, kind) for frontend in FRONTENDS for kind in KINDS]

LISTS: Mapping[str, Callable[[Any], set[str]]] = {
    "openai_chat": lambda client: {model.id for model in client.models.list()},
    "openai_responses": lambda client: {model.id for model in client.models.list()},
    "anthropic_messages": lambda client: {model.id for model in client.models.list()},
    "gemini": lambda client: {model.name.removeprefix("models/") for model in client.models.list()},
}

COUNTS: Mapping[str, Callable[[Any, str], int]] = {
    "openai_responses": lambda client, model: (
        client.responses.input_tokens.count(
            model=model, input="How many tokens are these?"
        ).input_tokens
    ),
    "anthropic_messages": lambda client, model: (
        client.messages.count_tokens(
            model=model, messages=[{"role": "user", "content": "How many tokens are these?"}]
        ).input_tokens
    ),
    "gemini": lambda client, model: (
        client.models.count_tokens(model=model, contents="How many tokens are these?").total_tokens
    ),
}


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_sdk_lists_the_models_of_every_backend(frontend: str, rig: Rig) -> None:
    """Each SDK reads the list in its own shape."""
    driver: Any = rig.driver(frontend)
    listed = LISTS[frontend](driver.client)
    assert {f"{kind}-demo" for kind in KINDS} <= listed


@pytest.mark.parametrize(
    ("frontend", "kind"), [pair for pair in PAIRS if pair[0] in COUNTS], ids="-".join
)
def test_sdk_counts_tokens_with_every_backend(frontend: str, kind: str, rig: Rig) -> None:
    """The provider's own count where it speaks the protocol, else an estimate."""
    driver: Any = rig.driver(frontend)
    model = rig.model(MODELS[dialect_of(kind)])
    assert 3 <= COUNTS[frontend](driver.client, f"{kind}:{model}") < 200


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if dialect_of(kind) in ("openai_chat", "openai_responses")]
)
def test_openai_sdk_embeds(kind: str, rig: Rig) -> None:
    """Embeddings go to the backend that was named."""
    driver: Any = rig.driver("openai_chat")
    answer = driver.client.embeddings.create(model=f"{kind}:{rig.model('embed')}", input=["a", "b"])
    assert [0, 1] == [entry.index for entry in answer.data]
    assert all(entry.embedding for entry in answer.data)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if dialect_of(kind) == "gemini"])
def test_gemini_sdk_embeds(kind: str, rig: Rig) -> None:
    """The same in Gemini's manner."""
    driver: Any = rig.driver("gemini")
    answer = driver.client.models.embed_content(model=f"{kind}:{rig.model('embed')}", contents="a")
    assert [8] == [len(embedding.values) for embedding in answer.embeddings]


WRONG = {
    "openai_chat": ("BadRequestError", "invalid_request_error"),
    "openai_responses": ("BadRequestError", "invalid_request_error"),
    "anthropic_messages": ("BadRequestError", "invalid_request_error"),
    "gemini": ("ClientError", "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("is_streaming", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("frontend", FRONTENDS)
def test_unknown_backend_is_told_in_the_clients_words(
    frontend: str, is_streaming: bool, rig: Rig
) -> None:
    """A route that leads nowhere is the client's to put right."""
    prompt = ask("Hello?", headers={"X-LIP-Route": "nowhere:m"})
    failure = rig.driver(frontend).ask(prompt, "m", is_streaming=is_streaming)
    assert isinstance(failure, Failure)
    error, word = WRONG[frontend]
    assert (error, 400) == (failure.error, failure.status)
    assert word in failure.words
    assert "nowhere" in failure.message
