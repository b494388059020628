"""Plain values to the classes of the schema, and back without secrets.

The schema's type annotations say what is expected; every complaint is collected with its path.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, cast, get_args, get_origin

import attrs

from lipstream.canonical.secret import Secret
from lipstream.config.document import read_value
from lipstream.config.schema import BackendEntry, Path
from lipstream.config.values import (
    Address,
    Reader,
    Untyped,
    describe,
    nearest,
    reader_of,
    refusal,
)

Kinds = Mapping[str, type[BackendEntry]]

T = TypeVar("T")

BAD: Any = object()
"""Stands for a value that could not be read, until the complaints are raised."""


class Structurer:
    """Makes values of the schema's types.

    Attributes:
        complaints: What was wrong, by path, in the order in which it was found.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.complaints: list[tuple[Path, str]] = []
        self._kinds = kinds

    def section(self, cls: type[T], value: Any, path: Path = ()) -> T:
        """An instance of a class of the schema; not to be used if there are complaints."""
        given = self._map(value, path)
        if given is BAD:
            return cast(T, BAD)
        expected = _fields(cls)
        for name in given:
            if name not in expected:
                self._complain((*path, name), f"unknown key; {nearest(name, expected)}")
        for name, (_, is_required) in expected.items():
            if is_required and name not in given:
                self._complain((*path, name), "is missing")
        values = {
            name: self._value(expected[name][0], item, (*path, name))
            for name, item in given.items()
            if name in expected
        }
        return cast(T, BAD) if self.complaints else cls(**values)

    def _complain(self, path: Path, message: str) -> Any:
        self.complaints.append((path, message))
        return BAD

    def _value(self, kind: Any, value: Any, path: Path) -> Any:
        if (reader := reader_of(kind)) is not None:
            return self._simple(reader, value, path)
        if kind is BackendEntry:
            return self._backend(value, path)
        if attrs.has(kind):
            return self.section(kind, value, path)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return self._choice(kind, value, path)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (types.UnionType, Union):  # X | None
            return None if value is None else self._value(arguments[0], value, path)
        if origin is tuple:
            items = enumerate(self._list(value, path))
            return tuple(self._value(arguments[0], item, (*path, at)) for at, item in items)
        return self._mapping(arguments, value, path)

    def _simple(self, reader: Reader, value: Any, path: Path) -> Any:
        try:
            return reader.read(value)
        except ValueError:
            return self._complain(path, refusal(reader, value))

    def _choice(self, kind: type[enum.Enum], value: Any, path: Path) -> Any:
        words = [member.value for member in kind]
        if value in words:
            return kind(value)
        return self._complain(path, f"expected one of {', '.join(words)}, got {describe(value)}")

    def _map(self, value: Any, path: Path) -> Any:
        value = read_value(value) if isinstance(value, Untyped) else value
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        return self._complain(path, f"expected a map, got {describe(value)}")

    def _list(self, value: Any, path: Path) -> list[Any]:
        value = read_value(value) if isinstance(value, Untyped) else value
        if isinstance(value, list):
            return value
        if value is not None:
            self._complain(path, f"expected a list, got {describe(value)}")
        return []

    def _mapping(self, kinds: tuple[Any, ...], value: Any, path: Path) -> Any:
        given = self._map(value, path)
        if given is BAD:
            return BAD
        key_kind, item_kind = kinds
        return {
            self._value(key_kind, key, (*path, key)): self._value(item_kind, item, (*path, key))
            for key, item in given.items()
        }

    def _backend(self, value: Any, path: Path) -> Any:
        """An entry, in the class of its kind, which may be said by its id."""
        given = self._map(value, path)
        if given is BAD:
            return BAD
        name, known = str(path[-1]), ", ".join(sorted(self._kinds))
        kind = given.get("kind") or (name if name in self._kinds else None)
        if kind is None:
            return self._complain((*path, "kind"), f"is missing: one of {known}")
        if kind not in self._kinds:
            hint = nearest(str(kind), self._kinds)
            return self._complain((*path, "kind"), f"unknown kind {describe(kind)}; {hint}")
        return self.section(self._kinds[kind], {**given, "kind": kind}, path)


def _fields(cls: type) -> dict[str, tuple[Any, bool]]:
    """Of each key: its type, and whether it must be there."""
    attrs.resolve_types(cls)
    return {
        field.name: (field.type, field.default is attrs.NOTHING)
        for field in attrs.fields(cls)
        if field.init
    }


def redacted(value: Any) -> Any:
    """A value of the schema as plain values, with a placeholder for every secret."""
    if isinstance(value, Secret | Address):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if attrs.has(type(value)):
        fields = [field.name for field in attrs.fields(type(value)) if field.init]
        return {name: redacted(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [redacted(item) for item in value]
    return value
