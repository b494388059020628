"""The second look at what the strict structs of :mod:`.wire` refuse.

Most often that is a field they do not know: it goes into ``other`` and changes nothing else. Other
people's habits (nulls and numbers in the wrong places, lists for strings, ``message`` for
``delta``) are put right, so that there is one reading of all chunks; such a chunk no longer stands
for the bytes it came in (``Reading.is_exact``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from lipstream.framing.faults import is_problem
from lipstream.framing.loose_json import NotJson, read_value
from lipstream.protocols.openai_chat.wire import (
    PADDING,
    Choice,
    Chunk,
    Custom,
    Delta,
    Fields,
    Function,
    Logprobs,
    ToolCallPiece,
    decode_typed,
)


class NotAChunk(ValueError):
    """The data is no JSON object that could be part of an answer."""


def read_loosely(data: bytes) -> tuple[Chunk, bool]:
    """One event's data as a chunk, and whether the chunk says the same as the bytes.

    Raises:
        NotAChunk: not even this reads it.
    """
    try:
        value, is_clean = read_value(data)
    except NotJson as error:
        raise NotAChunk(str(error)) from None
    if not isinstance(value, dict):
        raise NotAChunk("not an object")
    if is_clean:
        try:
            chunk = decode_typed(data)
        except msgspec.DecodeError:
            pass
        else:
            if _keep_unknown(chunk, value):
                return _tidied(chunk, value, True)
    reading = Reading()
    return _tidied(reading.chunk(value), value, reading.is_exact and is_clean)


def _tidied(chunk: Chunk, fields: Fields, is_exact: bool) -> tuple[Chunk, bool]:
    """Takes what stands in unusual places: vLLM's whole chunk as an error, as NVIDIA's, and Groq's
    early usage."""
    is_error = chunk.object == "error" or is_problem(fields)
    if is_error and not chunk.error:
        chunk.error = fields
    groq = fields.get("x_groq")
    if chunk.usage is None and isinstance(groq, dict) and isinstance(groq.get("usage"), dict):
        chunk.usage, is_exact = groq["usage"], False
    return chunk, is_exact


# ---------------------------------------------------------------- fields that nobody knows


def _keep_unknown(chunk: Chunk, fields: Fields) -> bool:
    """Finds what the types did not take; False where it means more than that it is unknown."""
    chunk.other = _unknown(fields, _CHUNK)
    for choice, entry in zip(chunk.choices, fields.get("choices", ()), strict=True):
        delta = choice.delta
        if delta is None or "message" in entry or "index" not in entry:
            return False
        choice.other = _unknown(entry, _CHOICE)
        fields = entry["delta"]
        delta.other = _unknown(fields, _DELTA)
        if choice.logprobs is not None:
            _carry_logprobs(delta, _unknown(entry["logprobs"], _LOGPROBS))
        for piece, call in zip(delta.tool_calls or (), fields.get("tool_calls") or (), strict=True):
            _keep_unknown_of_call(piece, call)
    return True


def _keep_unknown_of_call(piece: ToolCallPiece, call: Fields) -> None:
    other = _unknown(call, _CALL) or {}
    for name, known in (("function", _FUNCTION), ("custom", _CUSTOM)):
        inner = _unknown(call.get(name) or {}, known)
        if inner:
            other[name] = inner
    piece.other = other or None


def _unknown(fields: Fields, known: frozenset[str]) -> Fields | None:
    if fields.keys() <= known:
        return None
    return {name: value for name, value in fields.items() if name not in known}


def _carry_logprobs(delta: Delta, left: Fields | None) -> None:
    """Logprobs without a place in the canonical deltas (DeepSeek's ``reasoning_content``) are
    carried by the delta, under the name that the encoder looks for."""
    if left:
        delta.other = {**(delta.other or {}), "logprobs": left}


def _names(struct: type[msgspec.Struct], more: Iterable[str] = ()) -> frozenset[str]:
    return frozenset(struct.__struct_encode_fields__) | frozenset(more)


_CHUNK = _names(Chunk, PADDING)
_CHOICE = _names(Choice)
_DELTA = _names(Delta)
_LOGPROBS = _names(Logprobs)
_CALL = _names(ToolCallPiece)
_FUNCTION = _names(Function)
_CUSTOM = _names(Custom)


# ---------------------------------------------------------------- everything else


class Reading:
    """One pass over one chunk."""

    def __init__(self) -> None:
        self.is_exact = True

    def chunk(self, fields: Fields) -> Chunk:
        left = dict(fields)
        chunk = Chunk(
            id=self._text(left, "id") or "",
            object=self._text(left, "object") or "",
            created=self._integer(left, "created"),
            model=self._text(left, "model") or "",
            choices=self._choices(left.pop("choices", None)),
            usage=self._object(left, "usage"),
            error=left.pop("error", None),
        )
        self._carry(chunk, left, ("system_fingerprint", "service_tier", "provider"))
        chunk.other = {k: v for k, v in left.items() if k not in PADDING} or None
        return chunk

    def _choices(self, value: Any) -> list[Choice]:
        if value is None:
            self.is_exact = False
            return []
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, dict) for entry in entries):
            raise NotAChunk("choices are not objects")
        return [self._choice(dict(entry), place) for place, entry in enumerate(entries)]

    def _choice(self, left: Fields, place: int) -> Choice:
        index = self._integer(left, "index")
        message = self._object(left, "message")
        delta = self._object(left, "delta")
        if index is None or delta is None or message is not None:
            self.is_exact = False
        piece = self._delta(dict(delta or message or {}), is_whole=not delta)
        logprobs = self._object(left, "logprobs")
        choice = Choice(
            index=place if index is None else index,
            delta=piece,
            finish_reason=self._text(left, "finish_reason"),
            logprobs=None if logprobs is None else self._logprobs(dict(logprobs), piece),
        )
        names = ("native_finish_reason", "content_filter_results", "stop_reason", "token_ids")
        self._carry(choice, left, names)
        choice.other = left or None
        return choice

    def _logprobs(self, left: Fields, delta: Delta) -> Logprobs:
        logprobs = Logprobs(self._objects(left, "content"), self._objects(left, "refusal"))
        _carry_logprobs(delta, left)
        return logprobs

    def _delta(self, left: Fields, *, is_whole: bool) -> Delta:
        delta = Delta(
            role=self._text(left, "role"),
            content=self._content(left),
            reasoning=self._text(left, "reasoning"),
            reasoning_content=self._text(left, "reasoning_content"),
            refusal=self._text(left, "refusal"),
            images=self._objects(left, "images"),
            audio=self._object(left, "audio"),
        )
        calls = self._objects(left, "tool_calls")
        if calls is not None:
            delta.tool_calls = [
                self._call(dict(call), place if is_whole else None)
                for place, call in enumerate(calls)
            ]
        legacy = self._object(left, "function_call")
        if legacy is not None:
            delta.function_call = self._function(dict(legacy), {})
        self._carry(delta, left, ("reasoning_details", "channel", "name"))
        delta.other = left or None
        return delta

    def _content(self, left: Fields) -> str | list[Any] | None:
        content = left.pop("content", None)
        return content if isinstance(content, list) else self._as_text(content)

    def _call(self, left: Fields, place: int | None) -> ToolCallPiece:
        index = self._integer(left, "index")
        piece = ToolCallPiece(
            index=place if index is None else index,
            id=self._text(left, "id"),
            type=self._text(left, "type"),
        )
        for name, kind in (("function", self._function), ("custom", self._custom)):
            inner = self._object(left, name)
            if inner is not None:
                setattr(piece, name, kind(dict(inner), left))
        piece.other = left or None
        return piece

    def _function(self, left: Fields, outside: Fields) -> Function:
        function = Function(self._text(left, "name"), self._arguments(left.pop("arguments", None)))
        if left:
            outside["function"] = left
        return function

    def _custom(self, left: Fields, outside: Fields) -> Custom:
        custom = Custom(self._text(left, "name"), self._text(left, "input"))
        if left:
            outside["custom"] = left
        return custom

    def _arguments(self, value: Any) -> str | None:
        """JSON text, or (Ollama) the object itself."""
        if not isinstance(value, dict | list):
            return self._as_text(value)
        self.is_exact = False
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    # -------------------------------------------------------- single fields

    def _carry(self, struct: msgspec.Struct, left: Fields, names: tuple[str, ...]) -> None:
        for name in names:
            if name in left:
                setattr(struct, name, left.pop(name))

    def _text(self, left: Fields, name: str) -> str | None:
        return self._as_text(left.pop(name, None))

    def _as_text(self, value: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        self.is_exact = False
        return str(value) if isinstance(value, int | float) else None

    def _integer(self, left: Fields, name: str) -> int | None:
        value = left.pop(name, None)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self.is_exact = False
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError):
            return None

    def _object(self, left: Fields, name: str) -> Fields | None:
        value = left.pop(name, None)
        if value is None or isinstance(value, dict):
            return value
        self.is_exact = False
        return None

    def _objects(self, left: Fields, name: str) -> list[Fields] | None:
        value = left.pop(name, None)
        if value is None:
            return None
        entries = value if isinstance(value, list) else [value]
        objects = [entry for entry in entries if isinstance(entry, dict)]
        if len(objects) != len(entries) or entries is not value:
            self.is_exact = False
        return objects
