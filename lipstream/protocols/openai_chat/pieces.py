"""Putting together what came in deltas: the fields that only chat clients know.

Strings are appended, except those that name something and are repeated; lists are put behind each
other, and entries with the same ``index`` become one, of which only the texts grow; objects are
merged member by member; of anything else the last one counts. Work is linear in what came.

``reasoning_details`` are an exception, because OpenRouter gives all of them index 0 in a stream:
there it is the pieces in a row that are one entry, as long as they have the same type and index,
and until a signature ends it. What is encrypted comes whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lipstream.protocols.openai_chat.wire import Fields

_MAX_DEPTH = 32  # deeper than this objects are not merged, the last one counts

_NAMES = frozenset({"name", "role", "channel", "id", "type", "format", "status", "model"})
_GROWING = frozenset({"text", "summary", "data", "signature", "arguments", "input", "transcript"})


def join_pieces(pieces: Mapping[str, Sequence[Any]]) -> Fields:
    """The fields of a message, from all values that its deltas had for each."""
    return {
        name: _details(values)
        if name == "reasoning_details"
        else _joined(values, name not in _NAMES, 0)
        for name, values in pieces.items()
    }


def _joined(values: Sequence[Any], grows: bool, depth: int) -> Any:
    given = [value for value in values if value is not None]
    if not given:
        return None
    if grows and all(isinstance(value, str) for value in given):
        return "".join(given)
    if all(isinstance(value, list) for value in given):
        return _entries([entry for value in given for entry in value], depth)
    if len(given) > 1 and depth < _MAX_DEPTH and all(isinstance(v, dict) for v in given):
        return _members(given, depth)
    return given[-1]


def _members(objects: Sequence[Fields], depth: int) -> Fields:
    gathered: dict[str, list[Any]] = {}
    for value in objects:
        for name, member in value.items():
            gathered.setdefault(name, []).append(member)
    return {name: _joined(values, name in _GROWING, depth + 1) for name, values in gathered.items()}


def _entries(entries: list[Any], depth: int) -> list[Any]:
    """The entries in order, those with the same index as one, in the place of the first."""
    groups: dict[Any, list[Any]] = {}
    for place, entry in enumerate(entries):
        index = entry.get("index") if isinstance(entry, dict) else None
        key = ("index", index) if isinstance(index, int) else place
        groups.setdefault(key, []).append(entry)
    return [group[0] if len(group) == 1 else _members(group, depth) for group in groups.values()]


def _details(values: Sequence[Any]) -> list[Any]:
    groups: list[list[Any]] = []
    for value in values:
        for entry in value if isinstance(value, list) else ():
            if groups and _goes_on(groups[-1][-1], entry):
                groups[-1].append(entry)
            else:
                groups.append([entry])
    return [group[0] if len(group) == 1 else _members(group, 0) for group in groups]


def _goes_on(last: Any, entry: Any) -> bool:
    if not isinstance(last, dict) or not isinstance(entry, dict):
        return False
    is_over = last.get("signature") and (entry.get("text") or entry.get("summary"))
    is_same = all(last.get(name) == entry.get(name) for name in ("type", "index"))
    return is_same and not is_over and "data" not in last and "data" not in entry
