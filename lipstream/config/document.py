"""YAML text to plain values, with the line that each of them stands in.

Stricter than YAML: a key stands once, keys are texts as they are written (``on`` is ``on``), and
variables are filled in (see ``env``). Settings from outside the file are put over it here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import yaml

from lipstream.config.env import Environment, Setting, interpolate
from lipstream.config.schema import Origins, Path
from lipstream.config.values import Untyped, describe
from lipstream.errors import ConfigError

MAX_DEPTH = 16

_MERGE = "tag:yaml.org,2002:merge"
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@attrs.define
class Document:
    """A configuration before it has types.

    Attributes:
        tree: Maps, lists and plain values.
        origins: Where they came from.
    """

    tree: dict[str, Any]
    origins: Origins

    def override(self, settings: Iterable[Setting], environment: Environment) -> None:
        """Puts settings over what is there, the later ones over the earlier.

        Raises:
            ConfigError: a path leads through something that is no map, or a variable is not set.
        """
        for setting in settings:
            path = tuple(setting.path.split("."))
            self._forget(path)
            self.origins.places[path] = setting.source
            try:
                text = Untyped(interpolate(setting.text, environment))
            except ValueError as error:
                raise self.origins.fault(path, str(error)) from error
            self._map_at(path[:-1])[path[-1]] = text

    def _forget(self, path: Path) -> None:
        """What stood at and below a path has another origin now."""
        places = self.origins.places
        self.origins.places = {at: p for at, p in places.items() if at[: len(path)] != path}

    def _map_at(self, path: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = self.tree
        for depth, name in enumerate(path):
            if found.get(name) is None:
                found[name] = {}
            below = found[name]
            if isinstance(below, Untyped):
                below = found[name] = read_value(below)
            if not isinstance(below, dict):
                at = path[: depth + 1]
                raise self.origins.fault(at, f"expected a map, got {describe(below)}")
            found = below
        return found


def read_document(text: str, source: str, environment: Environment) -> Document:
    """Reads a file's text.

    Raises:
        ConfigError: it is not YAML, not a map, or refers to a variable that is not set.
    """
    origins = Origins(source)
    tree = _read(text, origins, environment)
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise origins.fault((), f"expected a map of sections, got {describe(tree)}")
    return Document(tree, origins)


def read_value(text: str) -> Any:
    """Reads a map or a list that was given as a text; its variables are filled in already.

    Raises:
        ConfigError: it is not YAML.
    """
    return _read(text, Origins(), None)


def _read(text: str, origins: Origins, environment: Environment | None) -> Any:
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        return None if node is None else _Reading(loader, origins, environment).value(node, ())
    except (yaml.YAMLError, RecursionError) as error:
        raise _not_yaml(error, text, origins.source) from error


def _not_yaml(error: Exception, text: str, source: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).partition("\n")[0]
    if mark is not None and "${" in "".join(text.split("\n")[mark.line : mark.line + 1]):
        what = f"{what} (inside of {{...}} and [...], a ${{NAME}} needs quotes)"
    where = f"{source}:{mark.line + 1}" if mark is not None else source
    return ConfigError(": ".join(part for part in (where, "not YAML", what) if part))


class _Reading:
    """One walk over YAML's nodes."""

    def __init__(
        self, loader: yaml.SafeLoader, origins: Origins, environment: Environment | None
    ) -> None:
        self._loader = loader
        self._origins = origins
        self._environment = environment
        self._flat: set[int] = set()  # mappings whose merge keys are resolved

    def value(self, node: yaml.Node, path: Path) -> Any:
        if len(path) > MAX_DEPTH:
            raise self._origins.fault(path, "nested too deeply")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _COLLECTIONS:
            raise self._origins.fault(path, f"the tag {node.tag} is not known")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        values = []
        for index, item in enumerate(node.value):
            self._note(item, (*path, index))
            values.append(self.value(item, (*path, index)))
        return values

    def _note(self, node: yaml.Node, path: Path) -> None:
        self._origins.places[path] = node.start_mark.line + 1

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        if id(node) not in self._flat:
            self._flat.add(id(node))
            self._refuse_repeated(node, path)
            self._loader.flatten_mapping(node)
        values = {}
        for key, item in node.value:
            at = (*path, key.value)
            self._note(key, at)
            values[key.value] = self.value(item, at)
        return values

    def _refuse_repeated(self, node: yaml.MappingNode, path: Path) -> None:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            at = (*path, str(key.value))
            self._note(key, at)
            if not isinstance(key, yaml.ScalarNode):
                raise self._origins.fault(path, "a key must be a single word")
            if key.tag != _MERGE and key.value in lines:
                raise self._origins.fault(at, f"stands already in line {lines[key.value]}")
            lines[key.value] = key.start_mark.line + 1

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        try:
            value = self._loader.construct_object(node)
        except ValueError:  # what looks like a date and is none
            value = node.value
        if value is not None and not isinstance(value, str | int | float | bool):
            value = node.value  # dates and the like are texts to us
        if not isinstance(value, str) or self._environment is None or "$" not in value:
            return value
        try:
            filled = interpolate(value, self._environment)
        except ValueError as error:
            raise self._origins.fault(path, str(error)) from error
        return Untyped(filled)
