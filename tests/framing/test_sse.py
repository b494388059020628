"""Server-sent events: what a body is cut into, and what is written."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.sse import Frame, SseSplitter, encode_json, encode_sse, escape_line_ends

LIMIT = 1 << 20


def split(*pieces: bytes, limit: int = LIMIT) -> list[Frame]:
    """All frames of a body that comes in these pieces."""
    splitter = SseSplitter(limit)
    frames = [frame for piece in pieces for frame in splitter.feed(piece)]
    last = splitter.end()
    return frames if last is None else [*frames, last]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"data: a\n\n", [(b"", b"a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\r\rdata: b\r\r", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\r\n\ndata: b\n\r\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\n\r\r\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"\xef\xbb", []),
        (b"\xef\xbbdata: a\n\n", []),
        (b": note\n\n:\n\ndata: a\n\n", [(b"", b"a")]),
        (b": note\ndata: a\n\n", [(b"", b"a")]),
        (b"data: a\ndata: b\ndata\n\n", [(b"", b"a\nb\n")]),
        (b"event: error\ndata: a\n\n", [(b"error", b"a")]),
        (b"event:error\ndata:a\n\n", [(b"error", b"a")]),
        (b"event: x\n\ndata: a\n\n", [(b"", b"a")]),
        (b"id: 1\nretry: 5\ndata: a\n\n", [(b"", b"a")]),
        (b"data:a\n\ndata:  b\n\n", [(b"", b"a"), (b"", b" b")]),
        (b"data\n\ndata:\n\n", [(b"", b""), (b"", b"")]),
        (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b" data: a\n\nunknown\n\n", []),
        (b"data: \xe2\x80\xa8x\x85\x0b\x0c\n\n", [(b"", b"\xe2\x80\xa8x\x85\x0b\x0c")]),
        (b"data: a\n\ndata: b", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\n\ndata: b\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\n\n: b", [(b"", b"a")]),
    ],
)
def test_body_gives_its_frames_however_it_is_cut(body: bytes, expected: list[Frame]) -> None:
    """Lines end with LF, CRLF or CR; fields are as in the standard; cuts do not matter."""
    assert split(body) == expected
    assert split(*(body[i : i + 1] for i in range(len(body)))) == expected
    for i, j in itertools.combinations(range(len(body) + 1), 2):
        assert split(body[:i], b"", body[i:j], body[j:]) == expected


@given(
    st.lists(st.sampled_from([b"data: x", b"event: y", b": c", b"", b"data", b"z"]), max_size=12),
    st.data(),
)
def test_any_cut_gives_the_same_frames(lines: list[bytes], data: st.DataObject) -> None:
    """The reading depends on the bytes alone."""
    ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
    body = b"".join(line + data.draw(ends) for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[i:j] for i, j in itertools.pairwise([0, *cuts, len(body)])]
    assert split(*pieces) == split(body)


@pytest.mark.parametrize("step", [1, 7, 100])
def test_event_over_the_limit_is_a_fault_after_the_frames_before_it(step: int) -> None:
    """The limit counts the bytes of one event, its blank line aside."""
    body = b"data: ok\n\ndata: " + b"x" * 14 + b"\n\n"
    assert len(split(*pieces_of(body, step), limit=20)) == 2
    with pytest.raises(UpstreamFault, match="longer than 19 bytes") as caught:
        split(*pieces_of(body, step), limit=19)
    assert caught.value.kind is FaultKind.PROTOCOL


def test_frames_before_an_overlong_event_are_handed_out_first() -> None:
    """Also when all of it came in one read, and when the long event is not complete."""
    for body in (b"data: ok\n\n" + b"x" * 30, b"data: ok\n\n" + b"x" * 30 + b"\n\n"):
        frames = SseSplitter(20).feed(body)
        assert next(frames) == (b"", b"ok")
        with pytest.raises(UpstreamFault):
            next(frames)


def pieces_of(body: bytes, step: int) -> list[bytes]:
    """The body in pieces of one length."""
    return [body[i : i + step] for i in range(0, len(body), step)]


def test_long_event_in_small_pieces_takes_linear_work() -> None:
    """A quarter million one-byte reads make one frame; quadratic work would not end here."""
    size = 1 << 18
    splitter = SseSplitter(1 << 20)
    list(splitter.feed(b"data: "))
    for _ in range(size):
        list(splitter.feed(b"x"))
    assert list(splitter.feed(b"\n\n")) == [(b"", b"x" * size)]


def test_written_event_reads_back() -> None:
    """Data of several lines becomes several fields."""
    assert encode_sse(b"{}") == b"data: {}\n\n"
    assert encode_sse(b"a\nb", b"ping") == b"event: ping\ndata: a\ndata: b\n\n"
    assert split(encode_sse(b"a\nb", b"ping")) == [(b"ping", b"a\nb")]


@given(st.text())
def test_encoded_json_has_no_line_ends_and_reads_back(text: str) -> None:
    """Nobody's idea of a line end is in it."""
    data = encode_json({"text": text})
    assert json.loads(data) == {"text": text}
    assert len(data.decode().splitlines()) == 1


@pytest.mark.parametrize("text", ["a\u2028b", "\u2029", "\u0085é", "\u20ac"])
def test_line_ends_of_unicode_are_escaped(text: str) -> None:
    """U+2028, U+2029 and U+0085, and nothing else."""
    data = encode_json(text)
    assert json.loads(data) == text
    assert len(data.decode().splitlines()) == 1
    assert escape_line_ends(data) == data


def test_lone_surrogate_survives_as_its_escape() -> None:
    """JSON can say half a character, UTF-8 cannot."""
    assert encode_json({"a": "\ud83d", "b": 1}) == b'{"a":"\\ud83d","b":1}'
