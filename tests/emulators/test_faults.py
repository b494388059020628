"""Each fault switch as a client's socket sees it."""

from __future__ import annotations

import pytest
import trio

from lipstream.emulators.emulator import Emulator
from lipstream.emulators.ledger import Entry
from lipstream.emulators.playback import BOM, COMMENT, HTML, NOT_HTTP
from lipstream.emulators.script import Script
from tests.emulators.raw_client import (
    Raw,
    chat,
    connect,
    events_in,
    exchange,
    read_until,
    request,
    texts,
)


async def observe(script: Script, *, stream: bool = True) -> tuple[Raw, Entry]:
    """What a client gets from ``script``, and the entry of its request."""
    async with Emulator(default=script) as emulator:
        raw = await exchange(emulator.port, request(chat(stream=stream)))
        assert emulator.failures == []
        return raw, emulator.ledger[0]


async def test_hang_before_headers_sends_nothing() -> None:
    """The connection stays open and silent until the client goes."""
    async with Emulator(default=Script(hang_before_headers=True)) as emulator:
        async with await connect(emulator.port, request(chat())) as stream:
            with trio.move_on_after(0.05) as waited:
                await stream.receive_some()
        entry = emulator.ledger[0]
        await emulator.ledger.wait_closed(entry)
        assert waited.cancelled_caught
        assert (entry.outcome, entry.headers_sent_at) == ("hung", None)


async def test_hang_in_the_middle_keeps_the_connection_open() -> None:
    """After so many content events there is silence, not an end."""
    async with Emulator(default=Script(words=5, hang_after=2)) as emulator:
        async with await connect(emulator.port, request(chat())) as stream:
            head = await read_until(stream, b"}\n\n\r\n")
            while b"word2" not in head:
                head += await read_until(stream, b"}\n\n\r\n")
            with trio.move_on_after(0.05) as waited:
                await stream.receive_some()
        assert waited.cancelled_caught
        assert emulator.ledger[0].chunks_sent == 2


async def test_cut_stream_ends_with_a_fin_and_no_terminator() -> None:
    """The transport sees an incomplete body."""
    raw, entry = await observe(Script(words=5, cut_after=2))
    assert (raw.ended, raw.is_terminated) == ("fin", False)
    assert texts(raw.events) == ["word1", " word2"]
    assert (entry.outcome, entry.chunks_sent) == ("cut", 2)


async def test_close_delimited_cut_looks_like_an_end() -> None:
    """Without framing only the missing terminal marker tells."""
    raw, _ = await observe(Script(words=5, cut_after=2, close_delimited=True))
    assert "transfer-encoding" not in raw.headers
    assert texts(events_in(raw.body)) == ["word1", " word2"]


async def test_reset_right_after_the_request() -> None:
    """Not a byte, then an RST."""
    raw, entry = await observe(Script(reset_after=0))
    assert (raw.data, raw.ended) == (b"", "reset")
    assert (entry.outcome, entry.closed_by) == ("reset", "emulator")


async def test_reset_in_mid_stream_loses_nothing_before_it() -> None:
    """Exactly so many content events arrive, then an RST, however fast they were sent."""
    async with Emulator(default=Script(words=500, reset_after=300)) as emulator:
        for _ in range(10):
            raw = await exchange(emulator.port, request(chat()))
            assert (raw.ended, len(texts(raw.events))) == ("reset", 300)


async def test_half_a_head_ends_with_a_fin() -> None:
    """Exactly so many bytes of the head arrive."""
    raw, entry = await observe(Script(cut_in_head=20))
    assert (raw.data, raw.ended) == (b"HTTP/1.1 200 OK\r\ncon", "fin")
    assert entry.outcome == "cut"


async def test_garbage_head_is_not_http() -> None:
    """Something else is listening on that port."""
    raw, entry = await observe(Script(garbage="head"))
    assert raw.data == NOT_HTTP
    assert entry.outcome == "garbage"


@pytest.mark.parametrize("stream", [True, False])
async def test_garbage_body_is_no_json(stream: bool) -> None:
    """The content type is right, the body is not."""
    raw, entry = await observe(Script(garbage="body"), stream=stream)
    assert raw.status == 200
    assert (b"".join(raw.chunks) if stream else raw.body) == HTML
    assert entry.outcome == "garbage"


async def test_garbage_events_do_not_parse_and_the_rest_does() -> None:
    """The stream around them is complete."""
    raw, entry = await observe(Script(words=3, garbage="event", garbage_count=2))
    assert sum(isinstance(event, str) for event in raw.events) == 3  # two bad ones and [DONE]
    assert texts(raw.events) == ["word1", " word2", " word3"]
    assert entry.outcome == "complete"


async def test_in_band_error_ends_the_stream_cleanly() -> None:
    """A top-level error chunk inside the 200, no ``[DONE]``, a terminated body."""
    raw, entry = await observe(Script(error_after=1, error_code="rate_limit_exceeded"))
    assert raw.events[-1]["error"]["code"] == "rate_limit_exceeded"
    assert (raw.status, raw.is_terminated) == (200, True)
    assert (entry.outcome, entry.chunks_sent) == ("error", 1)


async def test_in_band_error_of_an_unstreamed_answer() -> None:
    """The error object is the body of the 200."""
    raw, _ = await observe(Script(error_after=0, error_message="gone"), stream=False)
    assert (raw.status, raw.json["error"]["message"]) == (200, "gone")


async def test_ignored_stream_is_answered_in_json() -> None:
    """Some servers do not know the option."""
    raw, _ = await observe(Script(text="ok", stream_ignored=True))
    assert raw.headers["content-type"] == "application/json"
    assert raw.json["choices"][0]["message"]["content"] == "ok"


async def test_done_and_finish_reason_can_be_missing() -> None:
    """The body ends cleanly without the dialect's terminal markers."""
    raw, _ = await observe(Script(text="ok", no_done=True, no_finish_reason=True))
    assert [e["choices"][0]["finish_reason"] for e in raw.events] == [None, None]
    assert raw.is_terminated


async def test_cr_lf_bom_and_comments_are_sent() -> None:
    """The odd but legal forms of an event stream."""
    raw, _ = await observe(Script(words=2, crlf=True, bom=True, comments=True))
    body = b"".join(raw.chunks)
    assert body.startswith(BOM)
    assert body.count(COMMENT.replace(b"\n", b"\r\n")) == 3
    assert body.count(b"\n") == body.count(b"\r\n")
    assert texts(raw.events) == ["word1", " word2"]


async def test_each_event_is_a_chunk_of_its_own() -> None:
    """One event, one HTTP chunk, one send."""
    raw, _ = await observe(Script(words=2))
    assert all(chunk.endswith(b"\n\n") and chunk.count(b"\n\n") == 1 for chunk in raw.chunks[:-1])


async def test_close_delay_holds_the_end_of_the_body_back() -> None:
    """A client that waits for the end of the body after ``[DONE]`` waits long."""
    script = Script(text="ok", close_delay=3600)
    async with (
        Emulator(default=script) as emulator,
        await connect(emulator.port, request(chat())) as stream,
    ):
        await read_until(stream, b"data: [DONE]\n\n\r\n")
        assert emulator.ledger[0].is_open


async def test_unannounced_close_comes_after_a_kept_alive_answer() -> None:
    """The head says keep-alive, then a FIN follows the whole body."""
    async with Emulator(default=Script(text="ok", close_unannounced=True)) as emulator:
        raw = await exchange(emulator.port, request(chat(), headers=()))
        assert raw.headers["connection"] == "keep-alive"
        assert raw.is_terminated


async def test_content_type_and_headers_can_be_chosen() -> None:
    """What the body is and what the head says may differ."""
    raw, _ = await observe(Script(content_type="text/html", headers=(("x-request-id", "r1"),)))
    assert (raw.headers["content-type"], raw.headers["x-request-id"]) == ("text/html", "r1")


async def test_half_a_body_under_its_full_length() -> None:
    """An unstreamed answer that is cut is shorter than it says."""
    raw, _ = await observe(Script(cut_after=1), stream=False)
    assert 0 < len(raw.body) < int(raw.headers["content-length"])
