"""AWS event streams: bytes to messages and back (``application/vnd.amazon.eventstream``).

A message is a prelude (total length, headers' length, CRC of both), headers, a payload, and a CRC
of all of it; numbers are big-endian. Only string headers are kept: the services that are spoken to
send no others that matter. Source: smithy.io, "Amazon Event Stream specification".
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator, Mapping

from lipstream.errors import FaultKind, UpstreamFault

Message = tuple[Mapping[str, str], bytes]
"""The string headers of a message and its payload."""

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_STRING = 7
_TEXT_TYPES = frozenset({6, _STRING})  # bytes and strings have a length of their own
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # bytes of a value by its type
_OVERHEAD = _PRELUDE.size + _CRC.size


class EventStreamSplitter:
    """Cuts a body into messages, whatever pieces it comes in. Linear in the bytes.

    Args:
        limit: How many bytes one message may have.
    """

    __slots__ = ("_limit", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    @property
    def is_between_messages(self) -> bool:
        """Whether the body may end here."""
        return not self._rest

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that these bytes complete. Has to be run to its end, or not used again.

        Raises:
            UpstreamFault: PROTOCOL, a message is damaged or over the limit.
        """
        rest = self._rest
        rest += data
        start = 0
        try:
            while len(rest) - start >= _PRELUDE.size:
                size = self._size(rest, start)
                if len(rest) - start < size:
                    break
                message = bytes(rest[start : start + size])
                start += size
                yield _decode(message)
        finally:
            del rest[:start]

    def _size(self, rest: bytearray, start: int) -> int:
        size, headers, checksum = _PRELUDE.unpack_from(rest, start)
        if crc32(rest[start : start + 8]) != checksum:
            raise _damaged("its prelude does not match its checksum")
        if size < _OVERHEAD or headers > size - _OVERHEAD:
            raise _damaged("its lengths contradict each other")
        if size > self._limit:
            raise _damaged(f"it is longer than {self._limit} bytes")
        return int(size)


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message with string headers."""
    block = b"".join(
        bytes([len(key := name.encode())])
        + key
        + bytes([_STRING])
        + _LENGTH.pack(len(text := value.encode()))
        + text
        for name, value in headers.items()
    )
    lengths = struct.pack(">II", _OVERHEAD + len(block) + len(payload), len(block))
    message = lengths + _CRC.pack(crc32(lengths)) + block + payload
    return message + _CRC.pack(crc32(message))


def _decode(message: bytes) -> Message:
    end = len(message) - _CRC.size
    if crc32(message[:end]) != _CRC.unpack_from(message, end)[0]:
        raise _damaged("it does not match its checksum")
    size = _PRELUDE.unpack_from(message)[1]
    start = _PRELUDE.size + size
    return _decode_headers(message[_PRELUDE.size : start]), message[start:end]


def _decode_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name, kind = block[at + 1 : name_end].decode(), block[name_end]
            at = name_end + 1
            if kind in _TEXT_TYPES:
                size = _LENGTH.unpack_from(block, at)[0]
                at += _LENGTH.size
            else:
                size = _SIZES[kind]
            if at + size > len(block):
                raise _damaged("its headers are cut short")
            if kind == _STRING:
                headers[name] = block[at : at + size].decode()
            at += size
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise _damaged("its headers cannot be read") from None
    return headers


def _damaged(why: str) -> UpstreamFault:
    return UpstreamFault(FaultKind.PROTOCOL, f"a message of the event stream is damaged: {why}")
