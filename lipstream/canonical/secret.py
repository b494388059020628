"""A credential that does not leave the process by accident.

Whatever turns a value into text or bytes (printing, formatting, logging, JSON, pickling) gets a
placeholder or an error. The one way to the text is :meth:`Secret.reveal`, which is easy to search
the code for.
"""

from __future__ import annotations

import hmac
from typing import NoReturn

PLACEHOLDER = "[secret]"


class Secret:
    """A text that must not be shown. Equal secrets compare equal, in time that does not depend on
    where they differ."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself, for the one place that sends it."""
        return self.__text

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        texts = (self.__text, other.__text)
        mine, theirs = (text.encode("utf-8", "surrogateescape") for text in texts)
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash(self.__text)

    def __repr__(self) -> str:
        return PLACEHOLDER

    def __format__(self, spec: str) -> str:
        return format(PLACEHOLDER, spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not written down")
