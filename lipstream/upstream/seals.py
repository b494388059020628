"""Remembers which backend and model wrote a seal, and which seal belongs to which tool call.

Most seals carry their origin with them (``canonical.seal``). Two do not: one that a client of the
same protocol brings back bare, and one of a tool call whose client has no place for it. Both are
looked up here. The memory is bounded and the process's own: after a restart such a seal is taken
for what the client's dialect says it is, and a call's is gone, for which Gemini has a word.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TypeVar

import attrs

from lipstream.canonical.call import Call, Message
from lipstream.canonical.parts import Part, Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal, Sealer

K = TypeVar("K")
V = TypeVar("V")

MAX_SEALS = 16_384
MAX_CALL_BYTES = 32 * 2**20  # of the seals that are kept whole, for tool calls


class SealMemory:
    """The seals of one process, least recently used first."""

    def __init__(self, max_seals: int = MAX_SEALS, max_call_bytes: int = MAX_CALL_BYTES) -> None:
        self._max_seals = max_seals
        self._max_call_bytes = max_call_bytes
        self._origins: OrderedDict[bytes, str] = OrderedDict()  # by the digest of the value
        self._of_calls: OrderedDict[str, Seal] = OrderedDict()
        self._call_bytes = 0

    def sealer(self, origin: str) -> Sealer:
        """What makes the seals of one stream."""
        return Sealer(origin, self._remember)

    def addressed(self, call: Call, origin: str) -> Call:
        """The call with the seals that ``origin`` (``backend:model``) may see, and no others.

        A seal whose origin nobody knows stays: its dialect decides. Reasoning whose seal is another
        one's is left out whole.
        """
        messages = tuple(self._message(message, origin) for message in call.messages)
        if all(now is before for now, before in zip(messages, call.messages, strict=True)):
            return call
        return call.changed(messages=messages)

    def _message(self, message: Message, origin: str) -> Message:
        if not any(isinstance(part, Reasoning | ToolCall | Text) for part in message.parts):
            return message
        kept = [part for given in message.parts if (part := self._part(given, origin)) is not None]
        is_same = len(kept) == len(message.parts) and all(
            now is before for now, before in zip(kept, message.parts, strict=True)
        )
        return message if is_same else attrs.evolve(message, parts=tuple(kept))

    def _part(self, part: Part, origin: str) -> Part | None:
        if not isinstance(part, Reasoning | ToolCall | Text):
            return part
        seal = part.seal
        if seal is None and isinstance(part, ToolCall):
            seal = _used(self._of_calls, part.id)
        if seal is None:
            return part
        source = seal.origin or _used(self._origins, _digest(seal.value)) or ""
        if source in ("", origin):
            return part if seal is part.seal else attrs.evolve(part, seal=seal)
        return None if isinstance(part, Reasoning) else attrs.evolve(part, seal=None)

    def _remember(self, seal: Seal, call_id: str) -> None:
        if seal.value:
            digest = _digest(seal.value)
            self._origins[digest] = seal.origin
            self._origins.move_to_end(digest)
            if len(self._origins) > self._max_seals:
                self._origins.popitem(last=False)
        if call_id:
            self._forget_call(self._of_calls.pop(call_id, None))
            self._of_calls[call_id] = seal
            self._call_bytes += _size(seal)
            while self._call_bytes > self._max_call_bytes or len(self._of_calls) > self._max_seals:
                self._forget_call(self._of_calls.popitem(last=False)[1])

    def _forget_call(self, seal: Seal | None) -> None:
        if seal is not None:
            self._call_bytes -= _size(seal)


def _digest(value: str) -> bytes:
    return blake2b(value.encode(errors="surrogatepass"), digest_size=16).digest()


def _size(seal: Seal) -> int:
    """Characters, those of the fields about."""
    return len(seal.value) + (len(repr(seal.fields)) if seal.fields else 0)


def _used(entries: OrderedDict[K, V], key: K) -> V | None:
    """The entry, which is then the one used last; None if there is none."""
    if key not in entries:
        return None
    entries.move_to_end(key)
    return entries[key]
