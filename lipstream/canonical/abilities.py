"""What a backend can do, as data: the capabilities of its models, and how it may be asked.

Both are those of its provider's row, changed by what the operator says of single models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from lipstream.canonical.capabilities import EVERYTHING, Capability, Lack, capabilities_of
from lipstream.canonical.transport import Declaration, declared

_EITHER_WAY = declared()


@attrs.frozen(kw_only=True)
class Abilities:
    """What one backend can do.

    Attributes:
        everything: What its models have, unless their name says otherwise.
        lacks: What names say, the later row over the earlier.
        transport: How it may be asked.
        transports: The same for single models, by pattern of the name; the first that fits counts.
        leaves_traces: What it does cannot be taken back, as an agent's work cannot. It is neither
            raced nor hedged unless the route says so.
    """

    everything: frozenset[Capability] = EVERYTHING
    lacks: tuple[Lack, ...] = ()
    transport: Declaration = attrs.field(default=_EITHER_WAY, repr=False)
    transports: Mapping[re.Pattern[str], Declaration] = attrs.field(factory=dict)
    leaves_traces: bool = False

    def capabilities(self, model: str) -> frozenset[Capability]:
        """What a model has."""
        return capabilities_of(model, self.everything, self.lacks)

    def declaration(self, model: str) -> Declaration:
        """How a model may be asked."""
        named = (given for name, given in self.transports.items() if name.search(model))
        return next(named, self.transport)


ANYTHING = Abilities()
"""Of a backend of which nothing is known: it is asked, and says no itself."""
