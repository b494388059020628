"""What a scenario is: one row of the matrix."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tests.conformance.stage import Stage

BOTH = (True, False)
STREAMED = (True,)
WHOLE = (False,)


@attrs.frozen
class Scenario:
    """One thing that has to hold between every client and every provider.

    Attributes:
        name: As a test's id has it.
        play: Asks, and asserts what must hold.
        modes: Whether the client streams; a cell is played once for each.
        words: Options that the client's SDK must have words for.
        direct_modes: In which modes it holds without a proxy, too; in all by default. That is the
            baseline, by which drivers, emulators and the scenario itself are tested.
        is_common: Played with every kind of backend, not with one of each protocol alone.
        stem: How the models are to be called, by the backend's protocol, where it matters.
    """

    name: str
    play: Callable[[Stage], None]
    modes: tuple[bool, ...] = BOTH
    words: frozenset[str] = frozenset()
    direct_modes: tuple[bool, ...] | None = None
    is_common: bool = False
    stems: tuple[tuple[str, str], ...] = ()

    @property
    def rule(self) -> str:
        """What holds, in one sentence."""
        function = getattr(self.play, "func", self.play)
        return (function.__doc__ or "").partition("\n")[0]
