"""How single values are read: one row for each kind of value.

YAML gives most values a type. What comes from a variable, a flag or the environment is a text
whose type is decided by what is expected of it: an :class:`Untyped`. The schema's fields are
annotated with the kinds that are defined here; each carries its :class:`Reader`.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_origin
from urllib.parse import urlsplit

import attrs
import yaml

from lipstream.canonical.secret import Secret

SHOWN = 40  # characters of a wrong value that a complaint repeats

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d+)\s*(KiB|MiB|GiB|kB|MB|GB|B)")
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Untyped(str):
    """Text whose type is what is expected where it stands."""

    __slots__ = ()


@attrs.frozen
class Address:
    """Where to listen."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return self.host.startswith("127.") or self.host in ("localhost", "::1")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


# ---------------------------------------------------------------- readers: a value, or ValueError


def _typed(value: object) -> object:
    """What YAML would make of an untyped text."""
    return yaml.safe_load(value) if isinstance(value, Untyped) else value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return str(value)


def _flag(value: object) -> bool:
    value = _typed(value)
    if not isinstance(value, bool):
        raise ValueError
    return value


def _number(value: object) -> float:
    value = _typed(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return value


def _whole(value: object) -> int:
    number = _number(value)
    if not isinstance(number, int):
        raise ValueError
    return number


def _between(
    read: Callable[[object], Any], low: float, high: float = math.inf
) -> Callable[[object], Any]:
    def check(value: object) -> Any:
        found = read(value)
        if not low <= found <= high:
            raise ValueError
        return found

    return check


def _duration(value: object) -> float:
    written = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(written[1]) * _SECONDS[written[2]] if written else float(_number(value))


def _positive_duration(value: object) -> float:
    seconds = _duration(value)
    if seconds <= 0:
        raise ValueError
    return seconds


def _patience(value: object) -> float | None:
    if value is None or value == "off" or _typed(value) is False:  # YAML 1.1 reads off as false
        return None
    return _positive_duration(value)


def _resumes(value: object) -> int:
    words = ("off", "once", "twice")
    typed = _typed(value)
    if typed is False:  # YAML 1.1 reads off as false
        return 0
    return words.index(typed) if typed in words else _between(_whole, 0, 2)(value)


def _size(value: object) -> int:
    written = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(written[1]) * _BYTES[written[2]] if written else _whole(value)


def _address(value: object) -> Address:
    host, colon, port = _text(value).strip().rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 2**16):
        raise ValueError
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError
    return Address(host, int(port))


def _url(value: object) -> str:
    text = _text(value).strip()
    parts = urlsplit(text)
    is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise ValueError
    _ = parts.port  # raises ValueError where it is no port
    return text.rstrip("/")


def _matching(pattern: re.Pattern[str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = _text(value)
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return read


def _secret(value: object) -> Secret:
    text = _text(value).strip()
    if any(ord(letter) < 32 for letter in text):
        raise ValueError
    return Secret(text)


def _secret_map(value: object) -> Secret:
    """A map of whatever JSON can say, as JSON text."""
    typed = _typed(value)
    if not isinstance(typed, dict):
        raise ValueError
    return Secret(json.dumps(typed, allow_nan=False, default=_refuse))


def _refuse(value: object) -> object:
    raise ValueError


@attrs.frozen
class Reader:
    """One kind of value: what is expected, in words, and how it is read.

    Attributes:
        read: Returns the value or raises ValueError.
        is_shown: A complaint may repeat what was there.
    """

    expected: str
    read: Callable[[object], Any]
    is_shown: bool = True


TIME = "a time {}(seconds, or a text like 500ms, 10s, 2m)"
SIZE = "a size above 0 (bytes, or a text like 512KiB, 32MiB)"

Seconds = Annotated[float, Reader(TIME.format("above 0 "), _positive_duration)]
Pause = Annotated[float, Reader(TIME.format(""), _between(_duration, 0))]
Patience = Annotated[float | None, Reader(f"off, or {TIME.format('above 0 ')}", _patience)]
Resumes = Annotated[int, Reader("off, once or twice", _resumes)]
Bytes = Annotated[int, Reader(SIZE, _between(_size, 1))]
Count = Annotated[int, Reader("a whole number from 1 on", _between(_whole, 1))]
Number = Annotated[int, Reader("a whole number", _whole)]
Port = Annotated[int, Reader("a port number, 0 to 65535", _between(_whole, 0, 2**16 - 1))]
Share = Annotated[float, Reader("a number from 0 to 1", _between(_number, 0, 1))]
Dollars = Annotated[float, Reader("a number from 0 on", _between(_number, 0))]
Url = Annotated[
    str, Reader("a URL like https://host/v1, without user, query or fragment", _url, is_shown=False)
]
HeaderName = Annotated[str, Reader("the name of an HTTP header", _matching(_TOKEN))]
BackendId = Annotated[str, Reader("an id of letters, digits, - and _", _matching(_ID))]
Line = Annotated[str, Reader("a text in one line (in quotes)", _matching(_LINE))]
SecretMap = Annotated[
    Secret, Reader("a map of texts, numbers, lists and maps", _secret_map, is_shown=False)
]

PLAIN: dict[Any, Reader] = {
    str: Reader("a text (in quotes, where YAML reads something else)", _text),
    bool: Reader("true or false", _flag),
    Address: Reader("host:port, like 127.0.0.1:8080 or [::1]:8080", _address),
    Secret: Reader("a text in one line (in quotes)", _secret, is_shown=False),
}


def reader_of(kind: Any) -> Reader | None:
    """The reader of a type of the schema; None for sections and collections."""
    if get_origin(kind) is Annotated:
        reader: Reader = kind.__metadata__[0]
        return reader
    return PLAIN.get(kind)


# ---------------------------------------------------------------- words for complaints


def refusal(reader: Reader, value: object) -> str:
    """Why a value was refused."""
    return f"expected {reader.expected}, got {describe(value, is_shown=reader.is_shown)}"


def describe(value: object, *, is_shown: bool = True) -> str:
    """A value in a few words, for people; without ``is_shown`` only what it is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if is_shown else "a number"
    if isinstance(value, str):
        shown = value if len(value) <= SHOWN else value[:SHOWN] + "..."
        return f'"{shown}"' if is_shown else "another text"
    return "a list" if isinstance(value, list) else "a map"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is most like a wrong one, or at all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"
