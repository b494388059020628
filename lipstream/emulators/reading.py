"""Walking a request's JSON: each value with its path, refused in the dialect's words if wrong.

Not here: what any field means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import attrs

from lipstream.emulators.script import Script


class Refused(Exception):
    """The request is at fault; ``script`` is the error that the provider answers with."""

    def __init__(self, script: Script) -> None:
        super().__init__(script.error_message)
        self.script = script


class Words(Protocol):
    """How a provider names places and words the usual faults."""

    def field(self, path: str, name: str) -> str:
        """The path of a field."""

    def item(self, path: str, index: int) -> str:
        """The path of a list's item."""

    def missing(self, path: str) -> Script:
        """Nothing where something is required."""

    def mistyped(self, path: str, expected: str, value: Any) -> Script:
        """Not the JSON type that is expected: ``object``, ``array``, ``string`` ..."""


@attrs.frozen
class Node:
    """A value of a request and where it stands; None where there is nothing.

    Every method that returns a value raises `Refused` when it is of another type.
    """

    value: Any
    path: str
    words: Words

    @property
    def is_missing(self) -> bool:
        """Nothing is there, or null."""
        return self.value is None

    def at(self, name: str) -> Node:
        """A field of this object."""
        return Node(self.table().get(name), self.words.field(self.path, name), self.words)

    def need(self, name: str) -> Node:
        """A field that must be there."""
        node = self.at(name)
        if node.is_missing:
            raise Refused(self.words.missing(node.path))
        return node

    def table(self) -> dict[str, Any]:
        """The object."""
        if not isinstance(self.value, dict):
            raise self._mistyped("object")
        return self.value

    def items(self) -> list[Node]:
        """The items of the list; none where nothing is there."""
        if self.is_missing:
            return []
        if not isinstance(self.value, list):
            raise self._mistyped("array")
        return [
            Node(value, self.words.item(self.path, index), self.words)
            for index, value in enumerate(self.value)
        ]

    def text(self) -> str:
        """The string."""
        if not isinstance(self.value, str):
            raise self._mistyped("string")
        return self.value

    def text_at(self, name: str) -> str | None:
        """The string in a field, or None where nothing is there."""
        node = self.at(name)
        return None if node.is_missing else node.text()

    def table_at(self, name: str) -> Node:
        """The object in a field; an empty one where nothing is there."""
        node = self.at(name)
        node = attrs.evolve(node, value={}) if node.is_missing else node
        node.table()
        return node

    def number(self) -> float:
        """The number, whole or not."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self._mistyped("number")
        return self.value

    def whole(self) -> int:
        """The whole number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self._mistyped("integer")
        return self.value

    def fields(self) -> Iterator[tuple[str, Node]]:
        """The fields that hold something."""
        for name in self.table():
            node = self.at(name)
            if not node.is_missing:
                yield name, node

    def _mistyped(self, expected: str) -> Refused:
        if self.is_missing:
            return Refused(self.words.missing(self.path))
        return Refused(self.words.mistyped(self.path, expected, self.value))


def json_type(value: Any) -> str:
    """The name of a value's JSON type."""
    names = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"))
    for kind, name in (*names, (list, "array"), (dict, "object")):
        if isinstance(value, kind):
            return name
    return "null"
