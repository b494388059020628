"""Characters that a server cut in two.

A character outside the basic plane is two ``\\uXXXX`` escapes in JSON, and some servers send them
in two chunks. A half is kept back until the other one comes; a half that stays alone becomes
U+FFFD.
"""

from __future__ import annotations

from collections.abc import Hashable

REPLACEMENT = "\ufffd"


class Halves:
    """The halves that wait, each under the key of the text that it belongs to.

    Attributes:
        is_on: Whether any text has to be looked at: from the first chunk with a lone surrogate on.
    """

    __slots__ = ("_waiting", "is_on")

    def __init__(self) -> None:
        self._waiting: dict[Hashable, str] = {}
        self.is_on = False

    def whole(self, key: Hashable, text: str) -> str:
        """The text with the half before it, without its own last half; possibly empty."""
        text = self._waiting.pop(key, "") + text
        if text.isascii():
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            self._waiting[key] = text[-1]
            text = text[:-1]
        return mended(text)

    def rest(self, key: Hashable) -> str:
        """What stands for the half that is still waiting, if one is."""
        return REPLACEMENT if self._waiting.pop(key, "") else ""


def mended(text: str) -> str:
    """The text with pairs joined and single halves replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
