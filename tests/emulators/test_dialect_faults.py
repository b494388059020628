"""Every fault switch in every dialect: the same script breaks each of them in the same place."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.playback import BOM, COMMENT, HTML, NOT_HTTP
from lipstream.emulators.script import Script
from tests.emulators.asks import TONGUES, Tongue, answer, events_of, texts
from tests.emulators.raw_client import connect, events_in, read_to_end

pytestmark = pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.name)

WORDS = Script(words=5)


def words(count: int) -> list[str]:
    return Script(words=count).deltas()


async def test_whole_stream_has_every_word_and_ends(tongue: Tongue) -> None:
    """One event per word, then the terminal marker, in a terminated body."""
    raw = await answer(tongue, WORDS)
    assert texts(tongue, raw.events) == words(5)
    assert tongue.is_last(raw.events[-1])
    assert raw.is_terminated


async def test_cut_stream_ends_with_a_fin_and_no_terminator(tongue: Tongue) -> None:
    """Exactly so many content events arrive."""
    raw = await answer(tongue, Script(words=5, cut_after=2))
    assert (texts(tongue, raw.events), raw.is_terminated) == (words(2), False)


async def test_reset_stream_ends_with_an_rst(tongue: Tongue) -> None:
    """Nothing of what came before it is lost."""
    raw = await answer(tongue, Script(words=5, reset_after=3))
    assert (texts(tongue, raw.events), raw.ended) == (words(3), "reset")


async def test_hang_leaves_the_connection_open(tongue: Tongue) -> None:
    """Silence after so many content events; the entry says so."""
    async with Emulator(default=Script(words=5, hang_after=2)) as emulator:
        stream = await connect(emulator.port, tongue.ask())
        await emulator.ledger.wait_for(lambda ledger: any(e.outcome == "hung" for e in ledger))
        entry = emulator.ledger[0]
        assert (entry.chunks_sent, entry.closed_at) == (2, None)
        await stream.aclose()
        await emulator.ledger.wait_closed(entry)


async def test_hang_before_headers_and_reset_say_nothing(tongue: Tongue) -> None:
    """Not a byte, whatever the dialect."""
    raw = await answer(tongue, Script(reset_after=0))
    assert (raw.data, raw.ended) == (b"", "reset")
    assert (await answer(tongue, Script(garbage="head"))).data == NOT_HTTP
    assert len((await answer(tongue, Script(cut_in_head=10))).data) == 10


@pytest.mark.parametrize("stream", [True, False])
async def test_garbage_body_is_html(tongue: Tongue, stream: bool) -> None:
    """Under the right content type."""
    raw = await answer(tongue, Script(garbage="body"), stream=stream)
    assert (b"".join(raw.chunks) if stream else raw.body) in (HTML, HTML.replace(b"\n", b"\r\n"))


async def test_garbage_events_leave_the_rest_whole(tongue: Tongue) -> None:
    """They do not parse; every word is there all the same."""
    events = await events_of(tongue, Script(words=3, garbage="event", garbage_count=2))
    broken = [event for event in events if isinstance(event, str) and event != "[DONE]"]
    assert (len(broken), texts(tongue, events)) == (2, words(3))


async def test_missing_marker_leaves_the_body_terminated(tongue: Tongue) -> None:
    """All words and no end."""
    raw = await answer(tongue, Script(words=2, no_done=True))
    assert texts(tongue, raw.events) == words(2)
    assert not any(tongue.is_last(event) for event in raw.events)
    assert raw.is_terminated


async def test_missing_finish_reason_is_nowhere(tongue: Tongue) -> None:
    """No event says why it ended."""
    raw = await answer(tongue, Script(words=2, no_finish_reason=True))
    data = b"".join(raw.chunks)
    assert texts(tongue, raw.events) == words(2)
    for reason in (b'"stop"', b"end_turn", b'"STOP"', b'status":"completed","completed_at'):
        assert reason not in data


async def test_in_band_error_is_last_and_has_its_message(tongue: Tongue) -> None:
    """Inside a 200 that ends cleanly."""
    raw = await answer(tongue, Script(words=5, error_after=2, error_message="oops"))
    assert (raw.status, raw.is_terminated) == (200, True)
    assert texts(tongue, raw.events) == words(2)
    assert _message(raw.events[-1]) == "oops"


async def test_in_band_error_comes_alone_before_any_content(tongue: Tongue) -> None:
    """Nothing but the error, under a 200."""
    events = await events_of(tongue, Script(error_after=0, error_message="oops"))
    assert _message(events[0]) == "oops"
    raw = await answer(tongue, Script(error_after=0, error_message="oops"), stream=False)
    assert (raw.status, _message(raw.json)) == (200, "oops")


def _message(event: Any) -> str:
    error = event.get("error") or event["response"]["error"]
    return str(error["message"])


async def test_ignored_stream_is_json(tongue: Tongue) -> None:
    """One body though a stream was asked for."""
    raw = await answer(tongue, Script(text="ok", stream_ignored=True))
    assert raw.headers["content-type"].startswith("application/json")
    assert isinstance(raw.json, dict)


async def test_odd_but_legal_bytes(tongue: Tongue) -> None:
    """A byte order mark, comments, CR LF, single bytes: the events are the same."""
    script = Script(words=2, crlf=True, bom=True, comments=True, trickle=7)
    raw = await answer(tongue, script)
    body = b"".join(raw.chunks)
    assert body.startswith(BOM)
    assert body.count(COMMENT.replace(b"\n", b"\r\n")) == 3
    assert texts(tongue, raw.events) == words(2)


async def test_close_delimited_body_ends_with_the_connection(tongue: Tongue) -> None:
    """No framing, everything there."""
    raw = await answer(tongue, Script(words=2, close_delimited=True))
    assert "transfer-encoding" not in raw.headers
    assert texts(tongue, events_in(raw.body)) == words(2)


async def test_half_a_body_under_its_full_length(tongue: Tongue) -> None:
    """An answer in one piece that is cut."""
    raw = await answer(tongue, Script(words=5, cut_after=1), stream=False)
    assert 0 < len(raw.body) < int(raw.headers["content-length"])


async def test_unannounced_close_comes_after_a_kept_alive_answer(tongue: Tongue) -> None:
    """The head says keep-alive, then a FIN follows the whole body."""
    async with Emulator(default=Script(words=1, close_unannounced=True)) as emulator:
        ask = tongue.ask().replace(b"connection: close", b"x-a: b")
        raw = await read_to_end(await connect(emulator.port, ask))
        assert (raw.headers["connection"], raw.is_terminated) == ("keep-alive", True)


STATUSES = {
    "chat": {400: "invalid_request_error", 429: "requests", 500: "server_error"},
    "responses": {400: "invalid_request_error", 429: "requests", 500: "server_error"},
    "messages": {
        400: "invalid_request_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        529: "overloaded_error",
    },
    "gemini": {
        400: "INVALID_ARGUMENT",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    },
}


@pytest.mark.parametrize("stream", [True, False])
async def test_error_status_has_the_providers_body(tongue: Tongue, stream: bool) -> None:
    """The words of each provider, also where a stream was asked for."""
    for status, word in STATUSES[tongue.name].items():
        raw = await answer(tongue, Script(status=status), stream=stream)
        error = raw.json["error"]
        assert (raw.status, error["status" if tongue.name == "gemini" else "type"]) == (
            status,
            word,
        )
        assert error["message"]


async def test_retry_after_is_said_as_the_provider_says_it(tongue: Tongue) -> None:
    """In a header; Gemini has it among the details of the error alone."""
    raw = await answer(tongue, Script(status=429, retry_after=20))
    if tongue.name == "gemini":
        assert "retry-after" not in raw.headers
        infos = [d for d in raw.json["error"]["details"] if d["@type"].endswith("RetryInfo")]
        assert [info["retryDelay"] for info in infos] == ["20s"]
        return
    assert raw.headers["retry-after"] == "20"
    if tongue.name != "messages":
        assert raw.headers["x-ratelimit-reset-requests"] == "20s"


CODES = ("context_length_exceeded", "insufficient_quota", "rate_limit_exceeded", "model_not_found")


@pytest.mark.parametrize("code", CODES)
async def test_common_codes_have_words_in_every_dialect(tongue: Tongue, code: str) -> None:
    """A script may name the kind of error without knowing who answers it."""
    known = (await answer(tongue, Script(status=400, error_code=code))).json["error"]["message"]
    usual = (await answer(tongue, Script(status=400))).json["error"]["message"]
    assert known != usual


async def test_identity_headers_come_with_answers_and_errors(tongue: Tongue) -> None:
    """Each provider's own; a script's header of the same name takes its place."""
    name = {"messages": "request-id", "gemini": "server-timing"}.get(tongue.name, "x-request-id")
    for script in (WORDS, Script(status=500)):
        assert (await answer(tongue, script)).headers[name]
    raw = await answer(tongue, Script(headers=((name, "mine"),)))
    assert raw.head.lower().count(f"\r\n{name}:") == 1
    assert raw.headers[name] == "mine"
