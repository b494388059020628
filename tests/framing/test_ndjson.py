"""Newline-delimited JSON: what a body is cut into."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.ndjson import NdjsonSplitter

LIMIT = 1 << 20


def split(*pieces: bytes, limit: int = LIMIT) -> list[bytes]:
    """All lines of a body that comes in these pieces."""
    splitter = NdjsonSplitter(limit)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    last = splitter.end()
    return [*lines, last] if last else lines


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"{}\n", [b"{}"]),
        (b"{}", [b"{}"]),
        (b"{}\r\n[]\r\n", [b"{}", b"[]"]),
        (b"{}\r", [b"{}"]),
        (b"\n\r\n \t\n{}\n\n", [b"{}"]),
        (b" {} \t\n", [b"{}"]),
        (b"\xef\xbb\xbf{}\n", [b"{}"]),
        (b"\xef\xbb\xbf\n{}\n", [b"{}"]),
        (b"{}\n\xef\xbb\xbf{}\n", [b"{}", b"\xef\xbb\xbf{}"]),
        (b"\xef\xbb", [b"\xef\xbb"]),
        (b'"\xe2\x80\xa8\xc2\x85\x0b\x0c"\n', [b'"\xe2\x80\xa8\xc2\x85\x0b\x0c"']),
    ],
)
def test_body_gives_its_lines_however_it_is_cut(body: bytes, expected: list[bytes]) -> None:
    """Lines end with LF or CRLF, and no other character ends one; cuts do not matter."""
    assert expected == split(body)
    assert expected == split(*(body[i : i + 1] for i in range(len(body))))
    for i, j in itertools.combinations(range(len(body) + 1), 2):
        assert expected == split(body[:i], b"", body[i:j], body[j:])


WORDS = st.text(st.characters(codec="utf-8", exclude_characters=" \t\r\n\ufeff"), min_size=1)


@given(st.lists(WORDS, max_size=6), st.lists(st.integers(0, 100), max_size=6))
def test_lines_come_back(texts: list[str], cuts: list[int]) -> None:
    """What was joined by line ends is what is given out."""
    lines = [text.encode() for text in texts]
    body = b"\n".join(lines)
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:end] for start, end in itertools.pairwise(places)]
    assert lines == split(*pieces)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"", b"\r"])
def test_line_of_the_limit_passes(end: bytes) -> None:
    """The limit is of the line without its end."""
    assert [b"x" * 10] == split(b"x" * 10 + end, limit=10)
    assert [b"x" * 10] == split(*[b"x"] * 10, end, limit=10)


@pytest.mark.parametrize(
    "pieces", [(b"x" * 11 + b"\n",), (b"x" * 11,), (b"x" * 6, b"x" * 5), (b"x" * 10 + b"\r", b"\r")]
)
def test_line_over_the_limit_is_a_fault(pieces: tuple[bytes, ...]) -> None:
    """It is found out before its end is there."""
    *first, last = pieces
    splitter = NdjsonSplitter(10)
    assert [list(splitter.feed(piece)) for piece in first] == [[]] * len(first)
    with pytest.raises(UpstreamFault, match="longer than 10 bytes") as caught:
        list(splitter.feed(last))
    assert caught.value.kind is FaultKind.PROTOCOL


def test_lines_before_a_fault_are_out() -> None:
    """What was whole is given out first."""
    lines = NdjsonSplitter(10).feed(b"{}\n" + b"x" * 11 + b"\n")
    assert next(lines) == b"{}"
    with pytest.raises(UpstreamFault):
        next(lines)


def test_work_is_linear() -> None:
    """A long line in single bytes takes no time worth mentioning."""
    line = b"x" * 200_000
    assert [line] == split(*[b"x"] * len(line), b"\n")
