"""A candidate: one concrete ``backend:model?params`` target that an attempt can be made of."""

from __future__ import annotations

from urllib.parse import quote_plus

import attrs

Params = tuple[tuple[str, str], ...]


@attrs.frozen
class Candidate:
    """One backend and model, with the query parameters of its leaf in the selector.

    Attributes:
        backend: The configured backend's id; empty while a model-only leaf waits for the default
            backend.
        model: The model's name as the backend knows it; everything after the first colon, so it may
            contain colons.
        params: Decoded query pairs in the order in which they were written; keys may repeat.
    """

    backend: str
    model: str
    params: Params = ()

    @property
    def key(self) -> str:
        """What exclusion and health go by: ``backend:model?a=1&b=2`` with keys sorted."""
        name = f"{self.backend}:{self.model}" if self.backend else self.model
        if not self.params:
            return name
        pairs = sorted(self.params, key=lambda pair: pair[0])
        return name + "?" + "&".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in pairs)

    def __str__(self) -> str:
        return self.key
