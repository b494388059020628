"""The names under which clients reach models: those that the configuration declares, and those that
backends have been found to have.

A declared model is reached by its bare name, at the first backend that declares it. A model that
was found changes no route that an operator has chosen: its bare name leads to its backend only
where the default route is nobody's word, only one backend has it, and those that the default route
hands every model to are known not to have it. By ``backend:model`` every one is reached.

A list shows each model by the shortest name that leads to it.
"""

from __future__ import annotations

import re
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from lipstream.errors import BadSelector
from lipstream.routing.choice import ANY_MODEL, RouteRules
from lipstream.routing.selector import leaves, parse_selector

Lists = Mapping[str, Sequence[str]]
"""Models by backend."""

_PLAIN = re.compile(r"\^((?:[\w/: -]|\.|\\[./:-])+)\$", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")


@attrs.frozen
class Name:
    """What a client may write, and the backend that it leads to; None for an alias."""

    text: str
    backend: str | None = None


class ModelNames:
    """All names, those that were found included.

    Args:
        rules: As they are configured.
        declared: By backend, of all of them.
        patterns: Of the aliases.
        may_route: Whether models that were found may be asked for by their bare names.

    Attributes:
        rules: The same, with the names that were found; it changes with :meth:`update`.
        listed: What a list shows.
    """

    def __init__(
        self, rules: RouteRules, declared: Lists, patterns: Sequence[str], may_route: bool
    ) -> None:
        self._given = rules
        self._declared = declared
        self._aliases = [name for name in map(plain_name, patterns) if name]
        self._may_route = may_route
        self._takers = _takers(rules)
        self._found: dict[str, str] = {}
        self.rules = attrs.evolve(rules, declared=ChainMap(self._found, dict(rules.declared)))
        self.update({})

    def update(self, found: Lists) -> None:
        """Takes in what is known of the backends' lists, all of it."""
        self._found.clear()
        self._found.update(self._routes(found))
        self.listed = tuple(self._shown(found))

    def _routes(self, found: Lists) -> dict[str, str]:
        """Where the bare names of models lead that were found."""
        if not self._may_route or any(taker not in found for taker in self._takers):
            return {}
        count = Counter(model for models in found.values() for model in models)
        taken = {model for taker in self._takers for model in found[taker]}
        return {
            model: backend
            for backend, models in found.items()
            for model in models
            if count[model] == 1 and model not in taken and model not in self._given.declared
        }

    def _shown(self, found: Lists) -> Iterator[Name]:
        yield from map(Name, dict.fromkeys(self._aliases))
        owners = self._owners(found)
        for backend, models in self._declared.items():
            for model in dict.fromkeys((*models, *found.get(backend, ()))):
                is_short = owners.get(model) == backend and not self._means_else(model)
                yield Name(model if is_short else f"{backend}:{model}", backend)

    def _owners(self, found: Lists) -> dict[str, str]:
        """The backend that a bare name leads to, or to first."""
        owners = dict(self._found)
        for taker in reversed(self._takers):
            owners.update(dict.fromkeys(found.get(taker, ()), taker))
        return {**owners, **self._given.declared}

    def _means_else(self, model: str) -> bool:
        """Whether a bare name is read as something else: an alias, or a backend's prefix."""
        heads = {model.partition(separator)[0] for separator in ":/" if separator in model}
        if any(head in self._given.backends for head in heads):
            return True
        try:
            return self._given.aliases.resolve(model) != model
        except BadSelector:
            return True


def plain_name(pattern: str) -> str | None:
    """The one name that an alias stands for, where its pattern is ``^name$``."""
    match = _PLAIN.fullmatch(pattern)
    return _ESCAPED.sub(r"\1", match[1]) if match else None


def _takers(rules: RouteRules) -> list[str]:
    """The backends that the default route hands every model to, in order."""
    if not rules.default_route:
        return []
    selector = parse_selector(rules.default_route, default_backend=rules.default_backend)
    named = [leaf.candidate for leaf in leaves(selector)]
    return list(dict.fromkeys(c.backend for c in named if c.model == ANY_MODEL))
