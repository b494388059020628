"""Payloads that differ from the one before in nothing but one string.

Most of a stream is the same JSON object again and again with another word in it. What stands before
and behind the word can be compared as bytes; then the whole payload means what the one before
meant, with the new string in the place of the old one, and need not be parsed.

Whoever learns a payload answers for it: that it had one effect, which followed from the string.
"""

from __future__ import annotations

import re

import msgspec

MAX_MISSES = 8  # payloads learned in vain, in a row, after which nothing more is learned

_REST_OF_STRING = re.compile(rb'(?:[^"\\\x00-\x1f]|\\.)*"')
_decode_string = msgspec.json.Decoder(str).decode


class Repeats:
    """The payload before, with a hole in the place of one string."""

    __slots__ = ("_head", "_misses", "_tail")

    def __init__(self) -> None:
        self._head = b""  # with the string's opening quote; empty when nothing is learned
        self._tail = b""  # with its closing quote
        self._misses = 0

    def text(self, payload: bytes) -> str | None:
        """The string in the hole if the payload is the same around it; never an empty one."""
        head = self._head
        if not head or not (payload.startswith(head) and payload.endswith(self._tail)):
            return None
        text = _string(payload[len(head) - 1 : len(payload) - len(self._tail) + 1])
        if text:
            self._misses = 0
        return text or None

    def forget(self) -> None:
        """Something else came: nothing may be read by what was learned before."""
        self._head = b""

    @property
    def may_learn(self) -> bool:
        """Whether it still pays."""
        return self._misses < MAX_MISSES

    def learn(self, payload: bytes, key: bytes, text: str) -> bool:
        """Takes a payload in which the member ``key`` has the string ``text``; says if it could.

        It cannot where the member is there twice, since then it is not clear which one is meant.
        """
        self._misses += 1
        start = _start_of(payload, key)
        rest = _REST_OF_STRING.match(payload, start) if start else None
        if rest is None:
            return False
        end = rest.end()
        if _string(payload[start - 1 : end]) != text:
            return False
        self._head, self._tail = payload[:start], payload[end - 1 :]
        return True


def _string(token: bytes) -> str | None:
    """The value of a JSON string; None for anything else, such as two of them."""
    try:
        return _decode_string(token)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _start_of(payload: bytes, key: bytes) -> int:
    """Where the string of the member begins, after its quote; 0 where that is not certain.

    A quoted name before a colon cannot stand inside a string, where its quotes were escaped.
    """
    name = b'"' + key + b'"'
    if payload.count(name) != 1:
        return 0
    at = payload.index(name) + len(name)
    for opening in (b':"', b': "'):
        if payload.startswith(opening, at):
            return at + len(opening)
    return 0
