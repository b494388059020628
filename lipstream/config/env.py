"""The environment: variables inside the configuration, settings by variable, and keys.

A text in the configuration may hold ``${NAME}`` and ``${NAME:-default}`` (the default also stands
in for an empty variable, as in a shell); ``$$`` is a dollar. Every other dollar is a dollar, so the
``$1`` and ``${1}`` of an alias need no care.

``LIPSTREAM_ROUTING__MAX_ATTEMPTS=5`` sets ``routing.max_attempts``; a few settings have short
names, see :data:`SHORT_NAMES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from lipstream.canonical.secret import Secret

Environment = Mapping[str, str]

PREFIX = "LIPSTREAM_"
LEVEL = "__"
SHORT_NAMES = {
    "LIPSTREAM_HOST": "server.host",
    "LIPSTREAM_PORT": "server.port",
    "LIPSTREAM_DEFAULT_ROUTE": "routing.default_route",
    "LIPSTREAM_LOG": "logging.level",
}

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|(?P<broken>\{(?!\d)))"
)


@attrs.frozen
class Setting:
    """One setting from outside the file.

    Attributes:
        path: Dotted, ``routing.max_attempts``.
        text: The value as it was written; what it means depends on what is expected there.
        source: Who said so, for complaints: ``--set`` or a variable's name.
    """

    path: str
    text: str
    source: str


def interpolate(text: str, environment: Environment) -> str:
    """The text with its variables filled in.

    Raises:
        ValueError: a variable is not set and has no default, or a reference does not parse.
    """

    def replace(reference: re.Match[str]) -> str:
        if reference["dollar"]:
            return "$"
        if reference["broken"]:
            raise ValueError(
                "not a reference to a variable: write ${NAME}, ${NAME:-default}, or $$ for a dollar"
            )
        name, default = reference["name"], reference["default"]
        value = environment.get(name)
        if default is not None:
            return value or default
        if value is None:
            raise ValueError(
                f"the environment variable {name} is not set; ${{{name}:-...}} gives a default"
            )
        return value

    return _REFERENCE.sub(replace, text)


def settings_in(environment: Environment) -> list[Setting]:
    """The settings that the environment makes. Empty variables make none."""
    settings = []
    for name, text in sorted(environment.items()):
        path = SHORT_NAMES.get(name, "")
        if not path and name.startswith(PREFIX) and LEVEL in name:
            path = name.removeprefix(PREFIX).lower().replace(LEVEL, ".")
        if path and text and not _is_service_link(name, text):
            settings.append(Setting(path, text, name))
    return settings


def _is_service_link(name: str, text: str) -> bool:
    """Kubernetes sets LIPSTREAM_PORT by itself where a service is called lipstream."""
    return name == "LIPSTREAM_PORT" and "://" in text


def key_in(environment: Environment, name: str) -> Secret | None:
    """The key that a variable holds, without white space around it; None when there is none."""
    key = environment.get(name, "").strip()
    return Secret(key) if key else None


@attrs.frozen
class KeyNumbers:
    """How a provider's key variables are numbered after the bare one.

    Attributes:
        first: The first number.
        may_miss_first: Whether the second number counts where the first one is not set.
    """

    first: int = 2
    may_miss_first: bool = False


MAX_NUMBERED_KEYS = 32  # the highest number


def keys_in(environment: Environment, root: str, numbers: KeyNumbers) -> list[Secret]:
    """The keys of ``ROOT``, ``ROOT_2``, ``ROOT_3`` ...: up to the first number that is not set.

    The bare variable may be missing. A key that is there twice counts once.
    """
    found = [key_in(environment, root)]
    for number in range(numbers.first, MAX_NUMBERED_KEYS + 1):
        key = key_in(environment, f"{root}_{number}")
        if key is None and not (numbers.may_miss_first and number == numbers.first):
            break
        found.append(key)
    return list(dict.fromkeys(key for key in found if key))
