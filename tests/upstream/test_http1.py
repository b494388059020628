"""The HTTP/1.1 codec, without sockets."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.upstream.client import Origin
from lipstream.upstream.http1 import (
    MAX_FRAMING_BYTES,
    MAX_HEADERS,
    MAX_INTERIM,
    ResponseParser,
    encode_head,
    length_field,
)

ORIGIN = Origin("http", "example.test", 8080)
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"
TO_THE_END = OK + b"\r\nhello"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


def parse(*reads: bytes, method: bytes = b"GET") -> ResponseParser:
    parser = ResponseParser()
    parser.expect(method)
    for data in reads:
        parser.feed(data)
    return parser


def outcome(parser: ResponseParser) -> tuple[int, bytes, bool, bool]:
    return parser.status, parser.take(), parser.complete, parser.is_at_rest


@pytest.mark.parametrize(
    ("answer", "reusable"),
    [
        (LENGTH, True),
        (CHUNKS, True),
        (INTERIM + LENGTH, True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", True),
        (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nhello", True),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", True),
        (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (CHUNKS.replace(b"1.1", b"1.0").replace(b"OK\r\n", b"OK\r\nConnection: keep-alive\r\n"), 0),
    ],
)
def test_each_framing_gives_the_same_body_however_it_is_cut(answer: bytes, reusable: bool) -> None:
    """Where the network cuts a message never shows, and the framing decides about keep-alive."""
    expected = (200, b"hello", True, bool(reusable))
    assert outcome(parse(answer)) == expected
    assert outcome(parse(*(bytes([byte]) for byte in answer))) == expected
    for cut in range(1, len(answer)):
        assert outcome(parse(answer[:cut], answer[cut:])) == expected


def test_a_body_without_length_ends_with_the_connection() -> None:
    """Neither Content-Length nor chunks: the end of the connection is the end of the body."""
    assert outcome(parse(TO_THE_END)) == (200, b"hello", False, False)
    assert outcome(parse(TO_THE_END, b"")) == (200, b"hello", True, False)


def test_what_an_interim_response_says_of_a_body_does_not_count() -> None:
    """Only the final head frames the body."""
    interim = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n"
    parser = parse(interim + TO_THE_END, b"")
    assert parser.headers == []
    assert outcome(parser) == (200, b"hello", True, False)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_cannot_have_a_body_ends_with_its_head(status: int) -> None:
    """204 and 304 have no body whatever their headers say (RFC 9112, 6.3)."""
    head = b"HTTP/1.1 %d x\r\nContent-Length: 7\r\n\r\n" % status
    assert outcome(parse(head)) == (status, b"", True, True)


@pytest.mark.parametrize("framing", [b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_answer_to_head_ends_with_its_head(framing: bytes) -> None:
    """HEAD has no body, and its connection is not used again."""
    parser = parse(OK + framing + b"\r\n", method=b"HEAD")
    assert outcome(parser) == (200, b"", True, False)


def test_one_parser_reads_one_answer_after_another() -> None:
    """Nothing of an answer is left when the next one is expected."""
    parser = parse(CHUNKS)
    parser.expect(b"GET")
    parser.feed(b"HTTP/1.1 500 No\r\nX-A: B\r\ncontent-length: 2\r\n\r\nno")
    assert parser.headers == [(b"x-a", b"B"), (b"content-length", b"2")]
    assert outcome(parser) == (500, b"no", True, True)


@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1 200 OK\r\n", LENGTH, b"\x00"])
def test_bytes_behind_an_answer_spoil_the_connection(more: bytes) -> None:
    """What nobody asked for must not be taken for the next answer; this one is still good."""
    for parser in (parse(LENGTH + more), parse(LENGTH, more)):
        assert outcome(parser) == (200, b"hello", True, False)
        assert parser.fault is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"garbage\r\n\r\n", "not HTTP"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "version 2.0"),
        (b"HTTP/1.1 099 Odd\r\n\r\n", "status 99"),
        (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "status 101"),
        (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "not HTTP"),
        (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "not HTTP"),
        (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "not HTTP"),
        (OK + b"Content-Length: 5, 5\r\n\r\n", "not HTTP"),
        (OK + b"Content-Length: -5\r\n\r\n", "not HTTP"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "transfer-encoding"),
        (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer"),
        (OK + b"A: b\r\n folded\r\n\r\n", "not HTTP"),
        (OK + b"A: \x00\r\n\r\n", "not HTTP"),
        (OK.replace(b"\r", b""), "not HTTP"),
        (CHUNKED + b"zz\r\n", "not HTTP"),
        (CHUNKED + b"1\r\nab\r\n", "not HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1), "status 100"),
        (OK + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", "headers"),
        (CHUNKED + b"0\r\n" + b"A: b\r\n" * MAX_HEADERS + b"\r\n", "headers"),
        (OK + b"A: " + b"x" * MAX_FRAMING_BYTES + b"\r\n\r\n", "headers"),
    ],
)
def test_an_answer_that_cannot_be_trusted_is_a_fault(answer: bytes, why: str) -> None:
    """Ambiguous or oversized framing ends the connection instead of being guessed at."""
    parser = parse(answer)
    assert why in (parser.fault or "")
    parser.feed(b"")
    assert (parser.complete, parser.is_at_rest) == (False, False)


@pytest.mark.parametrize(
    "start",
    [b"", OK + b"X: ", CHUNKED + b"5;x=", CHUNKED + b"0\r\nX: ", CHUNKED + b"00"],
)
def test_framing_that_goes_on_for_ever_is_a_fault(start: bytes) -> None:
    """Head, chunk lines and trailers are bounded although no callback tells of them."""
    parser = parse(start)
    fill = b"HTTP/1.1 102 Processing\r\n\r\n" if not start else b"0"
    fed = 0
    while parser.fault is None and fed < 2 * MAX_FRAMING_BYTES:
        parser.feed(fill * 40)
        fed += 40 * len(fill)
    assert parser.fault
    assert fed <= MAX_FRAMING_BYTES + 2000


@pytest.mark.parametrize("answer", [b"", OK, INTERIM, CHUNKED, CHUNKS[:-1], LENGTH[:-1]])
def test_a_connection_that_ends_early_is_a_fault(answer: bytes) -> None:
    """Nothing that has a length may end before it."""
    parser = parse(*([answer] if answer else []), b"")
    assert "closed the connection" in (parser.fault or "")
    assert not parser.complete


@given(st.sampled_from([LENGTH, CHUNKS, TO_THE_END, INTERIM + CHUNKS]), st.data())
def test_damaged_answers_never_raise(answer: bytes, data: st.DataObject) -> None:
    """Whatever a server says ends in a state of the parser, not in an exception."""
    spot = data.draw(st.integers(0, len(answer) - 1))
    damaged = answer[:spot] + data.draw(st.binary(max_size=4)) + answer[spot + 1 :]
    cut = data.draw(st.integers(0, len(damaged)))
    parser = parse(*filter(None, (damaged[:cut], damaged[cut:])), b"")
    assert parser.complete is (parser.fault is None)


def test_a_request_head_has_host_encoding_and_length() -> None:
    """Framing is the transport's: what the caller says of it is replaced."""
    headers = [(b"X-A", b"b"), (b"accept-encoding", b"gzip"), (b"Transfer-Encoding", b"chunked")]
    head = encode_head(ORIGIN, b"POST", b"/a?b", headers, length_field(b"POST", b"body"))
    assert head == (
        b"POST /a?b HTTP/1.1\r\nHost: example.test:8080\r\nX-A: b\r\n"
        b"Accept-Encoding: identity\r\nContent-Length: 4\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin("https", "example.test", 443), b"example.test"),
        (Origin("http", "example.test", 443), b"example.test:443"),
        (Origin("http", "::1", 80), b"[::1]"),
    ],
)
def test_the_host_header_names_the_origin(origin: Origin, expected: bytes) -> None:
    """The default port is left out, IPv6 addresses stand in brackets."""
    assert b"\r\nHost: %b\r\n" % expected in encode_head(origin, b"GET", b"/", (), None)


def test_a_given_host_header_is_kept() -> None:
    """Some gateways are told apart by it."""
    head = encode_head(ORIGIN, b"GET", b"/", [(b"host", b"other")], None)
    assert head.count(b"ost: ") == 1
    assert b"host: other\r\n" in head


def test_only_methods_with_bodies_say_that_theirs_is_empty() -> None:
    """RFC 9110, 8.6."""
    assert length_field(b"GET", b"") is None
    assert length_field(b"POST", b"") == (b"Content-Length", b"0")
    assert length_field(b"GET", b"x") == (b"Content-Length", b"1")


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        (b"GET", b"/", b"A", b"b\r\nEvil: c"),
        (b"GET", b"/", b"A", b"b\nEvil: c"),
        (b"GET", b"/", b"A", b"\x00"),
        (b"GET", b"/", b"A B", b"c"),
        (b"GET", b"/", b"", b"c"),
        (b"GET", b"/", b"A:", b"c"),
        (b"GET", b"/ HTTP/1.1\r\n", b"A", b"b"),
        (b"GET", b"", b"A", b"b"),
        (b"GET /", b"/", b"A", b"b"),
        (b"CONNECT", b"x:1", b"A", b"b"),
    ],
)
def test_a_head_that_says_two_things_is_refused(
    method: bytes, target: bytes, name: bytes, value: bytes
) -> None:
    """No part of a request can end its line and begin another."""
    with pytest.raises(httpx.LocalProtocolError):
        encode_head(ORIGIN, method, target, [(name, value)], None)
