"""Where a request goes, from what the client wrote: the route header, else the model, else the
default route.

A model may be written as an alias, as ``backend:model`` or ``backend/model`` with a configured
backend, as the name of a model that some backend declares, or as any selector. Everything else is a
name that lipstream does not know: it goes to the default route. There a leaf whose model is ``*``
takes the name as it is, which is how one backend serves all its models.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from lipstream.errors import BadSelector
from lipstream.routing.aliases import Aliases
from lipstream.routing.options import check_params
from lipstream.routing.selector import (
    Arm,
    Leaf,
    Primary,
    Selector,
    format_selector,
    leaves,
    parse_selector,
)

ANY_MODEL = "*"
_OPERATORS = frozenset("|!^{}[]?")


@attrs.frozen
class RouteRules:
    """The configured part of the choice.

    Attributes:
        default_route: Selector text; empty when there is none.
        default_backend: Taken for leaves that name no backend.
        backends: The ids of the configured backends.
        declared: Models that backends declare, with the backend that does.
    """

    aliases: Aliases
    default_route: str
    default_backend: str
    backends: Collection[str]
    declared: Mapping[str, str] = attrs.field(factory=dict)

    def choose(self, model: str, header: str | None = None) -> Selector:
        """The route of one request.

        Raises:
            BadSelector: what the client wrote does not parse, or there is nothing to go by.
        """
        if header and not header.isspace():
            return self._parse(self.aliases.resolve(header.strip()), model)
        wanted = model.strip()
        text = self.aliases.resolve(wanted)
        if text == wanted:
            text = self._known_name(wanted)
        return self._parse(text, wanted)

    def _known_name(self, wanted: str) -> str:
        """The selector text for a model's name that is no alias."""
        if _OPERATORS.intersection(wanted):
            return wanted
        backend, colon, _ = wanted.partition(":")
        if colon and backend.strip() in self.backends:
            return wanted
        backend, slash, name = wanted.partition("/")
        if slash and name and backend in self.backends:
            return f"{backend}:{name}"
        if wanted in self.declared:
            return f"{self.declared[wanted]}:{wanted}"
        takes_any = f":{ANY_MODEL}" in self.default_route
        return wanted if colon and not takes_any else self.default_route

    def _parse(self, text: str, model: str) -> Selector:
        if not text:
            raise BadSelector("no model was given and there is no default route: name a model")
        selector = parse_selector(text, default_backend=self.default_backend)
        for leaf in leaves(selector):
            check_params(leaf.candidate.params)
        return _fill_in(selector, model) if ANY_MODEL in text else selector


def route_names(texts: Iterable[str], default_backend: str) -> Iterator[str]:
    """The canonical texts of selectors, by which records know routes; what is none is left out."""
    for text in texts:
        with contextlib.suppress(BadSelector):
            yield format_selector(parse_selector(text, default_backend=default_backend))


def _fill_in(selector: Selector, model: str) -> Selector:
    """Puts the client's model where a leaf takes any."""
    if not model and any(leaf.candidate.model == ANY_MODEL for leaf in leaves(selector)):
        raise BadSelector("the default route takes any model: name one")
    return attrs.evolve(selector, arms=tuple(_fill_arm(arm, model) for arm in selector.arms))


def _fill_arm(arm: Arm, model: str) -> Arm:
    if isinstance(arm, Primary):
        return Primary(_fill_leaf(arm.leaf, model))
    branches = [attrs.evolve(b, leaf=_fill_leaf(b.leaf, model)) for b in arm.branches]
    return attrs.evolve(arm, branches=tuple(branches))


def _fill_leaf(leaf: Leaf, model: str) -> Leaf:
    if leaf.candidate.model != ANY_MODEL:
        return leaf
    return attrs.evolve(leaf, candidate=attrs.evolve(leaf.candidate, model=model))
