"""After the first word nothing is retried and nothing is faked: a stream that breaks off says so,
and a client that does not stream gets the error in its status."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from lipstream.emulators.script import Script, ToolCall
from lipstream.lifecycle.exchange import ExchangeState
from tests.e2e.harness import proxying
from tests.e2e.wire import DONE, chat

GOOD = Script(words=3)
HEAD = "word1 word2"


@attrs.frozen
class Row:
    """One way to break off after two words.

    Attributes:
        reason: Of the attempt and of the exchange.
        status: What a client gets that does not stream.
    """

    name: str
    script: Script
    reason: str
    status: int
    code: str | None
    routing: dict[str, Any] = attrs.field(factory=dict)


def breaks(**fault: Any) -> Script:
    """A script that says two words before its fault strikes."""
    return Script(words=6, **fault)


LIMIT = "rate_limit_exceeded"
BROKEN = breaks(garbage="event", garbage_at=2, garbage_count=3)
TOO_LATE = {"deadline": 0.4}
SILENT = {"idle": 0.2}

ROWS = [
    Row("cut", breaks(cut_after=2), "truncated", 502, "upstream_truncated"),
    Row("clean end", Script(words=2, no_done=True, no_finish_reason=True), "truncated", 502,
        "upstream_truncated"),
    Row("close", Script(words=2, no_done=True, no_finish_reason=True, close_delimited=True),
        "truncated", 502, "upstream_truncated"),
    Row("reset", breaks(reset_after=2), "read", 502, "upstream_error"),
    Row("error", breaks(error_after=2), "server", 502, "upstream_error"),
    Row("limit", breaks(error_after=2, error_code=LIMIT), "rate_limit", 429, LIMIT),
    Row("filter", breaks(error_after=2, error_code="content_filter"), "content_filter", 400,
        "content_filter"),
    Row("stall", breaks(hang_after=2), "idle", 504, "upstream_timeout", SILENT),
    Row("deadline", breaks(hang_after=2), "deadline", 504, "timeout", TOO_LATE),
    Row("garbage", BROKEN, "protocol", 502, "upstream_error"),
]  # fmt: skip

by_name = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))


@by_name
async def test_stream_that_breaks_off_ends_in_an_error_frame(row: Row) -> None:
    """The client keeps what it has, learns why there is no more, and sees no normal end."""
    async with proxying({"a": row.script, "b": GOOD}, routing=row.routing) as proxy:
        reply = await proxy.post(chat("a:m|b:m"))
        record = await proxy.record()
        asked = len(proxy.ledger("b"))
    assert (reply.status, reply.ended) == (200, "complete")
    assert "".join(event.text for event in reply.events[:-1]) == HEAD
    assert reply.error["code"] == row.code
    assert DONE not in [event.data for event in reply.events]
    assert finish_reasons([event.json for event in reply.events]) == set()
    assert asked == 0
    assert record.ending.state is ExchangeState.TRUNCATED
    assert (record.ending.reason, record.attempts[0].reason) == (row.reason, row.reason)
    assert (record.status, record.winner) == (200, 1)


def finish_reasons(chunks: list[Any]) -> set[str]:
    """The finish reasons that were told."""
    choices = [choice for chunk in chunks for choice in chunk.get("choices", [])]
    return {choice["finish_reason"] for choice in choices if choice["finish_reason"]}


@by_name
async def test_whole_answer_that_breaks_off_is_an_http_error(row: Row) -> None:
    """A client that does not stream has nothing yet, so its error is a status."""
    async with proxying({"a": row.script, "b": GOOD}, routing=row.routing) as proxy:
        reply = await proxy.post(chat("a:m|b:m", stream=False))
        record = await proxy.record()
        asked = len(proxy.ledger("b"))
    assert (reply.status, reply.error["code"]) == (row.status, row.code)
    assert b"word1" not in reply.body
    assert asked == 0
    assert record.ending.reason == row.reason


async def test_broken_race_winner_is_not_replaced() -> None:
    """The losers were let go of when the winner said its first word."""
    late = Script(words=3, content_after=0.3)
    async with proxying({"a": breaks(cut_after=2), "b": late}) as proxy:
        reply = await proxy.post(chat("a:m!b:m"))
        await proxy.upstream_closed()
    assert reply.error["code"] == "upstream_truncated"
    assert "".join(event.text for event in reply.events[:-1]) == HEAD


async def test_tool_call_that_breaks_off_is_no_tool_call() -> None:
    """Half of a call's arguments must never look like the whole of them."""
    call = ToolCall("weather", '{"city": "Köln", "days": 3, "unit": "celsius"}')
    async with proxying({"a": Script(tool_calls=(call,), cut_after=3)}) as proxy:
        stream = await proxy.post(chat("a:m"))
        whole = await proxy.post(chat("a:m", stream=False))
    assert stream.error["code"] == "upstream_truncated"
    assert finish_reasons([event.json for event in stream.events]) == set()
    assert whole.status == 502


# ---------------------------------------------------------------- what is no fault


@pytest.mark.parametrize(
    "script",
    [
        Script(words=3, no_done=True),
        Script(words=3, no_finish_reason=True),
        Script(words=3, close_delimited=True),
        Script(words=3, close_unannounced=True),
        Script(words=3, stream_ignored=True),
        Script(words=3, crlf=True, bom=True, comments=True, trickle=7),
    ],
    ids=["no-done", "no-reason", "no-framing", "close", "json", "odd-bytes"],
)
async def test_odd_but_complete_answer_has_a_normal_end(script: Script) -> None:
    """A finish reason or an end marker is enough, and any framing will do."""
    async with proxying({"a": script}) as proxy:
        stream = await proxy.post(chat("a:m"))
        whole = await proxy.post(chat("a:m", stream=False))
    assert (stream.text, stream.is_done) == ("word1 word2 word3", True)
    assert finish_reasons([event.json for event in stream.events[:-1]]) == {"stop"}
    assert (whole.status, whole.text) == (200, "word1 word2 word3")


async def test_empty_answer_is_an_answer() -> None:
    """A model may say nothing at all, as long as it says that it has finished."""
    async with proxying({"a": Script(text="")}) as proxy:
        stream = await proxy.post(chat("a:m"))
        whole = await proxy.post(chat("a:m", stream=False))
    assert (stream.text, stream.is_done) == ("", True)
    assert (whole.status, whole.text) == (200, "")


async def test_one_bad_event_is_dropped_and_counted() -> None:
    """A single event that cannot be read costs nothing but a note in the record."""
    async with proxying({"a": Script(words=4, garbage="event", garbage_at=2)}) as proxy:
        reply = await proxy.post(chat("a:m"))
        record = await proxy.record()
    assert (reply.text, reply.is_done) == ("word1 word2 word3 word4", True)
    assert [attempt.dropped_events for attempt in record.attempts] == [1]
    assert record.ending.reason == "complete"


async def test_two_bad_events_in_a_row_are_dropped() -> None:
    """The third one is the fault."""
    script = Script(words=4, garbage="event", garbage_at=2, garbage_count=2)
    async with proxying({"a": script}) as proxy:
        reply = await proxy.post(chat("a:m"))
        record = await proxy.record()
    assert reply.is_done
    assert [attempt.dropped_events for attempt in record.attempts] == [2]
