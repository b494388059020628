"""OpenRouter's quirks: what only it is told, and what it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.emulators import openrouter as emulated
from lipstream.emulators.dialect import Ask
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from lipstream.errors import ConfigError, FaultKind, UpstreamFault
from lipstream.routing.classify import Verdict, classify
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.openrouter import headers, read_error
from tests.upstream.asking import asked, backend, chat, messages, responses, text_of

GOOD = Script(text="or-stream-ok", input_tokens=3, output_tokens=7)
WORD, OBJECT = "reasoning_effort", "reasoning"
FIELDS: dict[str, Any] = {
    "provider": {"order": ["Anthropic"], "allow_fallbacks": False},
    "models": ["a/b", "c/d"],
    "route": "fallback",
    "plugins": [{"id": "web"}],
    "prediction": {"type": "content", "content": "x"},
    "debug": {"echo_upstream_body": True},
    "service_tier": "flex",
    "session_id": "s-1",
    "stop_server_tools_when": {"max_steps": 3},
    "trace": {"id": "t"},
    "include": ["reasoning.encrypted_content"],
    "user": "u-1",
    "response_format": {"type": "json_object"},
    "reasoning": {"effort": "high"},
}
"""All that clients of either protocol write for OpenRouter."""

APPLICATION = (
    ("http-referer", "https://app.example"),
    ("x-openrouter-title", "An App"),
    ("x-openrouter-categories", "cli-agent"),
    ("x-openrouter-metadata", "enabled"),
)


def router(emulator: Emulator, **settings: Any) -> HttpBackend:
    """A backend at an emulator's OpenRouter."""
    return backend("openrouter", emulator.origin + emulated.PREFIX, **settings)


async def entry(call: Call, **settings: Any) -> Any:
    """What OpenRouter gets for a call, which it takes."""
    async with Emulator(default=GOOD) as emulator:
        assert text_of(await asked(router(emulator, **settings), call)) == GOOD.text
        (found,) = emulator.ledger
    return found


async def body(call: Call, **settings: Any) -> Any:
    """The body of it."""
    return (await entry(call, **settings)).body


# ---------------------------------------------------------------- fields


async def test_fields_of_a_chat_client_arrive_as_they_were() -> None:
    """All of them, fallbacks included; nothing is made up beside them."""
    found = await body(chat(**FIELDS))
    assert {name: found[name] for name in FIELDS} == FIELDS
    assert set(found) == {*FIELDS, "model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize("flavour", ["chat", "responses"])
@pytest.mark.parametrize("call", [chat(**FIELDS), responses(**FIELDS)], ids=["chat", "responses"])
async def test_fields_arrive_from_clients_of_either_protocol(call: Call, flavour: str) -> None:
    """In whichever protocol OpenRouter is asked; chat's format has a name of its own elsewhere."""
    found = await body(call, flavour=flavour)
    if flavour == "responses" and call.dialect == "openai_chat":
        found["response_format"] = found["text"]["format"]
    assert {name: found.get(name) for name in FIELDS} == FIELDS
    assert WORD not in found


async def test_fields_that_are_null_say_nothing_in_the_other_protocol() -> None:
    """And clients of other protocols have none of them."""
    found = await body(responses(provider=None, models=None), flavour="chat")
    assert not {"provider", "models"} & set(found)


def test_fields_that_arrive_are_not_told_as_lost() -> None:
    """What OpenRouter does not have is."""
    upstream = backend("openrouter", "http://127.0.0.1:9", flavour="chat")
    assert upstream.dropped(responses(**FIELDS, truncation="auto")) == ["truncation"]
    summary = responses(reasoning={"summary": "auto", "effort": "low"})
    assert upstream.dropped(summary) == []


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (messages(thinking={"type": "enabled", "budget_tokens": 2048}), {"max_tokens": 2048}),
        (messages(), None),
        (messages(thinking={"type": "disabled"}), {"effort": "none"}),
        (responses(reasoning={"effort": "low"}), {"effort": "low"}),
        (responses(reasoning={"effort": "max", "summary": "auto"}),
         {"effort": "xhigh", "summary": "auto"}),
        (responses(reasoning={"max_tokens": 9, "exclude": True}),
         {"max_tokens": 9, "exclude": True}),
        (responses(reasoning={"effort": "none", "summary": "none"}),
         {"effort": "none", "exclude": True}),
        (messages(thinking={"type": "adaptive"}), {"enabled": True}),
    ],
)  # fmt: skip
async def test_reasoning_of_other_protocols_becomes_the_object(call: Call, expected: Any) -> None:
    """A word or a number of tokens, and never chat's word beside it."""
    found = await body(call, flavour="chat")
    assert (found.get(OBJECT), found.get(WORD)) == (expected, None)


@pytest.mark.parametrize(
    ("given", "path"),
    [({}, "chat/completions"), ({"flavour": "responses"}, "responses")],
)
async def test_protocol_is_the_configurations_choice(given: Any, path: str) -> None:
    """Where it leaves the choice, other clients' calls go out in chat."""
    assert (await entry(messages(), **given)).path == f"/api/v1/{path}"
    own = await entry(responses(), **({"flavour": "chat"} if not given else {}))
    assert own.path == f"/api/v1/{path}"


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize("ask", [chat, responses])
async def test_headers_of_the_application_arrive(ask: Any) -> None:
    """The title under both of its names."""
    found = (await entry(ask(*APPLICATION))).headers
    assert {name: found[name] for name, _ in APPLICATION} == dict(APPLICATION)
    assert found["x-title"] == "An App"


async def test_headers_of_the_request_count_more_than_configured_ones() -> None:
    """One by one: the title that only the configuration has is sent."""
    settings = {"static_referer": "https://static.example", "static_title": "Static"}
    found = (await entry(chat(APPLICATION[0]), **settings)).headers
    assert (found["http-referer"], found["x-title"]) == ("https://app.example", "Static")
    assert found["x-openrouter-title"] == "Static"
    found = (await entry(messages(), **settings)).headers
    assert found["http-referer"] == "https://static.example"


async def test_plain_headers_count_more_than_static_ones() -> None:
    """They are what the operator wrote down word by word."""
    settings = {"static_title": "Static", "headers": {"X-Title": "Plain"}}
    found = (await entry(chat(), **settings)).headers
    assert (found["x-title"], found["x-openrouter-title"]) == ("Plain", "Static")


def test_older_name_of_the_title_is_understood() -> None:
    """The newer one counts where both are there."""
    older, newer = ("x-title", "Old"), ("x-openrouter-title", "New")
    assert dict(headers(chat(older))) == {"x-title": "Old", "x-openrouter-title": "Old"}
    assert dict(headers(chat(older, newer))) == {"x-title": "New", "x-openrouter-title": "New"}
    assert headers(chat(("authorization", "secret"), ("cookie", "c"))) == []


@pytest.mark.parametrize("kind", ["openai", "nvidia", "openai-responses"])
@pytest.mark.parametrize("ask", [chat, responses])
async def test_nobody_else_gets_to_see_the_application(kind: str, ask: Any) -> None:
    """A client tells OpenRouter, not the whole world."""
    async with Emulator(default=GOOD) as emulator:
        await asked(backend(kind, emulator.base_url), ask(*APPLICATION, ("x-title", "Old")))
        (found,) = emulator.ledger
    assert {"http-referer", "x-title"} & set(found.headers) == set()
    assert [name for name in found.headers if "openrouter" in name] == []


@pytest.mark.parametrize("settings", [{"static_referer": "ftp://x"}, {"static_title": "a\nb"}])
def test_static_values_are_checked(settings: Any) -> None:
    """They become headers."""
    with pytest.raises(ConfigError):
        backend("openrouter", "http://127.0.0.1:9", **settings)


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("call", [chat(), responses(), messages()])
@pytest.mark.parametrize("is_streaming", [True, False])
async def test_cost_is_read(call: Call, is_streaming: bool) -> None:
    """In dollars, as OpenRouter says it; comments before the answer mean nothing."""
    async with Emulator(default=GOOD) as emulator:
        events = await asked(router(emulator), call.changed(is_streaming=is_streaming))
    usage = [event.usage for event in events if isinstance(event, e.UsageReported)][-1]
    assert (usage.input_tokens, usage.output_tokens, usage.cost) == (3, 7, emulated.COST)
    assert text_of(events) == GOOD.text


@pytest.mark.parametrize("is_streaming", [True, False])
async def test_details_of_reasoning_come_back_as_they_were(is_streaming: bool) -> None:
    """The signature is part of them."""
    script = Script(text="ok", reasoning="Let me see.")
    async with Emulator(default=script) as emulator:
        events = await asked(router(emulator), chat(stream=is_streaming))
    (end,) = [event for event in events if isinstance(event, e.PartFinished)]
    assert end.seal is not None
    assert end.seal.dialect == "openai_chat"
    details = end.seal.fields["reasoning_details"]
    assert "".join(detail.get("text", "") for detail in details) == "Let me see."
    assert [detail["signature"] for detail in details if "signature" in detail] != []


async def test_details_of_reasoning_go_back_untouched() -> None:
    """As a chat client brings them."""
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s==", "index": 0, "x": None}]
    turn = {"role": "assistant", "content": "ok", "reasoning": "hm", "reasoning_details": details}
    found = await body(chat(messages=[turn, {"role": "user", "content": "go on"}]))
    assert found["messages"][0] == turn


@pytest.mark.parametrize("call", [chat(), responses()])
async def test_stream_that_goes_wrong_is_a_failure(call: Call) -> None:
    """The chunk names the error and finishes its choice with one; no end is made up."""
    async with Emulator(default=Script(words=9, error_after=2)) as emulator:
        events = await asked(router(emulator), call)
    assert isinstance(events[-1], e.StreamFailed)
    assert events[-1].fault.kind is FaultKind.SERVER
    assert text_of(events) == "word1 word2"
    assert not any(isinstance(event, e.MessageFinished) for event in events)


async def test_choice_that_finishes_with_an_error_is_a_failure() -> None:
    """Also where the chunk has no error object."""
    async with Emulator(default=Script(words=2, finish_reason="error")) as emulator:
        events = await asked(router(emulator), chat())
    assert isinstance(events[-1], e.StreamFailed)


# ---------------------------------------------------------------- errors

FLAGGED = {"reasons": ["violence"], "flagged_input": "...", "provider_name": "P"}


def fault(status: int, metadata: Any = None, **more: str) -> UpstreamFault:
    """What an error response is taken for."""
    error = {"code": status, "message": "no"} | ({} if metadata is None else {"metadata": metadata})
    return read_error(status, more, json.dumps({"error": error, "user_id": "u"}).encode())


@pytest.mark.parametrize(
    ("found", "kind", "verdict"),
    [
        (fault(400), FaultKind.BAD_REQUEST, Verdict.GIVE_UP),
        (fault(401), FaultKind.CREDENTIALS, Verdict.ROTATE),
        (fault(402), FaultKind.CREDENTIALS, Verdict.ROTATE),
        (fault(402, {"limit_source": "openrouter_in_flight_budget"}, **{"retry-after": "3"}),
         FaultKind.RATE_LIMIT, Verdict.ROTATE),
        (fault(403), FaultKind.CREDENTIALS, Verdict.ROTATE),
        (fault(403, FLAGGED), FaultKind.CONTENT_FILTER, Verdict.GIVE_UP),
        (fault(408), FaultKind.TRANSIENT, Verdict.ELSEWHERE),
        (fault(429, {"provider_name": "P", "raw": "slow down"}), FaultKind.RATE_LIMIT,
         Verdict.ROTATE),
        (fault(502, {"provider_name": "P", "raw": "bad"}), FaultKind.SERVER, Verdict.ELSEWHERE),
        (fault(503), FaultKind.OVERLOADED, Verdict.ELSEWHERE),
        (fault(400, {"raw": '{"message": "maximum context length is 9"}'}),
         FaultKind.CONTEXT_LENGTH, Verdict.ELSEWHERE),
        (fault(400, {"error_type": "content_policy_violation"}), FaultKind.CONTENT_FILTER,
         Verdict.GIVE_UP),
        (fault(502, {"error_type": "provider_overloaded"}), FaultKind.OVERLOADED,
         Verdict.ELSEWHERE),
        (fault(400, ["no", "object"]), FaultKind.BAD_REQUEST, Verdict.GIVE_UP),
    ],
)  # fmt: skip
def test_metadata_say_more_than_the_status(
    found: UpstreamFault, kind: FaultKind, verdict: Verdict
) -> None:
    """What went wrong with the provider behind, and what a moderation objected to."""
    assert (found.kind, classify(found)) == (kind, verdict)


def test_words_of_the_provider_behind_are_kept() -> None:
    """For records."""
    found = fault(502, {"provider_name": "P", "raw": "it fell over"})
    assert "it fell over" in (found.detail or "")


@pytest.mark.parametrize(
    ("given", "more", "expected"),
    [
        ({"Retry-After": "17"}, {}, 17.0),
        ({"Retry-After": 17}, {}, 17.0),
        ({"Retry-After": "17"}, {"retry-after": "3"}, 3.0),
        ({"X-RateLimit-Reset": "1445428860000"}, {"date": "Wed, 21 Oct 2015 12:00:00 GMT"}, 60.0),
        ({"Retry-After": None}, {}, None),
        (["Retry-After"], {}, None),
    ],
)
def test_headers_of_the_provider_behind_are_read(given: Any, more: Any, expected: Any) -> None:
    """OpenRouter's own count more."""
    assert fault(429, {"headers": given}, **more).retry_after == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"error": "no"}', b"\xff", b"[" * 9999])
def test_error_in_another_shape_is_read_by_its_status(body: bytes) -> None:
    """A gateway in between has its own."""
    assert read_error(502, {}, body).kind is FaultKind.SERVER


async def test_second_key_is_tried_and_moderation_is_nobodys_key() -> None:
    """The first one has no credit left; what is flagged is flagged for every key."""

    def choose(ask: Ask) -> Script:
        return GOOD if ask.credential == "k2" else Script(status=402)

    async with Emulator(choose=choose) as emulator:
        events = await asked(router(emulator, api_keys=["k2"]), chat())
        assert len(emulator.ledger) == 2
    assert text_of(events) == GOOD.text
    async with Emulator(default=Script(status=403, error_code="moderation")) as emulator:
        with pytest.raises(UpstreamFault) as caught:
            await asked(router(emulator, api_keys=["k2"]), chat())
        assert len(emulator.ledger) == 1
    assert caught.value.kind is FaultKind.CONTENT_FILTER
