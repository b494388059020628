"""What an upstream can do wrong before its first word: another one answers, and where there is no
other one the client is told in a plain HTTP error."""

from __future__ import annotations

import time
from typing import Any

import attrs
import pytest

from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, Upstream, proxying
from tests.e2e.upstreams import refusing
from tests.e2e.wire import Reply, chat

GOOD = Script(words=3)
ONCE = {"max_attempts": 1}


@attrs.frozen
class Row:
    """One row of the table of failures.

    Attributes:
        upstream: What fails; None for a port where nobody listens.
        reason: Of the attempt, in its record.
        status: What the client gets if this was the last word.
        is_final: No other candidate is asked.
    """

    name: str
    upstream: Script | None
    reason: str
    status: int
    code: str | None
    retry_after: str | None = None
    is_final: bool = False
    routing: dict[str, Any] = attrs.field(factory=dict)

    def start(self) -> Upstream:
        """The upstream, new."""
        return self.upstream if self.upstream is not None else refusing()


LOCKED = "upstream_credentials_exhausted"
LIMIT = "rate_limit_exceeded"
BUSY = "upstream_overloaded"
TOO_LONG = "context_length_exceeded"
PAGE = b"<html>Bad gateway</html>"

ROWS = [
    Row("refused", None, "connect", 502, "upstream_unreachable"),
    Row("reset", Script(reset_after=0), "read", 502, "upstream_error"),
    Row("cut in the head", Script(cut_in_head=30), "protocol", 502, "upstream_error"),
    Row("no HTTP", Script(garbage="head"), "protocol", 502, "upstream_error"),
    Row("a page of HTML", Script(garbage="body"), "protocol", 502, "upstream_error"),
    Row(
        "three bad events",
        Script(garbage="event", garbage_at=0, garbage_count=3),
        "protocol",
        502,
        "upstream_error",
    ),
    Row("silent", Script(role_chunk=True, hang_after=0), "idle", 504, "upstream_timeout",
        routing={"idle": 0.2}),
    Row("deaf", Script(hang_before_headers=True), "idle", 504, "upstream_timeout",
        routing={"idle": 0.2}),
    Row("400", Script(status=400), "bad_request", 400, None, is_final=True),
    Row("413", Script(status=413), "bad_request", 413, None, is_final=True),
    Row("422", Script(status=422), "bad_request", 422, None, is_final=True),
    Row("too long", Script(status=400, error_code=TOO_LONG), "context_length", 400, TOO_LONG),
    Row(
        "too long by its words",
        Script(status=413, error_code="large", error_message="The prompt is too long: 9 tokens"),
        "context_length",
        413,
        TOO_LONG,
    ),
    Row(
        "filter",
        Script(status=400, error_code="content_filter"),
        "content_filter",
        400,
        "content_filter",
        is_final=True,
    ),
    Row(
        "policy",
        Script(status=400, error_code="content_policy_violation"),
        "content_filter",
        400,
        "content_filter",
        is_final=True,
    ),
    Row("401", Script(status=401), "credentials", 502, LOCKED),
    Row("402", Script(status=402), "credentials", 502, LOCKED),
    Row("403", Script(status=403), "credentials", 502, LOCKED),
    Row("no money", Script(status=429, error_code="insufficient_quota"), "credentials", 502,
        LOCKED),
    Row("404", Script(status=404), "not_found", 404, "model_not_found"),
    Row("408", Script(status=408), "transient", 502, "upstream_error"),
    Row("409", Script(status=409), "transient", 502, "upstream_error"),
    Row("425", Script(status=425), "transient", 502, "upstream_error"),
    Row("429", Script(status=429, retry_after=40), "rate_limit", 429, LIMIT, "40"),
    Row("429 without a time", Script(status=429, error_message="Slow down"), "rate_limit", 429,
        LIMIT, "60"),
    Row("500", Script(status=500), "server", 502, "upstream_error"),
    Row("502", Script(status=502, error_body=PAGE), "server", 502, "upstream_error"),
    Row("503", Script(status=503, retry_after=50), "overloaded", 503, BUSY, "50"),
    Row("504", Script(status=504), "server", 502, "upstream_error"),
    Row("529", Script(status=529), "overloaded", 503, BUSY, "5"),
    Row("error in a 200", Script(error_after=0), "server", 502, "upstream_error"),
    Row("limit in a 200", Script(error_after=0, error_code=LIMIT), "rate_limit", 429, LIMIT, "60"),
    Row("too long in a 200", Script(error_after=0, error_code=TOO_LONG), "context_length", 400,
        TOO_LONG),
    Row(
        "filter in a 200",
        Script(error_after=0, error_code="content_filter"),
        "content_filter",
        400,
        "content_filter",
        is_final=True,
    ),
    Row("cut", Script(role_chunk=True, cut_after=0), "truncated", 502, "upstream_truncated"),
    Row("no end", Script(text="", no_done=True, no_finish_reason=True), "truncated", 502,
        "upstream_truncated"),
    Row("reset after the head", Script(role_chunk=True, reset_after=0), "read", 502,
        "upstream_error"),
]  # fmt: skip


def ids(row: Row) -> str:
    """What the test is called."""
    return row.name.replace(" ", "-")


def check_error(row: Row, reply: Reply) -> None:
    """Whether a client was told what the row says, in OpenAI's shape."""
    assert (reply.status, reply.error["code"]) == (row.status, row.code)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers.get("retry-after") == row.retry_after
    kind = "server_error" if row.status >= 500 else "invalid_request_error"
    assert reply.error["type"] == ("requests" if row.status == 429 else kind)


@pytest.mark.parametrize("row", ROWS, ids=ids)
async def test_another_upstream_answers_unless_the_request_is_at_fault(row: Row) -> None:
    """Failover is silent; a refusal of the request itself is never routed around."""
    async with proxying({"a": row.start(), "b": GOOD}, routing=row.routing) as proxy:
        reply = await proxy.post(chat("a:m|b:m"))
        record = await proxy.record()
        asked = len(proxy.ledger("b"))
    assert record.attempts[0].reason == row.reason
    if row.is_final:
        check_error(row, reply)
        assert asked == 0
    else:
        assert (reply.status, reply.text, reply.is_done) == (200, "word1 word2 word3", True)
        assert f"a:m={row.reason}@" in reply.headers["x-lip-attempts"]


@pytest.mark.parametrize("is_streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("row", ROWS, ids=ids)
async def test_last_word_is_a_plain_http_error(row: Row, is_streaming: bool) -> None:
    """Nothing was sent yet, so a streaming client gets a status as well."""
    async with proxying({"a": row.start()}, routing=ONCE | row.routing) as proxy:
        reply = await proxy.post(chat("a:m", stream=is_streaming))
        record = await proxy.record()
    check_error(row, reply)
    assert [attempt.reason for attempt in record.attempts] == [row.reason]
    assert (record.status, record.winner) == (row.status, None)
    assert reply.headers["x-request-id"] == record.id


# ---------------------------------------------------------------- time


DEAF = Script(hang_before_headers=True)


async def test_deadline_without_an_answer_is_504() -> None:
    """The time of the whole exchange is over; nobody else is asked."""
    routing = {"deadline": 0.3}
    async with proxying({"a": DEAF}, routing=routing) as proxy:
        reply = await proxy.post(chat("a:m"))
        record = await proxy.record()
    assert (reply.status, reply.error["code"]) == (504, "timeout")
    assert record.ending.reason == "deadline"
    assert 0.3 <= reply.seconds < 2.0


async def test_deadline_is_divided_over_the_candidates() -> None:
    """One silent backend does not eat the time of the next."""
    routing = {"deadline": 1.0}
    async with proxying({"a": DEAF, "b": GOOD}, routing=routing) as proxy:
        reply = await proxy.post(chat("a:m|b:m"))
        record = await proxy.record()
    assert reply.text == "word1 word2 word3"
    assert record.attempts[0].reason == "ttft"


async def test_time_to_first_word_of_a_leaf_makes_room_for_the_next() -> None:
    """A leaf with a limit of its own is left when it has said nothing by then."""
    mute = Script(role_chunk=True, content_after=30)
    async with proxying({"a": mute, "b": GOOD}) as proxy:
        reply = await proxy.post(chat("[ttft_timeout=1]a:m|b:m"))
        record = await proxy.record()
    assert reply.text == "word1 word2 word3"
    assert [attempt.reason for attempt in record.attempts] == ["ttft", "complete"]


async def test_patience_asks_the_next_beside_the_first() -> None:
    """After the policy's patience the next candidate races the silent one."""
    routing = {"patience": 0.1, "hedge_ratio": 1.0}
    late = Script(role_chunk=True, content_after=10)
    async with proxying({"a": late, "b": GOOD}, routing=routing) as proxy:
        reply = await proxy.post(chat("a:m|b:m"))
        record = await proxy.record()
    assert reply.text == "word1 word2 word3"
    assert [attempt.reason for attempt in record.attempts] == ["lost_race", "complete"]


# ---------------------------------------------------------------- the same candidate again


@pytest.mark.parametrize("fault", [Script(status=500), Script(reset_after=0)], ids=["500", "reset"])
async def test_single_candidate_is_asked_once_more(fault: Script) -> None:
    """A hiccup of the only candidate is repeated after a short pause."""
    async with proxying({"a": GOOD}) as proxy:
        proxy.emulators["a"].set("m", fault, GOOD)
        reply = await proxy.post(chat("a:m"))
        record = await proxy.record()
    assert reply.text == "word1 word2 word3"
    first, second = record.attempts
    assert second.due_at - first.ended_at >= 0.05


async def test_short_retry_after_is_waited_out() -> None:
    """The upstream said when to come back, and that is soon."""
    async with proxying({"a": GOOD}) as proxy:
        proxy.emulators["a"].set("m", Script(status=429, retry_after=0.3), GOOD)
        reply = await proxy.post(chat("a:m"))
    assert reply.text == "word1 word2 word3"
    assert reply.seconds >= 0.3


# ---------------------------------------------------------------- several causes


async def fail_twice(proxy: Proxy, model: str = "a:m|b:m") -> dict[str, Any]:
    """The error when both of two backends fail."""
    reply = await proxy.post(chat(model))
    return {"status": reply.status, **reply.error, **reply.headers}


async def test_error_names_every_cause() -> None:
    """The client is told what was tried, and of several faults the one that is true for all."""
    upstreams = {"a": Script(status=404), "b": Script(status=503, retry_after=60)}
    async with proxying(upstreams, routing={"max_wait": 0}) as proxy:
        error = await fail_twice(proxy)
    assert (error["status"], error["code"]) == (503, "upstream_overloaded")
    assert error["causes"] == [
        {"candidate": "a:m", "phase": "open", "kind": "not_found"},
        {"candidate": "b:m", "phase": "open", "kind": "overloaded"},
    ]


async def test_rate_limits_are_told_with_the_earliest_time() -> None:
    """When all are limited, it is worth asking again when the first one is free."""
    upstreams = {
        "a": Script(status=429, retry_after=50),
        "b": Script(status=429, retry_after=40),
    }
    async with proxying(upstreams) as proxy:
        error = await fail_twice(proxy)
    assert (error["status"], error["retry-after"]) == (429, "40")


async def test_retry_after_is_whole_seconds_and_not_too_early() -> None:
    """The header has no fractions; what is rounded is rounded up."""
    async with proxying({"a": Script(status=429, retry_after=40.2)}) as proxy:
        reply = await proxy.post(chat("a:m"))
    assert reply.headers["retry-after"] == "41"


@pytest.mark.parametrize("exposes", [False, True])
async def test_words_of_the_upstream_are_told_only_on_request(exposes: bool) -> None:
    """They may hold anything; even where they are told, keys are taken out of them."""
    words = "Your key sk-secret1234567890 of org-9 is bad at /var/lib/thing"
    script = Script(status=400, error_message=words)
    errors = {"expose_upstream": exposes}
    async with proxying({"a": script}, errors=errors) as proxy:
        reply = await proxy.post(chat("a:m"))
        record = await proxy.record()
    assert ("org-9" in reply.error["message"]) is exposes
    assert b"sk-" not in reply.body
    assert "sk-secret" not in str(record)


async def test_many_failures_in_a_row_leave_nothing_behind() -> None:
    """Every connection of a failed attempt is either kept in order or closed."""
    async with proxying({row.name.replace(" ", "-"): row.start() for row in ROWS}) as proxy:
        started = time.monotonic()
        for row in ROWS:
            if "idle" not in row.routing:
                await proxy.post(chat(f"{ids(row)}:m"), "X-LIP-Timeout: 2")
        await proxy.upstream_closed()
    assert time.monotonic() - started < 20
