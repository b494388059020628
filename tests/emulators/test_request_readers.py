"""What the dialects refuse and what they let through, held against recorded requests."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipstream.emulators.anthropic_request import check_signatures, see_messages
from lipstream.emulators.gemini_request import check_signatures as check_gemini
from lipstream.emulators.gemini_request import see_generate
from lipstream.emulators.openai_chat_request import see_chat
from lipstream.emulators.openai_embeddings import check_embeddings
from lipstream.emulators.openai_responses_request import check_reasoning, see_responses
from lipstream.emulators.reading import Refused
from tests.emulators.conversation import CHAT, GEMINI, MESSAGES, RESPONSES
from tests.recordings import exchanges

Read = Callable[[Any], object]

APIS: tuple[tuple[str, frozenset[str], Read], ...] = (
    ("chat-completions", frozenset({"openai", "azure-openai"}), see_chat),
    ("responses", frozenset({"openai", "azure-openai"}), see_responses),
    ("messages", frozenset({"anthropic"}), see_messages),
    ("generate-content", frozenset({"gemini", "vertex"}), see_generate),
)


@pytest.mark.parametrize(("api", "providers", "read"), APIS, ids=lambda value: str(value)[:16])
def test_what_a_provider_accepted_is_accepted(
    api: str, providers: frozenset[str], read: Read
) -> None:
    """Strict is only what the real one is strict about."""
    refused = {}
    for exchange in exchanges(api):
        if exchange.provider in providers and exchange.request and exchange.status == 200:
            try:
                read(exchange.request)
            except Refused as problem:
                refused[exchange.name] = str(problem)
    assert refused == {}


WORDED = (
    "Invalid 'messages': empty array.",
    "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 99.0",
    "Please use a valid role: user, model.",
    "tools.0.custom.input_schema.type: Field required",
    "tools.0.custom.input_schema.type: Input should be 'object'",
)


def test_refusals_are_worded_as_recorded_ones() -> None:
    """Where a recorded request was refused for a reason that is checked, the words are the same."""
    agreed = set()
    for api, providers, read in APIS:
        for exchange in exchanges(api):
            if exchange.provider not in providers or not exchange.request:
                continue
            try:
                read(exchange.request)
            except Refused as problem:
                said = exchange.body.decode()
                agreed |= {words for words in WORDED if words in str(problem) and words in said}
    assert agreed == set(WORDED)


# ---------------------------------------------------------------- anything at all


def _read_gemini(body: Any) -> None:
    see_generate(body)
    check_gemini(body, "gemini-3-pro")


def _read_messages(body: Any) -> None:
    check_signatures(see_messages(body), "m")


def _read_responses(body: Any) -> None:
    see_responses(body)
    check_reasoning(body, "m")


READERS: dict[str, tuple[Any, Read]] = {
    "chat": (CHAT, see_chat),
    "responses": (RESPONSES, _read_responses),
    "messages": (MESSAGES, _read_messages),
    "gemini": (GEMINI, _read_gemini),
    "embeddings": ({"model": "m", "input": ["a"], "encoding_format": "float"}, check_embeddings),
}

VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1.5, "", "x", [], {}, [1], ["x"], {"x": 1}, [{}], [[]]]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        found += _places(item, (*path, key))
    return found


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_body_is_more_than_refused(name: str, data: st.DataObject) -> None:
    """A value of any type anywhere is read or refused, never a failure of the emulator."""
    body, read = READERS[name]
    changed: Any = copy.deepcopy(body)
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from(_places(changed)[1:]))
        inner = changed
        for key in path:
            inner = inner[key]
        inner[last] = copy.deepcopy(data.draw(VALUES))
    with contextlib.suppress(Refused):
        read(changed)
