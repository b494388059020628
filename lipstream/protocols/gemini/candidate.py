"""One candidate of an answer: its parts to events, and how it ends."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.seal import Sealer
from lipstream.framing.surrogates import Halves
from lipstream.protocols.gemini.audio import AudioJoiner
from lipstream.protocols.gemini.calls import CallIds, CallReader
from lipstream.protocols.gemini.logprobs import Entries, decode_logprobs
from lipstream.protocols.gemini.wire import (
    FINISH_REASONS,
    NAME,
    NUMBERED_REASONS,
    PLAIN_REASONS,
    Fields,
    data_url,
    standard_base64,
)

_TEXT_FIELDS = frozenset({"text", "thought", "thoughtSignature"})
_SIGNED = frozenset({"thought", "thoughtSignature"})


class Candidate:
    """Reads what the chunks say of one candidate.

    Attributes:
        index: Its number, which is that of the choice.
        word: The finish reason so far, in the provider's words; empty for none.
        is_plain: Whether a piece of text may be told as it is, without another look.
    """

    __slots__ = (
        "_audio",
        "_calls",
        "_entries",
        "_fields",
        "_halves",
        "_is_whole",
        "_kind",
        "_sealer",
        "index",
        "is_plain",
        "word",
    )

    def __init__(
        self, index: int, ids: CallIds, sealer: Sealer, halves: Halves, is_whole: bool
    ) -> None:
        self.index = index
        self.word = ""
        self.is_plain = False
        self._calls = CallReader(index, ids, sealer)
        self._sealer = sealer
        self._halves = halves
        self._is_whole = is_whole
        self._fields: Fields = {}
        self._audio = AudioJoiner()
        self._entries: Entries | None = None
        self._kind = ""  # of the text that came last, while it is in no finished part

    def read(self, value: Fields, source: e.Source, batch: e.Batch) -> None:
        """Adds what one chunk says."""
        content = value.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        self._entries = decode_logprobs(value.get("logprobsResult"))
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._read_part(part, source, batch)
        if self._entries is not None:
            self._tell_text("", source, batch)
        fields = {
            name: field
            for name, field in value.items()
            if name != "content" and self._fields.get(name) != field
        }
        if fields:
            self._fields.update(fields)
            batch.append(e.Extra(NAME, "choice", fields, self.index, source=source))
        self.word = _word(value.get("finishReason")) or self.word
        self.is_plain = not (self._is_whole or self._calls.is_open or self._audio.is_open)

    def block(self, word: str) -> None:
        """The provider stopped it for a reason of its own."""
        self.word = word if word in FINISH_REASONS else "SAFETY"

    def finish(self, batch: e.Batch) -> None:
        """Ends what is open, and the message."""
        self._end_others(None, batch)
        for kind, event in _TEXTS:
            if rest := self._halves.rest((kind, self.index)):
                batch.append(event(rest, self.index))
        reason = FINISH_REASONS.get(self.word, e.FinishReason.STOP)
        if reason is e.FinishReason.STOP and self._calls.count:
            reason = e.FinishReason.TOOL_CALLS
        detail = "" if self.word in PLAIN_REASONS else self.word
        batch.append(e.MessageFinished(reason, self.index, detail))

    # -------------------------------------------------------- parts

    def _read_part(self, part: Fields, source: e.Source, batch: e.Batch) -> None:
        text, call = part.get("text"), part.get("functionCall")
        signature = part.get("thoughtSignature")
        signature = signature if isinstance(signature, str) else ""
        if isinstance(call, dict):
            self._tell_audio(self._audio.end(), source, batch)
            self._kind = ""
            self._calls.read(call, signature, source, batch)
            fields = _others(part, {"functionCall", "thoughtSignature"})
            if carried := self._calls.carried(call):
                fields["functionCall"] = carried
            self._carry(fields, source, batch)
        elif isinstance(text, str) or (signature and not part.keys() - _SIGNED):
            self._end_others(source, batch)
            self._read_text(text or "", part, signature, source, batch)
        else:
            self._read_other(part, source, batch)

    def _read_text(
        self, text: str, part: Fields, signature: str, source: e.Source, batch: e.Batch
    ) -> None:
        kind = "reasoning" if part.get("thought") is True else "text"
        if self._is_whole and self._kind == kind and (text or signature):
            batch.append(e.PartFinished(kind, choice=self.index, source=source))
        if self._halves.is_on and text:
            text = self._halves.whole((kind, self.index), text)
        if text and kind == "text":
            self._tell_text(text, source, batch)
        elif text:
            batch.append(e.ReasoningDelta(text, self.index, source=source))
        self._kind = kind if text else self._kind
        if len(part) > 1 and (fields := _others(part, _TEXT_FIELDS)) and text:
            self._carry(fields, source, batch)
        if signature:
            seal = self._sealer.seal(NAME, signature)
            batch.append(e.PartFinished(kind, seal, self.index, source=source))
            self._kind = ""

    def _tell_text(self, text: str, source: e.Source, batch: e.Batch) -> None:
        batch.append(e.TextDelta(text, self.index, self._entries, source=source))
        self._entries = None

    def _read_other(self, part: Fields, source: e.Source, batch: e.Batch) -> None:
        """Media, or a part that only this dialect knows; thoughts may be images too."""
        is_thought = part.get("thought") is True
        for name in () if is_thought else ("inlineData", "fileData"):
            inner = part.get(name)
            if isinstance(inner, dict) and (_text(inner, "data") or _text(inner, "fileUri")):
                self._read_media(inner, source, batch)
                self._carry(_others(part, {name}), source, batch)
                return
        if part:
            self._end_others(source, batch)
            self._kind = ""
            batch.append(e.Extra(NAME, "whole_part", part, self.index, source=source))

    def _read_media(self, inner: Fields, source: e.Source, batch: e.Batch) -> None:
        self._kind = ""
        mime, data, uri = (_text(inner, name) for name in ("mimeType", "data", "fileUri"))
        if mime.startswith("audio/") and not uri:
            self._calls.close(source, batch)
            self._tell_audio(self._audio.add(mime, standard_base64(data)), source, batch)
            return
        self._end_others(source, batch)
        kind = "image" if mime.startswith("image/") else "file"
        url = uri or data_url(mime, standard_base64(data))
        name = _text(inner, "displayName")
        batch.append(e.Media(kind, url, mime, name, choice=self.index, source=source))

    def _tell_audio(self, data: str, source: e.Source | None, batch: e.Batch) -> None:
        if data:
            mime = self._audio.mime
            batch.append(e.Media("audio", data, mime, choice=self.index, source=source))

    def _end_others(self, source: e.Source | None, batch: e.Batch) -> None:
        """Ends a call and audio that are on their way."""
        self._calls.close(source, batch)
        self._tell_audio(self._audio.end(), source, batch)

    def _carry(self, fields: Fields, source: e.Source, batch: e.Batch) -> None:
        if fields:
            batch.append(e.Extra(NAME, "part", fields, self.index, source=source))


_TEXTS: tuple[tuple[str, type[e.ReasoningDelta | e.TextDelta]], ...] = (
    ("reasoning", e.ReasoningDelta),
    ("text", e.TextDelta),
)


def _word(value: Any) -> str:
    """A finish reason as a word, whichever way enumerations are written."""
    if isinstance(value, int) and 0 <= value < len(NUMBERED_REASONS):
        return NUMBERED_REASONS[value]
    return value if isinstance(value, str) else ""


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _others(part: Fields, known: Set[str]) -> Fields:
    return {name: value for name, value in part.items() if name not in known}
