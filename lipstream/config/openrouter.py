"""What can be configured of OpenRouter beside what all backends have; see ``schema``."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from lipstream.canonical.attribution import OLD_TITLE, REFERER, TITLE
from lipstream.canonical.secret import Secret
from lipstream.config.schema import HttpEntry
from lipstream.config.values import HeaderName, Line, Url


@attrs.frozen(kw_only=True)
class OpenRouterEntry(HttpEntry):
    """OpenRouter.

    Attributes:
        static_referer: The URL of the application that OpenRouter books requests for, where a
            client does not name its own (``HTTP-Referer``).
        static_title: The same for its name (``X-OpenRouter-Title``).
    """

    static_referer: Url | None = None
    static_title: Line | None = None

    @property
    def all_headers(self) -> Mapping[HeaderName, Secret]:
        """The application's, and over them ``headers``."""
        said = {REFERER: self.static_referer, TITLE: self.static_title}
        said[OLD_TITLE] = said[TITLE]
        fixed = {name: Secret(value) for name, value in said.items() if value}
        return {**fixed, **self.headers}
