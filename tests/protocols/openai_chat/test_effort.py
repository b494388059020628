"""How much a model is to reason, said OpenAI's way and OpenRouter's."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call
from lipstream.canonical.capabilities import Capability, without
from lipstream.canonical.losses import losses
from lipstream.canonical.options import Options
from lipstream.protocols.openai_chat import CLIENT, SERVER
from lipstream.protocols.openai_chat.effort import OBJECT, WORD

BARE: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def read(**fields: Any) -> Call:
    """The call of a request."""
    return SERVER.decode_request(json.dumps({**BARE, **fields}).encode())


def written(call: Call) -> Any:
    """What of reasoning an upstream of this dialect is told."""
    body = json.loads(CLIENT.encode_request(call, "m", is_streaming=False))
    return {name: body[name] for name in (WORD, OBJECT) if name in body}


def options(**said: Any) -> Options:
    """Options that say nothing else."""
    return Options(**{f"reasoning_{name}": value for name, value in said.items()})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, options()),
        ({WORD: "low"}, options(effort="low")),
        ({OBJECT: {"effort": "high"}}, options(effort="high")),
        ({OBJECT: {"max_tokens": 2000}}, options(budget=2000)),
        ({OBJECT: {"max_tokens": 0}}, options(budget=0)),
        ({OBJECT: {"enabled": True}}, options(budget=-1)),
        ({OBJECT: {"enabled": False, "effort": "high"}}, options(effort="none")),
        ({OBJECT: {"exclude": True}}, options(summary="none")),
        ({OBJECT: {"exclude": False, "effort": "xhigh"}}, options(effort="xhigh")),
        ({OBJECT: {"exclude": True, "enabled": False}}, options(effort="none", summary="none")),
        ({OBJECT: {"exclude": True, "max_tokens": 9}}, options(budget=9, summary="none")),
        ({WORD: "low", OBJECT: {"max_tokens": 9}}, options(effort="low")),
        ({WORD: "low", OBJECT: {"x": 1}}, options(effort="low")),
        # nothing that OpenRouter would understand
        ({OBJECT: {}}, options()),
        ({OBJECT: None}, options()),
        ({OBJECT: "auto"}, options()),
        ({OBJECT: {"effort": 3, "max_tokens": True, "enabled": None}}, options()),
        ({OBJECT: {"effort": "", "max_tokens": -5}}, options()),
    ],
)
def test_effort_is_read_and_written_as_it_was(fields: Any, expected: Options) -> None:
    """For upstreams of other dialects, and for those of this one."""
    call = read(**fields)
    assert call.options == expected
    assert written(call) == fields


def test_what_a_model_lacks_is_not_asked_of_it() -> None:
    """In neither way."""
    for fields in ({OBJECT: {"effort": "high"}}, {WORD: "low", OBJECT: {"effort": "high"}}):
        assert written(without(read(**fields), [Capability.REASONING])) == {}
    assert written(without(read(**{OBJECT: {"x": 1}}), [Capability.REASONING])) == {
        OBJECT: {"x": 1}
    }


def test_call_that_no_longer_says_so_is_written_with_the_word() -> None:
    """As after a route filled in what the client had left open."""
    call = read(reasoning={"max_tokens": 2000})
    filled = attrs.evolve(call.options, reasoning_effort="low")
    assert written(call.changed(options=filled)) == {WORD: "low"}
    both = read(reasoning={"effort": "high"}, reasoning_effort="low")
    changed = both.changed(options=attrs.evolve(both.options, reasoning_effort="minimal"))
    assert written(changed) == {WORD: "minimal", OBJECT: {"effort": "high"}}


def test_budget_of_a_call_that_was_made_here_becomes_a_word() -> None:
    """Chat has no number of its own."""
    call = read().changed(options=options(budget=1000))
    assert written(call) == {WORD: "low"}


def test_object_is_no_loss() -> None:
    """What it says has a place in every dialect."""
    call = read(reasoning={"effort": "high"}, provider={"order": ["a"]})
    assert losses(call, "other", CLIENT.support) == ["provider"]


def test_headers_of_an_application_travel_with_the_call() -> None:
    """And go nowhere by themselves."""
    sent = {"http-referer": " https://a ", "x-title": "T", "x-openrouter-title": "", "cookie": "c"}
    call = SERVER.decode_request(json.dumps(BARE).encode(), Ask(headers=sent))
    assert call.headers == (("http-referer", "https://a"), ("x-title", "T"))
    assert CLIENT.headers(call) == ()
    assert read().headers == ()
