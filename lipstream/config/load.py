"""From texts to one :class:`~lipstream.config.schema.Config`, or to complaints that say what to
write instead: one line each, with the place, the dotted path and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from lipstream.config.document import read_document
from lipstream.config.env import Environment, Setting
from lipstream.config.schema import Config
from lipstream.config.structure import Kinds, Structurer
from lipstream.errors import ConfigError


def load_config(
    text: str,
    *,
    kinds: Kinds,
    environment: Environment,
    source: str = "",
    settings: Sequence[Setting] = (),
) -> Config:
    """Reads a configuration; an empty text is one without any section.

    Args:
        kinds: The kinds of backend there are, each with the class of its entries.
        environment: For references to variables. Settings by variable are ``settings``, too.
        source: The file's name for complaints.
        settings: Put over the file, the later ones over the earlier.

    Raises:
        ConfigError: with one line for each thing that is wrong.
    """
    document = read_document(text, source, environment)
    document.override(settings, environment)
    structurer = Structurer(kinds)
    config = structurer.section(Config, document.tree)
    if structurer.complaints:
        faults = [document.origins.fault(*complaint) for complaint in structurer.complaints]
        raise ConfigError("\n".join(map(str, faults)))
    config.origins.source = document.origins.source
    config.origins.places = document.origins.places
    return config
