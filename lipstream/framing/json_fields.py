"""Reading one JSON object of a request.

What is taken out has a canonical place. What is left when everything known is taken belongs to the
dialect and is kept as it stands: unknown fields, and known ones that were null or empty, so that
the object can be written again as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from lipstream.errors import BadRequest, TooLarge

T = TypeVar("T")

MAX_SHOWN = 80


class FieldReader:
    """An object at ``path`` in the request; every error names the path of its field.

    Attributes:
        left: What was not taken.
    """

    __slots__ = ("left", "path")

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            refuse(path, "an object", value)
        self.left = dict(value)
        self.path = path

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def refuse(self, name: str, expected: str) -> NoReturn:
        """Raises BadRequest for a field that is not what it should be."""
        refuse(self.at(name), expected, self.left.get(name))

    # Each of these takes a field out; null and absent ones are left where they are.

    def needed_text(self, name: str) -> str:
        """A string that has to be there; it may be empty."""
        if self.left.get(name) is None:
            self.refuse(name, "a string")
        return self._take(name, str, "a string") or ""

    def text(self, name: str) -> str:
        """A string; an empty one is left as well."""
        return "" if self.left.get(name) == "" else self.optional_text(name) or ""

    def optional_text(self, name: str) -> str | None:
        """A string."""
        return self._take(name, str, "a string")

    def number(self, name: str) -> float | None:
        """A number, as int where it was written as one."""
        value = self.left.get(name)
        if isinstance(value, bool):
            self.refuse(name, "a number")
        if isinstance(value, int):
            return self.integer(name)
        return self._take(name, float, "a number")

    def integer(self, name: str, minimum: int | None = None) -> int | None:
        """A whole number, not under ``minimum``."""
        value = self.left.get(name)
        expected = "an integer" if minimum is None else f"an integer of at least {minimum}"
        if isinstance(value, float) and value.is_integer():
            self.left[name] = value = int(value)
        is_low = isinstance(value, int) and minimum is not None and value < minimum
        if is_low or isinstance(value, bool):
            self.refuse(name, expected)
        return self._take(name, int, expected)

    def boolean(self, name: str) -> bool | None:
        """True or false."""
        return self._take(name, bool, "true or false")

    def object(self, name: str) -> dict[str, Any] | None:
        """An object."""
        return self._take(name, dict, "an object")

    def objects(self, name: str, maximum: int) -> list[Any]:
        """A list of at most ``maximum`` entries; an empty one is left as well."""
        value = self.left.get(name)
        if value is None or value == []:
            return []
        if not isinstance(value, list):
            self.refuse(name, "a list")
        if len(value) > maximum:
            message = f"{self.at(name)}: {len(value)} entries, at most {maximum} are allowed"
            raise TooLarge(message, param=self.at(name), code="array_above_max_length")
        del self.left[name]
        return value

    def entries(self, name: str, maximum: int) -> list[tuple[Any, str]]:
        """The same as :meth:`objects`, each entry with its path."""
        path = self.at(name)
        return [(entry, f"{path}[{i}]") for i, entry in enumerate(self.objects(name, maximum))]

    def inner(self, name: str) -> FieldReader:
        """An object that has to be there, to be read in turn, then to be :meth:`put_back`."""
        return FieldReader(self.left.pop(name, None), self.at(name))

    def put_back(self, name: str, inner: FieldReader) -> None:
        """Leaves of an inner object what was not taken from it."""
        if inner.left:
            self.left[name] = inner.left

    def _take(self, name: str, kind: type[T], expected: str) -> T | None:
        value = self.left.get(name)
        if value is None:
            return None
        if not isinstance(value, kind):
            self.refuse(name, expected)
        del self.left[name]
        return value


def refuse(path: str, expected: str, value: Any) -> NoReturn:
    """Raises BadRequest, showing no more of the value than can be shown."""
    where = path or "the body"
    if value is None:
        text, code = f"{where}: missing, expected {expected}", "missing_required_parameter"
    else:
        text, code = f"{where}: expected {expected}, got {shown(value)}", "invalid_value"
    raise BadRequest(text, param=path or None, code=code)


def shown(value: Any) -> str:
    """A value for a message: a scalar as JSON where it is short, else what it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return f"a string of {len(value)} characters"
    text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN else f"something of {len(text)} characters"


def merge_fields(known: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``known`` with what is in ``more`` and not in it, objects within objects included."""
    merged = dict(known)
    for name, value in more.items():
        mine = merged.get(name)
        if name not in merged:
            merged[name] = value
        elif isinstance(mine, dict) and isinstance(value, Mapping):
            merged[name] = merge_fields(mine, value)
    return merged
