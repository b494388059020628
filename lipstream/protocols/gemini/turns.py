"""The conversation as ``contents``.

Of a call in this dialect every turn is put together again as it came. Of any other one the turns
are made to be what Gemini wants:

- what systems and developers say before anybody else is the system instruction, what they say
  later stands in its place as the user's words;
- turns of one role in a row are one, and none is empty;
- the results of a turn's calls come right after it in one content of their own, in the order of
  the calls; images in them stand within, for models that take that, else in a turn that follows.

A model of generation 3 refuses an unsigned call at the beginning of a step, so a call that it did
not make itself, or whose signature is lost, gets the word that Google has for such a case.
"""

from __future__ import annotations

from itertools import pairwise

import attrs

from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.parts import Opaque, Text, ToolCall, ToolResult
from lipstream.canonical.turns import INSTRUCTING
from lipstream.framing.json_fields import merge_fields
from lipstream.protocols.gemini.joining import JOINED, begins_turn
from lipstream.protocols.gemini.models import takes_media_in_results, wants_signatures
from lipstream.protocols.gemini.parts import encode_part
from lipstream.protocols.gemini.results import encode_result, media_of
from lipstream.protocols.gemini.wire import NAME, NO_SEAL, Fields


def encode_turns(call: Call, model: str) -> Fields:
    """``contents``, and ``systemInstruction`` where there is one."""
    is_own = call.dialect == NAME
    start = next((i for i, m in enumerate(call.messages) if m.role not in INSTRUCTING), None)
    if start is None:  # nobody but the system speaks
        start = len(call.messages) if is_own else 0
    system, rest = call.messages[:start], call.messages[start:]
    contents = _own(rest) if is_own else _Turns(model).encode(rest)
    if wants_signatures(model):
        _sign(contents)
    body: Fields = {}
    if system and (instruction := _system(system, is_own)):
        body["systemInstruction"] = instruction
    body["contents"] = contents or [{"role": "user", "parts": [{"text": ""}]}]
    return body


def _system(messages: tuple[Message, ...], is_own: bool) -> Fields:
    parts = [part for message in messages for part in _parts(message, "system", is_own)]
    fields: Fields = {"parts": parts} if parts else {}
    for message in messages if is_own else ():
        fields = merge_fields(fields, message.extra)
    return fields


def _parts(message: Message, path: str, is_own: bool) -> list[Fields]:
    """The parts of a message that are no results, without empty texts of other dialects."""
    is_model = message.role is Role.ASSISTANT
    found: list[Fields] = []
    for i, part in enumerate(message.parts):
        is_empty = isinstance(part, Text) and not part.text and part.seal is None
        is_foreign = is_model and isinstance(part, Opaque) and part.dialect != NAME
        if (is_empty and not is_own) or is_foreign:
            continue
        encoded = encode_part(part, f"{path}.content[{i}]", is_own=is_own)
        if encoded is not None:
            found.append(encoded)
    return found


def _sign(contents: list[Fields]) -> None:
    """Sees to it that the first call of every step is signed."""
    is_first = True
    for content in contents:
        if content.get("role") != "model":
            is_first = True
            continue
        calls = [part for part in content.get("parts") or () if "functionCall" in part]
        if calls and is_first:
            calls[0].setdefault("thoughtSignature", NO_SEAL)
            is_first = False


# ---------------------------------------------------------------- of this dialect


def _own(messages: tuple[Message, ...]) -> list[Fields]:
    contents: list[Fields] = []
    for i, message in enumerate(messages):
        path = f"contents[{i}]"
        is_joined = message.extra.get(JOINED) == ""
        extra = {} if is_joined else message.extra
        for turn in _turns_of(message):
            parts = _parts(turn, path, True)
            results = [part for part in turn.parts if isinstance(part, ToolResult)]
            for result in results:
                parts.append(encode_result(result, path, is_own=True, takes_media=True))
            if is_joined and contents:
                contents[-1].setdefault("parts", []).extend(parts)
            elif parts or not turn.parts:  # else it was only another provider's reasoning
                fields: Fields = {"role": extra.get("role") or _role(message)}
                if parts:
                    fields["parts"] = parts
                contents.append(merge_fields(fields, extra))
    return contents


def _turns_of(message: Message) -> list[Message]:
    """The turns that a message was joined of."""
    starts = [i for i, part in enumerate(message.parts) if i and begins_turn(part)]
    bounds = [0, *starts, len(message.parts)]
    return [attrs.evolve(message, parts=message.parts[i:j]) for i, j in pairwise(bounds)]


def _role(message: Message) -> str:
    return "model" if message.role is Role.ASSISTANT else "user"


# ---------------------------------------------------------------- of other dialects


@attrs.define
class _Turns:
    """Puts turns together; what the user's side says waits until it is known to be all."""

    model: str
    contents: list[Fields] = attrs.field(factory=list)
    calls: list[str] = attrs.field(factory=list)  # the ids of the last turn's calls
    results: dict[str, list[Fields]] = attrs.field(factory=dict)
    said: list[Fields] = attrs.field(factory=list)

    def encode(self, messages: tuple[Message, ...]) -> list[Fields]:
        for i, message in enumerate(messages):
            path = f"messages[{i}]"
            if message.role is Role.ASSISTANT:
                self._flush()
                self._add("model", _parts(message, path, False))
                self.calls += [part.id for part in message.parts if isinstance(part, ToolCall)]
            else:
                for part in message.parts:
                    if isinstance(part, ToolResult):
                        self._take(part, path)
                self.said += _parts(message, path, False)
        self._flush()
        return self.contents

    def _take(self, result: ToolResult, path: str) -> None:
        within = takes_media_in_results(self.model)
        encoded = encode_result(result, path, is_own=False, takes_media=within)
        self.results.setdefault(result.call_id, []).append(encoded)
        media = [] if within else media_of(result)
        if media:
            self.said.append({"text": f"Of the result of {result.name} ({result.call_id}):"})
        for part in media:
            said = encode_part(part, path, is_own=False)
            self.said += [said] if said else []

    def _flush(self) -> None:
        """Writes what the user's side said: results in the order of their calls, then the rest."""
        if not self.results and not self.said:
            return
        if self.results:
            order = [*self.calls, *self.results]
            answers = [part for call_id in order for part in self.results.pop(call_id, ())]
            self.contents.append({"role": "user", "parts": answers})
        self._add("user", self.said)
        self.calls, self.said = [], []

    def _add(self, role: str, parts: list[Fields]) -> None:
        """Adds parts to the last turn, if it is of this role; results stay among themselves."""
        last: Fields = self.contents[-1] if self.contents else {"role": "", "parts": [{}]}
        if last["role"] == role and "functionResponse" not in last["parts"][0]:
            last["parts"] += parts
        elif parts:
            self.contents.append({"role": role, "parts": parts})
