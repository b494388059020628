"""AWS event streams: what is written is read, however it is cut, and damage is told."""

import struct
from binascii import crc32
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.errors import FaultKind, UpstreamFault
from lipstream.framing.eventstream import EventStreamSplitter, Message, encode_message

LIMIT = 10_000
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MESSAGES = st.tuples(st.dictionaries(TEXTS, TEXTS, max_size=4), st.binary(max_size=60))


def split(*pieces: bytes, limit: int = LIMIT) -> list[Message]:
    splitter = EventStreamSplitter(limit)
    found = [message for piece in pieces for message in splitter.feed(piece)]
    assert splitter.is_between_messages
    return found


def with_headers(block: bytes) -> bytes:
    """A message with this block of headers."""
    lengths = struct.pack(">II", 16 + len(block), len(block))
    message = lengths + struct.pack(">I", crc32(lengths)) + block
    return message + struct.pack(">I", crc32(message))


@given(st.lists(MESSAGES, max_size=4), st.data())
def test_messages_survive_any_cut(messages: list[Message], data: st.DataObject) -> None:
    """The same messages come out, wherever the network cut the bytes."""
    wire = b"".join(encode_message(headers, payload) for headers, payload in messages)
    places = data.draw(st.lists(st.integers(0, len(wire)), max_size=5).map(sorted))
    bounds = [0, *places, len(wire)]
    pieces = [wire[a:b] for a, b in pairwise(bounds)]
    assert messages == split(*pieces)


@given(MESSAGES, st.data())
def test_any_flipped_bit_is_noticed(message: Message, data: st.DataObject) -> None:
    """A damaged message is a fault, or one that is still waited for; never another message."""
    wire = bytearray(encode_message(*message))
    place = data.draw(st.integers(0, len(wire) * 8 - 1))
    wire[place // 8] ^= 1 << place % 8
    splitter = EventStreamSplitter(LIMIT)
    with pytest.raises(UpstreamFault) as caught:
        list(splitter.feed(bytes(wire)))
    assert FaultKind.PROTOCOL is caught.value.kind


def test_other_kinds_of_header_are_read_over() -> None:
    """Only strings are kept; the others have sizes of their own."""
    block = b"\x01a\x00" + b"\x01b\x04\x00\x00\x00\x07" + b"\x01c\x06\x00\x02xy"
    block += b"\x01d\x08" + bytes(8) + b"\x01e\x07\x00\x01v"
    assert [({"e": "v"}, b"")] == split(with_headers(block))


@pytest.mark.parametrize(
    "block",
    [
        b"\x05a",
        b"\x01a",
        b"\x01a\x63",
        b"\x01a\x07\x00",
        b"\x01a\x07\x00\x09x",
        b"\x01\xff\x00",
    ],
)
def test_broken_headers_are_told(block: bytes) -> None:
    """Headers that end too early or are of no known kind are damage."""
    with pytest.raises(UpstreamFault, match="headers"):
        split(with_headers(block))


@pytest.mark.parametrize(("size", "headers"), [(15, 0), (16, 1)])
def test_impossible_lengths_are_told(size: int, headers: int) -> None:
    """A prelude that is right by its checksum may still make no sense."""
    lengths = struct.pack(">II", size, headers)
    with pytest.raises(UpstreamFault, match="contradict"):
        split(lengths + struct.pack(">I", crc32(lengths)))


def test_long_message_is_refused_by_its_prelude() -> None:
    """Nothing is kept of a message that is over the limit."""
    wire = encode_message({}, bytes(100))
    with pytest.raises(UpstreamFault, match="longer than 64 bytes"):
        split(wire[:12], limit=64)
