"""NVIDIA's quirks: what its servers are sent, and how its answers and errors are read."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.capabilities import Capability, without
from lipstream.emulators import nvidia as emulated
from lipstream.emulators.dialect import Ask
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from lipstream.errors import ConfigError, FaultKind, UpstreamFault
from lipstream.routing.classify import Verdict, classify
from lipstream.upstream import http_exchange
from lipstream.upstream.client import Request
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.nvidia import MAX_FIELDS, MAX_VALUE, extra_body, poll
from tests.upstream.asking import asked, backend, chat, messages, responses, text_of

GOOD = Script(text="nvidia says so", input_tokens=3, output_tokens=7)
JUST_ASKED = {"model", "messages", "stream"}


def nim(emulator: Emulator, **settings: Any) -> HttpBackend:
    """A backend at an emulator's NVIDIA."""
    return backend("nvidia", emulator.origin + emulated.PREFIX, **settings)


async def sent(call: Call, **settings: Any) -> Any:
    """The body that NVIDIA gets for a call, which it takes."""
    async with Emulator(default=GOOD) as emulator:
        assert text_of(await asked(nim(emulator, **settings), call)) == GOOD.text
        (entry,) = emulator.ledger
    return entry.body


async def refused(script: Script, call: Call | None = None) -> UpstreamFault:
    """What an error response of NVIDIA's is taken for."""
    async with Emulator(default=script) as emulator:
        with pytest.raises(UpstreamFault) as caught:
            await asked(nim(emulator), call or chat())
    return caught.value


# ---------------------------------------------------------------- protocol and model


@pytest.mark.parametrize(
    ("call", "settings", "path"),
    [
        (chat(), {}, "chat/completions"),
        (messages(), {}, "chat/completions"),
        (responses(), {}, "responses"),
        (responses(), {"flavour": "chat"}, "chat/completions"),
        (chat(), {"flavour": "responses"}, "responses"),
        (messages(), {"flavour": "responses"}, "responses"),
    ],
)
@pytest.mark.parametrize("is_streaming", [True, False])
async def test_call_goes_out_in_its_own_protocol_or_in_chat(
    call: Call, settings: Any, path: str, is_streaming: bool
) -> None:
    """The configuration has the last word; the model is the candidate's."""
    async with Emulator(default=GOOD) as emulator:
        call = call.changed(is_streaming=is_streaming)
        assert text_of(await asked(nim(emulator, **settings), call, "meta/llama")) == GOOD.text
        (entry,) = emulator.ledger
    assert (entry.path, entry.model) == (f"/nvidia/v1/{path}", "meta/llama")
    assert entry.body.get("stream", False) is is_streaming


def test_blank_base_url_is_refused() -> None:
    """Where the service is has to be said, or to be left out."""
    with pytest.raises(ConfigError):
        backend("nvidia", " ")


# ---------------------------------------------------------------- patches


async def test_call_without_wishes_loses_only_the_wish_for_usage() -> None:
    """A client that streams and does not ask for it is not told."""
    assert set(await sent(chat())) == JUST_ASKED


async def test_limit_of_a_chat_answer_has_its_older_name() -> None:
    """Whatever name the client used; null is no limit."""
    body = await sent(chat(max_completion_tokens=19))
    assert {name: body[name] for name in body if "max" in name} == {"max_tokens": 19}
    body = await sent(chat(max_completion_tokens=19, max_tokens=7))
    assert {name: body[name] for name in body if "max" in name} == {"max_tokens": 19}
    assert set(await sent(chat(max_completion_tokens=None))) == JUST_ASKED
    assert (await sent(responses(max_output_tokens=20), flavour="chat"))["max_tokens"] == 20
    assert (await sent(messages()))["max_tokens"] == 4000


async def test_limit_of_a_response_keeps_its_name() -> None:
    """Chat's name means nothing there."""
    body = await sent(responses(max_output_tokens=20))
    assert {name: body[name] for name in body if "max" in name} == {"max_output_tokens": 20}
    body = await sent(messages(), flavour="responses")
    assert {name: body[name] for name in body if "max" in name} == {"max_output_tokens": 4000}


@pytest.mark.parametrize(
    "call",
    [
        chat(stream_options={"include_usage": True, "include_obfuscation": False}),
        chat(stream=False),  # which asks for a stream all the same
        messages(),
        responses(),
    ],
)
async def test_usage_is_asked_for_where_the_client_wants_it(call: Call) -> None:
    """In chat, by the one option that is known there; it comes."""
    async with Emulator(default=GOOD) as emulator:
        call = call.changed(is_streaming=True)
        events = await asked(nim(emulator, flavour="chat"), call)
        (entry,) = emulator.ledger
    assert entry.body["stream_options"] == {"include_usage": True}
    (usage,) = [event.usage for event in events if isinstance(event, e.UsageReported)]
    assert (usage.input_tokens, usage.output_tokens, usage.total) == (3, 7, 10)


async def test_stream_options_never_go_to_responses() -> None:
    """There they are about something else."""
    body = await sent(responses(stream_options={"include_obfuscation": False}))
    assert "stream_options" not in body


async def test_hints_to_openai_are_left_out_of_chat() -> None:
    """They change nothing of an answer, and are refused."""
    hints = {"prompt_cache_key": "k", "safety_identifier": "s", "prompt_cache_retention": "24h"}
    assert set(await sent(chat(**hints))) == JUST_ASKED


async def test_openrouters_way_to_say_an_effort_is_openais() -> None:
    """The object is refused; the word is known to some models."""
    body = await sent(chat(reasoning={"effort": "low"}, models=["a"], route="fallback"))
    assert set(body) == JUST_ASKED | {"reasoning_effort"}
    assert body["reasoning_effort"] == "low"
    call = without(chat(reasoning={"effort": "low"}), [Capability.REASONING])
    assert set(await sent(call)) == JUST_ASKED


# ---------------------------------------------------------------- extra fields


EXTRA = {
    "nvext": {"guided_json": {"type": "object"}, "max_thinking_tokens": 5},
    "chat_template_kwargs": {"thinking": False},
    "guided_regex": "a+",
    "top_k": 4,
    "repetition_penalty": 1.5,
    "ignore_eos": False,
}


async def test_extra_fields_go_over_from_clients_of_either_protocol() -> None:
    """As they stand."""
    for call in (chat(**EXTRA), responses(**EXTRA)):
        for flavour in ("chat", "responses"):
            body = await sent(call, flavour=flavour)
            found = {name: body[name] for name in EXTRA if name in body}
            is_known = call.dialect == "openai_chat" and flavour == "responses"
            assert found == {n: v for n, v in EXTRA.items() if not (is_known and n == "top_k")}


async def test_extra_field_counts_more_than_what_was_made_up() -> None:
    """A Responses client that says chat's word means it."""
    call = responses(reasoning={"effort": "low"}, reasoning_effort="high", max_completion_tokens=5)
    body = await sent(call, flavour="chat")
    assert (body["reasoning_effort"], body["max_tokens"]) == ("high", 5)
    assert "max_completion_tokens" not in body


@pytest.mark.parametrize("name", ["", "a.b", "a[0]", "1a", "a b", "é", "x" * 65])
def test_unsafe_name_is_left_out(name: str) -> None:
    """Letters, digits and underscores, 64 at most, no digit in front."""
    assert extra_body(chat(**{name: 1, "ok_1": 1})) == {"ok_1": 1}


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_field_that_says_nothing_is_left_out(value: Any) -> None:
    """As if it were not there; false and 0 say something."""
    assert extra_body(chat(a=value, b=False, c=0)) == {"b": False, "c": 0}


def test_field_may_be_large_but_not_larger() -> None:
    """16 KiB of JSON."""
    fits, too_large = "x" * (MAX_VALUE - 2), "x" * (MAX_VALUE - 1)
    assert extra_body(chat(fits=fits, too_large=too_large)) == {"fits": fits}


def test_first_fields_are_taken_of_too_many() -> None:
    """In the order of the document, those that do not fit left aside."""
    fields = {"a.b": 1, "empty": None} | {f"z{n}": n for n in range(MAX_FIELDS + 2, 0, -1)}
    expected = {f"z{n}": n for n in range(MAX_FIELDS + 2, 2, -1)}
    found = extra_body(chat(**fields))
    assert list(found.items()) == list(expected.items())


def test_fields_of_others_are_not_taken() -> None:
    """What either protocol or OpenRouter has, and what makes up a request."""
    theirs = {"provider": {}, "plugins": [1], "trace": {"a": 1}, "usage": {"include": True}}
    known = {"store": False, "logit_bias": {"1": 2}, "prediction": {"type": "content"}}
    assert extra_body(chat(**theirs, **known, input="x", instructions="y")) == {}
    assert extra_body(responses(**theirs, truncation="auto", messages=[1])) == {}
    assert extra_body(messages(nvext={"a": 1})) == {}


async def test_fields_over_the_limits_do_not_reach_the_server() -> None:
    """Not from clients of the same protocol either; what OpenAI documents does."""
    body = await sent(chat(**{"a.b": 1, "big": "x" * MAX_VALUE, "logit_bias": {"1": 2}, "c": 3}))
    assert set(body) == JUST_ASKED | {"logit_bias", "c"}


def test_fields_that_go_over_are_not_told_as_lost() -> None:
    """The others are."""
    upstream = backend("nvidia", "http://127.0.0.1:9/v1", flavour="chat")
    assert upstream.dropped(responses(nvext={"a": 1}, truncation="auto")) == ["truncation"]
    assert upstream.dropped(chat(nvext={"a": 1}, provider={"a": 1})) == []


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        (Script(status=400, error_message="[{'type': 'missing'}]"), FaultKind.BAD_REQUEST,
         "bad-request"),
        (Script(status=422), FaultKind.BAD_REQUEST, None),
        (Script(status=400, error_code="context_length_exceeded"), FaultKind.CONTEXT_LENGTH,
         "bad-request"),
        (Script(status=401), FaultKind.CREDENTIALS, "unauthorized"),
        (Script(status=402), FaultKind.CREDENTIALS, "payment-required"),
        (Script(status=403), FaultKind.CREDENTIALS, "forbidden"),
        (Script(status=404), FaultKind.NOT_FOUND, "not-found"),
        (Script(status=410), FaultKind.NOT_FOUND, "gone"),
        (Script(status=429), FaultKind.RATE_LIMIT, "too-many-requests"),
        (Script(status=500), FaultKind.SERVER, "internal-server-error"),
        (Script(status=503), FaultKind.OVERLOADED, "service-unavailable"),
        (Script(status=529), FaultKind.OVERLOADED, "server-error"),
    ],
)  # fmt: skip
async def test_problem_details_are_read(script: Script, kind: FaultKind, code: str | None) -> None:
    """They have no ``error``; the type's last word is the code."""
    fault = await refused(script)
    assert (fault.kind, fault.status) == (kind, script.status)
    assert code is None or fault.code == code


async def test_function_that_is_degraded_is_not_the_clients_fault() -> None:
    """It comes as a 400; another candidate may do."""
    words = "Function id '9b96341b': DEGRADED function cannot be invoked"
    fault = await refused(Script(status=400, error_message=words))
    assert (fault.kind, classify(fault)) == (FaultKind.OVERLOADED, Verdict.ELSEWHERE)


async def test_field_that_is_refused_is_the_clients_fault() -> None:
    """With the server's words for the log."""
    fault = await refused(GOOD, responses(max_tokens=3))
    assert (fault.kind, classify(fault)) == (FaultKind.BAD_REQUEST, Verdict.GIVE_UP)
    assert "max_tokens" in (fault.detail or "")


@pytest.mark.parametrize("call", [chat(), responses()])
async def test_problem_in_a_stream_ends_it(call: Call) -> None:
    """As what it names, without a normal end."""
    async with Emulator(default=Script(words=9, error_after=2)) as emulator:
        events = await asked(nim(emulator), call)
    assert isinstance(events[-1], e.StreamFailed)
    assert (events[-1].fault.kind, events[-1].fault.status) == (FaultKind.SERVER, 500)
    assert text_of(events) == "word1 word2"


# ---------------------------------------------------------------- keys


def by_key(ask: Ask) -> Script:
    """A service that knows one key of two."""
    return GOOD if ask.credential == "good" else Script(status=401)


@pytest.mark.parametrize("refusal", [Script(status=401), Script(status=429, retry_after=1)])
async def test_second_key_is_tried(refusal: Script) -> None:
    """After a refusal for the first one's sake."""

    def choose(ask: Ask) -> Script:
        return GOOD if ask.credential == "good" else refusal

    async with Emulator(choose=choose) as emulator:
        events = await asked(nim(emulator, api_key="bad", api_keys=["good"]), chat())
        keys = [entry.headers["authorization"] for entry in emulator.ledger]
    assert text_of(events) == GOOD.text
    assert keys == ["Bearer bad", "Bearer good"]


async def test_only_key_is_tried_once() -> None:
    """Refused for its sake, and another candidate may do."""
    async with Emulator(choose=by_key) as emulator:
        with pytest.raises(UpstreamFault) as caught:
            await asked(nim(emulator), chat())
        assert len(emulator.ledger) == 1
    assert classify(caught.value) is not Verdict.GIVE_UP


# ---------------------------------------------------------------- answers that come later


LATER = Script(status=202)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real servers are asked once a second."""
    monkeypatch.setattr(http_exchange, "POLL_PAUSE", 0.0)


@pytest.mark.parametrize("is_streaming", [True, False])
@pytest.mark.parametrize("call", [chat(), responses()])
async def test_answer_that_was_promised_is_fetched(call: Call, is_streaming: bool) -> None:
    """From the same origin, with the key, until it is there."""
    async with Emulator({"m": [LATER, LATER, LATER, GOOD]}) as emulator:
        events = await asked(nim(emulator), call.changed(is_streaming=is_streaming))
        first, *polls = emulator.ledger
    assert text_of(events) == GOOD.text
    assert [poll.method for poll in polls] == ["GET"] * 3
    assert len({poll.path for poll in polls}) == 1
    assert polls[0].path.startswith("/v2/nvcf/pexec/status/")
    for entry in polls:
        assert entry.headers["authorization"] == first.headers["authorization"]
        assert entry.headers["nvcf-poll-seconds"] == "30"
        assert "content-type" not in entry.headers
    assert {entry.connection for entry in polls} == {first.connection}


async def test_promise_that_is_broken_is_a_fault() -> None:
    """Of the kind that its status says; another key is tried where that helps."""
    async with Emulator({"m": [LATER, Script(status=503)]}) as emulator:
        with pytest.raises(UpstreamFault) as caught:
            await asked(nim(emulator), chat())
    assert caught.value.kind is FaultKind.OVERLOADED
    async with Emulator({"m": [LATER, Script(status=401), GOOD]}) as emulator:
        events = await asked(nim(emulator, api_keys=["k2"]), chat())
        methods = [(entry.method, entry.headers["authorization"]) for entry in emulator.ledger]
    assert text_of(events) == GOOD.text
    assert methods == [("POST", "Bearer k1"), ("GET", "Bearer k1"), ("POST", "Bearer k2")]


async def test_promise_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is an answer that is no answer."""
    monkeypatch.setattr(http_exchange, "MAX_POLLS", 4)
    async with Emulator(default=LATER) as emulator:
        with pytest.raises(UpstreamFault) as caught:
            await asked(nim(emulator), chat())
        assert len(emulator.ledger) == 1 + 4
    assert (caught.value.kind, caught.value.status) == (FaultKind.PROTOCOL, 202)


@pytest.mark.parametrize(
    ("status", "request_id"), [(200, "a"), (202, ""), (202, "../x"), (202, "a" * 129), (302, "a")]
)
def test_only_a_promise_with_an_id_is_fetched(status: int, request_id: str) -> None:
    """And nothing but an id comes into the path."""
    request = Request(b"POST", b"/v1/chat/completions", [], b"{}")
    assert poll(request, status, {"nvcf-reqid": request_id}) is None
