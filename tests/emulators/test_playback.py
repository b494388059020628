"""Plans: when which bytes are due and how an answer ends, without any socket."""

from __future__ import annotations

import attrs
import pytest

from lipstream.emulators.playback import (
    COMMENT,
    HTML,
    Body,
    Close,
    End,
    Framing,
    Lead,
    Mark,
    Send,
    Step,
    Stream,
    Tail,
    Wait,
    plan,
)
from lipstream.emulators.script import Script
from lipstream.emulators.timing import Times

TIMES = Times(head=1.0, content=3.0, pace=0.5)
BARE = Framing(is_chunked=False, is_delimited=True, is_kept_alive=True)
STREAM = Stream(
    opening=[b"open\n"],
    content=[b"a\n", b"b\n", b"c\n"],
    closing=[b"close\n"],
    error=[b"error\n"],
    broken=b"broken\n",
)
BODY = Body(b"0123456789", b"error", events=3)


def steps(script: Script, answer: Stream | Body = STREAM) -> list[Step]:
    return list(plan(script, answer, TIMES, BARE))


def after_head(script: Script, answer: Stream | Body = STREAM) -> list[tuple[bytes, float]]:
    """The sends after the head: bytes and when they are due."""
    sends = [step for step in steps(script, answer) if isinstance(step, Send)]
    assert [Mark.HEAD] == [send.mark for send in sends if send.data.startswith(b"HTTP/1.1 ")]
    return [(send.data, send.at) for send in sends[1:]]


def test_opening_comes_with_the_first_content() -> None:
    """By default nothing but the head goes out before the content is due."""
    expected = [(b"open\n", 3.0), (b"a\n", 3.0), (b"b\n", 3.5), (b"c\n", 4.0), (b"close\n", 4.0)]
    assert after_head(Script()) == expected


def test_role_chunk_goes_out_with_the_head() -> None:
    """Then there is silence until the first content."""
    assert after_head(Script(role_chunk=True))[:2] == [(b"open\n", 0.0), (b"a\n", 3.0)]
    assert steps(Script(role_chunk=True))[0].at == 1.0  # type: ignore[union-attr]


def test_complete_answer_keeps_the_connection() -> None:
    """Keep-alive is honoured, unless the script closes without a word."""
    assert steps(Script())[-1] == End("complete", Close.KEEP)
    assert steps(Script(close_unannounced=True))[-1] == End("complete", Close.FIN)


def test_close_delay_lies_between_last_event_and_end() -> None:
    """The end of the body comes late."""
    assert steps(Script(close_delay=2.0))[-2:] == [Wait(2.0), End("complete", Close.KEEP)]


@pytest.mark.parametrize(
    ("script", "end"),
    [
        (Script(hang_after=2), End("hung", Close.NEVER, 4.0)),
        (Script(cut_after=2), End("cut", Close.FIN, 4.0)),
        (Script(reset_after=2), End("reset", Close.RESET, 4.0)),
    ],
)
def test_break_strikes_when_the_next_content_is_due(script: Script, end: End) -> None:
    """So many content events go out, and the break has the next one's time."""
    assert [data for data, _ in after_head(script)] == [b"open\n", b"a\n", b"b\n"]
    assert steps(script)[-1] == end


def test_break_beyond_the_content_strikes_before_the_finish() -> None:
    """A break that was asked for always happens."""
    assert [data for data, _ in after_head(Script(cut_after=9))][-1] == b"c\n"
    assert steps(Script(cut_after=9))[-1] == End("cut", Close.FIN, 4.5)


def test_break_at_zero_leaves_the_head_alone() -> None:
    """Nothing but the head was said, or the early opening where the script has one."""
    assert after_head(Script(hang_after=0)) == []
    assert after_head(Script(hang_after=0, role_chunk=True)) == [(b"open\n", 0.0)]


def test_reset_at_zero_comes_instead_of_the_head() -> None:
    """Right after the request, or when the head would have been due."""
    assert steps(Script(reset_after=0)) == [End("reset", Close.RESET, 1.0)]


def test_hang_before_headers_says_nothing() -> None:
    """Not a byte is sent, and the connection stays open."""
    assert steps(Script(hang_before_headers=True)) == [End("hung", Close.NEVER)]


def test_in_band_error_replaces_the_rest() -> None:
    """The error event is the last one, and the body ends cleanly."""
    assert after_head(Script(error_after=1))[1:] == [(b"a\n", 3.0), (b"error\n", 3.5)]
    assert steps(Script(error_after=1))[-1] == End("error", Close.KEEP)


def test_garbage_events_lie_inside_a_good_stream() -> None:
    """So many of them after so many content events; everything else is sent all the same."""
    script = Script(garbage="event", garbage_at=2, garbage_count=2)
    sent = [data for data, _ in after_head(script)]
    expected = [b"open\n", b"a\n", b"b\n", b"broken\n", b"broken\n", b"c\n", b"close\n"]
    assert sent == expected


def test_garbage_body_is_html() -> None:
    """The head promises the right thing, the body is something else."""
    assert after_head(Script(garbage="body")) == [(HTML, 0.0)]
    assert steps(Script(garbage="body"), BODY)[-1] == End("garbage", Close.KEEP)


def test_comments_come_early_and_before_each_content() -> None:
    """A comment is no content and has the time of what follows it."""
    sent = after_head(Script(comments=True))
    assert sent[0] == (COMMENT, 0.0)
    assert [at for data, at in sent[1:] if data == COMMENT] == [3.0, 3.5, 4.0]


def test_body_is_due_with_its_last_content_event() -> None:
    """A model that does not stream answers when it has finished."""
    head, body, end = steps(Script(), BODY)
    assert isinstance(head, Send)
    assert (head.mark, head.at) == (Mark.HEAD, 4.0)
    assert body == Send(b"0123456789", Mark.CONTENT)
    assert end == End("complete", Close.KEEP)


@pytest.mark.parametrize(
    ("count", "sent"), [(0, []), (1, [(b"01234", 0.0)]), (5, [(b"01234", 0.0)])]
)
def test_break_in_a_body_sends_half_of_it(count: int, sent: list[tuple[bytes, float]]) -> None:
    """Zero events: nothing of the body; more: half of it under the whole one's length."""
    assert after_head(Script(cut_after=count), BODY) == sent
    assert steps(Script(cut_after=count), BODY)[-1] == End("cut", Close.FIN)


def test_in_band_error_in_a_body_replaces_it() -> None:
    """A 200 with an error object."""
    assert after_head(Script(error_after=3), BODY) == [(b"error", 0.0)]
    assert steps(Script(error_after=3), BODY)[-1] == End("error", Close.KEEP)


def test_error_status_is_due_with_the_head() -> None:
    """An error does not wait for content."""
    script = Script(status=503)
    head = steps(script, Body(b"error"))[0]
    assert isinstance(head, Send)
    assert head.at == 1.0
    assert steps(script, Body(b"error"))[-1] == End("status", Close.KEEP)


def test_status_without_a_body_has_no_length() -> None:
    """204 and 304 end with their head."""
    head, body, end = steps(Script(status=204), Body(b"error"))
    assert isinstance(head, Send)
    assert b"content-length" not in head.data
    assert (body, end) == (Send(b""), End("status", Close.KEEP))


@pytest.mark.parametrize("answer", [STREAM, BODY])
def test_cut_head_is_all_there_is(answer: Stream | Body) -> None:
    """So many bytes of the head, then the end."""
    head, end = steps(Script(cut_in_head=8), answer)
    assert isinstance(head, Send)
    assert (head.data, end) == (b"HTTP/1.1", End("cut", Close.FIN))


def test_frames_of_blocks_travel_with_their_content() -> None:
    """A lead has the time of what follows, a tail that of what went before; neither counts."""
    content = [Lead(b"start\n"), b"a\n", b"b\n", Tail(b"stop\n"), Lead(b"next\n"), b"c\n"]
    stream = attrs.evolve(STREAM, opening=(), content=content)
    sent = after_head(Script(), stream)
    assert [at for _, at in sent] == [3.0, 3.0, 3.5, 3.5, 4.0, 4.0, 4.0]
    cut = after_head(Script(cut_after=2), stream)
    assert [data for data, _ in cut] == [b"start\n", b"a\n", b"b\n"]


def test_providers_headers_give_way_to_the_scripts() -> None:
    """One header of each name."""
    answer = attrs.evolve(BODY, headers=(("x-a", "theirs"), ("x-b", "theirs")))
    head = steps(Script(headers=(("X-A", "mine"),)), answer)[0]
    assert isinstance(head, Send)
    assert (head.data.count(b"theirs"), head.data.count(b"mine")) == (1, 1)
