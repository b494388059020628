"""Arguments of a call that come piece by piece, each under a JSON path (``$.orders[0].name``).

Only child names and positions occur, in dots or in brackets. Pieces of one text are kept in a list
and joined once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(
    r"\.([^.\[\]]+)|\[(\d{1,6})\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]"
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MAX_DEPTH = 64
_VALUES = ("numberValue", "boolValue")


class PartialArgs:
    """The arguments of one call so far."""

    def __init__(self) -> None:
        self._leaves: dict[str, list[Any]] = {}  # by path; texts in pieces
        self._whole: dict[str, Any] = {}

    def add_whole(self, fields: Mapping[str, Any]) -> None:
        """Takes arguments that came as an object."""
        self._whole.update(fields)

    def add(self, pieces: Any) -> None:
        """Takes ``partialArgs``; what cannot be read is left out."""
        for piece in pieces if isinstance(pieces, list) else ():
            path = piece.get("jsonPath") if isinstance(piece, dict) else None
            if isinstance(path, str):
                self._add(path, piece)

    def _add(self, path: str, piece: Mapping[str, Any]) -> None:
        text = piece.get("stringValue")
        if isinstance(text, str):
            leaf = self._leaves.setdefault(path, [])
            leaf.append(text)
            return
        for name in _VALUES:
            if name in piece:
                self._leaves[path] = [_number(piece[name])]
                return
        if "nullValue" in piece:
            self._leaves[path] = [None]

    def value(self) -> dict[str, Any]:
        """The arguments as an object."""
        root: dict[str, Any] = dict(self._whole)
        for path, leaf in self._leaves.items():
            is_text = all(isinstance(piece, str) for piece in leaf)
            _put(root, _steps(path), "".join(leaf) if is_text else leaf[-1])
        return root


def _number(value: Any) -> Any:
    """Numbers come as doubles; a whole one is told as one."""
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53
    return int(value) if is_whole else value


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for found in _STEP.finditer(path, 1 if path.startswith("$") else 0):
        name, place, single, double = found.groups()
        if place is not None:
            steps.append(int(place))
        else:
            quoted = single if single is not None else double
            steps.append(name if quoted is None else _ESCAPE.sub(r"\1", quoted))
    return steps[:_MAX_DEPTH]


def _put(root: dict[str, Any], steps: list[str | int], value: Any) -> None:
    """Sets what is at the end of the steps, making objects and lists on the way."""
    place: Any = root
    for i, step in enumerate(steps):
        is_last = i == len(steps) - 1
        new = value if is_last else [] if isinstance(steps[i + 1], int) else {}
        if isinstance(place, list) and isinstance(step, int):
            if step >= len(place):
                place.append(new)  # positions come in order; a gap would be a fault of theirs
                step = len(place) - 1
            elif is_last or not isinstance(place[step], dict | list):
                place[step] = new
            place = place[step]
        elif isinstance(place, dict):
            name = str(step)
            if is_last or not isinstance(place.get(name), dict | list):
                place[name] = new
            place = place[name]
        else:
            return
